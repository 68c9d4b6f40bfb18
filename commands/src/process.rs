//! Sagas: processes of several steps over several keys that end complete or undone.
//!
//! A saga is an aggregate like any other. What kind of process it is only its [`Process`] knows: which step follows
//! which, what carries a step out and what undoes it. Everything that is the same for all of them is below: attempts,
//! retries with back-off, giving up, compensation in reverse order, what an operator may order.
//!
//! Whatever a saga still has to do stands in the log (`step_requested`, `step_retried` and `step_advanced` without an
//! outcome), so an owner that takes over finds it and goes on.

mod attempts;
mod effect;
mod orders;
mod saga;

pub use attempts::step_command_id;
pub(crate) use attempts::{outcome_command_id, retry_delay};
pub use effect::{Effect, EffectFuture, Effects, NoEffects};
pub use orders::Order;
pub use saga::{Desk, Outcome, Saga, SagaCommand, SagaStatus, StepPhase, StepState};

use crate::aggregates::{Post, User};
use crate::answer::Refusal;
use crate::command::Command;
use events::{Event, Key, SagaData, SagaEvent, SagaId, Step, UserId, WireError};
use journal::{Rule, Rules};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What makes one kind of saga different from another: pure functions, no I/O. The rest of a program meets it by its name
/// alone, in [`SagaData`].
pub trait Process: Send + Sync + 'static {
    /// Its stable name, in capitals.
    const NAME: &'static str;

    /// All its steps, in the order in which they usually come, for whoever wants to know what remains.
    const STEPS: &'static [Step];

    /// What whoever begins a saga has done before, outside the log, as a step that has a compensation only. That is
    /// carried out last.
    const BEFORE: Option<Step> = None;

    /// What its sagas work on. It stands in the log for ever, so a released shape only grows, by optional fields.
    type Data: Serialize + DeserializeOwned;

    /// The key that a saga is on: the one that it mainly changes.
    fn key(&self, data: &Self::Data) -> Key;

    /// Whom it is about besides the person whose key it is on: how the two stand is in [`Own`] when it begins.
    fn other(&self, data: &Self::Data) -> Option<UserId> {
        let _ = data;
        None
    }

    /// What it does to its own key as it begins, in the commit with which it begins; `None` if what it is for was done
    /// before. `with` is what only this commit needs. A refusal is the answer to whoever wanted it to begin.
    fn begin(&self, data: &Self::Data, with: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal>;

    /// What follows from an event of the saga that is no failure: the next steps, or the end.
    fn next(&self, saga: &Saga, data: &Self::Data, event: &SagaEvent, own: &Own) -> Vec<Next>;

    /// What the event does to the saga's own key, in the same commit.
    fn effects(&self, saga: &Saga, data: &Self::Data, event: &SagaEvent, own: &Own) -> Vec<Event>;

    /// What carries a step out. The same at every attempt.
    fn action(&self, id: SagaId, data: &Self::Data, step: &Step, own: &Own) -> Action;

    /// What undoes whatever the step may have done; `None` for a step past which there is no way back, which is then
    /// tried until it succeeds.
    fn compensation(&self, id: SagaId, data: &Self::Data, step: &Step) -> Option<Action>;

    /// Those of its steps that a saga with such data takes if nothing stands in its way.
    fn plan(&self, data: &Self::Data) -> Vec<Step> {
        let _ = data;
        Self::STEPS.to_vec()
    }

    /// How long after its request a step is carried out for the first time.
    fn delay(&self, step: &Step) -> Duration {
        let _ = step;
        Duration::ZERO
    }

    /// Whether whoever wanted the saga has what they wanted, although there are steps to come. Only where nothing can
    /// take it back any more.
    fn is_fulfilled(&self, saga: &Saga) -> bool {
        let _ = saga;
        false
    }
}

/// What stands on a saga's own key, as far as its process may decide upon it.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The account, if the key is a user's.
    pub user: User,
    /// The post, if the key is a post's.
    pub post: Post,
    /// How the person stands to whom a saga that begins is about.
    pub toward: Toward,
}

/// How one person stands to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Toward {
    /// Whether they follow them.
    pub follows: bool,
    /// Whether they block them.
    pub blocks: bool,
    /// How many people they block in all.
    pub blocked: usize,
}

/// What carries a step out.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A command to the owner of another key.
    Command(Key, Command),
    /// Something outside the log.
    Effect(Effect),
}

/// What a process wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This step.
    Request(Step),
    /// Nothing more: all is done.
    Complete,
    /// What was done is to be undone, for this reason: its own key is no longer what it was.
    Undo(Refusal),
}

