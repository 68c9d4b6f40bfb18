//! All read models of a node with their runners, as the rest of the program sees them: how far they are, what is parked,
//! and waiting for a position.

use crate::board::{Board, Health, Progress};
use crate::checkpoint::{Checkpoint, Parked};
use crate::read_model::ReadModel;
use crate::runner::{Clock, Discard, Request, RequestError, Runner, SharedRunner, Stop, limits};
use events::{Commit, Key, Keyring, Timestamp};
use futures::future::try_join_all;
use journal::{Journal, JournalError, Kind, Offset, Partition, Position, Rule, Rules, partition_of};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// What projections are made of.
#[derive(Clone)]
pub struct ProjectionsOptions {
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// The keys of people.
    pub keyring: Arc<dyn Keyring>,
    /// Every read model that is fed; no two have one name.
    pub models: Vec<Arc<dyn ReadModel>>,
    /// The wall clock.
    pub clock: Clock,
    /// Which rules are kept: all of them, outside tests.
    pub rules: Rules,
}

/// The read models and what their runners show.
pub struct Projections {
    journal: Arc<dyn Journal>,
    /// This node's own read models, and those that it shares with others, by server.
    groups: Vec<Group>,
    clock: Clock,
    rules: Rules,
}

/// Read models that are fed in one pass.
struct Group {
    /// In the order of registration.
    names: Vec<&'static str>,
    /// By partition.
    boards: Vec<Arc<Board>>,
}

/// A read model in a partition.
struct Place<'a> {
    board: &'a Board,
    /// Its number on the board.
    model: usize,
}

/// How far a read model is behind in a partition.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelLag {
    /// Which read model.
    pub model: &'static str,
    /// In which partition.
    pub partition: Partition,
    /// The first offset that it has not passed.
    pub next: Offset,
    /// The log's end.
    pub end: Offset,
    /// How many records it has not passed.
    pub records: u64,
    /// How many commits wait behind parked keys.
    pub parked: usize,
    /// The age of the oldest commit that is not applied, parked ones included; `None` if there is none, or none whose
    /// time can be read.
    pub oldest: Option<Duration>,
}

impl ModelLag {
    /// Whether nothing is missing from the read model.
    pub fn is_complete(&self) -> bool {
        self.records == 0 && self.parked == 0
    }
}

/// A key that stopped in a read model.
#[derive(Clone, PartialEq, Debug)]
pub struct ParkedKey {
    /// Which read model.
    pub model: &'static str,
    /// Which key.
    pub key: Key,
    /// The commit that failed.
    pub position: Position,
    /// Why it failed.
    pub error: String,
    /// When it was committed.
    pub since: Timestamp,
    /// How many commits wait, with the one that failed.
    pub commits: usize,
}

/// Why positions were not passed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub struct Lag {
    /// What was not passed in time.
    pub behind: Vec<Behind>,
    /// What was passed, but waits behind a parked key and is not in the read model.
    pub parked: Vec<ParkedKey>,
}

/// A read model that has not passed a position.
#[derive(Clone, PartialEq, Debug)]
pub struct Behind {
    /// Which read model.
    pub model: String,
    /// The position that was waited for.
    pub position: Position,
    /// How far the read model is.
    pub progress: Progress,
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Behind { model, position, progress } in &self.behind {
            write!(f, "{model} has not passed {position} but is at {}; ", progress.next)?;
        }
        for ParkedKey { model, key, position, .. } in &self.parked {
            write!(f, "{model} has parked {key} at {position}; ")?;
        }
        f.write_str("the answer may be stale")
    }
}

/// Runs all runners. Each end is reported with its partition; a panic comes as the set's error.
pub fn spawn(runners: Vec<Runner>, stop: &CancellationToken) -> JoinSet<(Partition, Result<(), Stop>)> {
    let mut running = JoinSet::new();
    for runner in runners {
        let stop = stop.clone();
        running.spawn(async move { (runner.partition(), runner.run(stop).await) });
    }
    running
}

impl Projections {
    /// The projections and the runner of each partition, by partition, which are still to be run.
    pub fn new(options: ProjectionsOptions) -> (Self, Vec<Runner>) {
        let runners = partitions(&options).map(|partition| Runner::new(partition, &options)).collect::<Vec<_>>();
        let group = Group::of(&options, runners.iter().map(Runner::board));
        let ProjectionsOptions { journal, clock, rules, .. } = options;
        (Self { journal, groups: vec![group], clock, rules }, runners)
    }

    /// The same with read models that all nodes share beside those of this node, and a runner for each partition of each
    /// server: those that are on one server are fed in one pass, and none waits for another server. No two of all have one
    /// name.
    pub fn with_shared(
        options: ProjectionsOptions,
        servers: Vec<Vec<Arc<dyn ReadModel>>>,
    ) -> (Self, Vec<Runner>, Vec<SharedRunner>) {
        let (mut groups, mut all) = (Vec::new(), Vec::new());
        for models in servers.into_iter().filter(|models| !models.is_empty()) {
            let of_all = ProjectionsOptions { models, ..options.clone() };
            let shared = partitions(&of_all).map(|partition| SharedRunner::new(partition, &of_all)).collect::<Vec<_>>();
            groups.push(Group::of(&of_all, shared.iter().map(SharedRunner::board)));
            all.extend(shared);
        }
        let (mut projections, runners) = Self::new(options);
        projections.groups.extend(groups);
        (projections, runners, all)
    }

