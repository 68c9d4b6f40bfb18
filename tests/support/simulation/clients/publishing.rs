//! People who publish, each post by its saga: as the gateway has it carried out, waiting for the end or not, under a key
//! that they keep whatever they lose, and people who may not.

use super::super::check::Asked;
use super::super::reading::Thing;
use super::super::story::{Deed, Fault};
use super::super::world::World;
use commands::{Answer, Ended, KeyedIds, POSTS_IN_CREATION_MAX, Process, Refusal, Request, SagaCommand};
use events::{
    CipherKey, CommandId, Content, Fingerprint, Key, Keyring, PostDrafted, PostId, Retention, SagaId, Sealed, UserId,
};
use futures::future::join_all;
use journal::{Partition, Rule, partition_of};
use sagas::post_creation::{PostCreation, PostCreationData, opening};
use std::collections::BTreeSet;
use tokio::time::{sleep, timeout};

/// How many posts somebody wants who keeps a key.
const POSTS_UNDER_KEYS: usize = 1;
/// How often they lose everything over one post, at most.
const LOSSES_MAX: usize = 3;
/// Where the gateway takes posts: ids are derived from it.
const ROUTE: &[u8] = b"POST /posts";
/// Posts that somebody publishes at one time who does not know when it is enough: a few more than may be.
const BURST: usize = POSTS_IN_CREATION_MAX + 20;

/// What a client wanted once, however often it asked.
pub(in super::super) struct Wanted {
    /// The key that it chose.
    pub(in super::super) key: String,
    /// The posts that its tries would have made.
    pub(in super::super) tries: BTreeSet<PostId>,
    /// It was told that it has it.
    pub(in super::super) accepted: bool,
}

impl World {
    /// Publishes something new, and looks.
    pub(super) async fn publish(&self, author: UserId) {
        let Ok(cipher) = self.keyring.key(author.into()) else { return };
        let request = self.creation(author, &cipher);
        let request = Request { until_saga_ends: !self.dice.once_in(4), ..request };
        let answer = self.ask(request.clone()).await;
        self.told(&request, &answer).await;
        self.ask_again(request.clone(), &answer).await;
        if !request.until_saga_ends && self.dice.once_in(2) {
            let request = Request { until_saga_ends: true, ..request };
            let answer = self.ask(request.clone()).await;
            self.told(&request, &answer).await;
        }
    }

    /// Publishes more at one time than anybody may, while the log is slow to say that the first ones have their places.
    pub(super) async fn publish_a_lot(self) {
        sleep(self.dice.micros(1_500_000, 3_000_000)).await;
        let Some(author) = self.people.anybody(&self.dice, usize::MAX) else { return };
        let Ok(cipher) = self.keyring.key(author.into()) else { return };
        let partition = partition_of(&Key::User(author), self.swarm.partitions);
        let pause = self.dice.micros(800_000, 2_000_000);
        self.story.fault(Fault::LogUnavailable, format_args!("partition {partition} for {pause:?}"));
        self.log.make_unavailable(partition, pause);
        // Those on the partition that does not answer would not even begin.
        let may_be_on = |other: Partition| other != partition || self.swarm.partitions == 1;
        let burst = (0..BURST).map(|_| async {
            let request = self.creation_on(may_be_on, author, &cipher);
            let answer = self.ask(request.clone()).await;
            self.told(&request, &answer).await;
        });
        join_all(burst).await;
    }

    /// Somebody publishes who has no account.
    pub(super) async fn publish_as_nobody(self) {
        sleep(self.dice.micros(0, 3_000_000)).await;
        let nobody = UserId(self.dice.uuid());
        let cipher = self.keyring.create(nobody.into()).await.expect("a fresh key");
        let request = self.creation(nobody, &cipher);
        let answer = self.ask(request.clone()).await;
        self.told(&request, &answer).await;
    }

    /// Publishes under keys of its own, and now and then forgets that it has asked.
    pub(super) async fn insist(self) {
        sleep(self.dice.micros(100_000, 2_000_000)).await;
        for n in 0..POSTS_UNDER_KEYS {
            let Some(author) = self.people.anybody(&self.dice, usize::MAX) else { return };
            let key = format!("key-{n}-{}", self.dice.uuid());
            self.publish_once(author, &key).await;
            sleep(self.dice.micros(10_000, 500_000)).await;
        }
    }

    /// Somebody without an account writes something that lands on this partition.
    pub(in super::super) async fn draft_on(&self, partition: Partition) {
        let nobody = UserId(self.dice.uuid());
        let cipher = self.keyring.create(nobody.into()).await.expect("a fresh key");
        let request = self.creation_on(|it| it == partition, nobody, &cipher);
        self.ask(Request { until_saga_ends: false, ..request }).await;
    }

