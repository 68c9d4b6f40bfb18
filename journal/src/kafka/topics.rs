//! The topics of a log: made with settings under which nothing that was acknowledged is lost, and refused without them.

use super::settings::{ASK_MAX, KafkaOptions, Said, unusable};
use crate::error::JournalError;
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::{Metadata, MetadataTopic};
use std::time::{Duration, Instant};

/// How long a topic may take to be made.
const MAKE_MAX: Duration = Duration::from_secs(20);
/// How long one question waits, of those that are asked until there is an answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Copies of a record, and how many of them must have it before it counts as written.
const REPLICAS: usize = 3;
const IN_SYNC_MIN: usize = 2;
/// A commit has at most 512 KiB; the rest is room for its key, its header and what the format adds.
const MESSAGE_BYTES_MIN: u64 = 640 << 10;

/// What was found.
pub(super) struct Found {
    pub(super) cluster: String,
    pub(super) partitions: u32,
}

/// Makes what is missing, if that is wanted, and refuses what is not safe.
pub(super) fn prepare(options: &KafkaOptions) -> Result<Found, JournalError> {
    let said = Said::default();
    let admin = AdminClient::from_config_and_context(&options.asker(), said.clone());
    let asker = BaseConsumer::from_config_and_context(&options.reader(ASK_EVERY), said.clone());
    let (admin, asker) = (admin.map_err(|error| unusable(&error))?, asker.map_err(|error| unusable(&error))?);
    let setup = Setup { options, admin, asker, said };
    setup.prepare()
}

/// Deletes them with all that is in them. One that is not there is no error.
pub(super) fn delete(options: &KafkaOptions) -> Result<(), JournalError> {
    let said = Said::default();
    let admin = AdminClient::from_config_and_context(&options.asker(), said.clone());
    let admin: AdminClient<Said> = admin.map_err(|error| unusable(&error))?;
    let owners = options.owners_topic();
    let deleted = block_on(admin.delete_topics(&[&options.topic, &owners], &limits()));
    for deleted in deleted.map_err(|error| said.unavailable(&error))? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, error)) => {
                return Err(JournalError::Unusable(format!("the topic {topic} cannot be deleted: {error}")));
            }
        }
    }
    Ok(())
}

fn limits() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(MAKE_MAX)).operation_timeout(Some(MAKE_MAX))
}

struct Setup<'a> {
    options: &'a KafkaOptions,
    admin: AdminClient<Said>,
    /// Asks what the other one could, but can be polled for the errors of its connections.
    asker: BaseConsumer<Said>,
    said: Said,
}

