//! A saga as operators see it.

use events::Timestamp;
use projections::sagas::{SagaSummary, SagaView, StepPhase, tables};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A saga.
#[derive(Serialize, ToSchema)]
pub(crate) struct Saga {
    /// Which.
    id: Uuid,
    /// Of which process.
    #[schema(value_type = String)]
    r#type: Arc<str>,
    /// The key that it is on.
    key: String,
    /// On whose behalf it began; null for the system itself.
    #[schema(required = true)]
    actor: Option<Uuid>,
    /// Where it stands.
    status: &'static str,
    /// Why it is being undone.
    #[schema(value_type = Option<String>, required = true)]
    reason: Option<Arc<str>>,
    /// Why that failed; null from when it is to be tried again.
    #[schema(value_type = Option<String>, required = true)]
    failure: Option<Arc<str>>,
    /// When it began.
    #[schema(schema_with = crate::schemas::time)]
    started_at: Timestamp,
    /// When something last happened to it.
    #[schema(schema_with = crate::schemas::time)]
    updated_at: Timestamp,
    /// When it last got on: what is tried again and again does not.
    #[schema(schema_with = crate::schemas::time)]
    progressed_at: Timestamp,
    /// When it ended; null before.
    #[schema(schema_with = crate::schemas::time_or_null, required = true)]
    ended_at: Option<Timestamp>,
    /// How long it has been open, or was, in seconds.
    age_s: f64,
    /// What it waits for.
    waiting_for: Vec<Waiting>,
    /// The steps that are still to be done, if it goes forward, or else to be undone.
    #[schema(value_type = Vec<String>)]
    steps_remaining: Vec<Arc<str>>,
    /// The steps of which nothing is left.
    #[schema(value_type = Vec<String>)]
    steps_compensated: Vec<Arc<str>>,
}

/// A step, or its compensation, without an outcome.
#[derive(Serialize, ToSchema)]
pub(crate) struct Waiting {
    /// The step.
    #[schema(value_type = String)]
    step: Arc<str>,
    /// Whether it is being undone.
    compensation: bool,
    /// When it was requested.
    #[schema(schema_with = crate::schemas::time)]
    since: Timestamp,
    /// How often it was tried without an answer.
    attempts: u32,
    /// When it is tried next.
    #[schema(schema_with = crate::schemas::time)]
    next_retry: Timestamp,
    /// What came of the last attempt; null if there was none.
    #[schema(value_type = Option<String>, required = true)]
    error: Option<Arc<str>>,
}

/// A saga with all that happened to it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SagaDetail {
    #[serde(flatten)]
    saga: Saga,
    /// Its steps, in the order in which they were requested.
    steps: Vec<StepDetail>,
    /// What happened to it, oldest first.
    history: Vec<Happened>,
    /// How many entries in the middle of the history were left out.
    history_left_out: u64,
    /// The same as rows and keys of the databases.
    tables: Value,
}

/// A step of a saga.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepDetail {
    /// Its name.
    #[schema(value_type = String)]
    step: Arc<str>,
    /// `open`, `done`, `refused`, `undoing` or `undone`.
    phase: &'static str,
    /// How often its present phase was tried without an answer.
    attempts: u32,
    /// How many parts of it took effect.
    parts: u32,
    /// How far it has come.
    #[schema(value_type = Option<String>, required = true)]
    progress: Option<Arc<str>>,
    /// What last came instead of its effect.
    #[schema(value_type = Option<String>, required = true)]
    error: Option<Arc<str>>,
    /// When it was requested.
    #[schema(schema_with = crate::schemas::time)]
    requested_at: Timestamp,
}

/// Something that happened to a saga.
#[derive(Serialize, ToSchema)]
pub(crate) struct Happened {
    /// When.
    #[schema(schema_with = crate::schemas::time)]
    at: Timestamp,
    /// Where it stands in the log, as partition@offset.
    position: String,
    /// The event.
    #[schema(value_type = String)]
    event: Arc<str>,
    /// Of which step.
    #[schema(value_type = Option<String>, required = true)]
    step: Option<Arc<str>>,
    /// Whether the step is being undone.
    compensation: bool,
    /// What is to be said of it.
    #[schema(value_type = Option<String>, required = true)]
    detail: Option<Arc<str>>,
    /// Which operator ordered it; null for the system, and for whoever held the admin token.
    #[schema(required = true)]
    by: Option<Uuid>,
}

impl Saga {
    pub(crate) fn of(summary: SagaSummary) -> Self {
        let until = summary.ended_at.unwrap_or_else(Timestamp::now);
        let waiting = summary.waiting.into_iter().map(|waiting| Waiting {
            step: waiting.step,
            compensation: waiting.compensation,
            since: waiting.since,
            attempts: waiting.attempts,
            next_retry: waiting.due,
            error: waiting.error,
        });
        Self {
            id: summary.id.0,
            r#type: summary.process,
            key: summary.key.to_string(),
            actor: summary.actor.map(|user| user.0),
            status: summary.status.name(),
            reason: summary.reason,
            failure: summary.failure,
            started_at: summary.started_at,
            updated_at: summary.updated_at,
            progressed_at: summary.progressed_at,
            ended_at: summary.ended_at,
            age_s: until.since(summary.started_at).as_secs_f64(),
            waiting_for: waiting.collect(),
            steps_remaining: summary.remaining,
            steps_compensated: summary.compensated,
        }
    }
}

impl SagaDetail {
    pub(crate) fn of(view: &SagaView) -> Self {
        let steps = view.steps.iter().map(|step| StepDetail {
            step: Arc::clone(&step.name),
            phase: phase(step.phase),
            attempts: step.attempts,
            parts: step.parts,
            progress: step.progress.clone(),
            error: step.error.clone(),
            requested_at: step.requested_at,
        });
        let history = view.history.iter().map(|it| Happened {
            at: it.at,
            position: it.position.to_string(),
            event: Arc::clone(&it.event),
            step: it.step.clone(),
            compensation: it.compensation,
            detail: it.detail.clone(),
            by: it.by.map(|user| user.0),
        });
        Self {
            saga: Saga::of(SagaSummary::of(view)),
            steps: steps.collect(),
            history: history.collect(),
            history_left_out: view.history.left_out(),
            tables: rows(view),
        }
    }
}

/// What the databases would hold of it.
fn rows(view: &SagaView) -> Value {
    let row = tables::saga(view);
    let outbox = tables::event_outbox(view).into_iter().map(|row| {
        json!({ "id": row.id, "saga_id": row.saga_id, "event_type": *row.event_type, "payload": row.payload,
                "retry_count": row.retry_count })
    });
    let post = tables::post_saga_log(view).map(|row| {
        json!({ "saga_id": row.saga_id, "post_id": row.post_id, "current_step": row.current_step,
                "compensation_data": row.compensation_data })
    });
    let user = tables::user_saga_log(view).map(
        |row| json!({ "saga_id": row.saga_id, "user_id": row.user_id, "compensation_status": row.compensation_status }),
    );
    json!({
        "sagas": { "id": row.id, "type": *row.process, "status": row.status.name(), "steps": row.steps },
        "event_outbox": outbox.collect::<Vec<_>>(),
        "post_saga_log": post,
        "user_saga_log": user,
        "redis": { format!("saga:{}", view.id): tables::tracking(view) },
    })
}

fn phase(phase: StepPhase) -> &'static str {
    match phase {
        StepPhase::Open => "open",
        StepPhase::Done => "done",
        StepPhase::Refused => "refused",
        StepPhase::Undoing => "undoing",
        StepPhase::Undone => "undone",
    }
}
