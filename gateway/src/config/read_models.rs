//! Where the read models are.

use super::secret;
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;

/// The servers of read models. What has none here is in this node's memory, and built from the log at each start.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadModelsConfig {
    /// Users, posts with all that belongs to them, and sagas are in this PostgreSQL database rather than in memory, as a
    /// `postgres://` URL; its schema is made by `tidings migrate`. All nodes of a log share it
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// A file with that URL in it, instead of the URL
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,

    /// Notifications are in this MongoDB database rather than in memory, as a `mongodb://` URL that names a replica set; its
    /// collections are made by `tidings migrate`. All nodes of a log share it
    #[arg(long, env = "MONGODB_URL", hide_env_values = true)]
    pub mongodb_url: Option<String>,

    /// A file with that URL in it, instead of the URL
    #[arg(long, env = "MONGODB_URL_FILE")]
    pub mongodb_url_file: Option<PathBuf>,

    /// Sessions, feeds, and what is counted for limits, are in this Redis rather than in memory, as a `redis://` or
    /// `rediss://` URL: a session that ends is ended on every node at once, and while it is away nobody is let in with a token. `?prefix=` says what all its keys begin with. All
    /// nodes of a log share it
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// A file with that URL in it, instead of the URL
    #[arg(long, env = "REDIS_URL_FILE")]
    pub redis_url_file: Option<PathBuf>,
}

impl ReadModelsConfig {
    /// The first variable of those that name servers which is not set, whether as a URL or as a file.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let named = [
            ("DATABASE_URL", self.database_url.is_some() || self.database_url_file.is_some()),
            ("MONGODB_URL", self.mongodb_url.is_some() || self.mongodb_url_file.is_some()),
            ("REDIS_URL", self.redis_url.is_some() || self.redis_url_file.is_some()),
        ];
        named.into_iter().find_map(|(name, is_set)| (!is_set).then_some(name))
    }

    /// The URL of the PostgreSQL database, wherever it stands.
    pub fn database_url(&self) -> Result<Option<String>> {
        secret::read("DATABASE_URL", self.database_url.as_deref(), self.database_url_file.as_deref())
    }

    /// The URL of the MongoDB database, wherever it stands.
    pub fn mongodb_url(&self) -> Result<Option<String>> {
        secret::read("MONGODB_URL", self.mongodb_url.as_deref(), self.mongodb_url_file.as_deref())
    }

    /// The URL of Redis, wherever it stands.
    pub fn redis_url(&self) -> Result<Option<String>> {
        secret::read("REDIS_URL", self.redis_url.as_deref(), self.redis_url_file.as_deref())
    }

    pub(super) fn check(&self) -> Result<()> {
        let urls = [
            ("DATABASE_URL", self.database_url()?),
            ("MONGODB_URL", self.mongodb_url()?),
            ("REDIS_URL", self.redis_url()?),
        ];
        for (name, url) in urls {
            if url.is_some() && cfg!(not(feature = "servers")) {
                bail!("{name} is set, but this program was built without the feature `servers` and runs embedded only");
            }
        }
        Ok(())
    }
}
