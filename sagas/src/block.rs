//! USER_BLOCK: a block severs the follows between two people, both ways and for good.
//!
//! The block and the end of the blocker's own follow are the commit with which it begins. The other's follow is on the
//! other's key; it is ended from there, and there is only forward: until then, and should a follow that was under way
//! come later, nobody of the two is shown it as long as the block holds.

use commands::{Action, BLOCKS_MAX, FollowCommand, Next, Own, Process, Refusal, Saga, Toward};
use events::{BlockStarted, Event, FollowEnded, Key, SagaData, SagaEvent, SagaId, Step, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Ends the other's follow of whoever blocks.
pub const SEVER_FOLLOW: Step = Step::named("SEVER_FOLLOW");

/// The process.
pub struct UserBlock;

/// Who blocks whom. The other has, or had, an account: without one there is nothing to sever, and no owner who could say
/// so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserBlockData {
    /// Who blocks.
    pub user: UserId,
    /// Whom.
    pub target: UserId,
}

impl From<UserBlockData> for SagaData {
    fn from(data: UserBlockData) -> Self {
        Self::new(UserBlock::NAME, &data)
    }
}

impl Process for UserBlock {
    const NAME: &'static str = "USER_BLOCK";
    const STEPS: &'static [Step] = &[SEVER_FOLLOW];
    type Data = UserBlockData;

    fn key(&self, data: &UserBlockData) -> Key {
        Key::User(data.user)
    }

    fn other(&self, data: &UserBlockData) -> Option<UserId> {
        Some(data.target)
    }

    fn begin(&self, data: &UserBlockData, _: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        let (UserBlockData { user, target }, Toward { follows, blocks, blocked }) = (*data, own.toward);
        if own.user.active().is_none() {
            return Err(Refusal::NotFound);
        }
        if user == target {
            return Err(Refusal::Oneself);
        }
        if blocks {
            return Ok(None);
        }
        if blocked >= BLOCKS_MAX {
            return Err(Refusal::TooManyBlocks);
        }
        let severed = follows.then(|| FollowEnded { follower: user, followee: target }.into());
        Ok(Some(std::iter::once(BlockStarted { user, target }.into()).chain(severed).collect()))
    }

    fn next(&self, _: &Saga, _: &UserBlockData, event: &SagaEvent, _: &Own) -> Vec<Next> {
        match event {
            SagaEvent::Started(_) => vec![Next::Request(SEVER_FOLLOW)],
            SagaEvent::StepCompleted(_) => vec![Next::Complete],
            _ => Vec::new(),
        }
    }

    fn effects(&self, _: &Saga, _: &UserBlockData, _: &SagaEvent, _: &Own) -> Vec<Event> {
        Vec::new()
    }

    fn action(&self, _: SagaId, data: &UserBlockData, _: &Step, _: &Own) -> Action {
        let sever = FollowCommand::Sever { follower: data.target, followee: data.user };
        Action::Command(Key::User(data.target), sever.into())
    }

    fn compensation(&self, _: SagaId, _: &UserBlockData, _: &Step) -> Option<Action> {
        None
    }

    /// The block holds from the first commit on.
    fn is_fulfilled(&self, _: &Saga) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{ADA, Stage, sealed};
    use commands::BlockCommand;
    use events::{Email, FollowStarted, PasswordHash, UserCreated, UserDisabled, Username};
    use uuid::Uuid;

    const BOB: UserId = UserId(Uuid::from_u128(2));

    fn data() -> SagaData {
        UserBlockData { user: ADA, target: BOB }.into()
    }

