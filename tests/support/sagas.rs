//! The saga kit: every saga with everything going wrong at every step and at every record, over any log. After each run the
//! saga has ended as it must, complete or undone, and nothing of it is left: see [`Stand::run`].
//!
//! All runs of a stand share a log and its owners, each with people and posts of its own, and the kit knows no
//! implementation. What it plans it counts as met only where it really did it.

pub mod contract;
mod crew;
pub mod failure;
mod keys;
pub mod killed;
mod ledger;
mod left;
mod meddler;
mod people;
mod ready;
mod run;
pub mod scenario;
mod stage;
mod table;
mod witness;

use crate::simulation::nodes::Cluster;
use commands::{Answer, Command, Ended, Order, Outcome as StepOutcome, Refusal, Transport};
use crew::Crew;
use events::Key;
pub use failure::Extent;
use failure::{Blow, Failure, Seen, Wrong};
use futures::future::{join, join_all};
use journal::Partition;
use keys::Keys;
use ledger::Ledger;
use meddler::Meddler;
pub use people::PARTITIONS_MIN;
use ready::Ready;
use run::Run;
pub use scenario::Scenario;
use stage::Stage;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
pub use table::Table;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};
use witness::{Slot, Witness};

/// How long nothing more may happen when all is over, where time costs nothing.
const REST: Duration = Duration::from_secs(3_600);
/// How long whoever asked for a saga in which nothing goes wrong waits at most, where nothing else takes time either.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A log with owners of all partitions, and everything that the kit can do to them.
pub struct Stand {
    stage: Arc<Stage>,
    witness: Witness,
    meddler: Meddler,
    extent: Extent,
    runs: u128,
    /// What is left already is not left again.
    reported: BTreeSet<String>,
}

/// What came of a run.
pub struct Outcome {
    /// Whether what was to go wrong did.
    pub met: bool,
    /// Whether it was completed; `None` if it did not come to one end.
    pub completed: Option<bool>,
    /// What is left that should not be.
    pub leftovers: Vec<String>,
}

impl Stand {
    /// Over a log of at least [`PARTITIONS_MIN`] partitions.
    pub async fn new(cluster: Cluster, extent: Extent) -> Self {
        Self::with(cluster, extent, Keys::default()).await
    }

    /// The same; what is done outside the log is noted in this file, and what stands there was done before.
    pub async fn noting(cluster: Cluster, extent: Extent, notes: &Path) -> Self {
        let keys = Keys::noted_in(notes).expect("a file that can be read and written");
        Self::with(cluster, extent, keys).await
    }

    async fn with(mut cluster: Cluster, extent: Extent, keys: Keys) -> Self {
        let (slot, news, keys) = (Slot::default(), watch::Sender::new(()), Arc::new(keys));
        let (inner, partitions) = (Arc::clone(&cluster.journal), cluster.journal.partitions());
        assert!(partitions >= PARTITIONS_MIN, "each kind of key needs a partition of its own");
        // Whoever asks is not a saga, and nothing goes wrong on their way.
        let router = cluster.router();
        let ledger = Ledger::of(&inner).await;
        let witness = Witness { inner, slot: slot.clone(), news: news.clone(), away: Arc::default() };
        let meddler = Meddler::new(cluster.network.clone(), Arc::clone(&keys), slot);
        cluster.journal = Arc::new(witness.clone());
        cluster.meddler = Some(Arc::new(meddler.clone()) as Arc<dyn Transport>);
        cluster.effects = Arc::new(meddler.clone());
        let stage = Stage {
            router,
            keys,
            dice: cluster.dice.clone(),
            clock: Arc::clone(&cluster.clock),
            partitions,
            ledger: Mutex::new(ledger),
            news,
            patience: extent.patience(),
            crew: Crew::new(cluster),
        };
        Self { stage: Arc::new(stage), witness, meddler, extent, runs: 0, reported: BTreeSet::new() }
    }

    /// Runs a scenario with everything that may go wrong in it.
    pub async fn run_all(&mut self, scenario: &Scenario) -> Table {
        self.run_until(scenario, |_| false).await
    }

