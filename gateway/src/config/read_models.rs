//! Where the read models are.

use super::secret;
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;

/// The servers of read models. What has none here is in this node's memory, and built from the log at each start.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadModelsConfig {
    /// Posts, comments and likes are in this PostgreSQL database rather than in memory, as a `postgres://` URL; its schema
    /// is made by `tidings migrate`. All nodes of a log share it
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// A file with that URL in it, instead of the URL
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,
}

impl ReadModelsConfig {
    /// The URL of the database, wherever it stands.
    pub fn database_url(&self) -> Result<Option<String>> {
        secret::read("DATABASE_URL", self.database_url.as_deref(), self.database_url_file.as_deref())
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.database_url()?.is_some() && cfg!(not(feature = "servers")) {
            bail!(
                "DATABASE_URL is set, but this program was built without the feature `servers` and runs embedded only"
            );
        }
        Ok(())
    }
}
