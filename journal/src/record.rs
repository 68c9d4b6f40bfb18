//! What is appended and what is read back.

use crate::chain::{self, Head};
use crate::partition::Offset;
use bytes::Bytes;
use events::Incarnation;

/// What a record's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A new owner's claim to the partition: the first record of its tenure.
    Claim,
    /// A decision, an encoded [`events::Commit`].
    Commit,
}

impl Kind {
    /// The byte that stands for it in the chain and in stores.
    pub fn code(self) -> u8 {
        match self {
            Self::Claim => 1,
            Self::Commit => 2,
        }
    }

    /// The kind of a code; `None` if this program does not know it.
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Claim),
            2 => Some(Self::Commit),
            _ => None,
        }
    }
}

/// A record that has its place in a chain, but none in the log yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// What the value is.
    pub kind: Kind,
    /// The tenure of its writer.
    pub incarnation: Incarnation,
    /// The text form of the key; empty for a claim.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The chain of the record that this one extends.
    pub prev: Head,
    /// The hash of all of the above.
    pub chain: Head,
}

impl Draft {
    /// A record that extends `prev`.
    pub fn extending(prev: Head, kind: Kind, incarnation: Incarnation, key: Bytes, value: Bytes) -> Self {
        let chain = chain::link(prev, kind, incarnation, &key, &value);
        Self { kind, incarnation, key, value, prev, chain }
    }

    /// The same record at its place in the log.
    pub fn at(self, offset: Offset) -> Record {
        Record { offset, draft: self }
    }
}

/// A record as it stands in the log; whether it is valid only what stands before it can tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Where it stands.
    pub offset: Offset,
    /// What stands there.
    pub draft: Draft,
}
