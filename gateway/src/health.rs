//! Whether the server lives, whether it serves, and what it measures. What is said here is asked at the moment, so
//! nothing can claim to be well that has ended.

use crate::backend::{App, Backend};
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::Phase;
use events::Timestamp;
use http::header::CONTENT_TYPE;
use journal::Partition;
use projections::{ModelLag, ParkedKey, RunnerState};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a database that does not answer may keep whoever asks whether the server serves: it does without.
const STUCK_WITHIN: Duration = Duration::from_millis(500);

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(document))
}

/// Where the server stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It reads the log up to the end that it saw at the start.
    CatchingUp,
    /// It serves.
    Serving,
    /// It finishes what is in flight and ends.
    Draining {
        /// If not, its read models lack what was never read.
        has_served: bool,
    },
}

impl Stage {
    /// Whether what the read models show is true.
    pub(crate) fn has_served(self) -> bool {
        matches!(self, Self::Serving | Self::Draining { has_served: true })
    }
}

/// A server that serves.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Always `ready`.
    status: ReadyStatus,
    /// Read models that lack something, by partition; none when all is applied.
    behind: Vec<Behind>,
    /// Partitions that this node owns.
    owns: Vec<u32>,
    /// Partitions that nobody is known to own at the moment: writes to them are answered 503, reads go on.
    without_owner: Vec<u32>,
    /// Keys that stopped in a read model because of an event that cannot be applied.
    parked: Vec<Parked>,
    /// `stuck` if a saga has not got on for too long, or a person must look at it; `unknown` while the read model that
    /// would say so does not answer.
    sagas: SagasStatus,
    /// Those sagas, the oldest first; 20 at most.
    stuck_sagas: Vec<StuckSaga>,
    /// Partitions of which read models in a server cannot be reached at the moment: what is read of them is answered 503.
    unreachable: Vec<u32>,
    /// When each partition's runner last moved.
    heartbeats: Vec<Heartbeat>,
}

/// Whether the server serves.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReadyStatus {
    /// It does.
    Ready,
}

/// Whether sagas get on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SagasStatus {
    /// They do.
    Ok,
    /// Some do not.
    Stuck,
    /// The read model of sagas does not answer.
    Unknown,
}

/// A saga that does not get on.
#[derive(Serialize, ToSchema)]
pub(crate) struct StuckSaga {
    /// Which.
    id: String,
    /// Of which process.
    r#type: String,
    /// Where it stands.
    status: String,
    /// When it last got on.
    #[schema(schema_with = crate::schemas::time)]
    since: Timestamp,
}

/// How far a read model is behind.
#[derive(Serialize, ToSchema)]
pub(crate) struct Behind {
    /// Which read model.
    model: &'static str,
    /// In which partition.
    partition: u32,
    /// How many records it lacks.
    records: u64,
    /// How many commits wait behind parked keys.
    parked: usize,
    /// The age of the oldest commit that it lacks, in seconds.
    #[schema(required = true)]
    oldest_s: Option<f64>,
}

/// A key that stopped.
#[derive(Serialize, ToSchema)]
pub(crate) struct Parked {
    /// In which read model.
    model: &'static str,
    /// At which commit, as partition@offset.
    position: String,
    /// Since when.
    #[schema(schema_with = crate::schemas::time)]
    since: Timestamp,
    /// How many commits wait.
    commits: usize,
}

/// When a runner last moved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Heartbeat {
    /// Whose.
    partition: u32,
    /// When.
    #[schema(schema_with = crate::schemas::time)]
    at: Timestamp,
}

/// Whether the process lives
#[utoipa::path(get, path = "/livez", tag = "plumbing",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
async fn livez() -> &'static str {
    "ok"
}

/// Whether the server serves
///
/// It does not while it reads the log up to the end that it saw at the start, nor until each partition has had an owner
/// once. A partition that loses its owner later is only named: it is without one for every node, and reads go on.
#[utoipa::path(get, path = "/readyz", tag = "plumbing",
    responses((status = 200, description = "It does", body = Ready)))]
