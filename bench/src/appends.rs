//! The baseline: the store alone, appending records of a given size to all partitions, each awaited.

use crate::closed_loop::{Client, Measured, measure};
use anyhow::Result;
use bytes::Bytes;
use events::Incarnation;
use journal::embedded::{self, Embedded};
use journal::{Appender, Draft, Head, Journal, Kind, Partition};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) struct Appends {
    partitions: Vec<Arc<Mutex<Chained>>>,
    _embedded: Embedded,
    // Deleted last.
    _directory: TempDir,
}

/// One partition's appender: the log takes chained records only.
struct Chained {
    appender: Box<dyn Appender>,
    head: Head,
}

struct Writer {
    partition: Arc<Mutex<Chained>>,
    key: Bytes,
    value: Bytes,
}

impl Client for Writer {
    async fn ask(&mut self) -> Result<()> {
        let receipt = {
            let mut chained = self.partition.lock().unwrap_or_else(PoisonError::into_inner);
            let (key, value) = (self.key.clone(), self.value.clone());
            let draft = Draft::extending(chained.head, Kind::Claim, Incarnation::default(), key, value);
            chained.head = draft.chain;
            chained.appender.append(draft)
        };
        receipt.await?;
        Ok(())
    }
}

impl Appends {
    pub(crate) fn open() -> Result<Self> {
        let directory = TempDir::new()?;
        let embedded = embedded::open(directory.path(), embedded::PARTITIONS_DEFAULT)?;
        let log = &embedded.log;
        let partition = |n| {
            let head = journal::chain::genesis(log.log(), Partition(n));
            anyhow::Ok(Arc::new(Mutex::new(Chained { appender: log.appender(Partition(n))?, head })))
        };
        let partitions = (0..log.partitions()).map(partition).collect::<Result<_>>()?;
        Ok(Self { partitions, _embedded: embedded, _directory: directory })
    }

    pub(crate) async fn run(&self, clients: usize, run: Duration, value_bytes: usize) -> Result<Measured> {
        let writer = |n: usize| Writer {
            partition: Arc::clone(&self.partitions[n % self.partitions.len()]),
            key: Bytes::from(vec![b'k'; 41]),
            value: Bytes::from(vec![b'v'; value_bytes]),
        };
        measure((0..clients).map(writer).collect(), run).await
    }
}
