//! Who follows whom.

use crate::auth::{Caller, Viewer};
use crate::backend::App;
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InPath;
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::paging::{List, Paging};
use crate::users::{MODELS, Profile};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::FollowCommand;
use events::{Key, Timestamp, UserId};
use projections::{Listing, users};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(follow, unfollow)).routes(routes!(followers)).routes(routes!(following))
}

/// Somebody follows somebody.
#[derive(Serialize, ToSchema)]
pub(crate) struct Follow {
    /// Who.
    follower_id: Uuid,
    /// Whom.
    followee_id: Uuid,
    /// Since when.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
}

/// A page of people.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserList {
    /// The people.
    pub(crate) users: Vec<Profile>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    pub(crate) next_cursor: Option<String>,
}

/// Follow somebody
#[utoipa::path(post, path = "/users/{user_id}/follow", tag = "follows", security(("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 201, description = "The caller follows them from now on", body = Follow),
        (status = 200, description = "The caller followed them already", body = Follow),
        (status = 404, description = "There is no such user", body = Error),
        (status = 409, description = "One cannot follow oneself; or `KeyReused`", body = Error)))]
async fn follow(
    State(app): State<App>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    app.check_followee(caller.user, user).await?;
    let route = Route { name: "POST /users/{user_id}/follow", ids: &[user.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = FollowCommand::Start { follower: caller.user, followee: user };
    let done = app.submit(&caller, &intent, Key::User(caller.user), command).await?;
    if done.is_repeated() {
        app.visible(&caller, &MODELS).await?;
        if !app.models.users.relation(caller.user, user).await?.following {
            return Err(ApiError::not_found("follow"));
        }
    }
    let follow = Follow { follower_id: caller.user.0, followee_id: user.0, created_at: done.receipt.time };
    Ok(app.written(done.created(), &done, follow))
}

/// Follow somebody no longer
#[utoipa::path(delete, path = "/users/{user_id}/follow", tag = "follows", security(("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 204, description = "The caller does not follow them any more"),
        (status = 404, description = "The caller did not follow them", body = Error)))]
async fn unfollow(
    State(app): State<App>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let route = Route { name: "DELETE /users/{user_id}/follow", ids: &[user.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = FollowCommand::End { follower: caller.user, followee: user };
    let done = app.submit(&caller, &intent, Key::User(caller.user), command).await?;
    Ok(app.gone(&done))
}

/// Who follows somebody, newest first
#[utoipa::path(get, path = "/users/{user_id}/followers", tag = "follows", security((), ("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 200, description = "A page of followers", body = UserList),
        (status = 404, description = "There is no such user, or no such cursor", body = Error)))]
async fn followers(
    State(app): State<App>,
    viewer: Viewer,
    InPath(user): InPath<UserId>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = List { kind: "followers", of: user.0.as_bytes() };
    people(&app, viewer, user, &paging, &wanted, list, users::List::Followers).await
}

/// Whom somebody follows, newest first
#[utoipa::path(get, path = "/users/{user_id}/following", tag = "follows", security((), ("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Who")),
    responses((status = 200, description = "A page of those followed", body = UserList),
        (status = 404, description = "There is no such user, or no such cursor", body = Error)))]
async fn following(
    State(app): State<App>,
    viewer: Viewer,
    InPath(user): InPath<UserId>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = List { kind: "following", of: user.0.as_bytes() };
    people(&app, viewer, user, &paging, &wanted, list, users::List::Following).await
}

async fn people(
    app: &App,
    viewer: Viewer,
    user: UserId,
    paging: &Paging,
    wanted: &Wanted,
    list: List<'_>,
    people: users::List,
) -> Result<Response, ApiError> {
    let page = paging.page(app, list)?;
    let fresh = app.consistency.wait(app.secrets(), wanted, viewer.caller(), &MODELS).await?;
    let hidden = app.hidden_from(viewer.user()).await?;
    if hidden.hides(user) || !app.models.users.holds(user).await? {
        return Err(ApiError::not_found("user"));
    }
    let Listing { items, next } = app.models.users.list(people, user, page, &hidden).await?;
    let users = app.profiles(items.into_iter().map(|follow| follow.user).collect(), viewer.user()).await?;
    let (next_cursor, link) = paging.next(app, list, next);
    Ok((fresh, link, Json(UserList { users, next_cursor })).into_response())
}
