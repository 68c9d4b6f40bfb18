//! The data behind [`super::Posts`]: each post with its comments and likes, and the posts in their order. A draft
//! is a thread that nothing can lie under and that is in no order.

use super::change::{Body, Change};
use super::traces::Traces;
use crate::dated::Dated;
use crate::listing::Place;
use crate::text::Text;
use events::{CommentId, PostId, Timestamp, UserId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Threads {
    posts: HashMap<PostId, Thread>,
    pub(super) latest: BTreeSet<Place>,
    pub(super) by_author: HashMap<UserId, BTreeSet<Place>>,
    drafts: BTreeSet<(UserId, PostId)>,
    pub(super) traces: Traces,
}

/// A post or a draft, and what lies under it.
pub(super) struct Thread {
    pub(super) author: UserId,
    pub(super) draft: bool,
    pub(super) content: Text,
    pub(super) hashtags: Arc<[Text]>,
    pub(super) mentions: Arc<[UserId]>,
    pub(super) created_at: Timestamp,
    pub(super) edited_at: Option<Timestamp>,
    pub(super) comments: Dated<Remark>,
    pub(super) likes: Dated<()>,
}

/// A comment under a post.
pub(super) struct Remark {
    pub(super) author: UserId,
    pub(super) text: Text,
}

impl Threads {
    /// A published post; nobody but its author knows of a draft.
    pub(super) fn get(&self, post: PostId) -> Option<&Thread> {
        self.posts.get(&post).filter(|thread| !thread.draft)
    }

    /// A published post, or a draft of the viewer's own.
    pub(super) fn seen(&self, post: PostId, viewer: Option<UserId>) -> Option<&Thread> {
        self.posts.get(&post).filter(|thread| !thread.draft || viewer == Some(thread.author))
    }

    /// All posts and drafts of an author.
    pub(super) fn posts_of(&self, author: UserId) -> impl Iterator<Item = PostId> {
        let drafts = self.drafts.range((author, PostId(Uuid::nil()))..=(author, PostId(Uuid::max())));
        let published = self.by_author.get(&author).into_iter().flatten();
        published.map(|(_, id)| PostId(*id)).chain(drafts.map(|(_, post)| *post))
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Published { post, author, body, at } => {
                if self.add(post, author, body, at, false) {
                    self.list(post, author, at);
                }
            }
            Change::Drafted { post, author, body, at } => {
                if self.add(post, author, body, at, true) {
                    self.drafts.insert((author, post));
                }
            }
            Change::DraftPublished { post, at } => self.publish_draft(post, at),
            Change::Edited { post, body, at } => {
                if let Some(thread) = self.posts.get_mut(&post) {
                    (thread.content, thread.hashtags, thread.mentions) = (body.content, body.hashtags, body.mentions);
                    thread.edited_at = Some(at);
                }
            }
            Change::Gone { post } => self.remove(post),
            Change::Commented { post, comment, remark, at } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    let by = remark.author;
                    if thread.comments.insert(comment.0, at, remark) && by != thread.author {
                        self.traces.commented(by, post, comment);
                    }
                }
            }
            Change::Uncommented { post, comment } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    let by = thread.comments.get(comment.0).map(|(_, remark)| remark.author);
                    by.into_iter().for_each(|by| self.traces.uncommented(by, post, comment));
                    thread.comments.remove(comment.0);
                }
            }
            Change::Liked { post, user, at } => {
                if let Some(thread) = published(&mut self.posts, post)
                    && thread.likes.insert(user.0, at, ())
                    && user != thread.author
                {
                    self.traces.liked(user, post);
                }
            }
            Change::Unliked { post, user } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    thread.likes.remove(user.0);
                    self.traces.unliked(user, post);
                }
            }
        }
    }

    /// Returns whether it was not there before.
    fn add(&mut self, post: PostId, author: UserId, body: Body, created_at: Timestamp, draft: bool) -> bool {
        if self.posts.contains_key(&post) {
            return false;
        }
        let Body { content, hashtags, mentions } = body;
        let (comments, likes, edited_at) = (Dated::default(), Dated::default(), None);
        let thread = Thread { author, draft, content, hashtags, mentions, created_at, edited_at, comments, likes };
        self.posts.insert(post, thread);
        true
    }

    fn publish_draft(&mut self, post: PostId, at: Timestamp) {
        let Some(thread) = self.posts.get_mut(&post).filter(|thread| thread.draft) else { return };
        (thread.draft, thread.created_at) = (false, at);
        let author = thread.author;
        self.drafts.remove(&(author, post));
        self.list(post, author, at);
    }

    fn list(&mut self, post: PostId, author: UserId, at: Timestamp) {
        self.latest.insert((at, post.0));
        self.by_author.entry(author).or_default().insert((at, post.0));
    }

    fn remove(&mut self, post: PostId) {
        let Some(thread) = self.posts.remove(&post) else { return };
        for id in thread.comments.ids() {
            let by = thread.comments.get(id).map(|(_, remark)| remark.author);
            by.into_iter().for_each(|by| self.traces.uncommented(by, post, CommentId(id)));
        }
        thread.likes.ids().for_each(|user| self.traces.unliked(UserId(user), post));
        self.drafts.remove(&(thread.author, post));
        let place = (thread.created_at, post.0);
        self.latest.remove(&place);
        if let Some(order) = self.by_author.get_mut(&thread.author) {
            order.remove(&place);
            if order.is_empty() {
                self.by_author.remove(&thread.author);
            }
        }
    }
}

/// Nothing can lie under a draft.
fn published(posts: &mut HashMap<PostId, Thread>, post: PostId) -> Option<&mut Thread> {
    posts.get_mut(&post).filter(|thread| !thread.draft)
}
