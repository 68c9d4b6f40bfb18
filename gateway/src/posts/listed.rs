//! Lists of posts, newest first: everybody's, somebody's, those with a hashtag.

use super::{MODELS, Post};
use crate::auth::Viewer;
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::extract::{InPath, InQuery};
use crate::hashtags::parse_hashtag;
use crate::paging::{List, Paging};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use events::UserId;
use projections::{Hidden, Listing, Page, Unavailable, posts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How often a page is filled up when posts of it are not shown.
const REFILLS_MAX: usize = 8;

/// A page of posts.
#[derive(Serialize, ToSchema)]
pub(crate) struct PostList {
    /// The posts.
    posts: Vec<Post>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

/// Who reads a list, which page of it, and what that must show.
#[derive(FromRequestParts)]
#[from_request(state(App))]
pub(super) struct Reader {
    viewer: Viewer,
    paging: Paging,
    wanted: Wanted,
}

/// Where the posts of a list stand.
#[derive(Clone, Copy)]
pub(crate) enum Listed<'a> {
    /// Among everybody's, or those of one author.
    Latest(Option<UserId>),
    /// Among those with this hashtag, folded.
    Tagged(&'a str),
    /// In the feed of this reader. The feed model may name posts that the other one has dropped already.
    InFeed(UserId),
}

#[derive(Deserialize)]
pub(super) struct Filter {
    author_id: Option<UserId>,
}

/// Posts, newest first
#[utoipa::path(get, path = "/posts", tag = "posts", security((), ("bearer" = [])),
    params(("author_id" = Option<Uuid>, Query, description = "Only those of this author")),
    responses((status = 200, description = "A page of posts", body = PostList),
        (status = 404, description = "There is no such cursor", body = Error)))]
pub(super) async fn list(
    State(app): State<App>,
    InQuery(Filter { author_id }): InQuery<Filter>,
    reader: Reader,
) -> Result<Response, ApiError> {
    let of = author_id.as_ref().map_or(&[][..], |author| author.0.as_bytes());
    let list = List { kind: "posts", of };
    page(&app, reader, list, Listed::Latest(author_id), None).await
}

/// Somebody's posts, newest first
#[utoipa::path(get, path = "/users/{user_id}/posts", tag = "posts", security((), ("bearer" = [])),
    params(("user_id" = Uuid, Path, description = "Whose")),
    responses((status = 200, description = "A page of posts", body = PostList),
        (status = 404, description = "There is no such user, or no such cursor", body = Error)))]
pub(super) async fn of_user(
    State(app): State<App>,
    InPath(user): InPath<UserId>,
    reader: Reader,
) -> Result<Response, ApiError> {
    let list = List { kind: "posts of a user", of: user.0.as_bytes() };
    page(&app, reader, list, Listed::Latest(Some(user)), Some(user)).await
}

/// Posts with a hashtag, newest first
///
/// All spellings that fold to the same are one hashtag. One that nobody uses is an empty list.
#[utoipa::path(get, path = "/hashtags/{hashtag}/posts", tag = "posts", security((), ("bearer" = [])),
    params(("hashtag" = inline(crate::schemas::HashtagInPath), Path, description = "Which, without the `#`")),
    responses((status = 200, description = "A page of posts", body = PostList),
        (status = 404, description = "There is no such cursor", body = Error)))]
pub(super) async fn tagged(
    State(app): State<App>,
    InPath(hashtag): InPath<String>,
    reader: Reader,
) -> Result<Response, ApiError> {
    let invalid = || ApiError::invalid("A hashtag is letters, digits and underscores, and not digits only");
    let tag = parse_hashtag(&hashtag).ok_or_else(invalid)?;
    let list = List { kind: "posts with a hashtag", of: tag.as_bytes() };
    page(&app, reader, list, Listed::Tagged(&tag), None).await
}

/// A page of one of these lists; 404 if it is somebody's who does not exist.
async fn page(
    app: &App,
    Reader { viewer, paging, wanted }: Reader,
    list: List<'_>,
    listed: Listed<'_>,
    of: Option<UserId>,
) -> Result<Response, ApiError> {
    let page = paging.page(app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let hidden = app.hidden_from(viewer.user()).await?;
    if let Some(user) = of
        && (hidden.hides(user) || !app.models.users.holds(user).await?)
    {
        return Err(ApiError::not_found("user"));
    }
    let Listing { items: posts, next } = app.page_of_posts(viewer.user(), listed, page, &hidden).await?;
    let (next_cursor, link) = paging.next(app, list, next);
    Ok((fresh, link, Json(PostList { posts, next_cursor })).into_response())
}

impl Backend {
    /// A page of posts as `viewer` sees them, filled up where some of what is listed is not shown.
    pub(crate) async fn page_of_posts(
        &self,
        viewer: Option<UserId>,
        listed: Listed<'_>,
        mut page: Page,
        hidden: &Hidden,
    ) -> Result<Listing<Post>, ApiError> {
        let mut shown = Vec::with_capacity(page.limit);
        for _ in 0..REFILLS_MAX {
            let Listing { items, next } = self.listed(viewer, listed, page, hidden).await?;
            let posts = self.shape_posts(viewer, items, hidden).await?;
            page = Page { limit: page.limit - posts.len(), after: next };
            shown.extend(posts);
            if page.limit == 0 || next.is_none() {
                break;
            }
        }
        Ok(Listing { items: shown, next: page.after })
    }

    async fn listed(
        &self,
        viewer: Option<UserId>,
        listed: Listed<'_>,
        page: Page,
        hidden: &Hidden,
    ) -> Result<Listing<posts::Post>, Unavailable> {
        let posts = &self.models.posts;
        match listed {
            Listed::Latest(author) => posts.latest(author, page, hidden).await,
            Listed::Tagged(tag) => posts.tagged(tag, page, hidden).await,
            Listed::InFeed(reader) => {
                let Listing { items, next } = self.models.feed.latest(reader, page, hidden).await?;
                Ok(Listing { items: posts.posts(&items, viewer).await?, next })
            }
        }
    }
}
