//! What happens to a comment.

use crate::{CommentId, CommentText, PostId, Sealed, UserId};
use serde::{Deserialize, Serialize};

/// What happens to a comment; decided on the post's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CommentEvent {
    /// It stands under the post from here on.
    Added(CommentAdded),
    /// It is gone.
    Deleted(CommentDeleted),
}

/// `comment.added`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommentAdded {
    /// Which comment.
    pub comment: CommentId,
    /// Under which post.
    pub post: PostId,
    /// Who wrote it; the text is under this user's key.
    pub author: UserId,
    /// What it says.
    pub text: Sealed<CommentText>,
}

/// `comment.deleted`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommentDeleted {
    /// Which comment.
    pub comment: CommentId,
    /// Under which post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
}
