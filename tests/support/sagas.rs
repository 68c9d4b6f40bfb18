//! The saga kit: every saga with every step going wrong in every way, over any log. After each run the saga has ended,
//! complete or undone as it must be, and nothing of it is left.
//!
//! All runs share a log and its owners, each with people and posts of its own, so that the kit knows no implementation.

pub mod meddler;
pub mod scenario;
mod table;

use crate::simulation::nodes::{Cluster, Node};
use commands::{Account, Answer, Request, SagaCommand, State, Transport};
use events::{CommandId, Digest, Event, Key, SagaData, SagaEvent, SagaId, Step, UserId};
use journal::{Partition, Reader, partition_of};
use meddler::{Meddler, Plan, Wrong};
use scenario::{Ready, Scenario, registration_data, uuid};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
pub use table::Table;
use tokio::time::{Instant, sleep};

/// How long a saga may take to end: longer than all attempts of a step that does not work.
const ENDED_WITHIN: Duration = Duration::from_secs(120);
/// How often the log is looked at while a saga is under way.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// Which owners die, or are doubled, when so many records of the run have landed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Blow {
    /// That of the saga's own key.
    Owner(u64),
    /// All others.
    Targets(u64),
    /// A second owner of the saga's own key is started beside it.
    SecondOwner(u64),
}

/// What a run of the kit does.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// What goes wrong with a step.
    pub step: Option<(Step, bool, Wrong)>,
    /// What goes wrong with an owner.
    pub blow: Option<Blow>,
}

/// A log with owners of all partitions, which can be killed, and a look at what they have written.
pub struct Stand {
    cluster: Cluster,
    meddler: Meddler,
    nodes: Vec<Node>,
    readers: Vec<(State, Reader)>,
    /// Of the present run, by the event's name.
    happened: BTreeMap<SagaId, BTreeMap<&'static str, usize>>,
    asked: u128,
}

/// What came of a run.
pub struct Outcome {
    /// Whether what should go wrong did.
    pub met: bool,
    /// Whether it was completed.
    pub completed: bool,
    /// What is left that should not be.
    pub leftovers: Vec<String>,
}

impl Stand {
    /// Over an empty log.
    pub async fn new(mut cluster: Cluster) -> Self {
        let meddler = Meddler::new(Arc::new(cluster.network.clone()) as Arc<dyn Transport>);
        cluster.meddler = Some(Arc::new(meddler.clone()));
        cluster.effects = Arc::new(meddler.clone());
        let nodes = (0..cluster.journal.partitions()).map(|n| cluster.start(Partition(n))).collect();
        let mut readers = Vec::new();
        for n in 0..cluster.journal.partitions() {
            let reader = Reader::from_start(Arc::clone(&cluster.journal), Partition(n)).await.expect("a sound log");
            readers.push((State::default(), reader));
        }
        Self { cluster, meddler, nodes, readers, happened: BTreeMap::new(), asked: 0 }
    }

    /// Runs a scenario with one thing going wrong.
    pub async fn run(&mut self, scenario: &Scenario, failure: &Failure, n: u128) -> Outcome {
        let Ready { saga, key, user, start } = scenario.prepare(self, n).await;
        self.look().await;
        let step = failure.step.clone();
        let plan = step.map(|(step, compensation, wrong)| Plan { saga, step, compensation, wrong });
        self.meddler.plan(plan);
        let router = self.cluster.router();
        let base = self.records().await;
        let request = self.request(key, start.clone());
        let begun = tokio::spawn({
            let router = router.clone();
            async move { router.submit(request).await }
        });
        let met_blow = self.strike(failure.blow, key, base, saga).await;
        let begun = begun.await.expect("no panic");
        if begun == Answer::Unknown {
            let again = self.request(key, start);
            router.submit(again).await;
        }
        let ended = self.until_ended(saga).await;
        let met = failure.step.is_none() && met_blow || failure.step.is_some() && self.meddler.has_happened();
        self.meddler.deliver_late().await;
        self.look().await;
        self.meddler.plan(None);
        let completed = self.count(saga, "saga.completed") == 1;
        let mut leftovers = if ended { Vec::new() } else { vec![format!("saga {saga} has not ended")] };
        leftovers.extend(self.left_of(scenario, failure, saga, user, completed));
        Outcome { met, completed, leftovers }
    }

