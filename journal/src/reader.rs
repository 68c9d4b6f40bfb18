//! Reading a partition as everybody must read it: the chain rule applied, void records left out, damage reported.

use crate::chain::{Anchor, Chain, Checkpoint, Tally, Verdict};
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::port::Journal;
use crate::record::{Kind, Record};
use crate::rules::{Rule, Rules};
use events::{Commit, Key};
use std::sync::Arc;

/// How many records one read asks for.
pub(crate) const READ_RECORDS_MAX: usize = 4_096;

/// A valid commit with its key and its place.
#[derive(Clone, Debug)]
pub struct DecodedCommit {
    /// Where it stands.
    pub position: Position,
    /// What it is about.
    pub key: Key,
    /// The decision.
    pub commit: Commit,
    /// Where a reader stands that has read this commit and nothing after it.
    pub after: Checkpoint,
}

/// A reader of one partition's valid records, in order.
pub struct Reader {
    journal: Arc<dyn Journal>,
    partition: Partition,
    chain: Chain,
    anchor: Option<Anchor>,
}

impl Reader {
    /// A reader at the beginning of the partition.
    pub async fn from_start(journal: Arc<dyn Journal>, partition: Partition) -> Result<Self, JournalError> {
        let chain = Chain::genesis(journal.log(), partition);
        Self::with(journal, partition, chain).await
    }

    /// A reader that goes on from a checkpoint: reads the record of its head again and compares.
    ///
    /// [`JournalError::Diverged`] if the log no longer holds that record there.
    pub async fn resume(
        journal: Arc<dyn Journal>,
        partition: Partition,
        checkpoint: Checkpoint,
    ) -> Result<Self, JournalError> {
        Self::resume_by(Rules::default(), journal, partition, checkpoint).await
    }

    /// The same, comparing if these rules say so. They do, outside tests.
    pub async fn resume_by(
        rules: Rules,
        journal: Arc<dyn Journal>,
        partition: Partition,
        checkpoint: Checkpoint,
    ) -> Result<Self, JournalError> {
        let reader = Self::with(journal, partition, Chain::resume(partition, checkpoint)).await?;
        if !rules.keep(Rule::CompareTheHead) {
            return Ok(reader);
        }
        reader.compare().await?;
        if let Some(anchor) = &reader.anchor {
            reader.chain.agree(anchor)?;
        }
        Ok(reader)
    }

    async fn with(journal: Arc<dyn Journal>, partition: Partition, chain: Chain) -> Result<Self, JournalError> {
        let anchor = journal.anchor(partition).await?;
        Ok(Self { journal, partition, chain, anchor })
    }