    async fn publish_once(&self, author: UserId, key: &str) {
        let Ok(cipher) = self.keyring.key(author.into()) else { return };
        let mut tries = BTreeSet::new();
        for _ in 0..self.dice.below(LOSSES_MAX + 1) {
            let request = self.keyed(author, &cipher, key, &mut tries);
            if !self.is_let_in(&request).await {
                break;
            }
            let patience = self.dice.micros(100, 300_000);
            self.history.asks(&request);
            self.asked.lock().push(Asked::forgotten(request.clone()));
            if timeout(patience, self.router.submit(request)).await.is_ok() && self.dice.once_in(2) {
                break;
            }
            self.story.fault(Fault::LostEverything, key);
            sleep(self.dice.micros(1_000, 400_000)).await;
        }
        let request = self.keyed(author, &cipher, key, &mut tries);
        let answer = self.ask(request.clone()).await;
        self.told(&request, &answer).await;
        let accepted = matches!(answer, Answer::Ended(_, Ended::Completed));
        self.wanted.lock().push(Wanted { key: key.to_owned(), tries, accepted });
    }

    /// What somebody was told of their post, and whether it is there.
    pub(super) async fn told(&self, request: &Request, answer: &Answer) {
        let (Key::Post(post), Some(author)) = (request.key, request.actor) else { return };
        match answer {
            Answer::Ended(receipt, Ended::Completed) => {
                self.story.deed(Deed::Published, post);
                self.posts.lock().push(post);
                self.look(receipt.position, Thing::Post(post)).await;
            }
            Answer::Ended(receipt, Ended::Compensated { reason, .. }) => {
                self.story.deed(why_not(reason), post);
                self.look(receipt.position, Thing::Post(post)).await;
            }
            Answer::Accepted(receipt) | Answer::Repeated(receipt) | Answer::Unchanged(receipt) => {
                self.story.deed(Deed::UnderWay, post);
                self.posts.lock().push(post);
                self.look(receipt.position, Thing::Draft(post, author)).await;
                self.look(receipt.position, Thing::Post(post)).await;
            }
            _ => {}
        }
    }

    /// A new post, waiting until it is published.
    pub(super) fn creation(&self, author: UserId, cipher: &CipherKey) -> Request {
        self.creation_on(|_| true, author, cipher)
    }

    fn creation_on(&self, may_be_on: impl Fn(Partition) -> bool, author: UserId, cipher: &CipherKey) -> Request {
        let mut post = PostId(self.dice.uuid());
        while !may_be_on(partition_of(&Key::Post(post), self.swarm.partitions)) {
            post = PostId(self.dice.uuid());
        }
        let text = format!("text {}", self.dice.below(1_000));
        let request = self.request(Some(author), Key::Post(post), self.draft(post, author, &text, cipher));
        Request { until_saga_ends: true, ..request }
    }

    /// As the gateway makes it of what the client says, whatever came before.
    fn keyed(&self, author: UserId, cipher: &CipherKey, key: &str, tries: &mut BTreeSet<PostId>) -> Request {
        let scope = [author.0.as_bytes().as_slice(), ROUTE, key.as_bytes()];
        let mut ids = KeyedIds::of(self.keyring.secrets(), scope);
        if !self.rules.keep(Rule::DeriveIdsFromTheKey) {
            ids = KeyedIds { command: CommandId(self.dice.uuid()), created: self.dice.uuid() };
        }
        let post = PostId(ids.created);
        tries.insert(post);
        Request {
            id: ids.command,
            retention: Retention::Long,
            fingerprint: Some(Fingerprint([2; 16])),
            until_saga_ends: true,
            ..self.request(Some(author), Key::Post(post), self.draft(post, author, key, cipher))
        }
    }

    fn draft(&self, post: PostId, author: UserId, text: &str, cipher: &CipherKey) -> SagaCommand {
        let content = Sealed::seal(&Content::parse(text).expect("short"), cipher);
        let drafted = PostDrafted { post, author, content, hashtags: None, mentions: None };
        let saga = self.saga_of(PostCreation::NAME, post.0);
        SagaCommand::Start { saga, data: PostCreationData { post, author }.into(), with: opening(&drafted) }
    }

    /// The saga of a kind that creates, or acts for, what has this id: as the gateway derives it.
    pub(super) fn saga_of(&self, process: &str, id: uuid::Uuid) -> SagaId {
        SagaId(self.keyring.secrets().id(&[b"saga", process.as_bytes(), id.as_bytes()]))
    }
}

/// Why a post came to nothing.
fn why_not(reason: &str) -> Deed {
    let is = |refusal: Refusal| reason == refusal.to_string();
    if is(Refusal::TooManyDrafts) {
        Deed::TooManyDrafts
    } else if is(Refusal::NotFound) {
        Deed::PostOfNobody
    } else if is(Refusal::Forbidden) {
        Deed::PostOfTheGone
    } else {
        Deed::NotPublished
    }
}
