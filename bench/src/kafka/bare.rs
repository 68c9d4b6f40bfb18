//! The baseline: a producer of the client library, and nothing around it.

use crate::appends::{Baseline, Copies};
use crate::closed_loop::Client;
use anyhow::{Context, Result, anyhow};
use gateway::StoreConfig;
use journal::kafka::{KafkaLog, KafkaOptions, PARTITIONS_DEFAULT};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// As many bytes as the product's header has.
const HEADER: [u8; 82] = [7; 82];
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A topic with the same settings as the product's, and one producer.
pub(crate) struct Bare {
    producer: FutureProducer,
    options: KafkaOptions,
}

/// A client that produces one copy after another, each when the one before is acknowledged.
pub(crate) struct Sender {
    producer: FutureProducer,
    topic: Arc<str>,
    partition: i32,
    copies: Copies,
    next: Arc<AtomicUsize>,
}

impl Bare {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self> {
        let brokers = config.kafka_brokers.clone().context("no brokers")?;
        let options = KafkaOptions {
            brokers: brokers.clone(),
            cluster: None,
            topic: format!("{}-bare", config.kafka_topic),
            log: "bare".to_owned(),
            partitions: PARTITIONS_DEFAULT,
            create: true,
            dev: true,
            properties: Vec::new(),
        };
        let make = options.clone();
        spawn_blocking(move || KafkaLog::open(make)).await??;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .create()
            .context("the bare producer")?;
        Ok(Self { producer, options })
    }

    /// Deletes its topic, and lets go of the producer, which waits for its threads.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(spawn_blocking(move || KafkaLog::delete(&self.options)).await??)
    }
}

impl Baseline for Bare {
    type Client = Sender;

    fn clients(&self, copies: &Copies, clients: usize) -> Vec<Sender> {
        let next = Arc::<AtomicUsize>::default();
        let topic = Arc::<str>::from(&*self.options.topic);
        let sender = |n: usize| Sender {
            producer: self.producer.clone(),
            topic: Arc::clone(&topic),
            partition: i32::try_from(n % self.options.partitions as usize).expect("few"),
            copies: Arc::clone(copies),
            next: Arc::clone(&next),
        };
        (0..clients).map(sender).collect()
    }
}

impl Client for Sender {
    async fn ask(&mut self) -> Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (key, value) = &self.copies[n % self.copies.len()];
        let header = OwnedHeaders::new_with_capacity(1).insert(Header { key: "tidings", value: Some(&HEADER) });
        let record = FutureRecord::to(&self.topic).partition(self.partition).headers(header);
        let sent = self.producer.send(record.key(&key[..]).payload(&value[..]), ANSWER_MAX).await;
        sent.map(drop).map_err(|(error, _)| anyhow!(error).context("the bare producer"))
    }
}
