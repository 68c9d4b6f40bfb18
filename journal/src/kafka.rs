//! The log and its ownership on Kafka: one topic with a partition for each of ours, written by idempotent producers and
//! never in a transaction, read by consumers that belong to no group.
//!
//! What makes two writers safe is the chain alone ([`crate::chain`]); Kafka gives order, durability and offsets without
//! gaps, as long as the topic is neither compacted nor cut, which is checked when it is opened. The group
//! ([`GroupOwnership`]) only assigns.

mod appender;
mod archive;
mod group;
mod looks;
mod record;
mod settings;
mod tail;
mod topics;

pub use group::GroupOwnership;
pub use settings::KafkaOptions;

use crate::chain::{Anchor, genesis};
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::port::{Appender, Journal};
use crate::record::Record;
use appender::Producers;
use archive::Archive;
use async_trait::async_trait;
use looks::Looks;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tail::Tail;
use tokio::time::timeout;

/// How many partitions a log on Kafka gets when nobody says otherwise.
pub const PARTITIONS_DEFAULT: u32 = 64;

const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a read waits for records of which the broker has said that they are there.
const ARRIVE_MAX: Duration = Duration::from_secs(5);
/// A read returns about so many bytes at most.
const READ_BYTES_MAX: usize = 8 << 20;

/// A durable log in a Kafka topic.
///
/// Dropping it lets go of its connections in the background.
pub struct KafkaLog {
    options: KafkaOptions,
    cluster: String,
    partitions: u32,
    tail: Tail,
    looks: Looks,
    archive: Arc<Archive>,
    producers: Producers,
    anchors: Mutex<BTreeMap<Partition, Anchor>>,
}

impl KafkaLog {
    /// Opens the log, or makes its topics if `options.create` says so and they are not there.
    ///
    /// [`JournalError::Unavailable`] if no broker answers: try again. [`JournalError::Unusable`] if the broker is too
    /// old, does not know the credentials, or the topic is missing, unsafe (unless `options.dev`), not ours, or has
    /// another number of partitions than `options.partitions`; nothing was changed then. Blocks for some seconds at
    /// most: call it where that is allowed.
    pub fn open(options: KafkaOptions) -> Result<Self, JournalError> {
        let found = topics::prepare(&options)?;
        let archive = Arc::new(Archive::new(&options));
        let looks = Looks::start(&options, found.partitions)?;
        let ends = looks.blocking_ends()?;
        let tail = Tail::start(&options, &ends)?;
        let log = Self {
            cluster: found.cluster,
            partitions: found.partitions,
            producers: Producers::new(&options, tail.echo()),
            tail,
            looks,
            archive,
            anchors: Mutex::default(),
            options,
        };
        log.check_beginnings(&ends)?;
        Ok(log)
    }

    /// Deletes the log that is there: its topics, and with them everything that was ever acknowledged. Whoever has it open
    /// finds it gone. Idempotent. Blocks for some seconds at most.
    pub fn delete(options: &KafkaOptions) -> Result<(), JournalError> {
        topics::delete(options)
    }

    /// The id of the cluster that the topic is on.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// How it was opened.
    pub fn options(&self) -> &KafkaOptions {
        &self.options
    }

    /// What was noted outside the log, for [`Journal::anchor`].
    pub fn set_anchors(&self, anchors: impl IntoIterator<Item = (Partition, Anchor)>) {
        self.anchors.lock().extend(anchors);
    }

    /// A topic whose first record extends another genesis is another log's.
    fn check_beginnings(&self, ends: &[Offset]) -> Result<(), JournalError> {
        let written = (0..).map(Partition).zip(ends).find(|(_, end)| **end > 0);
        let Some((partition, _)) = written else { return Ok(()) };
        let first = self.archive.read(partition, 0, 1)?;
        let prev = first.first().map(|record| record.draft.prev);
        if prev.is_some_and(|prev| prev != genesis(&self.options.log, partition)) {
            let what = format!("the topic {} holds another log than {}", self.options.topic, self.options.log);
            return Err(JournalError::Unusable(format!("{what}; name the topic of this one, or its keyring")));
        }
        Ok(())
    }

    fn check(&self, partition: Partition) -> Result<(), JournalError> {
        if partition.0 < self.partitions {
            return self.tail.check(partition);
        }
        let what = format!("there is no partition {partition}: the log has {}", self.partitions);
        Err(JournalError::Unusable(what))
    }

    /// Records that are older than what the tail keeps; all of them lie below `until`.
    async fn read_archive(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Vec<Record>, JournalError> {
        let archive = Arc::clone(&self.archive);
        tokio::task::spawn_blocking(move || archive.read(partition, from, until - from))
            .await
            .unwrap_or_else(|error| Err(JournalError::Unavailable(error.into())))
    }
}

#[async_trait]
impl Journal for KafkaLog {
    fn log(&self) -> &str {
        &self.options.log
    }

    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, JournalError> {
        self.check(partition)?;
        Ok(Box::new(self.producers.appender(partition)?))
    }

    async fn read(&self, partition: Partition, from: Offset, records_max: usize) -> Result<Vec<Record>, JournalError> {
        self.check(partition)?;
        if records_max == 0 {
            return Ok(Vec::new());
        }
        if from >= self.tail.next(partition) {
            let end = self.end(partition).await?;
            if from > end {
                let what = format!("the log ends at {end}");
                return Err(JournalError::Diverged { partition, offset: from, what });
            }
            if from == end {
                return Ok(Vec::new());
            }
            let _wanted = self.tail.want(partition);
            if timeout(ARRIVE_MAX, self.tail.passed(partition, from)).await.is_err() {
                self.check(partition)?;
                let what = format!("the record {} has not arrived", Position { partition, offset: from });
                return Err(JournalError::Unavailable(what.into()));
            }
        }
        match self.tail.read(partition, from, records_max) {
            Ok(records) => Ok(records),
            Err(first) => self.read_archive(partition, from, first.min(from.saturating_add(records_max as u64))).await,
        }
    }

    async fn end(&self, partition: Partition) -> Result<Offset, JournalError> {
        self.check(partition)?;
        self.looks.end(partition).await
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), JournalError> {
        self.check(partition)?;
        let _ = timeout(WAIT_MAX, self.tail.passed(partition, offset)).await;
        Ok(())
    }

    async fn anchor(&self, partition: Partition) -> Result<Option<Anchor>, JournalError> {
        self.check(partition)?;
        Ok(self.anchors.lock().get(&partition).copied())
    }
}
