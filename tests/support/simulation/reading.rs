//! The read side of a simulated node: the real read models and runners, which crash and stand still.

mod stored;

use super::nodes::Gate;
use super::{MemoryKeyring, SimulatedLog};
use commands::Clock;
use events::{PostId, SessionId, UserId};
use futures::FutureExt;
use journal::{Journal, Partition, Position, Rules};
use parking_lot::Mutex;
use projections::{Feed, Page, Posts, Projections, ProjectionsOptions, ReadModel, Sessions, Stop, Users};
use std::sync::Arc;
use std::time::Duration;
pub use stored::StoreFaults;
use stored::StoredModel;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a read waits for what it must see; long enough for any pause.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often operators look for parked keys at the end.
const RETRIES_MAX: usize = 200;

/// The read models of one node.
#[derive(Clone, Default)]
pub struct Models {
    users: Arc<Users>,
    /// Posts, comments and likes.
    pub posts: Arc<Posts>,
    sessions: Arc<Sessions>,
    feed: Arc<Feed>,
}

impl Models {
    fn all(&self, faults: Option<&StoreFaults>) -> Vec<Arc<dyn ReadModel>> {
        let all: Vec<Arc<dyn ReadModel>> =
            vec![self.users.clone(), self.posts.clone(), self.sessions.clone(), self.feed.clone()];
        match faults {
            Some(faults) => all.into_iter().map(|model| StoredModel::over(model, faults.clone())).collect(),
            None => all,
        }
    }

    /// All that can be read about these, as text: two equal texts are two equal read models.
    pub fn dump(&self, users: &[UserId], posts: &[PostId], sessions: &[SessionId]) -> Vec<String> {
        let page = || Page { limit: 10_000, after: None };
        let mut lines = vec![format!("{:?}", self.posts.latest(None, page()))];
        for user in users {
            lines.push(format!("{:?}", self.users.profile(*user)));
            lines.push(format!("{:?}", self.users.followers(*user, page())));
            lines.push(format!("{:?}", self.users.following(*user, page())));
            lines.push(format!("{:?}", self.feed.latest(*user, page())));
            lines.push(format!("{:?} {}", self.posts.latest(Some(*user), page()), self.posts.count_of(*user)));
        }
        for post in posts {
            lines.push(format!("{:?}", self.posts.post(*post)));
            lines.push(format!("{:?}", self.posts.comments(*post, page())));
            lines.push(format!("{:?}", self.posts.likes(*post, page())));
        }
        lines.extend(sessions.iter().map(|session| format!("{session} {:?}", self.sessions.state(*session))));
        lines
    }
}

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
    models: Models,
    projections: Arc<Projections>,
    running: Vec<Running>,
    /// Runners that were replaced while they stood still.
    former: Vec<Running>,
}

impl Reading {
    /// A read side that begins with nothing.
    pub fn start(log: SimulatedLog, keyring: Arc<MemoryKeyring>, clock: Clock, faults: Option<StoreFaults>) -> Self {
        let node = Self::run(&log, &keyring, &clock, faults.as_ref(), Models::default());
        Self { log, keyring, clock, faults, node: Arc::new(Mutex::new(node)), ends: Arc::default() }
    }

    fn run(
        log: &SimulatedLog,
        keyring: &Arc<MemoryKeyring>,
        clock: &Clock,
        faults: Option<&StoreFaults>,
        models: Models,
    ) -> Node {
        let (projections, runners) = Projections::new(ProjectionsOptions {
            journal: Arc::new(log.clone()),
            keyring: keyring.clone(),
            models: models.all(faults),
            clock: Arc::clone(clock),
            rules: Rules::default(),
        });
        let running = runners.into_iter().map(|runner| {
            let gate = Gate::default();
            let task = tokio::spawn(gate.run(runner.run(CancellationToken::new())));
            Running { gate, task }
        });
        Node { running: running.collect(), models, projections: Arc::new(projections), former: Vec::new() }
    }

