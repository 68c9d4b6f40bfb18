//! Sagas: processes of several steps over several keys that end complete or undone.
//!
//! A saga is an aggregate like any other. What kind of process it is only its [`Process`] knows: which step follows
//! which, what command carries a step out and what undoes it. Everything that is the same for all of them is here:
//! attempts, retries with back-off, giving up, compensation in reverse order.
//!
//! Whatever a saga still has to do stands in the log (`step_requested`, `step_retried` without an outcome), so an owner
//! that takes over finds it and goes on.

mod orders;

pub use orders::Order;

use crate::aggregates::Fact;
use crate::answer::{Answer, Receipt, Refusal};
use crate::command::Command;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{
    CommandId, Event, Key, SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompleted, SagaData,
    SagaEvent, SagaId, SagaStarted, Step, StepCompleted, StepRefused, StepRequested, StepRetried, StepUndone,
    Timestamp, UserId, WireError,
};
use journal::{Rule, Rules};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// How often a step is tried without an answer before the saga gives up and undoes what was done.
pub(crate) const STEP_ATTEMPTS_MAX: u32 = 8;
/// How often a compensation may be refused before a person must look.
pub(crate) const COMPENSATION_ATTEMPTS_MAX: u32 = 50;
/// The wait after the first attempt; doubled with each further one.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
pub(crate) const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// What makes one kind of saga different from another: pure functions, no I/O. The rest of a program meets it by its name
/// alone, in [`SagaData`].
pub trait Process: Send + Sync + 'static {
    /// Its stable name, in capitals.
    const NAME: &'static str;

    /// What its sagas work on. It stands in the log for ever, so a released shape only grows, by optional fields.
    type Data: Serialize + DeserializeOwned;

    /// The key that a saga is on: the one that it mainly changes.
    fn key(&self, data: &Self::Data) -> Key;

    /// What follows from an event of the saga that is no failure: the next steps, or the end.
    fn next(&self, saga: &Saga, data: &Self::Data, event: &SagaEvent) -> Vec<Next>;

    /// What the event does to the saga's own key, in the same commit.
    fn effects(&self, saga: &Saga, data: &Self::Data, event: &SagaEvent) -> Vec<Event>;

    /// The command that carries a step out on another key. The same at every attempt.
    fn command(&self, id: SagaId, data: &Self::Data, step: &Step) -> (Key, Command);

    /// The command that undoes whatever the step may have done; `None` for a step past which there is no way back,
    /// which is then tried until it succeeds.
    fn compensation(&self, id: SagaId, data: &Self::Data, step: &Step) -> Option<(Key, Command)>;
}

/// A process whose data is not known by its type. Whatever cannot be read was refused when the saga began.
trait Kind: Send + Sync {
    fn name(&self) -> &'static str;
    fn key(&self, data: &SagaData) -> Result<Key, WireError>;
    fn next(&self, saga: &Saga, event: &SagaEvent) -> Vec<Next>;
    fn effects(&self, saga: &Saga, event: &SagaEvent) -> Vec<Event>;
    fn command(&self, id: SagaId, saga: &Saga, step: &Step) -> Option<(Key, Command)>;
    fn compensation(&self, id: SagaId, saga: &Saga, step: &Step) -> Option<(Key, Command)>;
}

impl<P: Process> Kind for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn key(&self, data: &SagaData) -> Result<Key, WireError> {
        Ok(Process::key(self, &data.read()?))
    }

    fn next(&self, saga: &Saga, event: &SagaEvent) -> Vec<Next> {
        saga.read().map(|data| Process::next(self, saga, &data, event)).unwrap_or_default()
    }

    fn effects(&self, saga: &Saga, event: &SagaEvent) -> Vec<Event> {
        saga.read().map(|data| Process::effects(self, saga, &data, event)).unwrap_or_default()
    }

    fn command(&self, id: SagaId, saga: &Saga, step: &Step) -> Option<(Key, Command)> {
        saga.read().map(|data| Process::command(self, id, &data, step))
    }

    fn compensation(&self, id: SagaId, saga: &Saga, step: &Step) -> Option<(Key, Command)> {
        saga.read().and_then(|data| Process::compensation(self, id, &data, step))
    }
}

/// What a process wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This step.
    Request(Step),
    /// Nothing more: all is done.
    Complete,
}

/// The processes that are registered.
#[derive(Clone, Default)]
pub struct Processes {
    processes: Vec<Arc<dyn Kind>>,
    rules: Rules,
}

impl Processes {
    /// The same and one more.
    ///
    /// # Panics
    /// If there is one of that name.
    #[must_use]
    pub fn with(mut self, process: impl Process) -> Self {
        let process: Arc<dyn Kind> = Arc::new(process);
        assert!(self.named(process.name()).is_none(), "two processes are called {}", process.name());
        self.processes.push(process);
        self
    }

    /// The same by these rules. All of them, outside tests.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The key that a saga with such data is on. A fault if nobody here can run it.
    pub(crate) fn key(&self, data: &SagaData) -> Result<Key, Refusal> {
        let process = self.named(&data.process);
        let process = process.ok_or_else(|| Refusal::Fault(format!("there is no process {}", data.process)))?;
        process.key(data).map_err(|error| Refusal::Fault(error.to_string()))
    }

