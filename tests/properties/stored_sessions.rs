//! Sessions in Redis under real runners, and what only a server can do to them: come back older than it was, lose
//! everything, belong to another log, answer late.

use crate::feeding::{Counted, Feeding, PARTITION, until};
use crate::history::{owner_of, session};
use crate::keys::{copy, delete, keys};
use crate::log::MemoryLog;
use events::{Event, Key, SessionClosed, SessionOpened, Timestamp};
use journal::Position;
use projections::redis::Keyspace;
use projections::sessions::SessionState;
use projections::{ReadModel, RedisSessions, Sessions};
use std::sync::Arc;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::services::Services;
use tokio::sync::watch;

/// A node that feeds sessions.
struct Node {
    feeding: Feeding,
    sessions: Arc<RedisSessions>,
    /// How many batches were begun.
    batches: watch::Receiver<usize>,
}

impl Node {
    async fn over(log: Arc<MemoryLog>, url: &str) -> Self {
        let sessions = Arc::new(RedisSessions::new(keys(url).await));
        let (counted, batches) = Counted::over(Arc::clone(&sessions) as _);
        Self { feeding: Feeding::over(log, Arc::new(counted)), sessions, batches }
    }

    fn open(&self, n: u8) -> Position {
        let (session, user) = (session(n), owner_of(session(n)));
        self.append(n, SessionOpened { session, user, device: None, refresh_until: None }.into())
    }

    fn close(&self, n: u8) -> Position {
        self.append(n, SessionClosed { session: session(n), user: owner_of(session(n)) }.into())
    }

    fn append(&self, n: u8, event: Event) -> Position {
        self.feeding.log.append(Key::User(owner_of(session(n))), Timestamp(i64::from(n)), None, vec![event])
    }

    async fn state(&self, n: u8) -> SessionState {
        self.sessions.state(session(n), owner_of(session(n))).await.unwrap()
    }
}

fn is_open(state: &SessionState) -> bool {
    matches!(state, SessionState::Open { .. })
}

#[tokio::test]
async fn a_server_that_loses_what_it_had_is_believed_only_when_it_has_read_the_log_again() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let node = Node::over(MemoryLog::new(1), &url).await;
    node.feeding.pass(node.open(1)).await.unwrap();
    let ended = node.open(2);
    node.feeding.pass(ended).await.unwrap();
    copy(&services, &url, "", "kept:").await;
    node.feeding.pass(node.close(2)).await.unwrap();
    assert!(is_open(&node.state(1).await));
    assert_eq!(node.state(2).await, SessionState::Closed);

    // As it was a moment ago: then the second session was open.
    copy(&services, &url, "kept:", "").await;
    let state = until(async || node.state(2).await, |state| *state != SessionState::Outdated).await;
    assert_eq!(state, SessionState::Closed, "nobody is let in meanwhile");
    assert!(is_open(&node.state(1).await));

    // All of it.
    delete(&url).await;
    let state = until(async || node.state(1).await, |state| *state != SessionState::Outdated).await;
    assert!(is_open(&state), "nobody is told that their session has ended: {state:?}");
    assert_eq!(node.state(2).await, SessionState::Closed);
    assert!(node.feeding.is_running());
    delete(&url).await;
    delete(&url.replace("prefix=", "prefix=kept:")).await;
}

#[tokio::test]
async fn a_node_believes_nothing_before_what_it_was_told_to_expect_is_there() {
    let Some(services) = Services::from_env() else { return };
    let sessions = RedisSessions::new(keys(&services.fresh_redis_url()).await);
    let state = async || sessions.state(session(1), owner_of(session(1))).await.unwrap();
    assert_eq!(state().await, SessionState::Unknown);
    sessions.expect(PARTITION, 1);
    assert_eq!(state().await, SessionState::Outdated);
}

#[tokio::test]
async fn a_batch_that_arrives_when_another_node_has_gone_on_changes_nothing() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let (link, behind_a_link) = Proxy::before(&url).await.unwrap();
    let mut slow = Node::over(MemoryLog::new(1), &behind_a_link).await;
    let other = Node::over(Arc::clone(&slow.feeding.log), &url).await;
    other.feeding.assign(false);
    for n in 0..5 {
        slow.feeding.pass(slow.open(0)).await.unwrap();
        slow.batches.mark_unchanged();
        link.set(Weather::Swallowed);
        // It is on its way, and opens what is closed before it arrives.
        let late = slow.open(0);
        slow.batches.changed().await.unwrap();
        slow.feeding.assign(false);
        other.feeding.assign(true);
        let closed = other.close(0);
        other.feeding.pass(closed).await.unwrap();
        assert_eq!(other.state(0).await, SessionState::Closed, "{n}: {late} is before {closed}");
        link.set(Weather::Fine);
        let stored = other.sessions.checkpoint(PARTITION).await.unwrap();
        slow.feeding.pass(closed).await.unwrap();
        assert_eq!(slow.state(0).await, SessionState::Closed, "{n}");
        assert_eq!(other.sessions.checkpoint(PARTITION).await.unwrap(), stored, "{n}: nobody else has written");
        other.feeding.assign(false);
        slow.feeding.assign(true);
    }
    assert!(slow.feeding.is_running() && other.feeding.is_running());
    delete(&url).await;
}

#[tokio::test]
async fn keys_belong_to_one_log() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    for _ in 0..2 {
        Keyspace::open(&url).await.unwrap().bind("one", 1).await.unwrap();
    }
    let refused = Keyspace::open(&url).await.unwrap().bind("another", 1).await.unwrap_err().to_string();
    assert!(refused.contains("the log one") && refused.contains("another"), "{refused}");
    delete(&url).await;
}
