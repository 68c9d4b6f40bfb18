//! The end of every partition, as it grows: one consumer and one thread follow all of them and keep the newest records
//! in memory, where readers that keep up find them.
//!
//! What this node has written itself comes from the receipts ([`Echo`]), in order, as soon as it is acknowledged; while a
//! partition is written much, the broker is not asked for it. Whatever does not follow what is kept is left to the
//! broker, which says what stands in between.
//!
//! It never waits for a reader: who falls behind what is kept reads from the broker ([`super::archive`]). A partition
//! that does not go on where it ended is marked, and from then on every use of it fails: nothing is skipped.

use super::record;
use super::settings::{ASK_MAX, KafkaOptions, Said, met, unusable};
use super::{READ_BYTES_MAX, looks};
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::record::Record;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, TopicPartitionList};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What is kept of all partitions together, in bytes; of each at least [`KEPT_MIN`].
const KEPT_MAX: usize = 128 << 20;
const KEPT_MIN: usize = 2 << 20;
/// How long the broker holds a question for new records back.
const FETCH_WAIT: Duration = Duration::from_millis(100);
/// How often the thread looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(100);
/// A partition of which so many records were echoed since the last look is not asked for; one of which none was is.
const ECHOED_MIN: u64 = 16;
/// After so many looks at which somebody waited and nothing came, all partitions are asked for anew: about two seconds.
const STUCK_LOOKS: u32 = 20;
/// How long a broker that was away may take to say who leads the partitions, before it is asked again.
const LEADERS_MAX: Duration = Duration::from_millis(500);
/// Records that are taken over before readers are woken.
const BATCH_MAX: usize = 1_024;

/// See the module.
pub(super) struct Tail {
    shared: Arc<Shared>,
}

struct Shared {
    partitions: Vec<Followed>,
    kept_max: usize,
    stop: AtomicBool,
}

pub(super) struct Followed {
    kept: Mutex<Kept>,
    /// Readers that know of more than has arrived.
    waiting: AtomicUsize,
    next: watch::Sender<Offset>,
    failure: Mutex<Option<Failure>>,
}

/// A reader that waits.
pub(super) struct Wanted<'a>(&'a Followed);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The newest records, without gaps.
struct Kept {
    first: Offset,
    records: VecDeque<Record>,
    bytes: usize,
    /// Those that came from receipts since the last look.
    echoed: u64,
}

/// How the broker is asked.
struct Asking {
    /// Partitions that it is not asked for.
    paused: BTreeSet<i32>,
    /// For each partition where it stood at the last look, and at how many looks it has stood there and was waited for.
    looks: Vec<(Offset, u32)>,
    /// It is not asked for anything until it says that every partition has a leader. To a question for several partitions
    /// of which only some have one, as when a broker has just come back, the client library reads past the end of the
    /// answer (confluentinc/librdkafka#5280).
    is_away: bool,
}

impl Asking {
    fn new(partitions: usize) -> Self {
        Self { paused: BTreeSet::new(), looks: vec![(0, 0); partitions], is_away: false }
    }
}

/// Takes over what this node has written.
pub(super) struct Echo(Arc<Shared>);

impl Echo {
    /// A record was acknowledged.
    pub(super) fn landed(&self, partition: i32, record: Record) {
        let Some(followed) = usize::try_from(partition).ok().and_then(|number| self.0.partitions.get(number)) else {
            return;
        };
        let mut kept = followed.kept.lock();
        if record.offset != kept.next() || followed.failure.lock().is_some() {
            return;
        }
        kept.push(record, self.0.kept_max);
        kept.echoed += 1;
        let next = kept.next();
        drop(kept);
        followed.next.send_modify(|told| *told = next.max(*told));
    }
}

/// Why a partition can no longer be followed.
#[derive(Clone)]
enum Failure {
    Diverged(Offset, String),
    Damaged(Position, String),
}

