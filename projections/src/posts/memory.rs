//! Posts in memory: built from the log at every start.

mod orders;
#[cfg(test)]
mod tests;
mod threads;
mod traces;
mod versions;

use super::change::{Body, Change};
use super::{Comment, Like, NAME, Post, Posts, Traces, Version};
use crate::checkpoint::Checkpoint;
use crate::dated;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page, Place};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use events::{CommentId, PostId, Timestamp, UserId};
use journal::Partition;
use std::collections::BTreeSet;
use std::sync::Arc;
use threads::{Remark, Thread, Threads};
use uuid::Uuid;

/// The read model of posts, in memory.
#[derive(Default)]
pub struct MemoryPosts {
    store: Store<Threads>,
}

impl MemoryPosts {
    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }
}

#[async_trait]
impl Posts for MemoryPosts {
    async fn post(&self, post: PostId, viewer: Option<UserId>) -> Result<Option<Post>, Unavailable> {
        Ok(self.store.read().seen(post, viewer).and_then(|thread| shown(post, thread)))
    }

    async fn posts(&self, posts: &[PostId], viewer: Option<UserId>) -> Result<Vec<Post>, Unavailable> {
        let threads = self.store.read();
        Ok(posts
            .iter()
            .filter_map(|post| threads.seen(*post, viewer).and_then(|thread| shown(*post, thread)))
            .collect())
    }

    async fn latest(&self, author: Option<UserId>, page: Page, hidden: &Hidden) -> Result<Listing<Post>, Unavailable> {
        let threads = self.store.read();
        let order = match author {
            None => Some(&threads.orders.latest),
            Some(author) if hidden.hides(author) => None,
            Some(author) => threads.orders.by_author.get(&author),
        };
        Ok(order.map(|order| listed(&threads, order, page, hidden)).unwrap_or_default())
    }

    async fn tagged(&self, tag: &str, page: Page, hidden: &Hidden) -> Result<Listing<Post>, Unavailable> {
        let threads = self.store.read();
        Ok(threads.orders.by_tag.get(tag).map(|order| listed(&threads, order, page, hidden)).unwrap_or_default())
    }

    async fn versions(&self, post: PostId, author: UserId, page: Page) -> Result<Listing<Version>, Unavailable> {
        let threads = self.store.read();
        let thread = threads.seen(post, Some(author)).filter(|thread| thread.author == author);
        let versions = thread.and_then(|thread| Some(thread.text.as_ref()?.all(thread.written_at())));
        let versions = versions.into_iter().flatten().map(|version| {
            let place = (version.created_at, Uuid::from_u128(version.number.into()));
            (place, version)
        });
        Ok(Listing::of_items(page, versions.filter(|(place, _)| page.after.is_none_or(|after| *place < after))))
    }

    async fn acts(
        &self,
        user: UserId,
        authors: &[UserId],
        since: Timestamp,
        max: usize,
    ) -> Result<Vec<(usize, usize)>, Unavailable> {
        let threads = self.store.read();
        Ok(authors.iter().map(|author| threads.traces.count_since(user, *author, since, max)).collect())
    }

    async fn counts_of(&self, authors: &[UserId]) -> Result<Vec<usize>, Unavailable> {
        let threads = self.store.read();
        let count = |author| threads.orders.by_author.get(author).map_or(0, |order| order.len());
        Ok(authors.iter().map(count).collect())
    }

    async fn comments(&self, post: PostId, page: Page, hidden: &Hidden) -> Result<Listing<Comment>, Unavailable> {
        let threads = self.store.read();
        let list = |thread: &Thread| {
            let item = |(_, id): Place| {
                let comment = thread.comments.get(id).filter(|(_, remark)| !hidden.hides(remark.author))?;
                Some(said(post, CommentId(id), comment))
            };
            Listing::of(page, thread.comments.oldest(page.after), item)
        };
        Ok(threads.get(post).map(list).unwrap_or_default())
    }

    async fn comment(&self, post: PostId, comment: CommentId) -> Result<Option<Comment>, Unavailable> {
        let threads = self.store.read();
        let row = threads.get(post).and_then(|thread| thread.comments.get(comment.0));
        Ok(row.map(|row| said(post, comment, row)))
    }

    async fn likes(&self, post: PostId, page: Page, hidden: &Hidden) -> Result<Listing<Like>, Unavailable> {
        let threads = self.store.read();
        let item = |(created_at, id)| {
            let user = UserId(id);
            (!hidden.hides(user)).then_some(Like { post, user, created_at })
        };
        Ok(threads.get(post).map(|thread| Listing::of(page, thread.likes.newest(page.after), item)).unwrap_or_default())
    }

    async fn liked(&self, user: UserId, posts: &[PostId]) -> Result<Vec<bool>, Unavailable> {
        let threads = self.store.read();
        Ok(posts.iter().map(|post| threads.get(*post).is_some_and(|thread| thread.likes.contains(user.0))).collect())
    }

    async fn traces(&self, user: UserId, limit: usize) -> Result<Traces, Unavailable> {
        let threads = self.store.read();
        let is_draft = |post: &PostId| threads.is_draft(*post);
        let posts = threads.orders.of(user).filter(|post| !is_draft(post)).take(limit).collect::<Vec<_>>();
        let limit = limit - posts.len();
        let comments = threads.traces.comments(user).take(limit).collect::<Vec<_>>();
        let limit = limit - comments.len();
        let likes = threads.traces.likes(user).take(limit).collect::<Vec<_>>();
        let limit = limit - likes.len();
        Ok(Traces { posts, comments, likes, drafts: threads.orders.of(user).filter(is_draft).take(limit).collect() })
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

#[async_trait]
impl ReadModel for MemoryPosts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        self.store.write(advance, |threads| changes.into_iter().for_each(|change| threads.apply(change)))
    }
}
