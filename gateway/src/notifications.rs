//! What others did that the caller is to hear of.

use crate::auth::Caller;
use crate::backend::{App, Backend};
use crate::consistency::Wanted;
use crate::error::{ApiError, Error};
use crate::faces::Face;
use crate::paging::{List, Paging};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::{Timestamp, UserId};
use projections::{Hidden, Listing, Page, notifications, users};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(unread))
}

/// The models that notifications are made of.
const MODELS: [&str; 2] = [notifications::NAME, users::NAME];

/// How often a page is filled up when notifications of it are not shown.
const REFILLS_MAX: usize = 8;

/// What somebody did that the caller is to hear of.
#[derive(Serialize, ToSchema)]
pub(crate) struct Notification {
    /// Which: the same however often it is done.
    #[schema(schema_with = crate::schemas::notification_id)]
    id: String,
    /// What they did.
    #[serde(rename = "type")]
    #[schema(schema_with = crate::schemas::notification_type)]
    kind: &'static str,
    /// Who.
    actor_id: Uuid,
    /// Who, in short.
    actor: Face,
    /// The post that they did it to; null if it was none.
    #[schema(required = true)]
    post_id: Option<Uuid>,
    /// The comment that they did it with; null if it was none.
    #[schema(required = true)]
    comment_id: Option<Uuid>,
    /// False: nothing can be marked as read yet.
    is_read: bool,
    /// When they did it.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
}

/// A page of notifications.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationList {
    /// The notifications.
    notifications: Vec<Notification>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
    /// How many are unread in all, counted up to 10,000.
    #[schema(schema_with = crate::schemas::unread_count)]
    unread_count: usize,
}

/// How much is unread.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnreadCount {
    /// How many notifications, counted up to 10,000.
    #[schema(schema_with = crate::schemas::unread_count)]
    unread_count: usize,
}

/// The caller's notifications, newest first
///
/// Of follows of the caller and of likes of their posts, but for their own. What is undone within ten minutes takes its
/// notification away; later it stays. What those did whom the caller mutes, or where one of the two blocks the other, is
/// neither shown nor counted.
#[utoipa::path(get, path = "/notifications", tag = "notifications", security(("bearer" = [])),
    responses((status = 200, description = "A page of notifications", body = NotificationList),
        (status = 404, description = "There is no such cursor", body = Error)))]
async fn list(State(app): State<App>, caller: Caller, paging: Paging, wanted: Wanted) -> Result<Response, ApiError> {
    let list = List { kind: "notifications", of: caller.user.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    let hidden = app.hidden_from(Some(caller.user)).await?;
    let (Listing { items: notifications, next }, unread_count) =
        app.page_of_notifications(caller.user, page, &hidden).await?;
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok((fresh, link, Json(NotificationList { notifications, next_cursor, unread_count })).into_response())
}

/// How many of the caller's notifications are unread
#[utoipa::path(get, path = "/notifications/unread-count", tag = "notifications", security(("bearer" = [])),
    responses((status = 200, description = "How many", body = UnreadCount)))]
async fn unread(State(app): State<App>, caller: Caller, wanted: Wanted) -> Result<Response, ApiError> {
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &MODELS).await?;
    let hidden = app.hidden_from(Some(caller.user)).await?;
    let unread_count = app.models.notifications.unread(caller.user, &hidden).await?;
    Ok((fresh, Json(UnreadCount { unread_count })).into_response())
}

impl Backend {
    /// A page, filled up where somebody who did something has no account any more, and how many are unread in all.
    async fn page_of_notifications(
        &self,
        user: UserId,
        mut page: Page,
        hidden: &Hidden,
    ) -> Result<(Listing<Notification>, usize), ApiError> {
        let (mut shown, mut unread) = (Vec::with_capacity(page.limit), 0);
        for _ in 0..REFILLS_MAX {
            let (Listing { items, next }, count) = self.models.notifications.list(user, page, hidden).await?;
            let faces = self.faces(items.iter().map(|it| it.actor).collect(), hidden).await?;
            let before = shown.len();
            shown.extend(items.iter().filter_map(|it| Some(notification(it, faces.of(it.actor)?))));
            unread = count;
            page = Page { limit: page.limit - (shown.len() - before), after: next };
            if page.limit == 0 || next.is_none() {
                break;
            }
        }
        Ok((Listing { items: shown, next: page.after }, unread))
    }
}

fn notification(it: &notifications::Notification, actor: Face) -> Notification {
    Notification {
        id: it.id.to_string(),
        kind: it.deed.kind(),
        actor_id: it.actor.0,
        actor,
        post_id: it.deed.post().map(|post| post.0),
        comment_id: None,
        is_read: it.is_read,
        created_at: it.created_at,
    }
}

#[cfg(test)]
mod tests {
    use projections::notifications::{TAKEN_BACK_MAX, UNREAD_MAX};

    #[test]
    fn the_document_says_how_long_something_is_taken_back_and_how_far_it_is_counted() {
        let document = crate::routes::openapi();
        let described = document["paths"]["/notifications"]["get"]["description"].as_str().unwrap();
        assert!(described.contains("ten minutes") && TAKEN_BACK_MAX.as_secs() == 600, "{described}");
        let counted = &document["components"]["schemas"]["UnreadCount"]["properties"]["unread_count"];
        assert!(counted["description"].as_str().unwrap().contains("10,000") && UNREAD_MAX == 10_000, "{counted}");
        assert_eq!(counted["maximum"], 10_000);
    }
}
