//! The owner's own promises, one at a time, over a log that can be held still.

use commands::{Answer, Command, CommentCommand, Delivery, LikeCommand, Owner, PostCommand, Receipt, Refusal, Request};
use events::{
    CipherKey, CommandId, CommentId, CommentText, Content, Fingerprint, Key, PostId, Sealed, Timestamp, UserId,
};
use futures::FutureExt;
use journal::chain::IN_FLIGHT_MAX;
use journal::{Partition, Position, Rules};
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::simulation::log::LogFaults;
use tidings_tests::simulation::network::NetworkFaults;
use tidings_tests::simulation::nodes::Cluster;
use tidings_tests::simulation::{Dice, Network, SimulatedLog, Story};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const P: Partition = Partition(0);

/// One partition without faults.
fn cluster() -> (Cluster, SimulatedLog) {
    let (dice, story) = (Dice::new(1), Story::default());
    let log = SimulatedLog::new(1, dice.clone(), story.clone(), LogFaults::NONE);
    let network = Network::new(1, dice.clone(), story, NetworkFaults::NONE);
    let clock = Arc::new(|| Timestamp(1_000));
    (Cluster::new(Arc::new(log.clone()), network, clock, Rules::default(), dice), log)
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

fn post() -> PostId {
    PostId(Uuid::from_u128(100))
}

fn request(id: u128, command: impl Into<Command>) -> Request {
    let deadline = Instant::now() + Duration::from_secs(5);
    Request::new(CommandId(Uuid::from_u128(id)), Key::Post(post()), command, Timestamp(1_000), deadline)
}

fn publish(id: u128) -> Request {
    let content = Sealed::seal(&Content::parse("hello").unwrap(), &CipherKey::new(user(1).into(), &[1; 32]));
    request(id, PostCommand::Publish { post: post(), author: user(1), content, hashtags: None, mentions: None })
}

fn like(id: u128) -> Request {
    request(id, LikeCommand::Add { post: post(), user: user(2) })
}

fn unlike(id: u128) -> Request {
    request(id, LikeCommand::Remove { post: post(), user: user(2) })
}

fn at(offset: u64) -> Position {
    Position { partition: P, offset }
}

#[tokio::test(start_paused = true)]
async fn the_second_commit_is_decided_over_the_first_undurable_one_and_neither_is_acknowledged() {
    let (cluster, log) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(unlike(1)).await, Answer::Refused(Refusal::NotFound)), "the owner is up");

    log.hold(P, true);
    let first = tokio::spawn({
        let (router, request) = (router.clone(), publish(2));
        async move { router.submit(request).await }
    });
    sleep(Duration::from_millis(100)).await;
    let mut second = Box::pin(router.submit(like(3)));
    let mut refused =
        Box::pin(router.submit(request(4, PostCommand::Delete { post: post(), by: user(9), if_version: None })));
    tokio::select! {
        _ = &mut second => panic!("acknowledged before it was durable"),
        _ = &mut refused => panic!("refused over a post that is not durable"),
        () = sleep(Duration::from_secs(2)) => {}
    }
    assert!(!first.is_finished(), "acknowledged before it was durable");
    assert_eq!(log.landed(P), 1, "only the claim has landed");

    log.hold(P, false);
    assert!(matches!(first.await.unwrap(), Answer::Accepted(Receipt { position, .. }) if position == at(1)));
    assert!(matches!(second.await, Answer::Accepted(Receipt { position, .. }) if position == at(2)));
    assert_eq!(refused.await, Answer::Refused(Refusal::Forbidden));
}

