//! The feed: what those whom a person follows have posted, and what they posted themselves.

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InQuery;
use crate::paging::{List, Paging};
use crate::posts::Post;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::UserId;
use projections::{Feed, Listing, Page, Posts, Users};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(feed))
}

/// The models that a feed is made of.
const MODELS: [&str; 3] = [Feed::NAME, Posts::NAME, Users::NAME];
/// How often a page is filled up when posts of it are gone.
const REFILLS_MAX: usize = 8;

/// A page of a feed.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedList {
    /// The posts.
    feed: Vec<Post>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Order {
    mode: Option<Mode>,
}

/// How a feed is ordered.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Newest first.
    Latest,
}

/// The caller's feed, newest first
#[utoipa::path(get, path = "/feed", tag = "feed", security(("bearer" = [])),
    params(("mode" = inline(Option<Mode>), Query, description = "The order: only `latest` in this version")),
    responses((status = 200, description = "A page of the feed", body = FeedList),
        (status = 404, description = "There is no such cursor", body = Error)))]
async fn feed(
    State(app): State<App>,
    caller: Caller,
    InQuery(Order { mode }): InQuery<Order>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let Mode::Latest = mode.unwrap_or(Mode::Latest);
    let list = List { kind: "feed", of: caller.user.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    let Listing { items: feed, next } = app.latest(caller.user, page).await?;
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok((fresh, link, Json(FeedList { feed, next_cursor })).into_response())
}

impl Backend {
    /// A page of posts that can be read. The feed model may name some that another one has dropped already.
    async fn latest(&self, user: UserId, page: Page) -> Result<Listing<Post>, ApiError> {
        let mut page = page;
        let mut shown = Vec::with_capacity(page.limit);
        for _ in 0..REFILLS_MAX {
            let Listing { items, next } = self.models.feed.latest(user, page);
            let posts = self.shape_posts(Some(user), self.models.posts.posts(&items, Some(user))).await?;
            page = Page { limit: page.limit - posts.len(), after: next };
            shown.extend(posts);
            if page.limit == 0 || next.is_none() {
                break;
            }
        }
        Ok(Listing { items: shown, next: page.after })
    }
}
