//! Stands between the owners and whoever carries out what their sagas have requested: owners of other keys, over the
//! network, and what is done outside the log. What is to go wrong with a step goes wrong here.

use super::failure::{Failure, Wrong};
use super::keys::Keys;
use super::ready::At;
use super::run::Run;
use super::witness::Slot;
use crate::simulation::Network;
use commands::{Action, Answer, Effect, EffectFuture, Effects, Ended, Order, Outcome, Refusal, Request, Transport};
use events::{Digest, SagaId};
use futures::FutureExt;
use futures::future::{BoxFuture, join};
use journal::Partition;
use sagas::rename::VACATE_EMAIL;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Orders of an operator who is in a hurry.
const ORDERS: usize = 20;
/// How long what is delivered late may take.
const LATE_DEADLINE: Duration = Duration::from_secs(5);
const FAULT: &str = "it does not work today";

/// Stands in the way. Clones are the same.
#[derive(Clone)]
pub(super) struct Meddler {
    network: Network,
    keys: Arc<Keys>,
    slot: Slot,
    /// Steps that were sent, whatever came of them.
    sent: Arc<AtomicUsize>,
}

impl Meddler {
    pub(super) fn new(network: Network, keys: Arc<Keys>, slot: Slot) -> Self {
        Self { network, keys, slot, sent: Arc::default() }
    }

    /// How many steps were sent so far.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// The run, if this is a step of its saga, and which.
    fn meets(&self, saga: SagaId, is: impl Fn(&Action) -> bool) -> Option<(Arc<Run>, At)> {
        let run = self.slot.run().filter(|run| run.ready.saga == saga)?;
        let at = run.ready.places().find(|at| run.ready.action(at).is_some_and(|action| is(&action)))?;
        Some((run, at))
    }
}

impl Transport for Meddler {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        if request.causation.is_some() {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        let is = |action: &Action| *action == Action::Command(request.key, request.command.clone());
        let Some((run, at)) = self.meets(SagaId(request.causation.unwrap_or_default()), is) else {
            return self.network.send(partition, request);
        };
        let network = self.network.clone();
        let errand = move || {
            // Also what comes late is decided.
            let deadline = request.deadline.max(Instant::now() + LATE_DEADLINE);
            network.send(partition, Arc::new(Request { deadline, ..(*request).clone() }))
        };
        attempt(run, at, Arc::new(errand)).boxed()
    }
}

impl Effects for Meddler {
    fn carry_out(&self, saga: SagaId, effect: Effect) -> EffectFuture {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let keys = Arc::clone(&self.keys);
        let errand = move || {
            let keys = Arc::clone(&keys);
            async move { keys.carry_out(effect) }.boxed()
        };
        match self.meets(saga, |action| *action == Action::Effect(effect)) {
            Some((run, at)) => attempt(run, at, Arc::new(errand)).boxed(),
            None => errand(),
        }
    }
}

/// What whoever carries something out says of it.
trait Told: Send + 'static {
    fn failed() -> Self;
    fn refused() -> Self;
    fn outcome(&self) -> Outcome;
}

impl Told for Answer {
    fn failed() -> Self {
        Self::Refused(Refusal::Fault(FAULT.to_owned()))
    }

    fn refused() -> Self {
        Self::Refused(Refusal::Taken)
    }

    fn outcome(&self) -> Outcome {
        Outcome::of(self)
    }
}

impl Told for Outcome {
    fn failed() -> Self {
        Self::Failed(FAULT.to_owned())
    }

    fn refused() -> Self {
        Self::Refused(FAULT.to_owned())
    }

    fn outcome(&self) -> Outcome {
        self.clone()
    }
}

type Errand<T> = Arc<dyn Fn() -> BoxFuture<'static, T> + Send + Sync>;

