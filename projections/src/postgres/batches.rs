//! Batches: written in one transaction with their checkpoint, and searched for what the database does not take.

use super::{Checkpoints, Database, WRITE_MAX, too_slow, unavailable};
use crate::checkpoint::Checkpoint;
use crate::read_model::{Advance, ApplyError, Batch, Unavailable};
use journal::Partition;
use pool::Transaction;
use sqlx::PgConnection;
use tokio::time::timeout;

/// The tables of a read model, and what events mean to them.
pub(crate) trait Tables: Send + Sync {
    /// What one event means, opened.
    type Change: Send;

    /// With which statement each transaction begins, before the checkpoint is moved; empty if with none.
    const BEGIN: &'static str = "";

    /// What a batch means.
    fn changes(&self, batch: &Batch<'_>) -> Result<Vec<Self::Change>, ApplyError>;

    /// Makes all of these changes, in bulk: no statement per change.
    fn write(
        transaction: &mut PgConnection,
        changes: Vec<Self::Change>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Writes the batches of one read model.
pub(crate) struct Batches {
    pub(crate) database: Database,
    pub(crate) checkpoints: Checkpoints,
}

/// Why nothing of a batch was written.
enum NotWritten {
    For(ApplyError),
    /// Some value of it is one that the database does not take.
    Refused(sqlx::Error),
}

impl From<ApplyError> for NotWritten {
    fn from(error: ApplyError) -> Self {
        Self::For(error)
    }
}

impl From<sqlx::Error> for NotWritten {
    fn from(error: sqlx::Error) -> Self {
        /// Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded.
        const FINAL: [&str; 3] = ["22", "23", "54"];
        /// Somebody else's row, of a transaction that was under way, has the same unique value: it is seen next time.
        const UNIQUE_VIOLATION: &str = "23505";
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some(UNIQUE_VIOLATION) => Self::For(unavailable(error).into()),
            Some(code) if FINAL.iter().any(|class| code.starts_with(class)) => Self::Refused(error),
            _ => Self::For(unavailable(error).into()),
        }
    }
}

impl Batches {
    pub(crate) async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.checkpoints.load(self.database.writes().await?, partition).await
    }

    /// Writes what a batch means, which is `changes`, with its checkpoint. The commit that the database does not take, if
    /// there is one, is [`ApplyError::Rejected`].
    pub(crate) async fn apply<T: Tables>(
        &self,
        tables: &T,
        advance: &Advance<'_>,
        changes: Vec<T::Change>,
    ) -> Result<(), ApplyError> {
        let written = match self.write::<T>(advance, changes).await {
            Err(NotWritten::Refused(error)) => self.culprit(tables, advance, &error).await,
            written => written,
        };
        written.map_err(|error| match error {
            NotWritten::For(error) => error,
            NotWritten::Refused(error) => unavailable(error).into(),
        })
    }

    /// Begins a transaction with this statement. Whoever gives it up leaves nothing open.
    pub(crate) async fn begin(&self, with: &'static str) -> Result<Transaction, ApplyError> {
        Ok(self.database.writes().await?.begin(with).await.map_err(unavailable)?)
    }

    async fn write<T: Tables>(&self, advance: &Advance<'_>, changes: Vec<T::Change>) -> Result<(), NotWritten> {
        if changes.is_empty() {
            let mut connection = self.database.writes().await.map_err(ApplyError::from)?.get().await?;
            self.checkpoints.advance(&mut connection, advance).await?;
            connection.give_back();
            return Ok(());
        }
        let mut transaction = self.begin(T::BEGIN).await?;
        self.checkpoints.advance(&mut transaction, advance).await?;
        T::write(&mut transaction, changes).await?;
        Ok(transaction.commit().await?)
    }

    /// Which commit of a batch it is that the database does not take. Nothing is kept of what is written to find it.
    async fn culprit<T: Tables>(
        &self,
        tables: &T,
        advance: &Advance<'_>,
        refused: &sqlx::Error,
    ) -> Result<(), NotWritten> {
        let mut transaction = self.begin(T::BEGIN).await?;
        for entry in &advance.batch.entries {
            let one = Batch { entries: vec![*entry], opener: advance.batch.opener };
            let written = T::write(&mut transaction, tables.changes(&one)?).await;
            written.map_err(|error| match error.into() {
                NotWritten::Refused(error) => {
                    ApplyError::Rejected { position: entry.position, error: format!("PostgreSQL: {error}") }.into()
                }
                other => other,
            })?;
        }
        Err(ApplyError::from(Unavailable(format!("PostgreSQL: {refused}"))).into())
    }
}

/// What writing comes to, at most after [`WRITE_MAX`].
pub(crate) async fn in_time(written: impl Future<Output = Result<(), ApplyError>>) -> Result<(), ApplyError> {
    timeout(WRITE_MAX, written).await.map_err(|_| too_slow(WRITE_MAX))?
}
