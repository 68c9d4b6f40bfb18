//! A saga as an aggregate: where it and its steps stand, and what follows from what came of an attempt.

use super::attempts::{COMPENSATION_ATTEMPTS_MAX, STEP_ATTEMPTS_MAX, retry_delay};
use super::{Action, Kind, Next, Order, Own, Processes};
use crate::aggregates::Fact;
use crate::answer::{Answer, Receipt, Refusal};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{
    Event, SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompleted, SagaData, SagaEvent, SagaId,
    SagaStarted, Step, StepAdvanced, StepCompleted, StepRefused, StepRequested, StepRetried, StepUndone, Timestamp,
    UserId,
};
use journal::Rule;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Where a saga stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SagaStatus {
    /// Its steps are being carried out.
    #[default]
    Running,
    /// It ended with all of them done.
    Completed,
    /// What was done is being undone.
    Compensating,
    /// It ended with nothing left.
    Compensated,
    /// A compensation could not be carried out.
    CompensationFailed,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A step of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Its name.
    pub step: Step,
    /// Where it stands.
    pub phase: StepPhase,
    /// How often its present phase was tried without an answer.
    pub attempts: u32,
    /// How many parts of it took effect, if it goes in parts.
    pub parts: u32,
    /// When it is to be sent.
    pub due: Timestamp,
    /// What the target reported.
    pub version: Option<u64>,
}

/// A saga as it stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saga {
    /// What it works on; `None` while there is no such saga.
    pub data: Option<SagaData>,
    /// Where it stands.
    pub status: SagaStatus,
    /// Its steps, in the order in which they were requested.
    pub steps: Vec<StepState>,
    /// The step that was refused, if one was.
    pub refused: Option<Step>,
    /// Why it is being undone.
    pub reason: Option<String>,
    /// What came of the compensation that was given up.
    pub failure: Option<String>,
}

/// What a saga decides with: the processes, and what stands on its own key.
#[derive(Default)]
pub struct Desk {
    /// The kinds of sagas.
    pub processes: Processes,
    /// What stands on its key.
    pub own: Own,
    /// When it is asked.
    pub now: Timestamp,
}

/// What can be asked of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SagaCommand {
    /// Begins it; over one that has begun it changes nothing.
    Start {
        /// Which saga.
        saga: SagaId,
        /// What it works on.
        data: SagaData,
        /// What only its first commit needs, and what is not kept with it.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        with: Value,
    },
    /// Tells it what came of a step; told twice it changes nothing.
    Record {
        /// Which saga.
        saga: SagaId,
        /// Which step.
        step: Step,
        /// Whether its compensation was tried.
        compensation: bool,
        /// What came of it.
        outcome: Outcome,
    },
    /// An operator steps in. [`Refusal::SagaEnded`] if there is nothing left to do.
    Order {
        /// Which saga.
        saga: SagaId,
        /// What is to be done.
        order: Order,
        /// Which operator says so; `None` for whoever holds the installation's admin token.
        by: Option<UserId>,
        /// Why.
        reason: String,
    },
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It took effect, now or before.
    Done {
        /// What the target reported.
        version: Option<u64>,
    },
    /// A part of it took effect: how far it has come, for operators. The next part is to be tried at once.
    Progress(String),
    /// It was refused and took no effect.
    Refused(String),
    /// Whoever was to carry it out failed over it, and would again.
    Failed(String),
    /// No answer: it may have taken effect.
    Unknown(String),
}

