//! Notifications in MongoDB under real runners, and what only a database can do to them: refuse a document, come back older
//! than it was, lose everything, belong to another log. On one thread, as all that uses the log in memory.

use crate::history::user;
use crate::log::{MemoryKeys, MemoryLog};
use events::{Event, FollowStarted, Key, Timestamp, UserDisabled, UserId};
use futures::TryStreamExt;
use futures::future::join;
use journal::{Assignment, Partition, Position, Rules};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use projections::mongodb::Database;
use projections::{Hidden, MongoNotifications, Notifications, Page, Projections, ProjectionsOptions, notifications};
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::services::Services;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);
/// Everybody follows this one.
const HEARER: UserId = UserId(Uuid::from_u128(1));

/// A node that feeds all partitions of a log.
struct Node {
    log: Arc<MemoryLog>,
    model: MongoNotifications,
    projections: Projections,
    assignment: watch::Sender<Assignment>,
    running: JoinSet<()>,
}

impl Node {
    async fn over(log: Arc<MemoryLog>, url: &str) -> Self {
        let database = Database::open(url).await.unwrap();
        let model = || MongoNotifications::new(database.clone(), Arc::new(MemoryKeys::default()));
        let options = ProjectionsOptions {
            journal: Arc::clone(&log) as _,
            keyring: Arc::new(MemoryKeys::default()),
            models: Vec::new(),
            clock: Arc::new(|| Timestamp(0)),
            rules: Rules::default(),
        };
        let all = (0..log.partitions.len()).map(|n| Partition(u32::try_from(n).unwrap())).collect::<Assignment>();
        let (projections, _, runners) = Projections::with_shared(options, vec![vec![Arc::new(model()) as _]]);
        let (assignment, mut running) = (watch::Sender::new(all), JoinSet::new());
        for runner in runners {
            let run = runner.run(assignment.subscribe(), CancellationToken::new());
            running.spawn(async move { run.await.unwrap() });
        }
        Self { log, model: model(), projections, assignment, running }
    }

    fn follow(&self, by: UserId, whom: UserId) -> Position {
        let started = FollowStarted { follower: by, followee: whom };
        self.log.append(Key::User(by), Timestamp(1), None, vec![Event::from(started)])
    }

    fn leave(&self, user: UserId) -> Position {
        self.log.append(Key::User(user), Timestamp(2), None, vec![Event::from(UserDisabled { user })])
    }

    async fn pass(&self, position: Position) -> Result<(), projections::Lag> {
        self.projections.wait_for(&[notifications::NAME], &[position], Instant::now() + LONG).await
    }

    async fn heard(&self, by: UserId) -> usize {
        let page = Page { limit: 100, after: None };
        self.model.list(by, page, &Hidden::NOBODY).await.unwrap().0.items.len()
    }

    async fn until_heard(&self, wanted: usize) {
        let begun = Instant::now();
        while self.heard(HEARER).await != wanted {
            assert!(begun.elapsed() < LONG, "{} are heard of, not {wanted}", self.heard(HEARER).await);
            sleep(LOOK).await;
        }
    }
}

async fn fresh(services: &Services) -> (String, mongodb::Database) {
    let url = services.fresh_mongodb_url();
    Database::migrate(&url).await.unwrap();
    let documents = Client::with_uri_str(&url).await.unwrap().default_database().unwrap();
    (url, documents)
}

async fn all(documents: &mongodb::Database, collection: &str) -> Vec<Document> {
    let found = documents.collection(collection).find(doc! {}).await.unwrap();
    found.try_collect().await.unwrap()
}

#[tokio::test]
async fn a_commit_that_mongodb_does_not_take_is_parked_and_others_go_on() {
    let Some(services) = Services::from_env() else { return };
    let (url, documents) = fresh(&services).await;
    let node = Node::over(MemoryLog::new(1), &url).await;
    let rule = doc! { "actor_user_id": { "$ne": user(2).to_string() } };
    documents.run_command(doc! { "collMod": "notifications", "validator": rule }).await.unwrap();
    let (good, poison) = (node.follow(user(1), HEARER), node.follow(user(2), HEARER));
    let last = node.follow(user(3), HEARER);
    for position in [good, last] {
        node.pass(position).await.unwrap();
    }
    let lag = node.pass(poison).await.unwrap_err();
    assert_eq!((lag.parked.len(), lag.parked[0].position), (1, poison));
    assert!(lag.parked[0].error.contains("MongoDB"), "{lag}");
    assert_eq!(node.heard(HEARER).await, 2);

    documents.run_command(doc! { "collMod": "notifications", "validator": {} }).await.unwrap();
    node.projections.retry(notifications::NAME, Key::User(user(2))).await.unwrap();
    assert_eq!(node.heard(HEARER).await, 3);
    documents.drop().await.unwrap();
}

