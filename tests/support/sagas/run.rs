//! One run: what is to go wrong in it, and what was seen of it.

use super::failure::{Blow, Failure, Moment, Seen, Victim, Wrong};
use super::ready::{At, Before, Ready};
use super::stage::Stage;
use commands::{Action, Answer, Outcome, Request, SagaCommand, step_command_id};
use events::{Commit, Digest, Event, Key, Retention, SagaEvent, UserEvent};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Draft, Kind, Partition};
use parking_lot::Mutex;
use rustix::process::{Signal, getpid, kill_process};
use sagas::deletion::DeletionData;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

/// How long an owner lives on that has lost a record, and might act upon it.
const LINGERS: Duration = Duration::from_millis(20);

/// What is done at a record.
pub(super) struct Strike {
    /// When.
    pub(super) moment: Moment,
    /// Whether its writer writes nothing more.
    pub(super) is_its_end: bool,
    /// What.
    pub(super) act: BoxFuture<'static, ()>,
}

/// Delivers something once more.
pub(super) type Late = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// How often something was tried.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    begun: u32,
    at_once: u32,
    at_once_max: u32,
}

#[derive(Default)]
struct Progress {
    records: Vec<Seen>,
    tries: BTreeMap<At, Tries>,
    met: bool,
    busy: usize,
    late: Option<Late>,
    complaints: Vec<String>,
    client: Option<AbortHandle>,
    may_go_on: bool,
    /// What nobody needs to try any more.
    done_early: Option<At>,
}

/// A run of a saga.
pub(super) struct Run {
    pub(super) ready: Ready,
    pub(super) failure: Failure,
    pub(super) stage: Arc<Stage>,
    away: Arc<Mutex<Option<Instant>>>,
    progress: Mutex<Progress>,
}

impl Run {
    pub(super) fn new(
        ready: Ready,
        failure: Failure,
        stage: Arc<Stage>,
        away: Arc<Mutex<Option<Instant>>>,
    ) -> Arc<Self> {
        Arc::new(Self { ready, failure, stage, away, progress: Mutex::default() })
    }

    /// What was planned has happened.
    pub(super) fn meets(&self) {
        self.progress.lock().met = true;
    }

    /// Whether what was planned has happened.
    pub(super) fn is_met(&self) -> bool {
        self.failure == Failure::Nothing || self.progress.lock().met
    }

    /// The records that were handed over, in order.
    pub(super) fn records(&self) -> Vec<Seen> {
        self.progress.lock().records.clone()
    }

    /// Something is not as it should be.
    pub(super) fn complain(&self, of: String) {
        self.progress.lock().complaints.push(of);
    }

    /// What is not as it should be, beside what is left in the log.
    pub(super) fn complaints(&self) -> Vec<String> {
        let progress = self.progress.lock();
        let at_once = progress.tries.iter().filter(|(_, tries)| tries.at_once_max > 1);
        let at_once = at_once.filter(|_| !self.has_two_owners());
        let at_once = at_once.map(|(at, tries)| format!("{at} was tried {} times at once", tries.at_once_max));
        let in_vain = progress.done_early.iter().filter(|at| progress.tries.contains_key(at));
        let in_vain = in_vain.map(|at| format!("{at} was tried although its outcome was known"));
        progress.complaints.iter().cloned().chain(at_once).chain(in_vain).collect()
    }

    /// Two owners of the saga may each carry its steps out, if only because one does not know yet that it is none.
    fn has_two_owners(&self) -> bool {
        match &self.failure {
            Failure::Nothing => false,
            Failure::Step { wrong, .. } => matches!(wrong, Wrong::KilledMeanwhile | Wrong::LogAway(_)),
            Failure::Record { blow, .. } => *blow != Blow::Delete,
        }
    }

    /// Whoever asks for the saga.
    pub(super) fn set_client(&self, client: AbortHandle) {
        self.progress.lock().client = Some(client);
    }

    /// Whether something that the kit does is still under way.
    pub(super) fn is_busy(&self) -> bool {
        self.progress.lock().busy > 0
    }

    /// What was given up may succeed from now on.
    pub(super) fn let_go_on(&self) {
        self.progress.lock().may_go_on = true;
    }

    pub(super) fn may_go_on(&self) -> bool {
        self.progress.lock().may_go_on
    }

    pub(super) fn set_late(&self, late: Option<Late>) {
        self.progress.lock().late = late;
    }