    /// The same by these rules. All of them, outside tests.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { chain: self.chain.with_rules(rules), ..self }
    }

    /// Whether the log still holds what this reader has read last: the head, and nothing valid behind it.
    pub async fn compare(&self) -> Result<(), JournalError> {
        let at = self.chain.checkpoint();
        let diverged = |offset, what: &str| {
            Err(JournalError::Diverged { partition: self.partition, offset, what: what.to_owned() })
        };
        let end = self.journal.end(self.partition).await?;
        if end < at.next {
            return diverged(end, &format!("the log ends here, but was read up to {}", at.next));
        }
        if let Some(offset) = at.head_offset {
            let found = self.journal.read(self.partition, offset, 1).await?;
            if found.first().is_none_or(|record| record.draft.chain != at.head) {
                return diverged(offset, "another record stands where this reader has read before");
            }
        }
        // What came after the head was void, so the head says nothing about it: it must still be.
        let behind = Checkpoint { next: at.head_offset.map_or(0, |offset| offset + 1), ..at };
        let mut chain = Chain::resume(self.partition, behind);
        while chain.next() < at.next {
            let most = usize::try_from(at.next - chain.next()).map_or(READ_RECORDS_MAX, |n| n.min(READ_RECORDS_MAX));
            let batch = self.journal.read(self.partition, chain.next(), most).await?;
            if batch.is_empty() {
                return diverged(chain.next(), "the log ends here, but was read further");
            }
            for record in &batch {
                if chain.admit(record)? == Verdict::Valid {
                    return diverged(record.offset, "a record that was void has become a valid one");
                }
            }
        }
        Ok(())
    }

    /// Which partition this is.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Where the reader stands.
    pub fn checkpoint(&self) -> Checkpoint {
        self.chain.checkpoint()
    }

    /// What it has read, counted.
    pub fn tally(&self) -> Tally {
        self.chain.tally()
    }

    /// The first offset that was not read.
    pub fn next(&self) -> Offset {
        self.chain.next()
    }

    /// The next valid records, claims included, each with the checkpoint after it; empty at the end of the log.
    ///
    /// Void records are passed over; the reader's own checkpoint moves past them too. At the end, and where an anchor
    /// was noted, what was read is compared with the anchor. After an error the reader stands where it stood before.
    pub async fn records(&mut self) -> Result<Vec<(Record, Checkpoint)>, JournalError> {
        let before = self.chain.clone();
        let records = self.judge().await;
        if records.is_err() {
            self.chain = before;
        }
        records
    }

    async fn judge(&mut self) -> Result<Vec<(Record, Checkpoint)>, JournalError> {
        let mut valid = Vec::new();
        while valid.is_empty() {
            let batch = self.journal.read(self.partition, self.chain.next(), READ_RECORDS_MAX).await?;
            if batch.is_empty() {
                self.end_of_log()?;
                break;
            }
            valid.reserve(batch.len());
            for record in batch {
                let verdict = self.chain.admit(&record)?;
                if let Some(anchor) = &self.anchor {
                    self.chain.agree(anchor)?;
                }
                if verdict == Verdict::Valid {
                    valid.push((record, self.chain.checkpoint()));
                }
            }
        }
        Ok(valid)
    }

    /// The next valid commits, decoded; empty only at the end of the log.
    ///
    /// Those before one that cannot be decoded come first; the error is the answer to the next call, and to every one
    /// after it.
    pub async fn commits(&mut self) -> Result<Vec<DecodedCommit>, JournalError> {
        loop {
            let before = self.chain.clone();
            let records = self.records().await?;
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let mut commits: Vec<DecodedCommit> = Vec::with_capacity(records.len());
            for (record, after) in records.into_iter().filter(|(record, _)| record.draft.kind == Kind::Commit) {
                match (decode(self.partition, &record, after), commits.last()) {
                    (Ok(commit), _) => commits.push(commit),
                    // The checkpoint must not pass what nobody has been given.
                    (Err(_), Some(last)) => {
                        self.chain = self.chain.resumed(last.after);
                        return Ok(commits);
                    }
                    (Err(error), None) => {
                        self.chain = before;
                        return Err(error);
                    }
                }
            }
            if !commits.is_empty() {
                return Ok(commits);
            }
        }
    }

    /// Waits until there may be more to read, at most about a second.
    pub async fn wait(&self) -> Result<(), JournalError> {
        // `wait_past(o)` returns once the end lies past `o`, that is once a record stands at `o`.
        self.journal.wait_past(self.partition, self.chain.next()).await
    }

    fn end_of_log(&self) -> Result<(), JournalError> {
        match &self.anchor {
            Some(anchor) if self.chain.next() < anchor.count => Err(JournalError::Damaged {
                position: Position { partition: self.partition, offset: self.chain.next() },
                what: format!("the log ends here, but it held {} records", anchor.count),
            }),
            _ => Ok(()),
        }
    }
}

pub(crate) fn decode(partition: Partition, record: &Record, after: Checkpoint) -> Result<DecodedCommit, JournalError> {
    let position = Position { partition, offset: record.offset };
    let unreadable = |source| JournalError::Unreadable { position, source };
    let key = std::str::from_utf8(&record.draft.key)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<Key>().map_err(|error| error.to_string()))
        .map_err(|error| unreadable(events::WireError::Malformed(error)))?;
    let commit = Commit::decode(&record.draft.value).map_err(unreadable)?;
    if commit.incarnation != record.draft.incarnation {
        let what = format!("a commit of {} in a record of {}", commit.incarnation, record.draft.incarnation);
        return Err(JournalError::Damaged { position, what });
    }
    Ok(DecodedCommit { position, key, commit, after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Head, genesis};
    use crate::record::Draft;
    use events::{CommandId, Incarnation, Retention, Timestamp, UserId};
    use uuid::Uuid;

    fn commit_of(incarnation: Incarnation) -> Commit {
        Commit {
            command: CommandId::default(),
            ordinal: 0,
            incarnation,
            time: Timestamp::default(),
            actor: None,
            correlation: Uuid::nil(),
            causation: None,
            retention: Retention::Short,
            fingerprint: None,
            undoes: None,
            events: Vec::new(),
        }
    }

    #[test]
    fn a_commit_of_another_tenure_than_its_record_is_damage() {
        let (owner, other) = (Incarnation(Uuid::from_u128(1)), Incarnation(Uuid::from_u128(2)));
        let key = Key::User(UserId::default()).to_string();
        let head: Head = genesis("log", Partition(0));
        let after = Chain::genesis("log", Partition(0)).checkpoint();
        let in_record_of = |incarnation| {
            let value = commit_of(owner).encode();
            Draft::extending(head, Kind::Commit, incarnation, key.clone().into(), value.into()).at(0)
        };
        assert!(decode(Partition(0), &in_record_of(owner), after).is_ok());
        let error = decode(Partition(0), &in_record_of(other), after).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    }
}
