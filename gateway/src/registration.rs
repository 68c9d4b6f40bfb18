//! Registering.
//!
//! Everything about a registration follows from the address and the `Idempotency-Key`: the user's id, the salt and so
//! the hash of the password, the saga. So a repetition finds what the first attempt began, and gets fresh tokens only
//! with the password that it was begun with.

use crate::across_keys::check_not_reserved;
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error, ErrorName, FieldError};
use crate::intent::{IdempotencyKey, Intent, fingerprint};
use crate::json::{Field, Fields, JsonBody};
use crate::passwords::Password;
use crate::sessions::{Session, UserAgent};
use axum::extract::State;
use axum::response::Response;
use commands::{Answer, Ended, Process, Receipt, Request, SagaCommand};
use events::{
    CipherKey, Digest, Email, Key, KeyringError, PasswordHash, Retention, SagaData, SagaId, Sealed, Step, Timestamp,
    UserId, Username,
};
use http::StatusCode;
use projections::users;
use sagas::registration::{self, CLAIM_EMAIL, CLAIM_USERNAME, RegistrationData};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register))
}

const ROUTE: &[u8] = b"POST /users/auth/register";
/// How long to ask whether a registration has begun, when it was not seen to end.
const PROBE: Duration = Duration::from_secs(1);

/// Somebody to be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Register {
    /// The address; unique without regard to case.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::email, required = true)]
    email: Field,
    /// The password.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::password, required = true)]
    password: Field,
    /// The name; unique without regard to case.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::username, required = true)]
    username: Field,
}

/// What was typed, parsed.
pub(crate) struct Applicant {
    pub(crate) email: Email,
    pub(crate) username: Username,
    pub(crate) password: Password,
}

/// A registration that is to be carried out, under its ids.
pub(crate) struct Registration {
    applicant: Applicant,
    email_claim: Digest,
    username_claim: Digest,
    user: UserId,
    saga: SagaId,
    password: PasswordHash,
    intent: Intent,
}

impl Register {
    fn parse(&self) -> Result<Applicant, ApiError> {
        let mut fields = Fields::default();
        let email = fields.required("email", &self.email, Email::parse);
        let username = fields.required("username", &self.username, Username::parse);
        let password = fields.required("password", &self.password, Password::parse);
        let applicant = email.zip(username).zip(password);
        let applicant =
            fields.done(applicant.map(|((email, username), password)| Applicant { email, username, password }))?;
        check_not_reserved(&applicant.username)?;
        Ok(applicant)
    }
}

/// Register
///
/// A repetition with the same `Idempotency-Key` and body returns the same user with a fresh session.
#[utoipa::path(post, path = "/users/auth/register", tag = "auth", request_body = Register,
    responses((status = 201, description = "The account, and a session of it", body = Session),
        (status = 409, description = "The address or the name is taken, or the name is reserved", body = Error)))]
async fn register(
    State(app): State<App>,
    agent: UserAgent,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<Register>,
) -> Result<Response, ApiError> {
    let registration = Registration::of(&app, body.parse()?, key.0.as_deref()).await?;
    let receipt = registration.carry_out(&app).await?;
    registration.check_is_mine(&app, receipt).await?;
    let opened = app.open_session(registration.user, &agent).await?;
    app.session(StatusCode::CREATED, &opened).await
}

impl Registration {
    async fn of(app: &Backend, applicant: Applicant, key: Option<&str>) -> Result<Self, ApiError> {
        let secrets = app.secrets();
        let email_claim = secrets.claim("email", &applicant.email.folded());
        let intent = match key {
            Some(key) => Intent::keyed(secrets, [&email_claim.0, ROUTE, key.as_bytes()], None),
            None => Intent::fresh(),
        };
        let mut registration = Self::under(app, applicant, intent).await?;
        if key.is_some() {
            // The hash stands for the password: what is in the log must not make guessing cheaper than the hash does.
            let Applicant { email, username, .. } = &registration.applicant;
            let said = [email.as_str(), username.as_str(), registration.password.as_str()].map(str::as_bytes);
            let said = secrets.fingerprint(&[ROUTE, said[0], said[1], said[2]]);
            registration.intent.fingerprint = Some(fingerprint(&said));
        }
        Ok(registration)
    }

    /// That of the user whom the intent creates.
    pub(crate) async fn under(app: &Backend, applicant: Applicant, intent: Intent) -> Result<Self, ApiError> {
        let user = UserId(intent.created);
        let email_claim = app.secrets().claim("email", &applicant.email.folded());
        let username_claim = app.secrets().claim("username", &applicant.username.folded());
        let password = app.passwords.hash(applicant.password.clone(), app.salt(&user.0)).await?;
        let saga = app.saga_of(registration::Registration::NAME, user.0);
        Ok(Self { applicant, email_claim, username_claim, user, saga, password, intent })
    }

