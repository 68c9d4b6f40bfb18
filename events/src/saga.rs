//! The course of a process of several steps: the log is its memory and its outbox.
//!
//! A step is requested in the log before it is sent, so that a restart finds what is still to be done; the command that
//! carries a step out is derived from the saga's data and the step's name and has the same id at every attempt.

use crate::{SagaId, Timestamp, UserId, WireError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A step, by its stable name (`CLAIM_EMAIL`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Step(pub Cow<'static, str>);

impl Step {
    /// A step that the code names.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// What happens to a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SagaEvent {
    /// It has begun, with all that its steps need.
    Started(SagaStarted),
    /// A step, or the compensation of one, is to be carried out.
    StepRequested(StepRequested),
    /// An attempt brought no answer; another follows.
    StepRetried(StepRetried),
    /// A part of a large step took effect; the next part follows.
    StepAdvanced(StepAdvanced),
    /// The step took effect.
    StepCompleted(StepCompleted),
    /// The step was refused and took no effect.
    StepRefused(StepRefused),
    /// What the step may have done is undone.
    StepUndone(StepUndone),
    /// It cannot be completed; what was done is being undone.
    Compensating(SagaCompensating),
    /// It ended with all its steps done.
    Completed(SagaCompleted),
    /// It ended with nothing of it left.
    Compensated(SagaCompensated),
    /// A compensation could not be carried out: a person must look.
    CompensationFailed(SagaCompensationFailed),
    /// An operator wants what it waits for to be tried at once.
    RetryOrdered(SagaRetryOrdered),
    /// An operator wants it undone.
    CompensationOrdered(SagaCompensationOrdered),
}

impl SagaEvent {
    /// Which saga it happens to.
    pub fn saga(&self) -> SagaId {
        match self {
            Self::Started(e) => e.saga,
            Self::StepRequested(e) => e.saga,
            Self::StepRetried(e) => e.saga,
            Self::StepAdvanced(e) => e.saga,
            Self::StepCompleted(e) => e.saga,
            Self::StepRefused(e) => e.saga,
            Self::StepUndone(e) => e.saga,
            Self::Compensating(e) => e.saga,
            Self::Completed(e) => e.saga,
            Self::Compensated(e) => e.saga,
            Self::CompensationFailed(e) => e.saga,
            Self::RetryOrdered(e) => e.saga,
            Self::CompensationOrdered(e) => e.saga,
        }
    }
}

/// What a saga works on: its process by its stable name (`USER_REGISTRATION`), and what that needs, in a form that only
/// the process knows. So a new process changes nothing here. What a person typed is in it only as
/// [`Sealed`](crate::Sealed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaData {
    /// The process.
    pub process: Cow<'static, str>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl SagaData {
    /// The data of a saga of this process.
    ///
    /// # Panics
    /// If `data` is anything but a struct or a map with text as keys, or has a field `process`.
    pub fn new(process: &'static str, data: &impl Serialize) -> Self {
        let fields = match serde_json::to_value(data) {
            Ok(Value::Object(fields)) if !fields.contains_key("process") => fields,
            other => panic!("a saga's data is a struct, not {other:?}"),
        };
        Self { process: Cow::Borrowed(process), fields }
    }

    /// What its process makes of it; [`WireError::Malformed`] if it is another process's, or a newer program's.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        T::deserialize(&self.fields).map_err(|error| WireError::Malformed(format!("{}: {error}", self.process)))
    }
}

/// `saga.started`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaStarted {
    /// Which saga.
    pub saga: SagaId,
    /// What it works on.
    pub data: SagaData,
}

/// `saga.step_requested`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRequested {
    /// Which saga.
    pub saga: SagaId,
    /// Which step; for a compensation the step that it undoes.
    pub step: Step,
    /// Whether this undoes the step.
    pub compensation: bool,
    /// When to send it.
    pub due: Timestamp,
}

/// `saga.step_retried`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRetried {
    /// Which saga.
    pub saga: SagaId,
    /// Which step.
    pub step: Step,
    /// Whether this undoes the step.
    pub compensation: bool,
    /// How often it was tried so far.
    pub attempts: u32,
    /// When to send it again.
    pub due: Timestamp,
    /// What came instead of an answer.
    pub error: String,
}

/// `saga.step_advanced`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepAdvanced {
    /// Which saga.
    pub saga: SagaId,
    /// Which step.
    pub step: Step,
    /// How many parts took effect so far.
    pub parts: u32,
    /// How far it has come, for operators.
    pub progress: String,
    /// When to go on.
    pub due: Timestamp,
}

/// `saga.step_completed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCompleted {
    /// Which saga.
    pub saga: SagaId,
    /// Which step.
    pub step: Step,
    /// The version that the target reported, where it has one (a claim's).
    pub version: Option<u64>,
}

/// `saga.step_refused`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRefused {
    /// Which saga.
    pub saga: SagaId,
    /// Which step.
    pub step: Step,
    /// Why.
    pub reason: String,
}

/// `saga.step_undone`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepUndone {
    /// Which saga.
    pub saga: SagaId,
    /// Which step.
    pub step: Step,
}

/// `saga.compensating`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaCompensating {
    /// Which saga.
    pub saga: SagaId,
    /// Why it cannot be completed.
    pub reason: String,
}

/// `saga.completed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaCompleted {
    /// Which saga.
    pub saga: SagaId,
}

/// `saga.compensated`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaCompensated {
    /// Which saga.
    pub saga: SagaId,
}

/// `saga.compensation_failed`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaCompensationFailed {
    /// Which saga.
    pub saga: SagaId,
    /// Which step could not be undone.
    pub step: Step,
    /// Why.
    pub error: String,
}

/// `saga.retry_ordered`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaRetryOrdered {
    /// Which saga.
    pub saga: SagaId,
    /// Which operator; `None` for whoever held the installation's admin token.
    pub by: Option<UserId>,
    /// Why, in the operator's words.
    pub reason: String,
}

/// `saga.compensation_ordered`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SagaCompensationOrdered {
    /// Which saga.
    pub saga: SagaId,
    /// Which operator; `None` for whoever held the installation's admin token.
    pub by: Option<UserId>,
    /// Why, in the operator's words.
    pub reason: String,
}
