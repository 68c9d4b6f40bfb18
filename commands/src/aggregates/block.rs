//! One user blocking another; decided on the blocker's key.
//!
//! It begins with the saga USER_BLOCK, which also ends the follows between the two, and it ends by itself: what it has
//! severed does not come back.

use super::Fact;
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{BlockEnded, BlockEvent, UserId};
use serde::{Deserialize, Serialize};

/// People whom one person may block at one time.
pub const BLOCKS_MAX: usize = 10_000;

/// Whether one user blocks another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Block {
    /// Not now.
    #[default]
    Not,
    /// Yes.
    Blocking,
}

/// What can be asked of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockCommand {
    /// Block no longer.
    End {
        /// Who.
        user: UserId,
        /// Whom.
        target: UserId,
    },
}

impl Aggregate for Block {
    const TYPE: &'static str = "block";
    type Command = BlockCommand;
    type Event = Fact<BlockEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: BlockCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        // Also by who is being deleted: their blocks are ended one by one.
        let BlockCommand::End { user, target } = command;
        if *self == Self::Not {
            return Err(Refusal::NotFound);
        }
        sink.write(Fact(BlockEnded { user, target }.into()), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        *self = match event {
            BlockEvent::Started(_) => Self::Blocking,
            BlockEvent::Ended(_) => Self::Not,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::tests::user;
    use super::*;
    use cqrs_es::test::TestFramework;
    use events::BlockStarted;

    #[test]
    fn a_block_ends_once() {
        let framework = || TestFramework::<Block>::with(());
        let started = Fact(BlockStarted { user: user(1), target: user(2) }.into());
        let ended = Fact(BlockEnded { user: user(1), target: user(2) }.into());
        let end = || BlockCommand::End { user: user(1), target: user(2) };
        framework().given_no_previous_events().when(end()).then_expect_error(Refusal::NotFound);
        framework().given(vec![started.clone()]).when(end()).then_expect_events(vec![ended.clone()]);
        framework().given(vec![started, ended]).when(end()).then_expect_error(Refusal::NotFound);
    }
}
