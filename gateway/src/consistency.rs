//! Reading what one has written: which positions a read must have passed, and waiting for them.
//!
//! Each write's answer carries its position as a token; besides, the newest positions of each session are kept in
//! memory. A session that is not known here (it is new, or was forgotten) makes its next read wait for the log's end as
//! it is then, which covers whatever it may have written. Where there are other nodes no session is ever known, since it
//! may write through any of them: a read that brings no token waits for the log's end. Waiting is bounded; what is stale
//! after that says so.

use crate::auth::Caller;
use crate::error::ApiError;
use crate::prefer::preferences;
use crate::recent::Recent;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{Key, Secrets, SessionId};
use futures::future::try_join_all;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use journal::{Journal, JournalError, Offset, Partition, Position, partition_of};
use projections::{Lag, Projections};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// On writes: where they stand. On reads: what must be seen.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-consistency-token");
/// `stale` on an answer that may lack what was asked for.
const CONSISTENCY: HeaderName = HeaderName::from_static("x-consistency");
/// How many records the stale answer lacks at most, where that is known.
const LAG: HeaderName = HeaderName::from_static("x-consistency-lag");
const STRICT: &str = "consistency=strict";

/// Sessions whose positions are remembered.
const SESSIONS_MAX: usize = 200_000;
/// A position (4 and 8 bytes) and the beginning of a MAC.
const TOKEN_BYTES: usize = 4 + 8 + 16;

/// Waits for positions.
pub(crate) struct Consistency {
    journal: Arc<dyn Journal>,
    projections: Arc<Projections>,
    read_wait: Duration,
    /// For each partition where it ends for the session; 0 if the session has nothing there. `None` with other nodes.
    sessions: Option<Recent<SessionId, Box<[Offset]>>>,
}

/// What a read asks for in its headers.
#[derive(Default)]
pub(crate) struct Wanted {
    token: Option<HeaderValue>,
    strict: bool,
}

impl Wanted {
    /// Rather an error than a stale answer.
    pub(crate) fn strict() -> Self {
        Self { token: None, strict: true }
    }
}

impl<S: Sync> FromRequestParts<S> for Wanted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let strict = preferences(&parts.headers).any(|it| it.eq_ignore_ascii_case(STRICT));
        Ok(Self { token: parts.headers.get(TOKEN).cloned(), strict })
    }
}

/// Whether an answer shows all that was asked for; sets the headers that say otherwise.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freshness {
    Fresh,
    Stale { lag: Option<u64> },
}

impl IntoResponseParts for Freshness {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Self::Stale { lag } = self {
            response.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("stale"));
            if let Some(lag) = lag {
                response.headers_mut().insert(LAG, HeaderValue::from(lag));
            }
        }
        Ok(response)
    }
}

