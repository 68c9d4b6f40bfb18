//! What a runner shows of itself while it runs: how far each read model is, what it is doing, when it last moved.

use crate::runner::Request;
use events::Timestamp;
use journal::{Offset, Partition};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

/// How far a read model is in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The first offset that is not in the read model, nor known to concern nobody.
    pub next: Offset,
    /// Whether the runner has ended: it comes no further.
    pub stopped: bool,
}

/// What a runner is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunnerState {
    /// It has read nothing yet.
    Starting,
    /// It has not seen the log's end yet, or fell behind it.
    CatchingUp,
    /// It has read to the log's end and waits for more.
    Following,
    /// Something does not answer; it tries again until it does.
    Retrying {
        /// What came instead of an answer.
        error: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// It has ended: shut down without an error, for good with one.
    Stopped {
        /// Why it cannot go on.
        error: Option<String>,
    },
}

/// A runner as operators see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Whose.
    pub partition: Partition,
    /// What it is doing.
    pub state: RunnerState,
    /// When it last moved: at least every few seconds unless it hangs or is retrying.
    pub heartbeat: Timestamp,
}

/// Where a runner leaves word.
pub(crate) struct Board {
    /// For each read model, in the order of registration.
    pub(crate) progress: Vec<watch::Sender<Progress>>,
    pub(crate) requests: mpsc::Sender<Request>,
    health: Mutex<Health>,
}

impl Board {
    pub(crate) fn new(
        partition: Partition,
        next: impl Iterator<Item = Offset>,
        requests: mpsc::Sender<Request>,
        now: Timestamp,
    ) -> Self {
        let progress = next.map(|next| watch::Sender::new(Progress { next, stopped: false })).collect();
        let health = Mutex::new(Health { partition, state: RunnerState::Starting, heartbeat: now });
        Self { progress, requests, health }
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    pub(crate) fn show(&self, state: RunnerState, now: Timestamp) {
        let mut health = self.health.lock();
        (health.state, health.heartbeat) = (state, now);
    }

    pub(crate) fn passed(&self, model: usize, next: Offset) {
        self.progress[model].send_modify(|progress| progress.next = next);
    }

    /// Wakes everybody who waits for a runner that has ended.
    pub(crate) fn stopped(&self) {
        for progress in &self.progress {
            progress.send_modify(|progress| progress.stopped = true);
        }
    }
}
