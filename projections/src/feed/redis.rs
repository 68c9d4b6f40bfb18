//! Feeds on a Redis server, pushed: whoever is followed by few has their posts in the sets of their followers, so that a
//! page of a feed is one look into one set.
//!
//! `user:{id}:feed` is a sorted set of posts by their times, `post:{id}` a hash with a post's `author_id` and `created_at`.
//! Neither its content nor its likes are there: whoever shows a post asks the read model of posts for both, and what is not
//! here need not be erased here. Beside them stands what the feeds are made of: `user:{id}:posts`, `user:{id}:followers` and
//! `user:{id}:following`, `user:{id}:slots` and `user:{id}:drafts`, and the digests of those who are `feed:gone`.
//!
//! Whoever publishes stores the post before the followers are read, and whoever follows stores the edge before the posts are
//! read: one of the two fills the feed, whichever partition comes first. What is left in a set, since an author has stopped
//! being followed or is gone, is passed over when it is read, where each post is looked up with its author.
//!
//! Two things bound what one batch does, since nobody else is served meanwhile. A set is trimmed to the newest
//! [`FeedLimits::kept`], and `user:{id}:feed:end` says how far back it has all: behind that, a page is merged from the posts
//! of the followed. And whoever had more than [`FeedLimits::pushed`] followers at one time is in `feed:pulled` for good: their
//! posts are pushed to nobody, and merged into the feeds of their followers when these are read. So a batch of 512 posts is at
//! most a hundred thousand small changes, which take about two seconds; one post of a celebrity is one. Only somebody's
//! departure takes as long as they have posts and follows, each of which has cost a commit before. A page that is merged looks
//! at the newest post of each of the followed, and at few others: where they are 5,000, it takes 0.1 s. The answers are the same
//! without these limits.
//!
//! Times are seconds with six digits behind the point, which are exact to the microsecond until the year 2106.

use super::change::Change;
use super::{Feed, NAME};
use crate::checkpoint::Checkpoint;
use crate::hidden::Hidden;
use crate::listing::{Filling, Listing, Page, Place};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::redis::{Checkpoints, Keyspace};
use async_trait::async_trait;
use events::{PostId, Timestamp, UserId};
use journal::{Offset, Partition};
use redis::{Script, ScriptInvocation};
use std::collections::HashMap;
use std::str::FromStr;

/// Places of a feed that one script reads.
const READ_AT_ONCE_MAX: usize = 100;

/// Changes in their order, each of so many arguments; what does not apply is empty.
const WIDTH: usize = 4;
/// Which place is the newer one, for both.
const PLACES: &str = include_str!("redis/places.lua");
const WRITE: &str = include_str!("redis/write.lua");
const READ: &str = include_str!("redis/read.lua");
const COUNT: &str = "#!lua flags=no-writes
return {redis.call('HGETALL', KEYS[1]), redis.call('ZCARD', KEYS[2])}";

/// What of the feeds is held ready, and what is put together when it is read; the answers are the same.
#[derive(Clone, Copy, Debug)]
pub struct FeedLimits {
    /// Posts that a feed's set is trimmed to, at least one; and those of an author that whoever follows them is given.
    pub kept: usize,
    /// Posts of a set that is not trimmed at the end of a batch, not fewer than that and at most 3,000: a script cannot name
    /// more at once.
    pub max: usize,
    /// Followers of somebody whose posts are pushed.
    pub pushed: usize,
}

impl Default for FeedLimits {
    /// A feed's set takes some 100 KiB at most.
    fn default() -> Self {
        Self { kept: 800, max: 1_000, pushed: 200 }
    }
}

/// The read model of feeds, shared by all nodes.
pub struct RedisFeed {
    keys: Keyspace,
    limits: FeedLimits,
    checkpoints: Checkpoints,
    write: Script,
    read: Script,
    count: Script,
}

/// A post in a feed, with its author.
struct Shown {
    place: Place,
    author: UserId,
}

impl RedisFeed {
    /// The build that is under these keys.
    pub fn new(keys: Keyspace) -> Self {
        Self::with_limits(keys, FeedLimits::default())
    }

    /// The same with other limits than the default ones. What was written with others is read as well.
    pub fn with_limits(keys: Keyspace, limits: FeedLimits) -> Self {
        let checkpoints = Checkpoints { model: NAME, generation: 0, passed: Default::default() };
        let write = Checkpoints::script(&[PLACES, WRITE].concat());
        let read = Script::new(&["#!lua flags=no-writes\n", PLACES, READ].concat());
        Self { keys, limits, checkpoints, write, read, count: Script::new(COUNT) }
    }

    /// What comes behind a place, and where to go on, if there may be more.
    async fn read(
        &self,
        user: UserId,
        after: Option<Place>,
        count: usize,
    ) -> Result<(Vec<Shown>, Option<Place>), Unavailable> {
        let known = self.checkpoints.passed.all();
        let mut read = self.read.prepare_invoke();
        read.key(self.checkpoints.key(&self.keys)).arg(self.keys.key("")).arg(user.to_string());
        let (time, post) = after.map(|(time, post)| (seconds(time), post.to_string())).unwrap_or_default();
        read.arg(time).arg(post).arg(count);
        let (stored, shown, next): Read = self.keys.ask(&read).await?;
        self.checkpoints.believe(&known, &stored)?;
        let shown = shown.into_iter().map(|(post, time, author)| {
            Ok(Shown { place: (time_of(&time)?, parsed(&post)?), author: UserId(parsed(&author)?) })
        });
        let next = next.map(|(post, time)| Ok((time_of(&time)?, parsed(&post)?))).transpose()?;
        Ok((shown.collect::<Result<_, _>>()?, next))
    }
}