    pub(super) fn take_late(&self) -> Option<Late> {
        self.progress.lock().late.take()
    }

    /// How often it was tried before.
    pub(super) fn begin_trying(self: &Arc<Self>, at: &At) -> (u32, Trying) {
        let mut progress = self.progress.lock();
        let tries = progress.tries.entry(at.clone()).or_default();
        (tries.begun, tries.at_once) = (tries.begun + 1, tries.at_once + 1);
        tries.at_once_max = tries.at_once_max.max(tries.at_once);
        (tries.begun - 1, Trying { run: Arc::clone(self), at: at.clone() })
    }

    /// Nobody reaches the log for so long.
    pub(super) fn keep_log_away(&self, away: Duration) {
        *self.away.lock() = Some(Instant::now() + away);
    }

    /// The same act, which the run does not end before.
    pub(super) fn act(self: &Arc<Self>, act: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
        self.progress.lock().busy += 1;
        let busy = Busy(Arc::clone(self));
        async move {
            act.await;
            drop(busy);
        }
        .boxed()
    }

    /// A record is about to be handed over to the log.
    pub(super) fn sees(self: &Arc<Self>, partition: Partition, draft: &Draft) -> Option<Strike> {
        let commit = (draft.kind == Kind::Commit).then(|| Commit::decode(&draft.value).expect("our own"))?;
        let events: Vec<_> = commit.events.iter().filter_map(|event| self.own_event(event)).collect();
        if events.is_empty() && commit.causation != Some(self.ready.saga.0) {
            return None;
        }
        let at = events.iter().find_map(|event| requested(event)).or_else(|| events.iter().find_map(|e| told(e)));
        let at = at.or_else(|| self.carried_out(&commit)).unwrap_or(At::NOWHERE);
        let target = self.ready.target(&at);
        let creates = commit.events.iter().any(|event| matches!(event, Event::User(UserEvent::Created(_))));
        let record = {
            let mut progress = self.progress.lock();
            progress.records.push(Seen { at: at.clone(), target, creates });
            progress.records.len()
        };
        match &self.failure {
            Failure::Record { record: n, blow, .. } if *n == record => self.strike(*blow, partition, target),
            Failure::Step { at: early, wrong: Wrong::ToldEarly, .. }
                if events.iter().any(|event| requested(event).as_ref() == Some(early)) =>
            {
                Some(Strike { moment: Moment::Unseen, is_its_end: false, act: self.tell_early(early) })
            }
            _ => None,
        }
    }

    /// What is carried out on another key.
    fn carried_out(&self, commit: &Commit) -> Option<At> {
        let saga = self.ready.saga;
        let is_it = |at: &At| step_command_id(saga, &at.step, at.undo) == commit.command;
        self.ready.places().find(is_it)
    }

