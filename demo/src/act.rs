//! The things that people do, each one logical write, and which of them must not overtake each other.
//!
//! Two acts that need the same resource, one of them exclusively, are carried out in the order of the plan. All others
//! may race: their outcome must be the same in every order, so that the model stays exact.

use crate::plan::Plan;

/// One write. People, posts and comments are their numbers in the plan; bios and drafts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Act {
    Register { person: usize },
    Bio { person: usize, bio: usize },
    Rename { person: usize },
    Logout { person: usize },
    Leave { person: usize },
    Follow { follower: usize, followee: usize },
    Unfollow { follower: usize, followee: usize },
    Publish { post: usize },
    Edit { post: usize, draft: usize },
    DeletePost { post: usize },
    Comment { comment: usize },
    DeleteComment { comment: usize },
    Like { person: usize, post: usize },
    Unlike { person: usize, post: usize },
    // From here on: what must be refused, or must change nothing.
    FollowAgain { follower: usize, followee: usize },
    UnfollowAgain { follower: usize, followee: usize },
    FollowMyself { person: usize },
    LikeAgain { person: usize, post: usize },
    UnlikeAgain { person: usize, post: usize },
    LikeDeleted { person: usize, post: usize },
    EditForeign { person: usize, post: usize },
    DeletePostAgain { post: usize },
    DeleteCommentAgain { comment: usize },
}

/// What an act needs for itself or shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// Name, bio, session, and that there is an account.
    Person(usize),
    Pair(usize, usize),
    /// That it exists.
    Post(usize),
    /// What it says.
    Text(usize),
    Comment(usize),
    Liked(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Shared,
    Exclusive,
}

impl Act {
    /// What it is called in the report; what must be refused or changes nothing goes under one name.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Register { .. } => "people",
            Self::Follow { .. } => "follows",
            Self::Publish { .. } => "posts",
            Self::Comment { .. } => "comments",
            Self::Like { .. } => "likes",
            Self::Edit { .. } => "edits",
            Self::Bio { .. } => "bios",
            Self::Rename { .. } => "renames",
            Self::Logout { .. } => "logouts",
            Self::Leave { .. } => "leaves",
            Self::Unfollow { .. } => "unfollows",
            Self::Unlike { .. } => "unlikes",
            Self::DeletePost { .. } | Self::DeleteComment { .. } => "deletes",
            Self::FollowAgain { .. }
            | Self::UnfollowAgain { .. }
            | Self::FollowMyself { .. }
            | Self::LikeAgain { .. }
            | Self::UnlikeAgain { .. }
            | Self::LikeDeleted { .. }
            | Self::EditForeign { .. }
            | Self::DeletePostAgain { .. }
            | Self::DeleteCommentAgain { .. } => "repetitions and refusals",
        }
    }

    pub(crate) fn actor(self, plan: &Plan) -> usize {
        match self {
            Self::Register { person }
            | Self::Bio { person, .. }
            | Self::Rename { person }
            | Self::Logout { person }
            | Self::Leave { person }
            | Self::FollowMyself { person }
            | Self::Like { person, .. }
            | Self::LikeAgain { person, .. }
            | Self::LikeDeleted { person, .. }
            | Self::Unlike { person, .. }
            | Self::UnlikeAgain { person, .. }
            | Self::EditForeign { person, .. } => person,
            Self::Follow { follower, .. }
            | Self::FollowAgain { follower, .. }
            | Self::Unfollow { follower, .. }
            | Self::UnfollowAgain { follower, .. } => follower,
            Self::Publish { post }
            | Self::Edit { post, .. }
            | Self::DeletePost { post }
            | Self::DeletePostAgain { post } => plan.posts[post].author,
            Self::Comment { comment } | Self::DeleteComment { comment } | Self::DeleteCommentAgain { comment } => {
                plan.comments[comment].author
            }
        }
    }

    pub(crate) fn needs(self, plan: &Plan) -> Vec<(Resource, Access)> {
        use Access::{Exclusive, Shared};
        let by = (Resource::Person(self.actor(plan)), Shared);
        match self {
            Self::Register { person }
            | Self::Bio { person, .. }
            | Self::Rename { person }
            | Self::Logout { person }
            | Self::Leave { person } => {
                vec![(Resource::Person(person), Exclusive)]
            }
            Self::FollowMyself { .. } => vec![by],
            Self::Follow { follower, followee }
            | Self::Unfollow { follower, followee }
            | Self::UnfollowAgain { follower, followee } => vec![by, (Resource::Pair(follower, followee), Exclusive)],
            Self::FollowAgain { follower, followee } => vec![by, (Resource::Pair(follower, followee), Shared)],
            Self::Publish { post } | Self::DeletePost { post } | Self::DeletePostAgain { post } => {
                vec![by, (Resource::Post(post), Exclusive)]
            }
            Self::Edit { post, .. } => vec![by, (Resource::Post(post), Shared), (Resource::Text(post), Exclusive)],
            Self::EditForeign { post, .. } | Self::LikeDeleted { post, .. } => vec![by, (Resource::Post(post), Shared)],
            Self::Comment { comment } | Self::DeleteComment { comment } | Self::DeleteCommentAgain { comment } => {
                vec![by, (Resource::Post(plan.comments[comment].post), Shared), (Resource::Comment(comment), Exclusive)]
            }
            Self::Like { person, post } | Self::Unlike { person, post } | Self::UnlikeAgain { person, post } => {
                vec![by, (Resource::Post(post), Shared), (Resource::Liked(person, post), Exclusive)]
            }
            Self::LikeAgain { person, post } => {
                vec![by, (Resource::Post(post), Shared), (Resource::Liked(person, post), Shared)]
            }
        }
    }

    /// Whether it comes with an `Idempotency-Key`. An account is deleted once, whoever asks for it.
    pub(crate) fn is_keyed(self) -> bool {
        !matches!(self, Self::Leave { .. })
    }

    /// Whether it can be sent again as it stands: what ends the session that it comes with cannot.
    pub(crate) fn is_repeatable(self) -> bool {
        !matches!(self, Self::Logout { .. } | Self::Leave { .. })
    }

    /// The only status that the API's contract allows as the answer.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Register { .. }
            | Self::Follow { .. }
            | Self::Publish { .. }
            | Self::Comment { .. }
            | Self::Like { .. } => 201,
            Self::Bio { .. }
            | Self::Rename { .. }
            | Self::Edit { .. }
            | Self::FollowAgain { .. }
            | Self::LikeAgain { .. } => 200,
            Self::Logout { .. }
            | Self::Leave { .. }
            | Self::Unfollow { .. }
            | Self::DeletePost { .. }
            | Self::DeleteComment { .. }
            | Self::Unlike { .. } => 204,
            Self::EditForeign { .. } => 403,
            Self::UnfollowAgain { .. }
            | Self::UnlikeAgain { .. }
            | Self::LikeDeleted { .. }
            | Self::DeletePostAgain { .. }
            | Self::DeleteCommentAgain { .. } => 404,
            Self::FollowMyself { .. } => 409,
        }
    }
}