    /// The same, until the table is enough.
    pub async fn run_until(&mut self, scenario: &Scenario, is_enough: impl Fn(&Table) -> bool) -> Table {
        let mut table = Table::default();
        let (outcome, records) = self.run_calmly(scenario).await;
        table.note(scenario, &Failure::Nothing, outcome);
        let ready = scenario.ready(self.runs, self.stage.partitions);
        for failure in failure::all(scenario, &ready, &records, self.extent) {
            if is_enough(&table) {
                return table;
            }
            let outcome = self.run(scenario, failure.clone()).await;
            table.note(scenario, &failure, outcome);
        }
        table.leftovers.extend(self.rest().await);
        table
    }

    /// Runs a scenario with nothing going wrong, and says which records it made.
    pub async fn run_calmly(&mut self, scenario: &Scenario) -> (Outcome, Vec<Seen>) {
        let run = self.prepare(scenario, Failure::Nothing).await;
        (self.play(scenario, &run).await, run.records())
    }

    /// The next run is the one of this number: whom it is about follows from that.
    pub fn begin_with(&mut self, run: u128) {
        self.runs = run - 1;
    }

    /// Goes on with a run that another stand, over the same log, has left.
    pub async fn resume(&mut self, scenario: &Scenario) -> Outcome {
        self.runs += 1;
        let run = self.run_of(scenario.ready(self.runs, self.stage.partitions), Failure::Nothing);
        self.play(scenario, &run).await
    }

    /// Runs a scenario with one thing going wrong.
    pub async fn run(&mut self, scenario: &Scenario, failure: Failure) -> Outcome {
        let run = self.prepare(scenario, failure).await;
        self.play(scenario, &run).await
    }

    /// Has everything happen that must be there before.
    async fn prepare(&mut self, scenario: &Scenario, failure: Failure) -> Arc<Run> {
        self.runs += 1;
        let ready = scenario.ready(self.runs, self.stage.partitions);
        for before in &ready.before {
            let answer = self.stage.play(before.clone()).await;
            assert!(matches!(answer, Answer::Ended(_, Ended::Completed)), "{answer:?}");
        }
        self.ask_all(ready.follows().collect()).await;
        self.hold_places(&ready, false).await;
        self.run_of(ready, failure)
    }

    fn run_of(&self, ready: Ready, failure: Failure) -> Arc<Run> {
        Run::new(ready, failure, Arc::clone(&self.stage), Arc::clone(&self.witness.away))
    }

    async fn hold_places(&self, ready: &Ready, back: bool) {
        self.ask_all(ready.places_in_feed(back)).await;
    }

    async fn ask_all(&self, commands: Vec<(Key, Command)>) {
        let asks = commands.into_iter().map(|(key, command)| self.stage.ask(key, command));
        assert!(join_all(asks).await.iter().all(|answer| matches!(answer, Answer::Accepted(_))));
    }

    /// Has the saga begin, and whatever is planned happen, until all of it is over.
    async fn play(&mut self, scenario: &Scenario, run: &Arc<Run>) -> Outcome {
        self.witness.slot.set(Some(Arc::clone(run)));
        let begun = Instant::now();
        let answer = self.ask_for(run).await;
        if run.failure == Failure::Nothing && self.extent == Extent::Everything && begun.elapsed() > AT_ONCE {
            run.complain("whoever asked for it waited in vain, and had to ask again".to_owned());
        }
        let answer = if self.is_stuck(run).await { self.go_on(run).await } else { answer };
        let mut leftovers = self.orders_after_the_end(run).await;
        run.deliver_late().await;
        if !self.until_over(run).await {
            leftovers.push("it is not over".to_owned());
        }
        self.hold_places(&run.ready, true).await;
        self.witness.slot.set(None);
        leftovers.extend(self.stage.crew.tidy());
        let (of_run, of_all, completed) = {
            let keys = &self.stage.keys;
            let of = |ledger: &Ledger| {
                let completed = ledger.sagas.get(&run.ready.saga).and_then(|course| course.is_complete());
                (left::of_run(scenario, run, ledger, answer.as_ref()), left::of_all(ledger, keys), completed)
            };
            self.stage.see(of).await
        };
        leftovers.extend(of_run);
        leftovers.extend(of_all.into_iter().filter(|left| self.reported.insert(left.clone())));
        Outcome { met: run.is_met(), completed, leftovers }
    }

    /// Asks for the saga until the answer says how it came out, and waits until it has; `None` if nobody is told.
    async fn ask_for(&self, run: &Arc<Run>) -> Option<Answer> {
        let (stage, ready) = (Arc::clone(&self.stage), run.ready.clone());
        let client = tokio::spawn(async move { stage.begin(ready.begun_by, ready.key, ready.start).await });
        run.set_client(client.abort_handle());
        if !self.until_over(run).await {
            client.abort();
        }
        client.await.ok()
    }

