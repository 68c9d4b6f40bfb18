//! How far a read model has come in a partition, and which keys stopped on the way.
//!
//! It is stored in the same atomic unit as the data, so whoever knows it knows exactly what the data holds.

use events::{Key, Timestamp};
use journal::{Chain, Offset, Partition};
use std::collections::BTreeMap;

/// A read model's place in one partition.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Which build of the read model this is; a worker of another build changes nothing.
    pub generation: u64,
    /// Counts the writes. A retry changes data and markers without moving on in the log; this tells it apart.
    pub revision: u64,
    /// Everything before this place is applied, but for what stands in `parked`.
    pub at: journal::Checkpoint,
    /// Keys that stopped, with what waits for them.
    pub parked: BTreeMap<Key, Parked>,
}

/// A key that stopped at a commit which cannot be applied. Positions only: what they hold is read from the log again.
#[derive(Clone, PartialEq, Debug)]
pub struct Parked {
    /// Why the first of `offsets` could not be applied.
    pub error: String,
    /// When the first of `offsets` was committed.
    pub since: Timestamp,
    /// The commit that failed and those of the same key behind it, ascending; never empty.
    pub offsets: Vec<Offset>,
}

impl Checkpoint {
    /// Before the first record, with nothing written.
    pub fn genesis(generation: u64, log: &str, partition: Partition) -> Self {
        let at = Chain::genesis(log, partition).checkpoint();
        Self { generation, revision: 0, at, parked: BTreeMap::new() }
    }

    /// What to store with the next write.
    pub fn succeed(&self, at: journal::Checkpoint) -> Self {
        Self { revision: self.revision + 1, at, ..self.clone() }
    }

    /// Whether both speak of the same write of the same build. If so, their markers are equal too.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.generation, self.revision, self.at) == (other.generation, other.revision, other.at)
    }

    /// How many commits wait for a retry.
    pub fn parked_offsets(&self) -> usize {
        self.parked.values().map(|parked| parked.offsets.len()).sum()
    }
}
