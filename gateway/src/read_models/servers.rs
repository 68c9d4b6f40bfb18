//! Read models in PostgreSQL, MongoDB and Redis.

use super::SharedModels;
use crate::rate_limits::SharedWindows;
use crate::telemetry::Pool;
use anyhow::{Context, Result};
use events::Keyring;
pub(super) use projections::mongodb::Database as MongoDb;
pub(super) use projections::postgres::Database;
use projections::postgres::PoolUse;
pub(super) use projections::redis::Keyspace;
use projections::sagas::Plan;
use projections::{
    MongoNotifications, Notifications, PostgresPosts, PostgresSagas, PostgresUsers, RedisFeed, RedisSagaKeys,
    RedisSessions, Sagas,
};
use projections::{mongodb, postgres};
use std::sync::Arc;

/// What is wrong is wrong with one of these.
const POSTGRES: &str = "the read models' PostgreSQL database";
const MONGODB: &str = "the read models' MongoDB database";
const REDIS: &str = "the read models' Redis";

pub(super) async fn open_database(shared: &mut SharedModels, url: &str) -> Result<()> {
    let database = Database::open(url).await.context(POSTGRES)?;
    shared.users = Some(Arc::new(PostgresUsers::new(database.clone())));
    shared.posts = Some(Arc::new(PostgresPosts::new(database.clone())));
    shared.database = Some(database);
    Ok(())
}

pub(super) async fn open_keyspace(shared: &mut SharedModels, url: &str) -> Result<()> {
    let keyspace = Keyspace::open(url).await.context(REDIS)?;
    let sessions = Arc::new(RedisSessions::new(keyspace.clone()));
    shared.windows = Some(Arc::new(SharedWindows::new(keyspace.clone(), Arc::clone(&sessions))));
    shared.sessions = Some(sessions);
    shared.feed = Some(Arc::new(RedisFeed::new(keyspace.clone())));
    shared.saga_keys = Some(Arc::new(RedisSagaKeys::new(keyspace.clone())));
    shared.keyspace = Some(keyspace);
    Ok(())
}

pub(super) fn pools(database: &Database) -> impl Iterator<Item = Pool> + use<> {
    let pools = database.pools().into_iter();
    pools.map(|(name, PoolUse { open, idle })| Pool { name, open, idle, max: postgres::CONNECTIONS_MAX })
}

pub(super) fn mongodb_pool(database: &MongoDb) -> Pool {
    let PoolUse { open, idle } = database.in_use();
    Pool { name: "mongodb", open, idle, max: mongodb::CONNECTIONS_MAX }
}

pub(super) async fn open_mongodb(url: &str) -> Result<MongoDb> {
    MongoDb::open(url).await.context(MONGODB)
}

pub(super) fn sagas(database: &Database, plan: Plan) -> Arc<dyn Sagas> {
    Arc::new(PostgresSagas::planned(database.clone(), plan))
}

pub(super) fn notifications(database: &MongoDb, keyring: &Arc<dyn Keyring>) -> Arc<dyn Notifications> {
    Arc::new(MongoNotifications::new(database.clone(), Arc::clone(keyring)))
}

/// Brings the schema of a database to what this program knows; its URL says which server it is on. Returns how many steps
/// that took: none in Redis, where keys need no schema.
pub async fn migrate(url: &str) -> Result<usize> {
    match url {
        url if is_mongodb(url) => MongoDb::migrate(url).await.context(MONGODB),
        url if is_redis(url) => Ok(0),
        url => Database::migrate(url).await.context(POSTGRES),
    }
}

/// Deletes the schema or the database that the URL names, or in Redis the keys with its prefix, with all read models in it,
/// of a demo or a measurement; they can be built again from their log.
pub async fn delete(url: &str) -> Result<()> {
    match url {
        url if is_mongodb(url) => MongoDb::open(url).await?.delete().await.context(MONGODB),
        url if is_redis(url) => Keyspace::open(url).await?.delete().await.context(REDIS),
        url => Database::open(url).await?.delete().await.context(POSTGRES),
    }
}

fn is_mongodb(url: &str) -> bool {
    url.starts_with("mongodb")
}

fn is_redis(url: &str) -> bool {
    url.starts_with("redis")
}
