//! Liking a post.

use crate::{PostId, UserId};
use serde::{Deserialize, Serialize};

/// What happens to a like; decided on the post's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LikeEvent {
    /// The user likes the post from here on.
    Added(LikeAdded),
    /// And here no longer.
    Removed(LikeRemoved),
}

/// `like.added`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikeAdded {
    /// Which post.
    pub post: PostId,
    /// Who.
    pub user: UserId,
}

/// `like.removed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikeRemoved {
    /// Which post.
    pub post: PostId,
    /// Who.
    pub user: UserId,
}
