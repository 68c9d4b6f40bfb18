//! One user following another; decided on the follower's key.
//!
//! That the followee exists is a rule across keys: the gateway checks it against the users read model, and whoever reads
//! a list passes over an account that is not there.

use super::{Fact, User};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{FollowEnded, FollowEvent, FollowStarted, UserId};
use serde::{Deserialize, Serialize};

/// Whether one user follows another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Follow {
    /// Not now.
    #[default]
    Not,
    /// Yes.
    Following,
}

/// What can be asked of a follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowCommand {
    /// Follow.
    Start {
        /// Who.
        follower: UserId,
        /// Whom.
        followee: UserId,
    },
    /// Unfollow.
    End {
        /// Who.
        follower: UserId,
        /// Whom.
        followee: UserId,
    },
    /// The one who is followed blocks the other. Of a follow that is not there it changes nothing.
    Sever {
        /// Who.
        follower: UserId,
        /// Whom.
        followee: UserId,
    },
}

impl Aggregate for Follow {
    const TYPE: &'static str = "follow";
    type Command = FollowCommand;
    type Event = Fact<FollowEvent>;
    type Error = Refusal;
    type Services = User;

    async fn handle(&mut self, command: FollowCommand, owner: &User, sink: &EventSink<Self>) -> Result<(), Refusal> {
        match command {
            FollowCommand::Start { .. } if owner.active().is_none() => Err(Refusal::NotFound),
            FollowCommand::Start { follower, followee } if follower == followee => Err(Refusal::SelfFollow),
            FollowCommand::Start { .. } if *self == Self::Following => Ok(()),
            FollowCommand::Start { follower, followee } => {
                sink.write(Fact(FollowStarted { follower, followee }.into()), self).await;
                Ok(())
            }
            // Also by who is being deleted: their follows are ended one by one.
            FollowCommand::End { .. } if *self == Self::Not => Err(Refusal::NotFound),
            FollowCommand::Sever { .. } if *self == Self::Not => Ok(()),
            FollowCommand::End { follower, followee } | FollowCommand::Sever { follower, followee } => {
                sink.write(Fact(FollowEnded { follower, followee }.into()), self).await;
                Ok(())
            }
        }
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        *self = match event {
            FollowEvent::Started(_) => Self::Following,
            FollowEvent::Ended(_) => Self::Not,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::tests::{account, user};
    use super::*;
    use cqrs_es::test::TestFramework;

    fn framework() -> TestFramework<Follow> {
        TestFramework::with(User::Active(account()))
    }

    fn start() -> FollowCommand {
        FollowCommand::Start { follower: user(1), followee: user(2) }
    }

    fn started() -> Fact<FollowEvent> {
        Fact(FollowStarted { follower: user(1), followee: user(2) }.into())
    }

    fn ended() -> Fact<FollowEvent> {
        Fact(FollowEnded { follower: user(1), followee: user(2) }.into())
    }

    #[test]
    fn following_again_changes_nothing() {
        framework().given_no_previous_events().when(start()).then_expect_events(vec![started()]);
        framework().given(vec![started()]).when(start()).then_expect_events(vec![]);
        framework().given(vec![started(), ended()]).when(start()).then_expect_events(vec![started()]);
    }

    #[test]
    fn nobody_follows_themselves() {
        framework()
            .given_no_previous_events()
            .when(FollowCommand::Start { follower: user(1), followee: user(1) })
            .then_expect_error(Refusal::SelfFollow);
    }

    #[test]
    fn who_is_being_deleted_unfollows_but_does_not_follow() {
        let framework = || TestFramework::<Follow>::with(User::Disabled(account()));
        let end = FollowCommand::End { follower: user(1), followee: user(2) };
        framework().given(vec![started()]).when(end).then_expect_events(vec![ended()]);
        framework().given_no_previous_events().when(start()).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn a_follow_is_severed_if_it_is_there_also_of_who_is_being_deleted() {
        let sever = || FollowCommand::Sever { follower: user(1), followee: user(2) };
        let disabled = || TestFramework::<Follow>::with(User::Disabled(account()));
        framework().given(vec![started()]).when(sever()).then_expect_events(vec![ended()]);
        disabled().given(vec![started()]).when(sever()).then_expect_events(vec![ended()]);
        framework().given_no_previous_events().when(sever()).then_expect_events(vec![]);
        framework().given(vec![started(), ended()]).when(start()).then_expect_events(vec![started()]);
    }

    #[test]
    fn who_does_not_follow_cannot_unfollow() {
        let end = FollowCommand::End { follower: user(1), followee: user(2) };
        framework().given(vec![started()]).when(end.clone()).then_expect_events(vec![ended()]);
        framework().given_no_previous_events().when(end).then_expect_error(Refusal::NotFound);
    }
}
