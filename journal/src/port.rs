//! The port to the durable log, as a specification. `tests/contract` runs it over every implementation.

use crate::chain::Anchor;
use crate::error::{AppendError, JournalError};
use crate::partition::{Offset, Partition};
use crate::record::{Draft, Record};
use async_trait::async_trait;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A log of a fixed number of partitions, each an append-only sequence of records.
///
/// **Order.** Records of one appender keep their order. Records of several appenders to one partition interleave as they
/// arrive; the journal takes them all, whether or not they extend the head: the chain rule judges, not the store.
///
/// **Durability.** A record whose receipt holds an offset survives the crash of every process (and of the machine, as
/// far as the store's own setting goes: one `fdatasync` embedded, `acks=all` on Kafka). Its offset and its bytes never
/// change. A record that a `read` has returned is as durable as one with a receipt.
///
/// **Unknown.** A receipt that fails says nothing: the record may be in the log, may come later, or never. When one
/// record of an appender is lost, later ones of the same appender may still arrive; then they do not extend the head.
///
/// **Offsets** count from 0 without gaps.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The name that the genesis of each partition is made of; no two logs share it.
    fn log(&self) -> &str;

    /// How many partitions there are; fixed when the log is created.
    fn partitions(&self) -> u32;

    /// A fresh way to append to a partition. What an earlier appender has in flight is not recalled: it may still
    /// arrive, before or after what this one appends.
    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, JournalError>;

    /// The records from `from` on, at most `records_max` and about 8 MiB of them, without waiting: empty at the end.
    ///
    /// At least one record unless `from` is the end or `records_max` is 0. [`JournalError::Diverged`] if `from` lies past
    /// the end: the log is shorter than it was. Never a record that [`Journal::end`] would not count yet.
    async fn read(&self, partition: Partition, from: Offset, records_max: usize) -> Result<Vec<Record>, JournalError>;

    /// The offset that the next record will get, as it was at some moment after the call began: every record that
    /// anybody had a receipt for before the call lies below it. This is the look that makes a refusal true.
    async fn end(&self, partition: Partition) -> Result<Offset, JournalError>;

    /// Returns when the end lies past `offset`, or after a while (at most a second) with nothing new; the caller reads
    /// again in both cases. It may return early.
    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), JournalError>;

    /// What is known about the partition from outside the log, if anything: never more than the log held when it was
    /// noted. A log that is shorter, or has another head there, is damaged.
    async fn anchor(&self, partition: Partition) -> Result<Option<Anchor>, JournalError>;
}

/// One writer's way into one partition. Dropping it purges what it can; what it cannot may still arrive.
pub trait Appender: Send {
    /// Hands the record over and returns at once, never blocking; the caller bounds how many receipts it leaves open.
    /// What an implementation has no room for, or will not write because no reader could go past it, is "unknown" at
    /// once: like any other lost record, it voids what follows it.
    fn append(&mut self, draft: Draft) -> Receipt;
}

/// The answer to an append, in time: the record's offset, once it is durable.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Offset, AppendError>>);

impl Receipt {
    /// A receipt and the end at which it is filled in. A sender that is dropped means "unknown".
    pub fn new() -> (oneshot::Sender<Result<Offset, AppendError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }
}

impl Future for Receipt {
    type Output = Result<Offset, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(AppendError::Unknown("the writer is gone".to_owned()))))
    }
}
