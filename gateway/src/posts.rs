//! Posts.

mod history;
mod listed;
mod shape;

use crate::across_keys::check_media;
use crate::auth::{Caller, Viewer};
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error, ErrorName};
use crate::etag::{self, IfMatch, IfNoneMatch};
use crate::extract::InPath;
use crate::hashtags::{hashtags, mentioned};
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::json::{Field, Fields, JsonBody};
use crate::prefer::RespondAsync;
use crate::submit::{Course, Done, How, NewSaga, too_many_drafts};
use axum::extract::State;
use axum::response::Response;
use commands::{Ended, POSTS_IN_CREATION_MAX, PostCommand, Process, Refusal};
use events::{CipherKey, Content, Hashtags, Key, Mentions, PostDrafted, PostId, Sealed, TextError, Timestamp, UserId};
use http::StatusCode;
pub(crate) use listed::Listed;
use projections::{Unavailable, posts, users};
use sagas::post_creation::{self, PostCreation, PostCreationData};
use serde::Deserialize;
pub(crate) use shape::Post;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(publish, listed::list))
        .routes(routes!(get, edit, delete))
        .routes(routes!(history::history))
        .routes(routes!(listed::of_user))
        .routes(routes!(listed::tagged))
}

/// The models that a post is made of.
pub(crate) const MODELS: [&str; 2] = [posts::NAME, users::NAME];

/// A post to be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewPost {
    /// What it says.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::content, required = true)]
    content: Field,
    /// An upload of the author; there are none in this version.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::media_url, required = false)]
    media_url: Field,
}

/// What a post says and refers to.
struct Draft {
    content: Content,
    hashtags: Hashtags,
    mentions: Mentions,
}

/// The same, as it may stand in the log.
struct SealedDraft {
    content: Sealed<Content>,
    hashtags: Option<Sealed<Hashtags>>,
    mentions: Option<Sealed<Mentions>>,
}

impl NewPost {
    fn parse(&self) -> Result<Content, ApiError> {
        let mut fields = Fields::default();
        let content = fields.required("content", &self.content, Content::parse);
        let media = fields.nullable("media_url", &self.media_url, |url| Ok::<_, TextError>(url.to_owned()));
        let content = fields.done(content)?;
        media.map_or(Ok(()), |url| check_media(&url))?;
        Ok(content)
    }
}

impl Draft {
    async fn of(app: &Backend, author: UserId, content: Content) -> Result<Self, Unavailable> {
        let (hashtags, mentions) = (hashtags(&content), app.resolve(author, &mentioned(&content)).await?);
        Ok(Self { content, hashtags, mentions })
    }

    fn seal(&self, key: &CipherKey) -> SealedDraft {
        SealedDraft {
            content: Sealed::seal(&self.content, key),
            hashtags: (!self.hashtags.0.is_empty()).then(|| Sealed::seal(&self.hashtags, key)),
            mentions: (!self.mentions.0.is_empty()).then(|| Sealed::seal(&self.mentions, key)),
        }
    }

    /// As the read model will have it.
    fn published(&self, id: PostId, author: UserId, created_at: Timestamp) -> posts::Post {
        posts::Post {
            id,
            author,
            version: 1,
            content: self.content.as_str().into(),
            hashtags: self.hashtags.0.iter().map(|tag| tag.as_str().into()).collect(),
            mentions: self.mentions.0.as_slice().into(),
            created_at,
            edited_at: None,
            draft: false,
            likes_count: 0,
            comments_count: 0,
        }
    }
}

/// Publish a post
#[utoipa::path(post, path = "/posts", tag = "posts", security(("bearer" = [])), request_body = NewPost,
    responses((status = 201, description = "The post", body = Post,
            headers(("ETag" = String, description = "Of the post as it is shown here"))),
        (status = 202, description = "The draft: it is still being created, and `Location` tells when it is done", body = Post,
            headers(("ETag" = String, description = "Of the draft as it is shown here"))),
        (status = 403, description = "The upload is somebody else's, or the account is being deleted", body = Error),
        (status = 404, description = "It was published with this key and is deleted", body = Error),
        (status = 429, description = "Too many posts of the caller are being created", body = Error)))]
