//! Comments under posts.

use crate::auth::{Caller, Viewer};
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error, ErrorName};
use crate::extract::InPath;
use crate::faces::{Face, Faces, text};
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::json::{Field, Fields, JsonBody};
use crate::paging::{List, Paging};
use crate::posts::MODELS;
use crate::submit::How;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::CommentCommand;
use events::{CommentId, CommentText, Key, PostId, Sealed, Timestamp};
use http::StatusCode;
use projections::{Hidden, Listing, Text, posts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add, list)).routes(routes!(get, delete))
}

/// A comment to be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewComment {
    /// What it says.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::comment_text, required = true)]
    text: Field,
}

/// A comment.
#[derive(Serialize, ToSchema)]
pub(crate) struct Comment {
    /// Which.
    id: Uuid,
    /// Under which post.
    post_id: Uuid,
    /// Who wrote it.
    author_id: Uuid,
    /// Who wrote it, in short.
    author: Face,
    /// What it says.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::comment_text)]
    text: Text,
    /// When it was added.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
}

/// A page of comments.
#[derive(Serialize, ToSchema)]
pub(crate) struct CommentList {
    /// The comments.
    comments: Vec<Comment>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

impl Comment {
    /// `None` if its author has no account.
    fn of(comment: posts::Comment, faces: &Faces) -> Option<Self> {
        Some(Self {
            id: comment.id.0,
            post_id: comment.post.0,
            author_id: comment.author.0,
            author: faces.of(comment.author)?,
            text: comment.text,
            created_at: comment.created_at,
        })
    }
}

impl Backend {
    async fn shape_comments(&self, comments: Vec<posts::Comment>, hidden: &Hidden) -> Result<Vec<Comment>, ApiError> {
        let faces = self.faces(comments.iter().map(|comment| comment.author).collect(), hidden).await?;
        Ok(comments.into_iter().filter_map(|comment| Comment::of(comment, &faces)).collect())
    }

    async fn shape_comment(&self, comment: Option<posts::Comment>, hidden: &Hidden) -> Result<Comment, ApiError> {
        let shown = self.shape_comments(comment.into_iter().collect(), hidden).await?.pop();
        shown.ok_or_else(|| ApiError::not_found("comment"))
    }
}

/// Comment on a post
#[utoipa::path(post, path = "/posts/{post_id}/comments", tag = "comments", security(("bearer" = [])),
    request_body = NewComment, params(("post_id" = Uuid, Path, description = "Which post")),
    responses((status = 201, description = "The comment", body = Comment),
        (status = 404, description = "There is no such post; or the comment was added with this key and is deleted", body = Error)))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    InPath(post): InPath<PostId>,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<NewComment>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::default();
    let text = fields.required("text", &body.text, CommentText::parse);
    let text = fields.done(text)?;
    app.check_author(caller.user, post).await?;
    let route = Route { name: "POST /posts/{post_id}/comments", ids: &[post.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[text.as_str().as_bytes()]).await?;
    let comment = CommentId(intent.created);
    let cipher = app.key_of(caller.user).await?;
    let sealed = Sealed::seal(&text, &cipher);
    let command = CommentCommand::Add { comment, post, author: caller.user, text: sealed };
    let done = app.submit(&caller, &intent, Key::Post(post), command).await?;
    let shown = if done.how != How::Now {
        app.visible(&caller, &MODELS).await?;
        app.shape_comment(app.models.posts.comment(post, comment).await?, &Hidden::NOBODY).await?
    } else {
        let (text, created_at) = (text.as_str().into(), done.receipt.time);
        let written = posts::Comment { id: comment, post, author: caller.user, text, created_at };
        let author = app.face(caller.user).await.map_err(ApiError::after_write)?;
        Comment::of(written, &Faces::one(caller.user, author)).ok_or_else(|| ApiError::not_found("comment"))?
    };
    Ok(app.written_at(&format!("/posts/{post}/comments/{comment}"), StatusCode::CREATED, &done, shown))
}

/// The comments under a post, oldest first
#[utoipa::path(get, path = "/posts/{post_id}/comments", tag = "comments", security((), ("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which post")),
    responses((status = 200, description = "A page of comments", body = CommentList),
        (status = 404, description = "There is no such post, or no such cursor", body = Error)))]
async fn list(
    State(app): State<App>,
    viewer: Viewer,
    InPath(post): InPath<PostId>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = List { kind: "comments", of: post.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let (_, hidden) = app.seen_post(post, viewer.user()).await?;
    let Listing { items, next } = app.models.posts.comments(post, page, &hidden).await?;
    let comments = app.shape_comments(items, &hidden).await?;
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok((fresh, link, Json(CommentList { comments, next_cursor })).into_response())
}

/// A comment
#[utoipa::path(get, path = "/posts/{post_id}/comments/{comment_id}", tag = "comments", security((), ("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Under which post"), ("comment_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "The comment", body = Comment),
        (status = 404, description = "There is no such comment under this post", body = Error)))]
async fn get(
    State(app): State<App>,
    viewer: Viewer,
    InPath((post, comment)): InPath<(PostId, CommentId)>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let comment = match app.seen_post(post, viewer.user()).await {
        Ok((_, hidden)) => app.shape_comment(app.models.posts.comment(post, comment).await?, &hidden).await?,
        Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::not_found("comment")),
        Err(error) => return Err(error),
    };
    Ok((fresh, Json(comment)).into_response())
}

/// Delete a comment: its author may, and the author of the post
#[utoipa::path(delete, path = "/posts/{post_id}/comments/{comment_id}", tag = "comments", security(("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Under which post"), ("comment_id" = Uuid, Path, description = "Which")),
    responses((status = 204, description = "It is deleted"),
        (status = 403, description = "It is somebody else's", body = Error),
        (status = 404, description = "There is no such comment under this post", body = Error)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    InPath((post, comment)): InPath<(PostId, CommentId)>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let route = Route { name: "DELETE /posts/{post_id}/comments/{comment_id}", ids: &[post.0, comment.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = CommentCommand::Delete { comment, post, by: caller.user };
    let done = app.submit(&caller, &intent, Key::Post(post), command).await?;
    Ok(app.gone(&done))
}
