//! The data behind [`super::Posts`]: each post with its comments and likes. A draft is a thread that nothing can lie
//! under.
//!
//! What nobody is shown any more stays without its text until it is deleted, since a deletion must find it: what those who
//! are gone have left, whether it came before they went or after, and what can no longer be read.

use super::change::{Body, Change};
use super::orders::Orders;
use super::traces::Traces;
use crate::dated::Dated;
use crate::text::Text;
use events::{CommentId, PostId, Timestamp, UserId};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Default)]
pub(super) struct Threads {
    posts: HashMap<PostId, Thread>,
    pub(super) orders: Orders,
    pub(super) traces: Traces,
    /// For good.
    gone: HashSet<UserId>,
}

/// A post or a draft, and what lies under it.
pub(super) struct Thread {
    pub(super) author: UserId,
    pub(super) draft: bool,
    /// `None` if nobody is shown it.
    pub(super) body: Option<Body>,
    pub(super) created_at: Timestamp,
    pub(super) edited_at: Option<Timestamp>,
    pub(super) comments: Dated<Remark>,
    pub(super) likes: Dated<()>,
    /// Boxed, since few have any.
    hidden: Option<Box<Hidden>>,
}

/// A comment under a post.
pub(super) struct Remark {
    pub(super) author: UserId,
    pub(super) text: Text,
}

/// What lies under a post and is shown to nobody.
#[derive(Default)]
struct Hidden {
    comments: BTreeMap<CommentId, UserId>,
    likes: BTreeSet<UserId>,
}

impl Threads {
    /// A published post; nobody but its author knows of a draft.
    pub(super) fn get(&self, post: PostId) -> Option<&Thread> {
        self.posts.get(&post).filter(|thread| thread.is_listed())
    }

    /// Whether it is a draft, also of somebody who is gone.
    pub(super) fn is_draft(&self, post: PostId) -> bool {
        self.posts.get(&post).is_some_and(|thread| thread.draft)
    }

    /// A published post, or a draft of the viewer's own.
    pub(super) fn seen(&self, post: PostId, viewer: Option<UserId>) -> Option<&Thread> {
        self.posts.get(&post).filter(|thread| !thread.draft || viewer == Some(thread.author))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.orders.is_empty()
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Written { post, author, draft, body, at } => {
                let body = body.filter(|_| !self.gone.contains(&author));
                self.add(post, Thread::new(author, draft, body, at));
            }
            Change::DraftPublished { post, at } => self.change(post, |thread| {
                if thread.draft {
                    (thread.draft, thread.created_at) = (false, at);
                }
            }),
            Change::Edited { post, body: Some(body), at } => {
                // Of what is hidden nothing is kept.
                if let Some(Thread { body: Some(shown), edited_at, .. }) = self.posts.get_mut(&post) {
                    (*shown, *edited_at) = (body, Some(at));
                }
            }
            Change::Edited { post, body: None, .. } => self.change(post, |thread| thread.body = None),
            Change::Deleted { post } => self.remove(post),
            Change::Commented { post, comment, author, text, at } => {
                let remark = text.filter(|_| !self.gone.contains(&author)).map(|text| Remark { author, text });
                self.comment(post, comment, author, remark, at);
            }
            Change::Uncommented { post, comment, author } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    thread.uncomment(comment);
                    self.traces.uncommented(author, post, comment);
                }
            }
            Change::Liked { post, user, at } => self.like(post, user, at),
            Change::Unliked { post, user } => {
                if let Some(thread) = published(&mut self.posts, post) {
                    thread.unlike(user);
                    self.traces.unliked(user, post);
                }
            }
            Change::Gone { user } => self.hide_all_of(user),
        }
    }

    fn add(&mut self, post: PostId, thread: Thread) {
        if let Entry::Vacant(place) = self.posts.entry(post) {
            self.orders.put(post, place.insert(thread));
        }
    }

    /// Changes what a post is, which may change where it stands.
    fn change(&mut self, post: PostId, change: impl FnOnce(&mut Thread)) {
        if let Some(thread) = self.posts.get_mut(&post) {
            self.orders.take(post, thread);
            change(thread);
            self.orders.put(post, thread);
        }
    }

    /// Without a remark the comment is there and nobody is shown it.
    fn comment(&mut self, post: PostId, comment: CommentId, author: UserId, remark: Option<Remark>, at: Timestamp) {
        let Some(thread) = published(&mut self.posts, post) else { return };
        if let Some(remark) = remark {
            thread.comments.insert(comment.0, at, remark);
        } else {
            thread.hide_comment(comment, author);
        }
        if author != thread.author {
            self.traces.commented(author, post, comment);
        }
    }

    fn like(&mut self, post: PostId, user: UserId, at: Timestamp) {
        let Some(thread) = published(&mut self.posts, post) else { return };
        if self.gone.contains(&user) {
            thread.hide_like(user);
        } else {
            thread.likes.insert(user.0, at, ());
        }
        if user != thread.author {
            self.traces.liked(user, post);
        }
    }

    /// Costs as much as the person has left. What lies under their own posts is not shown, as the posts are not.
    fn hide_all_of(&mut self, user: UserId) {
        if !self.gone.insert(user) {
            return;
        }
        for post in self.orders.of(user).collect::<Vec<_>>() {
            self.change(post, |thread| thread.body = None);
        }
        for (post, comment) in self.traces.comments(user) {
            if let Some(thread) = self.posts.get_mut(&post) {
                thread.hide_comment(comment, user);
            }
        }
        for post in self.traces.likes(user) {
            if let Some(thread) = self.posts.get_mut(&post) {
                thread.hide_like(user);
            }
        }
    }

    fn remove(&mut self, post: PostId) {
        let Some(thread) = self.posts.remove(&post) else { return };
        self.orders.take(post, &thread);
        thread.all_comments().for_each(|(comment, author)| self.traces.uncommented(author, post, comment));
        thread.all_likes().for_each(|user| self.traces.unliked(user, post));
    }
}

