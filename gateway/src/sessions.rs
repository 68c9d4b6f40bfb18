//! Signing in and out.

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error, ErrorName};
use crate::faces::text;
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::json::{Field, Fields, JsonBody};
use crate::passwords::Password;
use crate::submit::{Done, done};
use crate::tokens::refresh_token;
use axum::extract::State;
use axum::response::Response;
use commands::{Answer, Refusal, Request, SessionCommand};
use events::{ACCESS_TOKEN_LIFE, Digest, Email, Key, SessionId, Timestamp, UserId};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use projections::users::Credentials;
use projections::{Sessions, Text, Users};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(logout))
}

/// Somebody signs in.
#[derive(Deserialize, ToSchema)]
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
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Gets the next access token; its route comes with a later version.
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
async fn login(State(app): State<App>, JsonBody(body): JsonBody<Login>) -> Result<Response, ApiError> {
    let mut fields = Fields::default();
    let email = fields.required("email", &body.email, Email::parse);
    let password = fields.required("password", &body.password, Password::parse);
    let (email, password) = fields.done(email.zip(password))?;
    let claim = app.secrets().claim("email", &email.folded());
    let mut answer = app.log_in(claim, &password).await?;
    if answer.is_none() {
        // The password was changed between the look and the decision: what was checked is worth nothing.
        app.consistency.caught_up(&[Users::NAME]).await?;
        answer = app.log_in(claim, &password).await?;
    }
    app.session(StatusCode::OK, &answer.ok_or_else(wrong_credentials)?)
}

/// End the session that the access token names
#[utoipa::path(post, path = "/users/auth/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 204, description = "Its tokens are worth nothing from now on")))]
async fn logout(State(app): State<App>, caller: Caller, key: IdempotencyKey) -> Result<Response, ApiError> {
    let route = Route { name: "POST /users/auth/logout", ids: &[caller.session.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = SessionCommand::Close { session: caller.session, user: caller.user };
    let done = match app.submit(&caller, &intent, Key::User(caller.user), command).await {
        // It was closed between the check of the token and the decision.
        Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::bad_token()),
        done => done?,
    };
    let passed = app.consistency.passed(&[done.receipt.position], &[Sessions::NAME]).await;
    passed.map_err(|_| ApiError::outcome_unknown())?;
    app.consistency.lost_track(caller.session);
    Ok(app.gone(&done))
}

impl Backend {
    /// Checks address and password and opens a session; `None` if the password was changed meanwhile.
    async fn log_in(&self, claim: Digest, password: &Password) -> Result<Option<Opened>, ApiError> {
        let mut credentials = self.credentials(claim).await?;
        if !self.is_password(password, credentials.as_ref()).await? {
            // The address may be another account's by now, or the password another one.
            self.consistency.caught_up(&[Users::NAME]).await?;
            let now = self.models.users.credentials(claim);
            if now == credentials || !self.is_password(password, now.as_ref()).await? {
                return Err(wrong_credentials());
            }
            credentials = now;
        }
        let Some(Credentials { user, version, .. }) = credentials else { return Err(wrong_credentials()) };
        self.open(user, version).await
    }

    /// Without credentials it takes as long, and is not.
    async fn is_password(&self, password: &Password, of: Option<&Credentials>) -> Result<bool, ApiError> {
        self.passwords.verify(password.clone(), of.map(|credentials| &credentials.password)).await
    }

    /// Who is not seen is looked for again behind the log's end, so that "no such account" is true.
    async fn credentials(&self, claim: Digest) -> Result<Option<Credentials>, ApiError> {
        if let Some(credentials) = self.models.users.credentials(claim) {
            return Ok(Some(credentials));
        }
        self.consistency.caught_up(&[Users::NAME]).await?;
        Ok(self.models.users.credentials(claim))
    }

    /// Opens a session for somebody who has just registered with the password that the account has.
    pub(crate) async fn open_session(&self, user: UserId) -> Result<Opened, ApiError> {
        const FIRST_PASSWORD: u64 = 1;
        self.open(user, FIRST_PASSWORD).await?.ok_or_else(|| ApiError::conflict("The password was changed meanwhile"))
    }

    async fn open(&self, user: UserId, credentials: u64) -> Result<Option<Opened>, ApiError> {
        let session = SessionId(Uuid::now_v7());
        let command = SessionCommand::Open { session, user, credentials };
        let Intent { command: id, retention, .. } = Intent::fresh();
        let deadline = Instant::now() + self.limits.write_deadline;
        let request = Request {
            actor: Some(user),
            retention,
            ..Request::new(id, Key::User(user), command, Timestamp::now(), deadline)
        };
        match self.router.submit(request).await {
            Answer::Refused(Refusal::StaleCredentials) => Ok(None),
            Answer::Refused(Refusal::NotFound) => Err(wrong_credentials()),
            answer => done(answer).map(|done| Some(Opened { user, session, done })),
        }
    }

    /// The answer that hands out a session's tokens.
    pub(crate) fn session(&self, status: StatusCode, opened: &Opened) -> Result<Response, ApiError> {
        let Opened { user, session, done } = *opened;
        let profile = self.models.users.profile(user).ok_or_else(wrong_credentials)?;
        let session = Session {
            id: user.0,
            email: profile.email,
            username: profile.username,
            access_token: self.tokens.issue(user, session, Timestamp::now())?,
            refresh_token: refresh_token(self.secrets(), session, 0),
            token_type: TokenType::Bearer,
            expires_in: ACCESS_TOKEN_LIFE.as_secs(),
        };
        let mut response = if status == StatusCode::CREATED {
            self.written_at(&format!("/users/{user}"), status, &done, session)
        } else {
            self.written(status, &done, session)
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// The same whether the address or the password is wrong.
fn wrong_credentials() -> ApiError {
    ApiError::new(ErrorName::Unauthorized, "No account has this address and this password")
}
