//! One saga as its events tell it: the same fold as the write side's, with what operators want to know besides.

use super::change::Context;
use super::history::History;
use super::names::Names;
use events::{Key, SagaEvent, SagaId, Step, StepRequested, Timestamp, UserId};
use std::fmt;
use std::sync::Arc;

/// Where a saga stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SagaStatus {
    /// Its steps are being carried out.
    Running,
    /// It ended with all of them done.
    Completed,
    /// What was done is being undone.
    Compensating,
    /// It ended with nothing left.
    Compensated,
    /// A compensation could not be carried out: a person must look.
    CompensationFailed,
}

impl SagaStatus {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Completed, Self::Compensating, Self::Compensated, Self::CompensationFailed];

    /// Its name, in capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Compensating => "COMPENSATING",
            Self::Compensated => "COMPENSATED",
            Self::CompensationFailed => "COMPENSATION_FAILED",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether something is still to be done, be it by a person.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Completed | Self::Compensated)
    }
}

impl fmt::Display for SagaStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a step stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepPhase {
    /// Requested, without an outcome.
    Open,
    /// It took effect.
    Done,
    /// It was refused.
    Refused,
    /// Its compensation is requested.
    Undoing,
    /// Nothing of it is left.
    Undone,
}

impl StepPhase {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Open, Self::Done, Self::Refused, Self::Undoing, Self::Undone];

    /// Its name, in capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Done => "DONE",
            Self::Refused => "REFUSED",
            Self::Undoing => "UNDOING",
            Self::Undone => "UNDONE",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

/// A step of a saga.
#[derive(Clone, PartialEq, Debug)]
pub struct StepView {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    pub phase: StepPhase,
    /// How often its present phase was tried without an answer.
    pub attempts: u32,
    /// How many parts of it took effect.
    pub parts: u32,
    /// How far it has come.
    pub progress: Option<Arc<str>>,
    /// What last came instead of its effect, or of its compensation's.
    pub error: Option<Arc<str>>,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// When it, or its compensation, was requested last.
    pub since: Timestamp,
    /// When it is tried next; of no meaning once it has an outcome.
    pub due: Timestamp,
}

/// A saga, whole.
#[derive(Clone, PartialEq, Debug)]
pub struct SagaView {
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
    /// When it last got on: an attempt that brought no answer, or an order to try again, is no progress.
    pub progressed_at: Timestamp,
    /// When it was completed or compensated.
    pub ended_at: Option<Timestamp>,
    /// All its steps by their names, in the order in which they usually come; empty if that was not known as it began.
    pub plan: Arc<[Arc<str>]>,
    /// Its steps, in the order in which they were requested.
    pub steps: Vec<StepView>,
    /// What happened to it.
    pub history: History,
}

impl SagaView {
    /// One that begins with this commit, and with these steps before it.
    pub(super) fn begun(context: Context, id: SagaId, process: &str, plan: &[Step], names: &mut Names) -> Self {
        Self {
            id,
            process: names.shared(process),
            key: context.key,
            actor: context.actor,
            status: SagaStatus::Running,
            reason: None,
            failure: None,
            started_at: context.at,
            updated_at: context.at,
            progressed_at: context.at,
            ended_at: None,
            plan: names.plan(plan.iter().map(|step| &*step.0)),
            steps: Vec::new(),
            history: History::default(),
        }
    }

    /// The steps that wait for an outcome, or whose compensations do.
    pub fn open_steps(&self) -> impl Iterator<Item = &StepView> {
        // While it is undone nobody waits for a step any more: its compensation undoes it, whatever came of it.
        self.steps.iter().filter(|step| {
            let it = (self.status, step.phase);
            matches!(it, (SagaStatus::Running, StepPhase::Open) | (SagaStatus::Compensating, StepPhase::Undoing))
        })
    }

    /// Whether the step of this name has taken effect, and something of it is left.
    pub(super) fn is_done(&self, step: &str) -> bool {
        self.steps.iter().any(|it| &*it.name == step && it.phase == StepPhase::Done)
    }

    /// The steps that were requested although they are not in the plan.
    pub(super) fn unplanned(&self) -> impl Iterator<Item = &StepView> {
        self.steps.iter().filter(|step| !self.plan.contains(&step.name))
    }

    pub(super) fn apply(&mut self, event: &SagaEvent, at: Timestamp, names: &mut Names) {
        self.updated_at = at;
        if !matches!(event, SagaEvent::StepRetried(_) | SagaEvent::RetryOrdered(_)) {
            self.progressed_at = at;
        }
        match event {
            SagaEvent::Started(_) => {}
            SagaEvent::StepRequested(e) => self.request(e, at, names),
            SagaEvent::StepRetried(e) => self.set(&e.step, |step| {
                (step.attempts, step.due, step.error) = (e.attempts, e.due, text(&e.error));
            }),
            // The next part is another thing to try.
            SagaEvent::StepAdvanced(e) => self.set(&e.step, |step| {
                (step.attempts, step.due, step.parts, step.progress) = (0, e.due, e.parts, text(&e.progress));
            }),
            SagaEvent::StepCompleted(e) => self.set(&e.step, |step| (step.phase, step.error) = (StepPhase::Done, None)),
            SagaEvent::StepRefused(e) => self.set(&e.step, |step| {
                (step.phase, step.error) = (StepPhase::Refused, text(&e.reason));
            }),
            SagaEvent::StepUndone(e) => self.set(&e.step, |step| (step.phase, step.error) = (StepPhase::Undone, None)),
            SagaEvent::Compensating(e) => {
                (self.status, self.reason) = (SagaStatus::Compensating, text(&e.reason));
            }
            SagaEvent::Completed(_) => (self.status, self.ended_at) = (SagaStatus::Completed, Some(at)),
            SagaEvent::Compensated(_) => (self.status, self.ended_at) = (SagaStatus::Compensated, Some(at)),
            SagaEvent::CompensationFailed(e) => {
                (self.status, self.failure) = (SagaStatus::CompensationFailed, text(&e.error));
                self.set(&e.step, |step| step.error = text(&e.error));
            }
            SagaEvent::RetryOrdered(_) if self.status == SagaStatus::CompensationFailed => {
                (self.status, self.failure) = (SagaStatus::Compensating, None);
            }
            SagaEvent::RetryOrdered(_) | SagaEvent::CompensationOrdered(_) => {}
        }
    }

    /// A step that was never requested can be undone too: it stands for what was done before the saga began.
    fn request(&mut self, requested: &StepRequested, at: Timestamp, names: &mut Names) {
        let StepRequested { step, compensation, due, .. } = requested;
        let phase = if *compensation { StepPhase::Undoing } else { StepPhase::Open };
        match self.steps.iter_mut().find(|it| *compensation && *it.name == *step.0) {
            Some(step) => (step.phase, step.attempts, step.due, step.since) = (phase, 0, *due, at),
            None => self.steps.push(StepView::requested(names.shared(&step.0), phase, at, *due)),
        }
    }

    fn set(&mut self, step: &Step, change: impl FnOnce(&mut StepView)) {
        if let Some(step) = self.steps.iter_mut().find(|it| *it.name == *step.0) {
            change(step);
        }
    }
}

impl StepView {
    fn requested(name: Arc<str>, phase: StepPhase, at: Timestamp, due: Timestamp) -> Self {
        let (attempts, parts, progress, error) = (0, 0, None, None);
        Self { name, phase, attempts, parts, progress, error, requested_at: at, since: at, due }
    }
}

fn text(text: &str) -> Option<Arc<str>> {
    Some(text.into())
}
