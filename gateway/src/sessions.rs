//! Signing in and out, on as many devices as there are.

mod open;
mod refresh;

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::elsewhere::{Passing, Waits};
use crate::error::{ApiError, Error, ErrorName};
use crate::extract::InQuery;
use crate::faces::text;
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::json::{Field, Fields, JsonBody};
use crate::passwords::Password;
use crate::rate_limits::{Admission, Class};
use crate::submit::{Done, done};
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use commands::{Answer, Refusal, Request, SessionCommand};
use events::{ACCESS_TOKEN_LIFE, Device, Digest, Email, Key, Sealed, SessionId, Timestamp, UserId};
use http::header::{CACHE_CONTROL, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use projections::users::{Author, Credentials};
use projections::{Text, sessions, users};
pub(crate) use refresh::REFRESH_TOKEN_PATTERN;
use refresh::RefreshToken;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use tokio::time::Instant;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(refresh::refresh))
        .routes(routes!(open::list))
        .routes(routes!(open::end))
}

/// Somebody signs in.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "ada@example.com", "password": "correct horse battery"})))]
pub(crate) struct Login {
    /// The address.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::email, required = true)]
    email: Field,
    /// The password.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::password, required = true)]
    password: Field,
}

/// A session, with its tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// Whose.
    id: Uuid,
    /// The address.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::email)]
    email: Text,
    /// The name as written by its owner.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::username)]
    username: Text,
    #[serde(flatten)]
    tokens: Tokens,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Gets the next tokens, once.
    #[schema(schema_with = crate::schemas::refresh_token)]
    refresh_token: String,
    /// Always `Bearer`.
    token_type: TokenType,
    /// How long the access token is good, in seconds.
    expires_in: u64,
}

/// How an access token is sent.
#[derive(Serialize, ToSchema)]
pub(crate) enum TokenType {
    /// `Authorization: Bearer ...`
    Bearer,
}

/// Which sessions a logout ends.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// The one that asks.
    #[default]
    Local,
    /// All of the caller's.
    Global,
    /// All of the caller's but the one that asks.
    Others,
}

#[derive(Deserialize)]
struct Which {
    scope: Option<Scope>,
}

/// What the client calls itself, if anything.
pub(crate) struct UserAgent(Option<Device>);

impl<S: Sync> FromRequestParts<S> for UserAgent {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let name = parts.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
        Ok(Self(name.and_then(Device::of)))
    }
}

/// A session that was just opened.
pub(crate) struct Opened {
    user: UserId,
    session: SessionId,
    done: Done,
}

/// Sign in
#[utoipa::path(post, path = "/users/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, description = "The session", body = Session),
        (status = 401, description = "No account has this address and password", body = Error)))]
async fn login(
    State(app): State<App>,
    admission: Admission,
    agent: UserAgent,
    JsonBody(body): JsonBody<Login>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::default();
    let email = fields.required("email", &body.email, Email::parse);
    let password = fields.required("password", &body.password, Password::parse);
    let (email, password) = fields.done(email.zip(password))?;
    let claim = app.secrets().claim("email", &email.folded());
    admission.take(Class::Account, claim).await?;
    let mut answer = app.log_in(claim, &password, &agent).await?;
    if answer.is_none() {
        // The password was changed between the look and the decision: what was checked is worth nothing.
        app.consistency.caught_up(&[users::NAME]).await?;
        answer = app.log_in(claim, &password, &agent).await?;
    }
    app.session(StatusCode::OK, &answer.ok_or_else(wrong_credentials)?).await
}

/// Sign out
#[utoipa::path(post, path = "/users/auth/logout", tag = "auth", security(("bearer" = [])),
    params(("scope" = inline(Option<Scope>), Query, description = "Which sessions end: `local` (the default) the one \
        that asks, `global` all of the caller's, `others` all but the one that asks")),
    responses((status = 204, description = "The tokens of these sessions are worth nothing from now on")))]
async fn logout(
    State(app): State<App>,
    caller: Caller,
    InQuery(Which { scope }): InQuery<Which>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let Caller { user, session, .. } = caller;
    let (command, said): (_, &[u8]) = match scope.unwrap_or_default() {
        Scope::Local => (SessionCommand::Close { session, user }, b"local"),
        Scope::Global => (SessionCommand::CloseAll { user, by: session, but_own: false }, b"global"),
        Scope::Others => (SessionCommand::CloseAll { user, by: session, but_own: true }, b"others"),
    };
    let route = Route { name: "POST /users/auth/logout", ids: &[session.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[said]).await?;
    let done = match app.submit(&caller, &intent, Key::User(user), command).await {
        // It was closed between the check of the token and the decision.
        Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::bad_token()),
        done => done?,
    };
    app.signed_out(user, &done).await?;
    Ok(app.gone(&done))
}

