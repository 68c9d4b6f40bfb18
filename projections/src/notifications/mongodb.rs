//! Notifications in MongoDB, in the collections that `mongodb/migrations.rs` makes.
//!
//! `notifications` has the fields that its readers know from elsewhere, and the time once more in microseconds. The ids of
//! people and posts are text.

mod batch;
mod read;
mod write;

use super::Ids;
use super::change::Change;
use crate::checkpoint::Checkpoint;
use crate::mongodb::{Checkpoints, Database, Refused, WRITE_MAX, too_slow};
use crate::read_model::{Advance, ApplyError, Batch as Told, ReadModel, Unavailable};
use async_trait::async_trait;
use batch::Batch;
use events::{Keyring, UserId};
use journal::Partition;
use std::sync::Arc;
use tokio::time::timeout;

/// The read model of notifications, shared by all nodes.
pub struct MongoNotifications {
    database: Database,
    checkpoints: Checkpoints,
    ids: Ids,
}

impl MongoNotifications {
    /// The build that is in this database. The keyring's secrets make the ids.
    pub fn new(database: Database, keyring: Arc<dyn Keyring>) -> Self {
        let checkpoints = Checkpoints { database: database.clone(), model: super::NAME, generation: 0 };
        Self { database, checkpoints, ids: Ids(keyring) }
    }

    fn batch(&self, told: &Told<'_>) -> Result<Batch, ApplyError> {
        Ok(Batch::of(told.changes(|event, at, _| Ok(Change::of(event, at, &self.ids)))?))
    }

    async fn write(&self, advance: &Advance<'_>, batch: &Batch) -> Result<(), Refused> {
        self.checkpoints.prepare(advance).await?;
        if !batch.gone.is_empty() {
            self.forget(advance, &batch.gone).await?;
        }
        let database = self.database.checked().await?;
        let mut transaction = self.database.begin().await?;
        let written = async {
            self.checkpoints.advance(&mut transaction, advance).await?;
            batch.write(&mut transaction, database).await
        };
        let written = written.await;
        transaction.finish(written).await
    }

    /// Notes who is gone, and takes away what is of them and for them. That somebody is gone is never taken back, so it may
    /// be known before the rest of the batch; whoever carries on after a crash in between does it again.
    async fn forget(&self, advance: &Advance<'_>, users: &[UserId]) -> Result<(), Refused> {
        let database = self.database.checked().await?;
        let mut transaction = self.database.begin().await?;
        let noted = async {
            self.checkpoints.expect(&mut transaction, advance).await?;
            write::note_gone(&mut transaction, database, users).await
        };
        let noted = noted.await;
        transaction.finish(noted).await?;
        // Whoever has looked before who is gone has written by now, or never will.
        self.checkpoints.meet_all().await?;
        write::forget(database, users).await
    }

    /// Which commit of a batch it is that the database does not take: the last one of a beginning that it does not take,
    /// where it takes the rest of that.
    async fn culprit(&self, advance: &Advance<'_>, refused: String) -> Result<(), Refused> {
        let entries = &advance.batch.entries;
        let beginning = |length| Told { entries: entries[..length].to_vec(), opener: advance.batch.opener };
        let Some(mut error) = self.refusal(&beginning(entries.len())).await? else {
            return Err(Unavailable(format!("MongoDB: {refused}")).into());
        };
        let (mut taken, mut length) = (0, entries.len());
        while length - taken > 1 {
            let middle = usize::midpoint(taken, length);
            match self.refusal(&beginning(middle)).await? {
                Some(why) => (length, error) = (middle, why),
                None => taken = middle,
            }
        }
        let position = entries[length - 1].position;
        Err(ApplyError::Rejected { position, error: format!("MongoDB: {error}") }.into())
    }

    /// Why the database does not take this. Nothing is kept of what is written to learn it.
    async fn refusal(&self, told: &Told<'_>) -> Result<Option<String>, Refused> {
        let mut transaction = self.database.begin().await?;
        let written = self.batch(told)?.write(&mut transaction, self.database.checked().await?).await;
        transaction.roll_back().await?;
        match written {
            Err(Refused::Document(error)) => Ok(Some(error)),
            written => written.map(|()| None),
        }
    }
}

#[async_trait]
impl ReadModel for MongoNotifications {
    fn name(&self) -> &'static str {
        self.checkpoints.model
    }

    fn system(&self) -> Option<&'static str> {
        Some("mongodb")
    }

    fn generation(&self) -> u64 {
        self.checkpoints.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.checkpoints.load(partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let batch = self.batch(advance.batch)?;
        let written = async {
            match self.write(advance, &batch).await {
                Err(Refused::Document(error)) => self.culprit(advance, error).await,
                written => written,
            }
        };
        let (error, met) = match timeout(WRITE_MAX, written).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Refused::For(error))) => return Err(error),
            Ok(Err(Refused::Met(error))) => (Unavailable(format!("MongoDB: {error}")), true),
            Ok(Err(Refused::Document(error))) => (Unavailable(format!("MongoDB: {error}")), false),
            // What is no transaction waits for those that it meets.
            Err(_) => (too_slow(WRITE_MAX), true),
        };
        if met {
            self.database.end_idle_transactions().await;
        }
        Err(error.into())
    }
}