/// What the script says: the checkpoints, then post, time and author of each place, and post and time of where to go on.
type Read = (HashMap<u32, String>, Vec<(String, String, String)>, Option<(String, String)>);

#[async_trait]
impl Feed for RedisFeed {
    async fn latest(&self, user: UserId, page: Page, hidden: &Hidden) -> Result<Listing<PostId>, Unavailable> {
        let (mut filling, mut after) = (Filling::of(page), page.after);
        let count = page.limit.saturating_add(1).min(READ_AT_ONCE_MAX);
        loop {
            let (shown, next) = self.read(user, after, count).await?;
            for Shown { place, author } in shown {
                let is_hidden = author != user && hidden.hides_in_feed(author);
                if !filling.push(place, (!is_hidden).then_some(PostId(place.1))) {
                    return Ok(filling.done());
                }
            }
            if next.is_none() {
                return Ok(filling.done());
            }
            after = next;
        }
    }

    async fn in_creation(&self, user: UserId) -> Result<usize, Unavailable> {
        let known = self.checkpoints.passed.all();
        let mut count = self.count.prepare_invoke();
        count.key(self.checkpoints.key(&self.keys)).key(self.keys.key(&format!("user:{user}:slots")));
        let (stored, count): (HashMap<u32, String>, usize) = self.keys.ask(&count).await?;
        self.checkpoints.believe(&known, &stored)?;
        Ok(count)
    }

    fn expect(&self, partition: Partition, next: Offset) {
        self.checkpoints.passed.note(partition, next);
    }
}

#[async_trait]
impl ReadModel for RedisFeed {
    fn name(&self) -> &'static str {
        self.checkpoints.model
    }

    fn system(&self) -> Option<&'static str> {
        Some("redis")
    }

    fn generation(&self) -> u64 {
        self.checkpoints.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.checkpoints.load(&self.keys, partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        let mut script = self.checkpoints.advance(&self.write, &self.keys, advance)?;
        let FeedLimits { kept, max, pushed } = self.limits;
        script.arg(kept).arg(max).arg(pushed);
        changes.iter().for_each(|change| change.write(&mut script));
        self.checkpoints.carry_out(&self.keys, &script, advance).await
    }
}

impl Change {
    fn write(&self, script: &mut ScriptInvocation<'_>) {
        let args: [String; WIDTH] = match self {
            Self::Published { post, author, at } => on_post("published", *author, *post, Some(*at)),
            Self::Drafted { post, author } => on_post("drafted", *author, *post, None),
            Self::DraftPublished { post, author, at } => on_post("draft published", *author, *post, Some(*at)),
            Self::Deleted { post, author } => on_post("deleted", *author, *post, None),
            Self::Followed { follower, followee } => on_user("followed", *follower, followee.to_string()),
            Self::Unfollowed { follower, followee } => on_user("unfollowed", *follower, followee.to_string()),
            Self::Reserved { user, post, at } => on_post("reserved", *user, *post, Some(*at)),
            Self::Vacated { user, post } => on_post("vacated", *user, *post, None),
            Self::Gone { user } => on_user("gone", *user, String::new()),
        };
        script.arg(&args[..]);
    }
}

fn on_post(what: &str, user: UserId, post: PostId, at: Option<Timestamp>) -> [String; WIDTH] {
    [what.to_owned(), user.to_string(), post.to_string(), at.map(seconds).unwrap_or_default()]
}

fn on_user(what: &str, user: UserId, other: String) -> [String; WIDTH] {
    [what.to_owned(), user.to_string(), other, String::new()]
}

/// See the module.
fn seconds(Timestamp(micros): Timestamp) -> String {
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[expect(clippy::cast_possible_truncation, reason = "it ends at the largest there is")]
fn time_of(seconds: &str) -> Result<Timestamp, Unavailable> {
    let seconds: f64 = parsed(seconds)?;
    Ok(Timestamp((seconds * 1e6).round() as i64))
}

fn parsed<T: FromStr>(text: &str) -> Result<T, Unavailable> {
    text.parse().map_err(|_| Unavailable("Redis: a feed has another shape".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_what_it_was_when_it_comes_back_as_the_server_writes_it() {
        let newest = 2_u64.pow(32) * 1_000_000 - 1;
        for micros in [0, 1, 999_999, 1_000_000, 1_672_531_200_123_456, 1_672_531_200_123_457, newest as i64, -1] {
            let stored: f64 = seconds(Timestamp(micros)).parse().unwrap();
            // 17 digits, as the server answers, are all of a double.
            assert_eq!(time_of(&format!("{stored:.16e}")), Ok(Timestamp(micros)));
        }
        assert_eq!(seconds(Timestamp(-1_500_000)), "-1.500000");
    }
}
