//! Who has commented on and liked whose posts since when, found by the person: what a deletion must reach, and how much
//! somebody has lately had to do with an author.
//!
//! One set each for everybody: most people leave little behind, and a set of their own for each would cost more than what
//! is in it. What somebody left under their own posts is not here, for it goes with the post.

use events::{CommentId, PostId, Timestamp, UserId};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use uuid::Uuid;

const FIRST: Uuid = Uuid::nil();
const LAST: Uuid = Uuid::max();
const BEGINNING: Timestamp = Timestamp(i64::MIN);
const END: Timestamp = Timestamp(i64::MAX);

#[derive(Default)]
pub(super) struct Traces {
    comments: BTreeSet<(Act, CommentId)>,
    likes: BTreeSet<Act>,
}

/// Somebody does something with a post of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Act {
    // The order of the fields is that of the sets.
    pub(super) user: UserId,
    pub(super) author: UserId,
    pub(super) at: Timestamp,
    pub(super) post: PostId,
}

impl Act {
    fn all_of(user: UserId) -> RangeInclusive<Self> {
        let end = |author, at, post| Self { user, author: UserId(author), at, post: PostId(post) };
        end(FIRST, BEGINNING, FIRST)..=end(LAST, END, LAST)
    }

    fn of_since(user: UserId, author: UserId, since: Timestamp) -> RangeInclusive<Self> {
        let end = |at, post| Self { user, author, at, post: PostId(post) };
        end(since, FIRST)..=end(END, LAST)
    }
}

fn with_comments(acts: &RangeInclusive<Act>) -> RangeInclusive<(Act, CommentId)> {
    (*acts.start(), CommentId(FIRST))..=(*acts.end(), CommentId(LAST))
}

impl Traces {
    pub(super) fn comments(&self, user: UserId) -> impl Iterator<Item = (PostId, CommentId)> {
        let comments = self.comments.range(with_comments(&Act::all_of(user)));
        comments.map(|(act, comment)| (act.post, *comment))
    }

    pub(super) fn likes(&self, user: UserId) -> impl Iterator<Item = PostId> {
        self.likes.range(Act::all_of(user)).map(|act| act.post)
    }

    /// How many likes and comments `user` has left with an author since then, each counted up to `max`.
    pub(super) fn count_since(&self, user: UserId, author: UserId, since: Timestamp, max: usize) -> (usize, usize) {
        let acts = Act::of_since(user, author, since);
        let comments = self.comments.range(with_comments(&acts)).take(max).count();
        (self.likes.range(acts).take(max).count(), comments)
    }

    pub(super) fn commented(&mut self, act: Act, comment: CommentId) {
        if act.user != act.author {
            self.comments.insert((act, comment));
        }
    }

    pub(super) fn uncommented(&mut self, act: Act, comment: CommentId) {
        self.comments.remove(&(act, comment));
    }

    pub(super) fn liked(&mut self, act: Act) {
        if act.user != act.author {
            self.likes.insert(act);
        }
    }

    pub(super) fn unliked(&mut self, act: Act) {
        self.likes.remove(&act);
    }
}
