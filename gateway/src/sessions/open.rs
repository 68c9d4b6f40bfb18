//! A user's open sessions: where they are signed in, and ending that from afar.

use super::confidential;
use crate::auth::Caller;
use crate::backend::App;
use crate::consistency::Wanted;
use crate::error::{ApiError, Error, ErrorName};
use crate::extract::InPath;
use crate::faces::text_or_null;
use crate::intent::{IdempotencyKey, Intent, Route};
use crate::paging::{List, Paging};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::SessionCommand;
use events::{Key, SessionId, Timestamp};
use projections::{Listing, Text, sessions};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A sign-in that has not ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenSession {
    /// Which.
    id: Uuid,
    /// What the client called itself (`User-Agent`), shortened; null if it did not.
    #[serde(serialize_with = "text_or_null")]
    #[schema(schema_with = crate::schemas::device, required = true)]
    device: Option<Text>,
    /// When it was signed in.
    #[schema(schema_with = crate::schemas::time)]
    created_at: Timestamp,
    /// When it was refreshed last.
    #[schema(schema_with = crate::schemas::time)]
    refreshed_at: Timestamp,
    /// Until when it can be refreshed; null: for ever.
    #[schema(schema_with = crate::schemas::time_or_null, required = true)]
    refresh_until: Option<Timestamp>,
    /// Whether it is the one that asks.
    current: bool,
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// The sessions.
    sessions: Vec<OpenSession>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

/// The caller's sessions, newest first
#[utoipa::path(get, path = "/users/me/sessions", tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "A page of sessions", body = SessionList),
        (status = 404, description = "There is no such cursor", body = Error)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = List { kind: "sessions", of: caller.user.0.as_bytes() };
    let page = paging.page(&app, list)?;
    let fresh = app.consistency.wait(app.secrets(), &wanted, Some(&caller), &[sessions::NAME]).await?;
    let Listing { items, next } = app.models.sessions.of(caller.user, Timestamp::now(), page).await?;
    let sessions = items.into_iter().map(|session| {
        let sessions::OpenSession { id, device, created_at, refreshed_at, refresh_until } = session;
        OpenSession { id: id.0, device, created_at, refreshed_at, refresh_until, current: id == caller.session }
    });
    let sessions = sessions.collect();
    let (next_cursor, link) = paging.next(&app, list, next);
    Ok(confidential((fresh, link, Json(SessionList { sessions, next_cursor })).into_response()))
}

/// End a session of the caller's
///
/// Its tokens are worth nothing from the answer on.
#[utoipa::path(delete, path = "/users/me/sessions/{session_id}", tag = "auth", security(("bearer" = [])),
    params(("session_id" = Uuid, Path, description = "Which")),
    responses((status = 204, description = "It has ended"),
        (status = 404, description = "The caller has no such session", body = Error)))]
pub(super) async fn end(
    State(app): State<App>,
    caller: Caller,
    InPath(session): InPath<SessionId>,
    key: IdempotencyKey,
) -> Result<Response, ApiError> {
    let route = Route { name: "DELETE /users/me/sessions/{session_id}", ids: &[session.0] };
    let intent = Intent::of(&app, &caller, &key, route, &[]).await?;
    let command = SessionCommand::Close { session, user: caller.user };
    let done = match app.submit(&caller, &intent, Key::User(caller.user), command).await {
        Err(error) if error.name() == ErrorName::NotFound => return Err(ApiError::not_found("session")),
        done => done?,
    };
    app.signed_out(caller.user, &done).await?;
    Ok(app.gone(&done))
}
