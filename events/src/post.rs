//! What happens to a post.

use crate::{Content, Hashtags, Mentions, PostId, Sealed, UserId};
use serde::{Deserialize, Serialize};

/// What happens to a post.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PostEvent {
    /// Everybody can see it from here on.
    Published(PostPublished),
    /// It is being created: nobody but its author can see it.
    Drafted(PostDrafted),
    /// The draft is a post, which everybody can see from here on.
    DraftPublished(PostDraftPublished),
    /// The draft came to nothing.
    DraftDropped(PostDraftDropped),
    /// Its content was replaced.
    Edited(PostEdited),
    /// It is gone, and all that lies under it.
    Deleted(PostDeleted),
}

/// `post.published`, version 2. Version 1 had no `mentions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostPublished {
    /// Which post.
    pub post: PostId,
    /// Who wrote it; the sealed fields are under this user's key.
    pub author: UserId,
    /// What it says.
    pub content: Sealed<Content>,
    /// Its hashtags; `None` if it has none.
    pub hashtags: Option<Sealed<Hashtags>>,
    /// Whom it mentions; `None` if nobody.
    pub mentions: Option<Sealed<Mentions>>,
}

/// `post.drafted`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostDrafted {
    /// Which post.
    pub post: PostId,
    /// Who wrote it; the sealed fields are under this user's key.
    pub author: UserId,
    /// What it says.
    pub content: Sealed<Content>,
    /// Its hashtags; `None` if it has none.
    pub hashtags: Option<Sealed<Hashtags>>,
    /// Whom it mentions; `None` if nobody.
    pub mentions: Option<Sealed<Mentions>>,
}

/// `post.draft_published`; what it says stands in the `post.drafted` before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostDraftPublished {
    /// Which post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
}

/// `post.draft_dropped`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostDraftDropped {
    /// Which post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
}

/// `post.edited`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostEdited {
    /// Which post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// What it says now.
    pub content: Sealed<Content>,
    /// Its hashtags now.
    pub hashtags: Option<Sealed<Hashtags>>,
    /// Whom it mentions now.
    pub mentions: Option<Sealed<Mentions>>,
}

/// `post.deleted`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostDeleted {
    /// Which post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
}
