//! Sessions in memory: built from the log at every start.

use super::change::Change;
use super::{CLOSED_KEPT, NAME, OpenSession, SessionState, Sessions, listed};
use crate::checkpoint::Checkpoint;
use crate::listing::{Listing, Page};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use events::{SessionId, Timestamp, UserId};
use journal::Partition;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// The read model of sessions, in memory.
#[derive(Default)]
pub struct MemorySessions {
    store: Store<Data>,
}

impl MemorySessions {
    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn state(&self, session: SessionId, _: UserId) -> Result<SessionState, Unavailable> {
        Ok(match self.store.read().sessions.get(&session) {
            Some(Session::Open(user)) => SessionState::Open { user: *user },
            Some(Session::Closed(_)) => SessionState::Closed,
            None => SessionState::Unknown,
        })
    }

    async fn of(&self, user: UserId, now: Timestamp, page: Page) -> Result<Listing<OpenSession>, Unavailable> {
        let data = self.store.read();
        Ok(listed(data.open.range(all_of(user)).map(|(_, session)| session.clone()), now, page))
    }
}

#[async_trait]
impl ReadModel for MemorySessions {
    fn name(&self) -> &'static str {
        NAME
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
            if let Some(now) = advance.batch.newest() {
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
    use crate::given::{Given, at, now, user};
    use events::{Event, Key, SessionClosed, SessionOpened, SessionRefreshed, UserDisabled};

    fn session(n: u128) -> SessionId {
        SessionId(Uuid::from_u128(n))
    }

    fn opened(n: u128, of: UserId) -> SessionOpened {
        SessionOpened { session: session(n), user: of, device: None, refresh_until: Some(at(1_000)) }
    }

    fn tell(sessions: &Given<MemorySessions>, of: UserId, seconds: i64, event: impl Into<Event>) {
        sessions.tell(Key::User(of), at(seconds), [event.into()]);
    }

    #[test]
    fn a_disabled_account_has_no_open_session() {
        let sessions = Given::<MemorySessions>::default();
        for (n, of) in [(1, user(1)), (2, user(1)), (3, user(2))] {
            tell(&sessions, of, 1, opened(n, of));
        }
        tell(&sessions, user(1), 2, SessionClosed { session: session(1), user: user(1) });
        tell(&sessions, user(1), 3, UserDisabled { user: user(1) });
        let state = |n, of| now(sessions.state(session(n), of)).unwrap();
        assert_eq!([1, 2].map(|n| state(n, user(1))), [SessionState::Closed; 2]);
        assert_eq!(state(3, user(2)), SessionState::Open { user: user(2) });

        // What was closed before is forgotten before.
        let seconds = 3 + i64::try_from(CLOSED_KEPT.as_secs()).unwrap();
        tell(&sessions, user(2), seconds, opened(4, user(2)));
        assert_eq!([1, 2].map(|n| state(n, user(1))), [SessionState::Unknown, SessionState::Closed]);
    }

    #[test]
    fn sessions_are_listed_until_they_end_or_can_be_refreshed_no_longer() {
        let sessions = Given::<MemorySessions>::default();
        (1..=3_u32).for_each(|n| tell(&sessions, user(1), n.into(), opened(n.into(), user(1))));
        tell(&sessions, user(2), 4, opened(4, user(2)));
        tell(&sessions, user(1), 5, SessionClosed { session: session(2), user: user(1) });
        let (session, user_1, refresh_until) = (session(1), user(1), at(2_000));
        let refreshed = SessionRefreshed { session, user: user_1, generation: 1, former_until: at(36), refresh_until };
        tell(&sessions, user(1), 6, refreshed);

        let page = |limit, after| Page { limit, after };
        let ids = |listing: Listing<OpenSession>| listing.items.iter().map(|it| it.id.0.as_u128()).collect::<Vec<_>>();
        let of = |seconds, page| now(sessions.of(user(1), at(seconds), page)).unwrap();
        let first = of(10, page(1, None));
        let second = of(10, page(1, first.next));
        assert_eq!((second.items[0].refreshed_at, second.next), (at(6), None));
        assert_eq!((ids(first), ids(second)), (vec![3], vec![1]));
        assert_eq!(ids(of(1_001, page(9, None))), [1]);
    }
}
