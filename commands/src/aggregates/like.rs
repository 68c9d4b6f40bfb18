//! A user liking a post; decided on the post's key. A like is an aggregate of its own, so that a post with a million
//! likes is no heavier to decide on than one with none.

use super::{Fact, Post};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{LikeAdded, LikeEvent, LikeRemoved, PostId, UserId};
use serde::{Deserialize, Serialize};

/// Whether a user likes a post.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Like {
    /// Not now.
    #[default]
    Not,
    /// Yes.
    Liked,
}

/// What can be asked of a like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LikeCommand {
    /// Like.
    Add {
        /// Which post.
        post: PostId,
        /// Who.
        user: UserId,
    },
    /// Unlike.
    Remove {
        /// Which post.
        post: PostId,
        /// Who.
        user: UserId,
    },
}

impl Aggregate for Like {
    const TYPE: &'static str = "like";
    type Command = LikeCommand;
    type Event = Fact<LikeEvent>;
    type Error = Refusal;
    type Services = Post;

    async fn handle(&mut self, command: LikeCommand, of: &Post, sink: &EventSink<Self>) -> Result<(), Refusal> {
        of.author().ok_or(Refusal::NotFound)?;
        match command {
            LikeCommand::Add { .. } if *self == Self::Liked => Ok(()),
            LikeCommand::Add { post, user } => {
                sink.write(Fact(LikeAdded { post, user }.into()), self).await;
                Ok(())
            }
            LikeCommand::Remove { .. } if *self == Self::Not => Err(Refusal::NotFound),
            LikeCommand::Remove { post, user } => {
                sink.write(Fact(LikeRemoved { post, user }.into()), self).await;
                Ok(())
            }
        }
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        *self = match event {
            LikeEvent::Added(_) => Self::Liked,
            LikeEvent::Removed(_) => Self::Not,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::post::tests::post;
    use super::super::user::tests::user;
    use super::*;
    use cqrs_es::test::TestFramework;

    fn framework() -> TestFramework<Like> {
        TestFramework::with(Post::Published { author: user(1), version: 1 })
    }

    fn add() -> LikeCommand {
        LikeCommand::Add { post: post(), user: user(2) }
    }

    fn added() -> Fact<LikeEvent> {
        Fact(LikeAdded { post: post(), user: user(2) }.into())
    }

    #[test]
    fn liking_again_changes_nothing() {
        framework().given_no_previous_events().when(add()).then_expect_events(vec![added()]);
        framework().given(vec![added()]).when(add()).then_expect_events(vec![]);
    }

    #[test]
    fn what_is_not_liked_cannot_be_unliked() {
        let remove = LikeCommand::Remove { post: post(), user: user(2) };
        let removed = Fact(LikeRemoved { post: post(), user: user(2) }.into());
        framework().given(vec![added()]).when(remove.clone()).then_expect_events(vec![removed]);
        framework().given_no_previous_events().when(remove).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn what_is_gone_cannot_be_liked() {
        TestFramework::<Like>::with(Post::Deleted)
            .given_no_previous_events()
            .when(add())
            .then_expect_error(Refusal::NotFound);
    }
}
