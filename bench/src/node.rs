//! The product in this process, put together as `tidings serve` does: owners, router, read models and their runners.

use anyhow::{Context, Result, anyhow, bail};
use commands::{Answer, Owner, Request, Router};
use events::{Keyring, Timestamp};
use journal::embedded::{self, Embedded, StaticOwnership};
use journal::{Journal, JournalError, Ownership, Partition, Position, Rules};
use projections::{Feed, Posts, Projections, ProjectionsOptions, ReadModel, Runner, Sessions, Stop, Users};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

/// How long the read models may take to catch up with a load.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// How often a load is looked at.
const LOOK: Duration = Duration::from_millis(10);
const MODELS: [&str; 4] = [Users::NAME, Posts::NAME, Sessions::NAME, Feed::NAME];

/// See the module.
pub(crate) struct Node {
    pub(crate) router: Router,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) keyring: Arc<dyn Keyring>,
    projections: Projections,
    stop: CancellationToken,
    owners: JoinSet<Result<(), JournalError>>,
    runners: JoinSet<(Partition, Result<(), Stop>)>,
    _embedded: Embedded,
}

impl Node {
    /// Opens an empty directory; with or without feeding the read models.
    pub(crate) fn open(directory: &Path, reading: bool) -> Result<Self> {
        let embedded = embedded::open(directory, embedded::PARTITIONS_DEFAULT)?;
        let journal: Arc<dyn Journal> = embedded.log.clone();
        let keyring: Arc<dyn Keyring> = embedded.keyring.clone();
        let (projections, runners) = read_models(&journal, &keyring);
        let ownership: Arc<dyn Ownership> = Arc::new(StaticOwnership::new(journal.partitions()));
        let (router, owners) = Owner::of_all(&journal, &ownership, &sagas::processes(), |local| Arc::new(local));
        let stop = CancellationToken::new();
        let runners = if reading { projections::spawn(runners, &stop) } else { JoinSet::new() };
        let mut running = JoinSet::new();
        for owner in owners {
            running.spawn(owner.run(None, stop.clone()));
        }
        Ok(Self { router, journal, keyring, projections, stop, owners: running, runners, _embedded: embedded })
    }

    /// Waits until the read models hold all that the log holds; how long that took.
    pub(crate) async fn catch_up(&self) -> Result<Duration> {
        let begun = Instant::now();
        let ends = self.projections.ends().await?.into_iter();
        let last = |(partition, end): (Partition, u64)| Some(Position { partition, offset: end.checked_sub(1)? });
        let positions = ends.filter_map(last).collect::<Vec<_>>();
        let caught_up = self.projections.wait_for(&MODELS, &positions, begun + CATCH_UP_MAX).await;
        caught_up.map_err(|lag| anyhow!("the read models did not catch up: {lag}"))?;
        Ok(begun.elapsed())
    }

    /// What comes of a load, and the most records that the read models lacked at one moment of it.
    pub(crate) async fn watched<T>(&self, load: impl Future<Output = Result<T>>) -> (Result<T>, u64) {
        let mut load = pin!(load);
        let mut most = 0;
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                done = &mut load => return (done, most),
                _ = looks.tick() => match self.behind().await {
                    Ok(behind) => most = most.max(behind),
                    Err(error) => return (Err(error), most),
                },
            }
        }
    }

    /// The records that the read model which is furthest behind lacks, of all partitions.
    async fn behind(&self) -> Result<u64> {
        let mut behind = 0;
        for (partition, end) in self.projections.ends().await? {
            let models = MODELS.iter().filter_map(|model| self.projections.progress(model, partition));
            let least = models.map(|progress| progress.borrow().next).min();
            behind += end.saturating_sub(least.unwrap_or_default());
        }
        Ok(behind)
    }

    /// How many records the log holds.
    pub(crate) async fn records(&self) -> Result<u64> {
        Ok(self.projections.ends().await?.values().sum())
    }

    /// Stops it in order; an error if a part of it had ended by itself.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.owners.join_next().await {
            ended.context("an owner panicked")??;
        }
        while let Some(ended) = self.runners.join_next().await {
            ended.context("a runner panicked")?.1?;
        }
        Ok(())
    }
}

/// Empty read models over a log, and the runners that feed them.
pub(crate) fn read_models(journal: &Arc<dyn Journal>, keyring: &Arc<dyn Keyring>) -> (Projections, Vec<Runner>) {
    let models: Vec<Arc<dyn ReadModel>> =
        vec![Arc::<Users>::default(), Arc::<Posts>::default(), Arc::<Sessions>::default(), Arc::<Feed>::default()];
    Projections::new(ProjectionsOptions {
        journal: Arc::clone(journal),
        keyring: Arc::clone(keyring),
        models,
        clock: Arc::new(Timestamp::now),
        rules: Rules::default(),
    })
}

/// Submits a request that must take effect now.
pub(crate) async fn accept(router: &Router, request: Request) -> Result<()> {
    match router.submit(request).await {
        Answer::Accepted(_) | Answer::Ended(_, commands::Ended::Completed) => Ok(()),
        other => bail!("not accepted: {other:?}"),
    }
}
