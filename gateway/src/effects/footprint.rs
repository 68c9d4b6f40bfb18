//! What is left of a person, found in the read models, and the command that deletes each of it.

use commands::{BlockCommand, Command, CommentCommand, FollowCommand, LikeCommand, MuteCommand, PostCommand};
use events::{CommentId, Key, PostId, SagaId, UserId};
use projections::{Posts, Sagas, Unavailable, Users};
use std::sync::Arc;

/// Looks for what is left. A read model that does not answer may hold anything: then nobody knows, and nothing is over.
pub struct Footprint {
    /// Who follows, blocks and mutes whom.
    pub users: Arc<dyn Users>,
    /// Posts, comments and likes.
    pub posts: Arc<dyn Posts>,
    /// What is under way.
    pub sagas: Arc<dyn Sagas>,
}

/// Something that a person left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A post of theirs, with all that lies under it.
    Post(PostId),
    /// A comment of theirs under somebody's post.
    Comment(PostId, CommentId),
    /// A like of theirs of somebody's post.
    Like(PostId),
    /// Somebody who follows them.
    Follower(UserId),
    /// Somebody whom they follow.
    Followee(UserId),
    /// Somebody who blocks them.
    Blocker(UserId),
    /// Somebody whom they block.
    Blocked(UserId),
    /// Somebody who mutes them.
    Muter(UserId),
    /// Somebody whom they mute.
    Muted(UserId),
}

impl Footprint {
    /// At most so many traces of a person.
    pub async fn traces(&self, user: UserId, limit: usize) -> Result<Vec<Trace>, Unavailable> {
        let left = self.posts.traces(user, limit).await?;
        let mut traces: Vec<Trace> = left.posts.into_iter().map(Trace::Post).collect();
        traces.extend(left.comments.into_iter().map(|(post, comment)| Trace::Comment(post, comment)));
        traces.extend(left.likes.into_iter().map(Trace::Like));
        let related = self.users.related(user, limit - traces.len()).await?;
        traces.extend(related.followers.into_iter().map(Trace::Follower));
        traces.extend(related.following.into_iter().map(Trace::Followee));
        traces.extend(related.blocked_by.into_iter().map(Trace::Blocker));
        traces.extend(related.blocking.into_iter().map(Trace::Blocked));
        traces.extend(related.muted_by.into_iter().map(Trace::Muter));
        traces.extend(related.muting.into_iter().map(Trace::Muted));
        Ok(traces)
    }

    /// Whether nothing is left, not even a draft, and nothing that they typed is shown.
    pub async fn is_empty(&self, user: UserId) -> Result<bool, Unavailable> {
        let is_left = !self.traces(user, 1).await?.is_empty() || self.posts.holds_trace(user).await?;
        Ok(!is_left && !self.users.holds(user).await?)
    }

    /// The sagas that are under way on their key or on their behalf.
    pub async fn sagas_of(&self, user: UserId) -> Result<Vec<SagaId>, Unavailable> {
        self.sagas.concerning(user).await
    }
}

impl Trace {
    /// What deletes it, as its owner would.
    pub(super) fn deletion(self, user: UserId) -> (Key, Command) {
        match self {
            Self::Post(post) => (Key::Post(post), PostCommand::Delete { post, by: user, if_version: None }.into()),
            Self::Comment(post, comment) => {
                (Key::Post(post), CommentCommand::Delete { comment, post, by: user }.into())
            }
            Self::Like(post) => (Key::Post(post), LikeCommand::Remove { post, user }.into()),
            Self::Follower(follower) => (Key::User(follower), FollowCommand::End { follower, followee: user }.into()),
            Self::Followee(followee) => (Key::User(user), FollowCommand::End { follower: user, followee }.into()),
            Self::Blocker(blocker) => (Key::User(blocker), BlockCommand::End { user: blocker, target: user }.into()),
            Self::Blocked(target) => (Key::User(user), BlockCommand::End { user, target }.into()),
            Self::Muter(muter) => (Key::User(muter), MuteCommand::End { user: muter, target: user }.into()),
            Self::Muted(target) => (Key::User(user), MuteCommand::End { user, target }.into()),
        }
    }
}