async fn publish(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    prefer: RespondAsync,
    JsonBody(body): JsonBody<NewPost>,
) -> Result<Response, ApiError> {
    let draft = Draft::of(&app, caller.user, body.parse()?).await?;
    let route = Route { name: "POST /posts", ids: &[] };
    let intent = Intent::of(&app, &caller, &key, route, &[draft.content.as_str().as_bytes()]).await?;
    let post = PostId(intent.created);
    app.check_room(caller.user, post).await?;
    let cipher = app.key_of(caller.user).await?;
    let SealedDraft { content, hashtags, mentions } = draft.seal(&cipher);
    let drafted = PostDrafted { post, author: caller.user, content, hashtags, mentions };
    let new = NewSaga {
        saga: app.saga_of(PostCreation::NAME, post.0),
        key: Key::Post(post),
        data: PostCreationData { post, author: caller.user }.into(),
        with: post_creation::opening(&drafted),
    };
    let (status, done) = match app.run_saga(&caller, &intent, new, prefer.wait()).await? {
        Course::Ended(receipt, Ended::Completed) => (StatusCode::CREATED, Done { receipt, how: How::Now }),
        Course::Ended(_, Ended::Compensated { reason, .. }) => return Err(not_created(&reason, &key)),
        // The draft is dropped; what is stuck is giving back its place.
        Course::Ended(_, Ended::Stuck { error }) => return Err(not_created(&error, &key)),
        // It was created so long ago that its saga is forgotten.
        Course::UnderWay(done) if done.how == How::Already => (StatusCode::CREATED, done),
        Course::UnderWay(done) => (StatusCode::ACCEPTED, done),
    };
    // What was sent before under this key may have become another post since.
    let shown = if key.0.is_some() || done.how != How::Now {
        app.read_back(&caller, post).await
    } else {
        let mut shown = draft.published(post, caller.user, done.receipt.time);
        shown.draft = status == StatusCode::ACCEPTED;
        app.shape_new_post(shown).await
    };
    let shown = shown.map_err(ApiError::after_write)?;
    let (name, tag) = etag::of(shown.version, &shown);
    let mut response = app.written_at(&format!("/posts/{post}"), status, &done, shown);
    response.headers_mut().insert(name, tag);
    Ok(prefer.applied(response))
}

/// What a client is told whose post came to nothing. Its end stands under its key: the same key would find it again.
fn not_created(reason: &str, key: &IdempotencyKey) -> ApiError {
    let was = |refusal: Refusal| reason == refusal.to_string();
    if was(Refusal::TooManyDrafts) && key.0.is_none() {
        return too_many_drafts();
    }
    if was(Refusal::Forbidden) || was(Refusal::NotFound) {
        return ApiError::new(ErrorName::Forbidden, "The account is being deleted");
    }
    ApiError::conflict("The post could not be created; try again with a new Idempotency-Key")
}

/// A post
#[utoipa::path(get, path = "/posts/{post_id}", tag = "posts", security((), ("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "The post", body = Post),
        (status = 304, description = "`If-None-Match` names the post as it would be shown"),
        (status = 404, description = "There is no such post", body = Error)))]
async fn get(
    State(app): State<App>,
    viewer: Viewer,
    InPath(post): InPath<PostId>,
    wanted: Wanted,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let (post, hidden) = app.seen_post(post, viewer.user()).await?;
    let post = app.shape_post(viewer.user(), post, &hidden).await?;
    Ok(known.answer(fresh, post.version, &post))
}

