//! Where things stand: partitions, offsets, positions.

use events::Key;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Counts the records of a partition, void ones included, from 0.
pub type Offset = u64;

/// One of the log's independent sequences. There is no order between two of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One record of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Position {
    /// In which partition.
    pub partition: Partition,
    /// Where in it.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// The partition of a key: the same on every node and for the life of the log, whatever client wrote it.
///
/// BLAKE3 of the key's text, its first 8 bytes as a little-endian number, modulo the number of partitions.
pub fn partition_of(key: &Key, partitions: u32) -> Partition {
    let hash = blake3::hash(key.to_string().as_bytes());
    let number = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
    Partition(u32::try_from(number % u64::from(partitions)).expect("smaller than a u32"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::UserId;
    use uuid::Uuid;

    #[test]
    fn the_partition_of_a_key_never_changes() {
        let at = |n: u128| partition_of(&Key::User(UserId(Uuid::from_u128(n))), 8).0;
        assert_eq!([at(0), at(1), at(2), at(3), at(4), at(5)], [4, 2, 6, 2, 4, 4]);
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0; 8];
        for n in 0..8_000 {
            counts[partition_of(&Key::User(UserId(Uuid::from_u128(n))), 8).0 as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (800..1_200).contains(&n)), "{counts:?}");
    }
}
