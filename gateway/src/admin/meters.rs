//! How many sagas are open, how old the oldest is, and which are stuck; what runners do, and what has stopped in them.

use crate::backend::Backend;
use events::Timestamp;
use metrics::gauge;
use parking_lot::Mutex;
use projections::sagas::{SagaStatus, SagaSummary};
use projections::{RunnerState, Unavailable};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Stuck sagas that are named, at most.
const STUCK_SHOWN_MAX: usize = 20;

/// What was measured before: what is there no more is measured once as nothing.
#[derive(Default)]
pub(crate) struct SagaMeters {
    shown: Mutex<BTreeSet<(Arc<str>, SagaStatus)>>,
}

impl Backend {
    /// Measures the sagas as they are now.
    pub(crate) async fn measure_sagas(&self) -> Result<(), Unavailable> {
        let (tallies, now) = (self.models.sagas.tallies().await?, Timestamp::now());
        let mut gone = std::mem::take(&mut *self.saga_meters.shown.lock());
        let mut shown = BTreeSet::new();
        for tally in tallies {
            let name = (Arc::clone(&tally.process), tally.status);
            gone.remove(&name);
            let oldest = tally.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            set(&name, tally.count as f64, oldest);
            shown.insert(name);
        }
        gone.iter().for_each(|name| set(name, 0.0, 0.0));
        *self.saga_meters.shown.lock() = shown;
        gauge!("tidings_sagas_stuck").set(self.stuck_sagas().await?.1 as f64);
        Ok(())
    }

    /// Measures the runners of read models as they are now.
    pub(crate) fn measure_runners(&self) {
        for (models, health) in [("own", self.projections.health()), ("shared", self.projections.shared_health())] {
            for state in RunnerState::NAMES {
                let runners = health.iter().filter(|it| it.state.name() == state).count();
                gauge!("tidings_runners", "models" => models, "state" => state).set(runners as f64);
            }
        }
        for (model, keys) in self.projections.parked_keys() {
            gauge!("tidings_parked_keys", "model" => model).set(keys as f64);
        }
    }

    /// Sagas that have not got on for too long, or that a person must look at, the oldest first, at most
    /// [`STUCK_SHOWN_MAX`], and how many there are.
    pub(crate) async fn stuck_sagas(&self) -> Result<(Vec<SagaSummary>, usize), Unavailable> {
        let longest = i64::try_from(self.saga_stuck.as_micros()).unwrap_or(i64::MAX);
        self.models.sagas.stuck(Timestamp(Timestamp::now().0.saturating_sub(longest)), STUCK_SHOWN_MAX).await
    }
}

fn set((process, status): &(Arc<str>, SagaStatus), count: f64, oldest_s: f64) {
    let labels = [("type", process.to_string()), ("status", status.to_string())];
    gauge!("tidings_sagas_open", &labels).set(count);
    gauge!("tidings_sagas_oldest_seconds", &labels).set(oldest_s);
}
