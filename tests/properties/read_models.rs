//! The read models against the plain fold: fed by hand, to reach every interleaving, and by the real runners; and where one
//! of them is in a server, the same once more.

use crate::answers::Models;
use crate::fold::fold;
use crate::history::{Decision, SAGAS, USERS, append, histories, saga, user};
use crate::log::{MemoryKeys, MemoryLog};
use async_trait::async_trait;
use events::{Event, Timestamp, UserEvent, UserId};
use futures::FutureExt;
use futures::future::join_all;
use journal::{DecodedCommit, Partition, Position, Reader, Rules};
use parking_lot::Mutex;
use projections::redis::Keyspace;
use projections::sagas::tables;
use projections::{
    Advance, ApplyError, Batch, Checkpoint, Entry, FeedLimits, MemoryFeed, MemoryPosts, MemorySagas, MemorySessions,
    MemoryUsers, MongoNotifications, Opener, PostgresPosts, PostgresSagas, PostgresUsers, Projections,
    ProjectionsOptions, ReadModel, RedisFeed, RedisSagaKeys, RedisSessions, Unavailable, spawn,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::services::{Services, everything_under};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u32 = 3;
/// At most; one of them is there only where it is in a server.
const MODELS: usize = 7;
/// How often a write is tried again that others are in the way of.
const AGAIN_MAX: usize = 3;
/// A question to a server costs a round trip, and a case asks about a thousand.
const SERVER_CASES: u32 = 100;

/// Something that happens to the workers.
#[derive(Clone, Debug)]
enum Step {
    /// A worker applies the next commits of a partition to those of the models that the mask names.
    Apply { partition: u8, commits: usize, models: u8 },
    /// Workers apply the next commits of every partition to a model at the same moment.
    Together { model: usize, commits: usize },
    /// A worker that was paused carries out what it was about to do back then, or does it once more.
    Stale { call: prop::sample::Index },
    /// A model crashes and comes back as it was after this many of its writes.
    Crash { model: usize, writes: prop::sample::Index },
    /// The keys are destroyed of which the log says it, here or further on.
    DestroyKeys,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let apply = (0..PARTITIONS as u8, 0..6_usize, 0..128_u8);
    let step = prop_oneof![
        6 => apply.prop_map(|(partition, commits, models)| Step::Apply { partition, commits, models }),
        2 => (0..MODELS, 0..20_usize).prop_map(|(model, commits)| Step::Together { model, commits }),
        2 => any::<prop::sample::Index>().prop_map(|call| Step::Stale { call }),
        1 => (0..MODELS, any::<prop::sample::Index>()).prop_map(|(model, writes)| Step::Crash { model, writes }),
        1 => Just(Step::DestroyKeys),
    ];
    prop::collection::vec(step, 0..40)
}

/// One attempt to write.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) model: usize,
    pub(crate) partition: Partition,
    pub(crate) expected: Checkpoint,
    pub(crate) commits: Range<usize>,
    pub(crate) new: Checkpoint,
}

pub(crate) struct Workers {
    pub(crate) models: Models,
    /// Which of the models are in a server: what is written there survives the worker that wrote it.
    surviving: &'static [usize],
    /// By partition: all commits, and where a reader stands that has read all.
    log: Vec<(Vec<DecodedCommit>, journal::Checkpoint)>,
    opener: Opener,
    /// The same after the keys are destroyed of which the log says it.
    without_keys: Option<Opener>,
    /// Every attempt so far, also those that a crash has undone.
    calls: Vec<Call>,
    /// What each model holds.
    held: [Vec<Call>; MODELS],
}

