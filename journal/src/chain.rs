//! The chain rule: how an append-only log decides between two writers.
//!
//! Each record names the chain of the record that it extends. The first record that extends the last valid one is
//! valid; any other one is void: it never happened. Since that depends only on what stands before a record, it is
//! final, and every reader comes to the same verdict without asking anybody.
//!
//! This module is the only place where the rule is written down; every implementation of the journal, the owner and all
//! readers use it.

use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::record::{Kind, Record};
use crate::rules::{Rule, Rules};
use events::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many records one writer may have in flight, that is without a receipt.
pub const IN_FLIGHT_MAX: u64 = 2_048;

/// How many void records may stand in a row: what [`IN_FLIGHT_MAX`] leaves behind of four writers that were all paused
/// with everything in flight and replaced one by one, before the fourth's successor has written anything. More is a
/// sign that this reader and the log have diverged.
pub const VOID_RUN_MAX: u64 = 4 * IN_FLIGHT_MAX;

/// The chain of a record: the hash of the record and of all valid ones before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Head(pub [u8; 32]);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the first record of a partition extends. `log` names the log, so that no record of another log fits.
pub fn genesis(log: &str, partition: Partition) -> Head {
    let mut hasher = blake3::Hasher::new();
    field(&mut hasher, b"tidings log v1");
    field(&mut hasher, log.as_bytes());
    field(&mut hasher, &partition.0.to_be_bytes());
    Head(hasher.finalize().into())
}

/// The chain of a record that extends `prev`: BLAKE3 over all its fields, each preceded by its length.
pub fn link(prev: Head, kind: Kind, incarnation: Incarnation, key: &[u8], value: &[u8]) -> Head {
    let mut hasher = blake3::Hasher::new();
    field(&mut hasher, &prev.0);
    field(&mut hasher, key);
    field(&mut hasher, &[kind.code()]);
    field(&mut hasher, incarnation.0.as_bytes());
    field(&mut hasher, value);
    Head(hasher.finalize().into())
}

fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

/// A place in a partition from which reading can go on, and what was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The first offset that was not read.
    pub next: Offset,
    /// The chain of the last valid record, or the genesis.
    pub head: Head,
    /// Where the last valid record stands; `None` while there is none.
    pub head_offset: Option<Offset>,
    /// Whose tenure it is: of the last valid claim.
    pub incarnation: Option<Incarnation>,
}

/// What a log was known to hold at some moment: noted outside the log, it shows whether the log was cut or rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Anchor {
    /// How many records the partition had, void ones included.
    pub count: u64,
    /// The chain of the last valid one among them.
    pub head: Head,
}

/// What a record is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It happened.
    Valid,
    /// It never happened.
    Void,
}

/// What was judged since a chain was made, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Valid commits.
    pub commits: u64,
    /// Valid claims.
    pub claims: u64,
    /// Records that never happened.
    pub void: u64,
}

/// The rule applied to one partition, record by record.
#[derive(Clone, Debug)]
pub struct Chain {
    partition: Partition,
    at: Checkpoint,
    void_run: u64,
    tally: Tally,
    rules: Rules,
}

impl Chain {
    /// Before the first record of a partition.
    pub fn genesis(log: &str, partition: Partition) -> Self {
        let at = Checkpoint { next: 0, head: genesis(log, partition), head_offset: None, incarnation: None };
        Self { partition, at, void_run: 0, tally: Tally::default(), rules: Rules::default() }
    }

    /// After the record of a checkpoint. The caller has compared the head with the log (see [`crate::Reader::resume`]).
    pub fn resume(partition: Partition, at: Checkpoint) -> Self {
        let void_run = at.next - at.head_offset.map_or(0, |offset| offset + 1);
        Self { partition, at, void_run, tally: Tally::default(), rules: Rules::default() }
    }

    /// The same partition by the same rules, after the record of another checkpoint.
    pub(crate) fn resumed(&self, at: Checkpoint) -> Self {
        Self { tally: self.tally, ..Self::resume(self.partition, at).with_rules(self.rules) }
    }

    /// The same by these rules. All of them, outside tests.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Where the reader stands.
    pub fn checkpoint(&self) -> Checkpoint {
        self.at
    }

    /// The chain of the last valid record.
    pub fn head(&self) -> Head {
        self.at.head
    }

    /// What it has judged.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The first offset that was not judged.
    pub fn next(&self) -> Offset {
        self.at.next
    }

    /// Judges the record at the next offset.
    ///
    /// Errors are final: [`JournalError::Damaged`] for a record whose bytes are not those that its chain was made of,
    /// [`JournalError::Diverged`] for an unexpected offset or too many void records in a row.
    pub fn admit(&mut self, record: &Record) -> Result<Verdict, JournalError> {
        let Record { offset, draft } = record;
        if *offset != self.at.next {
            return Err(self.diverged(*offset, format!("expected the record at {}", self.at.next)));
        }
        if draft.chain != link(draft.prev, draft.kind, draft.incarnation, &draft.key, &draft.value) {
            let position = Position { partition: self.partition, offset: *offset };
            return Err(JournalError::Damaged { position, what: "the record does not match its chain".to_owned() });
        }
        self.at.next += 1;
        if self.extends(record) {
            self.at.head = draft.chain;
            self.at.head_offset = Some(*offset);
            self.at.incarnation = Some(draft.incarnation);
            self.void_run = 0;
            match draft.kind {
                Kind::Claim => self.tally.claims += 1,
                Kind::Commit => self.tally.commits += 1,
            }
            return Ok(Verdict::Valid);
        }
        self.void_run += 1;
        self.tally.void += 1;
        if self.void_run > VOID_RUN_MAX {
            return Err(self.diverged(*offset, format!("more than {VOID_RUN_MAX} void records in a row")));
        }
        Ok(Verdict::Void)
    }

