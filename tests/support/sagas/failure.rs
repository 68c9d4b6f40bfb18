//! What may go wrong, and all of it for one scenario.

use super::ready::{At, Ready};
use super::scenario::Scenario;
use commands::Action;
use events::Step;
use journal::Partition;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Attempts of a step that fail before its saga gives it up, and more than a compensation minds.
const ATTEMPTS_MAX: u32 = 8;
/// Shorter than a step waits for its answer.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Several attempts of a step.
const A_WHILE: Duration = Duration::from_secs(30);
/// All of a step's attempts, and as many of a compensation as there would be if it failed.
const AN_AGE: Duration = Duration::from_secs(20 * 60);
/// An outage.
const A_MINUTE: Duration = Duration::from_secs(60);

/// What goes wrong with a step or a compensation. What an effect's outcome is, is an answer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// It is carried out twice at once.
    Twice,
    /// So many attempts fail without taking effect.
    Fails(u32),
    /// So many attempts take effect, and are said to have failed.
    DoneButFails(u32),
    /// The first attempt takes effect, and no answer comes until the saga has waited long enough.
    NoAnswer,
    /// The first attempt is refused without taking effect.
    Refused,
    /// The first attempt takes effect, and is said to be refused.
    DoneButRefused,
    /// The first attempt is refused, and is delivered when its compensation is through.
    Overtaken {
        /// It has taken effect before as well.
        done: bool,
        /// It is not delivered before all is over and the step's id is forgotten.
        later: bool,
    },
    /// Its first attempt is delivered again when all is over.
    ComesAgain,
    /// Its outcome is recorded before its saga's owner begins it.
    ToldEarly,
    /// Its outcome is recorded by others, under other ids, before and after that.
    ToldTwice,
    /// The owner that is to carry it out is away for so long.
    OwnerAway(Duration),
    /// Nobody reaches the log for so long, from the first attempt on.
    LogAway(Duration),
    /// The owner of the saga is killed in the middle of the first attempt.
    KilledMeanwhile,
    /// An operator orders many retries, while it is being tried and between two attempts.
    RetriesOrdered,
    /// An operator orders to undo the saga in the middle of the first attempt.
    UndoOrdered,
    /// The person is deleted, to the end, in the middle of the first attempt.
    DeletedMeanwhile,
    /// The person takes another address and name in the middle of the first attempt.
    RenamedMeanwhile,
    /// It takes effect and is said to fail until its id is forgotten; meanwhile the person has taken back what it gave back.
    TakenBack,
    /// It fails until it is given up; then an operator lets it go on.
    GivenUp,
}

impl Wrong {
    /// Whether it turns a saga back that has done nothing yet that cannot be undone.
    pub(super) fn turns_back(self) -> bool {
        match self {
            Self::Fails(times) | Self::DoneButFails(times) => times >= ATTEMPTS_MAX,
            Self::OwnerAway(away) => away >= AN_AGE,
            Self::Refused | Self::DoneButRefused | Self::Overtaken { .. } => true,
            Self::UndoOrdered | Self::DeletedMeanwhile | Self::RenamedMeanwhile => true,
            Self::Twice | Self::NoAnswer | Self::ComesAgain | Self::ToldEarly | Self::ToldTwice => false,
            Self::LogAway(_) | Self::KilledMeanwhile | Self::RetriesOrdered => false,
            Self::TakenBack | Self::GivenUp => false,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => write!(f, "carried out twice"),
            Self::Fails(times) => write!(f, "fails, {times} times"),
            Self::DoneButFails(times) => write!(f, "done, but said to fail, {times} times"),
            Self::NoAnswer => write!(f, "done, and no answer in time"),
            Self::Refused => write!(f, "refused"),
            Self::DoneButRefused => write!(f, "done, but said to be refused"),
            Self::Overtaken { done, later } => {
                let (done, later) = (if *done { ", though done" } else { "" }, if *later { ", 2 minutes" } else { "" });
                write!(f, "refused{done}, and delivered{later} after its compensation")
            }
            Self::ComesAgain => write!(f, "delivered again when all is over"),
            Self::ToldEarly => write!(f, "its outcome told before it is sent"),
            Self::ToldTwice => write!(f, "its outcome told three times under other ids"),
            Self::OwnerAway(away) => write!(f, "its target's owner away for {} s", away.as_secs()),
            Self::LogAway(away) => write!(f, "the log away for {} s", away.as_secs()),
            Self::KilledMeanwhile => write!(f, "the saga's owner killed meanwhile"),
            Self::RetriesOrdered => write!(f, "retries ordered, many times"),
            Self::UndoOrdered => write!(f, "ordered to be undone meanwhile"),
            Self::DeletedMeanwhile => write!(f, "the person deleted meanwhile"),
            Self::RenamedMeanwhile => write!(f, "the person renamed otherwise meanwhile"),
            Self::TakenBack => write!(f, "done, and taken back before it is tried again"),
            Self::GivenUp => write!(f, "given up, and retried on order"),
        }
    }
}

