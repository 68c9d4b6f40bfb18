//! Who is signed in: whether the session that an access token names may still be used.
//!
//! An open session stays until it is closed; all of a person's are closed when the password is changed and when the
//! account is disabled. A closed one is remembered until no access token of it can be valid any more; after that it is
//! unknown, which is never open. Time is that of the session's own partition, so the answer depends on the log alone.

use crate::checkpoint::Checkpoint;
use crate::listing::{Listing, Page};
use crate::opener::Opener;
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use crate::text::Text;
use async_trait::async_trait;
use events::{Event, SealError, SessionEvent, SessionId, Timestamp, UserEvent, UserId};
use journal::Partition;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// A session that has not ended, as its user sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct OpenSession {
    /// Which.
    pub id: SessionId,
    /// What the client called itself, if anything.
    pub device: Option<Text>,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When its refresh token was replaced last; when the user signed in, if never.
    pub refreshed_at: Timestamp,
    /// Until when it can be refreshed; `None`: for ever.
    pub refresh_until: Option<Timestamp>,
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

    /// The sessions of a user that have not ended and can be refreshed at `now`, newest first by (created_at, id).
    pub fn of(&self, user: UserId, now: Timestamp, page: Page) -> Listing<OpenSession> {
        let data = self.store.read();
        let can_be_refreshed = |session: &&OpenSession| session.refresh_until.is_none_or(|until| now <= until);
        let open = data.open.range(all_of(user)).map(|(_, session)| session).filter(can_be_refreshed);
        let by_place = open.map(|session| ((session.created_at, session.id.0), session)).collect::<BTreeMap<_, _>>();
        let after = by_place.keys().rev().copied().filter(|place| page.after.is_none_or(|after| *place < after));
        Listing::of(page, after, |place| by_place.get(&place).map(|session| (*session).clone()))
    }
}

#[async_trait]
impl ReadModel for Sessions {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        self.store.write(advance, |data| {
            changes.into_iter().for_each(|change| data.apply(advance.partition, change));
            if let Some(now) = advance.batch.entries.iter().map(|entry| entry.commit.time).max() {
                data.forget(advance.partition, now);
            }
        })
    }
}

