//! Puts a server together, watches over its parts, and takes it apart in order.
//!
//! One pass over each partition feeds the read models and the owner's state. HTTP listens from the beginning and says
//! "not yet" until all partitions are owned. Whatever ends by itself ends the server: it says so, finishes what is in
//! flight, and reports an error.

mod recovery;
mod upkeep;

use crate::admin::SagaMeters;
use crate::backend::{App, Backend, Models};
use crate::collector::Collector;
use crate::config::Config;
use crate::consistency::Consistency;
use crate::effects::{self, ServerEffects};
use crate::elsewhere::Elsewhere;
use crate::faces;
use crate::feed::Readings;
use crate::health::Stage;
use crate::hearsay::Hearsay;
use crate::listener::{ConnectionLimits, listen};
use crate::oidc::Oidc;
use crate::operator::AdminToken;
use crate::owners::{Entrance, Owners};
use crate::passwords::Passwords;
use crate::rate_limits::RateLimits;
use crate::read_models::SharedModels;
use crate::recent::Recent;
use crate::roles::Roles;
use crate::routes;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tokens::AccessTokens;
use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use commands::{Effects, Owner, Phase, Processes};
use events::Timestamp;
use journal::{Journal, JournalError, Ownership, Partition, Position, Rules};
use projections::sagas::Plan;
use projections::{Projections, ProjectionsOptions, ReadModel, SharedRunner, Stop};
use recovery::{Partitions, Ready, recover};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant as TokioInstant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

/// How far the clocks of nodes may be apart, and how late one may notice that it is behind, when it is reckoned until when
/// a request of somebody who is deleted may come.
const STRAGGLERS_MARGIN: Duration = Duration::from_secs(10);
/// How long owners, and then runners, may take to stop. Above the owner's own limit.
const STOP_MAX: Duration = Duration::from_secs(15);
/// How often a server that starts looks whether each partition has an owner by now.
const OWNER_LOOK: Duration = Duration::from_millis(20);

/// How long a server that starts waits for read models in servers to have what it has read itself: a moment is enough where
/// they were fed to the end before. Where they must be built again, or do not answer, it serves what there is.
const SHARED_MAX: Duration = Duration::from_secs(5);

/// A server that has its address, and its data directory if it is embedded, and is to be run.
pub struct Server {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    /// `None` if it is on servers that may not answer yet.
    store: Option<Store>,
    shared: SharedModels,
    collector: Collector,
    /// For commands of other nodes, where there can be some.
    internal: Option<TcpListener>,
    metrics: Metrics,
    stage: watch::Sender<Stage>,
}

/// What runs until the server stops.
struct Running {
    app: App,
    roles: Roles,
    feeding: Arc<dyn Ownership>,
    /// Takes commands of other nodes.
    internal: JoinSet<()>,
    owners: JoinSet<(Partition, Result<(), JournalError>)>,
    runners: JoinSet<(Partition, Result<(), Stop>)>,
    stop_internal: CancellationToken,
    stop_owners: CancellationToken,
    stop_runners: CancellationToken,
}

impl Server {
    /// Takes the address and the data directory. An error has changed nothing in the directory.
    pub async fn open(config: Config, metrics: Metrics) -> Result<Self> {
        config.check()?;
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("cannot serve on {}", config.listen))?;
        let address = listener.local_addr().context("the listener has no address")?;
        let shared = SharedModels::open(&config.read_models).await?;
        let collector = Collector::open(&config.traces)?;
        let store = if config.store.is_shared() { None } else { Some(Store::open(&config.store).await?) };
        let internal = match config.store.is_shared() {
            true => Some(
                TcpListener::bind(config.internal_listen)
                    .await
                    .with_context(|| format!("cannot take commands of other nodes on {}", config.internal_listen))?,
            ),
            false => None,
        };
        let stage = watch::Sender::new(Stage::CatchingUp);
        Ok(Self { config, listener, address, store, shared, collector, internal, metrics, stage })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The log of an embedded server, for whoever wants to watch it. Holding it keeps the data directory locked.
    pub fn journal(&self) -> Option<Arc<dyn Journal>> {
        self.store.as_ref().map(|store| Arc::clone(&store.journal))
    }

    /// Becomes true when it serves.
    pub fn ready(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut stage = self.stage.subscribe();
        async move { stage.wait_for(|stage| *stage == Stage::Serving).await.is_ok() }
    }

