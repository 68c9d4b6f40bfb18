//! An owner that was overtaken in its sleep, and that its partition belongs to again when it wakes up, goes on with what
//! was begun meanwhile, though nobody asks it anything.

use crate::registration::{
    PARTITIONS, all_ended, answer, applicant, cluster_whose_clock_can_be_set, registration, start_all,
};
use crate::unawaited::publication;
use commands::{Answer, Command, Ended, Request, Transport};
use events::{Key, Keyring, PostId};
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use journal::{Partition, partition_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidings_tests::simulation::Network;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// For so long an owner sleeps; the other one takes over at once.
const ASLEEP: Duration = Duration::from_secs(1);

/// Loses what is asked of feeds, as long as it is told to.
struct Losing {
    network: Network,
    loses: Arc<AtomicBool>,
}

impl Transport for Losing {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        if self.loses.load(Ordering::Relaxed) && matches!(request.command, Command::FeedSlot(_)) {
            return pending().boxed();
        }
        self.network.send(partition, request)
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_asleep_goes_on_with_what_was_begun_meanwhile() {
    let (mut cluster, log, keyring) = cluster_whose_clock_can_be_set(1, Arc::default());
    let loses = Arc::new(AtomicBool::new(false));
    cluster.meddler = Some(Arc::new(Losing { network: cluster.network.clone(), loses: Arc::clone(&loses) }));
    let nodes = start_all(&cluster);
    let registered = registration(&keyring, 1, "ada@example.com", "ada").await;
    assert_eq!(answer(&cluster, &registered).await, Ended::Completed);
    let author = applicant(&registered);
    let cipher = keyring.find(author.into()).await.unwrap().unwrap();
    all_ended(&log).await;

    let partition = |key| partition_of(&key, PARTITIONS);
    let elsewhere = |post: &PostId| partition(Key::Post(*post)) != partition(Key::User(author));
    let post = (0..).map(|n| PostId(Uuid::from_u128(n))).find(elsewhere).unwrap();
    let former = &nodes[partition(Key::Post(post)).0 as usize];
    former.gate.close_until(Instant::now() + ASLEEP);
    let newest = cluster.start(former.partition);
    loses.store(true, Ordering::Relaxed);
    let begun = cluster.router().submit(publication(post, author, &cipher)).await;
    assert!(matches!(begun, Answer::Accepted(_)), "{begun:?}");
    newest.task.abort();
    sleep(ASLEEP).await;
    loses.store(false, Ordering::Relaxed);

    cluster.hand_back(former);
    all_ended(&log).await;
}
