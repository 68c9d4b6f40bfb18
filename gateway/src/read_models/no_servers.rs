//! Stands in for PostgreSQL, MongoDB and Redis in a build without them. Whoever configures one is refused by the
//! configuration's check.

use super::SharedModels;
use crate::telemetry::Pool;
use anyhow::{Result, bail};
use events::Keyring;
use projections::sagas::Plan;
use projections::{Notifications, Sagas};
use std::sync::Arc;

/// There is none.
pub(super) enum Database {}

/// There is none.
pub(super) enum Keyspace {}

pub(super) use Database as MongoDb;

impl Database {
    pub(super) fn place(&self) -> &str {
        match *self {}
    }

    pub(super) async fn bind(&self, _: &str) -> Result<()> {
        match *self {}
    }
}

impl Keyspace {
    pub(super) fn place(&self) -> &str {
        match *self {}
    }

    pub(super) async fn bind(&self, _: &str, _: u32) -> Result<()> {
        match *self {}
    }
}

pub(super) fn pools(_: &Database) -> std::iter::Empty<Pool> {
    std::iter::empty()
}

pub(super) fn mongodb_pool(database: &MongoDb) -> Pool {
    match *database {}
}

pub(super) async fn open_database(_: &mut SharedModels, _: &str) -> Result<()> {
    refuse()
}

pub(super) async fn open_keyspace(_: &mut SharedModels, _: &str) -> Result<()> {
    refuse()
}

pub(super) async fn open_mongodb(_: &str) -> Result<MongoDb> {
    refuse()
}

pub(super) fn sagas(database: &Database, _: Plan) -> Arc<dyn Sagas> {
    match *database {}
}

pub(super) fn notifications(database: &MongoDb, _: &Arc<dyn Keyring>) -> Arc<dyn Notifications> {
    match *database {}
}

/// Refuses.
pub async fn delete(_: &str) -> Result<()> {
    refuse()
}

/// Refuses.
pub async fn migrate(_: &str) -> Result<usize> {
    refuse()
}

fn refuse<T>() -> Result<T> {
    bail!("this program was built without the feature `servers`")
}