    /// What is there that should not be, or is not there that should.
    fn left_of(
        &self,
        scenario: &Scenario,
        failure: &Failure,
        saga: SagaId,
        user: UserId,
        completed: bool,
    ) -> Vec<String> {
        let mut left = Vec::new();
        let refused = matches!(
            failure.step,
            Some((_, false, Wrong::Refused | Wrong::Overtaken | Wrong::Fails(8..) | Wrong::AnswersLost(8..)))
        );
        let can_undo = |step: &Step| scenario.steps.iter().any(|(it, can)| it == step && *can);
        let undone = !scenario.undone.is_empty() || refused && failure.step.as_ref().is_some_and(|it| can_undo(&it.0));
        if completed == undone {
            left.push(format!("it ended {}", if completed { "complete" } else { "undone" }));
        }
        let (events, claims) =
            if completed { (&scenario.events.0, scenario.claims.0) } else { (&scenario.events.1, scenario.claims.1) };
        for event in events {
            let times = self.count(saga, event);
            if times != 1 {
                left.push(format!("{event} {times} times"));
            }
        }
        let held = self.readers.iter().flat_map(|(state, _)| state.held_claims()).filter(|it| *it == user).count();
        if held != claims {
            left.push(format!("{held} claims rather than {claims}"));
        }
        let drafts: usize = self.readers.iter().map(|(state, _)| state.drafts()).sum();
        if drafts > 0 {
            left.push(format!("{drafts} places in feeds"));
        }
        let open: usize = self.readers.iter().map(|(state, _)| state.open_sagas().count()).sum();
        if open > 0 {
            left.push(format!("{open} open sagas"));
        }
        let key_is_gone = self.count(saga, "user.key_destroyed") == 1;
        if key_is_gone != (self.meddler.destroyed().contains(&user) && key_is_gone) {
            left.push("a key that is said to be destroyed".to_owned());
        }
        left
    }

    fn count(&self, saga: SagaId, event: &str) -> usize {
        self.happened.get(&saga).and_then(|events| events.get(event)).copied().unwrap_or_default()
    }