impl Consistency {
    /// `alone`: there are no other nodes.
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        projections: Arc<Projections>,
        read_wait: Duration,
        alone: bool,
    ) -> Self {
        Self { journal, projections, read_wait, sessions: alone.then(|| Recent::new(SESSIONS_MAX)) }
    }

    /// Notes what a session has written. One that is not known stays so: its next read waits for everything.
    pub(crate) fn wrote(&self, session: SessionId, position: Position) {
        let Some(sessions) = &self.sessions else { return };
        sessions.with(&session, |ends| {
            if let Some(end) = ends.get_mut(position.partition.0 as usize) {
                *end = (*end).max(position.offset + 1);
            }
        });
    }

    /// A session's write has an unknown outcome: its next read waits for everything.
    pub(crate) fn lost_track(&self, session: SessionId) {
        if let Some(sessions) = &self.sessions {
            sessions.remove(&session);
        }
    }

    /// Waits until the read models have passed what this read must see.
    pub(crate) async fn wait(
        &self,
        secrets: &Secrets,
        wanted: &Wanted,
        caller: Option<&Caller>,
        models: &[&str],
    ) -> Result<Freshness, ApiError> {
        let mut freshness = Freshness::Fresh;
        let mut positions = Vec::new();
        let token = wanted.token.as_ref().map(|token| read(secrets, token.as_bytes()));
        // With other nodes a token says all that is known of what the session has written.
        let told = self.sessions.is_none() && matches!(token, Some(Some(_)));
        if let Some(caller) = caller.filter(|_| !told) {
            match self.positions_of(caller.session).await {
                Ok(known) => positions = known,
                // Nobody can say what the session has written; what was read of the log is still true.
                Err(_) => freshness = Freshness::Stale { lag: None },
            }
        }
        match token {
            None => {}
            Some(Some(position)) => positions.push(position),
            Some(None) => freshness = Freshness::Stale { lag: None },
        }
        if let Err(lag) = self.passed(&positions, models).await {
            freshness = Freshness::Stale { lag: Some(records(&lag)) };
        }
        if wanted.strict && freshness != Freshness::Fresh {
            return Err(ApiError::unavailable("What was written is not visible yet"));
        }
        Ok(freshness)
    }

    /// Waits until the read models have passed a position.
    pub(crate) async fn passed(&self, positions: &[Position], models: &[&str]) -> Result<(), Lag> {
        if positions.is_empty() {
            return Ok(());
        }
        self.projections.wait_for(models, positions, Instant::now() + self.read_wait).await
    }

    /// Waits until the read models have passed everything that is in the log now, so that what they do not show is not
    /// there.
    pub(crate) async fn caught_up(&self, models: &[&str]) -> Result<(), ApiError> {
        self.caught_up_in(self.partitions(), models).await
    }

    /// The same for one key.
    pub(crate) async fn caught_up_on(&self, key: &Key, models: &[&str]) -> Result<(), ApiError> {
        let partition = partition_of(key, self.journal.partitions());
        self.caught_up_in(std::iter::once(partition), models).await
    }

    /// The newest record of the partition that a key is on.
    pub(crate) async fn newest_on(&self, key: &Key) -> Result<Option<Position>, ApiError> {
        let partition = partition_of(key, self.journal.partitions());
        Ok(self.last_in(std::iter::once(partition)).await?.pop().flatten())
    }

    async fn caught_up_in(&self, partitions: impl Iterator<Item = Partition>, models: &[&str]) -> Result<(), ApiError> {
        let last = self.last_in(partitions).await?;
        let positions = last.into_iter().flatten().collect::<Vec<_>>();
        let behind = |_| ApiError::unavailable("What was written last is not visible yet; ask again");
        self.passed(&positions, models).await.map_err(behind)
    }

    fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.journal.partitions()).map(Partition)
    }

    async fn positions_of(&self, session: SessionId) -> Result<Vec<Position>, ApiError> {
        let known = self.sessions.as_ref().and_then(|sessions| {
            sessions.with(&session, |ends| {
                let ends = ends.iter().zip(0..).filter(|(end, _)| **end > 0);
                ends.map(|(end, n)| Position { partition: Partition(n), offset: end - 1 }).collect()
            })
        });
        if let Some(positions) = known {
            return Ok(positions);
        }
        let last = self.last_in(self.partitions()).await?;
        if let Some(sessions) = &self.sessions {
            sessions.insert(session, last.iter().map(|last| last.map_or(0, |last| last.offset + 1)).collect());
        }
        Ok(last.into_iter().flatten().collect())
    }

    /// The newest record of each of the partitions, all asked for at once.
    async fn last_in(&self, partitions: impl Iterator<Item = Partition>) -> Result<Vec<Option<Position>>, ApiError> {
        let last = partitions.map(|partition| async move {
            let end = self.journal.end(partition).await.map_err(|error| match error {
                JournalError::Unavailable(_) => ApiError::unavailable("The log does not answer; ask again"),
                error => ApiError::internal(error),
            })?;
            Ok(end.checked_sub(1).map(|offset| Position { partition, offset }))
        });
        let too_long = |_| ApiError::unavailable("The log does not say where it ends; ask again");
        timeout(self.read_wait, try_join_all(last)).await.map_err(too_long)?
    }
}

/// How many records are missing, parked ones included.
fn records(lag: &Lag) -> u64 {
    let behind = lag.behind.iter().map(|it| (it.position.offset + 1).saturating_sub(it.progress.next));
    behind.chain(lag.parked.iter().map(|parked| parked.commits as u64)).sum()
}

/// The token of a position.
pub(crate) fn token(secrets: &Secrets, position: Position) -> HeaderValue {
    let bytes = place(position);
    let mac = secrets.token(&[b"consistency", &bytes]);
    let mut token = [0; TOKEN_BYTES];
    token[..12].copy_from_slice(&bytes);
    token[12..].copy_from_slice(&mac[..16]);
    HeaderValue::from_str(&BASE64_URL_SAFE_NO_PAD.encode(token)).expect("base64 is visible ASCII")
}

/// The position of a token, if it is one of ours.
fn read(secrets: &Secrets, text: &[u8]) -> Option<Position> {
    let mut bytes = [0; TOKEN_BYTES];
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let partition = Partition(u32::from_be_bytes(bytes[..4].try_into().ok()?));
    let position = Position { partition, offset: u64::from_be_bytes(bytes[4..12].try_into().ok()?) };
    let mac = secrets.token(&[b"consistency", &bytes[..12]]);
    let is_ours = aws_lc_rs::constant_time::verify_slices_are_equal(&mac[..16], &bytes[12..]).is_ok();
    (length == TOKEN_BYTES && is_ours).then_some(position)
}

fn place(position: Position) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&position.partition.0.to_be_bytes());
    bytes[4..].copy_from_slice(&position.offset.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_position_to_the_server_that_made_it() {
        let (ours, other) = (Secrets::derive(&[1; 32]), Secrets::derive(&[2; 32]));
        let position = Position { partition: Partition(7), offset: 123_456_789 };
        let token = token(&ours, position);
        assert_eq!(read(&ours, token.as_bytes()), Some(position));
        assert_eq!(read(&other, token.as_bytes()), None);
        assert_eq!(read(&ours, b""), None);
        assert_eq!(read(&ours, &token.as_bytes()[1..]), None);
    }
}