    /// The names of all read models.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.groups.iter().flat_map(|group| &group.names).copied()
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.journal.partitions()).map(Partition)
    }

    /// What a read model is known to have stored of a partition.
    pub(crate) fn stored(&self, model: &str, partition: Partition) -> Option<Arc<Checkpoint>> {
        let Place { board, model } = self.place(model, partition)?;
        board.stored(model)
    }

    pub(crate) fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// How far a read model is in a partition, as it changes; `None` if there is no such read model or partition.
    pub fn progress(&self, model: &str, partition: Partition) -> Option<watch::Receiver<Progress>> {
        let Place { board, model } = self.place(model, partition)?;
        Some(board.watch(model))
    }

    /// Waits until each of the read models has passed each of the positions, at most until the deadline.
    ///
    /// Passed means that its checkpoint lies behind the position. An error says who is behind, or which parked key
    /// keeps a passed position out of the read model; for those, and for runners that have ended, it does not wait.
    pub async fn wait_for(&self, models: &[&str], positions: &[Position], deadline: Instant) -> Result<(), Lag> {
        let mut lag = Lag { behind: Vec::new(), parked: Vec::new() };
        if !self.rules.keep(Rule::WaitForPositions) {
            return Ok(());
        }
        for model in models {
            for position in positions {
                let progress = self.pass(model, *position, deadline).await;
                if progress.next <= position.offset {
                    lag.behind.push(Behind { model: (*model).to_owned(), position: *position, progress });
                } else if self.rules.keep(Rule::ParkedIsNotPassed) {
                    lag.parked.extend(self.parked_at(model, *position));
                }
            }
        }
        if lag.behind.is_empty() && lag.parked.is_empty() { Ok(()) } else { Err(lag) }
    }

    /// How far the read model is once it has passed the position, stopped, or the deadline has come.
    async fn pass(&self, model: &str, position: Position, deadline: Instant) -> Progress {
        let Some(Place { board, model }) = self.place(model, position.partition) else {
            return Progress { next: 0, stopped: true };
        };
        let now = board.progress(model);
        if now.next > position.offset {
            return now;
        }
        let mut progress = board.watch(model);
        let passed = progress.wait_for(|progress| progress.stopped || progress.next > position.offset);
        let _ = timeout_at(deadline, passed).await;
        *progress.borrow()
    }

    /// The parked key behind which a position waits.
    fn parked_at(&self, model: &str, position: Position) -> Option<ParkedKey> {
        let model = self.names().find(|name| *name == model)?;
        let stored = self.stored(model, position.partition)?;
        let waits = |offsets: &[Offset]| offsets.binary_search(&position.offset).is_ok();
        let (key, parked) = stored.parked.iter().find(|(_, parked)| waits(&parked.offsets))?;
        Some(ParkedKey::of(model, position.partition, *key, parked))
    }

    /// The log's end in every partition, for [`Self::is_caught_up`].
    pub async fn ends(&self) -> Result<BTreeMap<Partition, Offset>, JournalError> {
        let mut ends = BTreeMap::new();
        for n in 0..self.journal.partitions() {
            ends.insert(Partition(n), self.journal.end(Partition(n)).await?);
        }
        Ok(ends)
    }

    /// Whether every read model has passed all that lies before these ends.
    pub fn is_caught_up(&self, ends: &BTreeMap<Partition, Offset>) -> bool {
        let has_passed = |model: &str, partition: Partition, end: Offset| {
            self.place(model, partition).is_some_and(|Place { board, model }| board.progress(model).next >= end)
        };
        ends.iter().all(|(partition, end)| self.names().all(|model| has_passed(model, *partition, *end)))
    }

    /// The place in each partition up to which this node has read the log for itself, and which every read model of its own
    /// has passed. That of shared ones is what a server says: no reader here need have seen that the log is as it says.
    pub fn passed(&self) -> BTreeMap<Partition, journal::Checkpoint> {
        let smallest = |partition: Partition| {
            let own = self.groups.first()?;
            let read = own.boards.get(usize::try_from(partition.0).ok()?)?.read();
            let stored = own.names.iter().map(|model| self.stored(model, partition).map(|stored| stored.at));
            // A model without a checkpoint has passed nothing.
            stored.chain([read]).collect::<Option<Vec<_>>>()?.into_iter().min_by_key(|at| at.next)
        };
        self.partitions().filter_map(|partition| Some((partition, smallest(partition)?))).collect()
    }

    /// How far each read model is behind in each partition. Asks the log itself, so it is true also of a runner that
    /// hangs or has ended.
    pub async fn lag(&self) -> Result<Vec<ModelLag>, JournalError> {
        let mut lags = Vec::new();
        let ends = try_join_all(self.partitions().map(|partition| self.journal.end(partition))).await?;
        for (partition, end) in self.partitions().zip(ends) {
            let mut times = BTreeMap::new();
            for name in self.names() {
                let Some(Place { board, model }) = self.place(name, partition) else { continue };
                let next = board.progress(model).next;
                let stored = board.stored(model);
                let parked = || stored.iter().flat_map(|stored| stored.parked.values());
                if next < end && !times.contains_key(&next) {
                    times.insert(next, self.time_of_next(partition, next).await?);
                }
                let unread = times.get(&next).copied().flatten();
                let oldest = parked().map(|parked| parked.since).chain(unread).min();
                lags.push(ModelLag {
                    model: name,
                    partition,
                    next,
                    end,
                    records: end.saturating_sub(next),
                    parked: parked().map(|parked| parked.offsets.len()).sum(),
                    oldest: oldest.map(|oldest| (self.clock)().since(oldest)),
                });
            }
        }
        Ok(lags)
    }

    /// When the first commit from there on was made, if it is near. Void records are not told apart: they are rare, and
    /// their time is as good as that of their neighbours.
    async fn time_of_next(&self, partition: Partition, next: Offset) -> Result<Option<Timestamp>, JournalError> {
        let records = self.journal.read(partition, next, limits::OLDEST_RECORDS_MAX).await?;
        let commit = |record: &journal::Record| Commit::decode(&record.draft.value).ok();
        Ok(records.iter().filter(|record| record.draft.kind == Kind::Commit).find_map(commit).map(|commit| commit.time))
    }

    /// What each runner of this node's own read models is doing, by partition.
    pub fn health(&self) -> Vec<Health> {
        self.groups.first().into_iter().flat_map(Group::health).collect()
    }

    /// The same of those of shared read models; empty if there are none.
    pub fn shared_health(&self) -> Vec<Health> {
        self.groups.iter().skip(1).flat_map(Group::health).collect()
    }

    /// How many keys have stopped, by read model.
    pub fn parked_keys(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let keys = |model, partition| self.stored(model, partition).map_or(0, |stored| stored.parked.len());
        self.names().map(move |model| (model, self.partitions().map(|partition| keys(model, partition)).sum()))
    }

    /// Every key that stopped, by read model, partition and key.
    pub fn parked(&self) -> Vec<ParkedKey> {
        let mut all = Vec::new();
        for model in self.names() {
            for partition in self.partitions() {
                let Some(stored) = self.stored(model, partition) else { continue };
                all.extend(stored.parked.iter().map(|(key, parked)| ParkedKey::of(model, partition, *key, parked)));
            }
        }
        all
    }

    /// Has the key's queue applied again, in order. Returns when it is empty, or at what fails again.
    pub async fn retry(&self, model: &str, key: Key) -> Result<(), RequestError> {
        self.request(model, key, None).await
    }

    /// Gives up the commit at `offset`, which is the one that failed, and has the rest of the key's queue applied.
    ///
    /// It names the commit so that asking twice discards one. The reason is logged.
    pub async fn discard(
        &self,
        model: &str,
        key: Key,
        offset: Offset,
        reason: impl Into<String>,
    ) -> Result<(), RequestError> {
        self.request(model, key, Some(Discard { offset, reason: reason.into() })).await
    }

    async fn request(&self, model: &str, key: Key, discard: Option<Discard>) -> Result<(), RequestError> {
        let partition = partition_of(&key, self.journal.partitions());
        let Place { board, model } = self.place(model, partition).ok_or(RequestError::NotParked)?;
        let (reply, answer) = oneshot::channel();
        board.requests.try_send(Request { model, key, discard, reply }).map_err(|error| match error {
            TrySendError::Full(_) => RequestError::Busy,
            TrySendError::Closed(_) => RequestError::Stopped,
        })?;
        answer.await.unwrap_or(Err(RequestError::Stopped))
    }

    fn place(&self, model: &str, partition: Partition) -> Option<Place<'_>> {
        let mut groups = self.groups.iter();
        groups.find_map(|group| {
            let model = group.names.iter().position(|name| *name == model)?;
            let board = group.boards.get(usize::try_from(partition.0).ok()?)?;
            Some(Place { board, model })
        })
    }
}

impl Group {
    fn of(options: &ProjectionsOptions, boards: impl Iterator<Item = Arc<Board>>) -> Self {
        Self { names: options.models.iter().map(|model| model.name()).collect(), boards: boards.collect() }
    }

    fn health(&self) -> impl Iterator<Item = Health> {
        self.boards.iter().map(|board| board.health())
    }
}

fn partitions(options: &ProjectionsOptions) -> impl Iterator<Item = Partition> + use<> {
    (0..options.journal.partitions()).map(Partition)
}

impl ParkedKey {
    pub(crate) fn of(model: &'static str, partition: Partition, key: Key, parked: &Parked) -> Self {
        let Parked { error, since, offsets } = parked;
        let position = Position { partition, offset: offsets.first().copied().unwrap_or_default() };
        Self { model, key, position, error: error.clone(), since: *since, commits: offsets.len() }
    }
}