    /// Serves until told to stop, then finishes what is in flight.
    ///
    /// An error means that a part of it has ended by itself; everything acknowledged is in the log.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let Self { config, listener, address, store, mut shared, collector, internal, metrics, stage } = self;
        let version = env!("CARGO_PKG_VERSION");
        info!(version, %address, "Tidings {version} listens on http://{address}, with its data in {}", config.store);
        info!("roles: {}; read models: {shared}; traces: {collector}", Roles::of(&config));
        let (door, shown) = watch::channel(routes::not_yet("it has just begun"));
        let (stop_listening, mut listening) = (CancellationToken::new(), JoinSet::new());
        listening.spawn(listen(listener, shown, limits(&config), stop_listening.clone()));
        let store = match store {
            Some(store) => store,
            None => tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                opened = Store::wait_for(&config.store, |why| drop(door.send_replace(routes::not_yet(why)))) => opened?,
            },
        };
        shared.bind(&*store.journal, &store.keyring, plan(&config, &shared)).await?;
        let served = serve(&config, (&store, &shared, &collector), internal, &metrics, &stage, &door, stop);
        let (outcome, running) = tokio::select! {
            biased;
            served = served => served?,
            ended = listening.join_next() => bail!("the listener has ended: {ended:?}"),
        };
        if let Err(error) = &outcome {
            error!("stopping: {error:#}");
        }
        stage.send_modify(|stage| *stage = Stage::Draining { has_served: stage.has_served() });
        info!("draining");
        if outcome.is_ok() {
            sleep(Duration::from_millis(config.notice_ms)).await;
        }
        stop_listening.cancel();
        while listening.join_next().await.is_some() {}
        running.stop().await;
        drop(door);
        store.close().await?;
        collector.close().await;
        info!("stopped");
        outcome
    }
}

/// Serves until told to stop or until something ends by itself, and says which; what runs is still to be stopped.
async fn serve(
    config: &Config,
    (store, shared, collector): (&Store, &SharedModels, &Collector),
    internal: Option<TcpListener>,
    metrics: &Metrics,
    stage: &watch::Sender<Stage>,
    door: &watch::Sender<Router>,
    stop: CancellationToken,
) -> Result<(Result<()>, Running)> {
    let begun = Instant::now();
    let owners = Owners::new(store, &processes(config, shared), internal, config.internal_advertise.as_deref())?;
    let parts = assemble(config, (store, shared, collector), owners, metrics, stage.subscribe())?;
    let roles = Roles::of(config);
    let mut running = Running {
        app: Arc::clone(&parts.app),
        roles,
        feeding: feeding(store, roles, &parts.app.ownership)?,
        internal: JoinSet::new(),
        owners: JoinSet::new(),
        runners: JoinSet::new(),
        stop_internal: CancellationToken::new(),
        stop_owners: CancellationToken::new(),
        stop_runners: CancellationToken::new(),
    };
    let (app, projections) = (Arc::clone(&parts.app), Arc::clone(&parts.app.projections));
    let routes = if roles.gateway { routes::router } else { routes::plumbing };
    drop(door.send_replace(routes(parts.app)));
    for runner in parts.shared {
        let (partition, assigned, stop) =
            (runner.partition(), running.feeding.assignments(), running.stop_runners.clone());
        running.runners.spawn(async move { (partition, runner.run(assigned, stop).await) });
    }
    if let Some(entrance) = parts.entrance {
        running.internal.spawn(entrance.listen(Arc::clone(&projections), running.stop_internal.clone()));
    }
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        error = store.failed() => {
            parts.router.give_up();
            Err(error)
        }
        error = running.serve(parts.partitions, stage, begun) => Err(error),
        () = store.keep_anchors(&projections) => Ok(()),
        () = upkeep::measure(metrics, &app, store, shared) => Ok(()),
        () = upkeep::measure_sagas(&app) => Ok(()),
    };
    Ok((outcome, running))
}

/// The sagas that run here. Where all nodes share the sessions none is behind.
fn processes(config: &Config, shared: &SharedModels) -> Processes {
    // Who was let in a moment before the account was disabled may take as long as a request may to say what they want, and
    // then it may take as long to be decided as a write may. A node that is behind lets them in for longer.
    let own = Duration::from_millis(config.request_timeout_ms + config.write_deadline_ms);
    let lag_max = session_lag_max(config, shared).unwrap_or_default();
    sagas::processes(if config.store.is_shared() { own + lag_max + STRAGGLERS_MARGIN } else { own })
}

/// Who feeds shared read models from which partition: whoever owns it, where nodes do both.
fn feeding(store: &Store, roles: Roles, ownership: &Arc<dyn Ownership>) -> Result<Arc<dyn Ownership>> {
    if roles.owner && roles.projections { Ok(Arc::clone(ownership)) } else { store.feeding() }
}

/// What these sagas are to do.
fn plan(config: &Config, shared: &SharedModels) -> Plan {
    let processes = processes(config, shared);
    Arc::new(move |data| processes.plan(data))
}