impl Workers {
    /// Before the first write, over these models, which are empty.
    pub(crate) fn new(log: &Arc<MemoryLog>, keys: &MemoryKeys, models: Models, surviving: &'static [usize]) -> Self {
        let read = |n| {
            let mut reader = now(Reader::from_start(Arc::clone(log) as _, Partition(n))).unwrap();
            let commits = now(reader.commits()).unwrap();
            assert!(now(reader.commits()).unwrap().is_empty());
            (commits, reader.checkpoint())
        };
        let log = (0..PARTITIONS).map(read).collect::<Vec<_>>();
        let commits = log.iter().flat_map(|(commits, _)| commits).map(|decoded| &decoded.commit);
        // Whoever reads that a key is destroyed destroys it.
        let opener =
            now(Opener::fetch(keys, commits.clone().filter(|commit| !destroys_a_key(&commit.events)))).unwrap();
        let without_keys = Some(now(Opener::fetch(keys, commits)).unwrap());
        Self { models, surviving, log, opener, without_keys, calls: Vec::new(), held: Default::default() }
    }

    pub(crate) async fn stored(&self, model: usize, partition: Partition) -> Checkpoint {
        let genesis = || Checkpoint::genesis(0, "in memory", partition);
        self.models.all()[model].checkpoint(partition).await.unwrap().unwrap_or_else(genesis)
    }

    pub(crate) async fn apply(&mut self, model: usize, partition: Partition, count: usize) {
        if model == self.models.all().len() {
            return;
        }
        let call = self.next(model, partition, count).await;
        self.call(call).await;
    }

    /// How many commits there are in a partition.
    pub(crate) fn commits(&self, partition: Partition) -> usize {
        self.log[partition.0 as usize].0.len()
    }

    /// What a worker that knows what is stored would write.
    pub(crate) async fn next(&self, model: usize, partition: Partition, count: usize) -> Call {
        let expected = self.stored(model, partition).await;
        let (commits, end) = &self.log[partition.0 as usize];
        let from = commits.partition_point(|decoded| decoded.position.offset < expected.at.next);
        let to = commits.len().min(from.saturating_add(count));
        let at = match commits[from..to].last() {
            _ if to == commits.len() => *end,
            Some(last) => last.after,
            None => expected.at,
        };
        let new = expected.succeed(at);
        Call { model, partition, expected, commits: from..to, new }
    }

    async fn together(&mut self, model: usize, count: usize) {
        if model == self.models.all().len() {
            return;
        }
        let calls = join_all((0..PARTITIONS).map(|n| self.next(model, Partition(n), count))).await;
        let written = join_all(calls.iter().map(|call| self.write_in_the_end(call))).await;
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        self.held[model].extend(calls.iter().cloned());
        self.calls.extend(calls);
    }

    /// Writes if nobody has written since, and changes nothing otherwise.
    async fn call(&mut self, call: Call) {
        let before = self.stored(call.model, call.partition).await;
        let result = self.write_in_the_end(&call).await;
        if before.is_same(&call.expected) {
            assert_eq!(result, Ok(()));
            self.held[call.model].push(call.clone());
        } else {
            assert_eq!(result, Err(ApplyError::Fenced));
            assert_eq!(self.stored(call.model, call.partition).await, before);
        }
        self.calls.push(call);
    }

    /// Of two who write the same rows at once, or meet a transaction that is being ended, one may have to do it again.
    async fn write_in_the_end(&self, call: &Call) -> Result<(), ApplyError> {
        let mut written = self.write(call).await;
        for _ in 0..AGAIN_MAX {
            if let Err(ApplyError::Unavailable(_)) = written {
                written = self.write(call).await;
            }
        }
        written
    }

    pub(crate) async fn write(
        &self,
        Call { model, partition, expected, commits, new }: &Call,
    ) -> Result<(), ApplyError> {
        let (all, _) = &self.log[partition.0 as usize];
        let entries = all[commits.clone()].iter().map(Entry::from).collect();
        let batch = Batch { entries, opener: &self.opener };
        self.models.all()[*model].apply(&Advance { partition: *partition, expected, batch: &batch, new }).await
    }