async fn attempt<T: Told>(run: Arc<Run>, at: At, errand: Errand<T>) -> T {
    let (before, _trying) = run.begin_trying(&at);
    let told = match &run.failure {
        Failure::Step { at: there, wrong, .. } if *there == at => go_wrong(&run, &at, *wrong, before, &errand).await,
        Failure::Step { after: Some(after), .. } if at == (At { step: after.clone(), undo: false }) => {
            errand().await;
            T::refused()
        }
        _ => errand().await,
    };
    if at.undo && matches!(told.outcome(), Outcome::Done { .. }) {
        run.deliver_overtaken(&at).await;
    }
    told
}

/// An attempt that was planned to go wrong, after so many others.
async fn go_wrong<T: Told>(run: &Arc<Run>, at: &At, wrong: Wrong, before: u32, errand: &Errand<T>) -> T {
    match wrong {
        Wrong::Fails(times) if before < times => run.met_at(before + 1 == times, T::failed()),
        Wrong::DoneButFails(times) if before < times => {
            errand().await;
            run.met_at(before + 1 == times, T::failed())
        }
        Wrong::RetriesOrdered if before < 2 => {
            run.order_retries().await;
            tokio::spawn(run.act({
                let run = Arc::clone(run);
                async move { run.order_retries().await }
            }));
            run.met_at(before == 1, T::failed())
        }
        Wrong::GivenUp if !run.may_go_on() => T::failed(),
        Wrong::TakenBack if before == 0 => {
            errand().await;
            tokio::spawn(run.act({
                let (run, at) = (Arc::clone(run), at.clone());
                async move { run.take_back(&at).await }
            }));
            T::failed()
        }
        Wrong::TakenBack if !run.may_go_on() => T::failed(),
        _ if before > 0 => errand().await,
        Wrong::Twice => {
            let (one, _) = join(errand(), errand()).await;
            run.met_at(true, one)
        }
        Wrong::NoAnswer => {
            errand().await;
            let _given_up = MetWhenDropped(Arc::clone(run));
            std::future::pending().await
        }
        Wrong::Refused => run.met_at(true, T::refused()),
        Wrong::DoneButRefused => {
            errand().await;
            run.met_at(true, T::refused())
        }
        Wrong::Overtaken { done, .. } => {
            run.keep_for_later(errand);
            if done {
                errand().await;
            }
            T::refused()
        }
        Wrong::ComesAgain => {
            run.keep_for_later(errand);
            errand().await
        }
        Wrong::ToldTwice => {
            let told = errand().await;
            let (teller, at, outcome) = (Arc::clone(run), at.clone(), told.outcome());
            to_its_end(run, async move { teller.tell_twice(&at, outcome).await }).await;
            told
        }
        Wrong::OwnerAway(away) => {
            let target = run.ready.target(at).expect("planned only for commands");
            run.stage.crew.kill(target);
            tokio::spawn(run.act({
                let run = Arc::clone(run);
                async move {
                    sleep(away).await;
                    run.stage.crew.start(target);
                }
            }));
            let told = errand().await;
            run.met_at(matches!(told.outcome(), Outcome::Unknown(_)), told)
        }
        Wrong::LogAway(away) => {
            run.keep_log_away(away);
            errand().await
        }
        Wrong::KilledMeanwhile => {
            run.stage.crew.replace(run.ready.own());
            run.meets();
            std::future::pending().await
        }
        Wrong::UndoOrdered => {
            let (operator, at) = (Arc::clone(run), at.clone());
            to_its_end(run, async move { operator.order_undo(&at).await }).await;
            errand().await
        }
        Wrong::DeletedMeanwhile => {
            let person = Arc::clone(run);
            let deleted = async move {
                let is_deleted = matches!(person.delete().await, Answer::Ended(_, Ended::Completed));
                person.met_at(is_deleted, ());
            };
            to_its_end(run, deleted).await;
            errand().await
        }
        Wrong::RenamedMeanwhile => {
            let person = Arc::clone(run);
            let renamed = async move {
                let to = (Some(person.ready.person.other_email(9)), Some(person.ready.person.other_username(9)));
                person.met_at(person.is_renamed(to).await, ());
            };
            to_its_end(run, renamed).await;
            errand().await
        }
        Wrong::Fails(_) | Wrong::DoneButFails(_) | Wrong::RetriesOrdered => errand().await,
        Wrong::TakenBack | Wrong::GivenUp | Wrong::ToldEarly => errand().await,
    }
}

