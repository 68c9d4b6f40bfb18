//! The log on Kafka under the contract.

use async_trait::async_trait;
use journal::kafka::{GroupOwnership, KafkaLog, KafkaOptions};
use journal::{Journal, JournalError, Ownership};
use std::sync::Arc;
use tidings_tests::journal_contract::ownership::OwnershipUnderTest;
use tidings_tests::journal_contract::{LogUnderTest, Possible, UnderTest};
use tidings_tests::services::Services;
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// A log in a topic of its own, opened twice, as two nodes do.
pub(crate) struct KafkaUnderTest {
    log: Arc<KafkaLog>,
    other: Arc<KafkaLog>,
}

fn options(partitions: u32) -> KafkaOptions {
    let id = Uuid::new_v4();
    KafkaOptions {
        brokers: Services::from_env().unwrap().brokers().to_owned(),
        cluster: None,
        topic: format!("contract-{id}"),
        log: format!("log {id}"),
        partitions,
        create: true,
        dev: true,
        properties: Vec::new(),
    }
}

async fn open(options: KafkaOptions) -> Result<Arc<KafkaLog>, JournalError> {
    spawn_blocking(move || KafkaLog::open(options)).await.unwrap().map(Arc::new)
}

impl KafkaUnderTest {
    async fn with(options: KafkaOptions) -> Result<Self, JournalError> {
        let log = open(options.clone()).await?;
        Ok(Self { log, other: open(KafkaOptions { create: false, ..options }).await? })
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
        Self::with(options(partitions)).await.unwrap()
    }

    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.log) as _
    }

    fn other(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.other) as _
    }

    async fn reopen(self) -> Result<Self, JournalError> {
        let options = KafkaOptions { create: false, ..self.log.options().clone() };
        drop(self);
        Self::with(options).await
    }

    async fn crash(self) -> Possible<Result<Self, JournalError>> {
        Possible::NotHere("not yet")
    }

    fn remember(&mut self) {}

    async fn rewind(self) -> Possible<Result<Self, JournalError>> {
        Possible::NotHere("not yet")
    }

    async fn flipped(&self, _: bool, _: Option<u64>) -> Possible<Result<Self, JournalError>> {
        Possible::NotHere("not yet")
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
        let group = GroupOwnership::join(log.log.options(), "127.0.0.1:1").unwrap();
        Self(Arc::new(group))
    }

    fn ownership(&self) -> Arc<dyn Ownership> {
        Arc::clone(&self.0) as _
    }
}