    async fn crash(&mut self, model: usize, writes: usize) {
        match model {
            survives if self.surviving.contains(&survives) => return,
            0 => self.models.users = Arc::<MemoryUsers>::default(),
            1 => self.models.posts = Arc::<MemoryPosts>::default(),
            2 => self.models.sessions = Arc::<MemorySessions>::default(),
            3 => self.models.feed = Arc::<MemoryFeed>::default(),
            4 => self.models.sagas = Arc::<MemorySagas>::default(),
            5 => self.models.notifications = Models::default().notifications,
            _ => return,
        }
        self.held[model].truncate(writes);
        for call in &self.held[model] {
            assert_eq!(self.write(call).await, Ok(()));
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            &Step::Apply { partition, commits, models } => {
                for model in (0..MODELS).filter(|model| models & (1 << model) != 0) {
                    self.apply(model, Partition(partition.into()), commits).await;
                }
            }
            Step::Together { model, commits } => self.together(*model, *commits).await,
            Step::Stale { call } if !self.calls.is_empty() => {
                let call = call.get(&self.calls).clone();
                self.call(call).await;
            }
            Step::Stale { .. } => {}
            Step::Crash { model, writes } => {
                let writes = writes.index(self.held[*model].len() + 1);
                self.crash(*model, writes).await;
            }
            Step::DestroyKeys => {
                if let Some(opener) = self.without_keys.take() {
                    self.opener = opener;
                }
            }
        }
    }

    async fn finish(&mut self) {
        for model in 0..MODELS {
            for n in 0..PARTITIONS {
                self.apply(model, Partition(n), usize::MAX).await;
            }
        }
    }
}

/// In memory nothing ever waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn destroys_a_key(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::User(UserEvent::KeyDestroyed(_))))
}

/// Of whoever reads the log when it says that a key is destroyed: for them it has been destroyed from the beginning. Whoever
/// read with the key what it sealed must end with the same answers.
fn with_those_in_the_log(destroyed: &BTreeSet<UserId>, history: &[Decision]) -> BTreeSet<UserId> {
    let events = history.iter().flat_map(|decision| &decision.events);
    let gone = events.filter_map(|event| match event {
        Event::User(UserEvent::KeyDestroyed(gone)) => Some(gone.user),
        _ => None,
    });
    destroyed.iter().copied().chain(gone).collect()
}

fn destroyed_users() -> impl Strategy<Value = BTreeSet<UserId>> {
    prop::collection::btree_set((0..USERS).prop_map(user), 0..2)
}

