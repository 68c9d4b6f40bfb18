//! Profiles.

mod change;
mod find;
mod password;

use crate::auth::{Caller, Viewer};
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InPath;
use crate::faces::{text, text_or_null};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::{Timestamp, UserId};
pub(crate) use find::BATCH_MAX;
use projections::{Text, Unavailable, posts, users};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(find::find))
        .routes(routes!(me, change::update_me))
        .routes(routes!(password::change_password))
        .routes(routes!(user))
}

/// The models that a profile is made of.
pub(crate) const MODELS: [&str; 2] = [users::NAME, posts::NAME];

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
    /// The reader blocks the person.
    blocking: bool,
    /// The reader mutes the person.
    muting: bool,
}

/// How somebody stands to each of others.
type Relations = HashMap<UserId, users::Relation>;

impl Backend {
    /// A profile as `viewer` sees it; `None` if there is no such account, or its owner blocks the viewer. Whom the viewer
    /// blocks is shown: they may unblock them.
    pub(crate) async fn profile(&self, user: UserId, viewer: Option<UserId>) -> Result<Option<Profile>, Unavailable> {
        Ok(self.profiles(vec![user], viewer).await?.pop())
    }

    /// The profiles of these as `viewer` sees them, in their order, but for those that are not shown.
    pub(crate) async fn profiles(
        &self,
        users: Vec<UserId>,
        viewer: Option<UserId>,
    ) -> Result<Vec<Profile>, Unavailable> {
        let Some(viewer) = viewer else { return self.shape(users, &HashMap::new()).await };
        let relations = self.relations(viewer, &users).await?;
        let is_shown = |user: &UserId| relations.get(user).is_some_and(|relation| !relation.blocked_by);
        self.shape(users.into_iter().filter(is_shown).collect(), &relations).await
    }

    /// The same, whether or not their owners block the viewer.
    pub(crate) async fn profiles_of_all(
        &self,
        users: Vec<UserId>,
        viewer: UserId,
    ) -> Result<Vec<Profile>, Unavailable> {
        let relations = self.relations(viewer, &users).await?;
        self.shape(users, &relations).await
    }

    async fn relations(&self, viewer: UserId, users: &[UserId]) -> Result<Relations, Unavailable> {
        Ok(users.iter().copied().zip(self.models.users.relations(viewer, users).await?).collect())
    }

    /// The profiles of those of them who have an account, with what is known of how they stand to the viewer.
    async fn shape(&self, users: Vec<UserId>, relations: &Relations) -> Result<Vec<Profile>, Unavailable> {
        let profiles = self.models.users.profiles(&users).await?;
        let ids = profiles.iter().map(|profile| profile.id).collect::<Vec<_>>();
        let shaped = profiles.into_iter().zip(self.models.posts.counts_of(&ids).await?).map(|(profile, posts)| {
            let relation = relations.get(&profile.id).copied().map(Relation::from);
            Profile::of(profile, posts, relation)
        });
        Ok(shaped.collect())
    }

    async fn own_profile(&self, user: UserId) -> Result<OwnProfile, ApiError> {
        // Whoever is signed in has an account; the read model may be behind by a moment.
        self.face(user).await?;
        let profile = self.models.users.profile(user).await?.ok_or_else(ApiError::bad_token)?;
        let email = profile.email.clone();
        let posts = self.models.posts.counts_of(&[user]).await?.pop().unwrap_or_default();
        Ok(OwnProfile { email, profile: Profile::of(profile, posts, None) })
    }
}

impl Profile {
    fn of(profile: users::Profile, posts_count: usize, viewer: Option<Relation>) -> Self {
        let users::Profile { id, email: _, username, bio, avatar_url, created_at, follower_count, following_count } =
            profile;
        Self { id: id.0, username, bio, avatar_url, created_at, follower_count, following_count, posts_count, viewer }
    }
}

impl From<users::Relation> for Relation {
    fn from(relation: users::Relation) -> Self {
        let users::Relation { following, followed_by, blocking, muting, blocked_by: _ } = relation;
        Self { following, followed_by, blocking, muting }
    }
}

/// The own profile
#[utoipa::path(get, path = "/users/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "The own profile", body = OwnProfile)))]
async fn me(State(app): State<App>, caller: Caller, wanted: Wanted) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    Ok((fresh, Json(app.own_profile(caller.user).await?)).into_response())
}

/// Somebody's profile
#[utoipa::path(get, path = "/users/{user_id}", tag = "users", params(("user_id" = Uuid, Path, description = "Whose")),
    security((), ("bearer" = [])),
    responses((status = 200, description = "The profile", body = Profile),
        (status = 404, description = "There is no such user, or they block the caller", body = Error)))]
async fn user(
    State(app): State<App>,
    viewer: Viewer,
    InPath(user): InPath<UserId>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let profile = app.profile(user, viewer.user()).await?.ok_or_else(|| ApiError::not_found("user"))?;
    Ok((fresh, Json(profile)).into_response())
}