/// Nothing can lie under a draft.
fn published(posts: &mut HashMap<PostId, Thread>, post: PostId) -> Option<&mut Thread> {
    posts.get_mut(&post).filter(|thread| !thread.draft)
}

impl Thread {
    fn new(author: UserId, draft: bool, body: Option<Body>, created_at: Timestamp) -> Self {
        let (comments, likes, edited_at, hidden) = (Dated::default(), Dated::default(), None, None);
        Self { author, draft, body, created_at, edited_at, comments, likes, hidden }
    }

    /// Whether it is there for everybody.
    pub(super) fn is_listed(&self) -> bool {
        !self.draft && self.body.is_some()
    }

    #[cfg(test)]
    pub(super) fn hides_nothing(&self) -> bool {
        self.hidden.is_none()
    }

    fn hide_comment(&mut self, comment: CommentId, author: UserId) {
        self.comments.remove(comment.0);
        self.hidden.get_or_insert_default().comments.insert(comment, author);
    }

    fn hide_like(&mut self, user: UserId) {
        self.likes.remove(user.0);
        self.hidden.get_or_insert_default().likes.insert(user);
    }

    fn uncomment(&mut self, comment: CommentId) {
        self.comments.remove(comment.0);
        self.forget_hidden(|hidden| hidden.comments.remove(&comment).is_some());
    }

    fn unlike(&mut self, user: UserId) {
        self.likes.remove(user.0);
        self.forget_hidden(|hidden| hidden.likes.remove(&user));
    }

    fn forget_hidden(&mut self, forget: impl FnOnce(&mut Hidden) -> bool) {
        if let Some(hidden) = &mut self.hidden
            && forget(hidden)
            && hidden.comments.is_empty()
            && hidden.likes.is_empty()
        {
            self.hidden = None;
        }
    }

    fn all_comments(&self) -> impl Iterator<Item = (CommentId, UserId)> {
        let shown = self.comments.iter().map(|(id, remark)| (CommentId(id), remark.author));
        let hidden = self.hidden.iter().flat_map(|hidden| &hidden.comments);
        shown.chain(hidden.map(|(comment, author)| (*comment, *author)))
    }

    fn all_likes(&self) -> impl Iterator<Item = UserId> {
        let hidden = self.hidden.iter().flat_map(|hidden| hidden.likes.iter().copied());
        self.likes.ids().map(UserId).chain(hidden)
    }
}
