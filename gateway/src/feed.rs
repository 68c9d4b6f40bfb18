//! The feed: what those whom a person follows have posted, and what they posted themselves.

mod frozen;
mod relevance;

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::InQuery;
use crate::paging::{List, Paging};
use crate::posts::{Listed, Post};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::UserId;
use projections::{Listing, Page, feed, posts, users};
use relevance::Explanation;
pub(crate) use relevance::Readings;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(feed))
}

/// The models that a feed is made of.
const MODELS: [&str; 3] = [feed::NAME, posts::NAME, users::NAME];

/// A page of a feed.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedList {
    /// The posts.
    feed: Vec<FeedItem>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

/// A post in a feed.
#[derive(Serialize, ToSchema)]
struct FeedItem {
    #[serde(flatten)]
    post: Post,
    /// Why it stands where it stands; only by relevance, and if `explain=1` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Explanation)]
    explanation: Option<Explanation>,
}

#[derive(Deserialize)]
struct Wish {
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    explain: Explain,
}

/// How a feed is ordered.
#[derive(Deserialize, ToSchema, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// By score.
    #[default]
    Relevance,
    /// Newest first.
    Latest,
}

/// Whether the order is explained.
#[derive(Deserialize, ToSchema, Clone, Copy, Default, PartialEq, Eq)]
enum Explain {
    #[default]
    #[serde(rename = "0")]
    No,
    #[serde(rename = "1")]
    Yes,
}

/// The caller's feed
///
/// By relevance the newest 800 posts are ranked when the first page is asked for; its cursors lead through that ranking for
/// ten minutes, whatever is posted, liked or read meanwhile. What was shown counts less from the next ranking on. The newest
/// first are all posts there are.
#[utoipa::path(get, path = "/feed", tag = "feed", security(("bearer" = [])),
    params(("mode" = inline(Option<Mode>), Query, description = "The order; by relevance if nothing is said"),
        ("explain" = inline(Option<Explain>), Query, description = "`1`: say of each post by relevance why it stands there")),
    responses((status = 200, description = "A page of the feed", body = FeedList),
        (status = 404, description = "There is no such cursor, or not any more", body = Error)))]
async fn feed(
    State(app): State<App>,
    caller: Caller,
    InQuery(Wish { mode, explain }): InQuery<Wish>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let kind = match mode {
        Mode::Relevance => "feed by relevance",
        Mode::Latest => "feed",
    };
    let list = List { kind, of: caller.user.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    let Listing { items: feed, next } = match mode {
        Mode::Relevance => app.relevant(caller.user, page, explain).await?,
        Mode::Latest => app.latest(caller.user, page).await?,
    };
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok((fresh, link, Json(FeedList { feed, next_cursor })).into_response())
}

impl Backend {
    /// The newest first. The feed model leaves out whoever is hidden.
    async fn latest(&self, reader: UserId, page: Page) -> Result<Listing<FeedItem>, ApiError> {
        let hidden = self.hidden_from(Some(reader)).await?;
        let listed = Listed::InFeed(reader);
        let Listing { items, next } = self.page_of_posts(Some(reader), listed, page, &hidden).await?;
        let items = items.into_iter().map(|post| FeedItem { post, explanation: None }).collect();
        Ok(Listing { items, next })
    }
}

#[cfg(test)]
mod tests {
    use super::frozen::KEPT;
    use projections::feed::ranking::CANDIDATES_MAX;

    #[test]
    fn the_document_says_how_many_posts_are_ranked_and_for_how_long() {
        let document = crate::routes::openapi();
        let described = document["paths"]["/feed"]["get"]["description"].as_str().unwrap();
        assert!(described.contains(&format!("newest {CANDIDATES_MAX} posts")), "{described}");
        assert!(described.contains("ten minutes") && KEPT.as_secs() == 600, "{described}");
    }
}
