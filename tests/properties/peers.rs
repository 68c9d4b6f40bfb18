//! A node asks another one over a link that the test holds in its hands. Time is simulated.

use async_trait::async_trait;
use bytes::Bytes;
use commands::wire::{BATCH_REQUESTS_MAX, Reply, read_batch, write_reply};
use commands::{Answer, LikeCommand, Link, LinkError, LocalOwners, Nodes, Replies, Request, Transport};
use events::{CommandId, Incarnation, Key, PostId, Timestamp, UserId};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, stream};
use journal::{Announcement, Announcements, Assignment, JournalError, Ownership, Partition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

const P: Partition = Partition(0);
const DEADLINE: Duration = Duration::from_secs(5);

/// A batch that the other node has not taken yet, and where to say what becomes of it.
struct Handed {
    requests: Vec<Request>,
    take: oneshot::Sender<Result<Replies, LinkError>>,
}

struct HeldLink(mpsc::UnboundedSender<Handed>);

impl Link for HeldLink {
    fn send(&self, _: &str, batch: Bytes) -> BoxFuture<'static, Result<Replies, LinkError>> {
        let requests = read_batch(&batch).unwrap().into_iter().map(|(_, request)| request).collect();
        let (take, taken) = oneshot::channel();
        let _ = self.0.send(Handed { requests, take });
        async { taken.await.unwrap_or_else(|_| Err(LinkError::Lost("let go".to_owned()))) }.boxed()
    }
}

/// The partition is another node's.
struct Elsewhere(watch::Sender<Announcements>);

#[async_trait]
impl Ownership for Elsewhere {
    fn enter(&self) {}

    fn assignments(&self) -> watch::Receiver<Assignment> {
        watch::Sender::new(Assignment::new()).subscribe()
    }

    async fn confirm(&self, _: Partition) -> Result<bool, JournalError> {
        Ok(false)
    }

    fn announce(&self, _: Partition, _: Incarnation) {}

    fn leave(&self) {}

    fn announcements(&self) -> watch::Receiver<Announcements> {
        self.0.subscribe()
    }
}

/// A node without owners, the other one's end of the link, and what it has announced.
fn node() -> (Nodes, mpsc::UnboundedReceiver<Handed>, Elsewhere) {
    let announced = Announcement { address: "there".to_owned(), incarnation: Incarnation::default() };
    let elsewhere = Elsewhere(watch::Sender::new(BTreeMap::from([(P, announced)])));
    let (link, handed) = mpsc::unbounded_channel();
    let nodes = Nodes::new(LocalOwners::new(Vec::new()), &elsewhere, Arc::new(HeldLink(link)), "here");
    (nodes, handed, elsewhere)
}

fn request(n: u128) -> Arc<Request> {
    let post = PostId(Uuid::from_u128(n));
    let like = LikeCommand::Add { post, user: UserId(Uuid::from_u128(n + 1)) };
    let deadline = Instant::now() + DEADLINE;
    Arc::new(Request::new(CommandId(Uuid::from_u128(n)), Key::Post(post), like, Timestamp(7), deadline))
}

fn ask(nodes: &Nodes, n: u128) -> BoxFuture<'static, Answer> {
    nodes.send(P, request(n))
}

fn overloaded(n: usize) -> Result<Bytes, LinkError> {
    Ok(write_reply(n, Reply::Answer(Answer::Overloaded)))
}

