//! Sagas in PostgreSQL, in the tables of `migrations/0004_sagas.sql`.
//!
//! What one event does to a saga is the same wherever it is kept: the sagas of a batch are loaded, taken along with its
//! events as in memory, and written back in bulk. What is kept of those that have ended is the database's own work.

mod courses;
mod read;
mod rows;

use super::change::Change;
use super::{NAME, Plan};
use crate::checkpoint::Checkpoint;
use crate::postgres::{Batches, Checkpoints, Database, Tables, in_time, unavailable};
use crate::read_model::{Advance, ApplyError, Batch, ReadModel, Unavailable};
use async_trait::async_trait;
use courses::Courses;
use events::UserId;
use journal::Partition;
use sqlx::{PgConnection, query};

/// Whoever hears that somebody is gone waits for all who write, and these for them: each sees what the other wrote.
const ALONE: &str = "lock table saga_gone in exclusive mode";

/// The read model of sagas, shared by all nodes.
pub struct PostgresSagas {
    batches: Batches,
    tables: SagaTables,
}

impl PostgresSagas {
    /// The build that is in this database. It knows what a saga is to do, as [`MemorySagas::planned`] does.
    ///
    /// [`MemorySagas::planned`]: super::MemorySagas::planned
    pub fn planned(database: Database, plan: Plan) -> Self {
        Self { tables: SagaTables { plan: Some(plan) }, ..Self::new(database) }
    }

    /// The same without plans: a saga shows only what it has come to.
    pub fn new(database: Database) -> Self {
        let checkpoints = Checkpoints { model: NAME, generation: 0 };
        Self { batches: Batches { database, checkpoints }, tables: SagaTables { plan: None } }
    }

    /// Notes who is gone, and forgets what they once had done. That somebody is gone is never taken back, so it may be known
    /// before the rest of the batch; whoever carries on after a crash in between does it again.
    async fn part_from(&self, advance: &Advance<'_>, users: &[UserId]) -> Result<(), ApplyError> {
        let users = users.iter().map(|user| user.0).collect::<Vec<_>>();
        let mut transaction = self.batches.begin(ALONE).await?;
        self.batches.checkpoints.expect(&mut transaction, advance).await?;
        let noted = query("insert into saga_gone select unnest($1::uuid[]) order by 1 on conflict do nothing");
        noted.bind(&users).execute(&mut *transaction).await.map_err(unavailable)?;
        rows::forget_past_of(&mut transaction, &users).await.map_err(unavailable)?;
        Ok(transaction.commit().await.map_err(unavailable)?)
    }
}

/// What is written of sagas.
struct SagaTables {
    plan: Option<Plan>,
}

impl Tables for SagaTables {
    type Change = Change;

    const BEGIN: &'static str = "lock table saga_gone in row share mode";

    fn changes(&self, batch: &Batch<'_>) -> Result<Vec<Change>, ApplyError> {
        Ok(Change::all(batch, self.plan.as_ref()))
    }

    /// But for who is gone: they are parted from before.
    async fn write(transaction: &mut PgConnection, changes: Vec<Change>) -> Result<(), sqlx::Error> {
        let mut courses = Courses::load(transaction, &changes).await?;
        changes.into_iter().for_each(|change| courses.take_along(change));
        courses.write(transaction).await
    }
}

#[async_trait]
impl ReadModel for PostgresSagas {
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
        let mut changes = self.tables.changes(advance.batch)?;
        let gone = changes.extract_if(.., |change| matches!(change, Change::Gone { .. }));
        let gone = gone.filter_map(|change| change.who_is_gone()).collect::<Vec<_>>();
        in_time(async {
            if !gone.is_empty() {
                self.part_from(advance, &gone).await?;
            }
            self.batches.apply(&self.tables, advance, changes).await
        })
        .await
    }
}
