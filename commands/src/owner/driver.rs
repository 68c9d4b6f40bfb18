//! Carries out what the sagas of a partition have requested.
//!
//! It acts only upon requests that stand in the log and are valid, and a restart finds them again in the state. It
//! keeps no promise of its own: a step that is sent twice takes effect once, since its command's id never changes.
//!
//! Steps go in lanes, each with a limit of its own: one for each partition that commands go to, one for effects that act,
//! and one for effects that wait for others. What is slow holds up nothing that could go on.
//!
//! Once a saga has done what it is for nobody waits for the rest. Such steps go at ticks, all of that time together, so
//! that the log makes them durable together: else the two commits of each would stand in the way of what is waited for.

use super::{OwnerOptions, limits, spans};
use crate::process::{Action, Outcome, Saga, SagaCommand, outcome_command_id, retry_delay, step_command_id};
use crate::request::Request;
use crate::state::{Origin, State};
use events::{CommandId, Key, Retention, SagaEvent, SagaId, Step, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Partition, Rule, partition_of};
use metrics::counter;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    lane: Lane,
    took: Duration,
}

/// The open steps of a partition, by when they are due, and those that are being carried out. Each is either the one or
/// the other, and once.
pub(super) struct Driver {
    /// From when on the ticks are counted.
    begun: Instant,
    lanes: BTreeMap<Lane, Queue>,
    timers: HashMap<Open, (Lane, Instant)>,
    under_way: HashSet<Open>,
    running: JoinSet<Attempt>,
}

/// What holds each other up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// Commands to the owner of a partition.
    To(Partition),
    /// Effects that take as long as there is to do.
    Acting,
    /// Effects that take as long as others need.
    Waiting,
}

impl Lane {
    fn of(action: &Action, partitions: u32) -> Self {
        match action {
            Action::Command(key, _) => Self::To(partition_of(key, partitions)),
            Action::Effect(effect) if effect.waits() => Self::Waiting,
            Action::Effect(_) => Self::Acting,
        }
    }

    fn running_max(self) -> usize {
        match self {
            Self::To(_) => limits::STEPS_SENDING_MAX,
            Self::Acting | Self::Waiting => limits::EFFECTS_RUNNING_MAX,
        }
    }
}

/// How long a step waits before it is carried out.
#[derive(Clone, Copy)]
enum Wait {
    /// As long as its process wants before its first attempt, of which so much has passed by the log. The wall clock does
    /// not count: it may jump, and what is waited for does not.
    First(Duration),
    /// Until then by the wall clock, but no longer than is due after so many attempts: a clock that was set back would
    /// hold it up for as long.
    Until(Timestamp, u32),
}

#[derive(Default)]
struct Queue {
    /// By this process's clock: the wall clock may jump.
    due: BTreeSet<(Instant, Open)>,
    running: usize,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            lanes: BTreeMap::new(),
            timers: HashMap::new(),
            under_way: HashSet::new(),
            running: JoinSet::new(),
        }
    }
}

impl Driver {
    /// Everything that the sagas in this state wait for.
    pub(super) fn resume(state: &State, options: &OwnerOptions) -> Self {
        let mut driver = Self::default();
        for (id, saga) in state.open_sagas() {
            for (step, undo, due) in saga.open_steps() {
                let (parts, attempts) = saga.step(step).map_or((0, 0), |state| (state.parts, state.attempts));
                let again = parts > 0 || attempts > 0;
                let wait = if again { Wait::Until(due, attempts) } else { Wait::First(state.unchanged_for(id)) };
                driver.wait(state, options, (id, step.clone(), undo), wait);
            }
        }
        driver
    }

    /// Notes what a valid commit requests.
    pub(super) fn note(&mut self, state: &State, options: &OwnerOptions, event: &SagaEvent) {
        match event {
            SagaEvent::StepRequested(e) => {
                self.wait(state, options, (e.saga, e.step.clone(), e.compensation), Wait::First(Duration::ZERO));
            }
            SagaEvent::StepRetried(e) => {
                let wait = Wait::Until(e.due, e.attempts);
                self.wait(state, options, (e.saga, e.step.clone(), e.compensation), wait);
            }
            SagaEvent::StepAdvanced(e) => {
                self.wait(state, options, (e.saga, e.step.clone(), false), Wait::Until(e.due, 0));
            }
            _ => {}
        }
    }

