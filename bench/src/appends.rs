//! The baseline of commands: the same store doing nothing but durable appends of the same bytes.
//!
//! The same log, the same number of partitions and clients; keys and values are copied from what the product wrote for
//! the load. What waits while the disk syncs is one commit, as it is for the product.

use crate::closed_loop::Client;
use anyhow::Result;
use bytes::Bytes;
use events::Incarnation;
use journal::embedded::{self, Embedded};
use journal::{Appender, Draft, Head, Journal, Kind, Partition};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// How many of a load's commits are copied from each partition.
const COPIED: u64 = 512;

/// Keys and values of commits.
pub(crate) type Copies = Arc<Vec<(Bytes, Bytes)>>;

/// The newest commits of a log.
pub(crate) async fn copies(journal: &dyn Journal) -> Result<Copies> {
    let mut copies = Vec::new();
    for partition in (0..journal.partitions()).map(Partition) {
        let from = journal.end(partition).await?.saturating_sub(COPIED);
        let records = journal.read(partition, from, usize::MAX).await?;
        let commits = records.into_iter().map(|record| record.draft).filter(|draft| draft.kind == Kind::Commit);
        copies.extend(commits.map(|draft| (draft.key, draft.value)));
    }
    Ok(Arc::new(copies))
}

/// What the product is measured beside: it takes the same bytes and does nothing else with them.
pub(crate) trait Baseline {
    /// Waits for its bytes to be durable, again and again.
    type Client: Client;

    /// So many clients that share these bytes.
    fn clients(&self, copies: &Copies, clients: usize) -> Vec<Self::Client>;
}

/// An open store with a chain in each partition.
pub(crate) struct Appends {
    partitions: Vec<Arc<Mutex<Chained>>>,
    _embedded: Embedded,
}

/// One partition's appender: the log takes chained records only.
struct Chained {
    appender: Box<dyn Appender>,
    incarnation: Incarnation,
    head: Head,
}

impl Chained {
    fn append(&mut self, kind: Kind, key: Bytes, value: Bytes) -> journal::Receipt {
        let draft = Draft::extending(self.head, kind, self.incarnation, key, value);
        self.head = draft.chain;
        self.appender.append(draft)
    }
}

/// A client that appends one copy after another.
pub(crate) struct Writer {
    partition: Arc<Mutex<Chained>>,
    copies: Copies,
    next: Arc<AtomicUsize>,
}

impl Client for Writer {
    async fn ask(&mut self) -> Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (key, value) = self.copies[n % self.copies.len()].clone();
        let receipt = {
            let mut chained = self.partition.lock().unwrap_or_else(PoisonError::into_inner);
            chained.append(Kind::Commit, key, value)
        };
        receipt.await?;
        Ok(())
    }
}

impl Appends {
    pub(crate) async fn open(directory: &Path) -> Result<Self> {
        let embedded = embedded::open(directory, embedded::PARTITIONS_DEFAULT)?;
        let log = &embedded.log;
        let mut partitions = Vec::new();
        for partition in (0..log.partitions()).map(Partition) {
            let head = journal::chain::genesis(log.log(), partition);
            let mut chained =
                Chained { appender: log.appender(partition)?, incarnation: Incarnation(Uuid::new_v4()), head };
            chained.append(Kind::Claim, Bytes::new(), Bytes::from_static(b"{}")).await?;
            partitions.push(Arc::new(Mutex::new(chained)));
        }
        Ok(Self { partitions, _embedded: embedded })
    }
}

impl Baseline for Appends {
    type Client = Writer;

    fn clients(&self, copies: &Copies, clients: usize) -> Vec<Writer> {
        let next = Arc::<AtomicUsize>::default();
        let writer = |n: usize| Writer {
            partition: Arc::clone(&self.partitions[n % self.partitions.len()]),
            copies: Arc::clone(copies),
            next: Arc::clone(&next),
        };
        (0..clients).map(writer).collect()
    }
}
