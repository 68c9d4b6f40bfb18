//! Where the log and its keys are: both in one directory, or the log on Kafka and the keyring in PostgreSQL; nothing in
//! between.

#[cfg_attr(not(feature = "servers"), path = "store/no_servers.rs")]
mod servers;

use crate::config::StoreConfig;
use anyhow::{Context, Error, Result, anyhow};
use events::{Keyring, KeyringError};
use journal::embedded::{self, Embedded, PARTITIONS_DEFAULT, StaticOwnership};
use journal::{Anchor, Journal, JournalError, Ownership, Partition};
use projections::Projections;
use servers::Servers;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;

/// The wait before servers that did not answer are asked again.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// A log and its keyring, open.
pub struct Store {
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// Its keys.
    pub keyring: Arc<dyn Keyring>,
    kind: Kind,
}

enum Kind {
    Embedded(Embedded),
    Servers(Servers),
}

impl Store {
    /// Opens what the configuration names, or makes it if there is nothing yet. An error has changed nothing.
    ///
    /// An embedded log is then held by this process alone; on Kafka any number may be open.
    pub async fn open(config: &StoreConfig) -> Result<Self> {
        config.check()?;
        if config.is_shared() {
            let servers = Servers::open(config).await?;
            return Ok(Self { journal: servers.log(), keyring: servers.keyring(), kind: Kind::Servers(servers) });
        }
        let (data, partitions) = (config.data.clone(), config.partitions.unwrap_or(PARTITIONS_DEFAULT));
        let embedded = spawn_blocking(move || embedded::open(&data, partitions)).await??;
        let (journal, keyring) = (embedded.log.clone(), embedded.keyring.clone());
        Ok(Self { journal, keyring, kind: Kind::Embedded(embedded) })
    }

    /// Only the keyring of a log that there is.
    ///
    /// An embedded one is held by this process alone; a server that runs over it must be stopped before.
    pub async fn keyring_of(config: &StoreConfig) -> Result<Arc<dyn Keyring>> {
        config.check()?;
        if config.is_shared() {
            return Servers::keyring_of(config).await;
        }
        let data = config.data.clone();
        Ok(Arc::new(spawn_blocking(move || embedded::open_keyring(&data)).await??))
    }

    /// The same, once everything that it is made of answers; `waiting` is told why it waits. An error is one that
    /// waiting does not mend.
    pub(crate) async fn wait_for(config: &StoreConfig, mut waiting: impl FnMut(&str)) -> Result<Self> {
        loop {
            match Self::open(config).await {
                Err(error) if may_pass(&error) => {
                    warn!("not yet: {error:#}");
                    waiting(&format!("{error:#}"));
                    sleep(OPEN_AGAIN).await;
                }
                opened => return opened,
            }
        }
    }

    /// This node's part in who owns what. `address` is where it takes commands of other nodes.
    pub(crate) fn ownership(&self, address: &str) -> Result<Arc<dyn Ownership>> {
        match &self.kind {
            Kind::Embedded(embedded) => Ok(Arc::new(StaticOwnership::new(embedded.log.partitions()))),
            Kind::Servers(servers) => servers.join(address),
        }
    }

    /// This node's part in who feeds read models from what, where those who do so own nothing.
    pub(crate) fn feeding(&self) -> Result<Arc<dyn Ownership>> {
        match &self.kind {
            Kind::Embedded(embedded) => Ok(Arc::new(StaticOwnership::new(embedded.log.partitions()))),
            Kind::Servers(servers) => servers.feed(),
        }
    }

    /// Measures the connections to servers as they are now.
    pub(crate) fn measure(&self) {
        if let Kind::Servers(servers) = &self.kind {
            servers.pool().show();
        }
    }

    /// Returns when the log or the keyring has failed for good: only opening them again shows what they hold.
    pub(crate) async fn failed(&self) -> Error {
        match &self.kind {
            Kind::Embedded(embedded) => tokio::select! {
                error = embedded.log.failed() => anyhow!(error).context("the log has failed"),
                error = embedded.keyring.failed() => anyhow!(error).context("the keyring has failed"),
            },
            // What is away comes back; what is wrong with the log stops the owners and runners who meet it.
            Kind::Servers(_) => std::future::pending().await,
        }
    }

    /// Notes outside the log, now and then, what these read models have passed. Does not return.
    pub(crate) async fn keep_anchors(&self, projections: &Projections) {
        match &self.kind {
            // Its writer does, after each commit.
            Kind::Embedded(_) => std::future::pending().await,
            Kind::Servers(servers) => servers.keep_anchors(projections).await,
        }
    }

    /// Notes what the log holds now in place of what was noted before: whatever it has lost is forgotten from here on.
    pub async fn accept(&self, anchors: &[(Partition, Anchor)]) -> Result<()> {
        match &self.kind {
            Kind::Embedded(_) => Err(anyhow!("an embedded log's anchors are rewritten before it is opened")),
            Kind::Servers(servers) => servers.accept(anchors).await,
        }
    }

    /// Deletes a log on Kafka and its keyring, for ever: of a demo or a measurement, not of anybody's network. Nobody else
    /// may have it open. An embedded log is deleted with its directory.
    pub async fn delete(self) -> Result<()> {
        let Self { journal, keyring, kind } = self;
        drop((journal, keyring));
        match kind {
            Kind::Embedded(_) => Err(anyhow!("an embedded log is deleted with its directory")),
            Kind::Servers(servers) => servers.delete().await,
        }
    }

    /// Closes it. Whoever still holds an embedded log holds the directory; the last one waits for the disk.
    pub async fn close(self) -> Result<()> {
        spawn_blocking(move || drop(self)).await.context("closing the log")
    }
}

/// Whether trying again may help.
fn may_pass(error: &Error) -> bool {
    let log = error.downcast_ref::<JournalError>().is_some_and(|error| matches!(error, JournalError::Unavailable(_)));
    let keys = error.downcast_ref::<KeyringError>().is_some_and(|error| matches!(error, KeyringError::Unavailable(_)));
    log || keys
}
