//! Who is meant to own which partition, by a consumer group that only assigns, and where each owner says that it is.
//!
//! A member that has not reached the coordinator for too long keeps what it was assigned last: as long as no broker
//! answers, nobody else can have been given it, and when one does, whoever has claimed a partition meanwhile is found in
//! the log. So a broker that comes back finds the owners where they were. What is not ours any more is let go when the
//! coordinator says so.
//!
//! The group is on the log's own topic, but nothing is read through it. What an owner announces goes to a compacted topic
//! beside it, one record for each partition; every node follows it from the beginning.

mod announcements;

use super::settings::{ASK_MAX, KafkaOptions, Said, Work, met, unusable};
use crate::error::JournalError;
use crate::ownership::{Announcements, Assignment, Ownership};
use crate::partition::Partition;
use announcements::Board;
use async_trait::async_trait;
use events::Incarnation;
use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupMemberInfo;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// How often the member looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(100);
/// The group's state in which its assignment is what the coordinator says it is.
const STABLE: &str = "Stable";

/// This node's place in the group, in which it is once it has entered.
///
/// Dropping it leaves the group, if that was not done before: the others get its partitions at once, without waiting for
/// a time-out.
pub struct GroupOwnership {
    member: Arc<Member>,
    board: Board,
    stop: Arc<AtomicBool>,
    place: Mutex<Place>,
}

/// Where this node stands with the group.
enum Place {
    /// Not in it yet.
    Outside(Box<BaseConsumer<Assigned>>),
    Inside(JoinHandle<()>),
    Left,
}

/// What is asked about the group.
struct Member {
    group: String,
    topic: String,
    name: String,
    client: BaseConsumer<Said>,
    said: Said,
    assignment: watch::Sender<Assignment>,
    /// The assignment is the last one that was heard of, and may be no longer true.
    lost: Arc<AtomicBool>,
}

/// What the coordinator says about a partition.
enum Word {
    Ours,
    Others,
    /// It is moving partitions, and says nothing.
    Moving,
}

impl GroupOwnership {
    /// Follows what owners announce, and prepares to enter the group. `address` is where this node takes commands of
    /// other nodes, as `host:port`.
    ///
    /// Until the first assignment the node owns nothing. The log's topics must be there.
    pub fn new(options: &KafkaOptions, address: &str) -> Result<Self, JournalError> {
        Self::of(options, Work::Owning, address)
    }

    /// The same in a group of its own, for nodes that own nothing and share out something else: they announce nothing.
    pub fn feeding(options: &KafkaOptions) -> Result<Self, JournalError> {
        Self::of(options, Work::Feeding, "")
    }

    fn of(options: &KafkaOptions, work: Work, address: &str) -> Result<Self, JournalError> {
        let name = format!("tidings-{}", Uuid::new_v4());
        let said = Said::default();
        let client = BaseConsumer::from_config_and_context(&options.asker(), said.clone());
        let (assignment, lost) = (watch::Sender::default(), Arc::new(AtomicBool::new(false)));
        let member = Arc::new(Member {
            group: options.group(work),
            topic: options.topic.clone(),
            name: name.clone(),
            client: client.map_err(|error| unusable(&error))?,
            said: said.clone(),
            assignment: assignment.clone(),
            lost: Arc::clone(&lost),
        });
        let board = Board::start(options, address, assignment.subscribe(), Arc::clone(&lost))?;
        let context = Assigned { said, assignment, lost };
        let consumer = BaseConsumer::from_config_and_context(&options.member(&name, work), context);
        let consumer: BaseConsumer<Assigned> = consumer.map_err(|error| unusable(&error))?;
        let (stop, place) = (Arc::new(AtomicBool::new(false)), Mutex::new(Place::Outside(Box::new(consumer))));
        Ok(Self { member, board, stop, place })
    }

    fn follow(&self, consumer: BaseConsumer<Assigned>) -> Result<JoinHandle<()>, String> {
        consumer.subscribe(&[&self.member.topic]).map_err(|error| error.to_string())?;
        let stop = Arc::clone(&self.stop);
        let following = thread::Builder::new().name("kafka-group".to_owned()).spawn(move || follow(consumer, &stop));
        following.map_err(|error| error.to_string())
    }
}

/// Serves the group until told to stop, and leaves it then.
fn follow(consumer: BaseConsumer<Assigned>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if let Some(Err(error)) = consumer.poll(POLL) {
            met("the group of owners", &error);
        }
    }
    // Nobody must believe that it still owns something while it says good-bye.
    consumer.context().assignment.send_replace(Assignment::new());
    drop(consumer);
}

impl Drop for GroupOwnership {
    fn drop(&mut self) {
        self.leave();
    }
}

#[async_trait]
impl Ownership for GroupOwnership {
    fn enter(&self) {
        let mut place = self.place.lock();
        *place = match std::mem::replace(&mut *place, Place::Left) {
            Place::Outside(consumer) => match self.follow(*consumer) {
                Ok(following) => Place::Inside(following),
                Err(error) => {
                    tracing::error!("this node owns nothing: it cannot enter the group of owners: {error}");
                    Place::Left
                }
            },
            place => place,
        };
    }

    fn assignments(&self) -> watch::Receiver<Assignment> {
        self.member.assignment.subscribe()
    }

