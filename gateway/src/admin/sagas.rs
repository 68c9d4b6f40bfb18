//! Sagas: where each stands, what it waits for, what happened to it, and what an operator can order.

mod shape;

use crate::admin::required_reason;
use crate::backend::{App, Backend};
use crate::error::{ApiError, Error};
use crate::extract::{InPath, InQuery};
use crate::json::{Field, JsonBody};
use crate::operator::Operator;
use crate::paging::{List, Paging};
use crate::schemas::AGE_S_MAX;
use crate::submit::done;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::{Order, Request, SagaCommand};
use events::{CommandId, SagaId, Timestamp};
use projections::Listing;
use projections::sagas::{self, SagaFilter, SagaStatus, SagaView};
use serde::{Deserialize, Serialize};
use shape::{Saga, SagaDetail};
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(retry)).routes(routes!(compensate))
}

/// A page of sagas.
#[derive(Serialize, ToSchema)]
pub(crate) struct SagaList {
    /// The sagas.
    sagas: Vec<Saga>,
    /// The cursor of the next page; null exactly at the end.
    #[schema(schema_with = crate::schemas::next_cursor, required = true)]
    next_cursor: Option<String>,
}

/// Why an operator steps in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Reason {
    /// In the operator's words; it stands in the log.
    #[serde(default)]
    #[schema(schema_with = crate::schemas::reason, required = true)]
    reason: Field,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those that stand there.
    #[param(schema_with = crate::schemas::saga_status, required = false)]
    status: Option<String>,
    /// Only those of this process.
    #[param(schema_with = crate::schemas::saga_type, required = false)]
    r#type: Option<String>,
    /// Only those that have, or have not, something left to do.
    open: Option<bool>,
    /// Only those that began so many seconds ago, or earlier.
    #[param(schema_with = crate::schemas::age_s, required = false)]
    older_than_s: Option<u64>,
}

impl Filter {
    fn parse(self, app: &Backend) -> Result<SagaFilter, ApiError> {
        let status = self.status.map(|name| {
            SagaStatus::named(&name).ok_or_else(|| ApiError::invalid(format!("There is no status {name:?}")))
        });
        if let Some(process) = &self.r#type
            && !app.processes.contains(&process.as_str())
        {
            return Err(ApiError::invalid(format!("There is no type {process:?}")));
        }
        if self.older_than_s.is_some_and(|seconds| seconds > AGE_S_MAX) {
            return Err(ApiError::invalid(format!("older_than_s must be at most {AGE_S_MAX}")));
        }
        let older_than = self.older_than_s.map(|seconds| {
            let micros = Duration::from_secs(seconds).as_micros();
            Timestamp(Timestamp::now().0.saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX)))
        });
        Ok(SagaFilter { status: status.transpose()?, process: self.r#type, open: self.open, older_than })
    }
}

/// Sagas, oldest first
#[utoipa::path(get, path = "/admin/sagas", tag = "operators", security(("bearer" = [])),
    params(Filter),
    responses((status = 200, description = "A page of sagas", body = SagaList),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "There is no such cursor", body = Error)))]
async fn list(
    State(app): State<App>,
    _: Operator,
    InQuery(filter): InQuery<Filter>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let list = List { kind: "sagas", of: b"" };
    let page = paging.page(&app, list)?;
    app.look_closely().await;
    let Listing { items, next } = app.models.sagas.list(&filter.parse(&app)?, page).await?;
    let (next_cursor, link) = paging.next(&app, list, next);
    let sagas = items.into_iter().map(Saga::of).collect();
    Ok((link, Json(SagaList { sagas, next_cursor })).into_response())
}

/// A saga with all that happened to it
#[utoipa::path(get, path = "/admin/sagas/{saga_id}", tag = "operators", security(("bearer" = [])),
    params(("saga_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "The saga", body = SagaDetail),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "There is no such saga, or it ended long ago", body = Error)))]
async fn show(State(app): State<App>, _: Operator, InPath(saga): InPath<SagaId>) -> Result<Json<SagaDetail>, ApiError> {
    app.look_closely().await;
    Ok(Json(SagaDetail::of(&app.shown(saga).await?)))
}

/// Try at once what a saga waits for, also a compensation that was given up
#[utoipa::path(post, path = "/admin/sagas/{saga_id}/retry", tag = "operators", security(("bearer" = [])),
    request_body = Reason, params(("saga_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "The saga as it is now", body = SagaDetail),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "There is no such saga", body = Error),
        (status = 409, description = "It has ended", body = Error)))]
async fn retry(
    State(app): State<App>,
    operator: Operator,
    InPath(saga): InPath<SagaId>,
    JsonBody(body): JsonBody<Reason>,
) -> Result<Json<SagaDetail>, ApiError> {
    app.order(saga, operator, Order::Retry, required_reason(&body.reason)?).await
}

/// Undo what a saga has done
#[utoipa::path(post, path = "/admin/sagas/{saga_id}/compensate", tag = "operators", security(("bearer" = [])),
    request_body = Reason, params(("saga_id" = Uuid, Path, description = "Which")),
    responses((status = 200, description = "The saga as it is now", body = SagaDetail),
        (status = 403, description = "The caller is no operator", body = Error),
        (status = 404, description = "There is no such saga", body = Error),
        (status = 409, description = "It has ended, or has done what cannot be undone", body = Error)))]
async fn compensate(
    State(app): State<App>,
    operator: Operator,
    InPath(saga): InPath<SagaId>,
    JsonBody(body): JsonBody<Reason>,
) -> Result<Json<SagaDetail>, ApiError> {
    app.order(saga, operator, Order::Compensate, required_reason(&body.reason)?).await
}

impl Backend {
    /// Waits until what has happened by now is seen, if that comes in time: operators look most of all when it does not.
    async fn look_closely(&self) {
        let _ = self.consistency.caught_up(&[sagas::NAME]).await;
    }

    async fn shown(&self, saga: SagaId) -> Result<SagaView, ApiError> {
        self.saga(saga).await?.ok_or_else(|| ApiError::not_found("saga"))
    }

    /// Has an order carried out; the saga afterwards.
    async fn order(
        &self,
        saga: SagaId,
        Operator { by }: Operator,
        order: Order,
        reason: String,
    ) -> Result<Json<SagaDetail>, ApiError> {
        let key = self.shown(saga).await?.key;
        let now = Timestamp::now();
        let command = SagaCommand::Order { saga, order, by, reason };
        let deadline = Instant::now() + self.limits.write_deadline;
        let request = Request { actor: by, ..Request::new(CommandId(Uuid::now_v7()), key, command, now, deadline) };
        let done = done(self.ask(request).await)?;
        let passed = self.consistency.passed(&[done.receipt.position], &[sagas::NAME]).await;
        passed.map_err(|_| ApiError::outcome_unknown())?;
        Ok(Json(SagaDetail::of(&self.shown(saga).await?)))
    }
}
