//! What the write side answers. Every answer but [`Answer::Unknown`] and [`Answer::Overloaded`] is true: it was decided
//! over durable, valid decisions by an owner that was the owner when it answered.
//!
//! It is true of the moment in which it was given. A network that delivers a request twice makes two requests of it:
//! one that was refused may take effect later by its second delivery, until its deadline.

use events::Timestamp;
use journal::Position;
use serde::{Deserialize, Serialize};

/// Where and when a command took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Receipt {
    /// The commit.
    pub position: Position,
    /// The commit's time.
    pub time: Timestamp,
    /// The version that the target has now, where it counts versions (a claim).
    pub version: Option<u64>,
}

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With all its steps done.
    Completed,
    /// With nothing of it left, and why.
    Compensated {
        /// The step that was refused, if it was a refusal.
        refused: Option<events::Step>,
        /// What stood in the way.
        reason: String,
    },
    /// It cannot go on: a compensation failed, and a person must look.
    Stuck {
        /// What came of the compensation.
        error: String,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It took effect: the commit is durable and valid.
    Accepted(Receipt),
    /// The same command took effect before; this is where.
    Repeated(Receipt),
    /// Things were already as asked since then; nothing was written.
    Unchanged(Receipt),
    /// The saga that the command started has ended, or has done what it was wanted for; the receipt is of the last commit
    /// with which it changed its own key.
    Ended(Receipt, Ended),
    /// It took no effect, for this reason.
    Refused(Refusal),
    /// Its deadline had passed before it was decided; it took no effect.
    Expired,
    /// The queue of the partition is full; it took no effect. Ask again later.
    Overloaded,
    /// It may have taken effect or may yet. Ask again with the same id.
    Unknown,
}

impl Answer {
    /// In short, for a span or a metric.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Repeated(_) => "repeated",
            Self::Unchanged(_) => "unchanged",
            Self::Ended(..) => "ended",
            Self::Refused(_) => "refused",
            Self::Expired => "expired",
            Self::Overloaded => "overloaded",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a command took no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// What it is about is not there.
    #[error("not found")]
    NotFound,
    /// It belongs to somebody else.
    #[error("not allowed")]
    Forbidden,
    /// Nobody follows themselves.
    #[error("one cannot follow oneself")]
    SelfFollow,
    /// Nobody blocks or mutes themselves.
    #[error("one cannot block or mute oneself")]
    Oneself,
    /// The person blocks as many people as may be.
    #[error("{max} people are blocked already", max = crate::aggregates::BLOCKS_MAX)]
    TooManyBlocks,
    /// The person mutes as many people as may be.
    #[error("{max} people are muted already", max = crate::aggregates::MUTES_MAX)]
    TooManyMutes,
    /// The address or name belongs to somebody, or is being taken by somebody.
    #[error("taken")]
    Taken,
    /// The password was changed after it had been checked.
    #[error("the credentials were changed meanwhile")]
    StaleCredentials,
    /// The refresh token was replaced by another one: who brings it may have stolen it.
    #[error("the refresh token was used before")]
    UsedBefore,
    /// It was asked of something that has changed meanwhile.
    #[error("it has changed meanwhile")]
    Stale,
    /// It is of none of the versions that were asked for.
    #[error("it is of another version now")]
    PreconditionFailed,
    /// The person has as many posts in creation as may be.
    #[error("{max} posts are being created already", max = crate::aggregates::POSTS_IN_CREATION_MAX)]
    TooManyDrafts,
    /// The id was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// A compensation came before the step that it undoes.
    #[error("undone before it came")]
    Undone,
    /// The saga has come to its end.
    #[error("the saga has ended")]
    SagaEnded,
    /// The saga has done what cannot be undone, or is being undone already.
    #[error("the saga cannot be undone any more")]
    NoWayBack,
    /// The decision would not fit into a record.
    #[error("too large: {0} bytes, {max} at most", max = events::Commit::ENCODED_MAX)]
    TooLarge(usize),
    /// Deciding failed; a bug of ours.
    #[error("the command cannot be decided: {0}")]
    Fault(String),
}
