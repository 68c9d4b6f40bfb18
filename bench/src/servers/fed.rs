//! Read models in a server over a log, fed by the real runners.

use super::place::Place;
use anyhow::{Context, Result, anyhow, ensure};
use events::{Keyring, Timestamp};
use journal::{Journal, Partition, Position, Rules};
use projections::{Projections, ProjectionsOptions, Stop};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long reading all of a log may take.
const CATCH_UP_MAX: Duration = Duration::from_secs(1_200);

/// See the module.
pub(super) struct Fed {
    pub(super) projections: Arc<Projections>,
    /// Those of the read models.
    pub(super) names: Vec<&'static str>,
    running: JoinSet<Result<(), Stop>>,
    stop: CancellationToken,
}

impl Fed {
    pub(super) async fn begin(journal: &Arc<dyn Journal>, keyring: &Arc<dyn Keyring>, place: &Place) -> Result<Self> {
        let shared = place.models(&**journal, keyring).await?;
        let names = shared.iter().map(|model| model.name()).collect();
        let options = ProjectionsOptions {
            journal: Arc::clone(journal),
            keyring: Arc::clone(keyring),
            models: Vec::new(),
            clock: Arc::new(Timestamp::now),
            rules: Rules::default(),
        };
        let (projections, _, runners) = Projections::with_shared(options, vec![shared]);
        let all = (0..journal.partitions()).map(Partition).collect();
        let (assignments, stop) = (watch::Sender::new(all), CancellationToken::new());
        let mut running = JoinSet::new();
        for runner in runners {
            running.spawn(runner.run(assignments.subscribe(), stop.clone()));
        }
        Ok(Self { projections: Arc::new(projections), names, running, stop })
    }

    /// Waits until they hold all that the log holds now.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let ends = self.projections.ends().await?.into_iter();
        let last = |(partition, end): (Partition, u64)| Some(Position { partition, offset: end.checked_sub(1)? });
        let positions = ends.filter_map(last).collect::<Vec<_>>();
        let caught_up = self.projections.wait_for(&self.names, &positions, Instant::now() + CATCH_UP_MAX).await;
        caught_up.map_err(|lag| anyhow!("the read models did not catch up: {lag}"))
    }

    /// Stops them; an error if one had ended by itself or has parked something.
    pub(super) async fn end(mut self) -> Result<()> {
        ensure!(self.projections.parked().is_empty(), "the read models have parked something");
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.context("a runner panicked")??;
        }
        Ok(())
    }
}
