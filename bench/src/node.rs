//! The product in this process, put together as `tidings serve` does: owners, router, read models and their runners.

use anyhow::{Context, Result, anyhow, bail, ensure};
use commands::{Answer, Owner, OwnerStatus, Phase, Request, Router};
use events::{Keyring, Timestamp};
use gateway::{Owners, Store, StoreConfig};
use journal::{Journal, JournalError, Ownership, Partition, Position, Rules};
use projections::{
    MemoryFeed, MemoryPosts, MemorySagas, MemorySessions, MemoryUsers, Projections, ProjectionsOptions, ReadModel,
    Runner, Sagas, Stop, feed, posts, sagas, sessions, users,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How long the read models may take to catch up with a load.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// How long nodes may take to share the partitions.
const SHARE_MAX: Duration = Duration::from_secs(60);
/// How often a load is looked at: rarely enough that asking a broker for the ends costs nothing to speak of.
const LOOK: Duration = Duration::from_millis(100);
const MODELS: [&str; 5] = [users::NAME, posts::NAME, sessions::NAME, feed::NAME, sagas::NAME];

/// See the module.
pub(crate) struct Node {
    pub(crate) router: Router,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) keyring: Arc<dyn Keyring>,
    ownership: Arc<dyn Ownership>,
    status: Vec<OwnerStatus>,
    projections: Arc<Projections>,
    sagas: Arc<MemorySagas>,
    stop: CancellationToken,
    owners: JoinSet<Result<(), JournalError>>,
    runners: JoinSet<(Partition, Result<(), Stop>)>,
    /// Takes commands of other nodes.
    entrance: JoinSet<()>,
    store: Store,
}

/// A log in a directory of its own.
pub(crate) fn embedded(directory: &Path) -> StoreConfig {
    StoreConfig {
        data: directory.to_owned(),
        partitions: None,
        kafka_brokers: None,
        kafka_topic: String::new(),
        kafka_properties: Vec::new(),
        kafka_properties_file: None,
        keyring_url: None,
        keyring_url_file: None,
        dev: false,
    }
}

impl Node {
    /// Opens an empty log, or joins the nodes that are on it; with or without feeding the read models.
    pub(crate) async fn open(config: &StoreConfig, reading: bool) -> Result<Self> {
        let store = Store::open(config).await?;
        let (journal, keyring) = (Arc::clone(&store.journal), Arc::clone(&store.keyring));
        let sagas = Arc::<MemorySagas>::default();
        let (projections, runners) = read_models(&journal, &keyring, &sagas);
        let listener = match config.kafka_brokers {
            Some(_) => Some(TcpListener::bind("127.0.0.1:0").await?),
            None => None,
        };
        let projections = Arc::new(projections);
        let Owners { router, owners, ownership, entrance, .. } =
            Owners::new(&store, &::sagas::processes(Duration::ZERO), listener, None)?;
        let stop = CancellationToken::new();
        let runners = if reading { projections::spawn(runners, &stop) } else { JoinSet::new() };
        let status = owners.iter().map(Owner::status).collect();
        let (mut running, mut entering) = (JoinSet::new(), JoinSet::new());
        for owner in owners {
            running.spawn(owner.run(None, stop.clone()));
        }
        if let Some(entrance) = entrance {
            entering.spawn(entrance.listen(Arc::clone(&projections), stop.clone()));
        }
        let (owners, entrance) = (running, entering);
        ownership.enter();
        Ok(Self {
            router,
            journal,
            keyring,
            ownership,
            status,
            projections,
            sagas,
            stop,
            owners,
            runners,
            entrance,
            store,
        })
    }

    /// Waits until this node owns so many partitions, and every other one is announced by another.
    pub(crate) async fn share(&self, owned: usize) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < SHARE_MAX {
            let own = self.status.iter().zip(0..).filter(|(status, _)| *status.borrow() == Phase::Owning);
            let own: BTreeSet<_> = own.map(|(_, partition)| Partition(partition)).collect();
            let announced: BTreeSet<_> = self.ownership.announcements().borrow().keys().copied().collect();
            if own.len() == owned && own.union(&announced).count() == self.status.len() {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        bail!("this node did not come to own {owned} partitions within {SHARE_MAX:?}")
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

    /// Sagas without an end, as the read model knows.
    pub(crate) async fn sagas_open(&self) -> Result<usize> {
        Ok(self.sagas.tallies().await?.iter().map(|tally| tally.count).sum())
    }

    /// Waits until every saga has its end, which comes shortly after what it is waited for.
    pub(crate) async fn let_sagas_end(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.catch_up().await?;
            match self.sagas_open().await? {
                0 => return Ok(()),
                open => ensure!(begun.elapsed() < CATCH_UP_MAX, "{open} sagas are open at last"),
            }
            sleep(LOOK).await;
        }
    }

    /// How long the oldest of them has been open.
    pub(crate) async fn oldest_saga(&self) -> Result<Duration> {
        let oldest = self.sagas.tallies().await?.iter().filter_map(|tally| tally.oldest).min();
        Ok(oldest.map(|oldest| Timestamp::now().since(oldest)).unwrap_or_default())
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
        while let Some(ended) = self.entrance.join_next().await {
            ended.context("the entrance for other nodes panicked")?;
        }
        let ownership = self.ownership;
        spawn_blocking(move || ownership.leave()).await?;
        self.store.close().await
    }
}

/// Empty read models over a log, and the runners that feed them.
pub(crate) fn read_models(
    journal: &Arc<dyn Journal>,
    keyring: &Arc<dyn Keyring>,
    sagas: &Arc<MemorySagas>,
) -> (Projections, Vec<Runner>) {
    let sagas: Arc<MemorySagas> = Arc::clone(sagas);
    let models: Vec<Arc<dyn ReadModel>> = vec![
        Arc::<MemoryUsers>::default(),
        Arc::<MemoryPosts>::default(),
        Arc::<MemorySessions>::default(),
        Arc::<MemoryFeed>::default(),
        sagas,
    ];
    Projections::new(ProjectionsOptions {
        journal: Arc::clone(journal),
        keyring: Arc::clone(keyring),
        models,
        clock: Arc::new(Timestamp::now),
        rules: Rules::default(),
    })
}

/// Submits a request that must take effect now; it may have had to be sent again, when a partition moved.
pub(crate) async fn accept(router: &Router, request: Request) -> Result<()> {
    match router.submit(request).await {
        Answer::Accepted(_) | Answer::Repeated(_) | Answer::Ended(_, commands::Ended::Completed) => Ok(()),
        other => bail!("not accepted: {other:?}"),
    }
}