fn config(cases: u32) -> ProptestConfig {
    // A failing history is shown whole; nothing is left beside the sources.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A history, and what happens to those who apply it.
#[derive(Clone, Debug)]
struct Course {
    history: Vec<Decision>,
    steps: Vec<Step>,
    destroyed: BTreeSet<UserId>,
    limit: usize,
}

fn courses() -> impl Strategy<Value = Course> {
    (histories(300), steps(), destroyed_users(), 1..5_usize).prop_map(|(history, steps, destroyed, limit)| Course {
        history,
        steps,
        destroyed,
        limit,
    })
}

/// Limits that a few posts and people reach, and others that they do not.
fn feed_limits() -> impl Strategy<Value = FeedLimits> {
    (1..4_usize, 0..2_usize, 0..5_usize).prop_map(|(kept, more, pushed)| FeedLimits { kept, max: kept + more, pushed })
}

impl Course {
    /// Runs it over these models, of which some are in servers, and compares every answer with that of a clean fold. Counts
    /// are looked at after each of `looks` steps as well.
    async fn check(&self, models: Models, surviving: &'static [usize], looks: usize) {
        let Self { history, steps, destroyed, limit } = self;
        let log = MemoryLog::new(PARTITIONS);
        for decision in history {
            append(&log, decision);
        }
        let keys = MemoryKeys { destroyed: destroyed.clone(), ..MemoryKeys::default() };
        let mut workers = Workers::new(&log, &keys, models, surviving);
        for (step, n) in steps.iter().zip(1..) {
            workers.step(step).await;
            if n % looks == 0 {
                workers.models.check_counts().await;
            }
        }
        workers.finish().await;
        let destroyed = with_those_in_the_log(destroyed, history);
        workers.models.answers(*limit).await.check(&fold(history, &destroyed, PARTITIONS));
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn any_interleaving_with_duplicates_and_crashes_gives_the_answers_of_a_clean_fold(course in courses()) {
        now(course.check(Models::default(), &[], 1));
    }
}

proptest! {
    #![proptest_config(config(SERVER_CASES))]

    #[test]
    fn so_it_does_where_users_posts_and_sagas_are_in_postgresql_and_sessions_in_redis(course in courses()) {
        if let Some(services) = Services::from_env() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let database = services.fresh_database().await;
                let users = Arc::new(PostgresUsers::new(database.clone()));
                let posts = Arc::new(PostgresPosts::new(database.clone()));
                let sagas = Arc::new(PostgresSagas::new(database));
                let keys = services.fresh_keyspace().await;
                keys.bind("in memory", PARTITIONS).await.unwrap();
                let sessions = Arc::new(RedisSessions::new(keys.clone()));
                course.check(Models { users, posts, sessions, sagas, ..Models::default() }, &[0, 1, 2, 4], 16).await;
                keys.delete().await.unwrap();
            });
        }
    }

    #[test]
    fn so_it_does_where_feeds_are_in_redis_whatever_its_limits_are(course in courses(), limits in feed_limits()) {
        if let Some(services) = Services::from_env() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let keys = services.fresh_keyspace().await;
                keys.bind("in memory", PARTITIONS).await.unwrap();
                let feed = Arc::new(RedisFeed::with_limits(keys.clone(), limits));
                course.check(Models { feed, ..Models::default() }, &[3], 16).await;
                keys.delete().await.unwrap();
            });
        }
    }

    #[test]
    fn the_keys_of_sagas_in_redis_say_what_the_sagas_in_memory_do(course in courses()) {
        if let Some(services) = Services::from_env() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let url = services.fresh_redis_url();
                let keys = Keyspace::open(&url).await.unwrap();
                keys.bind("in memory", PARTITIONS).await.unwrap();
                let saga_keys = Some(Arc::new(RedisSagaKeys::new(keys.clone())) as _);
                let models = Models { saga_keys, ..Models::default() };
                course.check(models.clone(), &[0, 1, 2, 3, 4, 5, 6], 16).await;
                assert_eq!(keys_of_sagas(&url).await, open_sagas(&models).await);
                keys.delete().await.unwrap();
            });
        }
    }

    #[test]
    fn so_it_does_where_notifications_are_in_mongodb(course in courses()) {
        if let Some(services) = Services::from_env() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let database = services.fresh_mongodb().await;
                let notifications = MongoNotifications::new(database.clone(), Arc::new(MemoryKeys::default()));
                let models = Models { notifications: Arc::new(notifications), ..Models::default() };
                course.check(models, &[5], 16).await;
                database.delete().await.unwrap();
            });
        }
    }
}

/// What stands under `saga:`, in order; what the values follow from is there for each of them, and for nothing else.
async fn keys_of_sagas(url: &str) -> Vec<String> {
    let prefix = url.split_once("prefix=").unwrap().1;
    let all = everything_under(url).await.unwrap();
    let all = all.iter().filter_map(|held| held.strip_prefix(prefix)).filter(|held| held.starts_with("saga:"));
    let (steps, mut keys) = all.map(str::to_owned).partition::<Vec<_>, _>(|held| held.contains(":steps "));
    assert_eq!(steps.len(), keys.len());
    keys.sort();
    keys
}

/// What must stand there.
async fn open_sagas(models: &Models) -> Vec<String> {
    let mut keys = Vec::new();
    for n in 0..SAGAS {
        let open = models.sagas.saga(saga(n)).await.unwrap().filter(|saga| saga.status.is_open());
        keys.extend(open.map(|saga| format!("saga:{} {}", saga.id, tables::tracking(&saga))));
    }
    keys.sort();
    keys
}

/// A read model that rejects what it is told to, until it is told otherwise.
struct Picky {
    inner: Arc<dyn ReadModel>,
    poison: Arc<Mutex<BTreeSet<Position>>>,
}