#[derive(Default)]
struct Data {
    sessions: HashMap<SessionId, Session>,
    /// One map for everybody: most people have one open session or none.
    open: BTreeMap<(UserId, SessionId), OpenSession>,
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

/// What an event means here, opened.
enum Change {
    Opened {
        user: UserId,
        session: OpenSession,
    },
    Refreshed {
        user: UserId,
        session: SessionId,
        refresh_until: Timestamp,
        at: Timestamp,
    },
    Closed {
        user: UserId,
        session: SessionId,
        at: Timestamp,
    },
    AllClosed {
        user: UserId,
        at: Timestamp,
    },
    /// The user's key is destroyed: nothing that it sealed is shown.
    Unreadable {
        user: UserId,
    },
}

impl Change {
    fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        Ok(match event {
            Event::Session(SessionEvent::Opened(e)) => {
                let device = e.device.as_ref().map(|sealed| opener.open(e.user, sealed)).transpose()?.flatten();
                let device = device.map(|device| device.as_str().into());
                let (id, refresh_until) = (e.session, e.refresh_until);
                let session = OpenSession { id, device, created_at: at, refreshed_at: at, refresh_until };
                Some(Self::Opened { user: e.user, session })
            }
            Event::Session(SessionEvent::Refreshed(e)) => {
                Some(Self::Refreshed { user: e.user, session: e.session, refresh_until: e.refresh_until, at })
            }
            Event::Session(SessionEvent::Closed(e)) => Some(Self::Closed { user: e.user, session: e.session, at }),
            Event::User(UserEvent::PasswordChanged(e)) => Some(Self::AllClosed { user: e.user, at }),
            Event::User(UserEvent::Disabled(e)) => Some(Self::AllClosed { user: e.user, at }),
            Event::User(UserEvent::KeyDestroyed(e)) => Some(Self::Unreadable { user: e.user }),
            Event::Block(_)
            | Event::Mute(_)
            | Event::User(_)
            | Event::Follow(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::FeedSlot(_)
            | Event::Claim(_)
            | Event::Saga(_) => None,
        })
    }
}

impl Data {
    fn apply(&mut self, partition: Partition, change: Change) {
        match change {
            Change::Opened { user, session } => {
                self.sessions.insert(session.id, Session::Open(user));
                self.open.insert((user, session.id), session);
            }
            Change::Refreshed { user, session, refresh_until, at } => {
                if let Some(session) = self.open.get_mut(&(user, session)) {
                    (session.refreshed_at, session.refresh_until) = (at, Some(refresh_until));
                }
            }
            Change::Closed { user, session, at } => self.close(partition, user, session, at),
            Change::AllClosed { user, at } => {
                let open = self.open.range(all_of(user)).map(|((_, session), _)| *session).collect::<Vec<_>>();
                open.into_iter().for_each(|session| self.close(partition, user, session, at));
            }
            Change::Unreadable { user } => {
                self.open.range_mut(all_of(user)).for_each(|(_, session)| session.device = None);
            }
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

fn all_of(user: UserId) -> std::ops::RangeInclusive<(UserId, SessionId)> {
    (user, SessionId(Uuid::nil()))..=(user, SessionId(Uuid::max()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{Given, at, user};
    use events::{Key, SessionClosed, SessionOpened, SessionRefreshed, UserDisabled};

    fn session(n: u128) -> SessionId {
        SessionId(Uuid::from_u128(n))
    }

    fn opened(n: u128, of: UserId) -> SessionOpened {
        SessionOpened { session: session(n), user: of, device: None, refresh_until: Some(at(1_000)) }
    }

    fn tell(sessions: &Given<Sessions>, of: UserId, seconds: i64, event: impl Into<Event>) {
        sessions.tell(Key::User(of), at(seconds), [event.into()]);
    }

    #[test]
    fn a_disabled_account_has_no_open_session() {
        let sessions = Given::<Sessions>::default();
        for (n, of) in [(1, user(1)), (2, user(1)), (3, user(2))] {
            tell(&sessions, of, 1, opened(n, of));
        }
        tell(&sessions, user(1), 2, SessionClosed { session: session(1), user: user(1) });
        tell(&sessions, user(1), 3, UserDisabled { user: user(1) });
        assert_eq!([1, 2].map(|n| sessions.state(session(n))), [SessionState::Closed; 2]);
        assert_eq!(sessions.state(session(3)), SessionState::Open { user: user(2) });

        // What was closed before is forgotten before.
        let seconds = 3 + i64::try_from(CLOSED_KEPT.as_secs()).unwrap();
        tell(&sessions, user(2), seconds, opened(4, user(2)));
        assert_eq!([1, 2].map(|n| sessions.state(session(n))), [SessionState::Unknown, SessionState::Closed]);
    }

    #[test]
    fn sessions_are_listed_until_they_end_or_can_be_refreshed_no_longer() {
        let sessions = Given::<Sessions>::default();
        (1..=3_u32).for_each(|n| tell(&sessions, user(1), n.into(), opened(n.into(), user(1))));
        tell(&sessions, user(2), 4, opened(4, user(2)));
        tell(&sessions, user(1), 5, SessionClosed { session: session(2), user: user(1) });
        let (session, user_1, refresh_until) = (session(1), user(1), at(2_000));
        let refreshed = SessionRefreshed { session, user: user_1, generation: 1, former_until: at(36), refresh_until };
        tell(&sessions, user(1), 6, refreshed);

        let page = |limit, after| Page { limit, after };
        let ids = |listing: Listing<OpenSession>| listing.items.iter().map(|it| it.id.0.as_u128()).collect::<Vec<_>>();
        let first = sessions.of(user(1), at(10), page(1, None));
        let second = sessions.of(user(1), at(10), page(1, first.next));
        assert_eq!((second.items[0].refreshed_at, second.next), (at(6), None));
        assert_eq!((ids(first), ids(second)), (vec![3], vec![1]));
        assert_eq!(ids(sessions.of(user(1), at(1_001), page(9, None))), [1]);
    }
}