    /// The coordinator's own word. While it moves partitions nobody's are confirmed.
    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError> {
        if !self.member.assignment.borrow().contains(&partition) {
            return Ok(false);
        }
        let member = Arc::clone(&self.member);
        tokio::task::spawn_blocking(move || member.confirm(partition))
            .await
            .unwrap_or_else(|error| Err(JournalError::Unavailable(error.into())))
    }

    fn announce(&self, partition: Partition, incarnation: Incarnation) {
        self.board.announce(partition, incarnation);
    }

    fn leave(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Place::Inside(following) = std::mem::replace(&mut *self.place.lock(), Place::Left) {
            let _ = following.join();
        }
    }

    fn announcements(&self) -> watch::Receiver<Announcements> {
        self.board.announcements()
    }
}

impl Member {
    fn confirm(&self, partition: Partition) -> Result<bool, JournalError> {
        match self.ask(partition)? {
            Word::Ours => Ok(true),
            Word::Moving => Ok(false),
            Word::Others => {
                if self.lost.load(Ordering::Relaxed) {
                    self.assignment.send_if_modified(|assigned| assigned.remove(&partition));
                }
                Ok(false)
            }
        }
    }

    fn ask(&self, partition: Partition) -> Result<Word, JournalError> {
        let groups = self.client.fetch_group_list(Some(&self.group), ASK_MAX);
        let groups = groups.map_err(|error| self.said.unavailable(&error))?;
        let stable = groups.groups().first().filter(|group| group.state() == STABLE);
        let Some(group) = stable else { return Ok(Word::Moving) };
        let own = group.members().iter().find(|member| member.client_id() == self.name);
        let assigned = own.and_then(GroupMemberInfo::assignment).map(|bytes| assigned(bytes, &self.topic));
        let ours = assigned.flatten().is_some_and(|assigned| assigned.contains(&partition));
        Ok(if ours { Word::Ours } else { Word::Others })
    }
}

/// The partitions of a topic in an assignment as the consumers' protocol writes it: a version (2 bytes), then for each
/// topic its name and its partitions, lengths before them; `None` if it is cut short.
fn assigned(bytes: &[u8], topic: &str) -> Option<Assignment> {
    let mut rest = bytes.get(2..)?;
    let mut take = |n: usize| {
        let (taken, after) = rest.split_at_checked(n)?;
        rest = after;
        Some(taken)
    };
    let mut number = |bytes: usize| Some(take(bytes)?.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)));
    let mut partitions = Assignment::new();
    for _ in 0..number(4)? {
        let length = number(2)?;
        let mut name = Vec::new();
        for _ in 0..length {
            name.push(u8::try_from(number(1)?).ok()?);
        }
        for _ in 0..number(4)? {
            let partition = Partition(number(4)?);
            if name == topic.as_bytes() {
                partitions.insert(partition);
            }
        }
    }
    Some(partitions)
}

/// Publishes what the group assigns, and reads nothing of it.
struct Assigned {
    said: Said,
    assignment: watch::Sender<Assignment>,
    lost: Arc<AtomicBool>,
}

impl ClientContext for Assigned {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.said.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(error, reason);
    }
}

impl ConsumerContext for Assigned {
    /// As the library does it, but with a place to read from. Without one it asks for committed offsets, of which there
    /// are none, and a broker that goes away during that question takes the process with it (librdkafka, issue 4789).
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => list.set_all_offsets(Offset::End).and_then(|()| {
                if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) }?;
                consumer.pause(list)?;
                self.assigned(partitions(list));
                Ok(())
            }),
            _ => {
                self.revoked(&partitions(list), consumer.assignment_lost());
                if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
            }
        };
        if let Err(error) = done {
            tracing::warn!("the group of owners: what it has assigned could not be taken over: {error}");
        }
    }
}

impl Assigned {
    fn revoked(&self, revoked: &Assignment, lost: bool) {
        if lost {
            tracing::warn!("the coordinator of the owners was not reached for too long: keeping what was assigned");
            self.lost.store(true, Ordering::Relaxed);
            return;
        }
        tracing::info!("taken from this node: {} partitions", revoked.len());
        self.assignment.send_modify(|assigned| assigned.retain(|partition| !revoked.contains(partition)));
    }

    fn assigned(&self, added: Assignment) {
        if self.lost.swap(false, Ordering::Relaxed) {
            tracing::info!("assigned to this node once more: {} partitions", added.len());
            self.assignment.send_if_modified(|assigned| std::mem::replace(assigned, added.clone()) != added);
        } else if !added.is_empty() {
            tracing::info!("assigned to this node: {} partitions", added.len());
            self.assignment.send_modify(|assigned| assigned.extend(added));
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Assignment {
    list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok().map(Partition)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_as_the_protocol_writes_it() {
        let bytes = [
            &[0u8, 3][..],
            &[0, 0, 0, 2],
            &[0, 1, b'x', 0, 0, 0, 1, 0, 0, 0, 9],
            &[0, 2, b'e', b'v', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 1, 0],
            &[0xff, 0xff, 0xff, 0xff],
        ]
        .concat();
        assert_eq!(assigned(&bytes, "ev"), Some([Partition(1), Partition(256)].into()));
        assert_eq!(assigned(&bytes, "other"), Some(Assignment::new()));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(assigned(&bytes[..cut], "ev"), None, "{cut}");
        }
    }
}