    /// Waits for its end; an error if there is no account then.
    pub(crate) async fn carry_out(&self, app: &Backend) -> Result<Receipt, ApiError> {
        match self.submit(app).await? {
            Answer::Ended(receipt, Ended::Completed) => Ok(receipt),
            Answer::Ended(_, Ended::Compensated { refused, .. }) => Err(not_registered(refused.as_ref())),
            Answer::Ended(_, Ended::Stuck { error }) => Err(ApiError::internal(error)),
            Answer::Unknown if self.intent.retention == Retention::Long && self.has_begun(app).await? => {
                let message = "This registration is still being carried out; ask again with the same Idempotency-Key";
                Err(ApiError::new(ErrorName::InFlight, message))
            }
            answer => Err(unfinished(answer)),
        }
    }

    async fn submit(&self, app: &Backend) -> Result<Answer, ApiError> {
        Ok(app.ask(self.request(app, app.limits.write_deadline, true).await?).await)
    }

    /// Whether the saga stands in the log, ended or not.
    async fn has_begun(&self, app: &Backend) -> Result<bool, ApiError> {
        let answer = app.ask(self.request(app, PROBE, false).await?).await;
        Ok(matches!(answer, Answer::Accepted(_) | Answer::Repeated(_) | Answer::Unchanged(_)))
    }

    async fn request(&self, app: &Backend, within: Duration, until_saga_ends: bool) -> Result<Request, ApiError> {
        // Durable before the first commit that is sealed under it.
        let key = app.keyring.create(self.user.into()).await.map_err(|error| without_key(&error))?;
        let command = SagaCommand::Start { saga: self.saga, data: self.data(&key), with: Value::Null };
        let Intent { command: id, retention, fingerprint, .. } = self.intent;
        Ok(Request {
            retention,
            fingerprint,
            until_saga_ends,
            ..Request::new(id, Key::User(self.user), command, Timestamp::now(), Instant::now() + within)
        })
    }

    fn data(&self, key: &CipherKey) -> SagaData {
        let data = RegistrationData {
            user: self.user,
            email: Sealed::seal(&self.applicant.email, key),
            username: Sealed::seal(&self.applicant.username, key),
            password: Sealed::seal(&self.password, key),
            email_claim: self.email_claim,
            username_claim: self.username_claim,
        };
        data.into()
    }

    /// That the account was made from this very request, also where the saga is older than what is remembered of its
    /// command: nobody gets a session without the password.
    async fn check_is_mine(&self, app: &Backend, receipt: Receipt) -> Result<(), ApiError> {
        let passed = app.consistency.passed(&[receipt.position], &[users::NAME]).await;
        passed.map_err(|_| ApiError::outcome_unknown())?;
        // Address and name may be others by now.
        let credentials = app.models.users.credentials_of(self.user).await?;
        if credentials.is_some_and(|credentials| credentials.password == self.password) {
            return Ok(());
        }
        Err(ApiError::new(ErrorName::KeyReused, "This Idempotency-Key was used for another registration"))
    }
}

fn not_registered(refused: Option<&Step>) -> ApiError {
    // Its end stands under this key: the same key would find it again.
    let other = "The registration could not be carried out; try again with a new Idempotency-Key";
    refused.and_then(taken).unwrap_or_else(|| ApiError::conflict(other))
}

/// What somebody else has, if a saga came to nothing for that.
pub(crate) fn taken(refused: &Step) -> Option<ApiError> {
    let (field, message) = match refused {
        step if *step == CLAIM_EMAIL => ("email", "This address is taken"),
        step if *step == CLAIM_USERNAME => ("username", "This username is taken"),
        _ => return None,
    };
    Some(ApiError::of_fields(ErrorName::Conflict, vec![FieldError { field, message: message.to_owned() }]))
}

fn without_key(error: &KeyringError) -> ApiError {
    match error {
        // It came to nothing, or the account was deleted; either way the id that follows from the key is used up.
        KeyringError::Destroyed(_) => ApiError::conflict(
            "With this Idempotency-Key a registration was refused, or the account was deleted since; try again with a new one",
        ),
        _ => ApiError::unavailable("The keyring does not answer; nothing was done, ask again"),
    }
}

/// What an answer means that is not the end of the saga.
fn unfinished(answer: Answer) -> ApiError {
    match crate::submit::done(answer) {
        Err(error) => error,
        // The saga has begun, and the answer should have waited for its end.
        Ok(_) => ApiError::outcome_unknown(),
    }
}
