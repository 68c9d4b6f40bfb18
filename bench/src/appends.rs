//! The baseline: the store alone, appending records of a given size to all partitions, each awaited.

use crate::closed_loop::{Client, Measured, measure};
use anyhow::Result;
use bytes::Bytes;
use events::Incarnation;
use journal::embedded::{self, Embedded};
use journal::{Appender, Draft, Head, Journal, Kind, Partition};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) struct Appends {
    embedded: Embedded,
    // Deleted last.
    _directory: TempDir,
}

struct Writer {
    appender: Box<dyn Appender>,
    draft: Draft,
}

impl Client for Writer {
    async fn ask(&mut self) -> Result<()> {
        self.appender.append(self.draft.clone()).await?;
        Ok(())
    }
}

impl Appends {
    pub(crate) fn open() -> Result<Self> {
        let directory = TempDir::new()?;
        let embedded = embedded::open(directory.path(), embedded::PARTITIONS_DEFAULT)?;
        Ok(Self { embedded, _directory: directory })
    }

    pub(crate) async fn run(&self, clients: usize, run: Duration, value_bytes: usize) -> Result<Measured> {
        let log = &self.embedded.log;
        let writer = |n: usize| {
            let partition = Partition(u32::try_from(n)? % log.partitions());
            let (key, value) = (Bytes::from(vec![b'k'; 41]), Bytes::from(vec![b'v'; value_bytes]));
            let draft = Draft::extending(Head([0; 32]), Kind::Commit, Incarnation::default(), key, value);
            anyhow::Ok(Writer { appender: log.appender(partition)?, draft })
        };
        measure((0..clients).map(writer).collect::<Result<_>>()?, run).await
    }
}
