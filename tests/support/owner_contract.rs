//! What an owner must hold to over any journal: the suite knows no implementation.
//!
//! Each test gets an empty log of at least one partition. Requests reach an owner through a network without faults, so
//! whatever goes wrong is the journal's or the owner's.

use crate::simulation::network::NetworkFaults;
use crate::simulation::nodes::Cluster;
use crate::simulation::{Dice, Network, Story};
use commands::{Answer, LikeCommand, PostCommand, Refusal, Request};
use events::{CipherKey, CommandId, Commit, Content, Key, PostId, Sealed, Timestamp, UserId};
use futures::FutureExt;
use futures::future::join_all;
use journal::{Journal, Kind, Partition, Reader, Rules, partition_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

fn cluster(journal: Arc<dyn Journal>) -> Cluster {
    let (dice, story) = (Dice::new(7), Story::default());
    let network = Network::new(journal.partitions(), dice.clone(), story, NetworkFaults::NONE);
    Cluster::new(journal, network, Arc::new(Timestamp::now), Rules::default(), dice)
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

/// A post whose key is on the first partition.
fn post(journal: &dyn Journal) -> PostId {
    let on_first =
        |n: &u128| partition_of(&Key::Post(PostId(Uuid::from_u128(*n))), journal.partitions()) == Partition(0);
    PostId(Uuid::from_u128((1..).find(on_first).expect("some key is on every partition")))
}

fn request(id: u128, post: PostId, command: impl Into<commands::Command>) -> Request {
    let deadline = Instant::now() + Duration::from_secs(10);
    Request::new(CommandId(Uuid::from_u128(id)), Key::Post(post), command, Timestamp::now(), deadline)
}

fn publish(id: u128, post: PostId) -> Request {
    let content = Sealed::seal(&Content::parse("hello").expect("short"), &CipherKey::new(user(1).into(), &[1; 32]));
    request(id, post, PostCommand::Publish { post, author: user(1), content, hashtags: None, mentions: None })
}

/// How often each command took effect, and how many claims are valid.
async fn effects(journal: Arc<dyn Journal>) -> (BTreeMap<CommandId, usize>, usize) {
    let mut reader = Reader::from_start(journal, Partition(0)).await.expect("a sound log");
    let (mut effects, mut claims) = (BTreeMap::new(), 0);
    loop {
        let records = reader.records().await.expect("a sound log");
        if records.is_empty() {
            return (effects, claims);
        }
        for (record, _) in records {
            match record.draft.kind {
                Kind::Claim => claims += 1,
                Kind::Commit => {
                    let commit = Commit::decode(&record.draft.value).expect("our own");
                    *effects.entry(commit.command).or_default() += 1;
                }
            }
        }
    }
}

/// Two owners race for one partition under load; owners come and go. Every accepted command took effect exactly once.
pub async fn two_owners_race_and_every_acceptance_took_effect_exactly_once(journal: Arc<dyn Journal>) {
    let cluster = cluster(Arc::clone(&journal));
    let post = post(journal.as_ref());
    let mut nodes = vec![cluster.start(Partition(0))];
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1, post)).await, Answer::Accepted(_)));
    let likes = (0..600_u128).map(|n| {
        let router = router.clone();
        async move {
            sleep(Duration::from_millis(u64::try_from(n).expect("small"))).await;
            let like = LikeCommand::Add { post, user: user(n) };
            (CommandId(Uuid::from_u128(n + 100)), router.submit(request(n + 100, post, like)).await)
        }
    });
    let takeovers = async {
        for _ in 0..8 {
            sleep(Duration::from_millis(70)).await;
            // Whoever owned it is not told, and goes on until it finds out.
            nodes.push(cluster.start(Partition(0)));
        }
    };
    let (answers, ()) = tokio::join!(join_all(likes), takeovers);
    for node in &nodes {
        assert!(!node.task.is_finished(), "an owner ended by itself");
        node.task.abort();
    }
    let (effects, claims) = effects(journal).await;
    assert!(claims > 1, "the partition never changed hands");
    assert!(effects.values().all(|times| *times == 1), "a command took effect twice");
    let other = answers.iter().find(|(_, answer)| !matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)));
    assert_eq!(other, None, "everybody is accepted in the end");
    assert!(answers.iter().all(|(id, _)| effects.get(id) == Some(&1)), "an accepted command is not in the log");
}

