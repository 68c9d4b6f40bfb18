//! Whom somebody does not want to see: blocks and mutes.
//!
//! A block stands between two people both ways, whoever made it: see [`crate::across_keys`] for where it is honoured. A
//! mute keeps somebody out of one's own feed and notifications, and nobody else can tell.

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InPath;
use crate::follows::UserList;
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::paging::{List, Paging};
use crate::submit::{Course, Done, How, NewSaga, Wait};
use crate::users::MODELS;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::{BlockCommand, MuteCommand, Process};
use events::{Key, Timestamp, UserId};
use projections::users::Relation;
use projections::{Hidden, Listing, users};
use sagas::block::{UserBlock, UserBlockData};
use serde::Serialize;
use serde_json::Value;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    let lists = OpenApiRouter::new().routes(routes!(blocks)).routes(routes!(mutes));
    lists.routes(routes!(block, unblock)).routes(routes!(mute, unmute))
}

/// Somebody does not want to see somebody: blocks or mutes them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Barrier {
    /// Who.
    user_id: Uuid,
    /// Whom.
    target_id: Uuid,
    /// Since when.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
}

/// Block somebody
///
/// From now on neither is shown anything of the other: no profile (but to the one who blocks), no posts, comments, likes,
/// follows or mentions; and neither can follow the other, or like or comment on what the other posts. Follows between the
/// two end, for good. Counts stay what they are for everybody.
#[utoipa::path(post, path = "/users/{user_id}/block", tag = "blocks", security(("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 201, description = "The caller blocks them from now on", body = Barrier),
        (status = 200, description = "The caller blocked them already", body = Barrier),
        (status = 404, description = "There is no such user; or they were blocked with this key and are not any more", body = Error),
        (status = 409, description = "One cannot block oneself; or `KeyReused`", body = Error),
        (status = 429, description = "The caller blocks 10,000 people already", body = Error)))]
async fn block(
    State(app): State<App>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let intent = app.intent_against(user, &caller, &key, "POST /users/{user_id}/block").await?;
    let new = NewSaga {
        saga: app.saga_of(UserBlock::NAME, intent.created),
        key: Key::User(caller.user),
        data: UserBlockData { user: caller.user, target: user }.into(),
        with: Value::Null,
    };
    // It holds with the first commit; nobody waits for the other's follow to be ended.
    let done = match app.run_saga(&caller, &intent, new, Wait::No).await? {
        Course::UnderWay(done) => done,
        Course::Ended(receipt, _) => Done { receipt, how: How::Now },
    };
    app.raised(&caller, user, &done, |relation| relation.blocking).await
}

/// Block somebody no longer
///
/// What the block has ended does not come back.
#[utoipa::path(delete, path = "/users/{user_id}/block", tag = "blocks", security(("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 204, description = "The caller does not block them any more"),
        (status = 404, description = "The caller did not block them", body = Error)))]
async fn unblock(
    State(app): State<App>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let route = Route { name: "DELETE /users/{user_id}/block", ids: &[user.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = BlockCommand::End { user: caller.user, target: user };
    let done = app.submit(&caller, &intent, Key::User(caller.user), command).await?;
    app.lifted(&done).await
}

/// Mute somebody
///
/// What they post is left out of the caller's feed, and what they do out of the caller's notifications; nothing else
/// changes, and they are not told.
#[utoipa::path(post, path = "/users/{user_id}/mute", tag = "blocks", security(("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 201, description = "The caller mutes them from now on", body = Barrier),
        (status = 200, description = "The caller muted them already", body = Barrier),
        (status = 404, description = "There is no such user; or they were muted with this key and are not any more", body = Error),
        (status = 409, description = "One cannot mute oneself; or `KeyReused`", body = Error),
        (status = 429, description = "The caller mutes 10,000 people already", body = Error)))]
async fn mute(
    State(app): State<App>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let intent = app.intent_against(user, &caller, &key, "POST /users/{user_id}/mute").await?;
    let command = MuteCommand::Start { user: caller.user, target: user };
    let done = app.submit(&caller, &intent, Key::User(caller.user), command).await?;
    app.raised(&caller, user, &done, |relation| relation.muting).await
}

