//! The data behind [`super::MemoryPosts`]: each post with its comments and likes. A draft is a thread that nothing can lie
//! under.
//!
//! What nobody is shown any more stays without its text until it is deleted, since a deletion must find it: what those who
//! are gone have left, whether it came before they went or after, and what can no longer be read.

use super::orders::Orders;
use super::traces::{Act, Traces};
use super::versions::Versions;
use crate::dated::Dated;
use crate::posts::change::{Body, Change};
use crate::text::Text;
use events::{CommentId, PostId, Timestamp, UserId};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    pub(super) text: Option<Versions>,
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
    comments: BTreeMap<CommentId, (Timestamp, UserId)>,
    likes: BTreeMap<UserId, Timestamp>,
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
            Change::Edited { post, body, at } => self.change(post, |thread| thread.edit(body, at)),
            Change::Deleted { post } => self.remove(post),
            Change::Commented { post, comment, author, text, at } => {
                let remark = text.filter(|_| !self.gone.contains(&author)).map(|text| Remark { author, text });
                self.comment(post, comment, author, remark, at);
            }
            Change::Uncommented { post, comment, author } => {
                if let Some(thread) = published(&mut self.posts, post)
                    && let Some(at) = thread.uncomment(comment)
                {
                    self.traces.uncommented(thread.act(author, at, post), comment);
                }
            }
            Change::Liked { post, user, at } => self.like(post, user, at),
            Change::Unliked { post, user } => {
                if let Some(thread) = published(&mut self.posts, post)
                    && let Some(at) = thread.unlike(user)
                {
                    self.traces.unliked(thread.act(user, at, post));
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
            thread.hidden().comments.insert(comment, (at, author));
        }
        self.traces.commented(thread.act(author, at, post), comment);
    }

    fn like(&mut self, post: PostId, user: UserId, at: Timestamp) {
        let Some(thread) = published(&mut self.posts, post) else { return };
        if self.gone.contains(&user) {
            thread.hidden().likes.insert(user, at);
        } else {
            thread.likes.insert(user.0, at, ());
        }
        self.traces.liked(thread.act(user, at, post));
    }

    /// Costs as much as the person has left. What lies under their own posts is not shown, as the posts are not.
    fn hide_all_of(&mut self, user: UserId) {
        if !self.gone.insert(user) {
            return;
        }
        for post in self.orders.of(user).collect::<Vec<_>>() {
            self.change(post, |thread| thread.text = None);
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
        for (comment, at, author) in thread.all_comments() {
            self.traces.uncommented(thread.act(author, at, post), comment);
        }
        thread.all_likes().for_each(|(user, at)| self.traces.unliked(thread.act(user, at, post)));
    }
}

/// Nothing can lie under a draft.
fn published(posts: &mut HashMap<PostId, Thread>, post: PostId) -> Option<&mut Thread> {
    posts.get_mut(&post).filter(|thread| !thread.draft)
}

impl Thread {
    fn new(author: UserId, draft: bool, body: Option<Body>, created_at: Timestamp) -> Self {
        let (comments, likes, edited_at, hidden) = (Dated::default(), Dated::default(), None, None);
        Self { author, draft, text: body.map(Versions::new), created_at, edited_at, comments, likes, hidden }
    }

    /// Whether it is there for everybody.
    pub(super) fn is_listed(&self) -> bool {
        !self.draft && self.text.is_some()
    }

    pub(super) fn hashtags(&self) -> &[Text] {
        self.text.as_ref().map_or(&[], |text| &text.newest().hashtags)
    }

    /// When it was written as it is now.
    pub(super) fn written_at(&self) -> Timestamp {
        self.edited_at.unwrap_or(self.created_at)
    }

    fn edit(&mut self, body: Option<Body>, at: Timestamp) {
        let written = self.written_at();
        match (&mut self.text, body) {
            (Some(text), Some(body)) => {
                text.replace(body, written);
                self.edited_at = Some(at);
            }
            // Of what is hidden nothing is kept.
            (text, _) => *text = None,
        }
    }

    fn act(&self, user: UserId, at: Timestamp, post: PostId) -> Act {
        Act { user, author: self.author, at, post }
    }

    #[cfg(test)]
    pub(super) fn hides_nothing(&self) -> bool {
        self.hidden.is_none()
    }

    fn hidden(&mut self) -> &mut Hidden {
        self.hidden.get_or_insert_default()
    }

    fn hide_comment(&mut self, comment: CommentId, author: UserId) {
        if let Some((at, _)) = self.comments.get(comment.0) {
            self.comments.remove(comment.0);
            self.hidden().comments.insert(comment, (at, author));
        }
    }

    fn hide_like(&mut self, user: UserId) {
        if let Some((at, ())) = self.likes.get(user.0) {
            self.likes.remove(user.0);
            self.hidden().likes.insert(user, at);
        }
    }

    /// Returns when it was added.
    fn uncomment(&mut self, comment: CommentId) -> Option<Timestamp> {
        let shown = self.comments.get(comment.0).map(|(at, _)| at);
        self.comments.remove(comment.0);
        shown.or_else(|| self.forget_hidden(|hidden| hidden.comments.remove(&comment).map(|(at, _)| at)))
    }

    /// Returns since when it was liked.
    fn unlike(&mut self, user: UserId) -> Option<Timestamp> {
        let shown = self.likes.get(user.0).map(|(at, ())| at);
        self.likes.remove(user.0);
        shown.or_else(|| self.forget_hidden(|hidden| hidden.likes.remove(&user)))
    }

    fn forget_hidden<T>(&mut self, forget: impl FnOnce(&mut Hidden) -> Option<T>) -> Option<T> {
        let hidden = self.hidden.as_mut()?;
        let forgotten = forget(hidden);
        if hidden.comments.is_empty() && hidden.likes.is_empty() {
            self.hidden = None;
        }
        forgotten
    }

    fn all_comments(&self) -> impl Iterator<Item = (CommentId, Timestamp, UserId)> {
        let shown = self.comments.iter().map(|(id, at, remark)| (CommentId(id), at, remark.author));
        let hidden = self.hidden.iter().flat_map(|hidden| &hidden.comments);
        shown.chain(hidden.map(|(comment, (at, author))| (*comment, *at, *author)))
    }

    fn all_likes(&self) -> impl Iterator<Item = (UserId, Timestamp)> {
        let hidden = self.hidden.iter().flat_map(|hidden| &hidden.likes);
        self.likes.iter().map(|(id, at, ())| (UserId(id), at)).chain(hidden.map(|(user, at)| (*user, *at)))
    }
}
