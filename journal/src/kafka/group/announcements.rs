//! Where each partition's owner takes commands, told to everybody through a compacted topic.
//!
//! A hint, not a promise: who follows it and meets nobody asks again. An announcement that was overtaken on its way by
//! one of a former owner is made again by the owner who reads it.

use crate::error::JournalError;
use crate::kafka::settings::{KafkaOptions, Said, met, unusable};
use crate::ownership::{Announcement, Announcements, Assignment};
use crate::partition::Partition;
use events::Incarnation;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseRecord, ThreadedProducer};
use rdkafka::{Message, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the broker holds a question for news back.
const FETCH_WAIT: Duration = Duration::from_millis(100);
/// How often the thread looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(100);
/// The same is not told again before.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Board {
    shared: Arc<Shared>,
}

struct Shared {
    topic: String,
    address: String,
    producer: ThreadedProducer<Said>,
    /// What this node has claimed, and when it said so last.
    own: Mutex<BTreeMap<Partition, (Incarnation, Instant)>>,
    assigned: watch::Receiver<Assignment>,
    /// What is assigned may be no longer true.
    lost: Arc<AtomicBool>,
    all: watch::Sender<Announcements>,
    stop: AtomicBool,
}

impl Board {
    pub(super) fn start(
        options: &KafkaOptions,
        address: &str,
        assigned: watch::Receiver<Assignment>,
        lost: Arc<AtomicBool>,
    ) -> Result<Self, JournalError> {
        let topic = options.owners_topic();
        let producer = ThreadedProducer::from_config_and_context(&options.producer(), Said::default());
        let consumer = BaseConsumer::from_config_and_context(&options.reader(FETCH_WAIT), Said::default());
        let consumer: BaseConsumer<Said> = consumer.map_err(|error| unusable(&error))?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&topic, 0, rdkafka::Offset::Beginning).map_err(|error| unusable(&error))?;
        consumer.assign(&list).map_err(|error| unusable(&error))?;
        let shared = Arc::new(Shared {
            topic,
            address: address.to_owned(),
            producer: producer.map_err(|error| unusable(&error))?,
            own: Mutex::default(),
            assigned,
            lost,
            all: watch::Sender::default(),
            stop: AtomicBool::new(false),
        });
        let following = Arc::clone(&shared);
        thread::Builder::new()
            .name("kafka-owners".to_owned())
            .spawn(move || following.follow(&consumer))
            .map_err(|error| JournalError::Unavailable(error.into()))?;
        Ok(Self { shared })
    }

    pub(super) fn announce(&self, partition: Partition, incarnation: Incarnation) {
        self.shared.own.lock().insert(partition, (incarnation, Instant::now()));
        self.shared.tell(partition, incarnation);
    }

    pub(super) fn announcements(&self) -> watch::Receiver<Announcements> {
        self.shared.all.subscribe()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn tell(&self, partition: Partition, incarnation: Incarnation) {
        let announcement = Announcement { address: self.address.clone(), incarnation };
        let value = serde_json::to_vec(&announcement).expect("an announcement is plain data");
        let key = partition.to_string();
        let record = BaseRecord::to(&self.topic).partition(0).key(&key).payload(&value);
        if let Err((error, _)) = self.producer.send(record) {
            tracing::warn!("partition {partition} could not be announced: {error}");
        }
    }

    fn follow(&self, consumer: &BaseConsumer<Said>) {
        while !self.stop.load(Ordering::Relaxed) {
            match consumer.poll(POLL) {
                Some(Ok(message)) => self.note(&message),
                Some(Err(error)) => met("following the owners", &error),
                None => {}
            }
            self.repeat();
        }
    }

    fn note(&self, message: &BorrowedMessage<'_>) {
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse().ok());
        let value = message.payload().and_then(|value| serde_json::from_slice::<Announcement>(value).ok());
        match (key, value) {
            (Some(partition), Some(announcement)) => {
                self.all.send_modify(|all| drop(all.insert(Partition(partition), announcement)));
            }
            _ => tracing::warn!("an announcement at {} cannot be read", message.offset()),
        }
    }

    /// Says again what this node has claimed and somebody else has said since, or was never heard.
    fn repeat(&self) {
        if self.lost.load(Ordering::Relaxed) {
            return;
        }
        let mut own = self.own.lock();
        own.retain(|partition, _| self.assigned.borrow().contains(partition));
        for (partition, (incarnation, told)) in own.iter_mut() {
            let heard = self.all.borrow().get(partition).is_some_and(|heard| heard.incarnation == *incarnation);
            if !heard && told.elapsed() > AGAIN_AFTER {
                *told = Instant::now();
                self.tell(*partition, *incarnation);
            }
        }
    }
}
