//! The log, the keyring and the ownership of one process over one directory, with nothing else installed.
//!
//! A key-value store holds the partitions; one thread groups what waits into one `fdatasync`. The chain, the claims and
//! the contract suite are the same as on Kafka. What stands in the directory is never changed before its lock is held;
//! a flipped bit, a cut file or a missing one stops the start or the read that meets it, and nothing is dropped in
//! silence.

mod anchors;
mod directory;
mod keyring;
mod ownership;
mod queue;
mod scan;
mod store;
mod writer;

pub use keyring::EmbeddedKeyring;
pub use ownership::StaticOwnership;

use crate::chain::{Anchor, Chain};
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::port::{Appender, Journal};
use crate::record::Record;
use anchors::Anchors;
use async_trait::async_trait;
use directory::Directory;
use events::KeyringError;
use queue::{Queue, QueueAppender};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::watch;
use tokio::time::timeout;
use writer::Writer;

/// How many partitions a log gets when nobody says otherwise.
pub const PARTITIONS_DEFAULT: u32 = 8;
/// The most partitions an embedded log may have: each costs a few MiB of memory.
pub const PARTITIONS_MAX: u32 = 256;

const WAIT_MAX: Duration = Duration::from_secs(1);
/// Reads of at most so many records run where they are called: at the end of the log they are served from memory in
/// microseconds. Longer ones take milliseconds and would hold up the other tasks of a worker thread.
const INLINE_RECORDS_MAX: u64 = 64;

/// What stands in one data directory.
#[derive(Debug)]
pub struct Embedded {
    /// The log.
    pub log: Arc<EmbeddedLog>,
    /// The keys, outside the log.
    pub keyring: Arc<EmbeddedKeyring>,
}

/// Opens the directory, or makes a log in it if it is empty or not there.
///
/// `partitions` counts only when the log is made. A kill at any moment of the making leaves a directory that the next
/// call completes. Every error names the path and what to do; [`JournalError::Unusable`] unless a position is known.
///
/// Blocks: it reads every file of the store once, to hold it against its checksum, replays what the store has not yet
/// sorted (at most about 128 MiB) and checks what lies beyond the anchors.
pub fn open(directory: &Path, partitions: u32) -> Result<Embedded, JournalError> {
    let directory = Arc::new(Directory::open(directory, partitions)?);
    let keyring = keyring_in(&directory)?;
    let log = EmbeddedLog::open(&directory)?;
    Ok(Embedded { log: Arc::new(log), keyring: Arc::new(keyring) })
}

/// Opens the keyring alone, of a log that was made before. Nobody else can open the directory until it is dropped.
pub fn open_keyring(directory: &Path) -> Result<EmbeddedKeyring, JournalError> {
    keyring_in(&Arc::new(Directory::open_made(directory)?))
}

fn keyring_in(directory: &Arc<Directory>) -> Result<EmbeddedKeyring, JournalError> {
    EmbeddedKeyring::open(Arc::clone(directory)).map_err(|error| {
        let way_out = match error {
            KeyringError::Unavailable(_) => "this user must be able to read and write it",
            _ => "restore it from a backup of the keyring",
        };
        JournalError::Unusable(format!("{error}; {way_out}"))
    })
}

/// Reads the whole log by the chain rule and notes what it holds now as its anchors, in place of what was noted before.
///
/// The way out when `anchors` is damaged, missing, or proves a loss that is to be accepted: whatever the log no longer
/// holds is forgotten from here on. Fails without changing the anchors if a record in the log is itself damaged.
pub fn rewrite_anchors(directory: &Path) -> Result<Vec<(Partition, Anchor)>, JournalError> {
    let directory = Arc::new(Directory::open_made(directory)?);
    let (store, _) = Store::open(Arc::clone(&directory))?;
    let anchors = directory
        .partitions()
        .map(|partition| {
            let mut chain = Chain::genesis(&directory.log(), partition);
            store.admit_to_the_end(partition, &mut chain)?;
            Ok((partition, anchor_of(&chain)))
        })
        .collect::<Result<Vec<_>, JournalError>>()?;
    Anchors::rewrite(&directory.anchors(), directory.id(), anchors.iter().map(|(_, anchor)| *anchor))?;
    Ok(anchors)
}

/// A durable log in a directory that this process holds alone.
///
/// Dropping it writes what is queued, and then waits for the disk: drop it where blocking is allowed. An appender or a
/// read that outlives it keeps the directory locked until it ends.
#[derive(Debug)]
pub struct EmbeddedLog {
    // The order of the fields is the order in which they are dropped: the writer ends before the store is closed.
    _writer: Writer,
    name: String,
    partitions: Arc<[watch::Sender<Anchor>]>,
    queue: Arc<Queue>,
    store: Arc<Store>,
}

