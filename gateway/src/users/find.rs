//! Several profiles at once, by id or by name.

use super::{MODELS, Profile};
use crate::auth::Viewer;
use crate::backend::App;
use crate::consistency::Wanted;
use crate::error::ApiError;
use crate::extract::InQuery;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::{UserId, Username};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;
use uuid::fmt::Hyphenated;

/// Profiles that one request may ask for.
pub(crate) const BATCH_MAX: usize = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wish {
    /// At most 100 ids, with commas.
    #[param(schema_with = crate::schemas::user_ids, required = false)]
    ids: Option<String>,
    /// A name, in upper or lower case.
    #[param(schema_with = crate::schemas::username, required = false)]
    username: Option<String>,
}

/// The profiles that were asked for, as far as there are such.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundUsers {
    /// In the order in which they were asked for, each once.
    users: Vec<Profile>,
}

impl Wish {
    fn ids(&self) -> Result<Option<Vec<UserId>>, ApiError> {
        let Some(ids) = self.ids.as_deref() else { return Ok(None) };
        if ids.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let id = |text: &str| text.parse().ok().filter(|_| text.len() == Hyphenated::LENGTH).map(UserId);
        let ids = ids.split(',').map(id).collect::<Option<Vec<_>>>();
        let ids = ids.ok_or_else(|| ApiError::invalid("ids must be UUIDs, with commas"))?;
        if ids.len() > BATCH_MAX {
            return Err(ApiError::invalid(format!("ids must be {BATCH_MAX} at most")));
        }
        Ok(Some(ids))
    }

    fn username(&self) -> Result<Option<Username>, ApiError> {
        let name = self.username.as_deref().map(Username::parse).transpose();
        name.map_err(|error| ApiError::invalid(error.to_string()))
    }
}

/// Profiles by id, or by name
///
/// With both parameters, those that fit both; with neither, none. Who is not there, or blocks the caller, is left
/// out.
#[utoipa::path(get, path = "/users", tag = "users", security((), ("bearer" = [])),
    params(Wish),
    responses((status = 200, description = "The profiles", body = FoundUsers)))]
pub(super) async fn find(
    State(app): State<App>,
    viewer: Viewer,
    InQuery(wish): InQuery<Wish>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let (ids, name) = (wish.ids()?, wish.username()?);
    let fresh = app.consistency.wait(app.secrets(), &wanted, viewer.caller(), &MODELS).await?;
    let named = match name {
        Some(name) => Some(app.models.users.by_username(app.secrets().claim("username", &name.folded())).await?),
        None => None,
    };
    let mut asked = match (ids, named) {
        (Some(ids), Some(named)) => ids.into_iter().filter(|id| named == Some(*id)).collect(),
        (Some(ids), None) => ids,
        (None, Some(named)) => named.into_iter().collect(),
        (None, None) => Vec::new(),
    };
    let mut seen = HashSet::new();
    asked.retain(|id| seen.insert(*id));
    let users = app.profiles(asked, viewer.user()).await?;
    Ok((fresh, Json(FoundUsers { users })).into_response())
}
