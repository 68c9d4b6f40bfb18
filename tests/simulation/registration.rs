//! Registration under a crash between any two records, and its compensations in every order.

use commands::{Answer, Ended, Request, SagaCommand, State};
use events::{
    CommandId, Email, Event, Key, Keyring, PasswordHash, Retention, SagaId, Sealed, Timestamp, UserEvent, UserId,
    Username,
};
use journal::{Journal, Partition, Rules, partition_of};
use sagas::registration::{CLAIM_EMAIL, CLAIM_USERNAME, RegistrationData};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tidings_tests::simulation::book::{OpenSagas, commits};
use tidings_tests::simulation::effects::KeyEffects;
use tidings_tests::simulation::log::LogFaults;
use tidings_tests::simulation::network::NetworkFaults;
use tidings_tests::simulation::nodes::{Cluster, Node};
use tidings_tests::simulation::{Dice, MemoryKeyring, Network, SimulatedLog, Story};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub(crate) const PARTITIONS: u32 = 3;

fn cluster(seed: u64) -> (Cluster, SimulatedLog, Arc<MemoryKeyring>) {
    cluster_whose_clock_can_be_set(seed, Arc::default())
}

/// `set` is what the wall clock is off by, in microseconds.
pub(crate) fn cluster_whose_clock_can_be_set(
    seed: u64,
    set: Arc<AtomicI64>,
) -> (Cluster, SimulatedLog, Arc<MemoryKeyring>) {
    let (dice, story) = (Dice::new(seed), Story::default());
    let log = SimulatedLog::new(PARTITIONS, dice.clone(), story.clone(), LogFaults::NONE);
    let network = Network::new(PARTITIONS, dice.clone(), story, NetworkFaults::NONE);
    let begun = Instant::now();
    let clock = Arc::new(move || {
        let elapsed = i64::try_from(begun.elapsed().as_micros()).expect("short");
        Timestamp(1_700_000_000_000_000 + elapsed + set.load(Ordering::Relaxed))
    });
    let keyring = Arc::new(MemoryKeyring::default());
    let mut cluster = Cluster::new(Arc::new(log.clone()), network, clock, Rules::default(), dice);
    cluster.effects = Arc::new(KeyEffects(Arc::clone(&keyring)));
    (cluster, log, keyring)
}

pub(crate) fn start_all(cluster: &Cluster) -> Vec<Node> {
    (0..PARTITIONS).map(|n| cluster.start(Partition(n))).collect()
}

pub(crate) async fn registration(keyring: &MemoryKeyring, n: u128, address: &str, name: &str) -> Request {
    let user = UserId(Uuid::from_u128(n));
    let key = keyring.create(user.into()).await.unwrap();
    let data = RegistrationData {
        user,
        email: Sealed::seal(&Email::parse(address).unwrap(), &key),
        username: Sealed::seal(&Username::parse(name).unwrap(), &key),
        password: Sealed::seal(&PasswordHash::new("$argon2id$".to_owned()), &key),
        email_claim: keyring.secrets().claim("email", address),
        username_claim: keyring.secrets().claim("username", name),
    };
    let start = SagaCommand::Start {
        saga: SagaId(Uuid::from_u128(n + 1_000)),
        data: data.into(),
        with: serde_json::Value::Null,
    };
    let id = CommandId(Uuid::from_u128(n + 2_000));
    let deadline = Instant::now() + Duration::from_secs(5);
    let request = Request::new(id, Key::User(user), start, Timestamp(1_000), deadline);
    Request { until_saga_ends: true, retention: Retention::Long, ..request }
}

/// Who wants to register.
pub(crate) fn applicant(request: &Request) -> UserId {
    let Key::User(user) = request.key else { panic!("{request:?}") };
    user
}

/// Asks again until there is an answer.
pub(crate) async fn answer(cluster: &Cluster, request: &Request) -> Ended {
    for _ in 0..100 {
        let deadline = Instant::now() + Duration::from_secs(5);
        if let Answer::Ended(_, ended) = cluster.router().submit(Request { deadline, ..request.clone() }).await {
            return ended;
        }
    }
    panic!("never answered");
}

pub(crate) async fn all_ended(log: &SimulatedLog) {
    let give_up = Instant::now() + Duration::from_secs(600);
    let mut sagas = OpenSagas::of(log).await;
    while !sagas.look().await.is_empty() {
        assert!(Instant::now() < give_up, "a saga is stuck");
        sleep(Duration::from_millis(10)).await;
    }
}

/// How many users the log has created, and how many claims are held.
async fn users_and_claims(log: &SimulatedLog) -> (usize, usize) {
    let (mut users, mut claims) = (0, 0);
    for n in 0..PARTITIONS {
        let mut state = State::default();
        for decoded in commits(log, Partition(n)).await {
            state.apply(&decoded.key, decoded.position, &decoded.commit);
            let created = |event: &&Event| matches!(event, Event::User(UserEvent::Created(_)));
            users += decoded.commit.events.iter().filter(created).count();
        }
        claims += state.held_claims().count();
    }
    (users, claims)
}