async fn readyz(State(app): State<App>) -> Result<Json<Ready>, ApiError> {
    if let Some(why) = app.unready() {
        return Err(ApiError::unavailable(why));
    }
    let lags = app.projections.lag().await;
    let lags = lags.map_err(|error| ApiError::unavailable(format!("How far the log is cannot be told: {error}")))?;
    let heartbeat = |health: projections::Health| Heartbeat { partition: health.partition.0, at: health.heartbeat };
    let stuck = timeout(STUCK_WITHIN, app.stuck_sagas()).await;
    let (is_known, stuck) = match stuck {
        Ok(Ok((stuck, _))) => (true, stuck),
        Ok(Err(_)) | Err(_) => (false, Vec::new()),
    };
    let stuck = stuck.into_iter().map(|it| StuckSaga {
        id: it.id.to_string(),
        r#type: it.process.to_string(),
        status: it.status.to_string(),
        since: it.progressed_at,
    });
    let stuck_sagas = stuck.collect::<Vec<_>>();
    Ok(Json(Ready {
        sagas: match (is_known, stuck_sagas.is_empty()) {
            (false, _) => SagasStatus::Unknown,
            (true, true) => SagasStatus::Ok,
            (true, false) => SagasStatus::Stuck,
        },
        stuck_sagas,
        status: ReadyStatus::Ready,
        owns: app.owned().collect(),
        without_owner: app.without_owner().map(|(partition, _)| partition).collect(),
        behind: lags.into_iter().filter(|lag| !lag.is_complete()).map(Behind::from).collect(),
        parked: app.projections.parked().into_iter().map(Parked::from).collect(),
        unreachable: app.unreachable().into_iter().collect(),
        heartbeats: app.projections.health().into_iter().map(heartbeat).collect(),
    }))
}

/// What the server measures, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "plumbing",
    responses((status = 200, description = "The measurements", body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "plumbing",
    responses((status = 200, description = "The document", body = serde_json::Value)))]
async fn document(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.document.clone()).into_response()
}

impl Backend {
    /// Why requests should go elsewhere; `None` if they need not.
    fn unready(&self) -> Option<String> {
        match *self.stage.borrow() {
            Stage::CatchingUp => return Some(format!("The server is starting: {}", self.progress())),
            Stage::Draining { .. } => return Some("The server is stopping".to_owned()),
            Stage::Serving => {}
        }
        let all = self.projections.health().into_iter().chain(self.projections.shared_health());
        let stopped = all.into_iter().find_map(|health| match health.state {
            RunnerState::Stopped { .. } => Some(health.partition),
            _ => None,
        });
        stopped.map(|partition| format!("The read models of partition {partition} are fed no longer"))
    }

    /// Of any of the servers.
    fn unreachable(&self) -> BTreeSet<u32> {
        let shared = self.projections.shared_health().into_iter();
        shared.filter(|it| matches!(it.state, RunnerState::Retrying { .. })).map(|it| it.partition.0).collect()
    }

    fn owned(&self) -> impl Iterator<Item = u32> {
        self.owners
            .iter()
            .zip(0..)
            .filter_map(|(owner, partition)| (*owner.borrow() == Phase::Owning).then_some(partition))
    }

    /// Partitions that neither this node owns, nor another one has said that it does, and how far this node is.
    pub(crate) fn without_owner(&self) -> impl Iterator<Item = (u32, Phase)> {
        let announced = self.ownership.announcements();
        self.owners.iter().zip(0..).filter_map(move |(owner, partition)| {
            let phase = owner.borrow().clone();
            let elsewhere = phase == Phase::Idle && announced.borrow().contains_key(&Partition(partition));
            (phase != Phase::Owning && !elsewhere).then_some((partition, phase))
        })
    }

    fn progress(&self) -> String {
        let caught_up = self.projections.health().into_iter();
        let following = caught_up.filter(|health| health.state == RunnerState::Following).count();
        if let (true, Some((partition, phase))) = (following == self.owners.len(), self.without_owner().next()) {
            return format!("partition {partition} has no owner yet: {phase:?}");
        }
        format!("{following} of {} partitions have been read", self.owners.len())
    }
}

impl From<ModelLag> for Behind {
    fn from(lag: ModelLag) -> Self {
        let ModelLag { model, partition, records, parked, oldest, .. } = lag;
        Self { model, partition: partition.0, records, parked, oldest_s: oldest.map(|oldest| oldest.as_secs_f64()) }
    }
}

impl From<ParkedKey> for Parked {
    fn from(parked: ParkedKey) -> Self {
        let ParkedKey { model, position, since, commits, .. } = parked;
        Self { model, position: position.to_string(), since, commits }
    }
}