impl Tail {
    /// Follows every partition from these ends on.
    pub(super) fn start(options: &KafkaOptions, ends: &[Offset]) -> Result<Self, JournalError> {
        let said = Said::default();
        let consumer = BaseConsumer::from_config_and_context(&options.reader(FETCH_WAIT), said);
        let consumer: BaseConsumer<Said> = consumer.map_err(|error| unusable(&error))?;
        let mut list = TopicPartitionList::with_capacity(ends.len());
        for (end, partition) in ends.iter().zip(0..) {
            let offset = rdkafka::Offset::Offset(i64::try_from(*end).expect("Kafka counts so"));
            list.add_partition_offset(&options.topic, partition, offset).map_err(|error| unusable(&error))?;
        }
        consumer.assign(&list).map_err(|error| unusable(&error))?;
        let followed = |end: &Offset| Followed {
            kept: Mutex::new(Kept { first: *end, records: VecDeque::new(), bytes: 0, echoed: 0 }),
            waiting: AtomicUsize::new(0),
            next: watch::Sender::new(*end),
            failure: Mutex::default(),
        };
        let shared = Arc::new(Shared {
            partitions: ends.iter().map(followed).collect(),
            kept_max: (KEPT_MAX / ends.len().max(1)).max(KEPT_MIN),
            stop: AtomicBool::new(false),
        });
        let following = Arc::clone(&shared);
        thread::Builder::new()
            .name("kafka-tail".to_owned())
            .spawn({
                let topic = options.topic.clone();
                move || following.follow(&consumer, &topic)
            })
            .map_err(|error| JournalError::Unavailable(error.into()))?;
        Ok(Self { shared })
    }

    /// For what this node writes.
    pub(super) fn echo(&self) -> Echo {
        Echo(Arc::clone(&self.shared))
    }

