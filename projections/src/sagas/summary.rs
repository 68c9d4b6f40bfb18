//! A saga in short: what it waits for, and what remains.

use super::saga::{SagaStatus, SagaView, StepPhase, StepView};
use events::{Key, SagaId, Timestamp, UserId};
use std::sync::Arc;

/// A saga in a list.
#[derive(Clone, PartialEq, Debug)]
pub struct SagaSummary {
    /// Which.
    pub id: SagaId,
    /// Of which process.
    pub process: Arc<str>,
    /// The key that it is on.
    pub key: Key,
    /// On whose behalf it began; `None` for the system itself.
    pub actor: Option<UserId>,
    /// Where it stands.
    pub status: SagaStatus,
    /// Why it is being undone.
    pub reason: Option<Arc<str>>,
    /// Why that failed; `None` from when it is to be tried again.
    pub failure: Option<Arc<str>>,
    /// When it began.
    pub started_at: Timestamp,
    /// When something last happened to it.
    pub updated_at: Timestamp,
    /// When it last got on: see [`SagaView::progressed_at`].
    pub progressed_at: Timestamp,
    /// When it was completed or compensated.
    pub ended_at: Option<Timestamp>,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
    /// The steps of its plan that are still to take effect; while it is being undone, those of which something may be left.
    pub remaining: Vec<Arc<str>>,
    /// The steps that took effect, and of which something is left.
    pub done: Vec<Arc<str>>,
    /// The steps of which nothing is left.
    pub compensated: Vec<Arc<str>>,
}

/// A step, or its compensation, without an outcome.
#[derive(Clone, PartialEq, Debug)]
pub struct Waiting {
    /// The step.
    pub step: Arc<str>,
    /// Whether it is being undone.
    pub compensation: bool,
    /// When it was requested.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of the last attempt; `None` if there was none.
    pub error: Option<Arc<str>>,
    /// When it is tried next.
    pub due: Timestamp,
}

impl SagaSummary {
    /// A saga in short.
    pub fn of(saga: &SagaView) -> Self {
        let names = |phases: &[StepPhase]| {
            let steps = saga.steps.iter().filter(|step| phases.contains(&step.phase));
            steps.map(|step| Arc::clone(&step.name)).collect::<Vec<_>>()
        };
        Self {
            id: saga.id,
            process: Arc::clone(&saga.process),
            key: saga.key,
            actor: saga.actor,
            status: saga.status,
            reason: saga.reason.clone(),
            failure: saga.failure.clone(),
            started_at: saga.started_at,
            updated_at: saga.updated_at,
            progressed_at: saga.progressed_at,
            ended_at: saga.ended_at,
            waiting: saga.open_steps().map(Waiting::of).collect(),
            remaining: remaining(saga),
            done: names(&[StepPhase::Done]),
            compensated: names(&[StepPhase::Undone]),
        }
    }
}

impl Waiting {
    fn of(step: &StepView) -> Self {
        let StepView { since, attempts, due, .. } = *step;
        // Before its first attempt a step may have the error of what it was before: of an earlier part, or not yet undone.
        let error = step.error.clone().filter(|_| attempts > 0);
        let compensation = step.phase == StepPhase::Undoing;
        Self { step: Arc::clone(&step.name), compensation, since, attempts, error, due }
    }
}

/// Without a plan it is not known what a saga has not come to yet.
fn remaining(saga: &SagaView) -> Vec<Arc<str>> {
    match saga.status {
        SagaStatus::Running => {
            let planned = saga.plan.iter().filter(|name| !saga.is_done(name));
            let under_way = saga.unplanned().filter(|it| matches!(it.phase, StepPhase::Open | StepPhase::Undoing));
            planned.chain(under_way.map(|step| &step.name)).cloned().collect()
        }
        SagaStatus::Compensating | SagaStatus::CompensationFailed => {
            let left = saga.steps.iter().filter(|step| step.phase != StepPhase::Undone);
            left.map(|step| Arc::clone(&step.name)).collect()
        }
        SagaStatus::Completed | SagaStatus::Compensated => Vec::new(),
    }
}
