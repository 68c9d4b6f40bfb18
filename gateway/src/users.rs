//! Profiles.

use crate::auth::{Caller, Viewer};
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InPath;
use crate::faces::{text, text_or_null};
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::json::{Field, Fields, JsonBody};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::UserCommand;
use events::{Bio, Key, Sealed, Timestamp, UserId};
use http::StatusCode;
use projections::{Posts, Text, Users, users};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me, update_me)).routes(routes!(user))
}

/// The models that a profile is made of.
pub(crate) const MODELS: [&str; 2] = [Users::NAME, Posts::NAME];

/// A profile as its owner sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwnProfile {
    /// The address.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::email)]
    email: Text,
    #[serde(flatten)]
    profile: Profile,
}

/// A profile.
#[derive(Serialize, ToSchema)]
pub(crate) struct Profile {
    /// Whose.
    id: Uuid,
    /// The name as written by its owner.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::username)]
    username: Text,
    /// What it says about its owner.
    #[serde(serialize_with = "text_or_null")]
    #[schema(schema_with = crate::schemas::bio, required = true)]
    bio: Option<Text>,
    /// Null: there are no uploads yet.
    #[serde(serialize_with = "text_or_null")]
    #[schema(schema_with = crate::schemas::media_url, required = true)]
    avatar_url: Option<Text>,
    /// When the account was made.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
    /// How many people follow this one.
    follower_count: usize,
    /// How many people this one follows.
    following_count: usize,
    /// How many published posts there are.
    posts_count: usize,
    /// How the reader and this person stand to each other; absent without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    viewer: Option<Relation>,
}

/// How a reader and a person stand to each other.
#[derive(Serialize, ToSchema)]
pub(crate) struct Relation {
    /// The reader follows the person.
    following: bool,
    /// The person follows the reader.
    followed_by: bool,
    /// The reader blocks the person; never in this version.
    blocking: bool,
    /// The reader mutes the person; never in this version.
    muting: bool,
}

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
    #[serde(default)]
    #[schema(ignore)]
    username: Field,
    #[serde(default)]
    #[schema(ignore)]
    email: Field,
    #[serde(default)]
    #[schema(ignore)]
    current_password: Field,
}

/// A change of the bio: `None` clears it.
struct NewBio(Option<Bio>);

impl UpdateMe {
    /// `None` if nothing is to change.
    fn parse(&self) -> Result<Option<NewBio>, ApiError> {
        let mut fields = Fields::default();
        let fixed = [
            ("avatar_url", &self.avatar_url),
            ("username", &self.username),
            ("email", &self.email),
            ("current_password", &self.current_password),
        ];
        for (name, _) in fixed.into_iter().filter(|(_, field)| **field != Field::Absent) {
            fields.refuse(name, format!("{name} cannot be changed in this version"));
        }
        let bio = fields.nullable("bio", &self.bio, Bio::parse);
        fields.done(Some((self.bio != Field::Absent).then_some(NewBio(bio))))
    }
}

impl Backend {
    /// A profile as `viewer` sees it; `None` if there is no such account.
    pub(crate) fn profile(&self, user: UserId, viewer: Option<UserId>) -> Option<Profile> {
        let profile = self.models.users.profile(user)?;
        let viewer = viewer.map(|viewer| {
            let users::Relation { following, followed_by } = self.models.users.relation(viewer, user);
            Relation { following, followed_by, blocking: false, muting: false }
        });
        Some(self.shape(profile, viewer).profile)
    }

    fn shape(&self, profile: users::Profile, viewer: Option<Relation>) -> OwnProfile {
        let users::Profile { id, email, username, bio, avatar_url, created_at, follower_count, following_count } =
            profile;
        let posts_count = self.models.posts.count_of(id);
        let profile = Profile {
            id: id.0,
            username,
            bio,
            avatar_url,
            created_at,
            follower_count,
            following_count,
            posts_count,
            viewer,
        };
        OwnProfile { email, profile }
    }

    async fn own_profile(&self, user: UserId) -> Result<OwnProfile, ApiError> {
        // Whoever is signed in has an account; the read model may be behind by a moment.
        self.face(user).await?;
        let profile = self.models.users.profile(user).ok_or_else(ApiError::bad_token)?;
        Ok(self.shape(profile, None))
    }
}

/// The own profile
#[utoipa::path(get, path = "/users/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "The own profile", body = OwnProfile)))]
async fn me(State(app): State<App>, caller: Caller, wanted: Wanted) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    Ok((fresh, Json(app.own_profile(caller.user).await?)).into_response())
}

/// Change the own profile
#[utoipa::path(put, path = "/users/me", tag = "users", security(("bearer" = [])), request_body = UpdateMe,
    responses((status = 200, description = "The own profile as it is now", body = OwnProfile),
        (status = 404, description = "The account is gone", body = Error)))]
async fn update_me(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<UpdateMe>,
) -> Result<Response, ApiError> {
    let Some(NewBio(bio)) = body.parse()? else {
        app.visible(&caller, &MODELS).await?;
        let done = app.nothing_to_do(&caller).await?;
        return Ok(app.written(StatusCode::OK, &done, app.own_profile(caller.user).await?));
    };
    let route = Route { name: "PUT /users/me", ids: &[] };
    let said = bio.as_ref().map_or_else(Vec::new, |bio| vec![bio.as_str().as_bytes()]);
    let intent = Intent::of(&app, &caller, &key, route, &said).await?;
    let cipher = app.key_of(caller.user).await?;
    let sealed = bio.as_ref().map(|bio| Sealed::seal(bio, &cipher));
    let command = UserCommand::ChangeBio { user: caller.user, bio: sealed };
    let done = app.submit(&caller, &intent, Key::User(caller.user), command).await?;
    if done.is_repeated() {
        app.visible(&caller, &MODELS).await?;
        return Ok(app.written(StatusCode::OK, &done, app.own_profile(caller.user).await?));
    }
    let mut own = app.own_profile(caller.user).await?;
    own.profile.bio = bio.map(|bio| bio.as_str().into());
    Ok(app.written(StatusCode::OK, &done, own))
}

/// Somebody's profile
#[utoipa::path(get, path = "/users/{user_id}", tag = "users", params(("user_id" = Uuid, Path, description = "Whose")),
    security((), ("bearer" = [])),
    responses((status = 200, description = "The profile", body = Profile),
        (status = 404, description = "There is no such user", body = Error)))]
async fn user(
    State(app): State<App>,
    viewer: Viewer,
    InPath(user): InPath<UserId>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let profile = app.profile(user, viewer.user()).ok_or_else(|| ApiError::not_found("user"))?;
    Ok((fresh, Json(profile)).into_response())
}