    /// The log is known to go on beyond what has arrived: until this is dropped the broker is asked for it.
    pub(super) fn want(&self, partition: Partition) -> Wanted<'_> {
        let followed = self.at(partition);
        followed.waiting.fetch_add(1, Ordering::Relaxed);
        Wanted(followed)
    }

    /// Whether the partition can be used.
    pub(super) fn check(&self, partition: Partition) -> Result<(), JournalError> {
        match self.at(partition).failure.lock().clone() {
            None => Ok(()),
            Some(Failure::Diverged(offset, what)) => Err(JournalError::Diverged { partition, offset, what }),
            Some(Failure::Damaged(position, what)) => Err(JournalError::Damaged { position, what }),
        }
    }

    /// The first offset that has not arrived here.
    pub(super) fn next(&self, partition: Partition) -> Offset {
        *self.at(partition).next.borrow()
    }

    /// Returns when the record has arrived, or the partition has failed.
    pub(super) async fn passed(&self, partition: Partition, offset: Offset) {
        let followed = self.at(partition);
        let mut next = followed.next.subscribe();
        let _ = next.wait_for(|next| *next > offset || followed.failure.lock().is_some()).await;
    }

    /// The records from there on, if they are kept, or the first offset that is.
    pub(super) fn read(&self, partition: Partition, from: Offset, most: usize) -> Result<Vec<Record>, Offset> {
        let kept = self.at(partition).kept.lock();
        let Some(skipped) = from.checked_sub(kept.first) else { return Err(kept.first) };
        let mut bytes = 0;
        let within = |record: &&Record| {
            let before = bytes;
            bytes += size(record);
            before < READ_BYTES_MAX
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(kept.records.iter().skip(skipped).take(most).take_while(within).cloned().collect())
    }

    fn at(&self, partition: Partition) -> &Followed {
        &self.shared.partitions[partition.0 as usize]
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn follow(&self, consumer: &BaseConsumer<Said>, topic: &str) {
        let mut moved = BTreeSet::new();
        let (mut asked, mut asking) = (Instant::now(), Asking::new(self.partitions.len()));
        while !self.stop.load(Ordering::Relaxed) {
            let mut polled = consumer.poll(POLL);
            while let Some(found) = polled {
                match found {
                    Ok(message) => drop(moved.insert(self.take(&message))),
                    Err(error) if is_lost(&error) => leave_alone(consumer, &error, &mut asking),
                    Err(error) => self.look_after(consumer, &error),
                }
                polled = if moved.len() < BATCH_MAX { consumer.poll(Duration::ZERO) } else { None };
            }
            for partition in std::mem::take(&mut moved) {
                self.publish(partition);
            }
            if asked.elapsed() >= POLL {
                asked = Instant::now();
                if asking.is_away {
                    self.ask_who_leads(consumer, topic, &mut asking);
                } else if let Err(error) = self.ask_for_others(consumer, topic, &mut asking) {
                    met("following the log", &error);
                }
            }
        }
    }

    /// Asks the broker for the partitions that others write, or nobody, and not for those that this node does. A partition
    /// of which nothing comes although somebody waits is asked for anew, with all others: after an error the client
    /// library may have stopped, and says so once.
    fn ask_for_others(
        &self,
        consumer: &BaseConsumer<Said>,
        topic: &str,
        asking: &mut Asking,
    ) -> Result<(), KafkaError> {
        let mut stuck = false;
        for (followed, number) in self.partitions.iter().zip(0..) {
            let (echoed, next) = {
                let mut kept = followed.kept.lock();
                (std::mem::take(&mut kept.echoed), kept.next())
            };
            let waited_for = followed.waiting.load(Ordering::Relaxed) > 0;
            let looks = &mut asking.looks[usize::try_from(number).unwrap_or_default()];
            *looks = if waited_for && looks.0 == next { (next, looks.1 + 1) } else { (next, 0) };
            stuck |= looks.1 >= STUCK_LOOKS;
            let mut one = TopicPartitionList::with_capacity(1);
            one.add_partition_offset(topic, number, offset(next))?;
            let is_paused = asking.paused.contains(&number);
            if is_paused && (echoed == 0 || waited_for) {
                for sought in consumer.seek_partitions(one.clone(), ASK_MAX)?.elements() {
                    sought.error()?;
                }
                consumer.resume(&one)?;
                asking.paused.remove(&number);
            } else if !is_paused && !waited_for && echoed >= ECHOED_MIN {
                consumer.pause(&one)?;
                asking.paused.insert(number);
            }
        }
        if stuck {
            tracing::info!("nothing comes although the log goes on: asking for all partitions anew");
            self.ask_anew(consumer, topic, asking)?;
        }
        Ok(())
    }

    /// Asks for all partitions again when a broker that was away has a leader for each.
    fn ask_who_leads(&self, consumer: &BaseConsumer<Said>, topic: &str, asking: &mut Asking) {
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), LEADERS_MAX) else { return };
        let led = metadata.topics().iter().flat_map(|topic| topic.partitions()).filter(|it| it.leader() >= 0).count();
        if led < self.partitions.len() {
            return;
        }
        tracing::info!("the broker is back: asking for all partitions where they stood");
        if let Err(error) = self.ask_anew(consumer, topic, asking) {
            met("following the log", &error);
        }
    }

    fn ask_anew(&self, consumer: &BaseConsumer<Said>, topic: &str, asking: &mut Asking) -> Result<(), KafkaError> {
        let mut all = TopicPartitionList::with_capacity(self.partitions.len());
        for (followed, number) in self.partitions.iter().zip(0..) {
            all.add_partition_offset(topic, number, offset(followed.kept.lock().next()))?;
        }
        consumer.assign(&all)?;
        consumer.resume(&all)?;
        *asking = Asking::new(self.partitions.len());
        Ok(())
    }

    /// Takes a record over; returns the number of its partition.
    fn take(&self, message: &BorrowedMessage<'_>) -> usize {
        let number = usize::try_from(message.partition()).unwrap_or_default();
        let followed = &self.partitions[number];
        if followed.failure.lock().is_some() {
            return number;
        }
        match record::decode(message) {
            Ok(record) => {
                let mut kept = followed.kept.lock();
                let next = kept.next();
                if record.offset == next {
                    kept.push(record, self.kept_max);
                    return number;
                }
                // It was echoed meanwhile, or is not kept any more.
                if record.offset < next && kept.may_hold(&record) {
                    return number;
                }
                drop(kept);
                let what = format!("expected the record at {next}: something else than Tidings writes into the topic");
                self.fail(number, Failure::Diverged(record.offset, what));
            }
            Err(JournalError::Damaged { position, what }) => self.fail(number, Failure::Damaged(position, what)),
            Err(error) => tracing::error!("a record cannot be taken over: {error}"),
        }
        number
    }

    fn publish(&self, number: usize) {
        let followed = &self.partitions[number];
        let next = followed.kept.lock().next();
        followed.next.send_modify(|told| *told = next.max(*told));
    }

    fn fail(&self, number: usize, failure: Failure) {
        let followed = &self.partitions[number];
        let (Failure::Diverged(_, what) | Failure::Damaged(_, what)) = &failure;
        tracing::error!(partition = number, "partition {number} can no longer be followed: {what}");
        *followed.failure.lock() = Some(failure);
        followed.next.send_modify(|_| {});
    }

    /// After an error: is what was read still where the log goes on?
    fn look_after(&self, consumer: &BaseConsumer<Said>, error: &KafkaError) {
        met("following the log", error);
        if !looks::says_that_the_log_moved(error) {
            return;
        }
        let topic = match consumer.assignment() {
            Ok(list) => list.elements().first().map(|element| element.topic().to_owned()),
            Err(_) => None,
        };
        let Some(topic) = topic else { return };
        for (followed, number) in self.partitions.iter().zip(0..) {
            let next = *followed.next.borrow();
            if let Ok((low, high)) = consumer.fetch_watermarks(&topic, number, ASK_MAX) {
                let (low, high) =
                    (Offset::try_from(low).unwrap_or_default(), Offset::try_from(high).unwrap_or_default());
                if !(low..=high).contains(&next) {
                    let what = format!("the log holds {low} to {high}, but was read up to {next}");
                    self.fail(usize::try_from(number).unwrap_or_default(), Failure::Diverged(high.min(next), what));
                }
            }
        }
    }
}

