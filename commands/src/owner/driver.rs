//! Carries out what the sagas of a partition have requested.
//!
//! It acts only upon requests that stand in the log and are valid, and a restart finds them again in the state. It
//! keeps no promise of its own: a step that is sent twice takes effect once, since its command's id never changes.

use super::{OwnerOptions, limits};
use crate::answer::Answer;
use crate::process::{Outcome, SagaCommand, outcome_command_id, retry_delay, step_command_id};
use crate::request::Request;
use crate::state::State;
use events::{CommandId, Retention, SagaEvent, SagaId, Step, Timestamp};
use futures::FutureExt;
use journal::Rule;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::error;

/// What came of sending a step.
pub(super) struct Attempt {
    saga: SagaId,
    step: Step,
    compensation: bool,
    answer: Answer,
}

/// The open steps of a partition, by when they are due, and those that are being sent.
#[derive(Default)]
pub(super) struct Driver {
    /// By this process's clock: the wall clock may jump.
    due: BTreeSet<(Instant, SagaId, Step, bool)>,
    sending: JoinSet<Attempt>,
}

impl Driver {
    /// Everything that the sagas in this state wait for.
    pub(super) fn resume(state: &State, now: Timestamp) -> Self {
        let mut driver = Self::default();
        for (id, saga) in state.open_sagas() {
            driver.due.extend(saga.open_steps().map(|(step, undo, due)| {
                let attempts = saga.step(step).map_or(0, |state| state.attempts);
                (at(due, now, retry_delay(id, attempts)), id, step.clone(), undo)
            }));
        }
        driver
    }

    /// Notes what a valid commit requests.
    pub(super) fn note(&mut self, event: &SagaEvent, now: Timestamp) {
        match event {
            SagaEvent::StepRequested(e) => {
                self.due.insert((at(e.due, now, Duration::ZERO), e.saga, e.step.clone(), e.compensation));
            }
            SagaEvent::StepRetried(e) => {
                let at = at(e.due, now, retry_delay(e.saga, e.attempts));
                self.due.insert((at, e.saga, e.step.clone(), e.compensation));
            }
            _ => {}
        }
    }

    /// Sleeps until the next step is due; for ever, if none is or if as many as may be are being sent.
    pub(super) fn next_due(&self) -> impl Future<Output = ()> + use<> {
        let first = if self.sending.len() < limits::STEPS_SENDING_MAX { self.due.first() } else { None };
        let first = first.map(|(at, ..)| *at);
        async move {
            match first {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Sends the steps that are due.
    pub(super) fn send_due(&mut self, state: &State, options: &OwnerOptions) {
        if self.due.is_empty() {
            return;
        }
        let (now, time) = (Instant::now(), (options.clock)());
        while self.sending.len() < limits::STEPS_SENDING_MAX && self.due.first().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, saga, step, compensation)) = self.due.pop_first() {
                self.send(state, options, saga, step, compensation, time);
            }
        }
    }

    fn send(
        &mut self,
        state: &State,
        options: &OwnerOptions,
        id: SagaId,
        step: Step,
        compensation: bool,
        now: Timestamp,
    ) {
        let Some(saga) = state.saga(id) else { return };
        if !saga.open_steps().any(|(open, undo, _)| *open == step && undo == compensation) {
            return;
        }
        let Some((key, command)) = saga.command(id, &options.processes, &step, compensation) else {
            return error!(saga = %id, %step, "no process knows how to carry out this step of saga {id}");
        };
        let command_id = if options.rules.keep(Rule::StepIdsNeverChange) {
            step_command_id(id, &step, compensation)
        } else {
            CommandId((options.random)())
        };
        let request = Request {
            correlation: id.0,
            causation: Some(id.0),
            retention: Retention::Long,
            undoes: compensation.then(|| step_command_id(id, &step, false)),
            ..Request::new(command_id, key, command, now, Instant::now() + limits::STEP_TIMEOUT)
        };
        let router = options.router.clone();
        self.sending.spawn(async move {
            // A transport that panics has brought no answer.
            let answer = AssertUnwindSafe(router.submit(request)).catch_unwind().await.unwrap_or(Answer::Unknown);
            Attempt { saga: id, step, compensation, answer }
        });
    }

    /// The next answer to a step; waits for ever while none is being sent.
    pub(super) async fn attempted(&mut self) -> Option<Attempt> {
        loop {
            match self.sending.join_next().await {
                Some(Ok(attempt)) => return Some(attempt),
                Some(Err(failed)) => error!("sending a saga's step failed: {failed}"),
                None => std::future::pending().await,
            }
        }
    }

    /// The request that puts an answer to its saga; `None` if the saga no longer waits for it.
    pub(super) fn outcome(&self, state: &State, options: &OwnerOptions, attempt: Attempt) -> Option<Request> {
        let now = (options.clock)();
        let Attempt { saga: id, step, compensation, answer } = attempt;
        let saga = state.saga(id)?;
        let attempts = saga.step(&step)?.attempts;
        let key = options.processes.key(saga.data.as_ref()?).ok()?;
        let command_id = outcome_command_id(id, &step, compensation, attempts);
        let command = SagaCommand::Record { saga: id, step, compensation, outcome: Outcome::of(&answer), now };
        let deadline = Instant::now() + limits::STEP_TIMEOUT;
        Some(Request {
            correlation: id.0,
            causation: Some(id.0),
            retention: Retention::Long,
            ..Request::new(command_id, key, command, now, deadline)
        })
    }
}

/// When a step is due by this process's clock that is due at `due` by the wall clock: never later than its own back-off
/// from now, or a clock that was set back would hold it up for as long.
fn at(due: Timestamp, now: Timestamp, back_off: Duration) -> Instant {
    Instant::now() + due.since(now).min(back_off)
}
