//! Every saga that is not over, and the last of those that are: where it stands, what it waits for, what happened to it.
//!
//! All events of a saga are on its key, so they come in order. Of those that have ended only the newest of each process
//! and partition are kept, so that memory does not grow with their number; the log has them all. Of somebody whose key is
//! destroyed none is kept that has ended, but their deletion itself.

mod history;
mod ledger;
mod names;
mod saga;
mod summary;
pub mod tables;
#[cfg(test)]
mod tests;

pub use history::{HISTORY_MAX, Happened, History};
pub use ledger::ENDED_MAX;
pub use saga::{SagaStatus, SagaView, StepPhase, StepView};
pub use summary::{SagaSummary, Waiting};

use crate::checkpoint::Checkpoint;
use crate::dated;
use crate::listing::{Listing, Page, Place};
use crate::read_model::{Advance, ApplyError, Entry, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use events::{Event, SagaData, SagaEvent, SagaId, Step, Timestamp, UserEvent, UserId};
use journal::Partition;
use ledger::{Change, Ledger};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The read model of sagas.
#[derive(Default)]
pub struct Sagas {
    store: Store<Ledger>,
    plan: Option<Plan>,
}

/// The steps that a saga with such data is to take, in the order in which they usually come, as far as they are known when
/// it begins. A pure function: what it returns stays with the saga.
pub type Plan = Arc<dyn Fn(&SagaData) -> Vec<Step> + Send + Sync>;

/// Which sagas are asked for; what is `None` does not matter.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SagaFilter {
    /// Where they stand.
    pub status: Option<SagaStatus>,
    /// Of which process.
    pub process: Option<String>,
    /// Whether they are [open](SagaStatus::is_open).
    pub open: Option<bool>,
    /// They began before this.
    pub older_than: Option<Timestamp>,
}

/// How many open sagas of a process stand where.
#[derive(Clone, PartialEq, Debug)]
pub struct Tally {
    /// The process.
    pub process: Arc<str>,
    /// Where they stand.
    pub status: SagaStatus,
    /// How many.
    pub count: usize,
    /// When the oldest of them began.
    pub oldest: Option<Timestamp>,
}

impl Sagas {
    /// Its name.
    pub const NAME: &'static str = "sagas";

    /// An empty read model that knows what a saga is to do; without a plan a saga shows only what it has come to.
    pub fn planned(plan: Plan) -> Self {
        Self { plan: Some(plan), ..Self::default() }
    }

    /// An empty read model of another build than the default one, without plans.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation), plan: None }
    }

    /// A saga, as it went last if it began several times; `None` if there is none, if it ended long ago (see
    /// [`ENDED_MAX`]), or if it was of somebody who is gone.
    pub fn saga(&self, saga: SagaId) -> Option<SagaView> {
        self.store.read().get(saga).cloned()
    }

    /// The sagas that the filter names, oldest first by (started_at, id).
    pub fn list(&self, filter: &SagaFilter, page: Page) -> Listing<SagaSummary> {
        let ledger = self.store.read();
        let places: Box<dyn Iterator<Item = Place>> = if filter.is_of_open() {
            Box::new(ledger.open(filter.process.as_deref(), filter.status, page.after))
        } else {
            Box::new(dated::oldest(&ledger.all, page.after))
        };
        let places = places.take_while(|(started_at, _)| filter.older_than.is_none_or(|time| *started_at < time));
        let item = |(_, id): Place| ledger.get(SagaId(id)).filter(|saga| filter.names(saga)).map(SagaSummary::of);
        Listing::of(page, places, item)
    }

    /// Open sagas that have not got on since then, and those that a person must look at, the oldest first: so many at
    /// most, and how many there are.
    pub fn stuck(&self, since: Timestamp, limit: usize) -> (Vec<SagaSummary>, usize) {
        let ledger = self.store.read();
        let open = ledger.open(None, None, None).filter_map(|(_, id)| ledger.get(SagaId(id)));
        let mut stuck = open.filter(|saga| saga.status == SagaStatus::CompensationFailed || saga.progressed_at < since);
        let shown = stuck.by_ref().take(limit).map(SagaSummary::of).collect::<Vec<_>>();
        let count = shown.len() + stuck.count();
        (shown, count)
    }

    /// How many sagas are open.
    pub fn count_open(&self) -> usize {
        self.store.read().tallied.values().map(BTreeSet::len).sum()
    }

    /// How many open sagas there are, by process and status.
    pub fn tallies(&self) -> Vec<Tally> {
        let ledger = self.store.read();
        let tallies = ledger.tallied.iter().map(|((process, status), sagas)| Tally {
            process: Arc::clone(process),
            status: *status,
            count: sagas.len(),
            oldest: sagas.first().map(|(started_at, _)| *started_at),
        });
        tallies.collect()
    }

    /// The open sagas on the user's own key, and those that began on the user's behalf.
    pub fn concerning(&self, user: UserId) -> Vec<SagaId> {
        self.store.read().concerning(user).collect()
    }

    /// What an event means here.
    fn change<'a>(&self, entry: Entry<'a>, event: &'a Event) -> Option<Change<'a>> {
        match event {
            Event::Saga(saga) => {
                let plan = match (saga, &self.plan) {
                    (SagaEvent::Started(started), Some(plan)) => plan(&started.data),
                    _ => Vec::new(),
                };
                Some(Change::Happened { entry, saga, event: event.wire_name().0, plan })
            }
            Event::User(UserEvent::KeyDestroyed(e)) => Some(Change::Gone { user: e.user }),
            Event::User(_)
            | Event::Session(_)
            | Event::Follow(_)
            | Event::Block(_)
            | Event::Mute(_)
            | Event::Post(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::FeedSlot(_)
            | Event::Claim(_) => None,
        }
    }
}

impl SagaFilter {
    /// Whether it names open sagas only.
    fn is_of_open(&self) -> bool {
        self.open == Some(true) || self.status.is_some_and(SagaStatus::is_open)
    }

    fn names(&self, saga: &SagaView) -> bool {
        self.status.is_none_or(|status| status == saga.status)
            && self.process.as_deref().is_none_or(|process| process == &*saga.process)
            && self.open.is_none_or(|open| open == saga.status.is_open())
    }
}

#[async_trait]
impl ReadModel for Sagas {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let entries = advance.batch.entries.iter();
        let events = entries.flat_map(|entry| entry.commit.events.iter().map(move |event| (*entry, event)));
        let changes = events.filter_map(|(entry, event)| self.change(entry, event)).collect::<Vec<_>>();
        self.store.write(advance, |ledger| changes.into_iter().for_each(|change| ledger.apply(change)))
    }
}
