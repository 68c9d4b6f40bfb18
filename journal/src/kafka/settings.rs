//! How every client of ours talks to Kafka. Each setting that is not the library's default stands here, with its reason.

use crate::error::JournalError;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a question to a broker may take.
pub(super) const ASK_MAX: Duration = Duration::from_secs(5);
/// How often it is said that Kafka does not answer.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// How long a record is tried for. A receipt that fails after it means "unknown".
const MESSAGE_TIMEOUT_MS: u32 = 10_000;
/// Without a heartbeat for so long a node has lost its partitions. Safety does not depend on it.
const SESSION_TIMEOUT_MS: u32 = 6_000;

/// Where a log on Kafka is, and how it is to be used.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// The id of the cluster on which the log is, if that is known: no other one is accepted.
    pub cluster: Option<String>,
    /// The topic of the log; what belongs to it besides has names that begin with it.
    pub topic: String,
    /// The name that the genesis of each partition is made of. No two logs may share it; the keyring gives it.
    pub log: String,
    /// The number of partitions: of a log that is made, and that one which is there must have.
    pub partitions: u32,
    /// Make topics that are not there.
    pub create: bool,
    /// Accept what loses data when a machine fails: fewer than three replicas, fewer than two in sync.
    pub dev: bool,
    /// Further settings of the client library by its own names, such as `security.protocol`; ours win.
    pub properties: Vec<(String, String)>,
}

impl KafkaOptions {
    /// The topic in which owners announce themselves.
    pub(super) fn owners_topic(&self) -> String {
        format!("{}.owners", self.topic)
    }

    /// The group that assigns partitions for this.
    pub(super) fn group(&self, work: Work) -> String {
        match work {
            Work::Owning => format!("{}.owners", self.topic),
            Work::Feeding => format!("{}.feeders", self.topic),
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "tidings")
            .set("allow.auto.create.topics", "false")
            // By default up to 10 s pass before a broker that came back is tried again.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "250")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "250")
            // A link that swallows everything is given up after this, rather than after a minute.
            .set("socket.timeout.ms", "10000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// Of a client that only asks.
    pub(super) fn asker(&self) -> ClientConfig {
        self.client()
    }

    /// Of a producer.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            // The windows of all owners together are the limit; bytes are limited by the library's default of 1 GiB.
            .set("queue.buffering.max.messages", "1000000")
            .set("request.timeout.ms", "5000")
            .set("message.timeout.ms", MESSAGE_TIMEOUT_MS.to_string());
        config
    }

    /// Of a consumer that is told what to read.
    pub(super) fn reader(&self, fetch_wait: Duration) -> ClientConfig {
        let mut config = self.client();
        config
            // The library wants a group of whoever is assigned partitions by hand; nobody joins it.
            .set("group.id", format!("{}.readers", self.topic))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A log that is not where it was stops the reader; nothing is skipped.
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("isolation.level", "read_uncommitted")
            .set("fetch.wait.max.ms", fetch_wait.as_millis().to_string())
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", "16384");
        config
    }

    /// Of a node's membership in a group, under a name that no other node has.
    pub(super) fn member(&self, name: &str, work: Work) -> ClientConfig {
        let mut config = self.reader(Duration::from_millis(500));
        config
            .set("client.id", name)
            .set("group.id", self.group(work))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION_TIMEOUT_MS.to_string())
            .set("heartbeat.interval.ms", "500");
        config
    }
}

/// What the nodes of a log share out among them.
#[derive(Clone, Copy)]
pub(super) enum Work {
    Owning,
    Feeding,
}

/// What the client library tells beside its answers: kept, because its answers often only say that there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(Arc<Mutex<Option<(KafkaError, String)>>>);

impl Said {
    /// What an error of the library means, with what it said before.
    pub(super) fn unavailable(&self, error: &KafkaError) -> JournalError {
        match self.0.lock().as_ref() {
            Some((_, reason)) => JournalError::Unavailable(format!("Kafka: {reason}").into()),
            None => JournalError::Unavailable(format!("Kafka: {error}").into()),
        }
    }

    /// Why it is of no use to ask again, if so.
    pub(super) fn hopeless(&self) -> Option<String> {
        let said = self.0.lock();
        let (error, reason) = said.as_ref()?;
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
                Some(format!("Kafka does not accept the credentials: {reason}"))
            }
            RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion => {
                Some(format!("the Kafka broker is too old: {reason}"))
            }
            _ => None,
        }
    }
}

impl ClientContext for Said {
    /// Only for whoever looks closely: while a broker is away each of the many clients says so several times a second.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("kafka client, {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("kafka client: {error}: {reason}");
        // That all brokers are down says less than why.
        let code = error.rdkafka_error_code();
        complain(reason);
        let mut said = self.0.lock();
        if said.is_none() || code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *said = Some((error, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Said {}

impl ProducerContext for Said {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Says what is wrong with Kafka, for all clients of this process together, and not again for a while.
fn complain(reason: &str) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock();
    if last.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
        *last = Some(Instant::now());
        tracing::warn!("Kafka: {reason}");
    }
}

/// What a consumer meets beside records: the end of a connection is told by [`complain`] already, and the group's
/// member reads nothing, so it need not know from where.
pub(super) fn met(what: &str, error: &KafkaError) {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AutoOffsetReset,
        ) => tracing::debug!("{what}: {error}"),
        _ => tracing::info!("{what}: {error}"),
    }
}

/// What a broken client is worth: nothing that is ours to repair at run time.
pub(super) fn unusable(error: &KafkaError) -> JournalError {
    JournalError::Unusable(format!("the Kafka client cannot be made: {error}"))
}
