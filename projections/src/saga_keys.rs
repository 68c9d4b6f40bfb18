//! Where each open saga stands, under keys on a Redis server that others may look at: `saga:{id}` is there while the saga is
//! open, and says its process and the step that it waits for (`POST_CREATION:FEED_PENDING`), or its status between two steps.
//!
//! Nothing in here reads them. [`tables::tracking`] says the same of the sagas in memory, by
//! another way: the two are compared. `saga:{id}:steps` holds what the next value follows from, and goes with it.
//!
//! There is no `saga_lock:{id}`. A saga is driven by the one owner of its partition, whom the log fences; a lock that is written
//! from the log comes after the step that it is to guard, would be taken again by whoever reads an old log, and nobody here
//! would heed it if another tool held it. Whoever wants to act on a saga asks its owner.

use crate::checkpoint::Checkpoint;
use crate::opener::Opener;
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::redis::{Checkpoints, Keyspace};
use crate::sagas::{SagaStatus, tables};
use async_trait::async_trait;
use events::{Event, SagaEvent, SagaId, SealError, Timestamp};
use journal::Partition;
use redis::Script;

/// The name of the read model of these keys.
pub const NAME: &str = "saga_keys";

/// Changes in their order, each of so many arguments; what does not apply is empty.
const WIDTH: usize = 4;
const WRITE: &str = include_str!("saga_keys/write.lua");

/// The read model of these keys.
pub struct RedisSagaKeys {
    keys: Keyspace,
    checkpoints: Checkpoints,
    write: Script,
}

impl RedisSagaKeys {
    /// The build that is under these keys.
    pub fn new(keys: Keyspace) -> Self {
        let checkpoints = Checkpoints { model: NAME, generation: 0, passed: Default::default() };
        Self { keys, checkpoints, write: Checkpoints::script(WRITE) }
    }
}

#[async_trait]
impl ReadModel for RedisSagaKeys {
    fn name(&self) -> &'static str {
        self.checkpoints.model
    }

    fn system(&self) -> Option<&'static str> {
        Some("redis")
    }

    fn generation(&self) -> u64 {
        self.checkpoints.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.checkpoints.load(&self.keys, partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(change)?;
        let mut script = self.checkpoints.advance(&self.write, &self.keys, advance)?;
        script.arg(tables::pending_names().to_string());
        for change in &changes {
            script.arg(&change[..]);
        }
        self.checkpoints.carry_out(&self.keys, &script, advance).await
    }
}

/// What an event means to the script: what is to be done, with which saga, and what that needs.
fn change(event: &Event, _: Timestamp, _: &Opener) -> Result<Option<[String; WIDTH]>, SealError> {
    let Event::Saga(event) = event else { return Ok(None) };
    let change = match event {
        SagaEvent::Started(e) => on(e.saga, "started", &e.data.process, SagaStatus::Running.name()),
        SagaEvent::StepRequested(e) if e.compensation => on(e.saga, "undo requested", &e.step.0, "undoing"),
        SagaEvent::StepRequested(e) => on(e.saga, "requested", &e.step.0, "open"),
        SagaEvent::StepCompleted(e) => on(e.saga, "turned", &e.step.0, "done"),
        SagaEvent::StepRefused(e) => on(e.saga, "turned", &e.step.0, "refused"),
        SagaEvent::StepUndone(e) => on(e.saga, "turned", &e.step.0, "undone"),
        SagaEvent::Compensating(e) => on(e.saga, "stands", SagaStatus::Compensating.name(), ""),
        SagaEvent::CompensationFailed(e) => on(e.saga, "stands", SagaStatus::CompensationFailed.name(), ""),
        SagaEvent::RetryOrdered(e) => {
            on(e.saga, "stands", SagaStatus::Compensating.name(), SagaStatus::CompensationFailed.name())
        }
        SagaEvent::Completed(e) => on(e.saga, "ended", "", ""),
        SagaEvent::Compensated(e) => on(e.saga, "ended", "", ""),
        SagaEvent::StepRetried(_) | SagaEvent::StepAdvanced(_) | SagaEvent::CompensationOrdered(_) => return Ok(None),
    };
    Ok(Some(change))
}

fn on(saga: SagaId, what: &str, one: &str, other: &str) -> [String; WIDTH] {
    [what.to_owned(), saga.to_string(), one.to_owned(), other.to_owned()]
}
