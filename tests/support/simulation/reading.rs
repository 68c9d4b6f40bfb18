//! The read side of a simulated node: the real read models and runners, which crash and stand still.

mod models;
mod stored;

use super::nodes::Gate;
use super::{MemoryKeyring, SimulatedLog};
use commands::Clock;
use events::UserId;
use futures::FutureExt;
use gateway::Footprint;
use journal::{Journal, JournalError, Partition, Position};
pub use models::{Models, Shown, Thing};
use parking_lot::Mutex;
use projections::{Projections, ProjectionsOptions, Stop};
use std::sync::Arc;
use std::time::Duration;
use stored::{Slot, StoredModel};
pub use stored::{StoreFaults, StoreRates};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a read waits for what it must see; long enough for any pause.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Former runners that go on beside the present ones.
const FORMER_MAX: usize = 24;
/// How often operators look for parked keys at the end.
const RETRIES_MAX: usize = 200;

/// A running runner.
struct Running {
    gate: Gate,
    task: JoinHandle<Result<(), Stop>>,
}

/// The read side; clones are the same one.
#[derive(Clone)]
pub struct Reading {
    log: SimulatedLog,
    keyring: Arc<MemoryKeyring>,
    clock: Clock,
    faults: Option<StoreFaults>,
    node: Arc<Mutex<Node>>,
    /// Ends of runners that should not have been.
    ends: Arc<Mutex<Vec<String>>>,
}

struct Node {
    generation: u64,
    models: Models,
    /// Where they are stored; the same places for every build.
    slots: Vec<Slot>,
    projections: Arc<Projections>,
    running: Vec<Running>,
    /// Runners that were replaced while they stood still.
    former: Vec<Running>,
}

impl Node {
    fn halt(&mut self) {
        self.running.iter().chain(&self.former).for_each(|runner| runner.task.abort());
    }
}

impl Reading {
    /// A read side that begins with nothing.
    pub fn start(log: SimulatedLog, keyring: Arc<MemoryKeyring>, clock: Clock, faults: Option<StoreFaults>) -> Self {
        let models = Models::of(0, &keyring);
        let slots = models.all().into_iter().map(|model| Arc::new(Mutex::new(model))).collect();
        let node = Self::run(&log, &keyring, &clock, faults.as_ref(), (0, models, slots));
        Self { log, keyring, clock, faults, node: Arc::new(Mutex::new(node)), ends: Arc::default() }
    }

    fn run(
        log: &SimulatedLog,
        keyring: &Arc<MemoryKeyring>,
        clock: &Clock,
        faults: Option<&StoreFaults>,
        (generation, models, slots): (u64, Models, Vec<Slot>),
    ) -> Node {
        let stored = |slot: &Slot| match faults {
            Some(faults) => StoredModel::over(Arc::clone(slot), faults.clone()),
            None => Arc::clone(&slot.lock()),
        };
        let (projections, runners) = Projections::new(ProjectionsOptions {
            journal: Arc::new(log.clone()),
            keyring: keyring.clone(),
            models: slots.iter().map(stored).collect(),
            clock: Arc::clone(clock),
            rules: faults.map(StoreFaults::rules).unwrap_or_default(),
        });
        let running = runners.into_iter().map(|runner| {
            let gate = Gate::default();
            let task = tokio::spawn(gate.run(runner.run(CancellationToken::new())));
            Running { gate, task }
        });
        let (running, projections) = (running.collect(), Arc::new(projections));
        Node { generation, models, slots, projections, running, former: Vec::new() }
    }

    /// All runners are gone in the middle of what they did; others go on from what is stored.
    pub fn crash(&self) {
        let mut node = self.node.lock();
        node.halt();
        *node = self.run_again(&node, node.generation);
    }

    /// All runners stand still; others take over, and when the former ones wake up they must change nothing.
    pub fn pause(&self, pause: Duration) {
        let generation = self.node.lock().generation;
        self.take_over(generation, pause);
    }

    /// The stores are emptied and filled anew by another build, while the workers of the one before stand still; when
    /// those wake up they must change nothing.
    pub fn rebuild(&self, pause: Duration) {
        let generation = self.node.lock().generation + 1;
        self.take_over(generation, pause);
    }

    fn take_over(&self, generation: u64, pause: Duration) {
        let mut node = self.node.lock();
        let until = Instant::now() + pause;
        node.running.iter().for_each(|runner| runner.gate.close_until(until));
        let mut next = self.run_again(&node, generation);
        next.former = std::mem::take(&mut node.former);
        next.former.append(&mut node.running);
        while next.former.len() > FORMER_MAX {
            next.former.remove(0).task.abort();
        }
        *node = next;
    }

    /// Runners over the same places; over empty models if the generation is another one.
    fn run_again(&self, node: &Node, generation: u64) -> Node {
        let (mut models, slots) = (node.models.clone(), node.slots.clone());
        if generation != node.generation {
            models = Models::of(generation, &self.keyring);
            models.all().into_iter().zip(&slots).for_each(|(model, slot)| *slot.lock() = model);
        }
        Self::run(&self.log, &self.keyring, &self.clock, self.faults.as_ref(), (generation, models, slots))
    }

    /// All runners are gone, and none goes on.
    pub fn halt(&self) {
        self.node.lock().halt();
    }

