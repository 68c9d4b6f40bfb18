//! Who has commented on and liked whose posts, found by the person: what a deletion must reach.
//!
//! One set each for everybody: most people leave little behind, and a set of their own for each would cost more than what
//! is in it. What somebody left under their own posts is not here, for it goes with the post.

use events::{CommentId, PostId, UserId};
use std::collections::BTreeSet;
use uuid::Uuid;

const FIRST: PostId = PostId(Uuid::nil());
const LAST: PostId = PostId(Uuid::max());

#[derive(Default)]
pub(super) struct Traces {
    comments: BTreeSet<(UserId, PostId, CommentId)>,
    likes: BTreeSet<(UserId, PostId)>,
}

impl Traces {
    pub(super) fn comments(&self, user: UserId) -> impl Iterator<Item = (PostId, CommentId)> {
        let ends = (user, FIRST, CommentId(Uuid::nil()))..=(user, LAST, CommentId(Uuid::max()));
        self.comments.range(ends).map(|(_, post, comment)| (*post, *comment))
    }

    pub(super) fn likes(&self, user: UserId) -> impl Iterator<Item = PostId> {
        self.likes.range((user, FIRST)..=(user, LAST)).map(|(_, post)| *post)
    }

    pub(super) fn commented(&mut self, user: UserId, post: PostId, comment: CommentId) {
        self.comments.insert((user, post, comment));
    }

    pub(super) fn uncommented(&mut self, user: UserId, post: PostId, comment: CommentId) {
        self.comments.remove(&(user, post, comment));
    }

    pub(super) fn liked(&mut self, user: UserId, post: PostId) {
        self.likes.insert((user, post));
    }

    pub(super) fn unliked(&mut self, user: UserId, post: PostId) {
        self.likes.remove(&(user, post));
    }
}
