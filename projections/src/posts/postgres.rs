//! Posts in PostgreSQL, in the tables of `migrations/0002_posts.sql`.

mod read;
mod stages;
mod write;

use super::change::Change;
use crate::checkpoint::Checkpoint;
use crate::postgres::{Batches, Checkpoints, Database, Tables, in_time, unavailable};
use crate::read_model::{Advance, ApplyError, Batch, ReadModel, Unavailable};
use async_trait::async_trait;
use events::UserId;
use journal::Partition;
use sqlx::PgConnection;
use stages::Stage;

/// Whoever hears that somebody is gone waits for all who write, and these for them: each sees what the other wrote.
const ALONE: &str = "lock table gone in exclusive mode";

/// The read model of posts, shared by all nodes.
pub struct PostgresPosts {
    batches: Batches,
}

impl PostgresPosts {
    /// The build that is in this database.
    pub fn new(database: Database) -> Self {
        Self { batches: Batches { database, checkpoints: Checkpoints { model: super::NAME, generation: 0 } } }
    }

    /// Notes who is gone, and hides what they have left, a part at a time: it may be much, and others write in between. That
    /// somebody is gone is never taken back, so it may be known before the rest of the batch; whoever carries on after a
    /// crash in between does it again.
    async fn hide(&self, advance: &Advance<'_>, users: &[UserId]) -> Result<(), ApplyError> {
        let users = users.iter().map(|user| user.0).collect::<Vec<_>>();
        let mut transaction = self.batches.begin(ALONE).await?;
        self.batches.checkpoints.expect(&mut transaction, advance).await?;
        write::note_gone(&mut transaction, &users).await.map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        loop {
            // Alone too: these rows are of all partitions, whose writers would meet it in another order.
            let mut transaction = self.batches.begin(ALONE).await?;
            let hidden = write::hide_some_of(&mut transaction, &users).await.map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            if hidden == 0 {
                return Ok(());
            }
        }
    }
}

/// What is written of posts.
struct PostTables;

impl Tables for PostTables {
    type Change = Change;

    const BEGIN: &'static str = "lock table gone in row share mode";

    fn changes(&self, batch: &Batch<'_>) -> Result<Vec<Change>, ApplyError> {
        batch.changes(Change::of)
    }

    /// But for who is gone: that is hidden before.
    async fn write(transaction: &mut PgConnection, changes: Vec<Change>) -> Result<(), sqlx::Error> {
        for stage in Stage::all(changes) {
            stage.write(transaction).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl ReadModel for PostgresPosts {
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
        let (gone, changes) = stages::gone(PostTables.changes(advance.batch)?);
        in_time(async {
            if !gone.is_empty() {
                self.hide(advance, &gone).await?;
            }
            self.batches.apply(&PostTables, advance, changes).await
        })
        .await
    }
}