    /// Waits until so many records of the run have landed, and strikes; returns whether it came to that before the end.
    async fn strike(&mut self, blow: Option<Blow>, key: Key, base: u64, saga: SagaId) -> bool {
        let (Some(blow), own) = (blow, partition_of(&key, self.cluster.journal.partitions())) else { return true };
        let (Blow::Owner(after) | Blow::Targets(after) | Blow::SecondOwner(after)) = blow;
        let give_up = Instant::now() + ENDED_WITHIN;
        while self.records().await < base + after {
            self.look().await;
            if self.has_ended(saga) || Instant::now() > give_up {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
        for node in &mut self.nodes {
            let strikes = match blow {
                Blow::Owner(_) => node.partition == own,
                Blow::Targets(_) => node.partition != own,
                Blow::SecondOwner(_) => false,
            };
            if strikes {
                node.task.abort();
                *node = self.cluster.start(node.partition);
            }
        }
        if let Blow::SecondOwner(_) = blow {
            let second = self.cluster.start(own);
            self.nodes.push(second);
        }
        true
    }

    async fn until_ended(&mut self, saga: SagaId) -> bool {
        let give_up = Instant::now() + ENDED_WITHIN;
        while Instant::now() < give_up {
            self.look().await;
            // What was begun twice, and what is told to a saga that has ended, is done with as well.
            if self.has_ended(saga) && self.readers.iter().all(|(state, _)| state.open_sagas().next().is_none()) {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
    }

    fn has_ended(&self, saga: SagaId) -> bool {
        self.count(saga, "saga.completed") + self.count(saga, "saga.compensated") > 0
    }

    /// Folds what has landed since the last look.
    pub async fn look(&mut self) {
        for (state, reader) in &mut self.readers {
            loop {
                let commits = reader.commits().await.expect("a sound log");
                if commits.is_empty() {
                    break;
                }
                for decoded in commits {
                    state.apply(&decoded.key, decoded.position, &decoded.commit);
                    let saga = decoded.commit.events.iter().find_map(|event| match event {
                        Event::Saga(event) => Some(SagaEvent::saga(event)),
                        _ => None,
                    });
                    let Some(saga) = saga else { continue };
                    for event in &decoded.commit.events {
                        *self.happened.entry(saga).or_default().entry(event.wire_name().0).or_default() += 1;
                    }
                }
            }
        }
    }

    async fn records(&self) -> u64 {
        let mut records = 0;
        for n in 0..self.cluster.journal.partitions() {
            records += self.cluster.journal.end(Partition(n)).await.expect("it answers");
        }
        records
    }

    fn request(&mut self, key: Key, command: SagaCommand) -> Request {
        self.asked += 1;
        let id = CommandId(uuid(self.asked, 100));
        Request::new(id, key, command, (self.cluster.clock)(), Instant::now() + Duration::from_secs(5))
    }

    /// Has a saga carried out to its end.
    pub async fn run_saga(&mut self, saga: SagaId, key: Key, data: SagaData, with: Value) {
        for _ in 0..10 {
            let request = self.request(key, SagaCommand::Start { saga, data: data.clone(), with: with.clone() });
            self.cluster.router().submit(request).await;
            if self.until_ended(saga).await {
                return;
            }
        }
        panic!("saga {saga} does not end");
    }

    /// Registers somebody.
    pub async fn register(&mut self, n: u128, user: UserId, email: Digest, username: Digest) {
        let saga = SagaId(uuid(n, 1_000 + (user.0.as_u128() & 0xFF)));
        self.run_saga(saga, Key::User(user), registration_data(user, email, username), Value::Null).await;
    }

    /// An account.
    pub async fn account(&mut self, user: UserId) -> Account {
        self.look().await;
        let mut accounts = self.readers.iter().filter_map(|(state, _)| state.user(user).active().copied());
        accounts.next().expect("it was registered")
    }
}

/// Which failures a kit tries.
#[derive(Clone, Copy)]
pub struct Extent {
    /// Time costs nothing: also those that take minutes.
    pub at_length: bool,
    /// Owners are killed after every record rather than after every second one.
    pub every_record: bool,
}

/// Every failure of a scenario.
pub fn failures(scenario: &Scenario, extent: Extent) -> Vec<Failure> {
    let late = if extent.at_length { Duration::from_secs(7) } else { Duration::from_millis(60) };
    let mut wrongs =
        vec![Wrong::Twice, Wrong::Fails(2), Wrong::AnswersLost(1), Wrong::AnswerLate(late), Wrong::Refused];
    if extent.at_length {
        wrongs.extend([Wrong::Fails(9), Wrong::AnswersLost(9)]);
    }
    let mut all = vec![Failure::default()];
    let of = |step: &Step, compensation, wrong| {
        let step = Some((step.clone(), compensation, wrong));
        Failure { step, blow: None }
    };
    for (step, can_undo) in &scenario.steps {
        all.extend(wrongs.iter().map(|wrong| of(step, false, *wrong)));
        if *can_undo {
            all.push(of(step, false, Wrong::Overtaken));
        }
    }
    for step in &scenario.undone {
        all.extend(wrongs.iter().map(|wrong| of(step, true, *wrong)));
    }
    let records = 2 * scenario.steps.len() as u64 + 2 * scenario.undone.len() as u64 + 1;
    let every = if extent.every_record { 1 } else { 2 };
    for after in (1..=records).step_by(every) {
        for blow in [Blow::Owner(after), Blow::Targets(after), Blow::SecondOwner(after)] {
            all.push(Failure { step: None, blow: Some(blow) });
        }
    }
    all
}

/// Runs every failure of every scenario.
pub async fn run_all(cluster: Cluster, extent: Extent) -> Table {
    let mut stand = Stand::new(cluster).await;
    let mut table = Table::default();
    let mut n = 1;
    for scenario in scenario::all() {
        for failure in failures(&scenario, extent) {
            let outcome = stand.run(&scenario, &failure, n).await;
            table.note(&scenario, &failure, outcome);
            n += 1;
        }
    }
    table
}
