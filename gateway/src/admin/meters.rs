//! How many sagas are open, how old the oldest is, and which are stuck.

use crate::backend::Backend;
use events::{SagaId, Timestamp};
use metrics::gauge;
use parking_lot::Mutex;
use projections::sagas::{SagaFilter, SagaStatus, SagaSummary};
use projections::{Listing, Page};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Stuck sagas that are named, at most.
const STUCK_SHOWN_MAX: usize = 20;

/// What was measured before: what is there no more is measured once as nothing.
#[derive(Default)]
pub(crate) struct SagaMeters {
    shown: Mutex<BTreeSet<(Arc<str>, SagaStatus)>>,
}

/// A saga that has been open for too long, or that a person must look at.
pub(crate) struct Stuck {
    pub(crate) saga: SagaId,
    pub(crate) process: Arc<str>,
    pub(crate) status: SagaStatus,
    pub(crate) since: Timestamp,
}

impl Backend {
    /// Measures the sagas as they are now.
    pub(crate) fn measure_sagas(&self) {
        let now = Timestamp::now();
        let mut gone = std::mem::take(&mut *self.saga_meters.shown.lock());
        let mut shown = BTreeSet::new();
        for tally in self.models.sagas.tallies() {
            let name = (Arc::clone(&tally.process), tally.status);
            gone.remove(&name);
            let oldest = tally.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            set(&name, tally.count as f64, oldest);
            shown.insert(name);
        }
        gone.iter().for_each(|name| set(name, 0.0, 0.0));
        *self.saga_meters.shown.lock() = shown;
        gauge!("tidings_sagas_stuck").set(self.stuck_sagas().len() as f64);
    }

    /// Sagas that are stuck, the oldest first, at most [`STUCK_SHOWN_MAX`].
    pub(crate) fn stuck_sagas(&self) -> Vec<Stuck> {
        let page = Page { limit: STUCK_SHOWN_MAX, after: None };
        let failed = SagaFilter { status: Some(SagaStatus::CompensationFailed), ..SagaFilter::default() };
        let before = Timestamp(Timestamp::now().0 - i64::try_from(self.saga_stuck.as_micros()).unwrap_or(i64::MAX));
        let old = SagaFilter { open: Some(true), older_than: Some(before), ..SagaFilter::default() };
        let Listing { items: mut stuck, .. } = self.models.sagas.list(&failed, page);
        let known = stuck.iter().map(|saga| saga.id).collect::<BTreeSet<_>>();
        stuck.extend(self.models.sagas.list(&old, page).items.into_iter().filter(|saga| !known.contains(&saga.id)));
        stuck.truncate(STUCK_SHOWN_MAX);
        let of = |saga: SagaSummary| Stuck {
            saga: saga.id,
            process: saga.process,
            status: saga.status,
            since: saga.started_at,
        };
        stuck.into_iter().map(of).collect()
    }
}

fn set((process, status): &(Arc<str>, SagaStatus), count: f64, oldest_s: f64) {
    let labels = [("type", process.to_string()), ("status", status.to_string())];
    gauge!("tidings_sagas_open", &labels).set(count);
    gauge!("tidings_sagas_oldest_seconds", &labels).set(oldest_s);
}
