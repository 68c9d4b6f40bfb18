//! The one writer: whatever queued while the last `fdatasync` ran becomes one commit.
//!
//! The order is what makes it safe: the records are durable, then the anchors are written, then the new end is published
//! and receipts are answered. After a failure nothing is written any more: what an `fsync` has lost once, the next one
//! reports as done.

use super::anchor_of;
use super::anchors::Anchors;
use super::queue::{Queue, Waiting};
use super::store::{KEY_BYTES_MAX, Store};
use crate::chain::{Anchor, Chain};
use crate::error::{AppendError, JournalError};
use crate::partition::{Offset, Partition};
use crate::record::Draft;
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How old the anchors on the disk may be. They need no `fsync` of their own: written after the records are durable,
/// whatever version survives is never ahead of the log.
const ANCHORS_SYNC: Duration = Duration::from_secs(1);

/// The threads behind a log. Dropping it writes what is queued and waits for them.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    stop: Arc<Stop>,
    writing: Option<JoinHandle<()>>,
    keeping: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Writer {
    pub(super) fn start(
        queue: Arc<Queue>,
        store: Arc<Store>,
        anchors: Anchors,
        chains: Vec<Chain>,
        published: Arc<[watch::Sender<Anchor>]>,
    ) -> Result<Self, JournalError> {
        let unavailable = |error: std::io::Error| JournalError::Unavailable(error.into());
        let anchors = Arc::new(anchors);
        let stop = Arc::<Stop>::default();
        let keeping = thread::Builder::new().name("log-keeper".to_owned()).spawn({
            let (queue, store, anchors, stop) =
                (Arc::clone(&queue), Arc::clone(&store), Arc::clone(&anchors), Arc::clone(&stop));
            move || keep(&queue, &store, &anchors, &stop)
        });
        let keeping = keeping.map_err(unavailable)?;
        let mut writer = Self { queue: Arc::clone(&queue), stop, writing: None, keeping: Some(keeping) };
        let mut writing = Writing { store, anchors, chains, published };
        let spawned = thread::Builder::new().name("log-writer".to_owned()).spawn(move || writing.run(&queue));
        writer.writing = Some(spawned.map_err(unavailable)?);
        Ok(writer)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writing) = self.writing.take()
            // A store that has given up can hold its caller for ever; the process is about to stop then.
            && (writing.is_finished() || !self.queue.has_failed())
        {
            let _ = writing.join();
        }
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_all();
        if let Some(keeping) = self.keeping.take() {
            let _ = keeping.join();
        }
    }
}

struct Writing {
    store: Arc<Store>,
    anchors: Arc<Anchors>,
    chains: Vec<Chain>,
    published: Arc<[watch::Sender<Anchor>]>,
}

type Answer = (oneshot::Sender<Result<Offset, AppendError>>, Offset);

impl Writing {
    fn run(&mut self, queue: &Queue) {
        while let Some(batch) = queue.take() {
            let (records, answers) = self.place(batch);
            // The store may panic on what it finds on the disk; the receipts must be answered all the same.
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit(&records)));
            match committed.unwrap_or_else(|_| Err(JournalError::Unavailable("the store panicked".into()))) {
                Ok(()) => {
                    self.publish();
                    answers.into_iter().for_each(|(reply, offset)| drop(reply.send(Ok(offset))));
                }
                Err(error) => {
                    let reason = format!(
                        "writing to {} failed: {error}; free space or mend the disk, then start again, \
                                          which keeps all that was acknowledged",
                        self.store.path().display()
                    );
                    tracing::error!("{reason}");
                    // A store that is closed writes what it has left in its buffer, and half a commit would become a
                    // whole one that nobody has synced. So it stays open until the process ends.
                    std::mem::forget(Arc::clone(&self.store));
                    queue.fail(&reason);
                    for (reply, _) in answers {
                        let _ = reply.send(Err(AppendError::Unknown(reason.clone())));
                    }
                    return;
                }
            }
        }
    }

    /// Gives each record its offset. What no reader could go past is not written: bytes that do not match their chain,
    /// and more void records in a row than a reader bears.
    fn place(&mut self, batch: Vec<Waiting>) -> (Vec<(Partition, Offset, Draft)>, Vec<Answer>) {
        let mut records = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for Waiting { partition, draft, reply, .. } in batch {
            if draft.key.len() > KEY_BYTES_MAX {
                let _ = reply.send(Err(AppendError::Unknown("not written: its key is too long".to_owned())));
                continue;
            }
            let chain = &mut self.chains[partition.0 as usize];
            let before = chain.clone();
            let record = draft.at(before.next());
            match chain.admit(&record) {
                Ok(_) => {
                    answers.push((reply, record.offset));
                    records.push((partition, record.offset, record.draft));
                }
                Err(error) => {
                    *chain = before;
                    let _ = reply.send(Err(AppendError::Unknown(format!("not written: {error}"))));
                }
            }
        }
        (records, answers)
    }

    fn commit(&self, records: &[(Partition, Offset, Draft)]) -> Result<(), JournalError> {
        self.store.append(records)?;
        self.anchors.write(self.chains.iter().map(anchor_of))
    }

    fn publish(&self) {
        for (published, chain) in self.published.iter().zip(&self.chains) {
            let anchor = anchor_of(chain);
            published.send_if_modified(|published| std::mem::replace(published, anchor) != anchor);
        }
    }
}

/// Brings the anchors to the disk about once a second, and notices when the store has given up in the background: a
/// writer that it then holds back for ever could not tell.
fn keep(queue: &Queue, store: &Store, anchors: &Anchors, stop: &Stop) {
    loop {
        let stopped = {
            let mut stopped = stop.stopped.lock();
            if !*stopped {
                stop.changed.wait_for(&mut stopped, ANCHORS_SYNC);
            }
            *stopped
        };
        if let Err(error) = anchors.sync().and_then(|()| store.check_alive()) {
            // First, since whatever is queued until then is still written.
            queue.fail(&error.to_string());
            tracing::error!("keeping {} failed: {error}", store.path().display());
        }
        if stopped {
            return;
        }
    }
}
