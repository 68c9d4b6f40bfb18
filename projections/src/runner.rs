//! The runner of one partition: reads the log once and feeds every read model from that one pass.
//!
//! It begins at the smallest of the models' checkpoints; each model is given what it has not applied yet, and stores its
//! checkpoint with the data. What does not answer is tried again; a commit that can never be applied parks its key for
//! that model (see [`parking`]); whatever shows that log and read models no longer fit together ends the runner.
//!
//! It may be dropped at any await: nothing is half applied.

mod parking;
mod replay;
mod shared;
mod spans;
#[cfg(test)]
mod tests;

use crate::backoff::Backoff;
use crate::board::{Board, RunnerState};
use crate::checkpoint::Checkpoint;
use crate::opener::Opener;
use crate::projections::ProjectionsOptions;
use crate::read_model::{Batch, Entry, ReadModel, Unavailable};
use events::{Keyring, KeyringError, Timestamp};
use journal::{DecodedCommit, Journal, JournalError, Offset, Partition, Reader, Rule, Rules, Tally};
use metrics::counter;
use replay::Replay;
pub use replay::RequestError;
pub(crate) use replay::{Discard, Request};
pub use shared::SharedRunner;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use traces::Traces;
use tracing::warn;

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The runner's limits.
pub mod limits {
    use std::time::Duration;

    /// Commits that are opened and applied in one go.
    pub const BATCH_MAX: usize = 512;
    /// Keys that are asked for at one time.
    pub const KEYS_FETCHING_MAX: usize = 32;
    /// The first wait before something that did not answer is tried again; it doubles.
    pub const RETRY_DELAY: Duration = Duration::from_millis(50);
    /// The longest such wait. The number of attempts has no limit: giving up would only add a restart to the wait, and
    /// health and lag show it.
    pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);
    /// Commits that wait behind parked keys of one read model in one partition. More is no poison but a fault of the
    /// program or its keys: the runner stops.
    pub const PARKED_MAX: usize = 100_000;
    /// Requests to retry or discard that wait for a partition.
    pub const REQUESTS_MAX: usize = 64;
    /// Records in which the age of the oldest unapplied commit is looked for.
    pub const OLDEST_RECORDS_MAX: usize = 64;
}

/// Why a runner ended for good.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The log is damaged, has diverged, or holds what this program does not know.
    #[error(transparent)]
    Log(#[from] JournalError),
    /// The keyring does not fit the log.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Another worker feeds the read model; this one steps aside.
    #[error("another worker feeds {model} in partition {partition}")]
    Fenced {
        /// Which read model.
        model: &'static str,
        /// In which partition.
        partition: Partition,
    },
    /// More than [`limits::PARKED_MAX`] commits wait behind parked keys.
    #[error("{model} has parked too many commits of partition {partition}; the last error was: {error}")]
    TooManyParked {
        /// Which read model.
        model: &'static str,
        /// In which partition.
        partition: Partition,
        /// Why a commit was parked last.
        error: String,
    },
    /// A read model does not keep to its contract.
    #[error("{model} rejected a commit of partition {partition} that it was not given")]
    Contract {
        /// Which read model.
        model: &'static str,
        /// In which partition.
        partition: Partition,
    },
}

/// The runner of one partition. Made by [`crate::Projections::new`].
pub struct Runner {
    partition: Partition,
    journal: Arc<dyn Journal>,
    keyring: Arc<dyn Keyring>,
    models: Vec<Arc<dyn ReadModel>>,
    clock: Clock,
    board: Arc<Board>,
    requests: mpsc::Receiver<Request>,
    /// `None` until the first pass.
    reader: Option<Reader>,
    /// What each model is known to have stored; the beginning until it was asked, before the first pass.
    places: Vec<Arc<Checkpoint>>,
    replays: VecDeque<Replay>,
    rules: Rules,
    traces: Traces,
}

impl Runner {
    pub(crate) fn new(partition: Partition, options: &ProjectionsOptions) -> Self {
        let ProjectionsOptions { journal, keyring, models, clock, rules } = options;
        let beginning =
            |model: &Arc<dyn ReadModel>| Arc::new(Checkpoint::genesis(model.generation(), journal.log(), partition));
        let (sender, requests) = mpsc::channel(limits::REQUESTS_MAX);
        let board = Arc::new(Board::new(partition, models.len(), sender, clock()));
        Self {
            partition,
            journal: Arc::clone(journal),
            keyring: Arc::clone(keyring),
            models: models.clone(),
            clock: Arc::clone(clock),
            board,
            requests,
            reader: None,
            places: models.iter().map(beginning).collect(),
            replays: VecDeque::new(),
            rules: *rules,
            traces: Traces::default(),
        }
    }

