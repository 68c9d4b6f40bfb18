//! What a log on Kafka refuses, or stops at, by name: nothing is skipped and nothing is guessed.

use crate::kafka::{open, options};
use journal::kafka::{KafkaLog, KafkaOptions};
use journal::{Anchor, Journal, JournalError, Partition, Reader};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_tests::broker::Broker;
use tidings_tests::journal_contract::scribe::{P, Scribe, valid};
use tidings_tests::services::Services;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How long a change may take until every client has heard of it.
const HEARD_MAX: Duration = Duration::from_secs(30);

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap()
}

async fn make(brokers: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let safe = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = safe.iter().chain(settings).fold(new, |new, (name, value)| new.set(name, value));
    admin(brokers).create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

/// Why it cannot be used.
fn why(opened: Result<Arc<KafkaLog>, JournalError>) -> String {
    match opened {
        Err(JournalError::Unusable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

fn brokers() -> Option<String> {
    Services::from_env().map(|services| services.brokers().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_lose_records_are_refused() {
    let Some(brokers) = brokers() else { return };
    for (name, value) in [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "86400000"),
        ("retention.bytes", "1000000"),
        ("unclean.leader.election.enable", "true"),
        ("max.message.bytes", "1000"),
    ] {
        let options = options(&brokers, 1);
        make(&brokers, &options.topic, 1, &[(name, value)]).await;
        let why = why(open(options).await);
        assert!(why.contains(&format!("{name} is {value}")), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_is_refused_unless_asked_for() {
    let Some(brokers) = brokers() else { return };
    let why = why(open(KafkaOptions { dev: false, ..options(&brokers, 1) }).await);
    assert!(why.contains("it has 1 replicas and must have 3") && why.contains("--dev"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_the_logs_is_refused() {
    let Some(brokers) = brokers() else { return };
    let missing = options(&brokers, 1);
    let found = why(open(KafkaOptions { create: false, ..missing.clone() }).await);
    assert!(found.contains(&missing.topic) && found.contains("is not there"), "{found}");

    let ours = options(&brokers, 4);
    let log = open(ours.clone()).await.unwrap();
    let found = why(open(KafkaOptions { partitions: 8, ..ours.clone() }).await);
    assert!(found.contains("has 4 partitions, but the log has 8"), "{found}");
    let found = why(open(KafkaOptions { cluster: Some("another-cluster".to_owned()), ..ours.clone() }).await);
    assert!(found.contains("another-cluster"), "{found}");

    let journal: Arc<dyn Journal> = log;
    Scribe::claim(&journal, P).await;
    let found = why(open(KafkaOptions { log: "another log".to_owned(), ..ours }).await);
    assert!(found.contains("holds another log than another log"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_writes_stops_the_partition_and_no_other() {
    let Some(brokers) = brokers() else { return };
    let options = options(&brokers, 2);
    let journal: Arc<dyn Journal> = open(options.clone()).await.unwrap();
    for partition in [P, Partition(1)] {
        Scribe::claim(&journal, partition).await;
    }
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let record = FutureRecord::to(&options.topic).partition(0).key("key").payload("not ours");
    producer.send(record, HEARD_MAX).await.unwrap();
    let error = until_not_unavailable(|| valid(&journal, P)).await.expect_err("a foreign record was read");
    assert!(matches!(&error, JournalError::Damaged { position, .. } if position.offset == 1), "{error}");
    assert_eq!(valid(&journal, Partition(1)).await.unwrap().len(), 1);
    let opened: Arc<dyn Journal> = open(KafkaOptions { create: false, ..options }).await.unwrap();
    let error = valid(&opened, P).await.expect_err("a foreign record was read");
    assert!(error.to_string().contains("something else than Tidings writes into the topic"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_log_is_gone() {
    let Some(brokers) = brokers() else { return };
    let options = options(&brokers, 2);
    drop(open(options.clone()).await.unwrap());
    for _ in 0..2 {
        let options = options.clone();
        spawn_blocking(move || KafkaLog::delete(&options)).await.unwrap().unwrap();
    }
    let begun = Instant::now();
    while open(KafkaOptions { create: false, ..options.clone() }).await.is_ok() {
        assert!(begun.elapsed() < HEARD_MAX, "the topic is still there");
    }
    assert!(why(open(KafkaOptions { create: false, ..options }).await).contains("is not there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_beginning_was_deleted_diverges() {
    let Some(brokers) = brokers() else { return };
    let options = options(&brokers, 1);
    let journal: Arc<dyn Journal> = open(options.clone()).await.unwrap();
    let mut scribe = Scribe::claim(&journal, P).await;
    for n in 0..9 {
        scribe.append(format!("{n}")).await.unwrap();
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&options.topic, 0, rdkafka::Offset::Offset(5)).unwrap();
    admin(&brokers).delete_records(&before, &AdminOptions::new()).await.unwrap();
    let opened = open(KafkaOptions { create: false, ..options }).await;
    let error = opened.err().expect("its first records are gone");
    assert!(matches!(error, JournalError::Diverged { partition: P, offset: 0, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_diverges() {
    let Some(brokers) = brokers() else { return };
    let options = options(&brokers, 1);
    let log = open(options.clone()).await.unwrap();
    let journal: Arc<dyn Journal> = log.clone();
    let mut scribe = Scribe::claim(&journal, P).await;
    for n in 0..9 {
        scribe.append(format!("{n}")).await.unwrap();
    }
    let mut reader = Reader::from_start(Arc::clone(&journal), P).await.unwrap();
    while !reader.records().await.unwrap().is_empty() {}
    let at = reader.checkpoint();
    admin(&brokers).delete_topics(&[&options.topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let begun = Instant::now();
    while open(KafkaOptions { create: false, ..options.clone() }).await.is_ok() {
        assert!(begun.elapsed() < HEARD_MAX, "the topic is still there");
    }
    make(&brokers, &options.topic, 1, &[]).await;
    // Whoever has it open finds out.
    let error = until_not_unavailable(|| journal.end(P)).await.expect_err("the log has become shorter");
    assert!(matches!(error, JournalError::Diverged { partition: P, offset: 0, .. }), "{error}");
    // Whoever opens it has only what was noted outside.
    let anew = open(KafkaOptions { create: false, ..options }).await.unwrap();
    anew.set_anchors([(P, Anchor { count: at.next, head: at.head })]);
    let anew: Arc<dyn Journal> = anew;
    let error = valid(&anew, P).await.expect_err("ten records are gone");
    assert!(matches!(error, JournalError::Damaged { .. } | JournalError::Diverged { .. }), "{error}");
}

/// Asked again while the log does not answer.
async fn until_not_unavailable<T, F: Future<Output = Result<T, JournalError>>>(
    ask: impl Fn() -> F,
) -> Result<T, JournalError> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(JournalError::Unavailable(_)) | Ok(_) if begun.elapsed() < HEARD_MAX => {
                sleep(Duration::from_millis(100)).await;
            }
            done => return done,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused() {
    if Services::from_env().is_none() {
        return;
    }
    let port = Broker::free_port().unwrap();
    let sasl = Broker::free_port().unwrap();
    let settings = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{},SASL://127.0.0.1:{sasl}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{},SASL://127.0.0.1:{sasl}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_tidings=\"right\";\n",
        port + 1,
        port + 1,
    );
    let _broker = spawn_blocking(move || Broker::start_with(port, &settings)).await.unwrap().unwrap();
    let with_password = |password: &str| {
        let properties = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "tidings"),
            ("sasl.password", password),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        KafkaOptions { properties, ..options(&format!("127.0.0.1:{sasl}"), 1) }
    };
    let found = why(open(with_password("wrong")).await);
    assert!(found.contains("does not accept the credentials"), "{found}");
    let journal: Arc<dyn Journal> = open(with_password("right")).await.unwrap();
    Scribe::claim(&journal, P).await;
    assert_eq!(valid(&journal, P).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_broker_is_refused() {
    let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = old.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = old.accept().await {
            tokio::spawn(old_broker(stream, address.port()));
        }
    });
    let found = why(open(options(&address.to_string(), 1)).await);
    assert!(found.contains("too old"), "{found}");
    serving.abort();
}

/// Answers as Kafka 0.10.0 did: it knows the first versions of a few requests only, and names no cluster.
async fn old_broker(mut stream: TcpStream, port: u16) {
    loop {
        let Ok(length) = stream.read_i32().await else { return };
        let mut request = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let (api, version) = (&request[..2], &request[2..4]);
        let mut answer = request[4..8].to_vec();
        match (api, version) {
            ([0, 18], [0, 0]) => {
                answer.extend([0, 0, 0, 0, 0, 2]);
                answer.extend([0, 3, 0, 0, 0, 1]);
                answer.extend([0, 18, 0, 0, 0, 0]);
            }
            // It does not know this version, and says so in the form of the first one.
            ([0, 18], _) => answer.extend([0, 35, 0, 0, 0, 0]),
            ([0, 3], _) => {
                answer.extend([0, 0, 0, 1, 0, 0, 0, 1, 0, 9]);
                answer.extend(b"127.0.0.1");
                answer.extend(i32::from(port).to_be_bytes());
                answer.extend([255, 255, 0, 0, 0, 1, 0, 0, 0, 0]);
            }
            _ => return,
        }
        let length = i32::try_from(answer.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).await.is_err() {
            return;
        }
    }
}
