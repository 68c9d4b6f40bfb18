//! The runner over a log in memory, with a read model that fails when it is told to.

use super::*;
use crate::board::Health;
use crate::given::now;
use crate::log::{MemoryKeys, MemoryLog, key_of};
use crate::projections::{Projections, ProjectionsOptions, spawn};
use crate::read_model::{Advance, ApplyError};
use crate::store::Store;
use crate::{Feed, Hidden, MemoryFeed, MemoryPosts, MemorySessions, MemoryUsers, Page, Posts, Sessions, posts};
use async_trait::async_trait;
use events::{
    CommentAdded, CommentId, CommentText, Content, Event, FollowStarted, Key, LikeAdded, PostId, PostPublished, Sealed,
    SessionClosed, SessionId, SessionOpened, UserId,
};
use journal::{Position, Rules};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// Notes what it was given, key by key; rejects and fails as it is told.
#[derive(Default)]
pub(super) struct Notebook {
    store: Store<BTreeMap<Key, Vec<Offset>>>,
    poison: Mutex<BTreeSet<Position>>,
    unavailable: Mutex<u32>,
}

impl Notebook {
    pub(super) fn notes(&self, key: Key) -> Vec<Offset> {
        self.store.read().get(&key).cloned().unwrap_or_default()
    }

    /// Does not answer so often from now on.
    pub(super) fn fail(&self, times: u32) {
        *self.unavailable.lock() = times;
    }

    /// Fails as often as it is told.
    fn answer(&self) -> Result<(), Unavailable> {
        let mut unavailable = self.unavailable.lock();
        let Some(left) = unavailable.checked_sub(1) else { return Ok(()) };
        *unavailable = left;
        Err(Unavailable("asked to fail".to_owned()))
    }
}

#[async_trait]
impl ReadModel for Notebook {
    fn name(&self) -> &'static str {
        "notebook"
    }

    fn generation(&self) -> u64 {
        0
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.answer()?;
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        self.answer()?;
        let (poison, batch) = (self.poison.lock(), advance.batch);
        if let Some(entry) = batch.entries.iter().find(|entry| poison.contains(&entry.position)) {
            return Err(ApplyError::Rejected { position: entry.position, error: "poison".to_owned() });
        }
        self.store.write(advance, |notes| {
            for entry in &batch.entries {
                notes.entry(entry.key).or_default().push(entry.position.offset);
            }
        })
    }
}

struct World {
    log: Arc<MemoryLog>,
    keys: Arc<MemoryKeys>,
    notebook: Arc<Notebook>,
    posts: Arc<MemoryPosts>,
    projections: Projections,
    running: JoinSet<(Partition, Result<(), Stop>)>,
    stop: CancellationToken,
}

impl World {
    fn new(partitions: u32) -> Self {
        Self::with(MemoryLog::new(partitions), MemoryKeys::default())
    }

    fn with(log: Arc<MemoryLog>, keys: MemoryKeys) -> Self {
        let (notebook, posts) = (Arc::default(), Arc::default());
        let (projections, _) = Projections::new(options(&log, &Arc::default(), vec![]));
        let (running, stop) = (JoinSet::new(), CancellationToken::new());
        Self { log, keys: Arc::new(keys), notebook, posts, projections, running, stop }
    }

    /// The runners, of a node that has just started over what the read models hold.
    fn runners(&mut self) -> Vec<Runner> {
        let models: Vec<Arc<dyn ReadModel>> = vec![Arc::clone(&self.notebook) as _, Arc::clone(&self.posts) as _];
        let (projections, runners) = Projections::new(options(&self.log, &self.keys, models));
        self.projections = projections;
        runners
    }

    fn start(&mut self) {
        self.stop = CancellationToken::new();
        self.running = spawn(self.runners(), &self.stop);
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(end) = self.running.join_next().await {
            end.unwrap().1.unwrap();
        }
    }

    async fn pass(&self, position: Position) {
        self.projections.wait_for(&["notebook", posts::NAME], &[position], soon()).await.unwrap();
    }

