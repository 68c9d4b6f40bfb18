//! Who is signed in: whether the session that an access token names may still be used.
//!
//! An open session stays until it is closed; all of a person's are closed when the account is disabled. A closed one is remembered until no access token of it can be valid any
//! more; after that it is unknown, which is never open. Time is that of the session's own partition, so the answer
//! depends on the log alone.

use crate::checkpoint::Checkpoint;
use crate::read_model::{ApplyError, Batch, ReadModel};
use crate::store::Store;
use events::{Event, SessionEvent, SessionId, Timestamp, UserEvent, UserId};
use journal::Partition;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// How long a closed session is remembered after its end: the life of an access token (15 minutes), and room for clocks
/// that differ.
pub const CLOSED_KEPT: Duration = Duration::from_secs(3_600);

/// The read model of sessions.
#[derive(Default)]
pub struct Sessions {
    store: Store<Data>,
}

/// What is known of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Its tokens are good.
    Open {
        /// Whose it is.
        user: UserId,
    },
    /// It was ended.
    Closed,
    /// It was never seen here, or ended more than [`CLOSED_KEPT`] ago. Never to be taken for open.
    Unknown,
}

impl Sessions {
    /// Its name.
    pub const NAME: &'static str = "sessions";

    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }

    /// What is known of a session.
    pub fn state(&self, session: SessionId) -> SessionState {
        match self.store.read().sessions.get(&session) {
            Some(Session::Open(user)) => SessionState::Open { user: *user },
            Some(Session::Closed(_)) => SessionState::Closed,
            None => SessionState::Unknown,
        }
    }
}

impl ReadModel for Sessions {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn checkpoint(&self, partition: Partition) -> Option<Checkpoint> {
        self.store.checkpoint(partition)
    }

    fn apply_batch(
        &self,
        partition: Partition,
        expected: &Checkpoint,
        batch: &Batch<'_>,
        new: Checkpoint,
    ) -> Result<(), ApplyError> {
        self.store.write(partition, expected, new, |data| {
            for entry in &batch.entries {
                for event in &entry.commit.events {
                    data.apply(partition, event, entry.commit.time);
                }
            }
            if let Some(now) = batch.entries.iter().map(|entry| entry.commit.time).max() {
                data.forget(partition, now);
            }
        })
    }
}

#[derive(Default)]
struct Data {
    sessions: HashMap<SessionId, Session>,
    /// One set for everybody: most people have one open session or none.
    open: BTreeSet<(UserId, SessionId)>,
    partitions: HashMap<Partition, Closed>,
}

#[derive(PartialEq)]
enum Session {
    Open(UserId),
    Closed(Timestamp),
}

/// What was closed in one partition.
#[derive(Default)]
struct Closed {
    /// The newest commit's time.
    now: Timestamp,
    /// By the time of their end.
    sessions: BTreeSet<(Timestamp, SessionId)>,
}

impl Data {
    fn apply(&mut self, partition: Partition, event: &Event, at: Timestamp) {
        match event {
            Event::Session(SessionEvent::Opened(opened)) => {
                self.sessions.insert(opened.session, Session::Open(opened.user));
                self.open.insert((opened.user, opened.session));
            }
            Event::Session(SessionEvent::Closed(closed)) => self.close(partition, closed.user, closed.session, at),
            Event::User(UserEvent::Disabled(disabled)) => {
                let user = disabled.user;
                let all = (user, SessionId(Uuid::nil()))..=(user, SessionId(Uuid::max()));
                let open = self.open.range(all).map(|(_, session)| *session).collect::<Vec<_>>();
                open.into_iter().for_each(|session| self.close(partition, user, session, at));
            }
            Event::User(_)
            | Event::Follow(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::FeedSlot(_)
            | Event::Claim(_)
            | Event::Saga(_) => {}
        }
    }

    fn close(&mut self, partition: Partition, user: UserId, session: SessionId, at: Timestamp) {
        self.open.remove(&(user, session));
        self.sessions.insert(session, Session::Closed(at));
        self.partitions.entry(partition).or_default().sessions.insert((at, session));
    }

    fn forget(&mut self, partition: Partition, now: Timestamp) {
        let closed = self.partitions.entry(partition).or_default();
        closed.now = closed.now.max(now);
        while let Some((at, session)) = closed.sessions.first().copied()
            && closed.now.since(at) > CLOSED_KEPT
        {
            closed.sessions.pop_first();
            // It may have been opened again since.
            if self.sessions.get(&session) == Some(&Session::Closed(at)) {
                self.sessions.remove(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{Given, at, user};
    use events::{Key, SessionClosed, SessionOpened, UserDisabled};

    fn session(n: u128) -> SessionId {
        SessionId(Uuid::from_u128(n))
    }

    fn tell(sessions: &Given<Sessions>, of: UserId, seconds: i64, event: impl Into<Event>) {
        sessions.tell(Key::User(of), at(seconds), [event.into()]);
    }

    #[test]
    fn a_disabled_account_has_no_open_session() {
        let sessions = Given::<Sessions>::default();
        for (n, of) in [(1, user(1)), (2, user(1)), (3, user(2))] {
            tell(&sessions, of, 1, SessionOpened { session: session(n), user: of });
        }
        tell(&sessions, user(1), 2, SessionClosed { session: session(1), user: user(1) });
        tell(&sessions, user(1), 3, UserDisabled { user: user(1) });
        assert_eq!([1, 2].map(|n| sessions.state(session(n))), [SessionState::Closed; 2]);
        assert_eq!(sessions.state(session(3)), SessionState::Open { user: user(2) });

        // What was closed before is forgotten before.
        let seconds = 3 + i64::try_from(CLOSED_KEPT.as_secs()).unwrap();
        tell(&sessions, user(2), seconds, SessionOpened { session: session(4), user: user(2) });
        assert_eq!([1, 2].map(|n| sessions.state(session(n))), [SessionState::Unknown, SessionState::Closed]);
    }
}