impl Setup<'_> {
    fn prepare(&self) -> Result<Found, JournalError> {
        let metadata = self.metadata()?;
        let cluster = self.asker.client().fetch_cluster_id(ASK_MAX).ok_or_else(|| {
            JournalError::Unusable("the Kafka broker is too old: it does not know which cluster it is in".to_owned())
        })?;
        if let Some(known) = self.options.cluster.as_ref().filter(|known| **known != cluster) {
            let what = format!("the keyring belongs to a log on the Kafka cluster {known}");
            return Err(JournalError::Unusable(format!("{what}, but {} is {cluster}", self.options.brokers)));
        }
        let topic = &self.options.topic;
        if find(&metadata, topic).is_none() {
            if !self.options.create {
                let what = format!("the topic {topic} is not there, although the keyring belongs to a log in it");
                let way_out = "restore it, or begin a new log with a new keyring";
                return Err(JournalError::Unusable(format!("{what}; {way_out}")));
            }
            self.make(topic, self.options.partitions, "delete", metadata.brokers().len())?;
        }
        let owners = self.options.owners_topic();
        if find(&metadata, &owners).is_none() {
            self.make(&owners, 1, "compact", metadata.brokers().len())?;
        }
        let metadata = self.made(&[topic, &owners])?;
        let found = find(&metadata, topic).ok_or_else(|| unavailable("the topic that was made is not there"))?;
        let partitions = u32::try_from(found.partitions().len()).unwrap_or_default();
        if partitions != self.options.partitions {
            let what = format!("the topic {topic} has {partitions} partitions, but the log has");
            let why = "every key would be looked for in another place";
            return Err(JournalError::Unusable(format!("{what} {}: {why}", self.options.partitions)));
        }
        self.check(found)?;
        Ok(Found { cluster, partitions })
    }

    /// What the brokers say about themselves. The first question, so it finds out whether they can be used at all.
    fn metadata(&self) -> Result<Metadata, JournalError> {
        let asked = Instant::now();
        loop {
            match self.asker.fetch_metadata(None, ASK_EVERY) {
                Ok(metadata) if !metadata.brokers().is_empty() => return Ok(metadata),
                Ok(_) if asked.elapsed() > ASK_MAX => return Err(unavailable("no broker is known")),
                Ok(_) => {}
                Err(error) => {
                    // Errors of the connection are told by a callback, which somebody must poll.
                    while self.asker.poll(Duration::ZERO).is_some() {}
                    if let Some(hopeless) = self.said.hopeless() {
                        return Err(JournalError::Unusable(hopeless));
                    }
                    if asked.elapsed() > ASK_MAX {
                        return Err(self.said.unavailable(&error));
                    }
                }
            }
        }
    }

    fn make(&self, topic: &str, partitions: u32, cleanup: &str, brokers: usize) -> Result<(), JournalError> {
        let replicas = REPLICAS.min(brokers);
        let in_sync = IN_SYNC_MIN.min(replicas.saturating_sub(1)).max(1).to_string();
        let replication = TopicReplication::Fixed(i32::try_from(replicas).unwrap_or(1));
        let count = i32::try_from(partitions).expect("far fewer");
        let new = NewTopic::new(topic, count, replication)
            .set("cleanup.policy", cleanup)
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1")
            .set("unclean.leader.election.enable", "false")
            .set("max.message.bytes", "1048588")
            .set("min.insync.replicas", &in_sync);
        let made = block_on(self.admin.create_topics([&new], &limits()));
        match made.map_err(|error| self.said.unavailable(&error))?.into_iter().next() {
            // Another node was quicker.
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, error))) => {
                Err(JournalError::Unusable(format!("the topic {topic} cannot be made: {error}; make it by hand")))
            }
        }
    }

    /// A topic that was made is not known everywhere at once.
    fn made(&self, topics: &[&str]) -> Result<Metadata, JournalError> {
        let asked = Instant::now();
        loop {
            let metadata = self.metadata()?;
            let ready = |topic: &&str| {
                find(&metadata, topic).is_some_and(|found| found.partitions().iter().all(|it| it.leader() >= 0))
            };
            if topics.iter().all(ready) {
                return Ok(metadata);
            }
            if asked.elapsed() > MAKE_MAX {
                return Err(unavailable("a partition of the topic has no leader"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn check(&self, topic: &MetadataTopic) -> Result<(), JournalError> {
        let name = topic.name();
        let resources = [ResourceSpecifier::Topic(name)];
        let configs = block_on(self.admin.describe_configs(&resources, &limits()));
        let configs = configs.map_err(|error| self.said.unavailable(&error))?;
        let config = match configs.into_iter().next() {
            Some(Ok(config)) => config,
            Some(Err(error)) => return Err(unavailable(&format!("the settings of {name} cannot be read: {error}"))),
            None => return Err(unavailable(&format!("the settings of {name} cannot be read"))),
        };
        let mut wrong = unsafe_always(&config);
        if !self.options.dev {
            wrong.extend(unsafe_in_production(topic, &config));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let way_out = if self.options.dev { "" } else { "; --dev accepts what a single broker cannot give" };
        Err(JournalError::Unusable(format!("the topic {name} is not safe: {}{way_out}", wrong.join(", "))))
    }
}

fn find<'a>(metadata: &'a Metadata, topic: &str) -> Option<&'a MetadataTopic> {
    let found = metadata.topics().iter().find(|found| found.name() == topic)?;
    (found.error().is_none() && !found.partitions().is_empty()).then_some(found)
}

fn unavailable(what: &str) -> JournalError {
    JournalError::Unavailable(what.into())
}

fn value<'a>(config: &'a ConfigResource, name: &str) -> &'a str {
    config.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or_default()
}

/// What would lose records of a log that grows old, or could not take its largest.
fn unsafe_always(config: &ConfigResource) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, wanted) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("unclean.leader.election.enable", "false"),
    ] {
        let found = value(config, name);
        if found != wanted {
            wrong.push(format!("{name} is {found} and must be {wanted}"));
        }
    }
    let largest = value(config, "max.message.bytes");
    if largest.parse::<u64>().is_ok_and(|largest| largest < MESSAGE_BYTES_MIN) {
        wrong.push(format!("max.message.bytes is {largest} and must be {MESSAGE_BYTES_MIN} or more"));
    }
    wrong
}

/// What would lose records when a machine fails.
fn unsafe_in_production(topic: &MetadataTopic, config: &ConfigResource) -> Vec<String> {
    let mut wrong = Vec::new();
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
    if replicas < REPLICAS {
        wrong.push(format!("it has {replicas} replicas and must have {REPLICAS}"));
    }
    let in_sync = value(config, "min.insync.replicas");
    if in_sync.parse::<usize>().is_ok_and(|in_sync| in_sync < IN_SYNC_MIN) {
        wrong.push(format!("min.insync.replicas is {in_sync} and must be {IN_SYNC_MIN}"));
    }
    wrong
}