    async fn read_to_the_end(&self) {
        let ends = self.projections.ends().await.unwrap();
        for (partition, end) in ends {
            for model in ["notebook", posts::NAME] {
                let mut progress = self.projections.progress(model, partition).unwrap();
                in_time(progress.wait_for(|progress| progress.next >= end)).await.unwrap();
            }
        }
    }
}

pub(super) fn options(
    log: &Arc<MemoryLog>,
    keys: &Arc<MemoryKeys>,
    models: Vec<Arc<dyn ReadModel>>,
) -> ProjectionsOptions {
    let (journal, keyring) = (Arc::clone(log) as _, Arc::clone(keys) as _);
    ProjectionsOptions { journal, keyring, models, clock: Arc::new(|| at(1_000)), rules: Rules::default() }
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The clock stands still unless everybody waits, so what does not come in time never comes.
pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout_at(soon(), future).await.unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

pub(super) fn follow(follower: u128, followee: u128) -> (Key, Vec<Event>) {
    let started = FollowStarted { follower: user(follower), followee: user(followee) };
    (Key::User(user(follower)), vec![started.into()])
}

fn publish(n: u128, author: u128, sealer: u128) -> (Key, Vec<Event>) {
    let (post, author) = (PostId(Uuid::from_u128(n)), user(author));
    let content = Sealed::seal(&Content::parse("hello").unwrap(), &key_of(user(sealer)));
    (Key::Post(post), vec![PostPublished { post, author, content, hashtags: None, mentions: None }.into()])
}

pub(super) fn add(log: &MemoryLog, (key, events): (Key, Vec<Event>)) -> Position {
    log.append(key, at(10), None, events)
}

#[tokio::test(start_paused = true)]
async fn later_commits_of_a_parked_key_wait_and_others_go_on() {
    let mut world = World::new(1);
    let poison = add(&world.log, follow(1, 2));
    world.notebook.poison.lock().insert(poison);
    let waits = add(&world.log, follow(1, 3));
    let other = add(&world.log, follow(2, 1));
    world.start();
    world.pass(other).await;
    let later = add(&world.log, follow(1, 4));
    let last = add(&world.log, follow(2, 3));
    world.pass(last).await;

    assert!(world.notebook.notes(Key::User(user(1))).is_empty());
    assert_eq!(world.notebook.notes(Key::User(user(2))), [other.offset, last.offset]);
    let parked = world.projections.parked();
    assert_eq!(parked.len(), 1, "for the model that failed only");
    assert_eq!((parked[0].position, parked[0].commits, parked[0].error.as_str()), (poison, 3, "poison"));
    let offsets = &world.notebook.store.checkpoint(poison.partition).unwrap().parked[&Key::User(user(1))].offsets;
    assert_eq!(*offsets, [poison.offset, waits.offset, later.offset]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_applies_the_queue_in_order() {
    let mut world = World::new(1);
    let queue = (2..1_500).map(|n| add(&world.log, follow(1, n)).offset).collect::<Vec<_>>();
    let poison = Position { partition: Partition(0), offset: queue[0] };
    world.notebook.poison.lock().insert(poison);
    world.start();
    world.read_to_the_end().await;
    let key = Key::User(user(1));
    let again = world.projections.retry("notebook", key).await.unwrap_err();
    assert_eq!(again, RequestError::Failed { position: poison, error: "poison".to_owned() });

    world.notebook.poison.lock().clear();
    let arrives = add(&world.log, follow(1, 1_500)).offset;
    world.projections.retry("notebook", key).await.unwrap();
    world.read_to_the_end().await;
    assert!(world.projections.parked().is_empty());
    assert_eq!(world.notebook.notes(key), [queue, vec![arrives]].concat());
    assert_eq!(world.projections.retry("notebook", key).await, Err(RequestError::NotParked));
}

#[tokio::test(start_paused = true)]
async fn a_retry_stops_at_what_fails_again_and_keeps_the_rest() {
    let mut world = World::new(1);
    let queue = (2..1_500).map(|n| add(&world.log, follow(1, n))).collect::<Vec<_>>();
    world.notebook.poison.lock().extend([queue[0], queue[700]]);
    world.start();
    world.read_to_the_end().await;
    world.notebook.poison.lock().remove(&queue[0]);
    let key = Key::User(user(1));
    let error = world.projections.retry("notebook", key).await.unwrap_err();
    assert_eq!(error, RequestError::Failed { position: queue[700], error: "poison".to_owned() });
    assert_eq!(world.notebook.notes(key).len(), 700);
    assert_eq!(world.projections.parked()[0].commits, queue.len() - 700);
}

#[tokio::test(start_paused = true)]
async fn a_discard_skips_only_the_commit_it_names() {
    let mut world = World::new(1);
    let queue = (2..6).map(|n| add(&world.log, follow(1, n))).collect::<Vec<_>>();
    world.notebook.poison.lock().extend([queue[0], queue[2]]);
    world.start();
    world.read_to_the_end().await;
    let key = Key::User(user(1));
    let discard = |n: usize| world.projections.discard("notebook", key, queue[n].offset, "a test");

    assert_eq!(discard(1).await, Err(RequestError::NotParked));
    assert!(matches!(discard(0).await, Err(RequestError::Failed { position, .. }) if position == queue[2]));
    assert_eq!(world.notebook.notes(key), [queue[1].offset]);
    assert_eq!(discard(0).await, Err(RequestError::NotParked), "asking twice discards one");
    discard(2).await.unwrap();
    assert_eq!(world.notebook.notes(key), [queue[1].offset, queue[3].offset]);
    assert!(world.projections.parked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn markers_survive_a_restart_of_the_runner() {
    let mut world = World::new(1);
    let poison = add(&world.log, follow(1, 2));
    world.notebook.poison.lock().insert(poison);
    world.start();
    world.read_to_the_end().await;
    world.stop().await;
    world.notebook.poison.lock().clear();
    let later = add(&world.log, follow(1, 3));
    world.start();
    world.read_to_the_end().await;
    assert!(world.notebook.notes(Key::User(user(1))).is_empty(), "the later one does not overtake");
    world.projections.retry("notebook", Key::User(user(1))).await.unwrap();
    assert_eq!(world.notebook.notes(Key::User(user(1))), [poison.offset, later.offset]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_names_the_parked_key_that_keeps_a_position_out() {
    let mut world = World::new(1);
    let poison = add(&world.log, follow(1, 2));
    let waits = add(&world.log, follow(1, 3));
    let other = add(&world.log, follow(2, 3));
    world.notebook.poison.lock().insert(poison);
    world.start();
    world.pass(other).await;
    let lag = world.projections.wait_for(&["notebook", posts::NAME], &[waits], soon()).await.unwrap_err();
    assert!(lag.behind.is_empty());
    assert_eq!((lag.parked[0].model, lag.parked[0].position), ("notebook", poison));
    let lags = world.projections.lag().await.unwrap();
    assert_eq!((lags[0].records, lags[0].parked, lags[0].oldest), (0, 2, Some(Duration::from_secs(990))));
    assert!(!lags[0].is_complete() && lags[1].is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_what_does_not_come_ends_at_its_deadline_and_says_who_lags() {
    let mut world = World::new(1);
    world.start();
    let (begun, position) = (Instant::now(), Position { partition: Partition(0), offset: 7 });
    let deadline = begun + Duration::from_secs(3);
    let lag = world.projections.wait_for(&[posts::NAME], &[position], deadline).await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!((lag.behind[0].model.as_str(), lag.behind[0].position), (posts::NAME, position));
}

#[tokio::test(start_paused = true)]
async fn void_records_and_claims_at_the_tail_are_no_lag() {
    let mut world = World::new(1);
    add(&world.log, follow(1, 2));
    world.log.void(Partition(0));
    world.log.claim(Partition(0));
    world.log.void(Partition(0));
    let last = Position { partition: Partition(0), offset: 4 };
    world.start();
    world.pass(last).await;
    // And where nothing else comes with them.
    world.log.void(Partition(0));
    world.pass(Position { offset: 5, ..last }).await;
    let ends = world.projections.ends().await.unwrap();
    assert_eq!(ends[&Partition(0)], 6);
    assert!(world.projections.is_caught_up(&ends));
    assert!(world.projections.lag().await.unwrap().iter().all(|lag| lag.is_complete() && lag.oldest.is_none()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_complete_while_it_is_behind() {
    let mut world = World::new(1);
    let _runners = world.runners();
    add(&world.log, follow(1, 2));
    let lags = world.projections.lag().await.unwrap();
    assert!(lags.iter().all(|lag| lag.records == 2 && lag.oldest == Some(Duration::from_secs(990))));
    assert!(!world.projections.is_caught_up(&world.projections.ends().await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_is_tried_again() {
    let mut world = World::new(1);
    world.log.unavailable.store(5, std::sync::atomic::Ordering::Relaxed);
    world.keys.unavailable.store(5, std::sync::atomic::Ordering::Relaxed);
    *world.notebook.unavailable.lock() = 5;
    let position = add(&world.log, publish(1, 1, 1));
    world.start();
    world.pass(position).await;
    assert_eq!(world.notebook.notes(Key::Post(PostId(Uuid::from_u128(1)))), [position.offset]);
    assert!(world.projections.parked().is_empty());
}

/// The state of the only partition's runner, once it is another one than before.
async fn next_state(world: &World, before: &RunnerState) -> RunnerState {
    let look = || world.projections.health().remove(0).state;
    in_time(async {
        while look() == *before {
            sleep(limits::RETRY_DELAY / 10).await;
        }
    })
    .await;
    look()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_at_the_start_and_later() {
    let mut world = World::new(1);
    let first = add(&world.log, follow(1, 2));
    world.notebook.poison.lock().insert(first);
    world.start();
    world.read_to_the_end().await;
    world.stop().await;

    *world.notebook.unavailable.lock() = 3;
    world.start();
    let state = next_state(&world, &RunnerState::Starting).await;
    assert!(matches!(state, RunnerState::Retrying { attempts: 1, .. }), "{state:?}");
    let progress = |world: &World| *world.projections.progress("notebook", first.partition).unwrap().borrow();
    assert_eq!(progress(&world).next, 0, "nothing is known of it yet");
    world.read_to_the_end().await;
    assert_eq!(*world.notebook.unavailable.lock(), 0);
    assert_eq!(world.projections.parked().len(), 1, "what it had stored is known");

    *world.notebook.unavailable.lock() = 2;
    let following = world.projections.health().remove(0).state;
    let second = add(&world.log, follow(2, 1));
    let away = next_state(&world, &following).await;
    assert!(matches!(&away, RunnerState::Retrying { error, .. } if error == "asked to fail"), "{away:?}");
    world.pass(second).await;
    assert_eq!(world.notebook.notes(Key::User(user(2))), [second.offset]);
}

#[tokio::test(start_paused = true)]
async fn a_forged_value_parks_its_key_for_the_model_that_opens_it() {
    let mut world = World::new(1);
    let forged = add(&world.log, publish(1, 1, 2));
    let good = add(&world.log, publish(2, 1, 1));
    world.start();
    world.pass(good).await;
    let parked = world.projections.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].model, parked[0].position), (posts::NAME, forged));
    assert_eq!(world.posts.counts_of(&[user(1)]).await.unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_parked_keys_is_found_wherever_it_names_a_person() {
    let mut world = World::new(1);
    // Forged for the one read model and poison for the other: parked in both.
    let forged = add(&world.log, publish(1, 1, 2));
    world.notebook.poison.lock().insert(forged);
    let post = PostId(Uuid::from_u128(1));
    for n in 100..1_000 {
        add(&world.log, (Key::Post(post), vec![LikeAdded { post, user: user(n) }.into()]));
        // Between them stands more or less of what does not wait.
        for _ in 0..n % 90 {
            add(&world.log, follow(3, 4));
        }
    }
    world.start();
    world.read_to_the_end().await;
    assert_eq!(world.projections.parked().len(), 2);
    let both = world.projections.names().collect::<Vec<_>>();
    let concerning = |n: u128| world.projections.parked_concerning(user(n), &both);
    for n in [1, 100, 555, 999] {
        let parked = concerning(n).await.unwrap().unwrap();
        assert_eq!((parked.key, parked.position, parked.commits), (Key::Post(post), forged, 901));
    }
    for n in [3, 4, 1_000] {
        assert_eq!(concerning(n).await.unwrap(), None);
    }
    assert_eq!(world.projections.parked_concerning(user(1), &["another"]).await.unwrap(), None);
    world.log.unavailable.store(1, std::sync::atomic::Ordering::Relaxed);
    assert!(concerning(1).await.is_err(), "what cannot be read may name anybody");
}

/// Changes what is stored, as no log should.
fn tamper(log: &MemoryLog, change: impl FnOnce(&mut Vec<journal::Record>)) {
    change(&mut log.partitions[0].lock().records);
}

/// The error of the only partition's runner.
async fn end_of(world: &mut World) -> Stop {
    in_time(world.running.join_next()).await.unwrap().unwrap().1.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_keyring_has_never_heard_of_stops_the_partition() {
    let keys = MemoryKeys { unknown: [user(1)].into(), ..MemoryKeys::default() };
    let mut world = World::with(MemoryLog::new(1), keys);
    let position = add(&world.log, publish(1, 1, 1));
    world.start();
    assert!(matches!(end_of(&mut world).await, Stop::Keyring(KeyringError::Unknown(_))));
    let Health { state, .. } = world.projections.health().remove(0);
    assert!(matches!(state, RunnerState::Stopped { error: Some(_) }));
    let begun = Instant::now();
    let lag = world.projections.wait_for(&["notebook"], &[position], soon()).await.unwrap_err();
    assert!(lag.behind[0].progress.stopped && begun.elapsed().is_zero(), "nobody waits for it");
    assert_eq!(world.projections.retry("notebook", Key::User(user(1))).await, Err(RequestError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_event_stops_and_does_not_park() {
    let mut world = World::new(1);
    let (key, _) = follow(1, 2);
    let position = add(&world.log, follow(1, 2));
    world.start();
    world.pass(position).await;
    let commit = r#"{"command": "UUID", "ordinal": 0, "incarnation": "UUID", "time": "2026-01-01T00:00:00.000000Z",
        "correlation": "UUID", "retention": "short", "events": [{"type": "user.dreamt", "version": 1, "data": {}}]}"#;
    world.log.append_value(key, |_| commit.replace("UUID", &Uuid::nil().to_string()).into_bytes());
    assert!(matches!(end_of(&mut world).await, Stop::Log(JournalError::Unreadable { .. })));
    assert!(world.projections.parked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_stands_before_an_unreadable_commit_is_applied_and_nothing_passes_it() {
    let mut world = World::new(1);
    let good = add(&world.log, follow(1, 2));
    world.log.append_value(follow(1, 3).0, |_| b"{}".to_vec());
    add(&world.log, follow(1, 4));
    for _ in 0..2 {
        world.start();
        assert!(matches!(
            end_of(&mut world).await,
            Stop::Log(JournalError::Unreadable { position, .. }) if position.offset == good.offset + 1
        ));
        assert_eq!(world.notebook.notes(Key::User(user(1))), [good.offset]);
        assert_eq!(world.notebook.store.checkpoint(good.partition).unwrap().at.next, good.offset + 1);
    }
    let mut reader = Reader::from_start(Arc::clone(&world.log) as _, good.partition).await.unwrap();
    assert_eq!(reader.commits().await.unwrap().len(), 1);
    for _ in 0..2 {
        assert!(reader.commits().await.is_err(), "an error that is asked for again does not go away");
        assert_eq!(reader.next(), good.offset + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn damage_stops_the_partition() {
    let mut world = World::new(1);
    add(&world.log, follow(1, 2));
    tamper(&world.log, |records| records[1].draft.value = "{}".into());
    world.start();
    assert!(matches!(end_of(&mut world).await, Stop::Log(JournalError::Damaged { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_cut_stops_a_runner_that_has_read_further() {
    let mut world = World::new(1);
    let position = add(&world.log, follow(1, 2));
    world.start();
    world.pass(position).await;
    world.stop().await;
    tamper(&world.log, |records| records.truncate(1));
    world.start();
    assert!(matches!(end_of(&mut world).await, Stop::Log(JournalError::Diverged { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_paused_writes_nothing_and_steps_aside() {
    let mut world = World::new(1);
    let mut paused = world.runners().remove(0);
    paused.catch_up(1, &mut |_| {}).await.unwrap();
    let position = add(&world.log, follow(1, 2));
    world.start();
    world.pass(position).await;
    let before = world.notebook.store.checkpoint(position.partition);
    let end = in_time(paused.run(CancellationToken::new())).await;
    assert!(matches!(end, Err(Stop::Fenced { model: "notebook", .. })));
    assert_eq!(world.notebook.store.checkpoint(position.partition), before);
    assert_eq!(world.notebook.notes(Key::User(user(1))), [position.offset]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_slept_through_a_retry_does_not_park_the_key_again() {
    let mut world = World::new(1);
    let poison = add(&world.log, follow(1, 2));
    world.notebook.poison.lock().insert(poison);
    let mut paused = world.runners().remove(0);
    paused.catch_up(2, &mut |_| {}).await.unwrap();
    world.notebook.poison.lock().clear();
    world.start();
    world.projections.retry("notebook", Key::User(user(1))).await.unwrap();
    add(&world.log, follow(1, 3));
    assert!(matches!(in_time(paused.run(CancellationToken::new())).await, Err(Stop::Fenced { .. })));
    world.read_to_the_end().await;
    assert_eq!(world.notebook.notes(Key::User(user(1))).len(), 2);
    assert!(world.projections.parked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_begins_when_another_build_is_stored_writes_nothing_and_steps_aside() {
    let mut world = World::new(1);
    let store = Store::with_generation(1);
    let begun = Checkpoint::genesis(1, "log", Partition(0));
    let (stored, batch) = (begun.succeed(begun.at), Batch { entries: Vec::new(), opener: &Opener::default() });
    let advance = Advance { partition: Partition(0), expected: &begun, batch: &batch, new: &stored };
    store.write(&advance, |_| {}).unwrap();
    world.notebook = Arc::new(Notebook { store, ..Notebook::default() });
    add(&world.log, follow(1, 2));
    world.start();
    assert!(matches!(end_of(&mut world).await, Stop::Fenced { model: "notebook", .. }));
    assert_eq!(world.notebook.store.checkpoint(Partition(0)), Some(stored));
}

#[tokio::test(start_paused = true)]
async fn models_that_differ_after_a_crash_each_get_what_they_miss() {
    let mut world = World::new(1);
    let first = add(&world.log, publish(1, 1, 1));
    world.start();
    world.pass(first).await;
    world.stop().await;
    world.posts = Arc::default();
    let second = add(&world.log, publish(2, 1, 1));
    world.start();
    world.pass(second).await;
    assert_eq!(world.posts.counts_of(&[user(1)]).await.unwrap(), [2]);
    assert_eq!(world.notebook.notes(Key::Post(PostId(Uuid::from_u128(1)))), [first.offset]);
    assert_eq!(world.notebook.notes(Key::Post(PostId(Uuid::from_u128(2)))), [second.offset]);
}

#[tokio::test(start_paused = true)]
async fn another_fold_shares_the_pass_and_learns_where_it_ended() {
    let mut world = World::new(1);
    let offsets = (2..1_200).map(|n| add(&world.log, follow(1, n)).offset).collect::<Vec<_>>();
    world.log.void(Partition(0));
    let end = world.log.end(Partition(0)).await.unwrap();
    let mut runner = world.runners().remove(0);
    let mut seen = Vec::new();
    let at = runner.catch_up(end, &mut |decoded| seen.push(decoded.position.offset)).await.unwrap();
    assert_eq!(seen, offsets);
    assert_eq!(at.next, end);
    assert_eq!(world.notebook.notes(Key::User(user(1))), offsets);
}

/// Applies to a model what stands in the first partition.
async fn applied(log: &Arc<MemoryLog>, keys: MemoryKeys, model: Arc<dyn ReadModel>) {
    let (_, mut runners) = Projections::new(options(log, &Arc::new(keys), vec![model]));
    let end = log.end(Partition(0)).await.unwrap();
    runners.remove(0).catch_up(end, &mut |_| {}).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_session_is_remembered_for_the_life_of_its_tokens_and_then_unknown() {
    use crate::sessions::{CLOSED_KEPT, SessionState};
    let log = MemoryLog::new(1);
    let (session, user) = (SessionId(Uuid::from_u128(9)), user(1));
    let sessions: Arc<MemorySessions> = Arc::default();
    let kept = i64::try_from(CLOSED_KEPT.as_secs()).unwrap();
    assert!(kept > 15 * 60);
    let mut states = Vec::new();
    let happens: [(i64, Event); 6] = [
        (0, SessionOpened { session, user, device: None, refresh_until: None }.into()),
        (1, SessionClosed { session, user }.into()),
        (1 + kept, follow(1, 2).1.remove(0)),
        (2 + kept, follow(1, 3).1.remove(0)),
        (3 + kept, SessionOpened { session, user, device: None, refresh_until: None }.into()),
        (9 + 9 * kept, follow(1, 4).1.remove(0)),
    ];
    for (seconds, event) in happens {
        log.append(Key::User(user), at(seconds), None, vec![event]);
        applied(&log, MemoryKeys::default(), Arc::clone(&sessions) as _).await;
        states.push(sessions.state(session, user).await.unwrap());
    }
    let open = SessionState::Open { user };
    assert_eq!(states, [open, SessionState::Closed, SessionState::Closed, SessionState::Unknown, open, open]);
}

#[tokio::test(start_paused = true)]
async fn what_a_destroyed_key_sealed_counts_as_deleted() {
    let log = MemoryLog::new(1);
    let (post, gone) = (PostId(Uuid::from_u128(1)), user(2));
    add(&log, publish(1, 1, 1));
    add(&log, publish(2, 2, 2));
    let text = Sealed::seal(&CommentText::parse("hi").unwrap(), &key_of(gone));
    let comment = CommentAdded { comment: CommentId(Uuid::from_u128(3)), post, author: gone, text };
    add(&log, (Key::Post(post), vec![comment.into()]));
    let (posts, feed): (Arc<MemoryPosts>, Arc<MemoryFeed>) = Default::default();
    for model in [Arc::clone(&posts) as Arc<dyn ReadModel>, Arc::clone(&feed) as _] {
        applied(&log, MemoryKeys { destroyed: [gone].into(), ..MemoryKeys::default() }, model).await;
    }
    let page = Page { limit: 10, after: None };
    assert_eq!(posts.latest(None, page, &Hidden::NOBODY).await.unwrap().items.len(), 1);
    assert_eq!(posts.post(post, None).await.unwrap().unwrap().comments_count, 0);
    assert!(feed.latest(gone, page, &Hidden::NOBODY).await.unwrap().items.is_empty());
    assert_eq!(feed.latest(user(1), page, &Hidden::NOBODY).await.unwrap().items, [post]);
}

#[test]
fn a_worker_of_another_generation_changes_nothing() {
    let users = MemoryUsers::with_generation(2);
    let batch = Batch { entries: Vec::new(), opener: &Opener::default() };
    let place = |generation| Checkpoint::genesis(generation, "log", Partition(0));
    let write = |place: Checkpoint| {
        let (partition, new) = (Partition(0), place.succeed(place.at));
        now(users.apply(&Advance { partition, expected: &place, batch: &batch, new: &new }))
    };
    assert_eq!(write(place(1)), Err(ApplyError::Fenced));
    assert_eq!(now(users.checkpoint(Partition(0))), Ok(None));
    assert_eq!(write(place(2)), Ok(()));
    assert_eq!(write(place(2)), Err(ApplyError::Fenced), "a stale revision");
}
