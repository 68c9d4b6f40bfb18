//! One tenure's way into a partition: an idempotent producer of its own, and a thread that serves its receipts.

use super::record::headers;
use super::settings::{KafkaOptions, Said, unusable};
use crate::error::{AppendError, JournalError};
use crate::partition::{Offset, Partition};
use crate::port::{Appender, Receipt};
use crate::record::Draft;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientContext, Message};
use std::thread;
use tokio::sync::oneshot;

type Reply = oneshot::Sender<Result<Offset, AppendError>>;

/// See the module.
pub(super) struct KafkaAppender {
    topic: String,
    partition: i32,
    /// `None` once it is being dropped.
    producer: Option<ThreadedProducer<Receipts>>,
}

impl KafkaAppender {
    pub(super) fn new(options: &KafkaOptions, partition: Partition) -> Result<Self, JournalError> {
        let producer = ThreadedProducer::from_config_and_context(&options.producer(), Receipts(Said::default()))
            .map_err(|error| unusable(&error))?;
        let partition = i32::try_from(partition.0).expect("the log has this partition");
        Ok(Self { topic: options.topic.clone(), partition, producer: Some(producer) })
    }
}

impl Appender for KafkaAppender {
    fn append(&mut self, draft: Draft) -> Receipt {
        let (reply, receipt) = Receipt::new();
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(reply))
            .partition(self.partition)
            .headers(headers(&draft))
            .key(&draft.key[..])
            .payload(&draft.value[..]);
        let producer = self.producer.as_ref().expect("there until it is dropped");
        if let Err((error, record)) = producer.send(record) {
            let _ = record.delivery_opaque.send(Err(AppendError::Unknown(error.to_string())));
        }
        receipt
    }
}

impl Drop for KafkaAppender {
    fn drop(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        producer.purge(PurgeConfig::default().queue().inflight());
        // Joins a thread and waits for what the purge has left.
        thread::spawn(move || drop(producer));
    }
}

/// Passes on what became of each record.
struct Receipts(Said);

impl ClientContext for Receipts {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = Box<Reply>;

    fn delivery(&self, result: &DeliveryResult<'_>, reply: Box<Reply>) {
        let landed = match result {
            // A broker that takes a resent record for a duplicate of one that it no longer remembers gives no offset.
            Ok(message) => Offset::try_from(message.offset())
                .map_err(|_| AppendError::Unknown("the broker did not say where the record stands".to_owned())),
            Err((error, _)) => Err(AppendError::Unknown(error.to_string())),
        };
        let _ = reply.send(landed);
    }
}
