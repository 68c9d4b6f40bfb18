//! Carries out what the sagas of a partition have requested.
//!
//! It acts only upon requests that stand in the log and are valid, and a restart finds them again in the state. It
//! keeps no promise of its own: a step that is sent twice takes effect once, since its command's id never changes.
//!
//! Commands to other keys take milliseconds and effects outside the log may take a minute, so each have a lane: what is
//! slow holds up nothing that is quick.

use super::{OwnerOptions, limits};
use crate::process::{Action, Outcome, SagaCommand, outcome_command_id, retry_delay, step_command_id};
use crate::request::Request;
use crate::state::State;
use events::{CommandId, Key, Retention, SagaEvent, SagaId, Step, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::Rule;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::error;

/// A step, or the compensation of one (`true`), of a saga.
type Open = (SagaId, Step, bool);

/// What came of an attempt.
pub(super) struct Attempt {
    of: Open,
    outcome: Outcome,
    lane: usize,
}

/// The open steps of a partition, by when they are due, and those that are being carried out.
#[derive(Default)]
pub(super) struct Driver {
    lanes: [Lane; 2],
    running: JoinSet<Attempt>,
}

const COMMANDS: usize = 0;
const EFFECTS: usize = 1;
/// How many of each may run at one time.
const RUNNING_MAX: [usize; 2] = [limits::STEPS_SENDING_MAX, limits::EFFECTS_RUNNING_MAX];

#[derive(Default)]
struct Lane {
    /// By this process's clock: the wall clock may jump.
    due: BTreeSet<(Instant, Open)>,
    running: usize,
}

impl Driver {
    /// Everything that the sagas in this state wait for.
    pub(super) fn resume(state: &State, options: &OwnerOptions) -> Self {
        let mut driver = Self::default();
        for (id, saga) in state.open_sagas() {
            for (step, undo, due) in saga.open_steps() {
                let attempts = saga.step(step).map_or(0, |state| state.attempts);
                let wait =
                    if attempts == 0 { first_delay(state, options, id, step) } else { retry_delay(id, attempts) };
                driver.wait(state, options, (id, step.clone(), undo), due, wait);
            }
        }
        driver
    }

    /// Notes what a valid commit requests.
    pub(super) fn note(&mut self, state: &State, options: &OwnerOptions, event: &SagaEvent) {
        match event {
            SagaEvent::StepRequested(e) => {
                let wait = first_delay(state, options, e.saga, &e.step);
                self.wait(state, options, (e.saga, e.step.clone(), e.compensation), e.due, wait);
            }
            SagaEvent::StepRetried(e) => {
                let wait = retry_delay(e.saga, e.attempts);
                self.wait(state, options, (e.saga, e.step.clone(), e.compensation), e.due, wait);
            }
            SagaEvent::StepAdvanced(e) => {
                self.wait(state, options, (e.saga, e.step.clone(), false), e.due, Duration::ZERO);
            }
            _ => {}
        }
    }

    /// Has a step carried out at `due` by the wall clock, in `longest` at the latest: a clock that was set back would hold
    /// it up for as long.
    fn wait(&mut self, state: &State, options: &OwnerOptions, open: Open, due: Timestamp, longest: Duration) {
        let Some(action) = action(state, options, &open) else { return };
        let lane = match action {
            Action::Command(..) => COMMANDS,
            Action::Effect(_) => EFFECTS,
        };
        let at = Instant::now() + due.since((options.clock)()).min(longest);
        self.lanes[lane].due.insert((at, open));
    }

    /// Sleeps until the next step is due; for ever, if none is or if as many as may be are being carried out.
    pub(super) fn next_due(&self) -> impl Future<Output = ()> + use<> {
        let lanes = self.lanes.iter().zip(RUNNING_MAX).filter(|(lane, max)| lane.running < *max);
        let first = lanes.filter_map(|(lane, _)| lane.due.first().map(|(at, _)| *at)).min();
        async move {
            match first {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Begins the steps that are due.
    pub(super) fn send_due(&mut self, state: &State, options: &OwnerOptions) {
        if self.lanes.iter().all(|lane| lane.due.is_empty()) {
            return;
        }
        let now = Instant::now();
        for (lane, max) in RUNNING_MAX.into_iter().enumerate() {
            while self.lanes[lane].running < max && self.lanes[lane].due.first().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, open)) = self.lanes[lane].due.pop_first() {
                    self.begin(state, options, open, lane);
                }
            }
        }
    }

    fn begin(&mut self, state: &State, options: &OwnerOptions, of: Open, lane: usize) {
        let (id, step, compensation) = &of;
        let still_open = |(open, undo, _): (&Step, bool, Timestamp)| open == step && undo == *compensation;
        if !state.saga(*id).is_some_and(|saga| saga.open_steps().any(still_open)) {
            return;
        }
        let Some(action) = action(state, options, &of) else {
            return error!(saga = %id, %step, "no process knows how to carry out this step of saga {id}");
        };
        let outcome = match action {
            Action::Command(key, command) => send(options, &of, key, command),
            Action::Effect(effect) => {
                let carried_out = options.effects.carry_out(*id, effect);
                async move {
                    let outcome = timeout(limits::EFFECT_TIMEOUT, carried_out).await;
                    outcome.unwrap_or_else(|_| Outcome::Unknown(format!("{effect:?} took too long")))
                }
                .boxed()
            }
        };
        self.lanes[lane].running += 1;
        self.running.spawn(async move {
            // Whatever panics has brought no answer.
            let outcome = AssertUnwindSafe(outcome).catch_unwind().await;
            Attempt { of, outcome: outcome.unwrap_or_else(|_| Outcome::Unknown("a panic".to_owned())), lane }
        });
    }

    /// The next outcome of a step; waits for ever while none is being carried out.
    pub(super) async fn attempted(&mut self) -> Option<Attempt> {
        loop {
            match self.running.join_next().await {
                Some(Ok(attempt)) => {
                    self.lanes[attempt.lane].running -= 1;
                    return Some(attempt);
                }
                Some(Err(failed)) => error!("carrying out a saga's step failed: {failed}"),
                None => std::future::pending().await,
            }
        }
    }

    /// The request that puts an outcome to its saga; `None` if the saga no longer waits for it.
    pub(super) fn outcome(&self, state: &State, options: &OwnerOptions, attempt: Attempt) -> Option<Request> {
        let now = (options.clock)();
        let Attempt { of: (id, step, compensation), outcome, .. } = attempt;
        let saga = state.saga(id)?;
        let tried = saga.step(&step).map(|state| (state.parts, state.attempts))?;
        let key = options.processes.key(saga.data.as_ref()?).ok()?;
        let command_id = outcome_command_id(id, &step, compensation, tried);
        let command = SagaCommand::Record { saga: id, step, compensation, outcome, now };
        let deadline = Instant::now() + limits::STEP_TIMEOUT;
        Some(Request {
            correlation: id.0,
            causation: Some(id.0),
            ..Request::new(command_id, key, command, now, deadline)
        })
    }
}

/// What a step's command brings. The ids of steps are not remembered for long: whatever comes later than its deadline is
/// not decided, and a target takes the same step of the same saga again without a change. What undoes them is, since its
/// target must refuse for good what it undoes.
fn send(
    options: &OwnerOptions,
    (id, step, compensation): &Open,
    key: Key,
    command: crate::Command,
) -> BoxFuture<'static, Outcome> {
    let command_id = if options.rules.keep(Rule::StepIdsNeverChange) {
        step_command_id(*id, step, *compensation)
    } else {
        CommandId((options.random)())
    };
    let request = Request {
        correlation: id.0,
        causation: Some(id.0),
        retention: if *compensation { Retention::Long } else { Retention::Short },
        undoes: compensation.then(|| step_command_id(*id, step, false)),
        ..Request::new(command_id, key, command, (options.clock)(), Instant::now() + limits::STEP_TIMEOUT)
    };
    let router = options.router.clone();
    async move { Outcome::of(&router.submit(request).await) }.boxed()
}

fn action(state: &State, options: &OwnerOptions, (id, step, compensation): &Open) -> Option<Action> {
    let saga = state.saga(*id)?;
    let key = options.processes.key(saga.data.as_ref()?).ok()?;
    saga.action(*id, &options.processes, step, *compensation, &state.own(&key))
}

fn first_delay(state: &State, options: &OwnerOptions, id: SagaId, step: &Step) -> Duration {
    state.saga(id).map(|saga| saga.delay(&options.processes, step)).unwrap_or_default()
}
