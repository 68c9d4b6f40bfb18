//! Who asks: the access token of a request, and whether the session that it names is open.

use crate::backend::{App, Backend};
use crate::door::Authenticated;
use crate::edge::RequestId;
use crate::error::ApiError;
use crate::tokens::Verified;
use axum::extract::FromRequestParts;
use events::{Key, SessionId, Timestamp, UserId};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use projections::Sessions;
use projections::sessions::SessionState;
use uuid::Uuid;

/// Who asks, where somebody must. 401 without a token, or with one that is not good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    /// Ties together what the request leads to.
    pub(crate) correlation: Uuid,
}

/// Who asks, where nobody must. A token that is not good is 401 here too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer(pub(crate) Option<Caller>);

impl Viewer {
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.0.as_ref()
    }

    pub(crate) fn user(&self) -> Option<UserId> {
        self.0.map(|caller| caller.user)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Viewer::from_request_parts(parts, app).await?.0.ok_or_else(ApiError::no_token)
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(Authenticated(found)) = parts.extensions.get() {
            return found.clone().map(Self);
        }
        let correlation = parts.extensions.get::<RequestId>().map_or_else(Uuid::now_v7, RequestId::correlation);
        authenticate(app, &parts.headers, correlation, || Ok(())).await.map(Self)
    }
}

/// Whom the token speaks for that a request brings, if it brings one. `gate` is asked before a signature is checked, which
/// is once per token for as long as it is remembered.
pub(crate) async fn authenticate(
    app: &Backend,
    headers: &HeaderMap,
    correlation: Uuid,
    gate: impl FnOnce() -> Result<(), ApiError>,
) -> Result<Option<Caller>, ApiError> {
    let Some(authorization) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = authorization.to_str().ok().and_then(bearer).ok_or_else(ApiError::bad_token)?;
    let Verified { user, session, .. } = app.whose(token, Timestamp::now(), gate).await?;
    check_session(app, user, session).await?;
    Ok(Some(Caller { user, session, correlation }))
}

pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A session that is not known here may have been opened a moment ago: the read model is given the time to see it.
async fn check_session(app: &Backend, user: UserId, session: SessionId) -> Result<(), ApiError> {
    let mut state = app.models.sessions.state(session);
    if state == SessionState::Unknown {
        app.consistency.caught_up_on(&Key::User(user), &[Sessions::NAME]).await?;
        state = app.models.sessions.state(session);
    }
    if state == (SessionState::Open { user }) { app.hearsay.check() } else { Err(ApiError::bad_token()) }
}