impl Outcome {
    /// What an answer means for a step.
    pub fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Accepted(Receipt { version, .. })
            | Answer::Repeated(Receipt { version, .. })
            | Answer::Unchanged(Receipt { version, .. })
            | Answer::Ended(Receipt { version, .. }, _) => Self::Done { version: *version },
            Answer::Refused(Refusal::Fault(fault)) => Self::Failed(fault.clone()),
            Answer::Refused(refusal) => Self::Refused(refusal.to_string()),
            Answer::Expired => Self::Unknown("expired".to_owned()),
            Answer::Overloaded => Self::Unknown("overloaded".to_owned()),
            Answer::Unknown => Self::Unknown("no answer".to_owned()),
        }
    }

    /// In short, for a metric.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Progress(_) => "progress",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Saga {
    /// Whether nothing more will happen by itself.
    pub fn ended(&self) -> bool {
        !matches!(self.status, SagaStatus::Running | SagaStatus::Compensating)
    }

    /// The state of a step, if it was requested.
    pub fn step(&self, step: &Step) -> Option<&StepState> {
        self.steps.iter().find(|state| state.step == *step)
    }

    /// Whether the step has taken effect.
    pub fn done(&self, step: &Step) -> bool {
        self.step(step).is_some_and(|state| state.phase == StepPhase::Done)
    }

    /// The steps (and compensations: `true`) that wait for an outcome, with the time at which they are to be sent.
    pub fn open_steps(&self) -> impl Iterator<Item = (&Step, bool, Timestamp)> {
        // While it is undone nobody waits for a step any more: its compensation undoes it, whatever came of it.
        self.steps.iter().filter_map(|state| match (self.status, state.phase) {
            (SagaStatus::Running, StepPhase::Open) => Some((&state.step, false, state.due)),
            (SagaStatus::Compensating, StepPhase::Undoing) => Some((&state.step, true, state.due)),
            _ => None,
        })
    }

    /// What carries out a step, or its compensation.
    pub(crate) fn action(
        &self,
        id: SagaId,
        processes: &Processes,
        step: &Step,
        compensation: bool,
        own: &Own,
    ) -> Option<Action> {
        if compensation {
            return self.compensation(id, processes, step);
        }
        self.process(processes)?.action(id, self, step, own)
    }

    pub(super) fn compensation(&self, id: SagaId, processes: &Processes, step: &Step) -> Option<Action> {
        self.process(processes)?.compensation(id, self, step)
    }

    /// How long after its request a step is carried out for the first time.
    pub(crate) fn delay(&self, processes: &Processes, step: &Step) -> Duration {
        self.process(processes).map(|process| process.delay(step)).unwrap_or_default()
    }

    /// Whether whoever wanted it has what they wanted: nothing can take it back, though there may be steps to come.
    pub(crate) fn is_fulfilled(&self, processes: &Processes) -> bool {
        let forward = matches!(self.status, SagaStatus::Running | SagaStatus::Completed);
        forward && self.process(processes).is_some_and(|process| process.is_fulfilled(self))
    }

    fn process<'a>(&self, processes: &'a Processes) -> Option<&'a dyn Kind> {
        self.data.as_ref().and_then(|data| processes.named(&data.process))
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.data.as_ref().and_then(|data| data.read().ok())
    }

    /// What an event of this saga does to its own key.
    pub(crate) fn effects(&self, processes: &Processes, event: &SagaEvent, own: &Own) -> Vec<Event> {
        self.process(processes).map(|process| process.effects(self, event, own)).unwrap_or_default()
    }

    fn state_mut(&mut self, step: &Step) -> Option<&mut StepState> {
        self.steps.iter_mut().find(|state| state.step == *step)
    }

    /// The next compensation, in reverse order, then that of what was done before it began, or the end.
    ///
    /// A refused step is undone too: it may have been delivered twice, and the second delivery may yet find the target
    /// in another mood. Its compensation makes the target refuse it for good.
    pub(super) fn undo(&self, id: SagaId, processes: &Processes, due: Timestamp) -> SagaEvent {
        let touched = |state: &&StepState| match state.phase {
            StepPhase::Done => true,
            StepPhase::Open | StepPhase::Refused => processes.keep(Rule::UndoWhatIsInDoubt),
            StepPhase::Undoing | StepPhase::Undone => false,
        };
        let can_undo = |state: &&StepState| self.compensation(id, processes, &state.step).is_some();
        let next = self.steps.iter().rev().filter(touched).find(can_undo).map(|state| &state.step);
        let before = self.process(processes).and_then(Kind::before).filter(|step| self.step(step).is_none());
        match next.or(before) {
            Some(step) => StepRequested { saga: id, step: step.clone(), compensation: true, due }.into(),
            None => SagaCompensated { saga: id }.into(),
        }
    }
}

