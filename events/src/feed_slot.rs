//! The places in a person's feed that posts in creation hold, one for each draft.

use crate::{PostId, SagaId, UserId};
use serde::{Deserialize, Serialize};

/// What happens to a place in a person's own feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FeedSlotEvent {
    /// A draft holds it, and its author sees the draft there.
    Reserved(FeedSlotReserved),
    /// The draft is a post; it is counted among the drafts no longer.
    Committed(FeedSlotCommitted),
    /// The draft is gone, or never came.
    Released(FeedSlotReleased),
}

/// `feed_slot.reserved`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedSlotReserved {
    /// Whose feed.
    pub user: UserId,
    /// For which post.
    pub post: PostId,
    /// By which saga.
    pub saga: SagaId,
}

/// `feed_slot.committed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedSlotCommitted {
    /// Whose feed.
    pub user: UserId,
    /// For which post.
    pub post: PostId,
    /// By which saga.
    pub saga: SagaId,
}

/// `feed_slot.released`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedSlotReleased {
    /// Whose feed.
    pub user: UserId,
    /// For which post.
    pub post: PostId,
    /// By which saga.
    pub saga: SagaId,
}