/// Who is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The owner of the saga's own key.
    Own,
    /// The owner that carries the step out that the record is about.
    Target,
}

/// When it is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// When the record is about to be handed over; one of the victim's own is lost.
    Before,
    /// When the record is durable and its writer does not know yet.
    Unseen,
    /// When its writer knows.
    Seen,
}

/// All of them.
const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Unseen, Moment::Seen];

/// What happens at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// An owner dies, and another one takes over.
    Kill(Victim, Moment),
    /// A second owner begins beside it.
    Double(Victim),
    /// Its writer dies as it is about to hand it over, and whoever asked for the saga does not ask again.
    Forget,
    /// The person's deletion begins.
    Delete,
    /// The process ends itself with SIGKILL.
    Sigkill(Moment),
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |victim: &Victim| if *victim == Victim::Own { "the saga's owner" } else { "the step's owner" };
        match self {
            Self::Kill(victim, Moment::Before) => write!(f, "{} killed before the record", who(victim)),
            Self::Kill(victim, Moment::Unseen) => write!(f, "{} killed at it, before its receipt", who(victim)),
            Self::Kill(victim, Moment::Seen) => write!(f, "{} killed after its receipt", who(victim)),
            Self::Double(victim) => write!(f, "{} doubled", who(victim)),
            Self::Forget => write!(f, "its beginning lost, and not asked for again"),
            Self::Delete => write!(f, "the person's deletion begun"),
            Self::Sigkill(Moment::Before) => write!(f, "SIGKILL before the record"),
            Self::Sigkill(_) => write!(f, "SIGKILL at it, before its receipt"),
        }
    }
}

/// What goes wrong in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Nothing.
    Nothing,
    /// Something with a step.
    Step {
        /// With which.
        at: At,
        /// What.
        wrong: Wrong,
        /// So that there is something to undo, this step takes effect and is said to be refused.
        after: Option<Step>,
    },
    /// Something at a record of the run.
    Record {
        /// At which, from 1 on.
        record: usize,
        /// What.
        blow: Blow,
        /// The step that the record is about.
        at: At,
    },
}

impl Failure {
    /// What it is called in the table.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Step { wrong, .. } => wrong.to_string(),
            Self::Record { blow, .. } => blow.to_string(),
        }
    }

    /// Where it happens, in the table.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Nothing => At::NOWHERE.to_string(),
            Self::Step { at, after: Some(after), .. } => format!("{at}, after {after}"),
            Self::Step { at, after: None, .. } => at.to_string(),
            Self::Record { at, .. } => at.to_string(),
        }
    }
}

/// How much a kit tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything: time costs nothing.
    Everything,
    /// Everything but what takes minutes.
    NoMinutes,
    /// Each kind of failure once, and one kill for each step.
    EachOnce,
}

impl Extent {
    fn has_minutes(self) -> bool {
        self == Self::Everything
    }

    /// How long a saga may take to end.
    pub(super) fn patience(self) -> Duration {
        if self.has_minutes() { Duration::from_secs(3_600) } else { Duration::from_secs(90) }
    }
}

/// A record of a run, as it was handed over.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which step it is about.
    pub at: At,
    /// Whose owner carries that out.
    pub target: Option<Partition>,
    /// Whether it makes the person a member.
    pub creates: bool,
}

/// Every failure of a scenario whose calm run left these records.
pub fn all(scenario: &Scenario, ready: &Ready, records: &[Seen], extent: Extent) -> Vec<Failure> {
    let mut all = with_steps(scenario, ready, extent);
    all.extend(at_records(scenario, records));
    if extent == Extent::EachOnce { each_once(all) } else { all }
}