    fn begin(stage: &mut Stage) -> Result<Vec<&'static str>, Refusal> {
        stage.begin(&UserBlock, data(), Value::Null)
    }

    fn follow(stage: &mut Stage, follower: UserId, followee: UserId) {
        stage.happens(Key::User(follower), vec![FollowStarted { follower, followee }.into()]);
    }

    /// Ada and Bob have accounts.
    fn with_both() -> Stage {
        let mut stage = Stage::with_ada();
        let bob = UserCreated {
            user: BOB,
            email: sealed(&Email::parse("bob@example.com").unwrap()),
            username: sealed(&Username::parse("bob").unwrap()),
            password: sealed(&PasswordHash::new("$argon2id$".to_owned())),
            email_claim: crate::stage::digest(7),
            email_version: 1,
            username_claim: crate::stage::digest(8),
            username_version: 1,
        };
        stage.happens(Key::User(BOB), vec![bob.into()]);
        stage
    }

    #[test]
    fn a_block_ends_the_follows_both_ways() {
        let mut stage = with_both();
        follow(&mut stage, ADA, BOB);
        follow(&mut stage, BOB, ADA);
        let begun = begin(&mut stage).unwrap();
        assert_eq!(begun, ["saga.started", "block.started", "follow.ended", "saga.step_requested"]);
        let (there, here) = stage.step(&UserBlock, &data(), SEVER_FOLLOW);
        assert_eq!(there.unwrap(), ["follow.ended"]);
        assert_eq!(here, ["saga.step_completed", "saga.completed"]);
    }

    #[test]
    fn where_nobody_follows_there_is_nothing_to_sever() {
        let mut stage = with_both();
        assert_eq!(begin(&mut stage).unwrap(), ["saga.started", "block.started", "saga.step_requested"]);
        let (there, here) = stage.step(&UserBlock, &data(), SEVER_FOLLOW);
        assert_eq!((there.unwrap(), here), (vec![], vec!["saga.step_completed", "saga.completed"]));
    }

    #[test]
    fn an_unblock_brings_no_follow_back_and_the_next_block_is_another_one() {
        let mut stage = with_both();
        follow(&mut stage, ADA, BOB);
        begin(&mut stage).unwrap();
        stage.step(&UserBlock, &data(), SEVER_FOLLOW).0.unwrap();
        let end = BlockCommand::End { user: ADA, target: BOB };
        assert_eq!(stage.ask(Key::User(ADA), end.clone()).unwrap(), ["block.ended"]);
        assert_eq!(stage.ask(Key::User(ADA), end), Err(Refusal::NotFound));
        let unfollow = FollowCommand::End { follower: ADA, followee: BOB };
        assert_eq!(stage.ask(Key::User(ADA), unfollow), Err(Refusal::NotFound));
    }

    #[test]
    fn whoever_is_blocked_already_is_not_blocked_again() {
        let mut stage = with_both();
        stage.happens(Key::User(ADA), vec![BlockStarted { user: ADA, target: BOB }.into()]);
        assert_eq!(begin(&mut stage), Ok(vec![]));
    }

    #[test]
    fn nobody_blocks_themselves_and_who_is_being_deleted_blocks_nobody() {
        let mut stage = with_both();
        let myself = UserBlockData { user: ADA, target: ADA }.into();
        assert_eq!(stage.begin(&UserBlock, myself, Value::Null), Err(Refusal::Oneself));
        stage.happens(Key::User(ADA), vec![UserDisabled { user: ADA }.into()]);
        assert_eq!(begin(&mut stage), Err(Refusal::NotFound));
    }

    #[test]
    fn who_blocks_as_many_as_may_be_blocks_nobody_else() {
        let mut stage = with_both();
        let others = (0..BLOCKS_MAX).map(|n| UserId(Uuid::from_u128(1_000 + n as u128)));
        let blocks = others.map(|target| BlockStarted { user: ADA, target }.into()).collect();
        stage.happens(Key::User(ADA), blocks);
        assert_eq!(begin(&mut stage), Err(Refusal::TooManyBlocks));
        let one = BlockCommand::End { user: ADA, target: UserId(Uuid::from_u128(1_000)) };
        stage.ask(Key::User(ADA), one).unwrap();
        assert!(begin(&mut stage).is_ok());
    }
}
