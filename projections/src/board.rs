//! What a runner shows of itself while it runs: what each read model is known to have stored and so how far it is, what
//! the runner is doing, when it last moved. Nobody but the runner asks the read models, which may live in a server.

use crate::checkpoint::Checkpoint;
use crate::runner::Request;
use events::Timestamp;
use journal::{Offset, Partition};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};

/// How far a read model is in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The first offset that is not in the read model, nor known to concern nobody; 0 until the runner has asked the read
    /// model.
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
    /// Another node feeds the read models, and it shows how far that has come.
    LookingOn,
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

impl RunnerState {
    /// Every name, for a metric.
    pub const NAMES: [&str; 6] = ["starting", "catching_up", "following", "looking_on", "retrying", "stopped"];

    /// In short.
    pub fn name(&self) -> &'static str {
        let number = match self {
            Self::Starting => 0,
            Self::CatchingUp => 1,
            Self::Following => 2,
            Self::LookingOn => 3,
            Self::Retrying { .. } => 4,
            Self::Stopped { .. } => 5,
        };
        Self::NAMES[number]
    }
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
    progress: Vec<watch::Sender<Progress>>,
    /// Told when somebody begins to wait.
    wanted: Notify,
    pub(crate) requests: mpsc::Sender<Request>,
    /// For each read model what it has stored; `None` if that is nothing, or not known yet.
    stored: Mutex<Vec<Option<Arc<Checkpoint>>>>,
    health: Mutex<Health>,
    /// As far as the log was read, and found to be as it must be.
    read: Mutex<Option<journal::Checkpoint>>,
}

impl Board {
    pub(crate) fn new(partition: Partition, models: usize, requests: mpsc::Sender<Request>, now: Timestamp) -> Self {
        let beginning = || watch::Sender::new(Progress { next: 0, stopped: false });
        let progress = std::iter::repeat_with(beginning).take(models).collect();
        let stored = Mutex::new(vec![None; models]);
        let health = Mutex::new(Health { partition, state: RunnerState::Starting, heartbeat: now });
        Self { progress, wanted: Notify::new(), requests, stored, health, read: Mutex::default() }
    }

    /// As far as the log was read here; `None` if nothing was yet.
    pub(crate) fn read(&self) -> Option<journal::Checkpoint> {
        *self.read.lock()
    }

    pub(crate) fn note_read(&self, at: journal::Checkpoint) {
        *self.read.lock() = Some(at);
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    pub(crate) fn show(&self, state: RunnerState, now: Timestamp) {
        let mut health = self.health.lock();
        (health.state, health.heartbeat) = (state, now);
    }

    /// How far a read model is, as it changes, for whoever waits for it.
    pub(crate) fn watch(&self, model: usize) -> watch::Receiver<Progress> {
        let progress = self.progress[model].subscribe();
        self.wanted.notify_one();
        progress
    }

    /// How far a read model is.
    pub(crate) fn progress(&self, model: usize) -> Progress {
        *self.progress[model].borrow()
    }

    /// Whether somebody waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.progress.iter().any(|progress| progress.receiver_count() > 0)
    }

    /// Returns when somebody begins to wait, or has begun since it was asked before.
    pub(crate) async fn awaited(&self) {
        self.wanted.notified().await;
    }

    /// What a read model is known to have stored.
    pub(crate) fn stored(&self, model: usize) -> Option<Arc<Checkpoint>> {
        self.stored.lock()[model].clone()
    }

    /// Notes what a read model has stored.
    pub(crate) fn store(&self, model: usize, checkpoint: Arc<Checkpoint>) {
        let next = checkpoint.at.next;
        // The markers first: whoever sees that a place is passed must see which keys stopped before it.
        self.stored.lock()[model] = Some(checkpoint);
        self.progress[model].send_modify(|progress| progress.next = next);
    }

    /// Wakes everybody who waits for a runner that has ended.
    pub(crate) fn stop(&self) {
        for progress in &self.progress {
            progress.send_modify(|progress| progress.stopped = true);
        }
    }
}
