//! Posts in PostgreSQL, in the tables of `migrations/0002_posts.sql`.

mod read;
mod stages;
mod write;

use super::change::Change;
use crate::checkpoint::Checkpoint;
use crate::postgres::{Checkpoints, Database, WRITE_MAX, too_slow, unavailable};
use crate::read_model::{Advance, ApplyError, Batch, ReadModel, Unavailable};
use async_trait::async_trait;
use events::UserId;
use journal::Partition;
use sqlx::{Postgres, Transaction, raw_sql};
use stages::Stage;
use tokio::time::timeout;

/// Whoever hears that somebody is gone waits for all who write, and these for them: each sees what the other wrote.
const ALONE: &str = "lock table gone in exclusive mode";
const BESIDE_OTHERS: &str = "lock table gone in row share mode";

/// The read model of posts, shared by all nodes.
pub struct PostgresPosts {
    database: Database,
    checkpoints: Checkpoints,
}

/// Why nothing of a batch was written.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error(transparent)]
    For(#[from] ApplyError),
    /// Some value of it is one that the database does not take.
    #[error("{0}")]
    Refused(sqlx::Error),
}

impl From<sqlx::Error> for NotWritten {
    fn from(error: sqlx::Error) -> Self {
        /// Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded.
        const FINAL: [&str; 3] = ["22", "23", "54"];
        let code = error.as_database_error().and_then(|error| error.code());
        match code {
            Some(code) if FINAL.iter().any(|class| code.starts_with(class)) => Self::Refused(error),
            _ => Self::For(unavailable(error).into()),
        }
    }
}

impl PostgresPosts {
    /// The build that is in this database.
    pub fn new(database: Database) -> Self {
        Self { database, checkpoints: Checkpoints { model: super::NAME, generation: 0 } }
    }

    async fn write(&self, advance: &Advance<'_>, changes: Vec<Change>) -> Result<(), NotWritten> {
        let (gone, changes) = stages::gone(changes);
        if !gone.is_empty() {
            self.hide(advance, &gone).await?;
        }
        let mut transaction = self.begin(BESIDE_OTHERS).await?;
        self.checkpoints.advance(&mut transaction, advance).await?;
        for stage in Stage::all(changes) {
            stage.write(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn begin(&self, lock: &'static str) -> Result<Transaction<'static, Postgres>, NotWritten> {
        let pool = self.database.writes().await.map_err(ApplyError::from)?;
        let mut transaction = pool.begin().await?;
        // Not together with `begin`: a transaction of which sqlx does not know yet is not rolled back when it is dropped.
        raw_sql(lock).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Notes who is gone, and hides what they have left, a part at a time: it may be much, and others write in between. That
    /// somebody is gone is never taken back, so it may be known before the rest of the batch; whoever carries on after a
    /// crash in between does it again.
    async fn hide(&self, advance: &Advance<'_>, users: &[UserId]) -> Result<(), NotWritten> {
        let users = users.iter().map(|user| user.0).collect::<Vec<_>>();
        let mut transaction = self.begin(ALONE).await?;
        self.checkpoints.expect(&mut transaction, advance).await?;
        write::note_gone(&mut transaction, &users).await?;
        transaction.commit().await?;
        loop {
            // Alone too: these rows are of all partitions, whose writers would meet it in another order.
            let mut transaction = self.begin(ALONE).await?;
            let hidden = write::hide_some_of(&mut transaction, &users).await?;
            transaction.commit().await?;
            if hidden == 0 {
                return Ok(());
            }
        }
    }

    /// Which commit of a batch it is that the database does not take. Nothing is kept of what is written to find it.
    async fn culprit(&self, advance: &Advance<'_>, refused: &sqlx::Error) -> Result<(), NotWritten> {
        let mut transaction = self.begin(BESIDE_OTHERS).await?;
        for entry in &advance.batch.entries {
            let one = Batch { entries: vec![*entry], opener: advance.batch.opener };
            let (_, changes) = stages::gone(one.changes(Change::of)?);
            for stage in Stage::all(changes) {
                stage.write(&mut transaction).await.map_err(|error| match error.into() {
                    NotWritten::Refused(error) => {
                        ApplyError::Rejected { position: entry.position, error: format!("PostgreSQL: {error}") }.into()
                    }
                    other => other,
                })?;
            }
        }
        Err(ApplyError::from(Unavailable(format!("PostgreSQL: {refused}"))).into())
    }
}

#[async_trait]
impl ReadModel for PostgresPosts {
    fn name(&self) -> &'static str {
        self.checkpoints.model
    }

    fn generation(&self) -> u64 {
        self.checkpoints.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.checkpoints.load(self.database.writes().await?, partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        let written = async {
            match self.write(advance, changes).await {
                Err(NotWritten::Refused(error)) => self.culprit(advance, &error).await,
                written => written,
            }
        };
        match timeout(WRITE_MAX, written).await.map_err(|_| too_slow(WRITE_MAX))? {
            Ok(()) => Ok(()),
            Err(NotWritten::For(error)) => Err(error),
            Err(NotWritten::Refused(error)) => Err(unavailable(error).into()),
        }
    }
}