    /// All runners are gone in the middle of what they did; others go on over the same models, or over empty ones.
    pub fn crash(&self, keep_models: bool) {
        let mut node = self.node.lock();
        node.running.iter().chain(&node.former).for_each(|runner| runner.task.abort());
        let models = if keep_models { node.models.clone() } else { Models::default() };
        *node = Self::run(&self.log, &self.keyring, &self.clock, self.faults.as_ref(), models);
    }

    /// All runners stand still; others take over, and when the former ones wake up they must change nothing.
    pub fn pause(&self, pause: Duration) {
        let mut node = self.node.lock();
        let until = Instant::now() + pause;
        node.running.iter().for_each(|runner| runner.gate.close_until(until));
        let mut next = Self::run(&self.log, &self.keyring, &self.clock, self.faults.as_ref(), node.models.clone());
        next.former = std::mem::take(&mut node.former);
        next.former.append(&mut node.running);
        *node = next;
    }

    /// Starts the runners again if one has stepped aside, as whoever supervises them would; notes any other end.
    fn tend(&self) {
        let mut node = self.node.lock();
        let mut stepped_aside = false;
        for runner in &mut node.running {
            match (&mut runner.task).now_or_never() {
                None => {}
                Some(Ok(Err(Stop::Fenced { .. }))) => stepped_aside = true,
                Some(other) => self.ends.lock().push(format!("a runner has ended by itself: {other:?}")),
            }
        }
        drop(node);
        if stepped_aside {
            self.crash(true);
        }
    }

    /// What a read sees that must see this position; `None` if it had to give up waiting.
    pub async fn see<T>(&self, model: &str, position: Position, look: impl Fn(&Models) -> T) -> Option<T> {
        let give_up = Instant::now() + WAIT_MAX;
        while Instant::now() < give_up {
            let (models, projections) = {
                let node = self.node.lock();
                (node.models.clone(), Arc::clone(&node.projections))
            };
            // Asked anew each time rather than waited for: whom a watch wakes first is chance, and not the seed's.
            match projections.wait_for(&[model], &[position], Instant::now()).await {
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
            let projections = Arc::clone(&self.node.lock().projections);
            let parked = projections.parked();
            if parked.is_empty() {
                return;
            }
            for parked in parked {
                // It may be rejected again, or its runner end in between; the next look shows it.
                let _ = projections.retry(parked.model, parked.key).await;
            }
            self.tend();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until everything is applied, then says what is wrong with the read models, if anything: they must be those
    /// of a fold without faults.
    pub async fn compare(&self, users: &[UserId], posts: &[PostId], sessions: &[SessionId]) -> Vec<String> {
        let ends = self.ends.lock().clone();
        if !ends.is_empty() {
            return ends;
        }
        let clean = Self::start(self.log.clone(), Arc::clone(&self.keyring), Arc::clone(&self.clock), None);
        let mut dumps = Vec::new();
        for reading in [self, &clean] {
            reading.retry_parked().await;
            for n in 0..self.log.partitions() {
                let offset = self.log.landed(Partition(n));
                let position = Position { partition: Partition(n), offset: offset.saturating_sub(1) };
                for model in ["users", "posts", "sessions", "feed"] {
                    if reading.see(model, position, |_| ()).await.is_none() {
                        return vec![format!("{model} never passed {position}")];
                    }
                }
            }
            reading.retry_parked().await;
            let (models, projections) = {
                let node = reading.node.lock();
                (node.models.clone(), Arc::clone(&node.projections))
            };
            if let Some(parked) = projections.parked().first() {
                return vec![format!("left parked: {parked:?}")];
            }
            dumps.push(models.dump(users, posts, sessions));
        }
        let differing = dumps[0].iter().zip(&dumps[1]).filter(|(live, clean)| live != clean);
        differing.map(|(live, clean)| format!("read: {live}\nbut a clean fold says: {clean}")).collect()
    }
}
