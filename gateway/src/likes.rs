//! Likes of posts.

use crate::auth::{Caller, Viewer};
use crate::backend::App;
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InPath;
use crate::faces::Face;
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::paging::{List, Paging};
use crate::posts::MODELS;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::LikeCommand;
use events::{Key, PostId, Timestamp};
use projections::Listing;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(like, unlike, list))
}

/// Somebody likes a post.
#[derive(Serialize, ToSchema)]
pub(crate) struct Like {
    /// Which post.
    post_id: Uuid,
    /// Who.
    user_id: Uuid,
    /// Who, in short.
    user: Face,
    /// Since when.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
}

/// A page of likes.
#[derive(Serialize, ToSchema)]
pub(crate) struct LikeList {
    /// The likes.
    likes: Vec<Like>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

/// Like a post
#[utoipa::path(post, path = "/posts/{post_id}/likes", tag = "likes", security(("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which post")),
    responses((status = 201, description = "The caller likes it from now on", body = Like),
        (status = 200, description = "The caller liked it already", body = Like),
        (status = 404, description = "There is no such post; or it was liked with this key and is not any more", body = Error)))]
async fn like(
    State(app): State<App>,
    caller: Caller,
    InPath(post): InPath<PostId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    app.check_author(caller.user, post).await?;
    let route = Route { name: "POST /posts/{post_id}/likes", ids: &[post.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = LikeCommand::Add { post, user: caller.user };
    let done = app.submit(&caller, &intent, Key::Post(post), command).await?;
    if done.is_repeated() {
        app.visible(&caller, &MODELS).await?;
        if app.models.posts.liked(caller.user, &[post]).await? != [true] {
            return Err(ApiError::not_found("like"));
        }
    }
    let user = app.face(caller.user).await.map_err(ApiError::after_write)?;
    let like = Like { post_id: post.0, user_id: caller.user.0, user, created_at: done.receipt.time };
    Ok(app.written(done.created(), &done, like))
}

/// Like a post no longer
#[utoipa::path(delete, path = "/posts/{post_id}/likes", tag = "likes", security(("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which post")),
    responses((status = 204, description = "The caller does not like it any more"),
        (status = 404, description = "There is no such post, or the caller did not like it", body = Error)))]
async fn unlike(
    State(app): State<App>,
    caller: Caller,
    InPath(post): InPath<PostId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let route = Route { name: "DELETE /posts/{post_id}/likes", ids: &[post.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = LikeCommand::Remove { post, user: caller.user };
    let done = app.submit(&caller, &intent, Key::Post(post), command).await?;
    Ok(app.gone(&done))
}

/// Who likes a post, newest first
#[utoipa::path(get, path = "/posts/{post_id}/likes", tag = "likes", security((), ("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which post")),
    responses((status = 200, description = "A page of likes", body = LikeList),
        (status = 404, description = "There is no such post, or no such cursor", body = Error)))]
async fn list(
    State(app): State<App>,
    viewer: Viewer,
    InPath(post): InPath<PostId>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = List { kind: "likes", of: post.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let (_, hidden) = app.seen_post(post, viewer.user()).await?;
    let Listing { items, next } = app.models.posts.likes(post, page, &hidden).await?;
    let faces = app.faces(items.iter().map(|like| like.user).collect(), &hidden).await?;
    let likes = items.into_iter().filter_map(|like| {
        let (post_id, user_id, created_at) = (like.post.0, like.user.0, like.created_at);
        Some(Like { post_id, user_id, user: faces.of(like.user)?, created_at })
    });
    let likes = likes.collect();
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok((fresh, link, Json(LikeList { likes, next_cursor })).into_response())
}