impl Aggregate for Saga {
    const TYPE: &'static str = "saga";
    type Command = SagaCommand;
    type Event = Fact<SagaEvent>;
    type Error = Refusal;
    type Services = Desk;

    async fn handle(&mut self, command: SagaCommand, desk: &Desk, sink: &EventSink<Self>) -> Result<(), Refusal> {
        match command {
            SagaCommand::Start { saga, data, .. } => {
                if self.data.is_some() {
                    return Ok(());
                }
                desk.processes.key(&data)?;
                self.go_on(saga, desk, SagaStarted { saga, data }.into(), sink).await;
                Ok(())
            }
            SagaCommand::Record { saga, step, compensation, outcome } => {
                self.process(&desk.processes).ok_or(Refusal::NotFound)?;
                let waits = self.open_steps().any(|(s, undoing, _)| *s == step && undoing == compensation);
                if !waits {
                    return Ok(());
                }
                if compensation {
                    self.compensation_outcome(saga, desk, step, outcome, sink).await;
                } else {
                    self.step_outcome(saga, desk, step, outcome, sink).await;
                }
                Ok(())
            }
            SagaCommand::Order { saga, order, by, reason } => self.order(saga, desk, order, (by, reason), sink).await,
        }
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            SagaEvent::Started(SagaStarted { data, .. }) => self.data = Some(data),
            SagaEvent::StepRequested(StepRequested { step, compensation: false, due, .. }) => {
                self.steps.push(StepState::requested(step, StepPhase::Open, due));
            }
            SagaEvent::StepRequested(StepRequested { step, compensation: true, due, .. }) => {
                if self.step(&step).is_none() {
                    self.steps.push(StepState::requested(step, StepPhase::Undoing, due));
                } else {
                    self.set(&step, |state| (state.phase, state.attempts, state.due) = (StepPhase::Undoing, 0, due));
                }
            }
            SagaEvent::StepRetried(StepRetried { step, attempts, due, .. }) => {
                self.set(&step, |state| (state.attempts, state.due) = (attempts, due));
            }
            SagaEvent::StepAdvanced(StepAdvanced { step, parts, due, .. }) => {
                self.set(&step, |state| (state.attempts, state.parts, state.due) = (0, parts, due));
            }
            SagaEvent::StepCompleted(StepCompleted { step, version, .. }) => {
                self.set(&step, |state| (state.phase, state.version) = (StepPhase::Done, version));
            }
            SagaEvent::StepRefused(StepRefused { step, .. }) => {
                self.set(&step, |state| state.phase = StepPhase::Refused);
                self.refused = Some(step);
            }
            SagaEvent::StepUndone(StepUndone { step, .. }) => self.set(&step, |s| s.phase = StepPhase::Undone),
            SagaEvent::Compensating(SagaCompensating { reason, .. }) => {
                self.status = SagaStatus::Compensating;
                self.reason = Some(reason);
            }
            SagaEvent::Completed(_) => self.status = SagaStatus::Completed,
            SagaEvent::Compensated(_) => self.status = SagaStatus::Compensated,
            SagaEvent::CompensationFailed(SagaCompensationFailed { error, .. }) => {
                self.status = SagaStatus::CompensationFailed;
                self.failure = Some(error);
            }
            SagaEvent::RetryOrdered(_) if self.status == SagaStatus::CompensationFailed => {
                (self.status, self.failure) = (SagaStatus::Compensating, None);
            }
            SagaEvent::RetryOrdered(_) | SagaEvent::CompensationOrdered(_) => {}
        }
    }
}

impl StepState {
    fn requested(step: Step, phase: StepPhase, due: Timestamp) -> Self {
        Self { step, phase, attempts: 0, parts: 0, due, version: None }
    }
}