fn with_steps(scenario: &Scenario, ready: &Ready, extent: Extent) -> Vec<Failure> {
    let refused = scenario.refused();
    let mut all = Vec::new();
    let mut add = |step: &Step, undo: bool, after: Option<&Step>| {
        let at = At { step: step.clone(), undo };
        let wrongs = wrongs(scenario, ready, &at, extent);
        all.extend(wrongs.into_iter().map(|wrong| Failure::Step { at: at.clone(), wrong, after: after.cloned() }));
    };
    let taken = ready.steps.iter().take_while(|step| Some(*step) != refused.as_ref()).chain(&refused);
    for step in taken {
        add(step, false, None);
    }
    if let Some(refused) = &refused {
        ready.compensations(refused).iter().for_each(|step| add(step, true, None));
        return all;
    }
    for after in ready.steps.iter().filter(|step| ready.can_undo(step)) {
        ready.compensations(after).iter().for_each(|step| add(step, true, Some(after)));
    }
    all
}

fn wrongs(scenario: &Scenario, ready: &Ready, at: &At, extent: Extent) -> Vec<Wrong> {
    let is_effect = matches!(ready.action(at), Some(Action::Effect(_)));
    let can_turn_back = !at.undo && ready.can_undo(&at.step);
    let minutes = extent.has_minutes();
    let log_away = if minutes { A_MINUTE } else { A_MOMENT };
    let mut all = vec![Wrong::Twice, Wrong::Fails(2), Wrong::DoneButFails(1), Wrong::ToldEarly, Wrong::ToldTwice];
    all.extend([Wrong::KilledMeanwhile, Wrong::RetriesOrdered, Wrong::UndoOrdered, Wrong::LogAway(log_away)]);
    let mut add = |applies: bool, wrongs: &[Wrong]| all.extend(wrongs.iter().filter(|_| applies));
    // What the target refuses anyway is refused already.
    let can_be_done = scenario.refused().as_ref() != Some(&at.step);
    add(at.undo || can_be_done, &[Wrong::Refused, Wrong::DoneButRefused]);
    add(minutes, &[Wrong::Fails(ATTEMPTS_MAX), Wrong::DoneButFails(ATTEMPTS_MAX)]);
    add(!is_effect || minutes, &[Wrong::NoAnswer]);
    add(!is_effect, &[Wrong::ComesAgain, Wrong::OwnerAway(A_MOMENT)]);
    add(!is_effect && minutes, &[Wrong::OwnerAway(A_WHILE), Wrong::OwnerAway(AN_AGE)]);
    let overtaken = |done, later| Wrong::Overtaken { done, later };
    add(can_turn_back, &[overtaken(false, false)]);
    add(can_turn_back && minutes, &[overtaken(false, true)]);
    add(can_turn_back && can_be_done, &[overtaken(true, false)]);
    add(can_turn_back && can_be_done && minutes, &[overtaken(true, true)]);
    add(at.undo && minutes, &[Wrong::GivenUp]);
    add(!at.undo && (scenario.is_of_a_member() || scenario.has_made_a_member(ready, at)), &[Wrong::DeletedMeanwhile]);
    add(!at.undo && scenario.is_a_rename(), &[Wrong::RenamedMeanwhile]);
    add(minutes && scenario.gives_back(&at.step), &[Wrong::TakenBack]);
    all
}

fn at_records(scenario: &Scenario, records: &[Seen]) -> Vec<Failure> {
    let mut all = Vec::new();
    let mut is_a_member = scenario.is_of_a_member();
    for (n, seen) in records.iter().enumerate() {
        is_a_member |= seen.creates;
        let victims = [Some(Victim::Own), seen.target.map(|_| Victim::Target)];
        let mut blows = Vec::new();
        for victim in victims.into_iter().flatten() {
            blows.extend(MOMENTS.map(|moment| Blow::Kill(victim, moment)));
            blows.push(Blow::Double(victim));
        }
        blows.extend((n == 0).then_some(Blow::Forget));
        blows.extend(is_a_member.then_some(Blow::Delete));
        all.extend(blows.into_iter().map(|blow| Failure::Record { record: n + 1, blow, at: seen.at.clone() }));
    }
    all
}

/// One of each kind, each time at another place; and one kill for each step.
fn each_once(all: Vec<Failure>) -> Vec<Failure> {
    let mut kinds: BTreeMap<String, Vec<Failure>> = BTreeMap::new();
    for failure in all {
        let kind = match &failure {
            Failure::Record { blow: Blow::Kill(..), at, .. } => format!("kill at {at}"),
            other => other.kind(),
        };
        kinds.entry(kind).or_default().push(failure);
    }
    let one_of = |(n, mut of): (usize, Vec<_>)| of.swap_remove(n % of.len());
    kinds.into_values().enumerate().map(one_of).collect()
}
