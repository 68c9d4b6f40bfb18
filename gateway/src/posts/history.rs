//! What a post has said: for its author alone.

use super::{App, MODELS};
use crate::auth::Caller;
use crate::consistency::Wanted;
use crate::error::{ApiError, Error, ErrorName};
use crate::extract::InPath;
use crate::faces::{Face, text, texts};
use crate::paging::{List, Paging};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::{PostId, Timestamp};
use projections::{Listing, Text};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// One version of a post.
#[derive(Serialize, ToSchema)]
pub(crate) struct PostVersion {
    /// 1 for what was published, one more with each edit.
    #[schema(minimum = 1)]
    version: u64,
    /// What it said.
    #[serde(serialize_with = "text")]
    #[schema(schema_with = crate::schemas::content)]
    content: Text,
    /// Folded, distinct, in the order of first appearance.
    #[serde(serialize_with = "texts")]
    #[schema(value_type = Vec<String>)]
    hashtags: Arc<[Text]>,
    /// Whom it mentioned: distinct, in the order of first appearance.
    mentions: Vec<Face>,
    /// When it was written; the first version when the post was published.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
}

/// A page of versions.
#[derive(Serialize, ToSchema)]
pub(crate) struct PostVersionList {
    /// The versions.
    versions: Vec<PostVersion>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

/// The versions of a post of one's own, newest first
///
/// The newest 50, the present one included; of a post that was edited more often the oldest are forgotten, and the numbers
/// of the others stay.
#[utoipa::path(get, path = "/posts/{post_id}/history", tag = "posts", security(("bearer" = [])),
    params(("post_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "A page of versions", body = PostVersionList),
        (status = 403, description = "It is somebody else's", body = Error),
        (status = 404, description = "There is no such post, or no such cursor", body = Error)))]
pub(super) async fn history(
    State(app): State<App>,
    caller: Caller,
    InPath(post): InPath<PostId>,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = List { kind: "history", of: post.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    let (seen, hidden) = app.seen_post(post, Some(caller.user)).await?;
    if seen.author != caller.user {
        return Err(ApiError::new(ErrorName::Forbidden, "Only its author sees the history of a post"));
    }
    let Listing { items, next } = app.models.posts.versions(post, caller.user, page).await?;
    let people = items.iter().flat_map(|version| version.mentions.iter().copied()).collect();
    let faces = app.faces(people, &hidden).await?;
    let versions = items.into_iter().map(|version| PostVersion {
        version: version.number,
        content: version.content,
        hashtags: version.hashtags,
        mentions: version.mentions.iter().filter_map(|user| faces.of(*user)).collect(),
        created_at: version.created_at,
    });
    let versions = versions.collect();
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok((fresh, link, Json(PostVersionList { versions, next_cursor })).into_response())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_says_how_many_versions_are_kept() {
        let document = crate::routes::openapi();
        let described = &document["paths"]["/posts/{post_id}/history"]["get"]["description"];
        let promised = format!("The newest {},", projections::posts::VERSIONS_KEPT_MAX);
        assert!(described.as_str().unwrap().starts_with(&promised), "{described}");
    }
}