/// Mute somebody no longer
#[utoipa::path(delete, path = "/users/{user_id}/mute", tag = "blocks", security(("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whom")),
    responses((status = 204, description = "The caller does not mute them any more"),
        (status = 404, description = "The caller did not mute them", body = Error)))]
async fn unmute(
    State(app): State<App>,
    caller: Caller,
    InPath(user): InPath<UserId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let route = Route { name: "DELETE /users/{user_id}/mute", ids: &[user.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = MuteCommand::End { user: caller.user, target: user };
    let done = app.submit(&caller, &intent, Key::User(caller.user), command).await?;
    app.lifted(&done).await
}

/// Whom the caller blocks, newest first
#[utoipa::path(get, path = "/users/me/blocks", tag = "blocks", security(("bearer" = [])),
    responses((status = 200, description = "A page of people", body = UserList),
        (status = 404, description = "There is no such cursor", body = Error)))]
async fn blocks(State(app): State<App>, caller: Caller, paging: Paging, wanted: Wanted) -> Result<Response, ApiError> {
    let list = List { kind: "blocks", of: caller.user.0.as_bytes() };
    app.own_list(&caller, &paging, &wanted, list, users::List::Blocks).await
}

/// Whom the caller mutes, newest first
#[utoipa::path(get, path = "/users/me/mutes", tag = "blocks", security(("bearer" = [])),
    responses((status = 200, description = "A page of people", body = UserList),
        (status = 404, description = "There is no such cursor", body = Error)))]
async fn mutes(State(app): State<App>, caller: Caller, paging: Paging, wanted: Wanted) -> Result<Response, ApiError> {
    let list = List { kind: "mutes", of: caller.user.0.as_bytes() };
    app.own_list(&caller, &paging, &wanted, list, users::List::Mutes).await
}

impl Backend {
    /// The intention to block or mute somebody, whom there must be.
    async fn intent_against(
        &self,
        target: UserId,
        caller: &Caller,
        key: &IdempotencyKey,
        name: &'static str,
    ) -> Result<Intent, ApiError> {
        self.check_exists(target).await?;
        Intent::of(self, caller, key, Route { name, ids: &[target.0] }, &[]).await
    }

    /// The answer when the caller blocks or mutes somebody: 404 if a repeated request finds that they do not any more.
    async fn raised(
        &self,
        caller: &Caller,
        target: UserId,
        done: &Done,
        holds: impl Fn(Relation) -> bool,
    ) -> Result<Response, ApiError> {
        if done.is_repeated() {
            self.visible(caller, &[users::NAME]).await?;
            if !holds(self.models.users.relation(caller.user, target).await?) {
                return Err(ApiError::not_found("block or mute"));
            }
        }
        self.honoured(done).await;
        let (user_id, target_id, created_at) = (caller.user.0, target.0, done.receipt.time);
        Ok(self.written(done.created(), done, Barrier { user_id, target_id, created_at }))
    }

    /// The answer when they do so no longer.
    async fn lifted(&self, done: &Done) -> Result<Response, ApiError> {
        self.honoured(done).await;
        Ok(self.gone(done))
    }

    /// Waits until this node goes by it, so that nobody is shown here afterwards what it hides. In the log it holds already.
    async fn honoured(&self, done: &Done) {
        if let Err(lag) = self.consistency.passed(&[done.receipt.position], &[users::NAME]).await {
            warn!("a block or a mute is not honoured here yet: {lag}");
        }
    }

    /// A page of a list that nobody but the caller can read; also those are in it who block the caller.
    async fn own_list(
        &self,
        caller: &Caller,
        paging: &Paging,
        wanted: &Wanted,
        list: List<'_>,
        people: users::List,
    ) -> Result<Response, ApiError> {
        let page = paging.page(self, list)?;
        let fresh = self.consistency.wait(self.secrets(), wanted, Some(caller), &MODELS).await?;
        let read = self.models.users.list(people, caller.user, page, &Hidden::NOBODY);
        let Listing { items, next } = read.await?;
        let users = self.profiles_of_all(items.into_iter().map(|entry| entry.user).collect(), caller.user).await?;
        let (next_cursor, link) = paging.next(self, list, next);
        Ok((fresh, link, Json(UserList { users, next_cursor })).into_response())
    }
}
