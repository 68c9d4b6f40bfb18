//! The way into a partition: an idempotent producer, which all tenures of this node share while nothing fails.
//!
//! One for each partition would cost three threads and a connection each. What is shared cannot be purged for one tenure:
//! what a lost one had in flight may still land, and is void by then, or valid and answered "unknown", as the chain rule
//! says. What is acknowledged is echoed to the tail. After a failure the next tenure gets a fresh producer; the former one ends with the last tenure that has it.

use super::record::headers;
use super::settings::{KafkaOptions, Said, unusable};
use super::tail::Echo;
use crate::error::{AppendError, JournalError};
use crate::partition::{Offset, Partition};
use crate::port::{Appender, Receipt};
use crate::record::Draft;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::oneshot;

/// A record on its way, and who waits for its receipt.
struct Sent {
    draft: Draft,
    reply: oneshot::Sender<Result<Offset, AppendError>>,
}

/// The producer that new tenures get.
pub(super) struct Producers {
    options: KafkaOptions,
    echo: Arc<Echo>,
    newest: Mutex<Option<Arc<Shared>>>,
}

/// A producer of some tenures.
struct Shared {
    /// `None` once it is being dropped.
    producer: Option<ThreadedProducer<Receipts>>,
    failed: Arc<AtomicBool>,
}

/// See the module.
pub(super) struct KafkaAppender {
    topic: String,
    partition: i32,
    shared: Arc<Shared>,
}

impl Producers {
    pub(super) fn new(options: &KafkaOptions, echo: Echo) -> Self {
        Self { options: options.clone(), echo: Arc::new(echo), newest: Mutex::default() }
    }

    /// For one tenure.
    pub(super) fn appender(&self, partition: Partition) -> Result<KafkaAppender, JournalError> {
        let mut newest = self.newest.lock();
        let shared = match &*newest {
            Some(shared) if !shared.failed.load(Ordering::Relaxed) => Arc::clone(shared),
            _ => Arc::clone(newest.insert(Arc::new(Shared::new(&self.options, &self.echo)?))),
        };
        let partition = i32::try_from(partition.0).expect("the log has this partition");
        Ok(KafkaAppender { topic: self.options.topic.clone(), partition, shared })
    }
}

impl Shared {
    fn new(options: &KafkaOptions, echo: &Arc<Echo>) -> Result<Self, JournalError> {
        let failed = Arc::new(AtomicBool::new(false));
        let receipts = Receipts { said: Said::default(), echo: Arc::clone(echo), failed: Arc::clone(&failed) };
        let producer = ThreadedProducer::from_config_and_context(&options.producer(), receipts);
        Ok(Self { producer: Some(producer.map_err(|error| unusable(&error))?), failed })
    }
}

impl Appender for KafkaAppender {
    fn append(&mut self, draft: Draft) -> Receipt {
        let (reply, receipt) = Receipt::new();
        let (key, value, headers) = (draft.key.clone(), draft.value.clone(), headers(&draft));
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(Sent { draft, reply }))
            .partition(self.partition)
            .headers(headers)
            .key(&key[..])
            .payload(&value[..]);
        let producer = self.shared.producer.as_ref().expect("there until it is dropped");
        if let Err((error, record)) = producer.send(record) {
            self.shared.failed.store(true, Ordering::Relaxed);
            let _ = record.delivery_opaque.reply.send(Err(AppendError::Unknown(error.to_string())));
        }
        receipt
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        // Joins a thread and waits for what the purge has left.
        thread::spawn(move || drop(producer));
    }
}

/// Passes on what became of each record.
struct Receipts {
    said: Said,
    echo: Arc<Echo>,
    failed: Arc<AtomicBool>,
}

impl ClientContext for Receipts {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.said.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(error, reason);
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let Sent { draft, reply } = *sent;
        let landed = match result {
            // A broker that takes a resent record for a duplicate of one that it no longer remembers gives no offset.
            Ok(message) => Offset::try_from(message.offset())
                .map_err(|_| AppendError::Unknown("the broker did not say where the record stands".to_owned())),
            Err((error, _)) => Err(AppendError::Unknown(error.to_string())),
        };
        let _ = reply.send(landed.clone());
        match (landed, result) {
            (Ok(offset), Ok(message)) => self.echo.landed(message.partition(), draft.at(offset)),
            _ => self.failed.store(true, Ordering::Relaxed),
        }
    }
}