    fn named(&self, name: &str) -> Option<&dyn Kind> {
        self.processes.iter().find(|process| process.name() == name).map(AsRef::as_ref)
    }
}

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
        /// When, for the next attempt.
        now: Timestamp,
    },
    /// An operator steps in. [`Refusal::SagaEnded`] if there is nothing left to do.
    Order {
        /// Which saga.
        saga: SagaId,
        /// What is to be done.
        order: Order,
        /// Who says so.
        by: UserId,
        /// Why.
        reason: String,
        /// When.
        now: Timestamp,
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
    /// It was refused and took no effect.
    Refused(String),
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
            Answer::Refused(Refusal::Fault(fault)) => Self::Unknown(fault.clone()),
            Answer::Refused(refusal) => Self::Refused(refusal.to_string()),
            Answer::Expired => Self::Unknown("expired".to_owned()),
            Answer::Overloaded => Self::Unknown("overloaded".to_owned()),
            Answer::Unknown => Self::Unknown("no answer".to_owned()),
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

    /// The key and command of a step, or of its compensation.
    pub(crate) fn command(
        &self,
        id: SagaId,
        processes: &Processes,
        step: &Step,
        compensation: bool,
    ) -> Option<(Key, Command)> {
        let process = self.process(processes)?;
        if compensation { process.compensation(id, self, step) } else { process.command(id, self, step) }
    }

    fn process<'a>(&self, processes: &'a Processes) -> Option<&'a dyn Kind> {
        self.data.as_ref().and_then(|data| processes.named(&data.process))
    }

    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.data.as_ref().and_then(|data| data.read().ok())
    }

    /// What an event of this saga does to its own key.
    pub(crate) fn effects(&self, processes: &Processes, event: &SagaEvent) -> Vec<Event> {
        self.process(processes).map(|process| process.effects(self, event)).unwrap_or_default()
    }

    fn state_mut(&mut self, step: &Step) -> Option<&mut StepState> {
        self.steps.iter_mut().find(|state| state.step == *step)
    }

    /// The next compensation, in reverse order, or the end.
    ///
    /// A refused step is undone too: it may have been delivered twice, and the second delivery may yet find the target
    /// in another mood. Its compensation makes the target refuse it for good.
    fn undo(&self, id: SagaId, processes: &Processes, due: Timestamp) -> SagaEvent {
        let touched = |state: &&StepState| match state.phase {
            StepPhase::Done => true,
            StepPhase::Open | StepPhase::Refused => processes.rules.keep(Rule::UndoWhatIsInDoubt),
            StepPhase::Undoing | StepPhase::Undone => false,
        };
        let can_undo = |state: &&StepState| self.command(id, processes, &state.step, true).is_some();
        let next = self.steps.iter().rev().filter(touched).find(can_undo);
        match next {
            Some(StepState { step, .. }) => {
                StepRequested { saga: id, step: step.clone(), compensation: true, due }.into()
            }
            None => SagaCompensated { saga: id }.into(),
        }
    }
}

impl Aggregate for Saga {
    const TYPE: &'static str = "saga";
    type Command = SagaCommand;
    type Event = Fact<SagaEvent>;
    type Error = Refusal;
    type Services = Processes;

    async fn handle(
        &mut self,
        command: SagaCommand,
        processes: &Processes,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        match command {
            SagaCommand::Start { saga, data } => {
                if self.data.is_some() {
                    return Ok(());
                }
                processes.key(&data)?;
                let process = processes.named(&data.process).ok_or(Refusal::NotFound)?;
                let started: SagaEvent = SagaStarted { saga, data }.into();
                self.go_on(saga, process, started, Timestamp::default(), sink).await;
                Ok(())
            }
            SagaCommand::Record { saga, step, compensation, outcome, now } => {
                self.process(processes).ok_or(Refusal::NotFound)?;
                let waits = self.open_steps().any(|(s, undoing, _)| *s == step && undoing == compensation);
                if !waits {
                    return Ok(());
                }
                if compensation {
                    self.compensation_outcome(saga, processes, step, outcome, now, sink).await;
                } else {
                    self.step_outcome(saga, processes, step, outcome, now, sink).await;
                }
                Ok(())
            }
            SagaCommand::Order { saga, order, by, reason, now } => {
                self.order(saga, processes, order, (by, reason), now, sink).await
            }
        }
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            SagaEvent::Started(SagaStarted { data, .. }) => self.data = Some(data),
            SagaEvent::StepRequested(StepRequested { step, compensation: false, due, .. }) => {
                self.steps.push(StepState { step, phase: StepPhase::Open, attempts: 0, due, version: None });
            }
            SagaEvent::StepRequested(StepRequested { step, compensation: true, due, .. }) => {
                self.set(&step, |state| (state.phase, state.attempts, state.due) = (StepPhase::Undoing, 0, due));
            }
            SagaEvent::StepRetried(StepRetried { step, attempts, due, .. }) => {
                self.set(&step, |state| (state.attempts, state.due) = (attempts, due));
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
                self.reason = Some(error);
            }
            SagaEvent::RetryOrdered(_) if self.status == SagaStatus::CompensationFailed => {
                self.status = SagaStatus::Compensating;
            }
            SagaEvent::RetryOrdered(_) | SagaEvent::CompensationOrdered(_) => {}
        }
    }
}

