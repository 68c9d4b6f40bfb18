//! Where the partitions end: asked of the broker, never remembered. Whoever asks while a question is on its way waits for
//! the next one, which is then asked for all of them at once.

use super::settings::{ASK_MAX, KafkaOptions, Said, unusable};
use crate::error::JournalError;
use crate::partition::{Offset, Partition};
use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use tokio::sync::oneshot;

/// Who may wait for an answer. Beyond, the log counts as not available.
const WAITING_MAX: usize = 4_096;

type Reply = oneshot::Sender<Result<Offset, JournalError>>;

/// See the module.
pub(super) struct Looks {
    asker: Arc<Asker>,
    waiting: SyncSender<(Partition, Reply)>,
}

struct Asker {
    topic: String,
    client: BaseConsumer<Said>,
    said: Said,
    /// The furthest end that was seen of each partition.
    seen: Mutex<Vec<Offset>>,
}

impl Looks {
    pub(super) fn start(options: &KafkaOptions, partitions: u32) -> Result<Self, JournalError> {
        let said = Said::default();
        let client = BaseConsumer::from_config_and_context(&options.asker(), said.clone());
        let client = client.map_err(|error| unusable(&error))?;
        let seen = Mutex::new(vec![0; partitions as usize]);
        let asker = Arc::new(Asker { topic: options.topic.clone(), client, said, seen });
        let (waiting, questions) = sync_channel(WAITING_MAX);
        let answering = Arc::clone(&asker);
        thread::Builder::new()
            .name("kafka-looks".to_owned())
            .spawn(move || answering.answer(&questions))
            .map_err(|error| JournalError::Unavailable(error.into()))?;
        Ok(Self { asker, waiting })
    }

    pub(super) async fn end(&self, partition: Partition) -> Result<Offset, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.waiting.try_send((partition, reply)).map_err(|error| {
            let why = match error {
                TrySendError::Full(_) => format!("{WAITING_MAX} already ask where the log ends"),
                TrySendError::Disconnected(_) => "its connection was given up".to_owned(),
            };
            JournalError::Unavailable(why.into())
        })?;
        answer.await.unwrap_or_else(|_| Err(JournalError::Unavailable("its connection was given up".into())))
    }

    /// Of all partitions, in order. Blocks.
    pub(super) fn blocking_ends(&self) -> Result<Vec<Offset>, JournalError> {
        let partitions = self.asker.seen.lock().len();
        let all = (0..u32::try_from(partitions).unwrap_or_default()).map(Partition).collect::<Vec<_>>();
        let ends = self.asker.ask(&all).map_err(|error| self.asker.said.unavailable(&error))?;
        all.iter().map(|partition| self.asker.judge(*partition, ends.get(partition).copied())).collect()
    }
}

impl Asker {
    /// Until nobody can ask any more.
    fn answer(&self, questions: &Receiver<(Partition, Reply)>) {
        while let Ok(first) = questions.recv() {
            let mut asked: BTreeMap<Partition, Vec<Reply>> = BTreeMap::new();
            for (partition, reply) in std::iter::once(first).chain(questions.try_iter().take(WAITING_MAX)) {
                asked.entry(partition).or_default().push(reply);
            }
            let partitions = asked.keys().copied().collect::<Vec<_>>();
            let ends = self.ask(&partitions);
            for (partition, replies) in asked {
                for reply in replies {
                    let answer = match &ends {
                        Ok(ends) => self.judge(partition, ends.get(&partition).copied()),
                        Err(error) => Err(self.said.unavailable(error)),
                    };
                    let _ = reply.send(answer);
                }
            }
        }
    }

    /// What the client has heard while a broker came back may lack partitions, or name leaders of before, and it would keep
    /// that for minutes: then it is told to ask anew.
    fn ask(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Offset>, KafkaError> {
        match self.ends_of(partitions) {
            Err(error) if comes_of_metadata(&error) => {
                self.client.fetch_metadata(Some(&self.topic), ASK_MAX)?;
                self.ends_of(partitions)
            }
            ends => ends,
        }
    }

    fn ends_of(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Offset>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            // In this request a time of -1 means the end.
            let number = i32::try_from(partition.0).expect("Kafka counts partitions so");
            list.add_partition_offset(&self.topic, number, rdkafka::Offset::End)?;
        }
        let list = self.client.offsets_for_times(list, ASK_MAX)?;
        let mut ends = BTreeMap::new();
        for element in list.elements() {
            element.error()?;
            if let (Ok(partition), Some(Ok(end))) =
                (u32::try_from(element.partition()), element.offset().to_raw().map(Offset::try_from))
            {
                ends.insert(Partition(partition), end);
            }
        }
        Ok(ends)
    }

    /// A log that has become shorter is not the log that it was.
    fn judge(&self, partition: Partition, end: Option<Offset>) -> Result<Offset, JournalError> {
        let Some(end) = end else {
            return Err(JournalError::Unavailable("the broker did not say where the log ends".into()));
        };
        let mut seen = self.seen.lock();
        let seen = &mut seen[partition.0 as usize];
        if end < *seen {
            let what = format!("the log ends here, but reached to {seen} before");
            return Err(JournalError::Diverged { partition, offset: end, what });
        }
        *seen = end;
        Ok(end)
    }
}

/// Whether an error of a consumer means that the place which it reads from is not in the log.
pub(super) fn says_that_the_log_moved(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::LogTruncation)
    )
}

/// Whether it says that the client's picture of the cluster is wrong, and not that nobody answers.
fn comes_of_metadata(error: &KafkaError) -> bool {
    let stale = [
        RDKafkaErrorCode::UnknownPartition,
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::FencedLeaderEpoch,
        RDKafkaErrorCode::UnknownLeaderEpoch,
        RDKafkaErrorCode::LeaderNotAvailable,
        RDKafkaErrorCode::NotLeaderForPartition,
    ];
    error.rdkafka_error_code().is_some_and(|code| stale.contains(&code))
}
