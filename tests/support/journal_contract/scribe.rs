//! A writer that chains what it appends, and ways to look at what is in a log.

use bytes::Bytes;
use events::Incarnation;
use futures::future::join_all;
use journal::{Appender, Draft, Head, Journal, JournalError, Kind, Offset, Partition, Reader, Receipt, Record};
use std::sync::Arc;
use uuid::Uuid;

/// The partition of tests that need one only.
pub const P: Partition = Partition(0);

/// One owner's hand: it appends to a partition and remembers the head.
pub struct Scribe {
    appender: Box<dyn Appender>,
    incarnation: Incarnation,
    head: Head,
    next: Offset,
}

impl Scribe {
    /// Reads to the end of the partition and claims it.
    pub async fn claim(journal: &Arc<dyn Journal>, partition: Partition) -> Self {
        let (mut scribe, draft) = Self::about_to_claim(journal, partition).await;
        let offset = scribe.hand_over(draft).await.unwrap();
        assert_eq!(offset + 1, scribe.next, "nobody else writes");
        scribe
    }

    /// The tenure in which it writes.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Reads to the end of the partition; the claim is made, but not appended.
    pub async fn about_to_claim(journal: &Arc<dyn Journal>, partition: Partition) -> (Self, Draft) {
        let mut reader = Reader::from_start(Arc::clone(journal), partition).await.unwrap();
        while !reader.records().await.unwrap().is_empty() {}
        let incarnation = Incarnation(Uuid::new_v4());
        let appender = journal.appender(partition).unwrap();
        let mut scribe = Self { appender, incarnation, head: reader.checkpoint().head, next: reader.next() };
        let draft = scribe.chain(Kind::Claim, Bytes::new(), Bytes::from_static(b"{}"));
        (scribe, draft)
    }

    /// A record of this writer that extends its head, not appended.
    pub fn draft(&mut self, value: impl Into<Bytes>) -> Draft {
        self.chain(Kind::Commit, Bytes::from_static(b"key"), value.into())
    }

    /// A record with a key.
    pub fn chain(&mut self, kind: Kind, key: Bytes, value: Bytes) -> Draft {
        let draft = Draft::extending(self.head, kind, self.incarnation, key, value);
        self.head = draft.chain;
        self.next += 1;
        draft
    }

    /// Appends a draft.
    pub fn hand_over(&mut self, draft: Draft) -> Receipt {
        self.appender.append(draft)
    }

    /// Makes a record and appends it.
    pub fn append(&mut self, value: impl Into<Bytes>) -> Receipt {
        let draft = self.draft(value);
        self.hand_over(draft)
    }

    /// The chain of the last record that this writer made.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Where its next record would stand, if nobody else wrote.
    pub fn next(&self) -> Offset {
        self.next
    }
}

/// The offsets of all receipts; each of them must have one.
pub async fn acknowledged(receipts: impl IntoIterator<Item = Receipt>) -> Vec<Offset> {
    join_all(receipts).await.into_iter().map(Result::unwrap).collect()
}

/// All records of a partition, void ones included.
pub async fn stored(journal: &Arc<dyn Journal>, partition: Partition) -> Result<Vec<Record>, JournalError> {
    let mut records = Vec::new();
    loop {
        let more = journal.read(partition, records.len() as Offset, 1_000).await?;
        if more.is_empty() {
            return Ok(records);
        }
        records.extend(more);
    }
}

/// The valid records of a partition.
pub async fn valid(journal: &Arc<dyn Journal>, partition: Partition) -> Result<Vec<Record>, JournalError> {
    let mut reader = Reader::from_start(Arc::clone(journal), partition).await?;
    let mut records = Vec::new();
    loop {
        let more = reader.records().await?;
        if more.is_empty() {
            return Ok(records);
        }
        records.extend(more.into_iter().map(|(record, _)| record));
    }
}

/// The values of the valid commits of a partition, as text.
pub async fn told(journal: &Arc<dyn Journal>, partition: Partition) -> Vec<String> {
    let commits = valid(journal, partition).await.unwrap();
    let commits = commits.into_iter().filter(|record| record.draft.kind == Kind::Commit);
    commits.map(|record| String::from_utf8(record.draft.value.to_vec()).unwrap()).collect()
}

/// Numbers that look random and are the same on every run (SplitMix64).
pub fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |n: u64| {
        let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Bytes that do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    numbers(seed).flat_map(u64::to_le_bytes).take(length).collect()
}