impl Saga {
    fn set(&mut self, step: &Step, change: impl FnOnce(&mut StepState)) {
        if let Some(state) = self.state_mut(step) {
            change(state);
        }
    }

    /// Writes an event and what the process wants after it.
    async fn go_on(
        &mut self,
        id: SagaId,
        process: &dyn Kind,
        event: SagaEvent,
        due: Timestamp,
        sink: &EventSink<Self>,
    ) {
        sink.write(Fact(event.clone()), self).await;
        for next in process.next(self, &event) {
            let event: SagaEvent = match next {
                Next::Request(step) => StepRequested { saga: id, step, compensation: false, due }.into(),
                Next::Complete => SagaCompleted { saga: id }.into(),
            };
            sink.write(Fact(event), self).await;
        }
    }

    async fn step_outcome(
        &mut self,
        saga: SagaId,
        processes: &Processes,
        step: Step,
        outcome: Outcome,
        now: Timestamp,
        sink: &EventSink<Self>,
    ) {
        let Some(process) = self.process(processes) else { return };
        let can_undo = process.compensation(saga, self, &step).is_some();
        let attempts = self.step(&step).map_or(0, |state| state.attempts) + 1;
        let reason = match outcome {
            Outcome::Done { version } => {
                let completed = StepCompleted { saga, step, version }.into();
                return self.go_on(saga, process, completed, now, sink).await;
            }
            Outcome::Refused(reason) if can_undo => {
                let refused = StepRefused { saga, step, reason: reason.clone() };
                sink.write(Fact(refused.into()), self).await;
                reason
            }
            Outcome::Unknown(error) if can_undo && attempts >= STEP_ATTEMPTS_MAX => error,
            // Past the point of no return a step is tried until it succeeds.
            Outcome::Refused(error) | Outcome::Unknown(error) => {
                let due = now.plus(retry_delay(saga, attempts));
                let retried = StepRetried { saga, step, compensation: false, attempts, due, error };
                return sink.write(Fact(retried.into()), self).await;
            }
        };
        sink.write(Fact(SagaCompensating { saga, reason }.into()), self).await;
        let undo = self.undo(saga, processes, now);
        sink.write(Fact(undo), self).await;
    }

    async fn compensation_outcome(
        &mut self,
        saga: SagaId,
        processes: &Processes,
        step: Step,
        outcome: Outcome,
        now: Timestamp,
        sink: &EventSink<Self>,
    ) {
        let attempts = self.step(&step).map_or(0, |state| state.attempts) + 1;
        match outcome {
            Outcome::Done { .. } => {
                sink.write(Fact(StepUndone { saga, step }.into()), self).await;
                let undo = self.undo(saga, processes, now);
                sink.write(Fact(undo), self).await;
            }
            // No answer is no reason to give up: whoever does not answer comes back.
            Outcome::Refused(error) if attempts >= COMPENSATION_ATTEMPTS_MAX => {
                sink.write(Fact(SagaCompensationFailed { saga, step, error }.into()), self).await;
            }
            Outcome::Refused(error) | Outcome::Unknown(error) => {
                let due = now.plus(retry_delay(saga, attempts));
                let retried = StepRetried { saga, step, compensation: true, attempts, due, error };
                sink.write(Fact(retried.into()), self).await;
            }
        }
    }
}

/// None before the first attempt; then doubles with each, and differs between sagas by up to a half, so that they do
/// not come back all at once. The jitter is taken from the saga's id: deciding has no randomness of its own.
pub(crate) fn retry_delay(saga: SagaId, attempts: u32) -> Duration {
    if attempts == 0 {
        return Duration::ZERO;
    }
    let delay = RETRY_DELAY.saturating_mul(1 << (attempts - 1).min(16)).min(RETRY_DELAY_MAX);
    let spread = u32::try_from(saga.0.as_u128() % 1_000).expect("below 1,000");
    delay + delay / 2_000 * spread
}

/// The id of the command that carries out a step or its compensation: independent of the attempt, so that however often
/// it is sent it takes effect once.
pub(crate) fn step_command_id(saga: SagaId, step: &Step, compensation: bool) -> CommandId {
    derived(&[b"step", saga.0.as_bytes(), step.0.as_bytes(), &[u8::from(compensation)]])
}

/// The id of the command that tells the saga what came of an attempt.
pub(crate) fn outcome_command_id(saga: SagaId, step: &Step, compensation: bool, attempts: u32) -> CommandId {
    let attempt = attempts.to_be_bytes();
    derived(&[b"outcome", saga.0.as_bytes(), step.0.as_bytes(), &[u8::from(compensation)], &attempt])
}

fn derived(parts: &[&[u8]]) -> CommandId {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let bytes: [u8; 16] = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    CommandId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
