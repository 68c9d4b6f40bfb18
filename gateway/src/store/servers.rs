//! A log on Kafka and its keyring in PostgreSQL.
//!
//! The keyring says which log it belongs to, so that a topic of another cluster or another installation is refused
//! before anything is read with the wrong keys. Beside the keys it holds the anchors, which each node moves on as its
//! read models pass the log.

use crate::config::StoreConfig;
use crate::telemetry::Pool;
use anyhow::{Context, Result};
use events::Keyring;
use journal::kafka::{GroupOwnership, KafkaLog, KafkaOptions, PARTITIONS_DEFAULT};
use journal::postgres::{CONNECTIONS_MAX, LogBinding, PoolUse, PostgresKeyring};
use journal::{Anchor, Journal, Ownership, Partition};
use projections::Projections;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// How often anchors are noted: what is cut off a log within this time leaves no trace outside it.
const ANCHORS_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Servers {
    log: Arc<KafkaLog>,
    keyring: Arc<PostgresKeyring>,
}

impl Servers {
    /// Opens both; makes the topics of a log to which the keyring is not bound yet.
    pub(super) async fn open(config: &StoreConfig) -> Result<Self> {
        let keyring = open_keyring(config).await?;
        let binding = keyring.binding().await?;
        let options = KafkaOptions {
            brokers: config.kafka_brokers.clone().context("KAFKA_BROKERS is missing")?,
            cluster: binding.as_ref().map(|binding| binding.cluster.clone()),
            topic: config.kafka_topic.clone(),
            log: keyring.log().to_string(),
            partitions: match &binding {
                Some(binding) => binding.partitions,
                None => config.partitions.unwrap_or(PARTITIONS_DEFAULT),
            },
            create: binding.is_none(),
            dev: config.dev,
            properties: config.kafka_properties()?,
        };
        let log = spawn_blocking(move || KafkaLog::open(options)).await??;
        let (cluster, topic) = (log.cluster().to_owned(), config.kafka_topic.clone());
        keyring.bind(&LogBinding { cluster, topic, partitions: log.partitions() }).await?;
        log.set_anchors(keyring.anchors().await?);
        Ok(Self { log: Arc::new(log), keyring: Arc::new(keyring) })
    }

    pub(super) async fn keyring_of(config: &StoreConfig) -> Result<Arc<dyn Keyring>> {
        Ok(Arc::new(open_keyring(config).await?))
    }

    pub(super) fn log(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.log) as _
    }

    pub(super) fn keyring(&self) -> Arc<dyn Keyring> {
        Arc::clone(&self.keyring) as _
    }

    /// The keyring's connections as they are now.
    pub(super) fn pool(&self) -> Pool {
        let PoolUse { open, idle } = self.keyring.in_use();
        Pool { name: "keyring", open, idle, max: CONNECTIONS_MAX }
    }

    pub(super) fn join(&self, address: &str) -> Result<Arc<dyn Ownership>> {
        Ok(Arc::new(GroupOwnership::new(self.log.options(), address)?))
    }

    pub(super) fn feed(&self) -> Result<Arc<dyn Ownership>> {
        Ok(Arc::new(GroupOwnership::feeding(self.log.options())?))
    }

    pub(super) async fn accept(&self, anchors: &[(Partition, Anchor)]) -> Result<()> {
        Ok(self.keyring.replace_anchors(anchors).await?)
    }

    /// The log first: without its keys nothing could be read, but it could not be made out whose it is.
    pub(super) async fn delete(self) -> Result<()> {
        let options = self.log.options().clone();
        spawn_blocking(move || KafkaLog::delete(&options)).await??;
        drop(self.log);
        let keyring = Arc::into_inner(self.keyring).context("the keyring is still in use")?;
        Ok(keyring.delete().await?)
    }

    pub(super) async fn keep_anchors(&self, projections: &Projections) {
        let mut noted = BTreeMap::new();
        let mut ticks = interval(ANCHORS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let passed = projections.passed().into_iter();
            let anchors = passed.map(|(partition, at)| (partition, Anchor { count: at.next, head: at.head }));
            let moved = |(partition, anchor): &(Partition, Anchor)| noted.get(partition) < Some(&anchor.count);
            let moved = anchors.filter(moved).collect::<Vec<_>>();
            if moved.is_empty() {
                continue;
            }
            match self.keyring.note_anchors(&moved).await {
                Ok(()) => {
                    noted.extend(moved.iter().map(|(partition, anchor)| (*partition, anchor.count)));
                    self.log.set_anchors(moved);
                }
                Err(error) => warn!("the anchors of the log could not be noted: {error}"),
            }
        }
    }
}

async fn open_keyring(config: &StoreConfig) -> Result<PostgresKeyring> {
    let url = config.keyring_url()?.context("KEYRING_URL is missing")?;
    Ok(PostgresKeyring::open(&url).await?)
}
