//! Feeds in Redis under real runners: the keys that are written, what of them is bounded, and what only a server can do to
//! them.

use crate::feeding::{Counted, Feeding, PARTITION, until};
use crate::history::{post, user};
use crate::keys::{copy, delete, keys};
use crate::log::{MemoryLog, key_of};
use events::{
    Content, Event, FollowEnded, FollowStarted, Key, PostDeleted, PostId, PostPublished, Sealed, Timestamp,
    UserDisabled,
};
use journal::Position;
use projections::{Feed, FeedLimits, Hidden, Page, ReadModel, RedisFeed, Unavailable};
use redis::{FromRedisValue, cmd};
use std::sync::Arc;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::services::{Services, everything_under};
use tokio::sync::watch;
use uuid::Uuid;

/// Few, so that a test reaches them.
const FEW: FeedLimits = FeedLimits { kept: 2, max: 3, pushed: 2 };

/// A node that feeds feeds.
struct Node {
    feeding: Feeding,
    feed: Arc<RedisFeed>,
    /// How many batches were begun.
    batches: watch::Receiver<usize>,
}

impl Node {
    async fn over(log: Arc<MemoryLog>, url: &str, limits: FeedLimits) -> Self {
        let feed = Arc::new(RedisFeed::with_limits(keys(url).await, limits));
        let (counted, batches) = Counted::over(Arc::clone(&feed) as _);
        Self { feeding: Feeding::over(log, Arc::new(counted)), feed, batches }
    }

    fn follow(&self, follower: u8, followee: u8) -> Position {
        let (follower, followee) = (user(follower), user(followee));
        self.append(Key::User(follower), 0, FollowStarted { follower, followee }.into())
    }

    fn unfollow(&self, follower: u8, followee: u8) -> Position {
        let (follower, followee) = (user(follower), user(followee));
        self.append(Key::User(follower), 0, FollowEnded { follower, followee }.into())
    }

    fn publish(&self, post: PostId, author: u8, at: i64) -> Position {
        let author = user(author);
        let content = Sealed::seal(&Content::parse("hello").unwrap(), &key_of(author));
        let published = PostPublished { post, author, content, hashtags: None, mentions: None };
        self.append(Key::Post(post), at, published.into())
    }

    fn delete(&self, post: PostId, author: u8) -> Position {
        self.append(Key::Post(post), 0, PostDeleted { post, author: user(author) }.into())
    }

    fn append(&self, key: Key, at: i64, event: Event) -> Position {
        self.feeding.log.append(key, Timestamp(at), None, vec![event])
    }

    async fn pass(&self, position: Position) {
        self.feeding.pass(position).await.unwrap();
    }

    async fn feed_of(&self, reader: u8) -> Result<Vec<PostId>, Unavailable> {
        let page = Page { limit: 100, after: None };
        Ok(self.feed.latest(user(reader), page, &Hidden::NOBODY).await?.items)
    }

    /// The feed once it is believed.
    async fn believed(&self, reader: u8) -> Vec<PostId> {
        until(async || self.feed_of(reader).await, Result::is_ok).await.unwrap()
    }
}

/// What a command says about a key.
async fn about<T: FromRedisValue>(services: &Services, url: &str, command: &[&str], key: &str) -> T {
    let prefix = url.split_once("prefix=").unwrap().1;
    let mut asked = cmd(command[0]);
    asked.arg(format!("{prefix}{key}")).arg(&command[1..]);
    asked.query_async(&mut services.redis_connection().await).await.unwrap()
}

/// Later ones are newer, and greater.
fn numbered(n: u128) -> PostId {
    PostId(Uuid::from_u128(n))
}

#[tokio::test]
async fn the_keys_are_those_that_others_know() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let node = Node::over(MemoryLog::new(1), &url, FeedLimits::default()).await;
    node.follow(1, 2);
    node.pass(node.publish(post(0), 2, 1_672_531_200_250_000)).await;
    for reader in [1, 2] {
        let feed = format!("user:{}:feed", user(reader));
        let pushed: Vec<(String, f64)> = about(&services, &url, &["ZRANGE", "0", "-1", "WITHSCORES"], &feed).await;
        assert_eq!(pushed, [(post(0).to_string(), 1_672_531_200.25)]);
    }
    let hash = format!("post:{}", post(0));
    let known: Vec<(String, String)> = about(&services, &url, &["HGETALL"], &hash).await;
    let known = known.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect::<Vec<_>>();
    assert_eq!(known, [("author_id", user(2).to_string().as_str()), ("created_at", "1672531200.250000")]);

    node.pass(node.unfollow(1, 2)).await;
    let left: usize = about(&services, &url, &["ZCARD"], &format!("user:{}:feed", user(1))).await;
    assert_eq!(left, 0, "whoever follows nobody has nothing pushed to them");
    node.follow(1, 2);
    node.pass(node.delete(post(0), 2)).await;
    let left: usize = about(&services, &url, &["ZCARD"], &format!("user:{}:feed", user(1))).await;
    assert_eq!((left, about(&services, &url, &["EXISTS"], &hash).await), (0, false));
    delete(&url).await;
}

