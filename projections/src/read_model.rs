//! What a runner asks of a read model, as a specification.

use crate::checkpoint::Checkpoint;
use crate::opener::Opener;
use async_trait::async_trait;
use events::{Commit, Event, Key, SealError, Timestamp};
use journal::{DecodedCommit, Partition, Position};

/// Data that is built from the log, with its checkpoints; it may live in a server.
///
/// **Atomic.** Data and checkpoint change together: a reader, and a runner after a crash, sees either all of a batch and
/// its checkpoint or nothing of either.
///
/// **Fenced.** A batch is applied only if the stored checkpoint [is](Checkpoint::is_same) the expected one. Several
/// workers may call at any time, also one that was paused for long: at most one of those that expect the same
/// checkpoint succeeds.
///
/// **Order.** Commits of one key come in the order of the log and each of them once, as far as the checkpoint is
/// durable. Between keys there is no order: changes must commute or be guarded.
///
/// **Interrupted.** A call may be dropped while it waits. Then all of it takes effect or nothing, as if its answer had
/// been lost.
#[async_trait]
pub trait ReadModel: Send + Sync {
    /// Stable, for operators, metrics and waits.
    fn name(&self) -> &'static str;

    /// The server that it is in, by OpenTelemetry's name for it; `None` if it is in this process.
    fn system(&self) -> Option<&'static str> {
        None
    }

    /// Which build this is.
    fn generation(&self) -> u64;

    /// The stored checkpoint of a partition; `None` if nothing was ever written for it. It may be of another generation:
    /// then the caller has nothing to write here.
    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable>;

    /// Applies all of the batch and stores `new`, or does neither.
    ///
    /// Where nothing is stored yet, `expected` must be a genesis of this generation. The batch may be empty: then only
    /// the checkpoint changes. After [`ApplyError::Unavailable`] it may have taken effect all the same.
    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError>;
}

/// One step of a read model in a partition: from where, over what, to where.
pub struct Advance<'a> {
    /// In which partition.
    pub partition: Partition,
    /// The checkpoint that must be stored.
    pub expected: &'a Checkpoint,
    /// What is to be applied.
    pub batch: &'a Batch<'a>,
    /// The checkpoint to store with it.
    pub new: &'a Checkpoint,
}

/// The store of a read model does not answer; the same call may succeed later. Why, for operators: it names no secret.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("the read model is not available: {0}")]
pub struct Unavailable(pub String);

/// Why nothing of a batch was applied.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ApplyError {
    /// The checkpoint is not the expected one: another worker has moved it. Step aside.
    #[error("another worker has moved the checkpoint")]
    Fenced,
    /// This commit can never be applied as it stands. Park its key and apply the rest.
    #[error("the commit at {position} cannot be applied: {error}")]
    Rejected {
        /// Which commit of the batch.
        position: Position,
        /// What an operator should know, without what people wrote.
        error: String,
    },
    /// The store does not answer; the same call may succeed later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Commits of one partition in the order of the log, and what opens them.
pub struct Batch<'a> {
    /// The commits; not always without gaps.
    pub entries: Vec<Entry<'a>>,
    /// Holds the keys of everything that is sealed in `entries`.
    pub opener: &'a Opener,
}

/// One commit of a batch.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Where it stands.
    pub position: Position,
    /// What it is about.
    pub key: Key,
    /// The decision.
    pub commit: &'a Commit,
}

impl<'a> From<&'a DecodedCommit> for Entry<'a> {
    fn from(decoded: &'a DecodedCommit) -> Self {
        Self { position: decoded.position, key: decoded.key, commit: &decoded.commit }
    }
}

impl Batch<'_> {
    /// When the newest of the commits was made.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.entries.iter().map(|entry| entry.commit.time).max()
    }

    /// What the batch means to a read model: `change` says it of one event, or `None` if the event is of no interest.
    ///
    /// Opening happens here, before any lock is taken.
    pub(crate) fn changes<C>(
        &self,
        change: impl Fn(&Event, Timestamp, &Opener) -> Result<Option<C>, SealError>,
    ) -> Result<Vec<C>, ApplyError> {
        let mut changes = Vec::new();
        for Entry { position, commit, .. } in &self.entries {
            for event in &commit.events {
                let rejected =
                    |error: SealError| ApplyError::Rejected { position: *position, error: error.to_string() };
                changes.extend(change(event, commit.time, self.opener).map_err(rejected)?);
            }
        }
        Ok(changes)
    }
}
