//! Stands in for PostgreSQL in a build without it. Whoever configures it is refused by the configuration's check.

use super::SharedModels;
use anyhow::{Result, bail};

/// There is none.
pub(super) enum Database {}

impl Database {
    pub(super) fn place(&self) -> &str {
        match *self {}
    }

    pub(super) async fn bind(&self, _: &str) -> Result<()> {
        match *self {}
    }
}

pub(super) async fn open(_: &str) -> Result<SharedModels> {
    bail!("this program was built without the feature `servers`")
}

/// Refuses.
pub async fn delete(_: &str) -> Result<()> {
    bail!("this program was built without the feature `servers`")
}

/// Refuses.
pub async fn migrate(_: &str) -> Result<usize> {
    bail!("this program was built without the feature `servers`")
}
