//! What a server measures once a second while it runs.

use crate::backend::App;
use crate::read_models::SharedModels;
use crate::store::Store;
use crate::telemetry::Metrics;
use metrics::gauge;
use projections::ModelLag;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// How often measurements are folded together, and the log is asked how far it has come.
const UPKEEP: Duration = Duration::from_secs(1);

/// Measures what nobody measures in passing, and what must be asked for.
pub(super) async fn measure(metrics: &Metrics, app: &App, store: &Store, shared: &SharedModels) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metrics.0.run_upkeep();
        app.measure_runners();
        store.measure();
        shared.measure();
        let asked = Instant::now();
        match app.projections.lag().await {
            Ok(lags) => {
                app.hearsay.note(asked, &lags);
                lags.iter().for_each(show);
            }
            Err(error) => warn!("how far the read models are behind cannot be told: {error}"),
        }
    }
}

/// Apart from the rest: the database that they may be in may keep one waiting.
pub(super) async fn measure_sagas(app: &App) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = app.measure_sagas().await {
            warn!("how sagas get on cannot be told: {error}");
        }
    }
}

fn show(lag: &ModelLag) {
    let labels = [("model", lag.model.to_owned()), ("partition", lag.partition.to_string())];
    gauge!("tidings_model_lag_records", &labels).set(lag.records as f64 + lag.parked as f64);
    gauge!("tidings_model_lag_oldest_seconds", &labels).set(lag.oldest.unwrap_or_default().as_secs_f64());
}