/// What is done in the middle of an attempt. It may end the saga, and with it the attempt: it is done to its end all the same,
/// and the run is not over before.
async fn to_its_end(run: &Arc<Run>, deed: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(run.act(deed)).await.expect("nothing panics");
}

/// Dropped, it was waited for long enough.
struct MetWhenDropped(Arc<Run>);

impl Drop for MetWhenDropped {
    fn drop(&mut self) {
        self.0.meets();
    }
}

impl Run {
    fn met_at<T>(&self, here: bool, told: T) -> T {
        if here {
            self.meets();
        }
        told
    }

    fn keep_for_later<T: Told>(&self, errand: &Errand<T>) {
        let errand = Arc::clone(errand);
        self.set_late(Some(Arc::new(move || {
            let errand = errand();
            async move { drop(errand.await) }.boxed()
        })));
    }

    /// What its compensation has overtaken arrives.
    async fn deliver_overtaken(&self, undone: &At) {
        if let Failure::Step { at, wrong: Wrong::Overtaken { later: false, .. }, .. } = &self.failure
            && at.step == undone.step
            && let Some(late) = self.take_late()
        {
            late().await;
            self.meets();
        }
    }

    /// What arrives when all is over does so.
    pub(super) async fn deliver_late(&self) {
        let (Some(late), Failure::Step { at, wrong, .. }) = (self.take_late(), &self.failure) else { return };
        if matches!(wrong, Wrong::Overtaken { .. }) {
            self.stage.grow_old(self.ready.target(at).expect("planned only for commands")).await;
        }
        late().await;
        self.meets();
    }

    /// Whether the person takes another address and name.
    async fn is_renamed(&self, (email, username): (Option<Digest>, Option<Digest>)) -> bool {
        matches!(self.rename(email, username).await, Answer::Ended(_, Ended::Completed))
    }

    /// The person takes back what this step gave back, and the step's id is forgotten.
    async fn take_back(&self, at: &At) {
        let (person, is_email) = (&self.ready.person, at.step == VACATE_EMAIL);
        let to = if is_email { (Some(person.email), None) } else { (None, Some(person.username)) };
        if self.is_renamed(to).await {
            self.meets();
        }
        self.stage.grow_old(self.ready.target(at).expect("planned only for commands")).await;
        self.let_go_on();
    }

    /// As often as an operator clicks who is in a hurry.
    async fn order_retries(&self) {
        for _ in 0..ORDERS {
            match self.stage.order(self.ready.saga, self.ready.key, Order::Retry).await {
                Answer::Accepted(_) | Answer::Refused(Refusal::SagaEnded) => {}
                other => self.complain(format!("an order to retry was answered {other:?}")),
            }
        }
    }

    async fn order_undo(&self, at: &At) {
        let may_be_undone = !at.undo && self.ready.can_undo(&at.step);
        match self.stage.order(self.ready.saga, self.ready.key, Order::Compensate).await {
            Answer::Accepted(_) if may_be_undone => self.meets(),
            Answer::Refused(Refusal::NoWayBack) if !may_be_undone => self.meets(),
            other => self.complain(format!("an order to undo it at {at} was answered {other:?}")),
        }
    }

    /// Others say what came of it before its owner does.
    async fn tell_twice(&self, at: &At, outcome: Outcome) {
        match self.tell(at, outcome.clone()).await {
            Answer::Accepted(_) => self.meets(),
            other => self.complain(format!("the outcome of {at} was answered {other:?}")),
        }
        match self.tell(at, outcome.clone()).await {
            Answer::Unchanged(_) | Answer::Refused(Refusal::NotFound) => {}
            Answer::Accepted(_) if matches!(outcome, Outcome::Progress(_)) => {}
            other => self.complain(format!("the outcome of {at}, told again, was answered {other:?}")),
        }
    }
}