#[async_trait]
impl ReadModel for Picky {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.inner.checkpoint(partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let mut entries = advance.batch.entries.iter();
        match entries.find(|entry| self.poison.lock().contains(&entry.position)) {
            Some(entry) => Err(ApplyError::Rejected { position: entry.position, error: "poison".to_owned() }),
            None => self.inner.apply(advance).await,
        }
    }
}

/// One part of a history, and what happens around it.
#[derive(Clone, Debug)]
struct Part {
    commits: usize,
    /// How far the runners come meanwhile.
    turns: usize,
    restart: bool,
    /// Which of the commits cannot be applied for now.
    poison: Option<prop::sample::Index>,
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = (1..40_usize, 0..30_usize, any::<bool>(), prop::option::of(any::<prop::sample::Index>()));
    let part = part.prop_map(|(commits, turns, restart, poison)| Part { commits, turns, restart, poison });
    prop::collection::vec(part, 1..10)
}

/// Runs the real runners over a history that grows meanwhile, with restarts and poison that is healed in the end.
async fn run_parts(history: &[Decision], parts: Vec<Part>, keys: MemoryKeys, models: &Models) {
    let (log, keys) = (MemoryLog::new(PARTITIONS), Arc::new(keys));
    let poison: Arc<Mutex<BTreeSet<Position>>> = Arc::default();
    let start = || {
        let picky = |inner| Arc::new(Picky { inner, poison: Arc::clone(&poison) }) as Arc<dyn ReadModel>;
        let options = ProjectionsOptions {
            journal: Arc::clone(&log) as _,
            keyring: Arc::clone(&keys) as _,
            models: models.all().into_iter().map(picky).collect(),
            clock: Arc::new(|| Timestamp(0)),
            rules: Rules::default(),
        };
        let (projections, runners) = Projections::new(options);
        let stop = CancellationToken::new();
        (projections, spawn(runners, &stop), stop)
    };
    let (mut projections, mut running, mut stop) = start();
    let mut rest = history;
    for Part { commits, turns, restart, poison: poisonous } in parts {
        let (part, later) = rest.split_at(rest.len().min(commits));
        rest = later;
        let positions = part.iter().map(|decision| append(&log, decision)).collect::<Vec<_>>();
        if !positions.is_empty() {
            poison.lock().extend(poisonous.map(|index| *index.get(&positions)));
        }
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if restart {
            stop.cancel();
            while let Some(end) = running.join_next().await {
                end.unwrap().1.unwrap();
            }
            (projections, running, stop) = start();
        }
    }
    for decision in rest {
        append(&log, decision);
    }
    for (partition, end) in projections.ends().await.unwrap() {
        for model in models.all() {
            let mut progress = projections.progress(model.name(), partition).unwrap();
            let there = progress.wait_for(|progress| progress.stopped || progress.next >= end);
            // The clock stands still unless everybody waits, so what does not come in time never comes.
            let progress = *timeout(Duration::from_secs(60), there).await.unwrap().unwrap();
            assert!(!progress.stopped, "a runner has ended");
        }
    }
    poison.lock().clear();
    for parked in projections.parked() {
        projections.retry(parked.model, parked.key).await.unwrap();
    }
    assert!(projections.lag().await.unwrap().iter().all(|lag| lag.is_complete()));
    stop.cancel();
    while let Some(end) = running.join_next().await {
        end.unwrap().1.unwrap();
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn runners_that_restart_park_and_retry_give_the_answers_of_a_clean_fold(
        history in histories(300),
        parts in parts(),
        destroyed in destroyed_users(),
        limit in 1..5_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let models = Models::default();
        let keys = MemoryKeys { destroyed: destroyed.clone(), ..MemoryKeys::default() };
        runtime.block_on(run_parts(&history, parts, keys, &models));
        let destroyed = with_those_in_the_log(&destroyed, &history);
        now(models.answers(limit)).check(&fold(&history, &destroyed, PARTITIONS));
    }
}