#[tokio::test(start_paused = true)]
async fn a_paused_owner_that_wakes_up_tells_nobody_what_is_no_longer_true() {
    let (cluster, _) = cluster();
    let former = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));

    // The request reaches the former owner, which is put to sleep before it can answer.
    former.gate.close_until(Instant::now() + Duration::from_secs(3));
    let mut late = Box::pin(router.submit(unlike(2)));
    assert!((&mut late).now_or_never().is_none());
    sleep(Duration::from_millis(50)).await;

    // Meanwhile another one owns the partition, and the like is there.
    let _newest = cluster.start(P);
    assert!(matches!(router.submit(like(3)).await, Answer::Accepted(_)));

    // The former owner wakes up with "not liked" on its lips. It may only be silent; the resend finds the like.
    assert!(matches!(late.await, Answer::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_sent_again_takes_effect_once() {
    let (cluster, _) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    let Answer::Accepted(first) = router.submit(publish(1)).await else { panic!("not accepted") };
    assert_eq!(router.submit(publish(1)).await, Answer::Repeated(first));
    let _another = cluster.start(P);
    assert_eq!(
        router.submit(publish(1)).await,
        Answer::Repeated(first),
        "also by an owner that has read it in the log"
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_is_not_taken_for_another_request() {
    let (cluster, _) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    let other = Request { fingerprint: Some(Fingerprint([1; 16])), ..like(1) };
    assert_eq!(router.submit(other).await, Answer::Refused(Refusal::KeyReused));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_by_years_does_not_set_the_time_of_the_log() {
    let (cluster, _) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    let tolerance = i64::try_from(commands::limits::CLOCK_TOLERANCE.as_micros()).unwrap();
    let years = 10 * 365 * 24 * 3_600 * 1_000_000;
    let ahead = Request { time: Timestamp(1_000 + years), ..publish(1) };
    let Answer::Accepted(first) = router.submit(ahead.clone()).await else { panic!("not accepted") };
    assert_eq!(first.time, Timestamp(1_000 + tolerance));
    let behind = Request { time: Timestamp(1_000 - years), ..like(2) };
    let Answer::Accepted(second) = router.submit(behind).await else { panic!("not accepted") };
    assert_eq!(second.time, first.time, "never before the commit that precedes it");
    assert_eq!(router.submit(ahead).await, Answer::Repeated(first), "nor has its id aged");
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_partition_is_given_away_lets_go_of_it_at_once() {
    let (cluster, log) = cluster();
    let former = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    log.hold(P, true);
    let mut waiting = Box::pin(router.submit(like(2)));
    assert!((&mut waiting).now_or_never().is_none());
    sleep(Duration::from_millis(50)).await;
    let newest = cluster.start(P);
    cluster.revoke(&former);
    log.hold(P, false);
    // The former owner's asker is told "unknown" and asks the new one.
    let answer = waiting.await;
    assert!(matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)), "{answer:?}");
    assert!(!former.task.is_finished(), "it may get the partition back");
    cluster.hand_back(&former);
    cluster.revoke(&newest);
    assert!(matches!(router.submit(unlike(3)).await, Answer::Accepted(_)), "and then owns it again");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_its_deadline_is_not_decided() {
    let (cluster, _) = cluster();
    let node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    node.gate.close_until(Instant::now() + Duration::from_secs(2));
    let answer = router.submit(Request { deadline: Instant::now() + Duration::from_secs(1), ..like(2) }).await;
    assert_eq!(answer, Answer::Unknown, "nobody answered in time");
    sleep(Duration::from_secs(2)).await;
    assert!(matches!(router.submit(unlike(3)).await, Answer::Refused(Refusal::NotFound)), "the like was decided late");
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_says_so() {
    let (cluster, _) = cluster();
    let (mailbox, inbox) = Owner::mailbox();
    cluster.network.route(P, mailbox.clone());
    for n in 0..commands::MAILBOX_MAX {
        let (reply, _) = oneshot::channel();
        mailbox.try_send(Delivery::new(Arc::new(like(n as u128)), reply)).unwrap();
    }
    let local: Arc<dyn commands::Transport> = Arc::new(commands::LocalOwners::new(vec![mailbox]));
    assert_eq!(commands::Router::new(local, 1).submit(like(0)).await, Answer::Overloaded);
    drop(inbox);
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_does_not_fit_is_refused_and_the_owner_goes_on() {
    let (cluster, _) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    // A text that no request can carry, to stand for any decision that is too large.
    let huge: CommentText = serde_json::from_value("x".repeat(600_000).into()).unwrap();
    let text = Sealed::seal(&huge, &CipherKey::new(user(1).into(), &[1; 32]));
    let comment = CommentId(Uuid::from_u128(7));
    let add = CommentCommand::Add { comment, post: post(), author: user(1), text };
    assert!(matches!(router.submit(request(2, add)).await, Answer::Refused(Refusal::TooLarge(_))));
    assert!(matches!(router.submit(like(3)).await, Answer::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn more_commands_than_a_task_may_take_turns_are_decided_in_one_batch() {
    let (cluster, _) = cluster();
    let node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    node.gate.close_until(Instant::now() + Duration::from_millis(100));
    let likes = (10..1_010).map(|n| router.submit(request(n, LikeCommand::Add { post: post(), user: user(n) })));
    for answer in futures::future::join_all(likes).await {
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_former_owner_is_sent_to_the_new_one() {
    let (cluster, _) = cluster();
    let former = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    former.gate.close_until(Instant::now() + Duration::from_millis(500));
    let mut waiting = Box::pin(router.submit(like(2)));
    tokio::select! {
        _ = &mut waiting => panic!("a stopped owner answered"),
        () = sleep(Duration::from_millis(50)) => {}
    }
    let _newest = cluster.start(P);
    assert!(matches!(router.submit(unlike(3)).await, Answer::Refused(_)), "the new owner is up");
    // "Repeated" if the former owner's void record cost the new one its first try.
    let answer = waiting.await;
    assert!(matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_comment_cannot_be_reached_through_another_post() {
    let (cluster, _) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    let key = CipherKey::new(user(1).into(), &[1; 32]);
    let comment = CommentId(Uuid::from_u128(7));
    let text = Sealed::seal(&CommentText::parse("here").unwrap(), &key);
    let add = CommentCommand::Add { comment, post: post(), author: user(1), text };
    assert!(matches!(router.submit(request(2, add)).await, Answer::Accepted(_)));
    // Somebody else has a post on the same partition.
    let other = PostId(Uuid::from_u128(101));
    let content = Sealed::seal(&Content::parse("mine").unwrap(), &key);
    let publish = PostCommand::Publish { post: other, author: user(9), content, hashtags: None, mentions: None };
    let on_other = |id, command: Command| Request { key: Key::Post(other), ..request(id, command) };
    assert!(matches!(router.submit(on_other(3, publish.into())).await, Answer::Accepted(_)));
    let delete = CommentCommand::Delete { comment, post: other, by: user(9) };
    assert_eq!(router.submit(on_other(4, delete.into())).await, Answer::Refused(Refusal::NotFound));
    let delete = CommentCommand::Delete { comment, post: post(), by: user(1) };
    assert!(matches!(router.submit(request(5, delete)).await, Answer::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_told_to_stop_answers_what_it_has() {
    let (cluster, log) = cluster();
    let node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    log.hold(P, true);
    let mut liked = Box::pin(router.submit(like(2)));
    let mut refused =
        Box::pin(router.submit(request(3, PostCommand::Delete { post: post(), by: user(9), if_version: None })));
    tokio::select! {
        _ = &mut liked => panic!("acknowledged before it was durable"),
        _ = &mut refused => panic!("refused over what is not durable"),
        () = sleep(Duration::from_millis(100)) => {}
    }
    node.stop.cancel();
    sleep(Duration::from_millis(100)).await;
    assert!(!node.task.is_finished(), "it has commits in flight");
    log.hold(P, false);
    assert!(matches!(liked.await, Answer::Accepted(_)));
    assert_eq!(refused.await, Answer::Refused(Refusal::Forbidden));
    node.task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stopping_owner_has_no_more_in_flight_than_others_and_answers_a_whole_mailbox() {
    let (cluster, log) = cluster();
    let node = cluster.start(P);
    let router = cluster.router();
    assert!(matches!(router.submit(publish(1)).await, Answer::Accepted(_)));
    log.hold(P, true);
    node.gate.close_until(Instant::now() + Duration::from_millis(100));
    let likes = (10..4_010).map(|n| router.submit(request(n, LikeCommand::Add { post: post(), user: user(n) })));
    let stop = async {
        sleep(Duration::from_millis(50)).await;
        node.stop.cancel();
        sleep(Duration::from_millis(200)).await;
        let in_flight = log.in_flight(P);
        assert!((1_536..=IN_FLIGHT_MAX).contains(&in_flight), "{in_flight} in flight");
        log.hold(P, false);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(likes), stop);
    let other = answers.iter().find(|answer| !matches!(answer, Answer::Accepted(_)));
    assert_eq!(other, None);
    node.task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_command_on_the_wrong_key_is_refused_and_the_owner_goes_on() {
    let (cluster, _) = cluster();
    let _node = cluster.start(P);
    let router = cluster.router();
    let misplaced = Request { key: Key::User(user(1)), ..like(1) };
    assert!(matches!(router.submit(misplaced).await, Answer::Refused(Refusal::Fault(_))));
    assert!(matches!(router.submit(publish(2)).await, Answer::Accepted(_)));
}
