//! The password of somebody who is signed in: whether it is known, and changing it.

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error, ErrorName, FieldError};
use crate::intent::Intent;
use crate::json::{Field, Fields, JsonBody};
use crate::passwords::Password;
use crate::rate_limits::{Admission, Class};
use crate::sessions::{Session, UserAgent, changed_meanwhile};
use axum::extract::State;
use axum::response::Response;
use commands::UserCommand;
use events::{Key, Sealed};
use http::StatusCode;
use projections::sessions::{self, SessionState};
use projections::users;
use projections::users::Credentials;
use serde::Deserialize;
use utoipa::ToSchema;

/// Another password.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"current_password": "correct horse battery", "new_password": "battery horse correct"})))]
pub(crate) struct ChangePassword {
    /// The password as it is.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::password, required = true)]
    current_password: Field,
    /// The password to be; it must be another one.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::password, required = true)]
    new_password: Field,
}

impl ChangePassword {
    fn parse(&self) -> Result<(Password, Password), ApiError> {
        let mut fields = Fields::default();
        let current = fields.required("current_password", &self.current_password, Password::parse);
        let new = fields.required("new_password", &self.new_password, Password::parse);
        if new.is_some() && self.new_password == self.current_password {
            fields.refuse("new_password", "new_password must be another one");
        }
        fields.done(current.zip(new))
    }
}

/// Change the password
///
/// All sessions of the caller end, this one too: whoever has a token that was given before is signed out. The answer
/// brings a new session.
#[utoipa::path(put, path = "/users/me/password", tag = "auth", security(("bearer" = [])), request_body = ChangePassword,
    responses((status = 200, description = "A new session, the only one", body = Session),
        (status = 403, description = "`current_password` is not the password", body = Error),
        (status = 409, description = "The password was changed meanwhile", body = Error)))]
pub(super) async fn change_password(
    State(app): State<App>,
    caller: Caller,
    admission: Admission,
    agent: UserAgent,
    JsonBody(body): JsonBody<ChangePassword>,
) -> Result<Response, ApiError> {
    let (current, new) = body.parse()?;
    // What this session has changed before counts.
    app.visible(&caller, &[users::NAME]).await?;
    let Credentials { user, version, .. } = app.check_password(&caller, &current, &admission).await?;
    let intent = Intent::fresh();
    let hash = app.passwords.hash(new, app.salt(&intent.command.0)).await?;
    let password = Sealed::seal(&hash, &*app.key_of(user).await?);
    let command = UserCommand::ChangePassword { user, password, credentials: version };
    let done = match app.submit(&caller, &intent, Key::User(user), command).await {
        Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::bad_token()),
        done => done?,
    };
    app.consistency.lost_track(caller.session);
    app.signed_out(user, &done).await?;
    let opened = app.open(user, version + 1, &agent).await?.ok_or_else(changed_meanwhile)?;
    app.session(StatusCode::OK, &opened).await
}

impl Backend {
    /// That whoever has a token also knows the password. So often a minute only, or who has stolen the token could guess.
    pub(super) async fn check_password(
        &self,
        caller: &Caller,
        password: &Password,
        admission: &Admission,
    ) -> Result<Credentials, ApiError> {
        admission.take(Class::Password, caller.user).await?;
        let credentials = self.models.users.credentials_of(caller.user).await?;
        let hash = credentials.as_ref().map(|credentials| &credentials.password);
        let is_right = self.passwords.verify(password.clone(), hash).await?;
        if let Some(credentials) = credentials.filter(|_| is_right) {
            return Ok(credentials);
        }
        // It may have been the password a moment ago: then whoever changed it has ended this session too.
        self.consistency.caught_up_on(&Key::User(caller.user), &[sessions::NAME]).await?;
        match self.models.sessions.state(caller.session, caller.user).await? {
            SessionState::Open { .. } => {
                let message = "This is not the password".to_owned();
                Err(ApiError::of_fields(ErrorName::Forbidden, vec![FieldError { field: "current_password", message }]))
            }
            SessionState::Closed | SessionState::Unknown => Err(ApiError::bad_token()),
            SessionState::Outdated => Err(ApiError::unavailable("Whether the session is still open is not known yet")),
        }
    }
}
