//! Where each read model lives: in a server that all nodes share if one is configured for it, else in this node's memory.

#[cfg_attr(not(feature = "servers"), path = "read_models/no_servers.rs")]
mod servers;

use crate::config::ReadModelsConfig;
use anyhow::{Context, Result};
use projections::{Posts, ReadModel};
use servers::Database;
pub use servers::{delete, migrate};
use std::fmt;
use std::sync::Arc;

/// The read models that are in servers.
#[derive(Default)]
pub(crate) struct SharedModels {
    pub(crate) posts: Option<Arc<dyn Posts>>,
    database: Option<Database>,
}

impl SharedModels {
    /// Opens what the configuration names. A server that does not answer is waited for, by whoever needs it; one that will
    /// never do is an error.
    pub(crate) async fn open(config: &ReadModelsConfig) -> Result<Self> {
        match config.database_url()? {
            Some(url) => servers::open(&url).await,
            None => Ok(Self::default()),
        }
    }

    /// Says which log they are built from. A server that holds those of another log is an error.
    pub(crate) async fn bind(&self, log: &str) -> Result<()> {
        match &self.database {
            Some(database) => database.bind(log).await.context("the read models' database"),
            None => Ok(()),
        }
    }

    /// All of them, to be fed.
    pub(crate) fn all(&self) -> Vec<Arc<dyn ReadModel>> {
        self.posts.iter().map(|posts| Arc::clone(posts) as _).collect()
    }
}

impl fmt::Display for SharedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => {
                write!(f, "posts in the PostgreSQL database {}, all others in memory", database.place())
            }
            None => f.write_str("all of them in memory"),
        }
    }
}