    /// Whether the runner of this partition has stopped because the log is not what it was. Asked for a while.
    pub async fn stops_as_diverged(&self, partition: Partition) -> bool {
        let give_up = Instant::now() + WAIT_MAX;
        while Instant::now() < give_up {
            let ended = {
                let mut node = self.node.lock();
                let runner = &mut node.running[partition.0 as usize];
                (&mut runner.task).now_or_never()
            };
            match ended {
                None => tokio::time::sleep(Duration::from_millis(50)).await,
                Some(Ok(Err(Stop::Log(JournalError::Diverged { .. })))) => return true,
                Some(_) => return false,
            }
        }
        false
    }

    /// Starts the runners again if one has stepped aside, as whoever supervises them would; notes any other end.
    fn tend(&self) {
        let mut node = self.node.lock();
        let mut stepped_aside = false;
        for runner in &mut node.running {
            match (&mut runner.task).now_or_never() {
                None => {}
                Some(Ok(Err(Stop::Fenced { .. }))) => stepped_aside = true,
                Some(other) => {
                    self.ends.lock().push(format!("a runner has ended by itself: {other:?}"));
                    stepped_aside = true;
                }
            }
        }
        drop(node);
        if stepped_aside {
            self.crash();
        }
    }

    /// The read models of the present build.
    pub fn models(&self) -> Models {
        self.node.lock().models.clone()
    }

    /// Where effects look for what is left of somebody, and how far that is.
    pub fn footprint(&self) -> (Arc<Projections>, Footprint) {
        let node = self.node.lock();
        (Arc::clone(&node.projections), node.models.footprint())
    }

    /// What those do who look after it: runners that have stepped aside are started again, and parked keys tried again.
    pub async fn look_after(&self) {
        self.tend();
        let projections = Arc::clone(&self.node.lock().projections);
        for parked in projections.parked() {
            // It may be rejected again, or its runner end in between; the next look shows it.
            let _ = projections.retry(parked.model, parked.key).await;
        }
    }

    /// What a read of this model sees that must see this position; `None` if it had to give up waiting.
    pub async fn see<T>(&self, model: &str, position: Position, look: impl Fn(&Models) -> T) -> Option<T> {
        self.see_in(&[model], position, look).await
    }

    /// The same of a read of all models.
    pub async fn see_all<T>(&self, position: Position, look: impl Fn(&Models) -> T) -> Option<T> {
        self.see_in(&Models::NAMES, position, look).await
    }

    async fn see_in<T>(&self, names: &[&str], position: Position, look: impl Fn(&Models) -> T) -> Option<T> {
        let give_up = Instant::now() + WAIT_MAX;
        while Instant::now() < give_up {
            let (models, projections) = {
                let node = self.node.lock();
                (node.models.clone(), Arc::clone(&node.projections))
            };
            // Asked anew each time rather than waited for: whom a watch wakes first is chance, and not the seed's.
            match projections.wait_for(names, &[position], Instant::now()).await {
                Ok(()) => return Some(look(&models)),
                Err(lag) => {
                    for parked in lag.parked {
                        let _ = projections.retry(parked.model, parked.key).await;
                    }
                }
            }
            self.tend();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }

    /// What operators do: every parked key is tried again until none is left, or they give up.
    async fn retry_parked(&self) {
        for _ in 0..RETRIES_MAX {
            self.look_after().await;
            if self.parked().is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until everything is applied, then says what is wrong with the read models, if anything: they must be those
    /// of a fold without faults, and show nothing of the gone.
    pub async fn compare(&self, of: &Shown, gone: &[UserId]) -> Vec<String> {
        let mut wrong = self.ends.lock().clone();
        wrong.extend(self.faults.iter().flat_map(StoreFaults::violations));
        if !wrong.is_empty() {
            return wrong;
        }
        let clean = Self::start(self.log.clone(), Arc::clone(&self.keyring), Arc::clone(&self.clock), None);
        let (live, clean) = match (self.whole().await, clean.whole().await) {
            (Ok(live), Ok(clean)) => (live, clean),
            (Err(behind), _) | (_, Err(behind)) => return vec![behind],
        };
        wrong.extend(gone.iter().flat_map(|user| live.traces_of(*user, of)));
        let differing = |(live, clean): (&String, &String)| {
            (live != clean).then(|| format!("read: {live}\nbut a clean fold says: {clean}"))
        };
        wrong.extend(live.as_text(of).iter().zip(&clean.as_text(of)).filter_map(differing));
        wrong.extend(live.sagas_as_text().iter().zip(&clean.sagas_as_text()).filter_map(differing));
        wrong
    }

    /// The read models once everything is applied, or what keeps them from it.
    async fn whole(&self) -> Result<Models, String> {
        self.retry_parked().await;
        for n in 0..self.log.partitions() {
            let offset = self.log.landed(Partition(n));
            let position = Position { partition: Partition(n), offset: offset.saturating_sub(1) };
            if self.see_all(position, |_| ()).await.is_none() {
                return Err(format!("not every read model has ever passed {position}"));
            }
        }
        self.retry_parked().await;
        self.parked().map(|()| self.models())
    }

    /// Whether nothing is parked, or what is. Runners that have just begun do not know it yet.
    fn parked(&self) -> Result<(), String> {
        let projections = &self.node.lock().projections;
        let known = projections.passed().len();
        match projections.parked().first() {
            Some(parked) => Err(format!("left parked: {parked:?}")),
            None if known < self.log.partitions() as usize => Err(format!("only {known} partitions are known")),
            None => Ok(()),
        }
    }
}
