//! What sagas do outside the log: finding and deleting what a person left behind, waiting for read models, and making a
//! key unreadable.
//!
//! Whatever is deleted is deleted by commands to the owners, so the log stays the only source of truth: a read model only
//! says what is to be deleted. Since it may be behind, the last word is a sweep that ends at a place of the log which every
//! read model has passed.

mod footprint;

pub use footprint::{Footprint, Trace};

use crate::elsewhere::{Elsewhere, Passing, Waits};
use commands::{Answer, Clock, Effect, EffectFuture, Effects, Outcome, Refusal, Request, Router};
use events::{CommandId, Keyring, SagaId, UserId};
use futures::{StreamExt, stream};
use journal::{Offset, Partition, Position};
use projections::Projections;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Traces that are deleted as one part of an erasure.
const PART_MAX: usize = 256;
/// Commands of a part that are under way at one time: what a person does meanwhile must not wait for it.
const DELETING_MAX: usize = 32;
/// How long one of them may wait to be decided.
const DELETE_WITHIN: Duration = Duration::from_secs(5);
/// How long read models may take to pass a place, before the effect is tried again.
const PASS_WITHIN: Duration = Duration::from_secs(20);

/// Carries effects out over the read models of this node.
pub struct ServerEffects(Arc<Parts>);

/// What effects are carried out with.
pub struct Parts {
    /// The way to the owners.
    pub router: Router,
    /// The keys of people.
    pub keyring: Arc<dyn Keyring>,
    /// How far the read models are.
    pub projections: Arc<Projections>,
    /// And those of other nodes.
    pub elsewhere: Elsewhere,
    /// Finds what is left of somebody.
    pub footprint: Footprint,
    /// The wall clock.
    pub clock: Clock,
    /// Fresh ids, for the commands that delete.
    pub fresh: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

impl ServerEffects {
    /// Over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Effects for ServerEffects {
    fn carry_out(&self, saga: SagaId, effect: Effect) -> EffectFuture {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            let outcome = match effect {
                Effect::Erase(user) => parts.erase(user).await,
                Effect::Sweep(user) => parts.sweep(saga, user).await,
                Effect::PassReadModels(user) => parts.pass_read_models(user).await,
                Effect::DestroyKey(user) => parts.destroy_key(user).await,
            };
            outcome.unwrap_or_else(Outcome::Unknown)
        })
    }
}

const DONE: Outcome = Outcome::Done { version: None };

impl Parts {
    /// Deletes a part of what can be seen.
    async fn erase(&self, user: UserId) -> Result<Outcome, Waits> {
        let deleted = self.delete(user).await?;
        Ok(if deleted == 0 { DONE } else { Outcome::Progress(format!("{deleted} deleted")) })
    }

    /// The same, until nothing is left at an end of the log that is told now.
    async fn sweep(&self, saga: SagaId, user: UserId) -> Result<Outcome, Waits> {
        self.everything(user).await?.here(&self.projections).await?;
        let open = self.footprint.sagas_of(user).await.map_err(|error| error.to_string())?;
        if let Some(open) = open.into_iter().find(|open| *open != saga) {
            return Err(format!("saga {open} concerns them and is open"));
        }
        match self.delete(user).await? {
            0 if self.footprint.is_empty(user).await.map_err(|error| error.to_string())? => Ok(DONE),
            0 => Err("a read model still holds something of theirs that the log does not".to_owned()),
            deleted => Ok(Outcome::Progress(format!("{deleted} deleted in a sweep"))),
        }
    }

    async fn pass_read_models(&self, user: UserId) -> Result<Outcome, Waits> {
        let everything = self.everything(user).await?;
        everything.here(&self.projections).await?;
        self.elsewhere.passed(&everything).await?;
        Ok(DONE)
    }

    async fn destroy_key(&self, user: UserId) -> Result<Outcome, Waits> {
        self.keyring.destroy(user.into()).await.map_err(|error| error.to_string())?;
        Ok(DONE)
    }

    /// Deletes at most [`PART_MAX`] traces and waits until the read models have seen it; returns how many there were to
    /// delete.
    async fn delete(&self, user: UserId) -> Result<usize, Waits> {
        let traces = self.footprint.traces(user, PART_MAX).await.map_err(|error| error.to_string())?;
        let answers: Vec<Answer> = stream::iter(traces)
            .map(|trace| self.delete_one(user, trace))
            .buffer_unordered(DELETING_MAX)
            .collect()
            .await;
        let mut positions = BTreeMap::new();
        let (mut deleted, mut unanswered) = (0, None);
        for answer in answers {
            match answer {
                Answer::Accepted(receipt) | Answer::Repeated(receipt) | Answer::Unchanged(receipt) => {
                    deleted += 1;
                    let Position { partition, offset } = receipt.position;
                    let newest = positions.entry(partition).or_insert(offset);
                    *newest = offset.max(*newest);
                }
                // It is gone already.
                Answer::Refused(Refusal::NotFound) => {}
                answer => unanswered = Some(format!("a command to delete was answered {answer:?}")),
            }
        }
        let ends = positions.into_iter().map(|(partition, offset)| (partition, offset + 1)).collect();
        self.passing(&ends).here(&self.projections).await?;
        unanswered.map_or(Ok(deleted), Err)
    }

    async fn delete_one(&self, user: UserId, trace: Trace) -> Answer {
        let (key, command) = trace.deletion(user);
        let id = CommandId((self.fresh)());
        let request = Request::new(id, key, command, (self.clock)(), Instant::now() + DELETE_WITHIN);
        self.router.submit(Request { actor: Some(user), ..request }).await
    }

    /// All that stands in the log by now, for all read models, and nothing parked that concerns the person.
    async fn everything(&self, user: UserId) -> Result<Passing, Waits> {
        let ends = self.projections.ends().await.map_err(|error| format!("the log cannot be read: {error}"))?;
        Ok(Passing { concerning: Some(user), ..self.passing(&ends) })
    }

    /// All that lies before these ends.
    fn passing(&self, ends: &BTreeMap<Partition, Offset>) -> Passing {
        let last = |(partition, end): (&Partition, &Offset)| {
            Some(Position { partition: *partition, offset: end.checked_sub(1)? })
        };
        Passing {
            models: self.projections.names().map(str::to_owned).collect(),
            last: ends.iter().filter_map(last).collect(),
            concerning: None,
            within_ms: u64::try_from(PASS_WITHIN.as_millis()).expect("seconds"),
        }
    }
}