    /// Waits until the saga has ended, or begun for the last time, and whatever else the kit has begun.
    async fn until_over(&self, run: &Arc<Run>) -> bool {
        let (saga, forgotten) = (run.ready.saga, matches!(run.failure, Failure::Record { blow: Blow::Forget, .. }));
        let is_over = |ledger: &Ledger| {
            let course = ledger.sagas.get(&saga);
            let has_ended = course.is_some_and(|course| course.has_ended() || course.is_stuck);
            (has_ended || forgotten && run.is_met()) && ledger.open().next().is_none() && !run.is_busy()
        };
        self.stage.until(is_over).await
    }

    async fn is_stuck(&self, run: &Arc<Run>) -> bool {
        let saga = run.ready.saga;
        self.stage.see(|ledger| ledger.sagas.get(&saga).is_some_and(|course| course.is_stuck)).await
    }

    /// An operator looks at what was given up, and has it go on.
    async fn go_on(&self, run: &Arc<Run>) -> Option<Answer> {
        let Ready { saga, key, .. } = run.ready;
        if !matches!(run.failure, Failure::Step { wrong: Wrong::GivenUp, .. }) {
            run.complain("a compensation was given up".to_owned());
        }
        let stuck = self.stage.begin(run.ready.begun_by, key, run.ready.start.clone()).await;
        if !matches!(stuck, Answer::Ended(_, Ended::Stuck { .. })) {
            run.complain(format!("of what is stuck it was told {stuck:?}"));
        }
        let undo = self.stage.order(saga, key, Order::Compensate).await;
        if undo != Answer::Refused(Refusal::NoWayBack) {
            run.complain(format!("an order to undo what is stuck was answered {undo:?}"));
        }
        run.let_go_on();
        match self.stage.order(saga, key, Order::Retry).await {
            Answer::Accepted(_) => run.meets(),
            other => run.complain(format!("an order to retry what is stuck was answered {other:?}")),
        }
        self.ask_for(run).await
    }

    /// To what has ended, and to what never was, nothing can be ordered or told any more.
    async fn orders_after_the_end(&self, run: &Arc<Run>) -> Vec<String> {
        let Ready { saga, nobody, key, .. } = run.ready;
        let has_begun = self.stage.see(|ledger| ledger.sagas.contains_key(&saga)).await;
        let refusal = if has_begun { Refusal::SagaEnded } else { Refusal::NotFound };
        let orders = [Order::Retry, Order::Compensate].into_iter().flat_map(|order| {
            [(saga, refusal.clone()), (nobody, Refusal::NotFound)].map(|(saga, refusal)| async move {
                let answer = self.stage.order(saga, key, order).await;
                let of = format!("{order:?} of saga {saga} was answered {answer:?}");
                (answer != Answer::Refused(refusal)).then_some(of)
            })
        });
        let outcomes = run.ready.places().map(|at| async move {
            let answer = run.tell(&at, StepOutcome::Done { version: Some(1) }).await;
            let of = format!("the outcome of {at} was answered {answer:?} when all was over");
            (answer != Answer::Refused(Refusal::NotFound)).then_some(of)
        });
        let (orders, outcomes) = join(join_all(orders), join_all(outcomes)).await;
        orders.into_iter().chain(outcomes).flatten().collect()
    }

    /// When all is over nothing more happens, also if other owners take over and whatever waits is due.
    async fn rest(&self) -> Vec<String> {
        let before = (self.stage.see(Ledger::commits).await, self.meddler.sent());
        self.stage.crew.replace_all();
        if self.extent == Extent::Everything {
            sleep(REST).await;
        }
        let mut left = Vec::new();
        for partition in (0..self.stage.partitions).map(Partition) {
            let answer = self.stage.ask_about_nothing(partition).await;
            left.extend((answer != Answer::Refused(Refusal::NotFound)).then(|| format!("{answer:?} about nothing")));
        }
        let after = (self.stage.see(Ledger::commits).await, self.meddler.sent());
        if after != before {
            left.push(format!("when all was over commits and steps went from {before:?} to {after:?}"));
        }
        left
    }

    /// Everybody ends; the log is free.
    pub async fn end(self) {
        self.stage.crew.end().await;
    }
}