/// Whether it says that a connection was lost.
fn is_lost(error: &KafkaError) -> bool {
    let lost = [RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::BrokerTransportFailure];
    error.rdkafka_error_code().is_some_and(|code| lost.contains(&code))
}

/// Asks the broker for nothing more.
fn leave_alone(consumer: &BaseConsumer<Said>, error: &KafkaError, asking: &mut Asking) {
    met("following the log", error);
    match consumer.unassign() {
        Ok(()) => asking.is_away = true,
        Err(error) => met("following the log", &error),
    }
}

fn offset(offset: Offset) -> rdkafka::Offset {
    rdkafka::Offset::Offset(i64::try_from(offset).expect("Kafka counts so"))
}

impl Kept {
    /// The first offset that has not arrived.
    fn next(&self) -> Offset {
        self.first + self.records.len() as Offset
    }

    /// Whether nothing else is kept in the record's place.
    fn may_hold(&self, record: &Record) -> bool {
        let index = record.offset.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let kept = index.and_then(|index| self.records.get(index));
        kept.is_none_or(|kept| kept.draft.chain == record.draft.chain)
    }

    fn push(&mut self, record: Record, kept_max: usize) {
        self.bytes += size(&record);
        self.records.push_back(record);
        while self.bytes > kept_max
            && let Some(oldest) = self.records.pop_front()
        {
            self.bytes -= size(&oldest);
            self.first += 1;
        }
    }
}

/// About what it takes in memory.
fn size(record: &Record) -> usize {
    record.draft.key.len() + record.draft.value.len() + size_of::<Record>()
}
