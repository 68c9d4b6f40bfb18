//! Posts in PostgreSQL under real runners, and what only a database can do to them: refuse a value, come back older than it
//! was, lose everything, belong to another log.

use crate::feeding::{Feeding, until};
use crate::history::post;
use crate::log::{MemoryLog, key_of};
use events::{Content, Event, Key, PostPublished, Sealed, Timestamp, UserId};
use journal::Position;
use projections::postgres::Database;
use projections::{Page, PostgresPosts, Posts, posts};
use sqlx::{Connection, PgConnection, query_scalar, raw_sql};
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::services::Services;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// A node that feeds posts.
struct Node {
    feeding: Feeding,
    url: String,
    posts: PostgresPosts,
}

impl Node {
    async fn start(services: &Services) -> Self {
        let url = services.fresh_database_url();
        Database::migrate(&url).await.unwrap();
        Self::over(MemoryLog::new(1), url).await
    }

    async fn over(log: Arc<MemoryLog>, url: String) -> Self {
        let database = Database::open(&url).await.unwrap();
        let feeding = Feeding::over(log, Arc::new(PostgresPosts::new(database.clone())));
        Self { feeding, url, posts: PostgresPosts::new(database) }
    }

    fn publish(&self, n: u8, text: &str) -> Position {
        let author = UserId(Uuid::from_u128(1));
        let content = Sealed::seal(&Content::parse(text).unwrap(), &key_of(author));
        let published = PostPublished { post: post(n), author, content, hashtags: None, mentions: None };
        self.feeding.log.append(Key::Post(post(n)), Timestamp(i64::from(n)), None, vec![Event::from(published)])
    }

    async fn execute(&self, sql: &'static str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn shown(&self) -> usize {
        let page = Page { limit: 100, after: None };
        self.posts.latest(None, page, &projections::Hidden::NOBODY).await.unwrap().items.len()
    }

    async fn until_shown(&self, wanted: usize) {
        until(async || self.shown().await, |shown| *shown == wanted).await;
    }
}

#[tokio::test]
async fn a_commit_that_the_database_does_not_take_is_parked_and_others_go_on() {
    let Some(services) = Services::from_env() else { return };
    let node = Node::start(&services).await;
    node.execute("alter table posts add constraint no_poison check (content <> 'poison')").await;
    let poison = node.publish(1, "poison");
    let good = node.publish(2, "well");
    node.feeding.pass(good).await.unwrap();
    let lag = node.feeding.pass(poison).await.unwrap_err();
    assert_eq!((lag.parked.len(), lag.parked[0].position), (1, poison));
    assert_eq!(node.shown().await, 1);

    node.execute("alter table posts drop constraint no_poison").await;
    node.feeding.projections.retry(posts::NAME, Key::Post(post(1))).await.unwrap();
    assert_eq!(node.shown().await, 2);
}

/// A crash of the database would take back what is not, and with it what nodes have told to be there.
#[tokio::test]
async fn what_somebody_has_waited_for_is_on_the_disk_of_the_database() {
    let Some(services) = Services::from_env() else { return };
    let node = Node::start(&services).await;
    let mut connection = PgConnection::connect(&node.url).await.unwrap();
    for n in 1..=20 {
        let before = query_scalar("select pg_current_wal_insert_lsn()::text").fetch_one(&mut connection).await;
        let before: String = before.unwrap();
        node.feeding.pass(node.publish(n, "kept")).await.unwrap();
        let is_kept = query_scalar("select pg_current_wal_flush_lsn() > $1::text::pg_lsn").bind(&before);
        let is_kept: bool = is_kept.fetch_one(&mut connection).await.unwrap();
        assert!(is_kept, "{before} is as far as the disk has it");
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_database_that_comes_back_older_is_noticed_without_a_new_commit() {
    let Some(services) = Services::from_env() else { return };
    let node = Node::start(&services).await;
    node.feeding.pass(node.publish(1, "first")).await.unwrap();
    node.execute("create table kept as select * from checkpoints; create table kept_posts as select * from posts")
        .await;
    node.feeding.pass(node.publish(2, "second")).await.unwrap();
    node.until_shown(2).await;
    let older = "truncate posts cascade; insert into posts select * from kept_posts; \
                 delete from checkpoints; insert into checkpoints select * from kept";
    node.execute(older).await;
    node.until_shown(2).await;

    node.execute("truncate posts cascade; delete from checkpoints").await;
    node.until_shown(2).await;
    assert!(node.feeding.is_running());
}

#[tokio::test]
async fn a_worker_that_is_stopped_in_the_middle_of_a_batch_leaves_it_to_the_next_one() {
    let Some(services) = Services::from_env() else { return };
    let one = Node::start(&services).await;
    let other = Node::over(Arc::clone(&one.feeding.log), one.url.clone()).await;
    let mut nodes = [&one, &other];
    other.feeding.assign(false);
    let mut holder = PgConnection::connect(&one.url).await.unwrap();
    for n in 1..=10 {
        // While it writes, or while it waits for its turn to.
        let lock = match n % 2 {
            0 => "begin; lock table posts in exclusive mode",
            _ => "begin; lock table gone in exclusive mode",
        };
        raw_sql(lock).execute(&mut holder).await.unwrap();
        let [feeding, next] = nodes;
        let position = feeding.publish(n % 6, &format!("post {n}"));
        until_waiting(&mut holder, 1).await;
        feeding.feeding.assign(false);
        next.feeding.assign(true);
        raw_sql("commit").execute(&mut holder).await.unwrap();
        next.feeding.pass(position).await.unwrap();
        feeding.feeding.pass(position).await.unwrap();
        nodes.rotate_left(1);
    }
    assert_eq!(one.shown().await, 6, "each post once, however often it was published");
    assert!(one.feeding.is_running() && other.feeding.is_running());
}

#[tokio::test]
async fn what_a_worker_has_given_up_waits_for_no_lock() {
    let Some(services) = Services::from_env() else { return };
    let node = Node::start(&services).await;
    let mut holder = PgConnection::connect(&node.url).await.unwrap();
    raw_sql("begin; lock table posts in exclusive mode").execute(&mut holder).await.unwrap();
    let position = node.publish(1, "late");
    until_waiting(&mut holder, 1).await;
    node.feeding.assign(false);
    until_waiting(&mut holder, 0).await;
    raw_sql("commit").execute(&mut holder).await.unwrap();
    node.feeding.assign(true);
    node.feeding.pass(position).await.unwrap();
    assert_eq!(node.shown().await, 1);
}

/// Far less than what a statement of a batch may take.
async fn until_waiting(connection: &mut PgConnection, wanted: i64) {
    const SOON: Duration = Duration::from_secs(10);
    let waited = timeout(SOON, async {
        while waiting(connection).await != wanted {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("there are never {wanted} that wait"));
}

/// How many sessions wait for a lock in this schema's tables.
async fn waiting(connection: &mut PgConnection) -> i64 {
    let waiting = query_scalar(
        "select count(*) from pg_locks where not granted and relation in ('posts'::regclass, 'gone'::regclass)",
    );
    waiting.fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_database_belongs_to_one_log() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_database_url();
    Database::migrate(&url).await.unwrap();
    for _ in 0..2 {
        Database::open(&url).await.unwrap().bind("one").await.unwrap();
    }
    let refused = Database::open(&url).await.unwrap().bind("another").await.unwrap_err().to_string();
    assert!(refused.contains("the log one") && refused.contains("another"), "{refused}");
}
