//! The durable log: what it promises ([`Journal`]), how two writers are told apart ([`chain`]), and who may write
//! ([`Ownership`]).
//!
//! Invariants: a record that was reported as appended stays where it is, with its bytes; of two records that extend the
//! same head the first one is valid and the other never happened; nothing here knows what an event means.

pub mod chain;
pub mod embedded;
mod error;
#[cfg(feature = "servers")]
pub mod kafka;
mod ownership;
mod partition;
mod port;
#[cfg(feature = "servers")]
pub mod postgres;
mod reader;
mod record;
mod rules;
mod verify;

pub use chain::{Anchor, Chain, Checkpoint, Head, Tally, Verdict};
pub use error::{AppendError, JournalError};
pub use ownership::{Announcement, Announcements, Assignment, Ownership};
pub use partition::{Offset, Partition, Position, partition_of};
pub use port::{Appender, Journal, Receipt};
pub use reader::{DecodedCommit, Reader};
pub use record::{Draft, Kind, Record};
pub use rules::{Rule, Rules};
pub use verify::{Verified, verify};
