//! People who publish under keys of their own, and now and then lose everything but what they wanted.

use super::super::Fault;
use super::super::check::Asked;
use super::super::judge::Wanted;
use super::super::world::{DEADLINE, World};
use commands::{Answer, KeyedIds, PostCommand, Request};
use events::{Content, Key, Keyring, PostId, Retention, Sealed, UserId};
use journal::{Partition, Rule, partition_of};
use std::collections::BTreeSet;
use tokio::time::{sleep, timeout};

/// How many posts such a client wants.
const POSTS: usize = 3;
/// How often it loses everything over one post, at most.
const LOSSES_MAX: usize = 3;
/// Where the gateway takes posts: ids are derived from it.
const ROUTE: &[u8] = b"POST /posts";

impl World {
    /// Posts under keys of its own, and now and then forgets that it has asked.
    pub(in super::super) async fn insist(self) {
        sleep(self.dice.micros(100_000, 2_000_000)).await;
        for n in 0..POSTS {
            let Some(author) = self.anybody() else { return };
            let key = format!("key-{n}-{}", self.dice.uuid());
            self.post_once(author, &key).await;
            sleep(self.dice.micros(10_000, 500_000)).await;
        }
    }

    /// Somebody new posts something that lands on this partition.
    pub(in super::super) async fn publish_on(&self, partition: Partition) {
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
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let fingerprint = Some(events::Fingerprint([2; 16]));
        Request {
            retention: Retention::Long,
            fingerprint,
            ..Request::new(ids.command, Key::Post(post), publish, self.askers_time(), deadline)
        }
    }
}
