//! What nobody waits for begins at ticks: what is waited for shares the log with it once a tick, not all the time.

use crate::registration::{PARTITIONS, answer, applicant, cluster_whose_clock_can_be_set, registration, start_all};
use commands::limits::UNAWAITED_TICK;
use commands::{Answer, Command, Ended, FeedSlotCommand, Request, SagaCommand, Transport};
use events::{CipherKey, CommandId, Content, Key, Keyring, PostDrafted, PostId, SagaId, Sealed, Timestamp, UserId};
use futures::future::{BoxFuture, join_all};
use journal::{Partition, partition_of};
use parking_lot::Mutex;
use sagas::post_creation::{PostCreationData, opening};
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::simulation::Network;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// As many as one person may have in creation.
const POSTS: usize = 40;
/// What the clock of the simulation rounds to.
const ROUNDING: Duration = Duration::from_millis(1);

/// Notes when places in creation are given free.
struct Noting {
    network: Network,
    freed: Arc<Mutex<Vec<Instant>>>,
}

impl Transport for Noting {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        if matches!(request.command, Command::FeedSlot(FeedSlotCommand::Commit { .. })) {
            self.freed.lock().push(Instant::now());
        }
        self.network.send(partition, request)
    }
}

/// To be published by a saga of its own.
pub(crate) fn publication(post: PostId, author: UserId, cipher: &CipherKey) -> Request {
    let content = Sealed::seal(&Content::parse("hello").unwrap(), cipher);
    let drafted = PostDrafted { post, author, content, hashtags: None, mentions: None };
    let saga = SagaId(Uuid::from_u128(1_000_000 + post.0.as_u128()));
    let start = SagaCommand::Start { saga, data: PostCreationData { post, author }.into(), with: opening(&drafted) };
    let deadline = Instant::now() + Duration::from_secs(5);
    let request = Request::new(CommandId(saga.0), Key::Post(post), start, Timestamp(1_000), deadline);
    Request { actor: Some(author), ..request }
}

#[tokio::test(start_paused = true)]
async fn places_in_creation_are_given_free_together() {
    let (mut cluster, _, keyring) = cluster_whose_clock_can_be_set(1, Arc::default());
    let freed = Arc::<Mutex<Vec<Instant>>>::default();
    cluster.meddler = Some(Arc::new(Noting { network: cluster.network.clone(), freed: Arc::clone(&freed) }));
    let _nodes = start_all(&cluster);
    let registered = registration(&keyring, 1, "ada@example.com", "ada").await;
    assert_eq!(answer(&cluster, &registered).await, Ended::Completed);
    let author = applicant(&registered);
    let cipher = keyring.find(author.into()).await.unwrap().unwrap();
    // Of one owner, which alone counts its ticks.
    let posts = (0..).map(|n| PostId(Uuid::from_u128(n)));
    let posts = posts.filter(|post| partition_of(&Key::Post(*post), PARTITIONS) == Partition(0)).take(POSTS);
    let publishing = posts.enumerate().map(|(n, post)| {
        let request = Request { until_saga_ends: true, ..publication(post, author, &cipher) };
        let cluster = &cluster;
        async move {
            sleep(ROUNDING * u32::try_from(n).unwrap()).await;
            answer(cluster, &request).await
        }
    });
    assert!(join_all(publishing).await.iter().all(|ended| *ended == Ended::Completed));
    while freed.lock().len() < POSTS {
        sleep(ROUNDING).await;
    }
    let mut times = freed.lock().clone();
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| !gap.is_zero()).collect::<Vec<_>>();
    assert!(!gaps.is_empty(), "all at once, although some were published {POSTS} ms later");
    assert!(gaps.iter().all(|gap| *gap + ROUNDING >= UNAWAITED_TICK), "{gaps:?}");
}
