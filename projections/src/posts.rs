//! Posts with what lies under them: comments and likes.
//!
//! All of it is on the post's key, so it comes in order. What lies under a deleted post is gone with it. A draft is there
//! for its author alone, and in no list and no count.
//!
//! Nobody is shown what those have left who are gone, nor what can no longer be read: it is in no list and no count, whether
//! it came before they went or after. Until it is deleted, [`Posts::traces`] finds it all the same.

mod change;
mod memory;
#[cfg(feature = "servers")]
mod postgres;

use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::read_model::{ReadModel, Unavailable};
use crate::text::Text;
use async_trait::async_trait;
use events::{CommentId, PostId, Timestamp, UserId};
pub use memory::MemoryPosts;
#[cfg(feature = "servers")]
pub use postgres::PostgresPosts;
use std::sync::Arc;

/// The name of the read model of posts, wherever it lives.
pub const NAME: &str = "posts";

/// The versions of a post that can be read, the newest included.
pub const VERSIONS_KEPT_MAX: usize = 50;

/// The read model of posts.
///
/// What it is told and what it shows of that is above. An answer shows whole batches: all of a commit or nothing of it.
#[async_trait]
pub trait Posts: ReadModel {
    /// A post; `None` if there is none that `viewer` may see, or none any more.
    async fn post(&self, post: PostId, viewer: Option<UserId>) -> Result<Option<Post>, Unavailable>;

    /// Those of `posts` that there are and that `viewer` may see, in the order asked for.
    async fn posts(&self, posts: &[PostId], viewer: Option<UserId>) -> Result<Vec<Post>, Unavailable>;

    /// Everybody's posts, or those of one author, newest first by (created_at, id), but for those of whoever is hidden.
    async fn latest(&self, author: Option<UserId>, page: Page, hidden: &Hidden) -> Result<Listing<Post>, Unavailable>;

    /// The posts with a hashtag, which must be folded, newest first by (created_at, id), but for those of whoever is hidden.
    async fn tagged(&self, tag: &str, page: Page, hidden: &Hidden) -> Result<Listing<Post>, Unavailable>;

    /// The newest [`VERSIONS_KEPT_MAX`] versions of a post, newest first; a place is (created_at, number). Empty if there is
    /// no such post, or if it is somebody else's than `author`'s.
    async fn versions(&self, post: PostId, author: UserId, page: Page) -> Result<Listing<Version>, Unavailable>;

    /// How many likes and comments `user` has left under each of these authors' posts since then, each counted up to `max`;
    /// one's own posts do not count.
    async fn acts(
        &self,
        user: UserId,
        authors: &[UserId],
        since: Timestamp,
        max: usize,
    ) -> Result<Vec<(usize, usize)>, Unavailable>;

    /// For each of these authors, in their order, how many entries [`Self::latest`] has.
    async fn counts_of(&self, authors: &[UserId]) -> Result<Vec<usize>, Unavailable>;

    /// What was said under a post, oldest first by (created_at, id), but for what those said who are hidden. Empty if
    /// there is no such post.
    async fn comments(&self, post: PostId, page: Page, hidden: &Hidden) -> Result<Listing<Comment>, Unavailable>;

    /// One comment under a post.
    async fn comment(&self, post: PostId, comment: CommentId) -> Result<Option<Comment>, Unavailable>;

    /// Who likes a post, newest first by (created_at, user), but for those who are hidden. Empty if there is no such post.
    async fn likes(&self, post: PostId, page: Page, hidden: &Hidden) -> Result<Listing<Like>, Unavailable>;

    /// For each of `posts`, in their order, whether `user` likes it.
    async fn liked(&self, user: UserId, posts: &[PostId]) -> Result<Vec<bool>, Unavailable>;

    /// At most `limit` things that `user` has left behind, for whoever deletes them; the posts come first, and drafts last.
    /// Also what nobody is shown.
    async fn traces(&self, user: UserId, limit: usize) -> Result<Traces, Unavailable>;

    /// Whether `user` has left anything behind.
    async fn holds_trace(&self, user: UserId) -> Result<bool, Unavailable> {
        Ok(!self.traces(user, 1).await?.is_empty())
    }
}

/// A post, or a draft of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Post {
    /// Which.
    pub id: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// How often something was written here: 1, and one more with each edit.
    pub version: u64,
    /// What it says.
    pub content: Text,
    /// Folded, distinct, in the order of first appearance.
    pub hashtags: Arc<[Text]>,
    /// Distinct, in the order of first appearance.
    pub mentions: Arc<[UserId]>,
    /// Whether it is still being created, so that its author alone sees it.
    pub draft: bool,
    /// When it was published; of a draft when it was drafted.
    pub created_at: Timestamp,
    /// When its content was replaced last.
    pub edited_at: Option<Timestamp>,
    /// How many entries [`Posts::likes`] has.
    pub likes_count: usize,
    /// How many entries [`Posts::comments`] has.
    pub comments_count: usize,
}

/// One version of a post.
#[derive(Clone, PartialEq, Debug)]
pub struct Version {
    /// 1 for what was published, one more with each edit.
    pub number: u64,
    /// What it said.
    pub content: Text,
    /// Folded, distinct, in the order of first appearance.
    pub hashtags: Arc<[Text]>,
    /// Distinct, in the order of first appearance.
    pub mentions: Arc<[UserId]>,
    /// When it was written; the first one when the post was published.
    pub created_at: Timestamp,
}

/// A comment.
#[derive(Clone, PartialEq, Debug)]
pub struct Comment {
    /// Which.
    pub id: CommentId,
    /// Under which post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// What it says.
    pub text: Text,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Like {
    /// Of which post.
    pub post: PostId,
    /// Who likes it.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
}

/// What somebody has left behind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traces {
    /// Their posts.
    pub posts: Vec<PostId>,
    /// Their comments under posts of others: those under their own posts go with the post.
    pub comments: Vec<(PostId, CommentId)>,
    /// The posts of others that they like.
    pub likes: Vec<PostId>,
    /// Their drafts, which nobody but the saga of each can make an end of.
    pub drafts: Vec<PostId>,
}

impl Traces {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.comments.is_empty() && self.likes.is_empty() && self.drafts.is_empty()
    }
}
