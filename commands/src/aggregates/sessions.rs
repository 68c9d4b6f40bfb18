//! The sessions of a user: sign-ins, each with the refresh token that counts.
//!
//! All of one user's are one aggregate, so that one decision can end them all, and so that there are never too many. Of a
//! refresh token only its generation is known here. The one before is taken for a moment, since a client that got no
//! answer asks again, and two tabs ask at once; an older one can only be a copy.

use super::{Fact, User};
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{
    Device, Sealed, SessionClosed, SessionEvent, SessionId, SessionOpened, SessionRefreshed, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Sessions that one user may have open; one more ends the one that could be refreshed for the shortest time.
pub const SESSIONS_MAX: usize = 100;
/// How long a refresh token that was replaced is still taken for the one that replaced it.
pub const REFRESH_GRACE: Duration = Duration::from_secs(30);
/// A session that is not refreshed for so long cannot be any more.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The sessions of a user that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    open: BTreeMap<SessionId, Session>,
}

/// What can be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    /// Of the refresh token that counts.
    generation: u32,
    /// Until when the one before is taken; `None` if there was none.
    former_until: Option<Timestamp>,
    /// `None`: for ever.
    refresh_until: Option<Timestamp>,
}

/// What can be asked of a user's sessions.
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
        /// What the client calls itself.
        device: Option<Sealed<Device>>,
    },
    /// Replaces the refresh token of this generation by the next. It changes nothing if that was done within
    /// [`REFRESH_GRACE`]; an older one is [`Refusal::UsedBefore`].
    Refresh {
        /// Which session.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// That of the token that was brought.
        generation: u32,
    },
    /// Signs out.
    Close {
        /// Which session.
        session: SessionId,
        /// Whose.
        user: UserId,
    },
    /// Signs out everywhere, or everywhere else.
    CloseAll {
        /// Whose.
        user: UserId,
        /// Which session asks for it. It must be open.
        by: SessionId,
        /// Whether that one stays.
        but_own: bool,
    },
}

/// What sessions are decided by.
pub struct AccountAt {
    /// Whose they are.
    pub user: User,
    /// When it is asked.
    pub now: Timestamp,
}

impl Aggregate for Sessions {
    const TYPE: &'static str = "sessions";
    type Command = SessionCommand;
    type Event = Fact<SessionEvent>;
    type Error = Refusal;
    type Services = AccountAt;

