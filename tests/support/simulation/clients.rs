//! Clients that are in trouble themselves: their clocks are wrong, they give up, or they lose everything but what they
//! wanted, and begin again under the same key.

use super::Fault;
use super::check::Asked;
use super::judge::Wanted;
use super::world::World;
use commands::{Answer, KeyedIds, PostCommand, Request};
use events::{Content, Key, Keyring, PostId, Retention, Sealed, Timestamp, UserId};
use futures::future::join_all;
use journal::{Partition, Rule, partition_of};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How many posts such a client wants.
const POSTS: usize = 3;
/// How often it loses everything over one post, at most.
const LOSSES_MAX: usize = 3;
/// How often somebody in a hurry asks for the same thing at once.
const ASKS_AT_ONCE: u64 = 8;
/// Where the gateway takes posts: ids are derived from it.
const ROUTE: &[u8] = b"POST /posts";

const SECOND: i64 = 1_000_000;

impl World {
    /// What a client's clock says.
    pub(super) fn askers_time(&self) -> Timestamp {
        let now = (self.clock)();
        if self.swarm.wrong_clock_one_in == 0 || !self.dice.once_in(self.swarm.wrong_clock_one_in) {
            return now;
        }
        let off = *self.dice.one_of(&[1, 10, 3_600, 86_400, 10 * 366 * 86_400]) * SECOND;
        let off = if self.dice.once_in(2) { -off } else { off };
        self.story.fault(Fault::WrongClock, format_args!("by {off} µs"));
        Timestamp(now.0 + off)
    }

    /// Whether a client that knows no more than this lets go of its request. Who registers to stay does not: somebody
    /// must be there to ask for more.
    pub(super) fn gives_up(&self, request: &Request, answer: &Answer) -> bool {
        let one_in = self.swarm.give_up_one_in;
        let may = *answer == Answer::Unknown && !request.until_saga_ends;
        let gives_up = may && one_in > 0 && self.dice.once_in(one_in);
        if gives_up {
            self.story.fault(Fault::GaveUp, request.id);
        }
        gives_up
    }

    /// Posts under keys of its own, and now and then forgets that it has asked.
    pub(super) async fn insist(self) {
        sleep(self.dice.micros(100_000, 2_000_000)).await;
        for n in 0..POSTS {
            let Some(author) = self.anybody() else { return };
            let key = format!("key-{n}-{}", self.dice.uuid());
            self.post_once(author, &key).await;
            sleep(self.dice.micros(10_000, 500_000)).await;
        }
    }

    /// Registers, perhaps several times at once, and walks away: whatever comes of it, nobody asks again.
    pub(super) async fn walk_away(self) {
        sleep(self.dice.micros(0, 6_000_000)).await;
        let name = format!("gone{}", self.dice.below(1_000_000));
        let (_, request) = self.registration(&name, &format!("{name}@example.com")).await;
        self.story.fault(Fault::GaveUp, request.id);
        self.history.asks(&request);
        self.asked.lock().push(Asked::forgotten(request.clone()));
        // The request itself may still be under way when the client is gone.
        let patience = self.dice.micros(0, 100_000);
        let asks = (0..*self.dice.one_of(&[1, ASKS_AT_ONCE])).map(|n| self.ask_once(request.clone(), n, patience));
        join_all(asks).await;
    }

    async fn ask_once(&self, request: Request, n: u64, patience: Duration) {
        sleep(Duration::from_millis(n * 4)).await;
        let partition = partition_of(&request.key, self.swarm.partitions);
        let from = self.log.landed(partition);
        if let Ok(answer) = timeout(patience, self.router.submit(request.clone())).await {
            let to = self.log.landed(partition);
            self.asked.lock().push(Asked { request, partition, from, to, answer, violation: None });
        }
    }

    /// Somebody new posts something that lands on this partition.
    pub(super) async fn publish_on(&self, partition: Partition) {
        let author = UserId(self.dice.uuid());
        let seal = self.keyring.create(author.into()).await.expect("a fresh key");
        let content = Sealed::seal(&Content::parse("something else").expect("short"), &seal);
        let mut post = PostId(self.dice.uuid());
        while partition_of(&Key::Post(post), self.swarm.partitions) != partition {
            post = PostId(self.dice.uuid());
        }
        let publish = PostCommand::Publish { post, author, content, hashtags: None, mentions: None };
        self.ask(self.request(Key::Post(post), publish.into())).await;
    }

    fn anybody(&self) -> Option<UserId> {
        let users = self.users.lock();
        if users.is_empty() { None } else { Some(*self.dice.one_of(&users)) }
    }

    async fn post_once(&self, author: UserId, key: &str) {
        let mut tries = BTreeSet::new();
        for _ in 0..self.dice.below(LOSSES_MAX + 1) {
            let request = self.keyed(author, key, &mut tries);
            let patience = self.dice.micros(100, 300_000);
            self.history.asks(&request);
            self.asked.lock().push(Asked::forgotten(request.clone()));
            if timeout(patience, self.router.submit(request)).await.is_ok() && self.dice.once_in(2) {
                break;
            }
            self.story.fault(Fault::LostEverything, key);
            sleep(self.dice.micros(1_000, 400_000)).await;
        }
        let request = self.keyed(author, key, &mut tries);
        let accepted = matches!(self.ask(request).await, Answer::Accepted(_) | Answer::Repeated(_));
        self.wanted.lock().push(Wanted { key: key.to_owned(), tries, accepted });
    }

    /// As the gateway makes it of what the client says, whatever came before.
    fn keyed(&self, author: UserId, key: &str, tries: &mut BTreeSet<PostId>) -> Request {
        let scope = [author.0.as_bytes().as_slice(), ROUTE, key.as_bytes()];
        let mut ids = KeyedIds::of(self.keyring.secrets(), scope);
        if !self.rules.keep(Rule::DeriveIdsFromTheKey) {
            ids = KeyedIds { command: events::CommandId(self.dice.uuid()), created: self.dice.uuid() };
        }
        let post = PostId(ids.created);
        tries.insert(post);
        let cipher = self.keyring.key(author.into()).expect("nobody destroys keys");
        let content = Sealed::seal(&Content::parse(key).expect("short"), &cipher);
        let publish = PostCommand::Publish { post, author, content, hashtags: None, mentions: None };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
        let fingerprint = Some(events::Fingerprint([2; 16]));
        Request {
            retention: Retention::Long,
            fingerprint,
            ..Request::new(ids.command, Key::Post(post), publish, self.askers_time(), deadline)
        }
    }
}
