//! The whole log read once, as everybody must read it, and told in numbers.

use crate::chain::{Anchor, Head};
use crate::error::JournalError;
use crate::partition::{Offset, Partition};
use crate::port::Journal;
use crate::reader::{DecodedCommit, Reader, decode};
use crate::record::{Kind, Record};
use events::Timestamp;
use std::sync::Arc;

/// What a partition was found to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// All records.
    pub records: u64,
    /// Those that count: claims and commits.
    pub valid: u64,
    /// Those that never happened.
    pub void: u64,
    /// Valid claims.
    pub claims: u64,
    /// Events in the valid commits.
    pub events: u64,
    /// Keys and values of the valid records.
    pub bytes: u64,
    /// The largest value among them, in bytes.
    pub largest: usize,
    /// When the first and the last commit were made.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The chain of the last valid record.
    pub head: Head,
    /// What was known about the partition before, with which it agrees.
    pub anchor: Option<Anchor>,
}

/// Reads every partition from the beginning to its end, applies the chain rule, compares with the anchors and decodes
/// every commit. For each partition: what it holds, or the first error with its position.
///
/// `progress` is told where it stands, now and then.
pub async fn verify(
    journal: &Arc<dyn Journal>,
    mut progress: impl FnMut(Partition, Offset) + Send,
) -> Vec<(Partition, Result<Verified, JournalError>)> {
    let mut found = Vec::new();
    for partition in (0..journal.partitions()).map(Partition) {
        found.push((partition, verify_partition(journal, partition, &mut progress).await));
    }
    found
}

async fn verify_partition(
    journal: &Arc<dyn Journal>,
    partition: Partition,
    progress: &mut (impl FnMut(Partition, Offset) + Send),
) -> Result<Verified, JournalError> {
    let anchor = journal.anchor(partition).await?;
    let mut reader = Reader::from_start(Arc::clone(journal), partition).await?;
    let mut found = Verified {
        records: 0,
        valid: 0,
        void: 0,
        claims: 0,
        events: 0,
        bytes: 0,
        largest: 0,
        times: None,
        head: reader.checkpoint().head,
        anchor,
    };
    loop {
        let records = reader.records().await?;
        progress(partition, reader.next());
        if records.is_empty() {
            break;
        }
        for (record, after) in records {
            found.count(&record, || decode(partition, &record, after))?;
        }
    }
    let (records, head) = (reader.next(), reader.checkpoint().head);
    Ok(Verified { records, void: records - found.valid, head, ..found })
}

impl Verified {
    fn count(
        &mut self,
        record: &Record,
        decode: impl FnOnce() -> Result<DecodedCommit, JournalError>,
    ) -> Result<(), JournalError> {
        self.valid += 1;
        self.bytes += (record.draft.key.len() + record.draft.value.len()) as u64;
        self.largest = self.largest.max(record.draft.value.len());
        match record.draft.kind {
            Kind::Claim => self.claims += 1,
            Kind::Commit => {
                let commit = decode()?.commit;
                self.events += commit.events.len() as u64;
                self.times = Some((self.times.map_or(commit.time, |(first, _)| first), commit.time));
            }
        }
        Ok(())
    }
}
