//! A post with what lies under it: likes and comments are refused when the post is gone, so they are one object with it.

use super::{Effect, Id, Object, Why};
use std::collections::{BTreeMap, BTreeSet};

/// A post, its comments and its likes.
pub struct Post;

/// The state of a [`Post`].
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Nobody has published it.
    #[default]
    Absent,
    /// It can be read.
    Published {
        /// By whom.
        author: Id,
        /// Who likes it.
        likes: BTreeSet<Id>,
        /// The comments' authors; `None` for those that are deleted.
        comments: BTreeMap<Id, Option<Id>>,
    },
    /// It is gone with all that lay under it, and stays so.
    Deleted,
}

/// What can be asked of a [`Post`].
#[derive(Clone, Debug)]
pub enum Op {
    /// To publish it.
    Publish(Id),
    /// To replace its content.
    Edit(Id),
    /// To delete it.
    Delete(Id),
    /// To like it.
    Like(Id),
    /// To like it no longer.
    Unlike(Id),
    /// Whether somebody likes it.
    IsLiked(Id),
    /// To add a comment.
    Comment {
        /// The new comment.
        comment: Id,
        /// Its author.
        by: Id,
    },
    /// To delete a comment.
    Uncomment {
        /// Which.
        comment: Id,
        /// Who asks.
        by: Id,
    },
}

impl Object for Post {
    type State = State;
    type Op = Op;

    fn step(state: &mut State, op: &Op) -> Effect {
        match state {
            State::Absent => match op {
                Op::Publish(author) => {
                    *state = State::Published { author: *author, likes: BTreeSet::new(), comments: BTreeMap::new() };
                    Effect::Happens
                }
                _ => Effect::Refused(Why::NotFound),
            },
            State::Deleted => Effect::Refused(Why::NotFound),
            State::Published { author, likes, comments } => match *op {
                Op::Publish(by) if by == *author => Effect::Already,
                Op::Publish(by) | Op::Edit(by) | Op::Delete(by) if by != *author => Effect::Refused(Why::Forbidden),
                Op::Publish(_) | Op::Edit(_) => Effect::Happens,
                Op::Delete(_) => {
                    *state = State::Deleted;
                    Effect::Happens
                }
                Op::Like(by) if likes.insert(by) => Effect::Happens,
                Op::Like(_) => Effect::Already,
                Op::Unlike(by) if likes.remove(&by) => Effect::Happens,
                Op::Unlike(_) => Effect::Refused(Why::NotFound),
                Op::IsLiked(by) => Effect::Shows(likes.contains(&by)),
                Op::Comment { comment, by } => match comments.get(&comment) {
                    None => {
                        comments.insert(comment, Some(by));
                        Effect::Happens
                    }
                    Some(Some(of)) if *of == by => Effect::Already,
                    Some(Some(_)) => Effect::Refused(Why::Forbidden),
                    Some(None) => Effect::Refused(Why::NotFound),
                },
                Op::Uncomment { comment, by } => match comments.get_mut(&comment) {
                    Some(of @ Some(_)) if *of == Some(by) || *author == by => {
                        *of = None;
                        Effect::Happens
                    }
                    Some(Some(_)) => Effect::Refused(Why::Forbidden),
                    Some(None) | None => Effect::Refused(Why::NotFound),
                },
            },
        }
    }
}
