//! Posts with what lies under them: comments and likes.
//!
//! All of it is on the post's key, so it comes in order. What lies under a deleted post is gone with it. A draft is there
//! for its author alone, and in no list and no count.
//!
//! Nobody is shown what those have left who are gone, nor what can no longer be read: it is in no list and no count, whether
//! it came before they went or after. Until it is deleted, [`Posts::traces`] finds it all the same.

mod change;
mod orders;
#[cfg(test)]
mod tests;
mod threads;
mod traces;
mod versions;

use crate::checkpoint::Checkpoint;
use crate::dated;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page, Place};
use crate::read_model::{ApplyError, Batch, ReadModel};
use crate::store::Store;
use crate::text::Text;
use change::{Body, Change};
use events::{CommentId, PostId, Timestamp, UserId};
use journal::Partition;
use std::collections::BTreeSet;
use std::sync::Arc;
use threads::{Remark, Thread, Threads};
use uuid::Uuid;
pub use versions::{VERSIONS_KEPT_MAX, Version};

/// The read model of posts.
#[derive(Default)]
pub struct Posts {
    store: Store<Threads>,
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

impl Posts {
    /// Its name.
    pub const NAME: &'static str = "posts";

    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }

    /// A post; `None` if there is none that `viewer` may see, or none any more.
    pub fn post(&self, post: PostId, viewer: Option<UserId>) -> Option<Post> {
        self.store.read().seen(post, viewer).and_then(|thread| shown(post, thread))
    }

    /// Those of `posts` that there are and that `viewer` may see, in the order asked for.
    pub fn posts(&self, posts: &[PostId], viewer: Option<UserId>) -> Vec<Post> {
        let threads = self.store.read();
        posts.iter().filter_map(|post| threads.seen(*post, viewer).and_then(|thread| shown(*post, thread))).collect()
    }

    /// Everybody's posts, or those of one author, newest first by (created_at, id), but for those of whoever is hidden.
    pub fn latest(&self, author: Option<UserId>, page: Page, hidden: &Hidden) -> Listing<Post> {
        let threads = self.store.read();
        let order = match author {
            None => Some(&threads.orders.latest),
            Some(author) if hidden.hides(author) => None,
            Some(author) => threads.orders.by_author.get(&author),
        };
        order.map(|order| listed(&threads, order, page, hidden)).unwrap_or_default()
    }

    /// The posts with a hashtag, which must be folded, newest first by (created_at, id), but for those of whoever is hidden.
    pub fn tagged(&self, tag: &str, page: Page, hidden: &Hidden) -> Listing<Post> {
        let threads = self.store.read();
        threads.orders.by_tag.get(tag).map(|order| listed(&threads, order, page, hidden)).unwrap_or_default()
    }

    /// The newest [`VERSIONS_KEPT_MAX`] versions of a post, newest first; a place is (created_at, number). Empty if there is
    /// no such post, or if it is somebody else's than `author`'s.
    pub fn versions(&self, post: PostId, author: UserId, page: Page) -> Listing<Version> {
        let threads = self.store.read();
        let thread = threads.seen(post, Some(author)).filter(|thread| thread.author == author);
        let versions = thread.and_then(|thread| Some(thread.text.as_ref()?.all(thread.written_at())));
        let versions = versions.into_iter().flatten().map(|version| {
            let place = (version.created_at, Uuid::from_u128(version.number.into()));
            (place, version)
        });
        Listing::of_items(page, versions.filter(|(place, _)| page.after.is_none_or(|after| *place < after)))
    }

    /// How many likes and comments `user` has left under each of these authors' posts since then, each counted up to `max`;
    /// one's own posts do not count.
    pub fn acts(&self, user: UserId, authors: &[UserId], since: Timestamp, max: usize) -> Vec<(usize, usize)> {
        let threads = self.store.read();
        authors.iter().map(|author| threads.traces.count_since(user, *author, since, max)).collect()
    }

    /// How many entries [`Self::latest`] has for this author.
    pub fn count_of(&self, author: UserId) -> usize {
        self.store.read().orders.by_author.get(&author).map_or(0, |order| order.len())
    }