/// How far a node may be behind others with the sessions, where it can be.
fn session_lag_max(config: &Config, shared: &SharedModels) -> Option<Duration> {
    let can_be = config.store.is_shared() && shared.sessions.is_none();
    can_be.then(|| Duration::from_millis(config.session_lag_max_ms))
}

fn limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        connections_max: config.connections_max,
        per_address_max: config.door.connections_per_address_max,
        trusted_proxies: config.door.trusted_proxies.clone().into(),
        head_timeout: Duration::from_millis(config.head_timeout_ms),
        write_timeout: Duration::from_millis(config.door.write_timeout_ms),
        drain_timeout: Duration::from_millis(config.drain_timeout_ms),
    }
}

/// What is made of a configuration.
struct Parts {
    app: App,
    entrance: Option<Entrance>,
    router: commands::Router,
    partitions: Partitions,
    shared: Vec<SharedRunner>,
}

fn assemble(
    config: &Config,
    (store, shared, collector): (&Store, &SharedModels, &Collector),
    owners: Owners,
    metrics: &Metrics,
    stage: watch::Receiver<Stage>,
) -> Result<Parts> {
    let Store { journal, keyring, .. } = store;
    let Owners { router, mut owners, ownership, entrance, elsewhere } = owners;
    let models = Models::of(plan(config, shared), shared, keyring);
    let options = ProjectionsOptions {
        journal: Arc::clone(journal),
        keyring: Arc::clone(keyring),
        models: own(&models, shared),
        clock: Arc::new(Timestamp::now),
        rules: Rules::default(),
    };
    let (projections, runners, shared_runners) = Projections::with_shared(options, shared.all());
    let projections = Arc::new(projections);
    let effects: Arc<dyn Effects> = Arc::new(ServerEffects::new(effects::Parts {
        router: router.clone(),
        keyring: Arc::clone(keyring),
        projections: Arc::clone(&projections),
        elsewhere: elsewhere.clone(),
        footprint: models.footprint(),
        clock: Arc::new(Timestamp::now),
        fresh: Arc::new(Uuid::now_v7),
    }));
    let traces = || collector.traces.clone();
    let runners = runners.into_iter().map(|runner| runner.with_traces(traces())).collect();
    let shared_runners = shared_runners.into_iter().map(|runner| runner.with_traces(traces())).collect();
    owners = owners.into_iter().map(|owner| owner.with_effects(Arc::clone(&effects)).with_traces(traces())).collect();
    let limits = config.limits();
    let document = serde_json::to_vec(&routes::openapi()).context("the document")?;
    let app = Arc::new(Backend {
        router: router.clone(),
        consistency: Consistency::new(
            Arc::clone(journal),
            Arc::clone(&projections),
            limits.read_wait,
            !config.store.is_shared(),
        ),
        hearsay: Hearsay::new(session_lag_max(config, shared)),
        tokens: AccessTokens::new(Arc::clone(keyring), config.issuer())?,
        oidc: Oidc::new(&config.oidc_issuers)?,
        admin_token: AdminToken::of(&config.store.data)?,
        processes: processes(config, shared).plans().map(|(name, _)| name).collect(),
        saga_stuck: Duration::from_secs(config.saga_stuck_s),
        keyring: Arc::clone(keyring),
        ownership,
        elsewhere: if shared.sessions.is_some() { Elsewhere::nowhere() } else { elsewhere },
        projections,
        models,
        known_faces: Recent::new(faces::KNOWN_MAX),
        readings: Readings::default(),
        passwords: Passwords::new(config.hashers())?,
        saga_meters: SagaMeters::default(),
        limits,
        rate_limits: Arc::new(RateLimits::new(config.door.rate_limits, shared.windows.clone())),
        trusted_proxies: config.door.trusted_proxies.clone(),
        origins: config.door.cors_origins.clone(),
        traces: traces(),
        stage,
        owners: owners.iter().map(Owner::status).collect(),
        metrics: metrics.0.clone(),
        document: document.into(),
    });
    let partitions = Partitions { journal: Arc::clone(journal), owners, runners };
    Ok(Parts { app, entrance, router, partitions, shared: shared_runners })
}

/// Every read model that this node feeds for itself. A new one is a line here.
fn own(models: &Models, shared: &SharedModels) -> Vec<Arc<dyn ReadModel>> {
    let Models { users, posts, sessions, feed, notifications, sagas } = models;
    let all: [Arc<dyn ReadModel>; 6] = [
        users.clone() as _,
        posts.clone() as _,
        sessions.clone() as _,
        feed.clone() as _,
        notifications.clone() as _,
        sagas.clone() as _,
    ];
    let shared = shared.all().concat();
    let is_own = |model: &Arc<dyn ReadModel>| shared.iter().all(|shared| shared.name() != model.name());
    all.into_iter().filter(is_own).collect()
}