/// An owner is stopped before it can answer a refusal; when it wakes up, the refusal is no longer true.
pub async fn a_paused_owner_that_wakes_up_answers_nothing_untrue(journal: Arc<dyn Journal>) {
    let cluster = cluster(Arc::clone(&journal));
    let post = post(journal.as_ref());
    let former = cluster.start(Partition(0));
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1, post)).await, Answer::Accepted(_)));
    former.gate.close_until(Instant::now() + Duration::from_millis(700));
    let unlike = LikeCommand::Remove { post, user: user(2) };
    let mut late = Box::pin(router.submit(request(2, post, unlike.clone())));
    assert!((&mut late).now_or_never().is_none());
    // Let it reach the former owner's mailbox: the network takes at most 2 ms.
    let (early, ()) = tokio::join!(async { (&mut late).now_or_never() }, sleep(Duration::from_millis(50)));
    assert!(early.is_none(), "a stopped owner answered");
    let _newest = cluster.start(Partition(0));
    let like = LikeCommand::Add { post, user: user(2) };
    assert!(matches!(router.submit(request(3, post, like)).await, Answer::Accepted(_)));
    let answer = late.await;
    assert!(matches!(answer, Answer::Accepted(_)), "it was liked before the owner woke up: {answer:?}");
}

/// A dead owner's records may still arrive: the next one's claim voids them, and what was asked is asked again.
pub async fn what_a_dead_owner_had_in_flight_takes_effect_once_or_not_at_all(journal: Arc<dyn Journal>) {
    let cluster = cluster(Arc::clone(&journal));
    let post = post(journal.as_ref());
    let mut node = cluster.start(Partition(0));
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1, post)).await, Answer::Accepted(_)));
    for round in 0..10_u128 {
        let asks = (0..50).map(|n| {
            let like = LikeCommand::Add { post, user: user(round * 50 + n) };
            router.submit(request(1_000 + round * 50 + n, post, like))
        });
        let kill = async {
            sleep(Duration::from_millis(1)).await;
            node.task.abort();
            node = cluster.start(Partition(0));
        };
        let (answers, ()) = tokio::join!(join_all(asks), kill);
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Accepted(_) | Answer::Repeated(_))));
    }
    let (effects, _) = effects(journal).await;
    assert_eq!(effects.len(), 501);
    assert!(effects.values().all(|times| *times == 1));
}

/// A refusal over things that are there as asked, and over things that are not.
pub async fn a_quiet_owner_answers_refusals_without_writing(journal: Arc<dyn Journal>) {
    let cluster = cluster(Arc::clone(&journal));
    let post = post(journal.as_ref());
    let _node = cluster.start(Partition(0));
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1, post)).await, Answer::Accepted(_)));
    let before = journal.end(Partition(0)).await.expect("it answers");
    let unlike = LikeCommand::Remove { post, user: user(5) };
    assert_eq!(router.submit(request(2, post, unlike)).await, Answer::Refused(Refusal::NotFound));
    let delete = PostCommand::Delete { post, by: user(5), if_version: None };
    assert_eq!(router.submit(request(3, post, delete)).await, Answer::Refused(Refusal::Forbidden));
    assert_eq!(journal.end(Partition(0)).await.expect("it answers"), before);
}

/// All tests of owners over a journal, for an implementation.
#[macro_export]
macro_rules! owner_contract {
    ($implementation:ident: $log:ty) => {
        $crate::owner_contract!(@tests $implementation $log:
            two_owners_race_and_every_acceptance_took_effect_exactly_once;
            a_paused_owner_that_wakes_up_answers_nothing_untrue;
            what_a_dead_owner_had_in_flight_takes_effect_once_or_not_at_all;
            a_quiet_owner_answers_refusals_without_writing;
        );
    };
    (@tests $implementation:ident $log:ty: $($test:ident;)*) => {
        mod $implementation {
            use $crate::journal_contract::{LogUnderTest, UnderTest};

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if !<$log as UnderTest>::is_available() {
                    return;
                }
                let log = <$log as LogUnderTest>::create(2).await;
                $crate::owner_contract::$test(log.journal()).await;
            })*
        }
    };
}
