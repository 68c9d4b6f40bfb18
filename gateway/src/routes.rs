//! Every route, and the document that describes them. A new resource is a file and a line in [`api`].

use crate::backend::App;
use crate::error::{Error, Problem, unknown_method, unknown_route};
use crate::{
    admin, blocks, comments, deletion, discovery, document, edge, feed, follows, health, likes, notifications, posts,
    registration, sessions, users,
};
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidings",
        description = "The API of a social network whose only source of truth is a durable log.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact(name = "The developers of Tidings")
    ),
    components(schemas(Error, Problem)),
    tags(
        (name = "auth", description = "Registering, signing in and out"),
        (name = "users", description = "Profiles"),
        (name = "follows", description = "Who follows whom"),
        (name = "blocks", description = "Whom one does not want to see"),
        (name = "posts", description = "Posts"),
        (name = "comments", description = "Comments under posts"),
        (name = "likes", description = "Likes of posts"),
        (name = "notifications", description = "What others did that one is to hear of"),
        (name = "feed", description = "What those whom one follows have posted"),
        (name = "operators", description = "What operators see and do"),
        (name = "plumbing", description = "For operators")
    )
)]
struct Document;

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(registration::router())
        .merge(sessions::router())
        .merge(users::router())
        .merge(deletion::router())
        .merge(follows::router())
        .merge(blocks::router())
        .merge(posts::router())
        .merge(comments::router())
        .merge(likes::router())
        .merge(notifications::router())
        .merge(feed::router())
        .merge(admin::router())
        .merge(discovery::router())
        .merge(health::router())
}

/// `openapi.json`.
pub fn openapi() -> Value {
    document::complete(&api().into_openapi())
}

/// What stands at the door while the server waits for what it stands on.
pub(crate) fn not_yet(why: &str) -> Router {
    let why = format!("The server is starting: {why}");
    Router::new().fallback(move |request: Request| edge::not_yet(request, why))
}

/// Of a node that serves nobody but operators: how it is.
pub(crate) fn plumbing(app: App) -> Router {
    let (router, _) = health::router().split_for_parts();
    surrounded(router, app)
}

/// The routes with all that surrounds them, but for what is done to a path before it is routed.
pub(crate) fn router(app: App) -> Router {
    let (router, _) = api().split_for_parts();
    surrounded(router, app)
}

fn surrounded(router: Router<App>, app: App) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(App::clone(&app), edge::surround))
        .with_state(app)
}
