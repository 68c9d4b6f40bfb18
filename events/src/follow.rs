//! Following somebody.

use crate::UserId;
use serde::{Deserialize, Serialize};

/// What happens to a follow; decided on the follower's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FollowEvent {
    /// The follower follows from here on.
    Started(FollowStarted),
    /// And here no longer.
    Ended(FollowEnded),
}

/// `follow.started`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FollowStarted {
    /// Who follows.
    pub follower: UserId,
    /// Whom.
    pub followee: UserId,
}

/// `follow.ended`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FollowEnded {
    /// Who followed.
    pub follower: UserId,
    /// Whom.
    pub followee: UserId,
}
