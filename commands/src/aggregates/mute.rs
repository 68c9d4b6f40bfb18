//! One user muting another; decided on the muter's key, and nobody else's business.

use super::{Fact, User};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{MuteEnded, MuteEvent, MuteStarted, UserId};
use serde::{Deserialize, Serialize};

/// People whom one person may mute at one time.
pub const MUTES_MAX: usize = 10_000;

/// Whether one user mutes another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Mute {
    /// Not now.
    #[default]
    Not,
    /// Yes.
    Muting,
}

/// What can be asked of a mute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuteCommand {
    /// Mute. [`Refusal::TooManyMutes`] if so many are muted that one more may not be.
    Start {
        /// Who.
        user: UserId,
        /// Whom.
        target: UserId,
    },
    /// Mute no longer.
    End {
        /// Who.
        user: UserId,
        /// Whom.
        target: UserId,
    },
}

/// Whoever mutes.
pub struct Muter {
    /// The account.
    pub account: User,
    /// How many people they mute.
    pub mutes: usize,
}

impl Aggregate for Mute {
    const TYPE: &'static str = "mute";
    type Command = MuteCommand;
    type Event = Fact<MuteEvent>;
    type Error = Refusal;
    type Services = Muter;

    async fn handle(&mut self, command: MuteCommand, muter: &Muter, sink: &EventSink<Self>) -> Result<(), Refusal> {
        let event: MuteEvent = match (command, &*self) {
            (MuteCommand::Start { .. }, _) if muter.account.active().is_none() => return Err(Refusal::NotFound),
            (MuteCommand::Start { user, target }, _) if user == target => return Err(Refusal::Oneself),
            (MuteCommand::Start { .. }, Self::Muting) => return Ok(()),
            (MuteCommand::Start { .. }, Self::Not) if muter.mutes >= MUTES_MAX => return Err(Refusal::TooManyMutes),
            (MuteCommand::Start { user, target }, Self::Not) => MuteStarted { user, target }.into(),
            // Also by who is being deleted: their mutes are ended one by one.
            (MuteCommand::End { user, target }, Self::Muting) => MuteEnded { user, target }.into(),
            (MuteCommand::End { .. }, Self::Not) => return Err(Refusal::NotFound),
        };
        sink.write(Fact(event), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        *self = match event {
            MuteEvent::Started(_) => Self::Muting,
            MuteEvent::Ended(_) => Self::Not,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::tests::{account, user};
    use super::*;
    use cqrs_es::test::TestFramework;

    fn by(account: User, mutes: usize) -> TestFramework<Mute> {
        TestFramework::with(Muter { account, mutes })
    }

    fn active(mutes: usize) -> TestFramework<Mute> {
        by(User::Active(account()), mutes)
    }

    fn start() -> MuteCommand {
        MuteCommand::Start { user: user(1), target: user(2) }
    }

    fn end() -> MuteCommand {
        MuteCommand::End { user: user(1), target: user(2) }
    }

    fn started() -> Fact<MuteEvent> {
        Fact(MuteStarted { user: user(1), target: user(2) }.into())
    }

    fn ended() -> Fact<MuteEvent> {
        Fact(MuteEnded { user: user(1), target: user(2) }.into())
    }

    #[test]
    fn a_mute_begins_once_and_ends_once() {
        active(0).given_no_previous_events().when(start()).then_expect_events(vec![started()]);
        active(1).given(vec![started()]).when(start()).then_expect_events(vec![]);
        active(1).given(vec![started()]).when(end()).then_expect_events(vec![ended()]);
        active(0).given(vec![started(), ended()]).when(end()).then_expect_error(Refusal::NotFound);
        active(0).given(vec![started(), ended()]).when(start()).then_expect_events(vec![started()]);
    }

    #[test]
    fn nobody_mutes_themselves() {
        let myself = MuteCommand::Start { user: user(1), target: user(1) };
        active(0).given_no_previous_events().when(myself).then_expect_error(Refusal::Oneself);
    }

    #[test]
    fn who_mutes_as_many_as_may_be_mutes_nobody_else() {
        active(MUTES_MAX - 1).given_no_previous_events().when(start()).then_expect_events(vec![started()]);
        active(MUTES_MAX).given_no_previous_events().when(start()).then_expect_error(Refusal::TooManyMutes);
        active(MUTES_MAX).given(vec![started()]).when(start()).then_expect_events(vec![]);
    }

    #[test]
    fn who_is_being_deleted_mutes_nobody_but_unmutes() {
        let disabled = || by(User::Disabled(account()), 1);
        disabled().given(vec![started()]).when(end()).then_expect_events(vec![ended()]);
        disabled().given_no_previous_events().when(start()).then_expect_error(Refusal::NotFound);
    }
}
