//! Were the answers those of a system that does one thing at a time?
//!
//! A history is linearizable (Herlihy and Wing 1990) if each call can be given one moment between its question and its
//! answer such that, taken in the order of these moments, every answer is the one that a simple object gives. The search
//! for such an order is `todc-utils`' (Wing and Gong's algorithm with Lowe's memory of what was tried before); the
//! objects and the histories are ours. They are written from what the API promises and share no code with the owner.
//! Whatever is too large to be judged is said to be so, never passed over.

pub mod account;
pub mod claim;
pub mod follow;
pub mod ledger;
pub mod post;
pub mod session;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;
use uuid::Uuid;

/// Calls in one history; the search's time grows with the square of them.
pub const CALLS_MAX: usize = 2_000;
/// What the search may remember of one history, in bytes.
const MEMORY_MAX: usize = 256 << 20;
/// What it remembers of a step, besides two flags a call; more than any object here needs.
const STATE_BYTES: usize = 1 << 10;
/// Lines shown of a violation, the newest ones.
const LINES_MAX: usize = 80;

/// A person, comment, session or command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub Uuid);

/// Short: the last digits tell the few of one history apart.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05x}", self.0.as_u128() & 0xf_ffff)
    }
}

/// Why a call took no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// What it is about is not there.
    NotFound,
    /// It belongs to somebody else.
    Forbidden,
    /// Nobody follows themselves.
    SelfFollow,
    /// Somebody else has it.
    Taken,
    /// The call's id is that of another call.
    KeyReused,
}

/// What a call does that comes alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// What was asked.
    Happens,
    /// Nothing: it was so already.
    Already,
    /// Nothing, for this reason.
    Refused(Why),
    /// Nothing; it shows whether something is so.
    Shows(bool),
}

/// What a caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It took effect.
    Accepted,
    /// The same call took effect before.
    Repeated,
    /// It took effect, now or when the same call came before.
    Done,
    /// It was so already.
    Unchanged,
    /// It took no effect, for this reason.
    Refused(Why),
    /// What it makes is not there (any more): it was refused as not found, or took effect and was undone since.
    Gone,
    /// It is so, or not.
    Read(bool),
    /// Nothing. It may have taken effect, may yet at any time, or never.
    Unknown,
}

/// An object that does one thing at a time.
pub trait Object {
    /// Its state; the default is where it begins.
    type State: Clone + Default + Eq + Hash + fmt::Debug;
    /// What can be asked of it.
    type Op: Clone + fmt::Debug;

    /// What is done when this is asked in this state.
    fn step(state: &mut Self::State, op: &Self::Op) -> Effect;
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call<Op> {
    /// Who asked, for people to read.
    pub client: String,
    /// What was asked.
    pub op: Op,
    /// The command's id: calls with one id take effect once together.
    pub id: Id,
    /// What distinguishes two requests that use one id; the second is refused.
    pub print: u8,
    /// When it was asked. No two moments of a history are the same.
    pub begun: u64,
    /// When it was answered. Whoever was told [`Answer::Unknown`] has no such moment.
    pub ended: Option<u64>,
    /// What was answered.
    pub answer: Answer,
    /// The call of this id comes before it, whenever that was answered: what a session reads shows what it has written.
    pub after: Option<Id>,
}

impl<Op> Call<Op> {
    /// The same call, asking for this.
    pub fn of<Other>(&self, op: Other) -> Call<Other> {
        let Self { id, print, begun, ended, answer, after, .. } = *self;
        Call { client: self.client.clone(), op, id, print, begun, ended, answer, after }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains every answer.
    Linearizable,
    /// There is none. The history up to the first answer that cannot be explained, for people to read.
    Violated(String),
    /// The history is too large to be judged.
    TooLarge {
        /// How many calls it has.
        calls: usize,
    },
}

/// Judges all calls on one object.
pub fn judge<O: Object>(calls: &[Call<O::Op>]) -> Verdict {
    match search::<O>(calls) {
        Some(true) => Verdict::Linearizable,
        Some(false) => Verdict::Violated(first_unexplained::<O>(calls)),
        None => Verdict::TooLarge { calls: calls.len() },
    }
}

/// Whether there is an order that explains all; `None` if that is too much to find out.
fn search<O: Object>(calls: &[Call<O::Op>]) -> Option<bool> {
    if calls.is_empty() {
        return Some(true);
    }
    if calls.len() > CALLS_MAX {
        return None;
    }
    let left = Rc::new(Cell::new(MEMORY_MAX / (STATE_BYTES + 2 * calls.len())));
    let linearizable = WGLChecker::<Alone<O>>::is_linearizable(History::from_actions(actions(calls, &left)));
    (left.get() > 0).then_some(linearizable)
}

/// Questions and answers in their order, each call on a line of its own. Those without an answer have theirs at the end,
/// where it may say anything: there, taking effect is as good as never taking effect.
fn actions<Op: Clone>(calls: &[Call<Op>], left: &Rc<Cell<usize>>) -> Vec<(usize, Action<Step<Op>>)> {
    let mut uses = BTreeMap::new();
    calls.iter().for_each(|call| *uses.entry(call.id).or_insert(0) += 1);
    let preceding: BTreeSet<Id> = calls.iter().filter_map(|call| call.after).collect();
    let mut moments = Vec::with_capacity(2 * calls.len());
    for (line, call) in calls.iter().enumerate() {
        let step = Step {
            op: call.op.clone(),
            print: (uses[&call.id] > 1).then_some((call.id, call.print)),
            precedes: preceding.contains(&call.id).then_some(call.id),
            after: call.after,
            answer: call.answer,
            left: Rc::clone(left),
        };
        moments.push((call.begun, line, Action::Call(step.clone())));
        moments.push((call.ended.unwrap_or(u64::MAX), line, Action::Response(step)));
    }
    moments.sort_by_key(|(moment, ..)| *moment);
    moments.into_iter().map(|(_, line, action)| (line, action)).collect()
}

/// One call as the search sees it.
#[derive(Clone, Debug)]
struct Step<Op> {
    op: Op,
    /// Its id and print, if other calls have the same id.
    print: Option<(Id, u8)>,
    /// Its id, if another call comes after it.
    precedes: Option<Id>,
    /// The call that comes before it.
    after: Option<Id>,
    answer: Answer,
    /// How many more steps the search may try.
    left: Rc<Cell<usize>>,
}

/// What the search is told of an object: which steps are possible.
struct Alone<O>(PhantomData<O>);

/// An object and what else the order so far decides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Remembering<S> {
    object: S,
    /// Which of the commands that were asked more than once have taken effect, and the print under which.
    done: BTreeMap<Id, u8>,
    /// Which of the calls that others come after were there.
    passed: BTreeSet<Id>,
}

impl<O: Object> Specification for Alone<O> {
    type State = Remembering<O::State>;
    type Operation = Step<O::Op>;