/// Takes the batch, and answers every request in it.
fn answer(handed: Handed) -> usize {
    let count = handed.requests.len();
    let replies = stream::iter((0..count).rev().map(overloaded)).boxed();
    assert!(handed.take.send(Ok(replies)).is_ok());
    count
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_batches_are_not_taken_goes_together() {
    let (nodes, mut handed, _elsewhere) = node();
    let mut first = Vec::new();
    for n in 0..2 {
        first.push(tokio::spawn(ask(&nodes, n)));
        let one = handed.recv().await.unwrap();
        assert_eq!(one.requests.len(), 1);
        first.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer(one);
            Answer::Overloaded
        }));
    }
    let asked: FuturesUnordered<_> = (10..110).map(|n| ask(&nodes, n)).collect();
    let asked = tokio::spawn(asked.collect::<Vec<_>>());
    assert_eq!(answer(handed.recv().await.unwrap()), 100);
    assert_eq!(asked.await.unwrap(), vec![Answer::Overloaded; 100]);
    for first in first {
        assert_eq!(first.await.unwrap(), Answer::Overloaded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_its_limit_and_the_rest_follows() {
    let (nodes, mut handed, _elsewhere) = node();
    let asked: FuturesUnordered<_> = (0..2 * BATCH_REQUESTS_MAX as u128 + 1).map(|n| ask(&nodes, n)).collect();
    let answers = tokio::spawn(asked.collect::<Vec<_>>());
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 2 * BATCH_REQUESTS_MAX + 1 {
        sizes.push(answer(handed.recv().await.unwrap()));
    }
    assert_eq!(sizes, [BATCH_REQUESTS_MAX, BATCH_REQUESTS_MAX, 1]);
    assert_eq!(answers.await.unwrap().len(), 2 * BATCH_REQUESTS_MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_nothing_does_not_keep_the_next_batch_long() {
    let (nodes, mut handed, _elsewhere) = node();
    let begun = Instant::now();
    let mut untaken = Vec::new();
    for n in 0..5 {
        drop(tokio::spawn(ask(&nodes, n)));
        untaken.push(handed.recv().await.unwrap());
    }
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_holds_up_nobody() {
    let (nodes, mut handed, _elsewhere) = node();
    let mut slow = Vec::new();
    for n in 0..20 {
        slow.push(tokio::spawn(ask(&nodes, n)));
        let taken = handed.recv().await.unwrap();
        assert!(taken.take.send(Ok(stream::pending().boxed())).is_ok());
    }
    let quick = tokio::spawn(ask(&nodes, 100));
    answer(handed.recv().await.unwrap());
    assert_eq!(quick.await.unwrap(), Answer::Overloaded);
    // Nobody knows what became of those whose node never answered.
    for slow in slow {
        assert_eq!(slow.await.unwrap(), Answer::Unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_taken_is_asked_again_and_what_may_have_been_is_not() {
    let (nodes, mut handed, _elsewhere) = node();
    let refused = tokio::spawn(ask(&nodes, 1));
    let nobody = handed.recv().await.unwrap();
    assert!(nobody.take.send(Err(LinkError::Refused("nobody listens".to_owned()))).is_ok());
    let again = timeout(DEADLINE, handed.recv()).await.unwrap().unwrap();
    assert_eq!(again.requests[0].id, CommandId(Uuid::from_u128(1)));
    let not_here = stream::iter([Ok(write_reply(0, Reply::NotHere))]).boxed();
    assert!(again.take.send(Ok(not_here)).is_ok());
    answer(timeout(DEADLINE, handed.recv()).await.unwrap().unwrap());
    assert_eq!(refused.await.unwrap(), Answer::Overloaded);

    let lost = tokio::spawn(ask(&nodes, 2));
    drop(handed.recv().await.unwrap());
    assert_eq!(lost.await.unwrap(), Answer::Unknown);
    let half = [ask(&nodes, 3), ask(&nodes, 4)].map(tokio::spawn);
    let batch = handed.recv().await.unwrap();
    let replies = stream::iter([overloaded(1), Err(LinkError::Lost("cut".to_owned()))]).boxed();
    assert!(batch.take.send(Ok(replies)).is_ok());
    let [third, fourth] = half;
    assert_eq!((third.await.unwrap(), fourth.await.unwrap()), (Answer::Unknown, Answer::Overloaded));
    assert!(handed.try_recv().is_err(), "asked again although it may have been done");
}

#[tokio::test(start_paused = true)]
async fn nonsense_in_an_answer_is_no_answer() {
    let (nodes, mut handed, _elsewhere) = node();
    for said in [&b"{}"[..], b"", b"\xff", b"{\"n\":0}"] {
        let asked = tokio::spawn(ask(&nodes, 1));
        let batch = handed.recv().await.unwrap();
        assert!(batch.take.send(Ok(stream::iter([Ok(Bytes::from_static(said))]).boxed())).is_ok());
        assert_eq!(asked.await.unwrap(), Answer::Unknown);
    }
    // The answer to a request that was not asked, and one twice.
    let asked = tokio::spawn(ask(&nodes, 1));
    let batch = handed.recv().await.unwrap();
    let replies = [overloaded(usize::MAX), overloaded(0), Ok(write_reply(0, Reply::NotHere))];
    assert!(batch.take.send(Ok(stream::iter(replies).boxed())).is_ok());
    assert_eq!(asked.await.unwrap(), Answer::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_its_limit() {
    let (nodes, mut handed, _elsewhere) = node();
    let asked = (0..10_000).map(|n| tokio::spawn(ask(&nodes, n))).collect::<Vec<_>>();
    let mut overloaded_at_once = 0;
    for asked in asked {
        match asked.await.unwrap() {
            Answer::Overloaded => overloaded_at_once += 1,
            answer => assert_eq!(answer, Answer::Unknown),
        }
    }
    assert!(overloaded_at_once > 1_000, "{overloaded_at_once}");
    handed.close();
    let mut taken = 0;
    while let Some(batch) = handed.recv().await {
        taken += batch.requests.len();
    }
    assert_eq!(taken + overloaded_at_once, 10_000);
}