    /// The same, of which the spans go there.
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Which partition.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Applies what comes until it is told to stop, or cannot go on.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Stop> {
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            error = self.follow() => Err(error),
        };
        self.show(RunnerState::Stopped { error: end.as_ref().err().map(ToString::to_string) });
        end
    }

    /// Applies everything before `end` (and maybe some more) and shows each commit that it read to `observer` as well,
    /// so that another fold of the log can share the pass. Returns the place up to which the observer has seen all.
    ///
    /// Reading begins at the smallest checkpoint of the models: at the log's beginning if one of them is empty.
    /// May be dropped, to stop; then the runner is to be dropped too.
    pub async fn catch_up(
        &mut self,
        end: Offset,
        observer: &mut (dyn FnMut(&DecodedCommit) + Send),
    ) -> Result<journal::Checkpoint, Stop> {
        loop {
            let at = self.reader().await?.checkpoint();
            if at.next >= end {
                return Ok(at);
            }
            let at_end = self.pass(observer).await?;
            let next = self.reader().await?.next();
            if at_end && next < end {
                let what = format!("the log ends here, but it ended at {end} before");
                return Err(JournalError::Diverged { partition: self.partition, offset: next, what }.into());
            }
        }
    }

    /// Does not end but by an error.
    async fn follow(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.round().await {
                return stop;
            }
        }
    }

    async fn round(&mut self) -> Result<(), Stop> {
        self.pass(&mut |_| {}).await?;
        while let Ok(request) = self.requests.try_recv() {
            self.accept(request);
        }
        self.replay().await?;
        if self.replays.is_empty() {
            self.idle().await?;
        }
        Ok(())
    }

    /// Reads once and applies what was read. Returns whether that was the log's end.
    async fn pass(&mut self, observer: &mut (dyn FnMut(&DecodedCommit) + Send)) -> Result<bool, Stop> {
        let before = self.reader().await?.tally();
        let commits = self.read().await?;
        let reader = self.reader().await?;
        let (end, after) = (reader.checkpoint(), reader.tally());
        count(before, after);
        let mut rest = commits.as_slice();
        loop {
            let (batch, later) = rest.split_at(rest.len().min(limits::BATCH_MAX));
            // The last batch takes the void records and claims behind it along.
            let at = batch.last().filter(|_| !later.is_empty()).map_or(end, |last| last.after);
            self.feed(batch, at).await?;
            batch.iter().for_each(&mut *observer);
            rest = later;
            if rest.is_empty() {
                break;
            }
            // A long batch of the log must not keep others from running.
            tokio::task::yield_now().await;
        }
        self.board.note_read(end);
        let at_end = commits.is_empty();
        self.show(if at_end { RunnerState::Following } else { RunnerState::CatchingUp });
        Ok(at_end)
    }

    /// Brings every model to `at`.
    async fn feed(&mut self, commits: &[DecodedCommit], at: journal::Checkpoint) -> Result<(), Stop> {
        if self.places.is_empty() {
            return self.destroy_keys(commits).await;
        }
        if self.places.iter().all(|place| place.at.next >= at.next) {
            return Ok(());
        }
        let opener = self.opener(commits.iter().map(|decoded| &decoded.commit)).await?;
        for model in 0..self.models.len() {
            if self.places[model].at.next >= at.next {
                continue;
            }
            let from = self.places[model].at.next;
            let mut new = self.places[model].succeed(at);
            let mut entries = Vec::with_capacity(commits.len());
            for entry in commits.iter().map(Entry::from).filter(|entry| entry.position.offset >= from) {
                match new.parked.get_mut(&entry.key) {
                    Some(parked) if self.rules.keep(Rule::ParkedKeysWait) => parked.offsets.push(entry.position.offset),
                    _ => entries.push(entry),
                }
            }
            self.write(model, Batch { entries, opener: &opener }, new).await?;
        }
        Ok(())
    }

    /// Waits for something to do, a second at most; not at all if there is more to read. To read again at once would ask
    /// the log where it ends after every few records.
    async fn idle(&mut self) -> Result<(), Stop> {
        let reader = self.reader.as_ref().expect("opened by the pass before");
        let waited = tokio::select! {
            biased;
            Some(request) = self.requests.recv() => {
                self.accept(request);
                return Ok(());
            }
            waited = reader.wait() => waited,
        };
        match waited {
            Err(JournalError::Unavailable(error)) => self.back_off(&mut Backoff::default(), &error.to_string()).await,
            waited => waited?,
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<DecodedCommit>, Stop> {
        let mut backoff = Backoff::default();
        loop {
            match self.reader().await?.commits().await {
                Err(JournalError::Unavailable(error)) => self.back_off(&mut backoff, &error.to_string()).await,
                commits => return Ok(commits?),
            }
        }
    }

    /// Where there is no read model to feed, the log is read for what it says of keys.
    async fn destroy_keys(&self, commits: &[DecodedCommit]) -> Result<(), Stop> {
        let keys = Opener::destroyed(commits.iter().map(|decoded| &decoded.commit));
        let mut backoff = Backoff::default();
        loop {
            match Opener::destroy(&*self.keyring, keys.clone()).await {
                Err(KeyringError::Unavailable(error)) => self.back_off(&mut backoff, &error).await,
                destroyed => return Ok(destroyed?),
            }
        }
    }

    async fn opener(&self, commits: impl Iterator<Item = &events::Commit> + Clone) -> Result<Opener, Stop> {
        let mut backoff = Backoff::default();
        loop {
            match Opener::fetch(&*self.keyring, commits.clone()).await {
                Err(KeyringError::Unavailable(error)) => self.back_off(&mut backoff, &error).await,
                opener => return Ok(opener?),
            }
        }
    }

    /// The reader; at first use at the smallest checkpoint, once the log was seen to hold what each model has read.
    async fn reader(&mut self) -> Result<&mut Reader, Stop> {
        if self.reader.is_none() {
            self.load().await?;
            let mut smallest = self.resume(Checkpoint::genesis(0, self.journal.log(), self.partition).at).await?;
            for (index, place) in self.places.iter().enumerate() {
                let reader = self.resume(place.at).await?;
                if index == 0 || reader.next() < smallest.next() {
                    smallest = reader;
                }
            }
            self.reader = Some(smallest);
        }
        Ok(self.reader.as_mut().expect("made above"))
    }

    /// Asks every model what it has stored.
    async fn load(&mut self) -> Result<(), Stop> {
        for model in 0..self.models.len() {
            let Some(checkpoint) = self.checkpoint(model).await else {
                self.begin(model);
                continue;
            };
            // It was built anew since this runner was made: whoever goes on from there would write into another build.
            if checkpoint.generation != self.models[model].generation() {
                return Err(Stop::Fenced { model: self.models[model].name(), partition: self.partition });
            }
            self.note(model, Arc::new(checkpoint));
        }
        Ok(())
    }

    /// Of a model that has stored nothing, or nothing any more.
    fn begin(&mut self, model: usize) {
        let generation = self.models[model].generation();
        let beginning = Arc::new(Checkpoint::genesis(generation, self.journal.log(), self.partition));
        if self.board.stored(model).is_some() {
            self.board.store(model, Arc::clone(&beginning));
        }
        self.places[model] = beginning;
    }

    async fn checkpoint(&self, model: usize) -> Option<Checkpoint> {
        let mut backoff = Backoff::default();
        loop {
            match self.models[model].checkpoint(self.partition).await {
                Err(Unavailable(error)) => self.back_off(&mut backoff, &error).await,
                Ok(stored) => return stored,
            }
        }
    }

    async fn resume(&self, at: journal::Checkpoint) -> Result<Reader, Stop> {
        let mut backoff = Backoff::default();
        loop {
            match Reader::resume_by(self.rules, Arc::clone(&self.journal), self.partition, at).await {
                Err(JournalError::Unavailable(error)) => self.back_off(&mut backoff, &error.to_string()).await,
                reader => return Ok(reader?),
            }
        }
    }

    async fn back_off(&self, backoff: &mut Backoff, error: &str) {
        let chance = (self.clock)().0.unsigned_abs() ^ (u64::from(self.partition.0) << 32);
        let delay = backoff.next(chance);
        let attempts = backoff.attempts;
        counter!("tidings_projection_retries_total").increment(1);
        warn!(partition = self.partition.0, attempts, error, "partition {} waits: {error}", self.partition);
        self.show(RunnerState::Retrying { error: error.to_owned(), attempts });
        sleep(delay).await;
    }

    fn show(&self, state: RunnerState) {
        self.board.show(state, (self.clock)());
    }

    /// Notes what a model has stored.
    fn note(&mut self, model: usize, checkpoint: Arc<Checkpoint>) {
        self.board.store(model, Arc::clone(&checkpoint));
        self.places[model] = checkpoint;
    }
}

/// What was read of the log, on this node.
fn count(before: Tally, after: Tally) {
    for (kind, read) in [
        ("commit", after.commits - before.commits),
        ("claim", after.claims - before.claims),
        ("void", after.void - before.void),
    ] {
        if read > 0 {
            counter!("tidings_log_records_total", "kind" => kind).increment(read);
        }
    }
}

impl Drop for Runner {
    /// However it ends, also by a panic, nobody waits for it any longer.
    fn drop(&mut self) {
        if !matches!(self.board.health().state, RunnerState::Stopped { .. }) {
            let error = std::thread::panicking().then(|| "the runner panicked".to_owned());
            self.show(RunnerState::Stopped { error });
        }
        self.board.stop();
    }
}
