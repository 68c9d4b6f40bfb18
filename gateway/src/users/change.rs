//! Changing the own profile: the bio by a command; address and name, which are claims on keys of their own, by USER_RENAME,
//! which takes the bio along.

use super::{MODELS, OwnProfile};
use crate::across_keys::check_not_reserved;
use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error, ErrorName};
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::json::{Field, Fields, JsonBody};
use crate::passwords::Password;
use crate::rate_limits::Admission;
use crate::registration::taken;
use crate::submit::{Course, Done, How, NewSaga, Wait};
use axum::extract::State;
use axum::response::Response;
use commands::{Ended, Process, UserCommand};
use events::{Bio, CipherKey, Email, Key, Sealed, UserId, Username};
use http::StatusCode;
use projections::users::Claims;
use sagas::rename::{Change, NewBio, Rename, RenameData};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

const ROUTE: Route<'static> = Route { name: "PUT /users/me", ids: &[] };

/// What is to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpdateMe {
    /// The new bio; null clears it.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::bio, required = false)]
    bio: Field,
    #[serde(default)]
    #[schema(ignore)]
    avatar_url: Field,
    /// The new name.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::username, required = false)]
    username: Field,
    /// The new address; `current_password` must come with it.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::email, required = false)]
    email: Field,
    /// The password, if the address is to change.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::password, required = false)]
    current_password: Field,
}

/// What is to change, parsed.
struct Changes {
    /// `Some(None)` clears it.
    bio: Option<Option<Bio>>,
    username: Option<Username>,
    /// With the password that must come with it.
    email: Option<(Email, Password)>,
}

impl UpdateMe {
    fn parse(&self) -> Result<Changes, ApiError> {
        let mut fields = Fields::default();
        if self.avatar_url.given().is_some() {
            fields.refuse("avatar_url", "avatar_url cannot be changed in this version");
        }
        let bio = fields.nullable("bio", &self.bio, Bio::parse);
        let username = self.username.given().and_then(|name| fields.required("username", name, Username::parse));
        let email = self.email.given().and_then(|email| fields.required("email", email, Email::parse));
        let needed = email.as_ref().map(|_| &self.current_password);
        let password = needed.or(self.current_password.given());
        let password = password.and_then(|password| fields.required("current_password", password, Password::parse));
        let bio = self.bio.given().map(|_| bio);
        let changes = fields.done(Some(Changes { bio, username, email: email.zip(password) }))?;
        changes.username.as_ref().map_or(Ok(()), check_not_reserved)?;
        Ok(changes)
    }
}

impl Changes {
    /// What makes two requests under one key the same.
    fn said(&self) -> Vec<&[u8]> {
        let mut said = Vec::new();
        match &self.bio {
            Some(Some(bio)) => said.extend([b"bio".as_slice(), bio.as_str().as_bytes()]),
            Some(None) => said.push(b"no bio"),
            None => {}
        }
        if let Some(name) = &self.username {
            said.extend([b"username".as_slice(), name.as_str().as_bytes()]);
        }
        if let Some((email, _)) = &self.email {
            said.extend([b"email".as_slice(), email.as_str().as_bytes()]);
        }
        said
    }
}

/// Change the own profile
///
/// All of it changes, or nothing. Who changes the address stays signed in, and signs in with the new one from now on. The
/// former address and the former name are free for anybody shortly afterwards.
#[utoipa::path(put, path = "/users/me", tag = "users", security(("bearer" = [])), request_body = UpdateMe,
    responses((status = 200, description = "The own profile as it is now", body = OwnProfile),
        (status = 403, description = "The address was to change, and `current_password` is not the password", body = Error),
        (status = 409, description = "The address or the name is taken, the name is reserved, or the change could not be \
            carried out; `KeyReused`: the Idempotency-Key was used for another request; or `InFlight`", body = Error)))]
