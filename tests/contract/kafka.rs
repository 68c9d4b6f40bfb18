//! The log on Kafka under the contract.

use async_trait::async_trait;
use journal::kafka::{GroupOwnership, KafkaLog, KafkaOptions};
use journal::{Anchor, Journal, JournalError, Ownership, Partition, Reader};
use parking_lot::Mutex;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use tidings_tests::broker::Broker;
use tidings_tests::journal_contract::ownership::OwnershipUnderTest;
use tidings_tests::journal_contract::{LogUnderTest, Possible, UnderTest};
use tidings_tests::services::Services;
use tidings_tests::snapshot::Snapshot;
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// A log in a topic of its own, opened twice, as two nodes do.
pub(crate) struct KafkaUnderTest {
    log: Arc<KafkaLog>,
    other: Arc<KafkaLog>,
    /// If it is the test's own.
    broker: Option<Broker>,
    /// What each partition's directory held.
    remembered: Vec<Snapshot>,
    /// The bit that is flipped at present.
    flipped: Mutex<Option<Flip>>,
}

/// A bit of a file that is not what it was.
struct Flip {
    file: PathBuf,
    bit: u64,
}

impl Flip {
    /// Turns it, or turns it back. The broker has the file open and reads what stands there then.
    fn turn(&self) {
        let file = File::options().read(true).write(true).open(&self.file).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.bit / 8).unwrap();
        byte[0] ^= 1 << (self.bit % 8);
        file.write_all_at(&byte, self.bit / 8).unwrap();
    }
}

pub(crate) fn options(brokers: &str, partitions: u32) -> KafkaOptions {
    let id = Uuid::new_v4();
    KafkaOptions {
        brokers: brokers.to_owned(),
        cluster: None,
        topic: format!("contract-{id}"),
        log: format!("log {id}"),
        partitions,
        create: true,
        dev: true,
        properties: Vec::new(),
    }
}

pub(crate) async fn open(options: KafkaOptions) -> Result<Arc<KafkaLog>, JournalError> {
    spawn_blocking(move || KafkaLog::open(options)).await.unwrap().map(Arc::new)
}

impl KafkaUnderTest {
    async fn with(options: KafkaOptions, broker: Option<Broker>) -> Result<Self, JournalError> {
        let log = open(options.clone()).await?;
        let other = open(KafkaOptions { create: false, ..options }).await?;
        Ok(Self { log, other, broker, remembered: Vec::new(), flipped: Mutex::default() })
    }

    /// Ends every client; how the log is opened again, and the broker.
    fn end(self) -> (KafkaOptions, Option<Broker>) {
        (KafkaOptions { create: false, ..self.log.options().clone() }, self.broker)
    }

    fn directory(&self, broker: &Broker, partition: u32) -> PathBuf {
        broker.partition(&self.log.options().topic, partition)
    }

    /// What nodes note in the keyring while they read.
    async fn anchors(&self) -> Vec<(Partition, Anchor)> {
        let mut anchors = Vec::new();
        for partition in (0..self.log.partitions()).map(Partition) {
            let mut reader = Reader::from_start(self.journal(), partition).await.unwrap();
            while !reader.records().await.unwrap().is_empty() {}
            let at = reader.checkpoint();
            anchors.push((partition, Anchor { count: at.next, head: at.head }));
        }
        anchors
    }

    /// The bytes that the broker has written for a partition.
    fn segment(&self, partition: u32) -> PathBuf {
        let services = Services::from_env().unwrap();
        let topic = &self.log.options().topic;
        services.directory().join(format!("kafka/data/{topic}-{partition}/00000000000000000000.log"))
    }
}

impl UnderTest for KafkaUnderTest {
    fn is_available() -> bool {
        Services::from_env().is_some()
    }
}

#[async_trait]
impl LogUnderTest for KafkaUnderTest {
    async fn create(partitions: u32) -> Self {
        Self::with(options(Services::from_env().unwrap().brokers(), partitions), None).await.unwrap()
    }

    async fn create_alone(partitions: u32) -> Self {
        let broker = spawn_blocking(Broker::start).await.unwrap().unwrap();
        Self::with(options(&broker.address(), partitions), Some(broker)).await.unwrap()
    }

    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.log) as _
    }

    fn other(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.other) as _
    }

    async fn reopen(self) -> Result<Self, JournalError> {
        let (options, broker) = self.end();
        Self::with(options, broker).await
    }

    /// SIGKILL for the broker; the clients are gone before.
    async fn crash(self) -> Possible<Result<Self, JournalError>> {
        let (options, broker) = self.end();
        let broker = broker.expect("it was created alone");
        let broker = spawn_blocking(move || broker.kill().and_then(|()| broker.up()).map(|()| broker)).await.unwrap();
        Possible::Done(Self::with(options, Some(broker.unwrap())).await)
    }

    async fn remember(&mut self) {
        let broker = self.broker.as_ref().expect("it was created alone");
        let directories = (0..self.log.partitions()).map(|partition| self.directory(broker, partition));
        self.remembered = directories.map(|directory| Snapshot::at_rest(&directory)).collect();
    }

    async fn rewind(mut self) -> Possible<Result<Self, JournalError>> {
        let (anchors, remembered) = (self.anchors().await, std::mem::take(&mut self.remembered));
        let (options, broker) = self.end();
        let (broker, topic) = (broker.expect("it was created alone"), options.topic.clone());
        let put_back = move || {
            broker.kill()?;
            for (snapshot, partition) in remembered.iter().zip(0..) {
                let directory = broker.partition(&topic, partition);
                std::fs::remove_dir_all(&directory)?;
                snapshot.restore(&directory);
            }
            broker.up()?;
            anyhow::Ok(broker)
        };
        let broker = spawn_blocking(put_back).await.unwrap().unwrap();
        let opened = Self::with(options, Some(broker)).await;
        Possible::Done(opened.inspect(|opened| opened.log.set_anchors(anchors)))
    }

    /// In place, until the next time: the broker keeps its files open, and they are the same however clients end.
    async fn flipped(&self, _: bool, random: Option<u64>) -> Possible<Result<Self, JournalError>> {
        {
            let mut flipped = self.flipped.lock();
            if let Some(before) = flipped.take() {
                before.turn();
            }
            if let Some(random) = random {
                let segments = (0..self.log.partitions()).map(|partition| self.segment(partition));
                let written =
                    segments.map(|file| (file.metadata().unwrap().len() * 8, file)).filter(|(bits, _)| *bits > 0);
                let mut written: Vec<_> = written.collect();
                let which = usize::try_from(random % written.len() as u64).unwrap();
                let bit = random / written.len() as u64 % written[which].0;
                let flip = Flip { file: written.swap_remove(which).1, bit };
                flip.turn();
                *flipped = Some(flip);
            }
        }
        let options = KafkaOptions { create: false, ..self.log.options().clone() };
        Possible::Done(Self::with(options, None).await)
    }
}

/// A lone member of a group.
pub(crate) struct GroupUnderTest(Arc<GroupOwnership>);

impl UnderTest for GroupUnderTest {
    fn is_available() -> bool {
        KafkaUnderTest::is_available()
    }
}

#[async_trait]
impl OwnershipUnderTest for GroupUnderTest {
    async fn create(partitions: u32) -> Self {
        let log = KafkaUnderTest::create(partitions).await;
        let group = GroupOwnership::new(log.log.options(), "127.0.0.1:1").unwrap();
        group.enter();
        Self(Arc::new(group))
    }

    fn ownership(&self) -> Arc<dyn Ownership> {
        Arc::clone(&self.0) as _
    }
}