impl Backend {
    /// Checks address and password and opens a session; `None` if the password was changed meanwhile.
    async fn log_in(&self, claim: Digest, password: &Password, agent: &UserAgent) -> Result<Option<Opened>, ApiError> {
        let mut credentials = self.models.users.credentials(claim).await?;
        let mut caught_up = false;
        if credentials.is_none() {
            self.consistency.caught_up(&[users::NAME]).await?;
            (credentials, caught_up) = (self.models.users.credentials(claim).await?, true);
        }
        if !self.is_password(password, credentials.as_ref()).await? {
            // The address may be another account's by now, or the password another one. Both are looked for behind the
            // log's end once, so that one takes as long as the other.
            if !caught_up {
                self.consistency.caught_up(&[users::NAME]).await?;
            }
            let now = self.models.users.credentials(claim).await?;
            if now == credentials || !self.is_password(password, now.as_ref()).await? {
                return Err(wrong_credentials());
            }
            credentials = now;
        }
        let Some(Credentials { user, version, .. }) = credentials else { return Err(wrong_credentials()) };
        self.open(user, version, agent).await
    }

    /// Without credentials it takes as long, and is not.
    async fn is_password(&self, password: &Password, of: Option<&Credentials>) -> Result<bool, ApiError> {
        self.passwords.verify(password.clone(), of.map(|credentials| &credentials.password)).await
    }

    /// Opens a session for somebody who has just registered with the password that the account has.
    pub(crate) async fn open_session(&self, user: UserId, agent: &UserAgent) -> Result<Opened, ApiError> {
        const FIRST_PASSWORD: u64 = 1;
        self.open(user, FIRST_PASSWORD, agent).await?.ok_or_else(changed_meanwhile)
    }

    /// Opens a session for whoever knows the password of this version; `None` if it was changed meanwhile.
    pub(crate) async fn open(
        &self,
        user: UserId,
        credentials: u64,
        UserAgent(device): &UserAgent,
    ) -> Result<Option<Opened>, ApiError> {
        let session = SessionId(Uuid::now_v7());
        let device = match device {
            Some(device) => Some(Sealed::seal(device, &*self.key_of(user).await?)),
            None => None,
        };
        match self.ask_sessions(user, SessionCommand::Open { session, user, credentials, device }).await {
            Answer::Refused(Refusal::StaleCredentials) => Ok(None),
            Answer::Refused(Refusal::NotFound) => Err(wrong_credentials()),
            answer => done(answer).map(|done| Some(Opened { user, session, done })),
        }
    }

    /// Has a command carried out on behalf of a user who may have no token, or none any more.
    async fn ask_sessions(&self, user: UserId, command: SessionCommand) -> Answer {
        self.ask_sessions_as(user, command, &Intent::fresh()).await
    }

    /// The same under ids that are those of whoever asks again.
    pub(crate) async fn ask_sessions_as(&self, user: UserId, command: SessionCommand, intent: &Intent) -> Answer {
        let Intent { command: id, retention, .. } = *intent;
        let deadline = Instant::now() + self.limits.write_deadline;
        let request = Request {
            actor: Some(user),
            retention,
            ..Request::new(id, Key::User(user), command, Timestamp::now(), deadline)
        };
        self.ask(request).await
    }

    /// Waits until no node takes a token of the sessions of `user` that ended here; says who may still do.
    pub(crate) async fn ended(&self, user: UserId, done: &Done) -> Result<(), Waits> {
        let passing = Passing {
            models: vec![sessions::NAME.to_owned()],
            last: vec![done.receipt.position],
            concerning: Some(user),
            within_ms: u64::try_from(self.limits.read_wait.as_millis()).unwrap_or(u64::MAX),
        };
        passing.here(&self.projections).await?;
        self.elsewhere.passed(&passing).await
    }

    /// The same, for an answer that promises it.
    pub(crate) async fn signed_out(&self, user: UserId, done: &Done) -> Result<(), ApiError> {
        self.ended(user, done).await.map_err(|waits| {
            warn!(%user, "tokens of sessions that have ended may still be taken for a while: {waits}");
            ApiError::outcome_unknown()
        })
    }

    /// The answer that hands out a session's tokens.
    pub(crate) async fn session(&self, status: StatusCode, opened: &Opened) -> Result<Response, ApiError> {
        let Opened { user, session, done } = *opened;
        let profile = self.models.users.profile(user).await?.ok_or_else(wrong_credentials)?;
        let (username, avatar_url) = (profile.username.clone(), profile.avatar_url.clone());
        self.known_face(Author { id: user, username, avatar_url });
        let tokens = self.issue(RefreshToken { user, session, generation: 0 })?;
        let session = Session { id: user.0, email: profile.email, username: profile.username, tokens };
        let response = if status == StatusCode::CREATED {
            self.written_at(&format!("/users/{user}"), status, &done, session)
        } else {
            self.written(status, &done, session)
        };
        Ok(confidential(response))
    }

    fn issue(&self, refresh: RefreshToken) -> Result<Tokens, ApiError> {
        Ok(Tokens {
            access_token: self.tokens.issue(refresh.user, refresh.session, Timestamp::now())?,
            refresh_token: refresh.write(self.secrets()),
            token_type: TokenType::Bearer,
            expires_in: ACCESS_TOKEN_LIFE.as_secs(),
        })
    }
}

/// For nobody to keep but the one who asked.
fn confidential(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn changed_meanwhile() -> ApiError {
    ApiError::conflict("The password was changed meanwhile")
}

/// The same whether the address or the password is wrong.
fn wrong_credentials() -> ApiError {
    ApiError::new(ErrorName::Unauthorized, "No account has this address and this password")
}