impl Saga {
    fn set(&mut self, step: &Step, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.state_mut(step) {
            change(state);
        }
    }

    /// Writes an event and what the process wants after it.
    async fn go_on(&mut self, id: SagaId, desk: &Desk, event: SagaEvent, sink: &EventSink<Self>) {
        sink.write(Fact(event.clone()), self).await;
        let Some(process) = self.process(&desk.processes) else { return };
        for next in process.next(self, &event, &desk.own) {
            let event: SagaEvent = match next {
                Next::Request(step) => {
                    let due = desk.now.plus(process.delay(&step));
                    StepRequested { saga: id, step, compensation: false, due }.into()
                }
                Next::Complete => SagaCompleted { saga: id }.into(),
                Next::Undo(refusal) => {
                    return self.turn_back(id, desk, refusal.to_string(), sink).await;
                }
            };
            sink.write(Fact(event), self).await;
        }
    }

    /// Begins to undo what was done.
    pub(super) async fn turn_back(&mut self, saga: SagaId, desk: &Desk, reason: String, sink: &EventSink<Self>) {
        sink.write(Fact(SagaCompensating { saga, reason }.into()), self).await;
        let undo = self.undo(saga, &desk.processes, desk.now);
        sink.write(Fact(undo), self).await;
    }

    async fn step_outcome(&mut self, saga: SagaId, desk: &Desk, step: Step, outcome: Outcome, sink: &EventSink<Self>) {
        let can_undo = self.compensation(saga, &desk.processes, &step).is_some();
        let (parts, tried) = self.step(&step).map_or((0, 0), |state| (state.parts, state.attempts));
        let attempts = tried + 1;
        let reason = match outcome {
            Outcome::Done { version } => {
                return self.go_on(saga, desk, StepCompleted { saga, step, version }.into(), sink).await;
            }
            Outcome::Progress(progress) => {
                let advanced = StepAdvanced { saga, step, parts: parts + 1, progress, due: desk.now };
                return sink.write(Fact(advanced.into()), self).await;
            }
            Outcome::Refused(reason) if can_undo => {
                let refused = StepRefused { saga, step, reason: reason.clone() };
                sink.write(Fact(refused.into()), self).await;
                reason
            }
            Outcome::Failed(error) | Outcome::Unknown(error) if can_undo && attempts >= STEP_ATTEMPTS_MAX => error,
            // Past the point of no return a step is tried until it succeeds.
            Outcome::Refused(error) | Outcome::Failed(error) | Outcome::Unknown(error) => {
                let due = desk.now.plus(retry_delay(saga, attempts));
                let retried = StepRetried { saga, step, compensation: false, attempts, due, error };
                return sink.write(Fact(retried.into()), self).await;
            }
        };
        self.turn_back(saga, desk, reason, sink).await;
    }

    async fn compensation_outcome(
        &mut self,
        saga: SagaId,
        desk: &Desk,
        step: Step,
        outcome: Outcome,
        sink: &EventSink<Self>,
    ) {
        let attempts = self.step(&step).map_or(0, |state| state.attempts) + 1;
        match outcome {
            Outcome::Done { .. } => {
                sink.write(Fact(StepUndone { saga, step }.into()), self).await;
                let undo = self.undo(saga, &desk.processes, desk.now);
                sink.write(Fact(undo), self).await;
            }
            // No answer is no reason to give up: whoever does not answer comes back.
            Outcome::Refused(error) | Outcome::Failed(error) if attempts >= COMPENSATION_ATTEMPTS_MAX => {
                sink.write(Fact(SagaCompensationFailed { saga, step, error }.into()), self).await;
            }
            Outcome::Refused(error) | Outcome::Failed(error) | Outcome::Unknown(error) | Outcome::Progress(error) => {
                let due = desk.now.plus(retry_delay(saga, attempts));
                let retried = StepRetried { saga, step, compensation: true, attempts, due, error };
                sink.write(Fact(retried.into()), self).await;
            }
        }
    }
}
