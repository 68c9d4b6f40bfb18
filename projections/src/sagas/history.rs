//! What happened to a saga, event by event: how it began and how it goes now, without the middle if that is long.

use super::names::Names;
use events::{SagaEvent, Timestamp, UserId};
use journal::Position;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many events of a saga are kept: half of them the first ones, half the newest. A saga of many parts or many
/// attempts has more.
pub const HISTORY_MAX: usize = 500;

/// The events of a saga, oldest first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    first: Vec<Happened>,
    newest: VecDeque<Happened>,
    left_out: u64,
}

/// One event of a saga.
#[derive(Clone, PartialEq, Debug)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// Where it stands in the log.
    pub position: Position,
    /// Its wire name.
    pub event: Arc<str>,
    /// The step that it is about, if it is about one.
    pub step: Option<Arc<str>>,
    /// Whether it is about undoing the step.
    pub compensation: bool,
    /// An error, a reason or how far it has come.
    pub detail: Option<Arc<str>>,
    /// Which operator ordered it; `None` also for whoever held the installation's admin token.
    pub by: Option<UserId>,
}

impl History {
    /// The events that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Happened> {
        self.first.iter().chain(&self.newest)
    }

    /// One of which these are kept, and so many are left out.
    #[cfg(feature = "servers")]
    pub(super) fn kept(mut events: Vec<Happened>, left_out: u64) -> Self {
        let newest = events.split_off(events.len().min(HISTORY_MAX / 2)).into();
        Self { first: events, newest, left_out }
    }

    /// How many events are left out between the first and the newest [`HISTORY_MAX`] / 2.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn push(&mut self, happened: Happened) {
        if self.first.len() < HISTORY_MAX / 2 {
            return self.first.push(happened);
        }
        if self.newest.len() == HISTORY_MAX / 2 {
            self.newest.pop_front();
            self.left_out += 1;
        }
        self.newest.push_back(happened);
    }
}

impl Happened {
    pub(super) fn of(saga: &SagaEvent, event: &str, at: Timestamp, position: Position, names: &mut Names) -> Self {
        let (step, compensation, detail) = match saga {
            SagaEvent::StepRequested(e) => (Some(&e.step), e.compensation, None),
            SagaEvent::StepRetried(e) => (Some(&e.step), e.compensation, Some(&e.error)),
            SagaEvent::StepAdvanced(e) => (Some(&e.step), false, Some(&e.progress)),
            SagaEvent::StepCompleted(e) => (Some(&e.step), false, None),
            SagaEvent::StepRefused(e) => (Some(&e.step), false, Some(&e.reason)),
            SagaEvent::StepUndone(e) => (Some(&e.step), true, None),
            SagaEvent::Compensating(e) => (None, false, Some(&e.reason)),
            SagaEvent::CompensationFailed(e) => (Some(&e.step), true, Some(&e.error)),
            SagaEvent::RetryOrdered(e) => (None, false, Some(&e.reason)),
            SagaEvent::CompensationOrdered(e) => (None, false, Some(&e.reason)),
            SagaEvent::Started(_) | SagaEvent::Completed(_) | SagaEvent::Compensated(_) => (None, false, None),
        };
        let by = match saga {
            SagaEvent::RetryOrdered(e) => e.by,
            SagaEvent::CompensationOrdered(e) => e.by,
            _ => None,
        };
        let step = step.map(|step| names.shared(&step.0));
        let event = names.shared(event);
        Self { at, position, event, step, compensation, detail: detail.map(|text| text.as_str().into()), by }
    }
}
