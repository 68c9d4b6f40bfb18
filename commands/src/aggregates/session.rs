//! A sign-in of a user.

use super::{Fact, User};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{SessionClosed, SessionEvent, SessionId, SessionOpened, UserId};
use serde::{Deserialize, Serialize};

/// Whether the session's tokens are worth anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Session {
    /// It never was, or it has ended.
    #[default]
    Closed,
    /// Signed in.
    Open,
}

/// What can be asked of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionCommand {
    /// Signs in.
    Open {
        /// The new session.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// The version of the credentials that were checked; a password changed meanwhile makes the check worthless.
        credentials: u64,
    },
    /// Signs out.
    Close {
        /// Which session.
        session: SessionId,
        /// Whose.
        user: UserId,
    },
}

impl Aggregate for Session {
    const TYPE: &'static str = "session";
    type Command = SessionCommand;
    type Event = Fact<SessionEvent>;
    type Error = Refusal;
    type Services = User;

    async fn handle(&mut self, command: SessionCommand, owner: &User, sink: &EventSink<Self>) -> Result<(), Refusal> {
        match command {
            SessionCommand::Open { session, user, credentials } => match owner.active() {
                None => Err(Refusal::NotFound),
                Some(account) if account.credentials != credentials => Err(Refusal::StaleCredentials),
                Some(_) if *self == Self::Open => Ok(()),
                Some(_) => {
                    sink.write(Fact(SessionOpened { session, user }.into()), self).await;
                    Ok(())
                }
            },
            SessionCommand::Close { session, user } => {
                // With the account all its sessions ended.
                if *self == Self::Closed || owner.active().is_none() {
                    return Err(Refusal::NotFound);
                }
                sink.write(Fact(SessionClosed { session, user }.into()), self).await;
                Ok(())
            }
        }
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        *self = match event {
            SessionEvent::Opened(_) => Self::Open,
            SessionEvent::Closed(_) => Self::Closed,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::Account;
    use super::super::user::tests::{account, user};
    use super::*;
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    fn active() -> User {
        User::Active(Account { credentials: 2, ..account() })
    }

    fn session() -> SessionId {
        SessionId(Uuid::from_u128(9))
    }

    fn open(credentials: u64) -> SessionCommand {
        SessionCommand::Open { session: session(), user: user(1), credentials }
    }

    fn opened() -> Fact<SessionEvent> {
        Fact(SessionOpened { session: session(), user: user(1) }.into())
    }

    #[test]
    fn who_knows_the_password_signs_in() {
        TestFramework::<Session>::with(active())
            .given_no_previous_events()
            .when(open(2))
            .then_expect_events(vec![opened()]);
    }

    #[test]
    fn a_password_that_was_changed_meanwhile_does_not_sign_in() {
        TestFramework::<Session>::with(active())
            .given_no_previous_events()
            .when(open(1))
            .then_expect_error(Refusal::StaleCredentials);
    }

    #[test]
    fn who_is_being_deleted_does_not_sign_in() {
        TestFramework::<Session>::with(User::Disabled(account()))
            .given_no_previous_events()
            .when(open(1))
            .then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn a_session_ends_once() {
        let close = SessionCommand::Close { session: session(), user: user(1) };
        let closed = Fact(SessionClosed { session: session(), user: user(1) }.into());
        TestFramework::<Session>::with(active())
            .given(vec![opened()])
            .when(close.clone())
            .then_expect_events(vec![closed.clone()]);
        TestFramework::<Session>::with(active())
            .given(vec![opened(), closed])
            .when(close)
            .then_expect_error(Refusal::NotFound);
    }
}
