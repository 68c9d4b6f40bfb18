//! What can go wrong with a log, by what the caller must do about it.

use crate::partition::{Offset, Partition, Position};

/// Why the log could not be read or opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store does not answer; trying again may help, and nothing is lost.
    #[error("the log is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Bytes in the log are not what was written. Stop: nothing may be read past this place, nothing skipped.
    #[error("the log is damaged at {position}: {what}")]
    Damaged {
        /// The first place that is wrong.
        position: Position,
        /// What was found there.
        what: String,
    },
    /// The log no longer continues what this reader has read: it was cut, replaced or reset. Stop the partition.
    #[error("partition {partition} has diverged at offset {offset}: {what}")]
    Diverged {
        /// Which partition.
        partition: Partition,
        /// Where.
        offset: Offset,
        /// What was expected and what was found.
        what: String,
    },
    /// A record holds what this program does not understand. Stop; a newer program can go on.
    #[error("the record at {position} cannot be read: {source}")]
    Unreadable {
        /// Which record.
        position: Position,
        /// Why.
        #[source]
        source: events::WireError,
    },
    /// The place where the log should be cannot be used as it is; the text names what to do.
    #[error("{0}")]
    Unusable(String),
}

/// An append without a known outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The record may or may not be in the log. Never report it as failed: read the log.
    #[error("it is not known whether the record was appended: {0}")]
    Unknown(String),
}