    fn init() -> Self::State {
        Remembering { object: O::State::default(), done: BTreeMap::new(), passed: BTreeSet::new() }
    }

    fn apply(step: &Self::Operation, state: &Self::State) -> (bool, Self::State) {
        let left = step.left.get().saturating_sub(1);
        step.left.set(left);
        // Out of its means nothing is possible any more, so that the search ends.
        if left == 0 || step.after.is_some_and(|before| !state.passed.contains(&before)) {
            return (false, state.clone());
        }
        let mut next = state.clone();
        next.passed.extend(step.precedes);
        let possible = match step.print.and_then(|(id, print)| Some((print, *state.done.get(&id)?))) {
            Some((print, done)) if print == done => {
                matches!(step.answer, Answer::Repeated | Answer::Done | Answer::Gone | Answer::Unknown)
            }
            Some(_) => matches!(step.answer, Answer::Refused(Why::KeyReused) | Answer::Unknown),
            None => {
                let effect = O::step(&mut next.object, &step.op);
                if let (Effect::Happens, Some((id, print))) = (effect, step.print) {
                    next.done.insert(id, print);
                }
                explains(effect, step.answer)
            }
        };
        if possible { (true, next) } else { (false, state.clone()) }
    }
}

/// Whether somebody whose call did this may be told that. One call may be sent more than once on its way, so that "it
/// took effect before" may mean: by this very call.
fn explains(effect: Effect, answer: Answer) -> bool {
    match answer {
        Answer::Unknown => true,
        Answer::Accepted | Answer::Repeated | Answer::Done => effect == Effect::Happens,
        Answer::Unchanged => effect == Effect::Already,
        Answer::Refused(why) => effect == Effect::Refused(why),
        Answer::Gone => matches!(effect, Effect::Happens | Effect::Already | Effect::Refused(Why::NotFound)),
        Answer::Read(shown) => effect == Effect::Shows(shown),
    }
}

/// The history up to the first answer that cannot be explained. Up to any later one it cannot be explained either, so
/// the first is found by halving.
fn first_unexplained<O: Object>(calls: &[Call<O::Op>]) -> String {
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.ended).collect();
    ends.sort_unstable();
    let explained = ends.partition_point(|end| search::<O>(&until(calls, *end)) == Some(true));
    let Some(end) = ends.get(explained) else { return show(calls, None) };
    show(&until(calls, *end), Some(*end))
}

/// What was known at a moment.
fn until<Op: Clone>(calls: &[Call<Op>], moment: u64) -> Vec<Call<Op>> {
    let known = calls.iter().filter(|call| call.begun < moment).cloned().map(|call| match call.ended {
        Some(end) if end > moment => Call { ended: None, answer: Answer::Unknown, ..call },
        _ => call,
    });
    known.collect()
}

/// A line a call, by when it was asked; the answer given at `end` is the one that cannot be explained.
fn show<Op: fmt::Debug + Clone>(calls: &[Call<Op>], end: Option<u64>) -> String {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.begun);
    let hidden = calls.len().saturating_sub(LINES_MAX);
    let lines = calls.iter().skip(hidden).map(|call| {
        let mark = if end.is_some() && call.ended == end { ">>" } else { "  " };
        let ended = call.ended.map_or_else(|| "-".to_owned(), |ended| ended.to_string());
        let Call { client, op, id, begun, answer, .. } = call;
        format!("{mark} [{begun:>6}, {ended:>6}] {client:<12} {op:?} -> {answer:?} (command {id:?})")
    });
    let head = (hidden > 0).then(|| format!("   ({hidden} earlier calls are not shown)"));
    head.into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}
