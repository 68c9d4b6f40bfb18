//! Stands in for Kafka and PostgreSQL in a build without them: there is no such value, so nothing of it can run. Whoever
//! configures them is refused by [`StoreConfig::check`].

use crate::config::StoreConfig;
use crate::telemetry::Pool;
use anyhow::{Result, bail};
use events::Keyring;
use journal::{Anchor, Journal, Ownership, Partition};
use projections::Projections;
use std::sync::Arc;

/// See the module.
pub(super) enum Servers {}

impl Servers {
    pub(super) async fn open(_: &StoreConfig) -> Result<Self> {
        bail!("this program was built without the feature `servers`")
    }

    pub(super) async fn keyring_of(_: &StoreConfig) -> Result<Arc<dyn Keyring>> {
        bail!("this program was built without the feature `servers`")
    }

    pub(super) fn log(&self) -> Arc<dyn Journal> {
        match *self {}
    }

    pub(super) fn keyring(&self) -> Arc<dyn Keyring> {
        match *self {}
    }

    pub(super) fn pool(&self) -> Pool {
        match *self {}
    }

    pub(super) fn join(&self, _: &str) -> Result<Arc<dyn Ownership>> {
        match *self {}
    }

    pub(super) fn feed(&self) -> Result<Arc<dyn Ownership>> {
        match *self {}
    }

    pub(super) async fn accept(&self, _: &[(Partition, Anchor)]) -> Result<()> {
        match *self {}
    }

    pub(super) async fn delete(self) -> Result<()> {
        match self {}
    }

    pub(super) async fn keep_anchors(&self, _: &Projections) {
        match *self {}
    }
}
