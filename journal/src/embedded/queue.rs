//! What waits to be written, of all appenders: bounded, drained by the one writer.
//!
//! `append` is not async, so a full queue is answered "unknown" at once instead of blocking a worker thread. It is large
//! enough that callers who keep to the chain's own limit of records in flight never meet it.

use crate::chain::VOID_RUN_MAX;
use crate::error::{AppendError, JournalError};
use crate::partition::{Offset, Partition};
use crate::port::{Appender, Receipt};
use crate::record::Draft;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{oneshot, watch};

/// The bytes that may wait; a caller whose records are of ordinary size meets the limit of records first.
const QUEUE_BYTES_MAX: usize = 256 << 20;
/// One commit takes so many records and bytes at most, so that no receipt waits for an unbounded write.
const BATCH_RECORDS_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A record on its way, and who waits for its offset.
#[derive(Debug)]
pub(super) struct Waiting {
    appender: u64,
    pub(super) partition: Partition,
    pub(super) draft: Draft,
    pub(super) reply: oneshot::Sender<Result<Offset, AppendError>>,
}

/// The queue between appenders and the writer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    failure: watch::Sender<Option<String>>,
    appenders: AtomicU64,
    records_max: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(partitions: u32) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            failure: watch::Sender::new(None),
            appenders: AtomicU64::new(0),
            records_max: partitions as usize * usize::try_from(VOID_RUN_MAX).expect("a few thousand"),
        }
    }

    /// All that waits, up to one batch; waits for the first record. `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_RECORDS_MAX
            && bytes < BATCH_BYTES_MAX
            && let Some(waiting) = state.waiting.pop_front()
        {
            bytes += size(&waiting.draft);
            batch.push(waiting);
        }
        state.bytes -= bytes;
        Some(batch)
    }

    /// Takes no more; what waits is still written.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    /// Takes no more, forgets what waits (its receipts say "unknown") and publishes why. The first reason stays.
    pub(super) fn fail(&self, reason: &str) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| reason.to_owned());
            first
        });
        let forgotten = {
            let mut state = self.state.lock();
            state.closed = true;
            state.bytes = 0;
            std::mem::take(&mut state.waiting)
        };
        for waiting in forgotten {
            let _ = waiting.reply.send(Err(AppendError::Unknown(reason.to_owned())));
        }
        self.filled.notify_all();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    pub(super) async fn failed(&self) -> JournalError {
        let mut failure = self.failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await.expect("self holds the sender").clone();
        JournalError::Unavailable(reason.unwrap_or_default().into())
    }

    fn push(&self, waiting: Waiting) {
        let refused = {
            let mut state = self.state.lock();
            if state.closed {
                Some((waiting, "the log is closed".to_owned()))
            } else if state.waiting.len() >= self.records_max || state.bytes >= QUEUE_BYTES_MAX {
                Some((waiting, format!("{} records already wait to be written", state.waiting.len())))
            } else {
                state.bytes += size(&waiting.draft);
                state.waiting.push_back(waiting);
                None
            }
        };
        match refused {
            None => {
                self.filled.notify_one();
            }
            Some((waiting, why)) => {
                let why = self.failure.borrow().clone().unwrap_or(why);
                let _ = waiting.reply.send(Err(AppendError::Unknown(why)));
            }
        }
    }

    fn purge(&self, appender: u64) {
        let mut state = self.state.lock();
        let State { waiting, bytes, .. } = &mut *state;
        waiting.retain(|waiting| {
            let purged = waiting.appender == appender;
            *bytes -= if purged { size(&waiting.draft) } else { 0 };
            !purged
        });
    }
}

fn size(draft: &Draft) -> usize {
    draft.key.len() + draft.value.len()
}

/// One appender's end of the queue. Dropping it purges what the writer has not taken yet.
pub(super) struct QueueAppender {
    queue: Arc<Queue>,
    partition: Partition,
    id: u64,
}

impl QueueAppender {
    pub(super) fn new(queue: Arc<Queue>, partition: Partition) -> Self {
        let id = queue.appenders.fetch_add(1, Ordering::Relaxed);
        Self { queue, partition, id }
    }
}

impl Appender for QueueAppender {
    fn append(&mut self, draft: Draft) -> Receipt {
        let (reply, receipt) = Receipt::new();
        self.queue.push(Waiting { appender: self.id, partition: self.partition, draft, reply });
        receipt
    }
}

impl Drop for QueueAppender {
    fn drop(&mut self) {
        self.queue.purge(self.id);
    }
}