    /// What was said under a post, oldest first by (created_at, id), but for what those said who are hidden. Empty if
    /// there is no such post.
    pub fn comments(&self, post: PostId, page: Page, hidden: &Hidden) -> Listing<Comment> {
        let threads = self.store.read();
        let list = |thread: &Thread| {
            let item = |(_, id): Place| {
                let comment = thread.comments.get(id).filter(|(_, remark)| !hidden.hides(remark.author))?;
                Some(said(post, CommentId(id), comment))
            };
            Listing::of(page, thread.comments.oldest(page.after), item)
        };
        threads.get(post).map(list).unwrap_or_default()
    }

    /// One comment under a post.
    pub fn comment(&self, post: PostId, comment: CommentId) -> Option<Comment> {
        let threads = self.store.read();
        threads.get(post)?.comments.get(comment.0).map(|row| said(post, comment, row))
    }

    /// Who likes a post, newest first by (created_at, user), but for those who are hidden. Empty if there is no such post.
    pub fn likes(&self, post: PostId, page: Page, hidden: &Hidden) -> Listing<Like> {
        let threads = self.store.read();
        let item = |(created_at, id)| {
            let user = UserId(id);
            (!hidden.hides(user)).then_some(Like { post, user, created_at })
        };
        threads.get(post).map(|thread| Listing::of(page, thread.likes.newest(page.after), item)).unwrap_or_default()
    }

    /// For each of `posts`, in their order, whether `user` likes it.
    pub fn liked(&self, user: UserId, posts: &[PostId]) -> Vec<bool> {
        let threads = self.store.read();
        posts.iter().map(|post| threads.get(*post).is_some_and(|thread| thread.likes.contains(user.0))).collect()
    }

    /// At most `limit` things that `user` has left behind, for whoever deletes them; the posts come first, and drafts last.
    /// Also what nobody is shown.
    pub fn traces(&self, user: UserId, limit: usize) -> Traces {
        let threads = self.store.read();
        let is_draft = |post: &PostId| threads.is_draft(*post);
        let posts = threads.orders.of(user).filter(|post| !is_draft(post)).take(limit).collect::<Vec<_>>();
        let limit = limit - posts.len();
        let comments = threads.traces.comments(user).take(limit).collect::<Vec<_>>();
        let limit = limit - comments.len();
        let likes = threads.traces.likes(user).take(limit).collect::<Vec<_>>();
        let limit = limit - likes.len();
        Traces { posts, comments, likes, drafts: threads.orders.of(user).filter(is_draft).take(limit).collect() }
    }

    /// Whether `user` has left anything behind.
    pub fn holds_trace(&self, user: UserId) -> bool {
        !self.traces(user, 1).is_empty()
    }
}

fn listed(threads: &Threads, order: &BTreeSet<Place>, page: Page, hidden: &Hidden) -> Listing<Post> {
    let item = |(_, id): Place| {
        let thread = threads.get(PostId(id)).filter(|thread| !hidden.hides(thread.author))?;
        shown(PostId(id), thread)
    };
    Listing::of(page, dated::newest(order, page.after), item)
}

fn shown(id: PostId, thread: &Thread) -> Option<Post> {
    let text = thread.text.as_ref()?;
    let Body { content, hashtags, mentions } = text.newest();
    Some(Post {
        id,
        author: thread.author,
        version: text.number(),
        content: content.clone(),
        hashtags: Arc::clone(hashtags),
        mentions: Arc::clone(mentions),
        draft: thread.draft,
        created_at: thread.created_at,
        edited_at: thread.edited_at,
        likes_count: thread.likes.len(),
        comments_count: thread.comments.len(),
    })
}

fn said(post: PostId, id: CommentId, (created_at, remark): (Timestamp, &Remark)) -> Comment {
    Comment { id, post, author: remark.author, text: remark.text.clone(), created_at }
}

impl ReadModel for Posts {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn checkpoint(&self, partition: Partition) -> Option<Checkpoint> {
        self.store.checkpoint(partition)
    }

    fn apply_batch(
        &self,
        partition: Partition,
        expected: &Checkpoint,
        batch: &Batch<'_>,
        new: Checkpoint,
    ) -> Result<(), ApplyError> {
        let changes = batch.changes(Change::of)?;
        self.store.write(partition, expected, new, |threads| {
            changes.into_iter().for_each(|change| threads.apply(change));
        })
    }
}