/// A process whose data is not known by its type. Whatever cannot be read was refused when the saga began.
trait Kind: Send + Sync {
    fn name(&self) -> &'static str;
    fn steps(&self) -> &'static [Step];
    fn key(&self, data: &SagaData) -> Result<Key, WireError>;
    fn other(&self, data: &SagaData) -> Option<UserId>;
    fn begin(&self, data: &SagaData, with: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal>;
    fn next(&self, saga: &Saga, event: &SagaEvent, own: &Own) -> Vec<Next>;
    fn effects(&self, saga: &Saga, event: &SagaEvent, own: &Own) -> Vec<Event>;
    fn action(&self, id: SagaId, saga: &Saga, step: &Step, own: &Own) -> Option<Action>;
    fn compensation(&self, id: SagaId, saga: &Saga, step: &Step) -> Option<Action>;
    fn plan(&self, data: &SagaData) -> Vec<Step>;
    fn before(&self) -> Option<&'static Step>;
    fn delay(&self, step: &Step) -> Duration;
    fn is_fulfilled(&self, saga: &Saga) -> bool;
}

impl<P: Process> Kind for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn steps(&self) -> &'static [Step] {
        P::STEPS
    }

    fn key(&self, data: &SagaData) -> Result<Key, WireError> {
        Ok(Process::key(self, &data.read()?))
    }

    fn other(&self, data: &SagaData) -> Option<UserId> {
        data.read().ok().and_then(|data| Process::other(self, &data))
    }

    fn begin(&self, data: &SagaData, with: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        let data = data.read().map_err(|error| Refusal::Fault(error.to_string()))?;
        Process::begin(self, &data, with, own)
    }

    fn next(&self, saga: &Saga, event: &SagaEvent, own: &Own) -> Vec<Next> {
        saga.read().map(|data| Process::next(self, saga, &data, event, own)).unwrap_or_default()
    }

    fn effects(&self, saga: &Saga, event: &SagaEvent, own: &Own) -> Vec<Event> {
        saga.read().map(|data| Process::effects(self, saga, &data, event, own)).unwrap_or_default()
    }

    fn action(&self, id: SagaId, saga: &Saga, step: &Step, own: &Own) -> Option<Action> {
        saga.read().map(|data| Process::action(self, id, &data, step, own))
    }

    fn compensation(&self, id: SagaId, saga: &Saga, step: &Step) -> Option<Action> {
        saga.read().and_then(|data| Process::compensation(self, id, &data, step))
    }

    fn plan(&self, data: &SagaData) -> Vec<Step> {
        data.read().map(|data| Process::plan(self, &data)).unwrap_or_default()
    }

    fn before(&self) -> Option<&'static Step> {
        const { &P::BEFORE }.as_ref()
    }

    fn delay(&self, step: &Step) -> Duration {
        Process::delay(self, step)
    }

    fn is_fulfilled(&self, saga: &Saga) -> bool {
        Process::is_fulfilled(self, saga)
    }
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

    /// The steps that a saga with such data takes if nothing stands in its way; none if nobody here can run it.
    pub fn plan(&self, data: &SagaData) -> Vec<Step> {
        self.named(&data.process).map(|process| process.plan(data)).unwrap_or_default()
    }

    /// Each process with all its steps, in the order in which they usually come.
    pub fn plans(&self) -> impl Iterator<Item = (&'static str, &'static [Step])> {
        self.processes.iter().map(|process| (process.name(), process.steps()))
    }

    /// The key that a saga with such data is on. A fault if nobody here can run it.
    pub(crate) fn key(&self, data: &SagaData) -> Result<Key, Refusal> {
        self.of(data)?.key(data).map_err(|error| Refusal::Fault(error.to_string()))
    }

    /// Whom a saga with such data is about besides the person whose key it is on.
    pub(crate) fn other(&self, data: &SagaData) -> Option<UserId> {
        self.named(&data.process)?.other(data)
    }

    /// What a saga with such data does as it begins.
    pub(crate) fn begin(&self, data: &SagaData, with: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        self.of(data)?.begin(data, with, own)
    }

    fn of(&self, data: &SagaData) -> Result<&dyn Kind, Refusal> {
        self.named(&data.process).ok_or_else(|| Refusal::Fault(format!("there is no process {}", data.process)))
    }

    fn named(&self, name: &str) -> Option<&dyn Kind> {
        self.processes.iter().find(|process| process.name() == name).map(AsRef::as_ref)
    }

    fn keep(&self, rule: Rule) -> bool {
        self.rules.keep(rule)
    }
}
