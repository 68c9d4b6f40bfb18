//! Who is signed in: whether the session that an access token names may still be used.
//!
//! An open session stays until it is closed; all of a person's are closed when the password is changed and when the
//! account is disabled. A closed one is remembered until no access token of it can be valid any more; after that it is
//! unknown, which is never open. Time is that of the session's own partition, so the answer depends on the log alone.

mod change;
mod memory;
#[cfg(feature = "servers")]
mod redis;

use crate::listing::{Listing, Page};
use crate::read_model::{ReadModel, Unavailable};
use crate::text::Text;
use async_trait::async_trait;
use events::{SessionId, Timestamp, UserId};
use journal::{Offset, Partition};
pub use memory::MemorySessions;
#[cfg(feature = "servers")]
pub use redis::{Looked, Question, RedisSessions};
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of the read model of sessions, wherever it lives.
pub const NAME: &str = "sessions";

/// How long a closed session is remembered after its end: the life of an access token (15 minutes), and room for clocks
/// that differ.
pub const CLOSED_KEPT: Duration = Duration::from_secs(3_600);

/// The read model of sessions.
///
/// What it is told and what it shows of that is above. An answer shows whole batches: all of a commit or nothing of it.
#[async_trait]
pub trait Sessions: ReadModel {
    /// What is known of a session that is said to be this user's.
    async fn state(&self, session: SessionId, user: UserId) -> Result<SessionState, Unavailable>;

    /// The sessions of a user that have not ended and can be refreshed at `now`, newest first by (created_at, id).
    async fn of(&self, user: UserId, now: Timestamp, page: Page) -> Result<Listing<OpenSession>, Unavailable>;

    /// What stands before this place of the log must be in every answer from now on; where it is not, the state is
    /// [`SessionState::Outdated`]. Where nothing is ever lost there is nothing to do.
    fn expect(&self, _partition: Partition, _next: Offset) {}
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
    /// The store has lost what it had, or has not come as far as it must: whether the session has ended it cannot tell
    /// until the log was read again. Never to be taken for open.
    Outdated,
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

/// A page of what is open of one user, of all of which some can be refreshed no longer.
fn listed(open: impl Iterator<Item = OpenSession>, now: Timestamp, page: Page) -> Listing<OpenSession> {
    let can_be_refreshed = |session: &OpenSession| session.refresh_until.is_none_or(|until| now <= until);
    let place = |session: OpenSession| ((session.created_at, session.id.0), session);
    let by_place = open.filter(can_be_refreshed).map(place).collect::<BTreeMap<_, _>>();
    let after = by_place.into_iter().rev().filter(|(place, _)| page.after.is_none_or(|after| *place < after));
    Listing::of_items(page, after)
}
