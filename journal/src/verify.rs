//! The whole log read once, as everybody must read it, and told in numbers.

use crate::chain::{Anchor, Head};
use crate::error::JournalError;
use crate::partition::{Offset, Partition};
use crate::port::Journal;
use crate::reader::{Reader, decode};
use crate::record::Kind;
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
    let (mut valid, mut claims) = (0, 0);
    loop {
        let records = reader.records().await?;
        progress(partition, reader.next());
        if records.is_empty() {
            break;
        }
        for (record, after) in records {
            valid += 1;
            match record.draft.kind {
                Kind::Claim => claims += 1,
                Kind::Commit => drop(decode(partition, &record, after)?),
            }
        }
    }
    let records = reader.next();
    Ok(Verified { records, valid, void: records - valid, claims, head: reader.checkpoint().head, anchor })
}