fn landed(log: &SimulatedLog) -> u64 {
    (0..log.partitions()).map(|n| log.landed(Partition(n))).sum()
}

/// Two people want one name; every owner is killed as soon as so many records have landed, and started again.
async fn two_want_one_name_and_all_owners_die_after(records: u64) -> bool {
    let (cluster, log, keyring) = cluster(records);
    let nodes = start_all(&cluster);
    let first = registration(&keyring, 1, "ada@example.com", "ada").await;
    let second = registration(&keyring, 2, "bob@example.com", "ada").await;
    let both = async { tokio::join!(answer(&cluster, &first), answer(&cluster, &second)) };
    let kill = async {
        let give_up = Instant::now() + Duration::from_secs(30);
        while landed(&log) < records {
            if Instant::now() > give_up {
                return false;
            }
            sleep(Duration::from_millis(1)).await;
        }
        nodes.iter().for_each(|node| node.task.abort());
        sleep(Duration::from_millis(20)).await;
        drop(start_all(&cluster));
        true
    };
    let ((one, other), killed) = tokio::join!(both, kill);
    let completed = [&one, &other].iter().filter(|ended| ***ended == Ended::Completed).count();
    assert_eq!(completed, 1, "killed after {records} records: {one:?}, {other:?}");
    let refused = [one, other].into_iter().find(|ended| *ended != Ended::Completed);
    let Some(Ended::Compensated { refused: Some(step), .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(step, CLAIM_USERNAME);
    all_ended(&log).await;
    assert_eq!(users_and_claims(&log).await, (1, 2), "killed after {records} records");
    let destroyed = [&first, &second].map(|request| keyring.destroyed_since(applicant(request).into()).is_some());
    assert_eq!(destroyed.iter().filter(|destroyed| **destroyed).count(), 1, "killed after {records} records");
    killed
}

#[tokio::test(start_paused = true)]
async fn a_name_is_unique_under_a_crash_between_any_two_records() {
    let mut records = 1;
    while two_want_one_name_and_all_owners_die_after(records).await {
        records += 1;
    }
    println!("killed after each of {} records", records - 1);
    assert!(records > 18, "two registrations are at least 18 records, not {records}");
}

#[tokio::test(start_paused = true)]
async fn a_taken_address_is_told_and_the_name_is_left_alone() {
    let (cluster, _, keyring) = cluster(1);
    let _nodes = start_all(&cluster);
    let first = registration(&keyring, 1, "ada@example.com", "ada").await;
    assert_eq!(answer(&cluster, &first).await, Ended::Completed);
    let second = registration(&keyring, 2, "ada@example.com", "bob").await;
    let Ended::Compensated { refused, .. } = answer(&cluster, &second).await else { panic!("it completed") };
    assert_eq!(refused, Some(CLAIM_EMAIL));
    let third = registration(&keyring, 3, "bob@example.com", "bob").await;
    assert_eq!(answer(&cluster, &third).await, Ended::Completed, "the name is free");
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_sent_again_ends_as_it_did() {
    let (cluster, log, keyring) = cluster(1);
    let _nodes = start_all(&cluster);
    let first = registration(&keyring, 1, "ada@example.com", "ada").await;
    assert_eq!(answer(&cluster, &first).await, Ended::Completed);
    assert_eq!(answer(&cluster, &first).await, Ended::Completed);
    let second = registration(&keyring, 2, "bob@example.com", "ada").await;
    let told = answer(&cluster, &second).await;
    assert_eq!(answer(&cluster, &second).await, told);
    assert_eq!(users_and_claims(&log).await, (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_holds_no_step_up_however_often_owners_start_again() {
    let set = Arc::new(AtomicI64::new(0));
    let (cluster, log, keyring) = cluster_whose_clock_can_be_set(1, Arc::clone(&set));
    let request = registration(&keyring, 1, "ada@example.com", "ada").await;
    let home = partition_of(&request.key, PARTITIONS);
    let mut node = cluster.start(home);
    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { answer(&cluster, &request).await }
    });
    // The claims' owners are not there: the step goes without an answer, and is to be tried again in a moment.
    sleep(Duration::from_secs(6)).await;
    assert!(log.landed(home) > 2, "the step was not even tried");
    set.store(-10 * 24 * 3_600 * 1_000_000, Ordering::Relaxed);
    let _others: Vec<_> = (0..PARTITIONS).map(Partition).filter(|p| *p != home).map(|p| cluster.start(p)).collect();
    for _ in 0..10 {
        node.task.abort();
        node = cluster.start(home);
        sleep(Duration::from_secs(4)).await;
    }
    assert!(waiting.is_finished(), "the step still waits for the clock");
    assert_eq!(waiting.await.unwrap(), Ended::Completed);
}