impl Running {
    /// Brings the partitions up and watches over them; returns what has gone wrong.
    async fn serve(&mut self, partitions: Partitions, stage: &watch::Sender<Stage>, begun: Instant) -> anyhow::Error {
        if let Err(error) = self.bring_up(partitions, stage, begun).await {
            return error;
        }
        tokio::select! {
            Some(ended) = self.owners.join_next() => ended_by_itself("the owner", ended),
            Some(ended) = self.runners.join_next() => ended_by_itself("the runner", ended),
            Some(ended) = self.internal.join_next() => anyhow!("nobody takes commands of other nodes: {ended:?}"),
        }
    }

    async fn bring_up(&mut self, partitions: Partitions, stage: &watch::Sender<Stage>, begun: Instant) -> Result<()> {
        let mut recovering = recover(partitions, self.roles.owner);
        let mut owned = Vec::new();
        let (mut records, mut last) = (0, Vec::new());
        while let Some(recovered) = recovering.join_next().await {
            let Ready { owner, state, runner, records: read } = recovered??;
            records += read;
            last.extend(read.checked_sub(1).map(|offset| Position { partition: runner.partition(), offset }));
            owned.push(owner.status());
            let (partition, stop) = (runner.partition(), self.stop_runners.clone());
            self.app.models.sessions.expect(partition, read);
            self.app.models.feed.expect(partition, read);
            self.runners.spawn(async move { (partition, runner.run(stop).await) });
            let stop = self.stop_owners.clone();
            self.owners.spawn(async move {
                let ended = match state {
                    Some(state) => owner.run(Some(state), stop).await,
                    None => owner.decline(stop).await,
                };
                (partition, ended)
            });
        }
        // Not before: what is assigned to a node that still reads has no owner meanwhile.
        if self.roles.owner {
            self.app.ownership.enter();
        }
        if self.roles.projections {
            self.feeding.enter();
        }
        for mut owner in owned {
            let phase = owner.wait_for(|phase| matches!(phase, Phase::Owning | Phase::Idle | Phase::Stopped)).await;
            if !matches!(phase.as_deref(), Ok(Phase::Owning | Phase::Idle)) {
                // Its end, with the reason, is in the set of owners.
                return Ok(());
            }
        }
        while self.roles.gateway && self.app.without_owner().next().is_some() {
            sleep(OWNER_LOOK).await;
        }
        let names = self.app.projections.names().collect::<Vec<_>>();
        if let Err(lag) = self.app.projections.wait_for(&names, &last, TokioInstant::now() + SHARED_MAX).await
            && !lag.behind.is_empty()
        {
            warn!("serving although read models in servers are behind: {lag}");
        }
        stage.send_replace(Stage::Serving);
        let seconds = begun.elapsed().as_secs_f64();
        info!(records, seconds, "ready: {records} records read in {seconds:.2} s");
        Ok(())
    }

    /// Owners first, which finish what they have accepted; then those who asked from other nodes have their answers.
    /// Runners last.
    async fn stop(mut self) {
        self.stop_owners.cancel();
        drain("owners", &mut self.owners).await;
        let all = [Arc::clone(&self.app.ownership), Arc::clone(&self.feeding)];
        if spawn_blocking(move || all.iter().for_each(|part| part.leave())).await.is_err() {
            warn!("the partitions could not be handed over: others wait until this node is missed");
        }
        self.stop_internal.cancel();
        drain("connections of other nodes", &mut self.internal).await;
        self.stop_runners.cancel();
        drain("runners", &mut self.runners).await;
    }
}

async fn drain<T: 'static>(what: &str, tasks: &mut JoinSet<T>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(STOP_MAX, all).await.is_err() {
        warn!("the {what} did not stop in time");
        tasks.shutdown().await;
    }
}

fn ended_by_itself<E: std::error::Error + Send + Sync + 'static>(
    what: &str,
    ended: Result<(Partition, Result<(), E>), JoinError>,
) -> anyhow::Error {
    let why = || -> Result<()> {
        match ended {
            Ok((partition, Err(error))) => Err(error).with_context(|| format!("{what} of partition {partition}")),
            Ok((partition, Ok(()))) => bail!("{what} of partition {partition} has ended, although nobody asked it to"),
            Err(panic) => Err(panic).with_context(|| format!("{what} of a partition")),
        }
    };
    why().err().unwrap_or_else(|| anyhow!("{what} has ended"))
}
