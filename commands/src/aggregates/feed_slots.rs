//! The places in a person's feed that posts in creation hold: a bound on how much one person may have under way.

use super::{Fact, User};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{FeedSlotCommitted, FeedSlotEvent, FeedSlotReleased, FeedSlotReserved, PostId, SagaId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Posts that one person may have in creation at one time.
pub const POSTS_IN_CREATION_MAX: usize = 50;

/// The drafts of a person, each with the saga that creates it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedSlots {
    drafts: BTreeMap<PostId, SagaId>,
}

/// What can be asked of a person's places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedSlotCommand {
    /// Takes a place. [`Refusal::Forbidden`] if the account cannot act any more, [`Refusal::TooManyDrafts`] if there is
    /// no place left.
    Reserve {
        /// Whose feed.
        user: UserId,
        /// For which post.
        post: PostId,
        /// By which saga.
        saga: SagaId,
    },
    /// The draft is a post: gives the place back. Of a place that is not taken it changes nothing.
    Commit {
        /// Whose feed.
        user: UserId,
        /// For which post.
        post: PostId,
        /// By which saga.
        saga: SagaId,
    },
    /// Gives it back. Accepted also when there is nothing to give back: it may have overtaken its reservation.
    Release {
        /// Whose feed.
        user: UserId,
        /// For which post.
        post: PostId,
        /// By which saga.
        saga: SagaId,
    },
}

impl Aggregate for FeedSlots {
    const TYPE: &'static str = "feed_slots";
    type Command = FeedSlotCommand;
    type Event = Fact<FeedSlotEvent>;
    type Error = Refusal;
    type Services = User;

    async fn handle(&mut self, command: FeedSlotCommand, owner: &User, sink: &EventSink<Self>) -> Result<(), Refusal> {
        let event: FeedSlotEvent = match command {
            FeedSlotCommand::Reserve { user, post, saga } => {
                match owner {
                    User::Absent => return Err(Refusal::NotFound),
                    User::Disabled(_) => return Err(Refusal::Forbidden),
                    User::Active(_) if self.drafts.contains_key(&post) => return Ok(()),
                    User::Active(_) if self.drafts.len() >= POSTS_IN_CREATION_MAX => {
                        return Err(Refusal::TooManyDrafts);
                    }
                    User::Active(_) => {}
                }
                FeedSlotReserved { user, post, saga }.into()
            }
            FeedSlotCommand::Commit { user, post, saga } => {
                if self.drafts.get(&post) != Some(&saga) {
                    return Ok(());
                }
                FeedSlotCommitted { user, post, saga }.into()
            }
            FeedSlotCommand::Release { user, post, saga } => FeedSlotReleased { user, post, saga }.into(),
        };
        sink.write(Fact(event), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            FeedSlotEvent::Reserved(FeedSlotReserved { post, saga, .. }) => {
                self.drafts.insert(post, saga);
            }
            FeedSlotEvent::Committed(FeedSlotCommitted { post, saga, .. })
            | FeedSlotEvent::Released(FeedSlotReleased { post, saga, .. }) => {
                if self.drafts.get(&post) == Some(&saga) {
                    self.drafts.remove(&post);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::tests::{account, user};
    use super::*;
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    fn framework() -> TestFramework<FeedSlots> {
        TestFramework::with(User::Active(account()))
    }

    fn place(n: u128) -> (UserId, PostId, SagaId) {
        (user(1), PostId(Uuid::from_u128(n)), SagaId(Uuid::from_u128(n)))
    }

    fn reserve(n: u128) -> FeedSlotCommand {
        let (user, post, saga) = place(n);
        FeedSlotCommand::Reserve { user, post, saga }
    }

    fn reserved(n: u128) -> Fact<FeedSlotEvent> {
        let (user, post, saga) = place(n);
        Fact(FeedSlotReserved { user, post, saga }.into())
    }

    fn released(n: u128) -> Fact<FeedSlotEvent> {
        let (user, post, saga) = place(n);
        Fact(FeedSlotReleased { user, post, saga }.into())
    }

    #[test]
    fn a_place_is_taken_once() {
        framework().given_no_previous_events().when(reserve(1)).then_expect_events(vec![reserved(1)]);
        framework().given(vec![reserved(1)]).when(reserve(1)).then_expect_events(vec![]);
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let full = || (1..=POSTS_IN_CREATION_MAX as u128).map(reserved).collect::<Vec<_>>();
        framework().given(full()).when(reserve(1_000)).then_expect_error(Refusal::TooManyDrafts);
        let one_left = full().into_iter().chain([released(7)]).collect();
        framework().given(one_left).when(reserve(1_000)).then_expect_events(vec![reserved(1_000)]);
    }

    #[test]
    fn who_cannot_act_has_no_place() {
        let framework = TestFramework::<FeedSlots>::with;
        let gone = User::Disabled(account());
        framework(gone).given_no_previous_events().when(reserve(1)).then_expect_error(Refusal::Forbidden);
        framework(User::Absent).given_no_previous_events().when(reserve(1)).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn a_place_is_given_back_also_before_it_was_taken() {
        let (user, post, saga) = place(1);
        let release = FeedSlotCommand::Release { user, post, saga };
        framework().given(vec![reserved(1)]).when(release.clone()).then_expect_events(vec![released(1)]);
        framework().given_no_previous_events().when(release).then_expect_events(vec![released(1)]);
    }

    #[test]
    fn a_post_needs_its_place_no_more() {
        let (user, post, saga) = place(1);
        let commit = FeedSlotCommand::Commit { user, post, saga };
        let committed = Fact(FeedSlotCommitted { user, post, saga }.into());
        framework().given(vec![reserved(1)]).when(commit.clone()).then_expect_events(vec![committed.clone()]);
        framework().given(vec![reserved(1), committed]).when(commit).then_expect_events(vec![]);
    }
}
