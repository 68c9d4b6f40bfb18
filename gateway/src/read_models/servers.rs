//! Read models in PostgreSQL.

use super::SharedModels;
use anyhow::{Context, Result};
use projections::PostgresPosts;
pub(super) use projections::postgres::Database;
use std::sync::Arc;

pub(super) async fn open(url: &str) -> Result<SharedModels> {
    let database = Database::open(url).await.context("the read models' database")?;
    let posts = Arc::new(PostgresPosts::new(database.clone()));
    Ok(SharedModels { posts: Some(posts), database: Some(database) })
}

/// Brings the database's schema to what this program knows. Returns how many steps that took.
pub async fn migrate(url: &str) -> Result<usize> {
    Database::migrate(url).await.context("the read models' database")
}

/// Deletes the schema that the URL names with all read models in it, of a demo or a measurement; they can be built again
/// from their log.
pub async fn delete(url: &str) -> Result<()> {
    Database::open(url).await?.delete().await.context("the read models' database")
}
