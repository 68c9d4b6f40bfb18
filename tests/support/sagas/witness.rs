//! A log that counts what the owners hand over, and strikes at exactly the record that it was told.

use super::failure::Moment;
use super::run::{Run, Strike};
use async_trait::async_trait;
use futures::future::BoxFuture;
use journal::{Anchor, AppendError, Appender, Draft, Journal, JournalError, Offset, Partition, Receipt, Record};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// The run that is under way, if one is.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Arc<Run>>>>);

impl Slot {
    pub(super) fn set(&self, run: Option<Arc<Run>>) {
        *self.0.lock() = run;
    }

    pub(super) fn run(&self) -> Option<Arc<Run>> {
        self.0.lock().clone()
    }
}

/// Stands before a log. Clones are the same.
#[derive(Clone)]
pub(super) struct Witness {
    pub(super) inner: Arc<dyn Journal>,
    pub(super) slot: Slot,
    /// Told of each record that lands.
    pub(super) news: watch::Sender<()>,
    /// Until then nobody reaches the log.
    pub(super) away: Arc<Mutex<Option<Instant>>>,
}

impl Witness {
    fn reach(&self) -> Result<(), JournalError> {
        match *self.away.lock() {
            Some(until) if Instant::now() < until => {
                if let Some(run) = self.slot.run() {
                    run.meets();
                }
                Err(JournalError::Unavailable("the kit stands before it".into()))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Journal for Witness {
    fn log(&self) -> &str {
        self.inner.log()
    }

    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, JournalError> {
        self.reach()?;
        let inner = self.inner.appender(partition)?;
        Ok(Box::new(WatchedAppender { witness: self.clone(), partition, inner, unanswered: None }))
    }

    async fn read(&self, partition: Partition, from: Offset, records_max: usize) -> Result<Vec<Record>, JournalError> {
        self.reach()?;
        self.inner.read(partition, from, records_max).await
    }

    async fn end(&self, partition: Partition) -> Result<Offset, JournalError> {
        self.reach()?;
        self.inner.end(partition).await
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), JournalError> {
        self.inner.wait_past(partition, offset).await
    }

    async fn anchor(&self, partition: Partition) -> Result<Option<Anchor>, JournalError> {
        self.reach()?;
        self.inner.anchor(partition).await
    }
}

/// What is done at a record.
type Act = BoxFuture<'static, ()>;
type Reply = oneshot::Sender<Result<Offset, AppendError>>;

struct WatchedAppender {
    witness: Witness,
    partition: Partition,
    inner: Box<dyn Appender>,
    /// From the record on that was its owner's last: what comes to nothing, and is never told so.
    unanswered: Option<Vec<Reply>>,
}

impl Appender for WatchedAppender {
    fn append(&mut self, draft: Draft) -> Receipt {
        let (reply, receipt) = Receipt::new();
        if let Some(unanswered) = &mut self.unanswered {
            unanswered.push(reply);
            return receipt;
        }
        if self.witness.reach().is_err() {
            // A reply that is dropped means "unknown".
            return receipt;
        }
        let run = self.witness.slot.run();
        let Some(Strike { moment, is_its_end, act }) = run.and_then(|run| run.sees(self.partition, &draft)) else {
            self.land(draft, reply, None, None);
            return receipt;
        };
        self.unanswered = is_its_end.then(Vec::new);
        match (moment, &mut self.unanswered) {
            (Moment::Before, Some(unanswered)) => {
                unanswered.push(reply);
                tokio::spawn(act);
            }
            (Moment::Before, None) => {
                tokio::spawn(act);
                self.land(draft, reply, None, None);
            }
            (Moment::Unseen, _) => self.land(draft, reply, Some(act), None),
            (Moment::Seen, _) => self.land(draft, reply, None, Some(act)),
        }
        receipt
    }
}

impl WatchedAppender {
    /// Hands it over; when it is durable, does the one thing before its writer is told and the other one after.
    fn land(&mut self, draft: Draft, reply: Reply, before: Option<Act>, after: Option<Act>) {
        let (landing, news) = (self.inner.append(draft), self.witness.news.clone());
        tokio::spawn(async move {
            let landed = landing.await;
            news.send_replace(());
            if let Some(before) = before {
                before.await;
            }
            // Whoever is dead needs no answer.
            let _ = reply.send(landed);
            if let Some(after) = after {
                after.await;
            }
        });
    }
}
