//! Random courses of sagas, each as one could go.

use super::{post, saga, user};
use events::{
    Event, Key, SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompleted, SagaData, SagaEvent, SagaId,
    SagaRetryOrdered, SagaStarted, Step, StepAdvanced, StepCompleted, StepRefused, StepRequested, StepRetried,
    StepUndone, Timestamp,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(crate) const SAGAS: u8 = 5;
/// Of those who are gone these sagas alone are remembered.
pub(crate) const USER_DELETION: &str = "USER_DELETION";
/// Stands for what was done before the saga began: it is undone without having been requested.
const BEFORE: u8 = u8::MAX;

/// Where each of them stands.
#[derive(Default)]
pub(super) struct Course(BTreeMap<SagaId, State>);

#[derive(Clone, Copy)]
enum State {
    /// The step that is requested.
    Running(u8),
    /// The step that is being undone.
    Compensating(u8),
    Failed(u8),
    Ended,
}

impl Course {
    /// The next decision of a saga.
    pub(super) fn go_on(&mut self, b: u8, c: u8) -> Option<(Key, Vec<Event>)> {
        let n = b % SAGAS;
        let id = saga(n);
        let (state, events) = match self.0.get(&id) {
            None => begin(id, n),
            Some(State::Running(n)) => run(id, *n, c),
            Some(State::Compensating(n)) => undo(id, *n, c),
            Some(State::Failed(n)) => {
                let ordered = SagaRetryOrdered { saga: id, by: None, reason: "a test".to_owned() };
                (State::Compensating(*n), vec![ordered.into()])
            }
            // Now and then one begins again under the id of one that ended.
            Some(State::Ended) if c.is_multiple_of(4) => begin(id, n),
            Some(State::Ended) => return None,
        };
        self.0.insert(id, state);
        let key = if n.is_multiple_of(2) { Key::User(user(n)) } else { Key::Post(post(n)) };
        Some((key, events.into_iter().map(Event::Saga).collect()))
    }
}

fn begin(saga: SagaId, n: u8) -> (State, Vec<SagaEvent>) {
    let process = match n {
        0..=1 => "ERRAND",
        2..=3 => "OTHER",
        _ => USER_DELETION,
    };
    let data = SagaData::new(process, &BTreeMap::<String, String>::new());
    (State::Running(0), vec![SagaStarted { saga, data }.into(), requested(saga, 0, false)])
}

fn run(saga: SagaId, n: u8, c: u8) -> (State, Vec<SagaEvent>) {
    let (step, due) = (step(n), Timestamp(c.into()));
    match c % 8 {
        0 | 1 => {
            let error = format!("no answer {c}");
            let retried = StepRetried { saga, step, compensation: false, attempts: c.into(), due, error };
            (State::Running(n), vec![retried.into()])
        }
        2 => {
            let advanced = StepAdvanced { saga, step, parts: c.into(), progress: format!("{c} done"), due };
            (State::Running(n), vec![advanced.into()])
        }
        3 => {
            let refused = StepRefused { saga, step, reason: "taken".to_owned() };
            let compensating = SagaCompensating { saga, reason: "taken".to_owned() };
            (State::Compensating(n), vec![refused.into(), compensating.into(), requested(saga, n, true)])
        }
        4 if n > 0 => {
            let completed = StepCompleted { saga, step, version: None };
            (State::Ended, vec![completed.into(), SagaCompleted { saga }.into()])
        }
        _ => {
            let completed = StepCompleted { saga, step, version: None };
            (State::Running(n + 1), vec![completed.into(), requested(saga, n + 1, false)])
        }
    }
}

fn undo(saga: SagaId, n: u8, c: u8) -> (State, Vec<SagaEvent>) {
    let (step, due) = (step(n), Timestamp(c.into()));
    match c % 4 {
        0 => {
            let error = format!("no answer {c}");
            let retried = StepRetried { saga, step, compensation: true, attempts: c.into(), due, error };
            (State::Compensating(n), vec![retried.into()])
        }
        1 => (State::Failed(n), vec![SagaCompensationFailed { saga, step, error: format!("failed {c}") }.into()]),
        2 if n == 0 => {
            (State::Compensating(BEFORE), vec![StepUndone { saga, step }.into(), requested(saga, BEFORE, true)])
        }
        _ if n == 0 || n == BEFORE => {
            (State::Ended, vec![StepUndone { saga, step }.into(), SagaCompensated { saga }.into()])
        }
        _ => (State::Compensating(n - 1), vec![StepUndone { saga, step }.into(), requested(saga, n - 1, true)]),
    }
}

fn step(n: u8) -> Step {
    match n {
        BEFORE => Step::named("BEFORE"),
        n => Step(Cow::Owned(format!("STEP_{n}"))),
    }
}

fn requested(saga: SagaId, n: u8, compensation: bool) -> SagaEvent {
    StepRequested { saga, step: step(n), compensation, due: Timestamp(n.into()) }.into()
}
