//! Keys that stopped in a read model: what an operator can see of them, and the ways on.

use crate::admin::{reason, required_reason};
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error, ErrorName};
use crate::json::{Field, Fields, JsonBody};
use crate::operator::Operator;
use axum::Json;
use axum::extract::State;
use events::{Key, Timestamp};
use projections::{ParkedKey, RequestError};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(discard))
}

/// Parked keys that are shown, at most.
const SHOWN_MAX: usize = 1_000;

/// The keys that stopped on this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct AllParked {
    /// The keys; 1,000 at most.
    parked: Vec<Stopped>,
    /// How many there are.
    total: usize,
}

/// A key that stopped.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stopped {
    /// In which read model.
    model: &'static str,
    /// The key.
    key: String,
    /// The commit that failed, as partition@offset.
    position: String,
    /// When it was committed.
    #[schema(schema_with = crate::schemas::time)]
    since: Timestamp,
    /// Why it failed.
    error: String,
    /// How many commits wait, with the one that failed.
    commits: usize,
}

/// Which key, and why it is tried again.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ParkedRetry {
    /// In which read model.
    #[serde(default)]
    #[schema(value_type = String, required = true)]
    model: Field,
    /// The key.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::log_key, required = true)]
    key: Field,
    /// In the operator's words; it stands in the server's log.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::reason, required = true)]
    reason: Field,
}

/// Which commit is given up, and why.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ParkedDiscard {
    /// In which read model.
    #[serde(default)]
    #[schema(value_type = String, required = true)]
    model: Field,
    /// The key.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::log_key, required = true)]
    key: Field,
    /// The commit that failed, as partition@offset, so that asking twice gives up one.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::log_position, required = true)]
    position: Field,
    /// In the operator's words; it stands in the server's log.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::reason, required = true)]
    reason: Field,
}

/// Keys that stopped in a read model of this node
#[utoipa::path(get, path = "/admin/parked", tag = "operators", security(("bearer" = [])),
    responses((status = 200, description = "The keys", body = AllParked),
        (status = 403, description = "The caller is no operator", body = Error)))]
async fn list(State(app): State<App>, _: Operator) -> Json<AllParked> {
    Json(AllParked::of(&app))
}

/// Try the commits of a parked key again, in order
#[utoipa::path(post, path = "/admin/parked/retry", tag = "operators", security(("bearer" = [])),
    request_body = ParkedRetry,
    responses((status = 200, description = "The keys that are still parked", body = AllParked),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "Nothing is parked there", body = Error),
        (status = 409, description = "It failed again, or another node feeds the read model", body = Error)))]
async fn retry(
    State(app): State<App>,
    operator: Operator,
    JsonBody(body): JsonBody<ParkedRetry>,
) -> Result<Json<AllParked>, ApiError> {
    let reason = required_reason(&body.reason)?;
    let (model, key) = target(&body.model, &body.key)?;
    info!(model, %key, by = ?operator.by, reason, "an operator has {key} tried again in {model}: {reason}");
    app.projections.retry(&model, key).await.map_err(|error| refused(&error))?;
    Ok(Json(AllParked::of(&app)))
}

/// Go on without the commit that failed
///
/// A read model that is in memory meets the commit again when the server is started again.
#[utoipa::path(post, path = "/admin/parked/discard", tag = "operators", security(("bearer" = [])),
    request_body = ParkedDiscard,
    responses((status = 200, description = "The keys that are still parked", body = AllParked),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "Nothing is parked there", body = Error),
        (status = 409, description = "Another commit failed, or another node feeds the read model", body = Error)))]
async fn discard(
    State(app): State<App>,
    operator: Operator,
    JsonBody(body): JsonBody<ParkedDiscard>,
) -> Result<Json<AllParked>, ApiError> {
    let mut fields = Fields::default();
    let position = fields.required("position", &body.position, offset);
    let reason = fields.required("reason", &body.reason, reason);
    let (offset, reason) = fields.done(position.zip(reason))?;
    let (model, key) = target(&body.model, &body.key)?;
    info!(model, %key, offset, by = ?operator.by, reason, "an operator has {model} go on without {key}@{offset}: {reason}");
    app.projections.discard(&model, key, offset, reason).await.map_err(|error| refused(&error))?;
    Ok(Json(AllParked::of(&app)))
}

fn target(model: &Field, key: &Field) -> Result<(String, Key), ApiError> {
    let mut fields = Fields::default();
    let model = fields.required("model", model, |text| Ok::<_, String>(text.to_owned()));
    let key = fields.required("key", key, |text| text.parse::<Key>());
    fields.done(model.zip(key))
}

/// The offset of `partition@offset`.
fn offset(text: &str) -> Result<u64, String> {
    let offset =
        text.split_once('@').and_then(|(partition, offset)| partition.parse::<u32>().ok().zip(offset.parse().ok()));
    offset.map(|(_, offset)| offset).ok_or_else(|| "position must be partition@offset".to_owned())
}

fn refused(error: &RequestError) -> ApiError {
    match *error {
        RequestError::NotParked => ApiError::new(ErrorName::NotFound, "Nothing is parked there"),
        RequestError::Failed { .. } | RequestError::Elsewhere => ApiError::conflict(error.to_string()),
        RequestError::Busy | RequestError::Stopped => ApiError::unavailable(error.to_string()),
    }
}

impl AllParked {
    fn of(app: &Backend) -> Self {
        let parked = app.projections.parked();
        let total = parked.len();
        Self { parked: parked.into_iter().take(SHOWN_MAX).map(Stopped::from).collect(), total }
    }
}

impl From<ParkedKey> for Stopped {
    fn from(parked: ParkedKey) -> Self {
        let ParkedKey { model, key, position, error, since, commits } = parked;
        Self { model, key: key.to_string(), position: position.to_string(), since, error, commits }
    }
}