#[tokio::test]
async fn however_much_is_posted_sets_stay_small_and_nothing_is_missing() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let node = Node::over(MemoryLog::new(1), &url, FEW).await;
    node.follow(1, 2);
    node.follow(1, 3);
    let mut last = node.follow(2, 3);
    for n in 1..=12 {
        last = node.publish(numbered(n), if n % 2 == 0 { 2 } else { 3 }, i64::try_from(n).unwrap());
    }
    node.pass(last).await;
    let all = (1..=12).rev().map(numbered).collect::<Vec<_>>();
    assert_eq!(node.feed_of(1).await.unwrap(), all);
    let pushed: usize = about(&services, &url, &["ZCARD"], &format!("user:{}:feed", user(1))).await;
    assert!((FEW.kept..=FEW.max).contains(&pushed), "{pushed}");

    // One too many follow the third one: what comes from now on is pushed to nobody.
    node.follow(4, 3);
    node.pass(node.publish(numbered(13), 3, 13)).await;
    for reader in [1, 4] {
        let feed = format!("user:{}:feed", user(reader));
        let score: Option<f64> = about(&services, &url, &["ZSCORE", &numbered(13).to_string()], &feed).await;
        assert_eq!((score, node.feed_of(reader).await.unwrap()[0]), (None, numbered(13)));
    }
    assert_eq!(node.feed_of(4).await.unwrap().len(), 7);
    delete(&url).await;
}

#[tokio::test]
async fn of_whoever_is_gone_nothing_is_left_that_names_them_once_nobody_follows_them() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let node = Node::over(MemoryLog::new(1), &url, FEW).await;
    for (follower, followee) in [(1, 2), (3, 2), (4, 2), (2, 1)] {
        node.follow(follower, followee);
    }
    node.publish(post(0), 2, 1);
    let mut last = node.append(Key::User(user(2)), 2, UserDisabled { user: user(2) }.into());
    for follower in [1, 3, 4] {
        last = node.unfollow(follower, 2);
    }
    // Whose owners have not heard of it when they decide this.
    node.publish(post(1), 2, 3);
    node.follow(1, 2);
    node.pass(node.publish(post(2), 1, 4).max(last)).await;
    assert_eq!((node.feed_of(1).await, node.feed_of(2).await), (Ok(vec![post(2)]), Ok(Vec::new())));
    let name = user(2).to_string();
    let named = everything_under(&url).await.unwrap().into_iter().filter(|held| held.contains(&name));
    assert_eq!(named.collect::<Vec<_>>(), Vec::<String>::new());
    delete(&url).await;
}

#[tokio::test]
async fn what_a_server_has_lost_is_not_taken_for_an_empty_feed() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let node = Node::over(MemoryLog::new(1), &url, FEW).await;
    node.follow(1, 2);
    for n in 1..=5 {
        node.publish(numbered(n), 2, i64::try_from(n).unwrap());
    }
    node.pass(node.publish(numbered(6), 2, 6)).await;
    copy(&services, &url, "", "kept:").await;
    node.pass(node.delete(numbered(3), 2)).await;
    let shown = [6, 5, 4, 2, 1].map(numbered);
    assert_eq!(node.feed_of(1).await.unwrap(), shown);

    // As it was a moment ago: then the third one was there.
    copy(&services, &url, "kept:", "").await;
    assert_eq!(node.believed(1).await, shown, "a page is there as a whole or not at all");
    delete(&url).await;
    assert_eq!(node.believed(1).await, shown);
    assert_eq!(until(async || node.feed.in_creation(user(1)).await, Result::is_ok).await, Ok(0));
    assert!(node.feeding.is_running());
    delete(&url).await;
    delete(&url.replace("prefix=", "prefix=kept:")).await;
}

#[tokio::test]
async fn a_node_shows_nothing_before_what_it_was_told_to_expect_is_there() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let feed = RedisFeed::new(keys(&url).await);
    assert_eq!(feed.in_creation(user(1)).await, Ok(0));
    feed.expect(PARTITION, 1);
    let page = Page { limit: 1, after: None };
    assert!(feed.latest(user(1), page, &Hidden::NOBODY).await.is_err() && feed.in_creation(user(1)).await.is_err());
    delete(&url).await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_in_the_middle_of_a_batch_leaves_it_to_the_next_one() {
    let Some(services) = Services::from_env() else { return };
    let url = services.fresh_redis_url();
    let (link, behind_a_link) = Proxy::before(&url).await.unwrap();
    let mut slow = Node::over(MemoryLog::new(1), &behind_a_link, FEW).await;
    let other = Node::over(Arc::clone(&slow.feeding.log), &url, FEW).await;
    other.feeding.assign(false);
    let mut shown = Vec::new();
    for n in 1..=5_u8 {
        // It has its turn again.
        slow.pass(slow.follow(1, 2)).await;
        slow.batches.mark_unchanged();
        link.set(Weather::Swallowed);
        // It is on its way, and publishes what is deleted before it arrives.
        slow.publish(numbered(n.into()), 2, n.into());
        slow.batches.changed().await.unwrap();
        slow.feeding.assign(false);
        other.feeding.assign(true);
        other.delete(numbered(n.into()), 2);
        let kept = other.publish(numbered(u128::from(n) + 100), 2, n.into());
        other.pass(kept).await;
        shown.insert(0, numbered(u128::from(n) + 100));
        assert_eq!(other.feed_of(1).await.unwrap(), shown, "{n}");
        link.set(Weather::Fine);
        let stored = other.feed.checkpoint(PARTITION).await.unwrap();
        slow.pass(kept).await;
        assert_eq!(slow.feed_of(1).await.unwrap(), shown, "{n}");
        assert_eq!(other.feed.checkpoint(PARTITION).await.unwrap(), stored, "{n}: nobody else has written");
        other.feeding.assign(false);
        slow.feeding.assign(true);
    }
    assert!(slow.feeding.is_running() && other.feeding.is_running());
    delete(&url).await;
}