    async fn handle(
        &mut self,
        command: SessionCommand,
        owner: &AccountAt,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let account = owner.user.active().ok_or(Refusal::NotFound)?;
        match command {
            SessionCommand::Open { credentials, .. } if account.credentials != credentials => {
                return Err(Refusal::StaleCredentials);
            }
            SessionCommand::Open { session, .. } if self.open.contains_key(&session) => {}
            SessionCommand::Open { session, user, device, .. } => {
                let refresh_until = Some(owner.now.plus(SESSION_IDLE_MAX));
                if let Some(session) = self.one_too_many() {
                    sink.write(Fact(SessionClosed { session, user }.into()), self).await;
                }
                sink.write(Fact(SessionOpened { session, user, device, refresh_until }.into()), self).await;
            }
            SessionCommand::Refresh { session, user, generation } => {
                if self.refreshes(session, generation, owner.now)? {
                    let refreshed = SessionRefreshed {
                        session,
                        user,
                        generation: generation + 1,
                        former_until: owner.now.plus(REFRESH_GRACE),
                        refresh_until: owner.now.plus(SESSION_IDLE_MAX),
                    };
                    sink.write(Fact(refreshed.into()), self).await;
                }
            }
            SessionCommand::Close { session, user } => {
                self.open.get(&session).ok_or(Refusal::NotFound)?;
                sink.write(Fact(SessionClosed { session, user }.into()), self).await;
            }
            SessionCommand::CloseAll { user, by, but_own } => {
                self.open.get(&by).ok_or(Refusal::NotFound)?;
                let ended = self.open.keys().copied().filter(|session| !but_own || *session != by);
                for session in ended.collect::<Vec<_>>() {
                    sink.write(Fact(SessionClosed { session, user }.into()), self).await;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            SessionEvent::Opened(SessionOpened { session, refresh_until, .. }) => {
                self.open.insert(session, Session { generation: 0, former_until: None, refresh_until });
            }
            SessionEvent::Refreshed(SessionRefreshed { session, generation, former_until, refresh_until, .. }) => {
                let former_until = Some(former_until);
                self.open.insert(session, Session { generation, former_until, refresh_until: Some(refresh_until) });
            }
            SessionEvent::Closed(SessionClosed { session, .. }) => {
                self.open.remove(&session);
            }
        }
    }
}

impl Sessions {
    /// Whether the token counts, so that the next one is to take its place; false if it did a moment ago.
    fn refreshes(&self, session: SessionId, generation: u32, now: Timestamp) -> Result<bool, Refusal> {
        let session = self.open.get(&session).ok_or(Refusal::NotFound)?;
        if session.refresh_until.is_some_and(|until| until < now) {
            return Err(Refusal::NotFound);
        }
        let counts = generation == session.generation;
        let did = Some(session.generation) == generation.checked_add(1);
        match session.former_until {
            _ if counts => Ok(true),
            Some(until) if did && now <= until => Ok(false),
            _ => Err(Refusal::UsedBefore),
        }
    }

    /// The session that makes room for another one, if there is none.
    fn one_too_many(&self) -> Option<SessionId> {
        let oldest = self.open.iter().min_by_key(|(id, session)| (session.refresh_until, **id));
        oldest.filter(|_| self.open.len() >= SESSIONS_MAX).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::Account;
    use super::super::user::tests::{account, user};
    use super::*;
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    fn active(second: u64) -> AccountAt {
        AccountAt { user: User::Active(Account { credentials: 2, ..account() }), now: at(second) }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(second))
    }

    fn session(n: u128) -> SessionId {
        SessionId(Uuid::from_u128(n))
    }

    fn open(n: u128, credentials: u64) -> SessionCommand {
        SessionCommand::Open { session: session(n), user: user(1), credentials, device: None }
    }

    fn refresh(generation: u32) -> SessionCommand {
        SessionCommand::Refresh { session: session(9), user: user(1), generation }
    }

    fn opened(n: u128, second: u64) -> Fact<SessionEvent> {
        let refresh_until = Some(at(second).plus(SESSION_IDLE_MAX));
        Fact(SessionOpened { session: session(n), user: user(1), device: None, refresh_until }.into())
    }

    fn refreshed(generation: u32, second: u64) -> Fact<SessionEvent> {
        let (former_until, refresh_until) = (at(second).plus(REFRESH_GRACE), at(second).plus(SESSION_IDLE_MAX));
        let (session, user) = (session(9), user(1));
        Fact(SessionRefreshed { session, user, generation, former_until, refresh_until }.into())
    }

    fn closed(n: u128) -> Fact<SessionEvent> {
        Fact(SessionClosed { session: session(n), user: user(1) }.into())
    }

    fn framework(second: u64) -> TestFramework<Sessions> {
        TestFramework::with(active(second))
    }

    #[test]
    fn who_knows_the_password_signs_in() {
        framework(5).given_no_previous_events().when(open(9, 2)).then_expect_events(vec![opened(9, 5)]);
    }

    #[test]
    fn a_password_that_was_changed_meanwhile_does_not_sign_in() {
        framework(5).given_no_previous_events().when(open(9, 1)).then_expect_error(Refusal::StaleCredentials);
    }

    #[test]
    fn who_is_being_deleted_does_not_sign_in() {
        let gone = AccountAt { user: User::Disabled(account()), now: at(5) };
        TestFramework::<Sessions>::with(gone)
            .given_no_previous_events()
            .when(open(9, 1))
            .then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn a_session_ends_once() {
        let close = SessionCommand::Close { session: session(9), user: user(1) };
        framework(5).given(vec![opened(9, 1)]).when(close.clone()).then_expect_events(vec![closed(9)]);
        framework(5).given(vec![opened(9, 1), closed(9)]).when(close).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn one_session_ends_the_others_or_all() {
        let all = |by, but_own| SessionCommand::CloseAll { user: user(1), by: session(by), but_own };
        let given = || vec![opened(8, 1), opened(9, 1)];
        framework(5).given(given()).when(all(9, true)).then_expect_events(vec![closed(8)]);
        framework(5).given(given()).when(all(9, false)).then_expect_events(vec![closed(8), closed(9)]);
        framework(5).given(vec![opened(9, 1)]).when(all(9, true)).then_expect_events(vec![]);
        framework(5).given(given()).when(all(7, false)).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn the_token_before_is_taken_for_a_moment_and_an_older_one_never() {
        let given = |generations: u32| (0..=generations).map(|n| if n == 0 { opened(9, 1) } else { refreshed(n, 100) });
        let (grace, given) = (REFRESH_GRACE.as_secs(), |n| given(n).collect::<Vec<_>>());
        framework(100).given(given(0)).when(refresh(0)).then_expect_events(vec![refreshed(1, 100)]);
        framework(100 + grace).given(given(1)).when(refresh(0)).then_expect_events(vec![]);
        for (second, generations, brought) in [(101 + grace, 1, 0), (100, 2, 0), (100, 0, 1), (100, 3, u32::MAX)] {
            framework(second).given(given(generations)).when(refresh(brought)).then_expect_error(Refusal::UsedBefore);
        }
    }

    #[test]
    fn a_session_that_was_left_alone_for_too_long_cannot_be_refreshed() {
        let idle = SESSION_IDLE_MAX.as_secs();
        framework(1 + idle).given(vec![opened(9, 1)]).when(refresh(0)).then_expect_events(vec![refreshed(1, 1 + idle)]);
        framework(2 + idle).given(vec![opened(9, 1)]).when(refresh(0)).then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn one_session_too_many_ends_the_one_that_was_left_alone_longest() {
        let mut given = (0..SESSIONS_MAX as u128).map(|n| opened(n, 10)).collect::<Vec<_>>();
        given[7] = opened(7, 9);
        framework(20).given(given).when(open(1_000, 2)).then_expect_events(vec![closed(7), opened(1_000, 20)]);
    }
}
