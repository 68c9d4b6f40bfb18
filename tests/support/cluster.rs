//! Several nodes of the real program over one log on Kafka: a topic and a keyring of their own, and clients of all of them.

use crate::child::{Environment, HttpClient, Server};
use crate::services::Services;
use anyhow::{Context, Result, ensure};
use gateway::{Store, StoreConfig};
use http::Method;
use journal::Partition;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;
use uuid::Uuid;

/// Few, so that a test's few writes meet on one, and enough for two nodes.
pub const PARTITIONS: u32 = 8;

/// How long a node that stops says so before it does: a few times as long as clients take to look.
const NOTICE_MS: u64 = 500;
/// How long a node may own nothing, and how often it is asked.
const BALANCED_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Nodes, killed when dropped.
pub struct Cluster {
    /// Each a process.
    pub nodes: Vec<Server>,
    store: StoreConfig,
    /// Where the read models are that the nodes share, if they share any.
    read_models: Environment,
    directory: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// One at a time: they are asked how long things take.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Cluster {
    /// Starts so many nodes over a new log, all at once, and waits until each serves.
    pub async fn start(services: &Services, nodes: usize) -> Result<Self> {
        Self::with(services.brokers(), services.fresh_keyring(), nodes).await
    }

    /// The same over these brokers and this keyring.
    pub async fn with(brokers: &str, keyring: String, nodes: usize) -> Result<Self> {
        let mut cluster = Self::prepare(brokers, keyring).await?;
        for _ in 0..nodes {
            cluster.begin()?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The same without any node yet.
    pub async fn prepare(brokers: &str, keyring: String) -> Result<Self> {
        let alone = ALONE.lock().await;
        let directory = tempfile::tempdir()?;
        let store = StoreConfig {
            data: PathBuf::from("unused"),
            partitions: Some(PARTITIONS),
            kafka_brokers: Some(brokers.to_owned()),
            kafka_topic: format!("test-{}", Uuid::new_v4()),
            kafka_properties: Vec::new(),
            kafka_properties_file: None,
            keyring_url: Some(keyring),
            keyring_url_file: None,
            dev: true,
        };
        let mut read_models = Environment::new();
        if let Some(services) = Services::of_read_models() {
            let urls = [("DATABASE_URL", services.fresh_database_url()), ("MONGODB_URL", services.fresh_mongodb_url())];
            for (name, url) in urls {
                gateway::migrate(&url).await?;
                read_models.push((name, url.into()));
            }
            read_models.push(("REDIS_URL", services.fresh_redis_url().into()));
        }
        Ok(Self { nodes: Vec::new(), store, read_models, directory, _alone: alone })
    }

    /// One more node, which may not be ready for a while.
    pub fn begin(&mut self) -> Result<()> {
        self.begin_with(Environment::new())
    }

    /// The same, with more in its environment.
    pub fn begin_with(&mut self, more: Environment) -> Result<()> {
        let environment = self.environment().into_iter().chain(more).collect();
        self.nodes.push(Server::begin(&self.data_of(self.nodes.len()), environment)?);
        Ok(())
    }

    /// The data directory of a node.
    pub fn data_of(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}"))
    }

    /// Waits until every node serves.
    pub async fn ready(&self) -> Result<()> {
        for node in &self.nodes {
            node.ready().await?;
        }
        Ok(())
    }

    /// The partitions that a node says it owns.
    pub async fn owned_by(&self, node: usize) -> Result<Vec<Partition>> {
        let (status, ready) = self.client_of(node).send(Method::GET, "/readyz", None, &[]).await?;
        let owned = ready["owns"].as_array().with_context(|| format!("{status} {ready}"))?;
        let partitions = owned.iter().filter_map(Value::as_u64).map(|n| u32::try_from(n).map(Partition));
        Ok(partitions.collect::<Result<_, _>>()?)
    }

    /// Waits until every node owns something; what this one owns then.
    pub async fn balanced(&self, node: usize) -> Result<Vec<Partition>> {
        let begun = Instant::now();
        loop {
            let mut owned = Vec::new();
            for n in 0..self.nodes.len() {
                owned.push(self.owned_by(n).await?);
            }
            if owned.iter().all(|owned| !owned.is_empty()) {
                return Ok(owned.swap_remove(node));
            }
            ensure!(begun.elapsed() < BALANCED_MAX, "a node owns nothing for {BALANCED_MAX:?}");
            sleep(LOOK).await;
        }
    }

    fn environment(&self) -> Environment {
        let StoreConfig { kafka_brokers, keyring_url, kafka_topic, .. } = &self.store;
        let log = [
            ("KAFKA_BROKERS", kafka_brokers.clone().unwrap_or_default().into()),
            ("KEYRING_URL", keyring_url.clone().unwrap_or_default().into()),
            ("KAFKA_TOPIC", kafka_topic.clone().into()),
            ("TIDINGS_PARTITIONS", PARTITIONS.to_string().into()),
            ("TIDINGS_DEV", "true".into()),
            ("TIDINGS_NOTICE_MS", NOTICE_MS.to_string().into()),
        ];
        log.into_iter().chain(self.read_models.clone()).collect()
    }

    /// A client that asks all nodes in turn.
    pub fn client(&self) -> HttpClient {
        HttpClient::of(self.nodes.iter().map(Server::url).collect())
    }

    /// A client of one node.
    pub fn client_of(&self, node: usize) -> HttpClient {
        HttpClient::new(self.nodes[node].url())
    }

    /// The log and its keyring, as one more reader has them.
    pub async fn store(&self) -> Result<Store> {
        Store::open(&self.store).await
    }
}