    /// Tries a step again, after a while, although its last outcome could not be put to its saga.
    pub(super) fn again(&mut self, state: &State, options: &OwnerOptions, saga: SagaId, step: Step, undo: bool) {
        let due = (options.clock)().plus(retry_delay(saga, u32::MAX));
        self.wait(state, options, (saga, step, undo), Wait::Until(due, u32::MAX));
    }

    /// Has a step carried out in time. One that is being carried out is waited for instead: its outcome says what comes
    /// next.
    fn wait(&mut self, state: &State, options: &OwnerOptions, open: Open, wait: Wait) {
        if self.under_way.contains(&open) {
            return;
        }
        let Some(action) = action(state, options, &open) else { return };
        let wait = match wait {
            Wait::First(passed) => first_delay(state, options, &open).saturating_sub(passed),
            Wait::Until(due, attempts) => due.since((options.clock)()).min(retry_delay(open.0, attempts)),
        };
        let lane = Lane::of(&action, options.journal.partitions());
        let mut at = Instant::now() + wait;
        if state.saga(open.0).is_some_and(|saga| saga.is_fulfilled(&options.processes)) {
            at = self.tick_from(at);
        }
        if let Some((lane, before)) = self.timers.insert(open.clone(), (lane, at))
            && let Some(queue) = self.lanes.get_mut(&lane)
        {
            queue.due.remove(&(before, open.clone()));
        }
        self.lanes.entry(lane).or_default().due.insert((at, open));
    }

    /// The first tick from then on.
    fn tick_from(&self, at: Instant) -> Instant {
        const TICK: u128 = limits::UNAWAITED_TICK.as_nanos();
        let past = at.duration_since(self.begun).as_nanos() % TICK;
        let left = if past == 0 { 0 } else { TICK - past };
        at + Duration::from_nanos(u64::try_from(left).expect("less than a tick"))
    }

