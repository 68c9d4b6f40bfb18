//! Users in PostgreSQL, in the tables of `migrations/0003_users.sql`.

mod absent;
mod edges;
mod people;
mod read;
mod rows;

use super::change::Change;
use crate::checkpoint::Checkpoint;
use crate::postgres::{Batches, Checkpoints, Database, Tables, in_time};
use crate::read_model::{Advance, ApplyError, Batch, ReadModel, Unavailable};
use async_trait::async_trait;
use edges::Edges;
use journal::Partition;
use people::People;
use sqlx::PgConnection;

/// The read model of users, shared by all nodes.
pub struct PostgresUsers {
    batches: Batches,
}

impl PostgresUsers {
    /// The build that is in this database.
    pub fn new(database: Database) -> Self {
        Self { batches: Batches { database, checkpoints: Checkpoints { model: super::NAME, generation: 0 } } }
    }
}

/// What is written of users.
struct UserTables;

impl Tables for UserTables {
    type Change = Change;

    fn changes(&self, batch: &Batch<'_>) -> Result<Vec<Change>, ApplyError> {
        batch.changes(Change::of)
    }

    /// Accounts and what is between them are changed one after the other: which of both comes first makes no difference.
    /// Tables are written in the same order by everybody, and the rows of each in the order of their ids, so that two seldom
    /// wait for each other.
    async fn write(transaction: &mut PgConnection, changes: Vec<Change>) -> Result<(), sqlx::Error> {
        let (accounts, edges) = Edges::split(changes);
        let mut people = People::load(transaction, &accounts).await?;
        accounts.into_iter().for_each(|change| people.apply(change));
        let absent = people.write(transaction).await?;
        edges.write(transaction, absent).await
    }
}

#[async_trait]
impl ReadModel for PostgresUsers {
    fn name(&self) -> &'static str {
        self.batches.checkpoints.model
    }

    fn system(&self) -> Option<&'static str> {
        Some("postgresql")
    }

    fn generation(&self) -> u64 {
        self.batches.checkpoints.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.batches.checkpoint(partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = UserTables.changes(advance.batch)?;
        in_time(self.batches.apply(&UserTables, advance, changes)).await
    }
}
