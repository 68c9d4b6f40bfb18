//! Sagas in memory: built from the log at every start.

mod ledger;
#[cfg(test)]
pub(super) mod tests;

use super::change::Change;
use super::{NAME, Plan, SagaFilter, SagaStatus, SagaSummary, SagaView, Sagas, Tally};
use crate::checkpoint::Checkpoint;
use crate::dated;
use crate::listing::{Listing, Page, Place};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use events::{SagaId, Timestamp, UserId};
use journal::Partition;
use ledger::Ledger;
use std::sync::Arc;

/// The read model of sagas, in memory.
#[derive(Default)]
pub struct MemorySagas {
    store: Store<Ledger>,
    plan: Option<Plan>,
}

impl MemorySagas {
    /// An empty read model that knows what a saga is to do; without a plan a saga shows only what it has come to.
    pub fn planned(plan: Plan) -> Self {
        Self { plan: Some(plan), ..Self::default() }
    }

    /// An empty read model of another build than the default one, without plans.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation), plan: None }
    }
}

#[async_trait]
impl Sagas for MemorySagas {
    async fn saga(&self, saga: SagaId) -> Result<Option<SagaView>, Unavailable> {
        Ok(self.store.read().get(saga).cloned())
    }

    async fn list(&self, filter: &SagaFilter, page: Page) -> Result<Listing<SagaSummary>, Unavailable> {
        let ledger = self.store.read();
        let places: Box<dyn Iterator<Item = Place>> = if filter.is_of_open() {
            Box::new(ledger.open(filter.process.as_deref(), filter.status, page.after))
        } else {
            Box::new(dated::oldest(&ledger.all, page.after))
        };
        let places = places.take_while(|(started_at, _)| filter.older_than.is_none_or(|time| *started_at < time));
        let item = |(_, id): Place| ledger.get(SagaId(id)).filter(|saga| filter.names(saga)).map(SagaSummary::of);
        Ok(Listing::of(page, places, item))
    }

    async fn stuck(&self, since: Timestamp, limit: usize) -> Result<(Vec<SagaSummary>, usize), Unavailable> {
        let ledger = self.store.read();
        let open = ledger.open(None, None, None).filter_map(|(_, id)| ledger.get(SagaId(id)));
        let mut stuck = open.filter(|saga| saga.status == SagaStatus::CompensationFailed || saga.progressed_at < since);
        let shown = stuck.by_ref().take(limit).map(SagaSummary::of).collect::<Vec<_>>();
        let count = shown.len() + stuck.count();
        Ok((shown, count))
    }

    async fn tallies(&self) -> Result<Vec<Tally>, Unavailable> {
        let ledger = self.store.read();
        let tallies = ledger.tallied.iter().map(|((process, status), sagas)| Tally {
            process: Arc::clone(process),
            status: *status,
            count: sagas.len(),
            oldest: sagas.first().map(|(started_at, _)| *started_at),
        });
        Ok(tallies.collect())
    }

    async fn concerning(&self, user: UserId) -> Result<Vec<SagaId>, Unavailable> {
        Ok(self.store.read().concerning(user).collect())
    }
}

#[async_trait]
impl ReadModel for MemorySagas {
    fn name(&self) -> &'static str {
        NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = Change::all(advance.batch, self.plan.as_ref());
        self.store.write(advance, |ledger| changes.into_iter().for_each(|change| ledger.apply(change)))
    }
}
