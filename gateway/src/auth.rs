//! Who asks: the access token of a request, and whether the session that it names is open.

use crate::backend::{App, Backend};
use crate::door::Authenticated;
use crate::error::{ApiError, ErrorName};
use crate::rate_limits::{Account, Demand, Refused};
use crate::tokens::Verified;
use axum::extract::FromRequestParts;
use events::{Key, SessionId, Timestamp, UserId};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use projections::sessions::{self, SessionState};

/// Who asks, where somebody must. 401 without a token, or with one that is not good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
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
        let Some(verified) = verify(app, &parts.headers, async { Ok(()) }).await? else { return Ok(Self(None)) };
        Ok(Self(Some(enter(app, &verified, None).await?.0)))
    }
}

/// Whom the token speaks for that a request brings, if it brings one. `gate` is asked before a signature is checked, which
/// is once per token for as long as it is remembered.
pub(crate) async fn verify(
    app: &Backend,
    headers: &HeaderMap,
    gate: impl Future<Output = Result<(), ApiError>> + Send,
) -> Result<Option<Verified>, ApiError> {
    let Some(authorization) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = authorization.to_str().ok().and_then(bearer).ok_or_else(ApiError::bad_token);
    let token = counted(token)?;
    counted(app.whose(token, Timestamp::now(), gate).await).map(Some)
}

/// Counts tokens that let nobody in. What is refused by a limit is counted there.
fn counted<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    let why = match result.as_ref().err().map(ApiError::name) {
        Some(ErrorName::Unauthorized) => "bad",
        Some(ErrorName::Unavailable) => "unknown",
        _ => return result,
    };
    metrics::counter!("tidings_tokens_refused_total", "why" => why).increment(1);
    result
}

pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets in whom a token speaks for, if the session is open, and takes what is demanded of them; where there are limits that
/// is their account, or what was too much. A session that is not known here may have been opened a moment ago: the read model
/// is given the time to see it.
pub(crate) async fn enter(
    app: &Backend,
    verified: &Verified,
    demand: Option<Demand>,
) -> Result<(Caller, Option<Result<Account, Refused>>), ApiError> {
    counted(open(app, verified, demand).await)
}

async fn open(
    app: &Backend,
    &Verified { user, session, .. }: &Verified,
    demand: Option<Demand>,
) -> Result<(Caller, Option<Result<Account, Refused>>), ApiError> {
    let look = async || app.rate_limits.enter_with(&*app.models.sessions, (session, user), demand).await;
    let (mut state, mut entered) = look().await?;
    if matches!(state, SessionState::Unknown | SessionState::Outdated) {
        app.consistency.caught_up_on(&Key::User(user), &[sessions::NAME]).await?;
        (state, entered) = look().await?;
    }
    match state {
        SessionState::Open { user: whose } if whose == user => app.hearsay.check()?,
        SessionState::Outdated => {
            return Err(ApiError::unavailable("Whether the session is still open is not known yet; ask again"));
        }
        SessionState::Open { .. } | SessionState::Closed | SessionState::Unknown => return Err(ApiError::bad_token()),
    }
    Ok((Caller { user, session }, entered))
}