impl EmbeddedLog {
    fn open(directory: &Arc<Directory>) -> Result<Self, JournalError> {
        let name = directory.log();
        let (anchors, noted) = Anchors::open(&directory.anchors(), directory.id(), directory.partition_count())?;
        let (store, torn) = Store::open(Arc::clone(directory))?;
        let chains = directory
            .partitions()
            .zip(noted)
            .map(|(partition, anchor)| resume(&store, &name, partition, anchor))
            .collect::<Result<Vec<_>, _>>();
        let chains = match (chains, torn) {
            (Ok(chains), None) => chains,
            (Ok(chains), Some(torn)) => {
                tracing::warn!("an unfinished write was cut off: {torn}");
                chains
            }
            (Err(error), None) => return Err(error),
            (Err(error), Some(torn)) => {
                drop(store);
                return Err(torn.was_no_leftover(error));
            }
        };
        let store = Arc::new(store);
        let partitions: Arc<[_]> = chains.iter().map(|chain| watch::Sender::new(anchor_of(chain))).collect();
        let queue = Arc::new(Queue::new(directory.partition_count()));
        let writer = Writer::start(Arc::clone(&queue), Arc::clone(&store), anchors, chains, Arc::clone(&partitions))?;
        Ok(Self { _writer: writer, name, partitions, queue, store })
    }

    /// Returns when the log has failed: a commit or an `fdatasync` did not succeed, or the store gave up.
    ///
    /// From then on every append is answered "unknown" and nothing becomes durable; what was durable can still be read.
    /// The process must stop: only opening the log again shows what has reached the disk, and the directory may stay
    /// locked until then.
    pub async fn failed(&self) -> JournalError {
        self.queue.failed().await
    }

    fn at(&self, partition: Partition) -> Result<&watch::Sender<Anchor>, JournalError> {
        self.partitions.get(partition.0 as usize).ok_or_else(|| {
            JournalError::Unusable(format!("there is no partition {partition}: the log has {}", self.partitions.len()))
        })
    }
}

#[async_trait]
impl Journal for EmbeddedLog {
    fn log(&self) -> &str {
        &self.name
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("at most PARTITIONS_MAX")
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, JournalError> {
        self.at(partition)?;
        Ok(Box::new(QueueAppender::new(Arc::clone(&self.queue), partition)))
    }

    async fn read(&self, partition: Partition, from: Offset, records_max: usize) -> Result<Vec<Record>, JournalError> {
        // Bounded by what was published: a record that the store already shows, but `end` does not yet count, would
        // look like a divergence to whoever compares the two.
        let end = self.at(partition)?.borrow().count;
        if from > end {
            return Err(JournalError::Diverged { partition, offset: from, what: format!("the log ends at {end}") });
        }
        let until = end.min(from.saturating_add(records_max as u64));
        if until - from <= INLINE_RECORDS_MAX {
            return self.store.read(partition, from, until);
        }
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.read(partition, from, until))
            .await
            .unwrap_or_else(|error| Err(JournalError::Unavailable(error.into())))
    }

    async fn end(&self, partition: Partition) -> Result<Offset, JournalError> {
        Ok(self.at(partition)?.borrow().count)
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), JournalError> {
        // A receiver sees every change after it was made, and `wait_for` looks at the present value first.
        let mut anchor = self.at(partition)?.subscribe();
        let _ = timeout(WAIT_MAX, anchor.wait_for(|anchor| anchor.count > offset)).await;
        Ok(())
    }

    async fn anchor(&self, partition: Partition) -> Result<Option<Anchor>, JournalError> {
        Ok(Some(*self.at(partition)?.borrow()))
    }
}

fn anchor_of(chain: &Chain) -> Anchor {
    Anchor { count: chain.next(), head: chain.head() }
}

/// Where the partition ends by the chain rule: from its anchor on, without reading what lies before it.
fn resume(store: &Store, log: &str, partition: Partition, anchor: Anchor) -> Result<Chain, JournalError> {
    let end = store.end(partition, anchor.count)?;
    if end < anchor.count {
        let position = Position { partition, offset: end };
        let what = format!("the log ends here, but it held {} records", anchor.count);
        return Err(JournalError::Damaged { position, what });
    }
    let genesis = Chain::genesis(log, partition);
    let mut chain = if anchor.head == genesis.head() {
        // Nothing valid was noted, and what is void before it is little.
        genesis
    } else {
        Chain::resume(partition, store.find_head(partition, anchor)?)
    };
    store.admit_to_the_end(partition, &mut chain)?;
    Ok(chain)
}