/// Replace a post's content
#[utoipa::path(put, path = "/posts/{post_id}", tag = "posts", security(("bearer" = [])), request_body = NewPost,
    params(("post_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "The post as it is now", body = Post),
        (status = 403, description = "The post, or the upload, is somebody else's", body = Error),
        (status = 404, description = "There is no such post", body = Error),
        (status = 412, description = "It was edited since, so that `If-Match` names no version of it", body = Error)))]
async fn edit(
    State(app): State<App>,
    caller: Caller,
    InPath(post): InPath<PostId>,
    key: IdempotencyKey,
    IfMatch(if_version): IfMatch,
    JsonBody(body): JsonBody<NewPost>,
) -> Result<Response, ApiError> {
    let draft = Draft::of(&app, caller.user, body.parse()?).await?;
    app.check_author(caller.user, post).await?;
    let route = Route { name: "PUT /posts/{post_id}", ids: &[post.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[draft.content.as_str().as_bytes()]).await?;
    let cipher = app.key_of(caller.user).await?;
    let SealedDraft { content, hashtags, mentions } = draft.seal(&cipher);
    let command = PostCommand::Edit { post, by: caller.user, content, hashtags, mentions, if_version };
    let done = app.submit(&caller, &intent, Key::Post(post), command).await?;
    let before = app.models.posts.post(post, Some(caller.user)).await;
    let shown = match before.map_err(|error| ApiError::from(error).after_write())? {
        Some(before) if !done.is_repeated() => {
            let edited = posts::Post {
                version: before.version + 1,
                edited_at: Some(done.receipt.time),
                created_at: before.created_at,
                likes_count: before.likes_count,
                comments_count: before.comments_count,
                ..draft.published(post, caller.user, before.created_at)
            };
            app.shape_own(edited).await
        }
        _ => app.read_back(&caller, post).await,
    };
    Ok(app.written(StatusCode::OK, &done, shown.map_err(ApiError::after_write)?))
}

/// Delete a post with all that lies under it
#[utoipa::path(delete, path = "/posts/{post_id}", tag = "posts", security(("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which")),
    responses((status = 204, description = "It is deleted"),
        (status = 403, description = "It is somebody else's", body = Error),
        (status = 404, description = "There is no such post", body = Error),
        (status = 412, description = "It was edited since, so that `If-Match` names no version of it", body = Error)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    InPath(post): InPath<PostId>,
    key: IdempotencyKey,
    IfMatch(if_version): IfMatch,
) -> Result<Response, ApiError> {
    app.check_author(caller.user, post).await?;
    let route = Route { name: "DELETE /posts/{post_id}", ids: &[post.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = PostCommand::Delete { post, by: caller.user, if_version };
    let done = app.submit(&caller, &intent, Key::Post(post), command).await?;
    Ok(app.gone(&done))
}

impl Backend {
    /// That the author has not too many posts in creation, as far as it is known here, so that nothing begins that would
    /// only be undone; the author's owner has the last word. A post that is there already needs no room.
    async fn check_room(&self, author: UserId, post: PostId) -> Result<(), ApiError> {
        let is_full = self.models.feed.in_creation(author).await? >= POSTS_IN_CREATION_MAX;
        if is_full && self.models.posts.post(post, Some(author)).await?.is_none() {
            return Err(too_many_drafts());
        }
        Ok(())
    }

    /// A post as it is now, for the answer to a write that came before.
    async fn read_back(&self, caller: &Caller, post: PostId) -> Result<Post, ApiError> {
        self.visible(caller, &MODELS).await?;
        let post = self.models.posts.post(post, Some(caller.user)).await?;
        let post = post.ok_or_else(|| ApiError::not_found("post"))?;
        self.shape_own(post).await
    }

    /// A post as its author sees it.
    async fn shape_own(&self, post: posts::Post) -> Result<Post, ApiError> {
        let author = Some(post.author);
        self.shape_post(author, post, &self.hidden_from(author).await?).await
    }
}