    fn own_event<'a>(&self, event: &'a Event) -> Option<&'a SagaEvent> {
        match event {
            Event::Saga(event) if event.saga() == self.ready.saga => Some(event),
            _ => None,
        }
    }

    fn strike(self: &Arc<Self>, blow: Blow, writer: Partition, target: Option<Partition>) -> Option<Strike> {
        let victim = |victim| if victim == Victim::Own { Some(self.ready.own()) } else { target };
        let run = Arc::clone(self);
        let strike = |moment, is_its_end, act| Some(Strike { moment, is_its_end, act });
        match blow {
            Blow::Kill(who, moment) => {
                let dies = victim(who)?;
                let is_its_end = dies == writer;
                let act = async move {
                    if is_its_end && moment == Moment::Before {
                        sleep(LINGERS).await;
                    }
                    run.stage.crew.replace(dies);
                    run.meets();
                };
                strike(moment, is_its_end, self.act(act))
            }
            Blow::Double(who) => {
                let doubled = victim(who)?;
                let act = async move {
                    run.stage.crew.start(doubled);
                    run.meets();
                };
                strike(Moment::Seen, false, self.act(act))
            }
            Blow::Forget => strike(Moment::Before, true, self.act(async move { run.forget(writer).await })),
            Blow::Delete => {
                let act = async move {
                    if matches!(run.delete().await, Answer::Ended(..)) {
                        run.meets();
                    }
                };
                strike(Moment::Seen, false, self.act(act))
            }
            Blow::Sigkill(Moment::Before) => {
                end_this_process();
                None
            }
            Blow::Sigkill(moment) => strike(moment, true, self.act(async { end_this_process() })),
        }
    }

    async fn forget(&self, writer: Partition) {
        let client = self.progress.lock().client.take();
        if let Some(client) = client {
            client.abort();
        }
        sleep(LINGERS).await;
        self.stage.crew.replace(writer);
        self.meets();
    }

    /// The person is deleted, to the end.
    pub(super) async fn delete(&self) -> Answer {
        let user = self.ready.person.id;
        let data = DeletionData { user }.into();
        self.stage.play(Before { saga: self.ready.deletion, key: Key::User(user), data }).await
    }

    /// The person takes another address, another name or both, to the end.
    pub(super) async fn rename(&self, email: Option<Digest>, username: Option<Digest>) -> Answer {
        let person = &self.ready.person;
        let had = self.stage.see(|ledger| ledger.people.get(&person.id).copied()).await.expect("a member");
        let data = person.rename((had.email, had.username), email, username).into();
        self.stage.play(Before { saga: self.ready.rival, key: Key::User(person.id), data }).await
    }

    /// Carries a step out before its saga's owner knows that it may, and tells the saga what came of it.
    fn tell_early(self: &Arc<Self>, at: &At) -> BoxFuture<'static, ()> {
        let run = Arc::clone(self);
        let (saga, early) = (self.ready.saga, at.clone());
        let told = async move {
            let outcome = run.carry_out(&early).await;
            // The answer comes when the owner knows that the step was requested; till then the outcome stands in the log.
            let (teller, at) = (Arc::clone(&run), early.clone());
            tokio::spawn(run.act(async move { teller.is_told(&at, outcome).await }));
            run.stage.until(|ledger| ledger.sagas.get(&saga).is_some_and(|it| it.told.contains(&early))).await;
        };
        self.act(told)
    }

    async fn is_told(&self, at: &At, outcome: Outcome) {
        if !matches!(outcome, Outcome::Progress(_)) {
            self.progress.lock().done_early = Some(at.clone());
        }
        match self.tell(at, outcome).await {
            Answer::Accepted(_) => self.meets(),
            other => self.complain(format!("the outcome of {at}, told early, was answered {other:?}")),
        }
    }

    /// Carries a step out as its saga's owner does.
    async fn carry_out(&self, at: &At) -> Outcome {
        let saga = self.ready.saga;
        match self.ready.action(at).expect("it was requested") {
            Action::Effect(effect) => self.stage.keys.carry_out(effect),
            Action::Command(key, command) => {
                let request = Request {
                    id: step_command_id(saga, &at.step, at.undo),
                    correlation: saga.0,
                    causation: Some(saga.0),
                    retention: if at.undo { Retention::Long } else { Retention::Short },
                    undoes: at.undo.then(|| step_command_id(saga, &at.step, false)),
                    ..self.stage.request(key, command)
                };
                Outcome::of(&self.stage.router.submit(request).await)
            }
        }
    }

    /// Tells the saga what came of a step, under an id of its own.
    pub(super) async fn tell(&self, at: &At, outcome: Outcome) -> Answer {
        let At { step, undo } = at.clone();
        let record = SagaCommand::Record { saga: self.ready.saga, step, compensation: undo, outcome };
        self.stage.ask(self.ready.key, record).await
    }
}

/// While something is tried.
pub(super) struct Trying {
    run: Arc<Run>,
    at: At,
}

impl Drop for Trying {
    fn drop(&mut self) {
        if let Some(tries) = self.run.progress.lock().tries.get_mut(&self.at) {
            tries.at_once -= 1;
        }
    }
}

/// While the kit does something.
struct Busy(Arc<Run>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.progress.lock().busy -= 1;
        self.0.stage.news.send_replace(());
    }
}

fn requested(event: &SagaEvent) -> Option<At> {
    match event {
        SagaEvent::StepRequested(e) => Some(At { step: e.step.clone(), undo: e.compensation }),
        _ => None,
    }
}

/// What was told of a step.
pub(super) fn told(event: &SagaEvent) -> Option<At> {
    let at = |step: &events::Step, undo| Some(At { step: step.clone(), undo });
    match event {
        SagaEvent::StepCompleted(e) => at(&e.step, false),
        SagaEvent::StepRefused(e) => at(&e.step, false),
        SagaEvent::StepAdvanced(e) => at(&e.step, false),
        SagaEvent::StepUndone(e) => at(&e.step, true),
        _ => None,
    }
}

fn end_this_process() {
    kill_process(getpid(), Signal::KILL).expect("it may end itself");
}
