//! What lies further back than the tail keeps: read from the broker by consumers that are each at one place, and stay
//! there for whoever reads on.

use super::READ_BYTES_MAX;
use super::record;
use super::settings::{KafkaOptions, Said, unusable};
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::record::Record;
use parking_lot::{Condvar, Mutex};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Consumers at one time. Whoever comes when all are reading waits.
pub(super) const LANES_MAX: usize = 8;
/// The broker holds no question back for long: what is asked for is there.
const FETCH_WAIT: Duration = Duration::from_millis(10);
/// How long the first record of a read is waited for.
const FIRST_MAX: Duration = Duration::from_secs(10);
/// A read that has some records waits so long for more, which are there as well, and then returns what it has.
const MORE_MAX: Duration = Duration::from_millis(500);
/// A consumer that nobody used for so long is let go.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Archive {
    options: KafkaOptions,
    lanes: Mutex<Lanes>,
    freed: Condvar,
}

#[derive(Default)]
struct Lanes {
    idle: Vec<Lane>,
    reading: usize,
    /// Whether a thread waits to let go of those that nobody uses.
    tidying: bool,
}

/// One consumer and where it is.
struct Lane {
    consumer: BaseConsumer<Said>,
    said: Said,
    at: Option<(Partition, Offset)>,
    used: Instant,
}

impl Archive {
    pub(super) fn new(options: &KafkaOptions) -> Self {
        Self { options: options.clone(), lanes: Mutex::default(), freed: Condvar::new() }
    }

    /// The records from there on, at most so many and about 8 MiB, at least one. All of them are in the log already.
    /// Blocks.
    pub(super) fn read(
        self: &Arc<Self>,
        partition: Partition,
        from: Offset,
        most: u64,
    ) -> Result<Vec<Record>, JournalError> {
        let mut lane = self.take((partition, from))?;
        let read = lane.read(&self.options.topic, partition, from, most);
        self.give_back(lane, read.is_ok());
        read
    }

    /// The lane that is there, or else any.
    fn take(&self, place: (Partition, Offset)) -> Result<Lane, JournalError> {
        let mut lanes = self.lanes.lock();
        loop {
            if let Some(there) = lanes.idle.iter().position(|lane| lane.at == Some(place)) {
                lanes.reading += 1;
                return Ok(lanes.idle.swap_remove(there));
            }
            if lanes.reading + lanes.idle.len() < LANES_MAX {
                lanes.reading += 1;
                drop(lanes);
                return Lane::new(&self.options).inspect_err(|_| self.gone());
            }
            // The one that was left alone for longest.
            let oldest = (0..lanes.idle.len()).min_by_key(|n| lanes.idle[*n].used);
            if let Some(oldest) = oldest {
                lanes.reading += 1;
                return Ok(lanes.idle.swap_remove(oldest));
            }
            self.freed.wait(&mut lanes);
        }
    }

    fn gone(&self) {
        self.lanes.lock().reading -= 1;
        self.freed.notify_one();
    }

    fn give_back(self: &Arc<Self>, mut lane: Lane, keep: bool) {
        lane.used = Instant::now();
        let mut lanes = self.lanes.lock();
        lanes.reading -= 1;
        if keep {
            lanes.idle.push(lane);
            if !std::mem::replace(&mut lanes.tidying, true) {
                let archive = Arc::downgrade(self);
                thread::spawn(move || tidy(&archive));
            }
        } else {
            close(vec![lane]);
        }
        drop(lanes);
        self.freed.notify_one();
    }
}

/// Lets go of what nobody uses, until there is nothing left: a consumer that is left alone keeps asking the broker.
fn tidy(archive: &Weak<Archive>) {
    loop {
        thread::sleep(IDLE_MAX);
        let Some(archive) = archive.upgrade() else { return };
        let mut lanes = archive.lanes.lock();
        close(lanes.idle.extract_if(.., |idle| idle.used.elapsed() >= IDLE_MAX).collect());
        if lanes.idle.is_empty() {
            lanes.tidying = false;
            return;
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        close(std::mem::take(&mut self.lanes.get_mut().idle));
    }
}

/// Closing a consumer waits for its threads.
fn close(lanes: Vec<Lane>) {
    if !lanes.is_empty() {
        thread::spawn(move || drop(lanes));
    }
}

/// Whether the bytes of a record are not those that were written: the checksum says so, to the broker or to us.
pub(super) fn is_damage(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage | RDKafkaErrorCode::BadCompression)
    )
}

impl Lane {
    fn new(options: &KafkaOptions) -> Result<Self, JournalError> {
        let said = Said::default();
        let consumer = BaseConsumer::from_config_and_context(&options.reader(FETCH_WAIT), said.clone());
        let consumer = consumer.map_err(|error| unusable(&error))?;
        Ok(Self { consumer, said, at: None, used: Instant::now() })
    }

    fn go_to(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), JournalError> {
        if self.at == Some((partition, from)) {
            return Ok(());
        }
        let number = i32::try_from(partition.0).expect("Kafka counts partitions so");
        let offset = rdkafka::Offset::Offset(i64::try_from(from).expect("Kafka counts records so"));
        let mut list = TopicPartitionList::with_capacity(1);
        let assigned = list.add_partition_offset(topic, number, offset).and_then(|()| self.consumer.assign(&list));
        assigned.map_err(|error| self.said.unavailable(&error))?;
        self.at = Some((partition, from));
        Ok(())
    }

    fn read(
        &mut self,
        topic: &str,
        partition: Partition,
        from: Offset,
        most: u64,
    ) -> Result<Vec<Record>, JournalError> {
        self.go_to(topic, partition, from)?;
        let until = Instant::now() + FIRST_MAX;
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut next = from;
        while (records.len() as u64) < most && bytes < READ_BYTES_MAX {
            let wait = if records.is_empty() { until.saturating_duration_since(Instant::now()) } else { MORE_MAX };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let record = record::decode(&message)?;
                    if record.offset != next {
                        let what = format!("expected the record at {next}");
                        return Err(JournalError::Diverged { partition, offset: record.offset, what });
                    }
                    next += 1;
                    bytes += record.draft.key.len() + record.draft.value.len();
                    records.push(record);
                }
                Some(Err(error)) if super::looks::says_that_the_log_moved(&error) => {
                    let what = "the log does not hold this record any more".to_owned();
                    return Err(JournalError::Diverged { partition, offset: next, what });
                }
                Some(Err(error)) if is_damage(&error) => {
                    let position = Position { partition, offset: next };
                    return Err(JournalError::Damaged {
                        position,
                        what: format!("Kafka holds what cannot be read: {error}"),
                    });
                }
                // What may pass: the broker is away, its connection was lost.
                Some(Err(error)) => tracing::debug!("reading back: {error}"),
                None if !records.is_empty() => break,
                None if Instant::now() >= until => {
                    let what = format!("nothing came from partition {partition} at {from}, although it is there");
                    return Err(JournalError::Unavailable(what.into()));
                }
                None => {}
            }
        }
        self.at = Some((partition, next));
        Ok(records)
    }
}