#[tokio::test]
async fn a_mongodb_that_comes_back_older_is_noticed_without_a_new_commit() {
    const HELD: [&str; 2] = ["notifications", "checkpoints"];
    let Some(services) = Services::from_env() else { return };
    let (url, documents) = fresh(&services).await;
    let node = Node::over(MemoryLog::new(1), &url).await;
    node.pass(node.follow(user(1), HEARER)).await.unwrap();
    let kept = [all(&documents, HELD[0]).await, all(&documents, HELD[1]).await];
    node.pass(node.follow(user(2), HEARER)).await.unwrap();
    node.until_heard(2).await;
    for back in [kept, [Vec::new(), Vec::new()]] {
        for (collection, held) in HELD.into_iter().zip(back) {
            let collection = documents.collection::<Document>(collection);
            collection.delete_many(doc! {}).await.unwrap();
            if !held.is_empty() {
                collection.insert_many(held).await.unwrap();
            }
        }
        node.until_heard(2).await;
    }
    assert_eq!(node.running.len(), 1, "the runner has not ended");
    documents.drop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_stopped_in_the_middle_of_a_batch_leaves_it_to_the_next_one() {
    let Some(services) = Services::from_env() else { return };
    let (url, documents) = fresh(&services).await;
    let (link, behind_a_link) = Proxy::before(&url).await.unwrap();
    let name = format!("worker-{}", Uuid::new_v4());
    let slow = behind_a_link + "&appName=" + &name;
    let log = MemoryLog::new(1);
    let nodes = [Node::over(Arc::clone(&log), &slow).await, Node::over(log, &slow).await];
    nodes[1].assignment.send_replace(Assignment::new());
    link.set(Weather::Slow(Duration::from_millis(10)));
    for n in 0..10_u8 {
        let [feeding, next] = [&nodes[usize::from(n % 2)], &nodes[usize::from((n + 1) % 2)]];
        let position = feeding.follow(user(n), HEARER);
        until_in_a_transaction(&documents, &name).await;
        feeding.assignment.send_replace(Assignment::new());
        next.assignment.send_replace([Partition(0)].into());
        next.pass(position).await.unwrap();
        feeding.pass(position).await.unwrap();
    }
    link.set(Weather::Fine);
    assert_eq!(nodes[0].heard(HEARER).await, 6, "each follow once, however often it was begun");
    assert!(nodes.iter().all(|node| node.running.len() == 1));
    documents.drop().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_nobody_goes_on_with_holds_up_nobody_for_long() {
    let Some(services) = Services::from_env() else { return };
    let (url, documents) = fresh(&services).await;
    let node = Node::over(MemoryLog::new(1), &url).await;
    node.pass(node.follow(user(1), HEARER)).await.unwrap();
    // As a node of this name would that was stopped in the middle of a batch.
    let stopped = Client::with_uri_str(format!("{url}&appName=tidings")).await.unwrap();
    let checkpoints = stopped.default_database().unwrap().collection::<Document>("checkpoints");
    let mut transaction = stopped.start_session().await.unwrap();
    transaction.start_transaction().await.unwrap();
    let spoilt = doc! { "$set": { "revision": 1_000_i64 } };
    checkpoints.update_many(doc! {}, spoilt).session(&mut transaction).await.unwrap();
    let begun = Instant::now();
    node.pass(node.follow(user(2), HEARER)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "the server itself would end it after a minute");
    assert!(transaction.commit_transaction().await.is_err(), "it was ended");
    assert_eq!(node.heard(HEARER).await, 2);
    documents.drop().await.unwrap();
}

/// Waits until the client of this name has a transaction under way.
async fn until_in_a_transaction(documents: &mongodb::Database, name: &str) {
    let admin = documents.client().database("admin");
    let under_way = doc! { "currentOp": 1, "appName": name, "transaction.parameters.txnNumber": { "$exists": true } };
    let begun = Instant::now();
    loop {
        let found = admin.run_command(under_way.clone()).await.unwrap();
        if !found.get_array("inprog").unwrap().is_empty() {
            return;
        }
        assert!(begun.elapsed() < LONG, "nothing is under way");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn nothing_is_heard_by_those_who_are_gone_when_both_are_written_at_the_same_moment() {
    let Some(services) = Services::from_env() else { return };
    let (url, documents) = fresh(&services).await;
    let node = Node::over(MemoryLog::new(4), &url).await;
    for n in 0..40_u128 {
        let (follower, gone) = (UserId(Uuid::from_u128(1_000 + 2 * n)), UserId(Uuid::from_u128(1_001 + 2 * n)));
        let (followed, left) = (node.follow(follower, gone), node.leave(gone));
        let (followed, left) = join(node.pass(followed), node.pass(left)).await;
        followed.and(left).unwrap();
        assert_eq!(node.heard(gone).await, 0, "{n}");
    }
    assert_eq!(all(&documents, "notifications").await, []);
    documents.drop().await.unwrap();
}

#[tokio::test]
async fn a_mongodb_belongs_to_one_log() {
    let Some(services) = Services::from_env() else { return };
    let (url, documents) = fresh(&services).await;
    for _ in 0..2 {
        Database::open(&url).await.unwrap().bind("one").await.unwrap();
    }
    let refused = Database::open(&url).await.unwrap().bind("another").await.unwrap_err().to_string();
    assert!(refused.contains("the log one") && refused.contains("another"), "{refused}");
    documents.drop().await.unwrap();
}