    /// Sleeps until the next step is due; for ever, if none is or if as many as may be are being carried out.
    pub(super) fn next_due(&self) -> impl Future<Output = ()> + use<> {
        let free = self.lanes.iter().filter(|(lane, queue)| queue.running < lane.running_max());
        let first = free.filter_map(|(_, queue)| queue.due.first().map(|(at, _)| *at)).min();
        async move {
            match first {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Begins the steps that are due.
    pub(super) fn send_due(&mut self, state: &State, options: &OwnerOptions) {
        if self.timers.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut due = Vec::new();
        for (lane, queue) in &mut self.lanes {
            let room = lane.running_max().saturating_sub(queue.running);
            while due.len() < room && queue.due.first().is_some_and(|(at, _)| *at <= now) {
                due.extend(queue.due.pop_first().map(|(_, open)| open));
            }
            for open in due.drain(..) {
                self.timers.remove(&open);
                if let Some(outcome) = begin(state, options, &open) {
                    queue.running += 1;
                    self.under_way.insert(open.clone());
                    self.running.spawn(attempt(open, *lane, outcome));
                }
            }
        }
        self.lanes.retain(|_, queue| queue.running > 0 || !queue.due.is_empty());
    }

    /// The next outcome of a step; waits for ever while none is being carried out.
    pub(super) async fn attempted(&mut self) -> Option<Attempt> {
        loop {
            match self.running.join_next().await {
                Some(Ok(attempt)) => {
                    if let Some(queue) = self.lanes.get_mut(&attempt.lane) {
                        queue.running -= 1;
                    }
                    self.under_way.remove(&attempt.of);
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
        let Attempt { of: (id, step, compensation), outcome, took, .. } = attempt;
        let (saga, origin) = (state.saga(id)?, state.origin(id)?);
        let data = saga.data.as_ref()?;
        measure(&data.process, &step, compensation, &outcome);
        let tried = saga.step(&step).map(|state| (state.parts, state.attempts))?;
        if options.traces.follows(origin.correlation) {
            let tried = tried.0 + tried.1;
            let attempt = spans::Attempt { saga: id, step: &step, compensation, tried, outcome: outcome.name(), took };
            options.traces.finish(attempt.span(origin, &data.process));
        }
        let key = options.processes.key(data).ok()?;
        let command_id = outcome_command_id(id, &step, compensation, tried);
        let command = SagaCommand::Record { saga: id, step, compensation, outcome };
        let deadline = Instant::now() + limits::STEP_TIMEOUT;
        Some(Request {
            correlation: origin.correlation,
            causation: Some(id.0),
            ..Request::new(command_id, key, command, now, deadline)
        })
    }
}

fn measure(process: &str, step: &Step, compensation: bool, outcome: &Outcome) {
    let labels = [
        ("type", process.to_owned()),
        ("step", step.to_string()),
        ("compensation", compensation.to_string()),
        ("outcome", outcome.name().to_owned()),
    ];
    counter!("tidings_saga_steps_total", &labels).increment(1);
}

/// One attempt of a step that its saga still waits for.
fn begin(state: &State, options: &OwnerOptions, of: &Open) -> Option<BoxFuture<'static, Outcome>> {
    let (id, step, compensation) = of;
    let still_open = |(open, undo, _): (&Step, bool, Timestamp)| open == step && undo == *compensation;
    state.saga(*id).filter(|saga| saga.open_steps().any(still_open))?;
    let origin = state.origin(*id)?;
    Some(match action(state, options, of)? {
        Action::Command(key, command) => send(options, of, origin, (key, command)),
        Action::Effect(effect) => {
            let carried_out = options.effects.carry_out(*id, effect);
            async move {
                let outcome = timeout(limits::EFFECT_TIMEOUT, carried_out).await;
                outcome.unwrap_or_else(|_| Outcome::Unknown(format!("{effect:?} took too long")))
            }
            .boxed()
        }
    })
}

/// Whatever panics has failed.
async fn attempt(of: Open, lane: Lane, outcome: BoxFuture<'static, Outcome>) -> Attempt {
    let begun = Instant::now();
    let outcome = AssertUnwindSafe(outcome).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::Failed("a panic".to_owned()));
    Attempt { of, outcome, lane, took: begun.elapsed() }
}

/// What a step's command brings. The ids of steps are not remembered for long, and need not be: nodes take no request of
/// another node that is older than what they remember. What undoes them is, since its target must refuse what it undoes
/// however late that comes.
fn send(
    options: &OwnerOptions,
    (id, step, compensation): &Open,
    origin: Origin,
    (key, command): (Key, crate::Command),
) -> BoxFuture<'static, Outcome> {
    let command_id = if options.rules.keep(Rule::StepIdsNeverChange) {
        step_command_id(*id, step, *compensation)
    } else {
        CommandId((options.random)())
    };
    let request = Request {
        correlation: origin.correlation,
        causation: Some(id.0),
        retention: if *compensation { Retention::Long } else { Retention::Short },
        undoes: compensation.then(|| step_command_id(*id, step, false)),
        ..Request::new(command_id, key, command, (options.clock)(), Instant::now() + limits::STEP_TIMEOUT)
    };
    let router = options.router.clone();
    async move { Outcome::of(&router.submit(request).await) }.boxed()
}

/// What carries a step out. `None` if the saga has ended, or if this program does not know, which only another one can
/// change.
fn action(state: &State, options: &OwnerOptions, (id, step, compensation): &Open) -> Option<Action> {
    let saga = state.saga(*id)?;
    let of = || {
        let key = options.processes.key(saga.data.as_ref()?).ok()?;
        saga.action(*id, &options.processes, step, *compensation, &state.own(&key))
    };
    let action = catch_unwind(AssertUnwindSafe(of)).unwrap_or_default();
    if action.is_none() {
        error!(saga = %id, %step, "this program does not know how to carry out the step {step} of saga {id}");
    }
    action
}

fn first_delay(state: &State, options: &OwnerOptions, (id, step, compensation): &Open) -> Duration {
    let of = |saga: &Saga| saga.delay(&options.processes, step);
    state.saga(*id).filter(|_| !compensation).map(of).unwrap_or_default()
}