pub(super) async fn update_me(
    State(app): State<App>,
    caller: Caller,
    admission: Admission,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<UpdateMe>,
) -> Result<Response, ApiError> {
    let changes = body.parse()?;
    match changes {
        Changes { bio: None, username: None, email: None } => {
            app.visible(&caller, &MODELS).await?;
            let done = app.nothing_to_do(&caller).await?;
            Ok(app.written(StatusCode::OK, &done, app.own_profile(caller.user).await?))
        }
        Changes { bio: Some(ref bio), username: None, email: None } => {
            let intent = Intent::of(&app, &caller, &key, ROUTE, &changes.said()).await?;
            app.change_bio(&caller, &intent, bio.as_ref()).await
        }
        changes => {
            let intent = Intent::of(&app, &caller, &key, ROUTE, &changes.said()).await?;
            app.rename(&caller, &admission, &intent, &changes).await
        }
    }
}

impl Backend {
    async fn change_bio(&self, caller: &Caller, intent: &Intent, bio: Option<&Bio>) -> Result<Response, ApiError> {
        let cipher = self.key_of(caller.user).await?;
        let sealed = bio.map(|bio| Sealed::seal(bio, &cipher));
        let command = UserCommand::ChangeBio { user: caller.user, bio: sealed };
        let done = match self.submit(caller, intent, Key::User(caller.user), command).await {
            // The account was deleted between the check of the token and the decision.
            Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::bad_token()),
            done => done?,
        };
        self.changed(caller, &done).await
    }

    async fn rename(
        &self,
        caller: &Caller,
        admission: &Admission,
        intent: &Intent,
        changes: &Changes,
    ) -> Result<Response, ApiError> {
        // What this session has changed before counts.
        self.visible(caller, &MODELS).await?;
        let claims = self.models.users.claims(caller.user).await?.ok_or_else(ApiError::bad_token)?;
        if let Some((_, password)) = &changes.email {
            self.check_password(caller, password, admission).await?;
        }
        let cipher = self.key_of(caller.user).await?;
        let new = NewSaga {
            saga: self.saga_of(Rename::NAME, intent.created),
            key: Key::User(caller.user),
            data: self.rename_data(caller.user, claims, changes, &cipher).into(),
            with: Value::Null,
        };
        let done = match self.run_saga(caller, intent, new, Wait::ForTheEnd).await {
            Ok(Course::Ended(receipt, Ended::Completed)) => Done { receipt, how: How::Now },
            Ok(Course::Ended(_, Ended::Compensated { refused, .. })) => {
                return Err(refused.as_ref().and_then(taken).unwrap_or_else(not_changed));
            }
            // Nothing has changed; what is stuck is giving back what was claimed.
            Ok(Course::Ended(_, Ended::Stuck { .. })) => return Err(not_changed()),
            Ok(Course::UnderWay(_)) if intent.fingerprint.is_none() => return Err(ApiError::outcome_unknown()),
            Ok(Course::UnderWay(_)) => {
                let message = "This change is still being carried out; ask again with the same Idempotency-Key";
                return Err(ApiError::new(ErrorName::InFlight, message));
            }
            Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::bad_token()),
            Err(error) => return Err(error),
        };
        self.changed(caller, &done).await
    }

    fn rename_data(&self, user: UserId, claims: Claims, changes: &Changes, cipher: &CipherKey) -> RenameData {
        let email = changes.email.as_ref().map(|(email, _)| Change {
            from: claims.email,
            to: Sealed::seal(email, cipher),
            claim: self.secrets().claim("email", &email.folded()),
        });
        let username = changes.username.as_ref().map(|name| Change {
            from: claims.username,
            to: Sealed::seal(name, cipher),
            claim: self.secrets().claim("username", &name.folded()),
        });
        let seal = |bio: &Bio| Sealed::seal(bio, cipher);
        let bio = changes.bio.as_ref().map(|bio| NewBio { to: bio.as_ref().map(seal) });
        RenameData { user, email, username, bio }
    }

    /// The profile as it is read back: another node may have changed it before. What was changed is done, whether or not
    /// it can be seen in time.
    async fn changed(&self, caller: &Caller, done: &Done) -> Result<Response, ApiError> {
        self.visible(caller, &MODELS).await.map_err(|_| ApiError::outcome_unknown())?;
        let profile = self.own_profile(caller.user).await.map_err(ApiError::after_write)?;
        Ok(self.written(StatusCode::OK, done, profile))
    }
}

/// Its end stands under its key: the same key would find it again.
fn not_changed() -> ApiError {
    ApiError::conflict("The change could not be carried out; try again with a new Idempotency-Key")
}