    /// A record counts if it extends the last valid one, and, unless it is a claim itself, belongs to the tenure that
    /// the last valid claim began.
    fn extends(&self, record: &Record) -> bool {
        let extends = record.draft.prev == self.at.head
            && (record.draft.kind == Kind::Claim || Some(record.draft.incarnation) == self.at.incarnation);
        extends || !self.rules.keep(Rule::VoidWhatDoesNotExtend)
    }

    /// Compares what was read with what was known to be there.
    ///
    /// Call it when `next` is the anchor's count; `Damaged` if the head is another one.
    pub fn agree(&self, anchor: &Anchor) -> Result<(), JournalError> {
        if self.at.next != anchor.count || self.at.head == anchor.head {
            return Ok(());
        }
        let position = Position { partition: self.partition, offset: anchor.count.saturating_sub(1) };
        let what = format!("the chain up to here is {}, but it was {}", self.at.head, anchor.head);
        Err(JournalError::Damaged { position, what })
    }

    fn diverged(&self, offset: Offset, what: String) -> JournalError {
        JournalError::Diverged { partition: self.partition, offset, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Draft;
    use bytes::Bytes;
    use uuid::Uuid;

    const P: Partition = Partition(3);

    fn owner(n: u128) -> Incarnation {
        Incarnation(Uuid::from_u128(n))
    }

    fn claim(prev: Head, by: u128) -> Draft {
        Draft::extending(prev, Kind::Claim, owner(by), Bytes::new(), Bytes::from_static(b"{}"))
    }

    fn commit(prev: Head, by: u128, value: &'static str) -> Draft {
        Draft::extending(prev, Kind::Commit, owner(by), Bytes::from_static(b"k"), Bytes::from_static(value.as_bytes()))
    }

    /// The verdicts on a log of these records.
    fn judge(log: &[Draft]) -> Vec<Verdict> {
        let mut chain = Chain::genesis("log", P);
        log.iter().zip(0..).map(|(draft, offset)| chain.admit(&draft.clone().at(offset)).unwrap()).collect()
    }

    use Verdict::{Valid, Void};

    #[test]
    fn of_two_records_that_extend_one_head_the_first_one_wins() {
        let c = claim(genesis("log", P), 1);
        let (a, b) = (commit(c.chain, 1, "a"), commit(c.chain, 1, "b"));
        assert_eq!(judge(&[c.clone(), a.clone(), b.clone()]), [Valid, Valid, Void]);
        assert_eq!(judge(&[c, b, a]), [Valid, Valid, Void]);
    }

    #[test]
    fn a_new_claim_voids_whatever_the_former_owner_has_in_flight() {
        let first = claim(genesis("log", P), 1);
        let second = claim(first.chain, 2);
        let late = commit(first.chain, 1, "late");
        let later = commit(late.chain, 1, "later");
        let good = commit(second.chain, 2, "good");
        assert_eq!(judge(&[first, second, late, later, good]), [Valid, Valid, Void, Void, Valid]);
    }

    #[test]
    fn who_has_not_claimed_cannot_extend_the_head_of_another() {
        let first = claim(genesis("log", P), 1);
        let stranger = commit(first.chain, 2, "stranger");
        let good = commit(first.chain, 1, "good");
        assert_eq!(judge(&[first, stranger, good]), [Valid, Void, Valid]);
    }

    #[test]
    fn a_lost_record_leaves_no_hole() {
        let c = claim(genesis("log", P), 1);
        let lost = commit(c.chain, 1, "lost");
        let after = commit(lost.chain, 1, "after");
        assert_eq!(judge(&[c, after]), [Valid, Void]);
    }

    #[test]
    fn changed_bytes_are_damage_with_their_position() {
        let c = claim(genesis("log", P), 1);
        let mut changed = commit(c.chain, 1, "a");
        changed.value = Bytes::from_static(b"b");
        let mut chain = Chain::genesis("log", P);
        chain.admit(&c.at(0)).unwrap();
        let error = chain.admit(&changed.at(1)).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { position: Position { partition: P, offset: 1 }, .. }));
    }

    #[test]
    fn a_missing_offset_is_divergence() {
        let c = claim(genesis("log", P), 1);
        assert!(matches!(Chain::genesis("log", P).admit(&c.at(1)), Err(JournalError::Diverged { offset: 1, .. })));
    }

    #[test]
    fn too_many_void_records_in_a_row_are_divergence() {
        let mut chain = Chain::genesis("log", P);
        let foreign = claim(genesis("another log", P), 1);
        for offset in 0..VOID_RUN_MAX {
            assert_eq!(chain.admit(&foreign.clone().at(offset)).unwrap(), Void);
        }
        assert!(matches!(chain.admit(&foreign.at(VOID_RUN_MAX)), Err(JournalError::Diverged { .. })));
    }

    #[test]
    fn an_anchor_shows_a_rewritten_log() {
        let mut chain = Chain::genesis("log", P);
        let c = claim(genesis("log", P), 1);
        let anchor = Anchor { count: 1, head: c.chain };
        chain.admit(&c.at(0)).unwrap();
        assert!(chain.agree(&anchor).is_ok());
        assert!(chain.agree(&Anchor { head: genesis("log", P), ..anchor }).is_err());
    }
}
