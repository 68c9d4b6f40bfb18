//! The log as a plain reader finds it after a simulation, read once for all who judge by it.

use super::SimulatedLog;
use events::{Event, SagaEvent, SagaId, UserEvent, UserId};
use journal::{DecodedCommit, Journal, Partition, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// A valid commit and when its record landed.
pub struct Landed {
    /// The commit.
    pub decoded: DecodedCommit,
    /// When its record landed.
    pub at: Instant,
}

impl Landed {
    /// What happened in it.
    pub fn events(&self) -> &[Event] {
        &self.decoded.commit.events
    }

    /// The saga that it tells of, if it tells of one.
    pub fn saga(&self) -> Option<SagaId> {
        self.events().iter().find_map(|event| match event {
            Event::Saga(event) => Some(event.saga()),
            _ => None,
        })
    }
}

/// All valid commits, by partition.
pub struct Book {
    /// Those of each partition, in order.
    pub partitions: Vec<Vec<Landed>>,
}

impl Book {
    /// What stands in the log.
    pub async fn read(log: &SimulatedLog) -> Self {
        let mut partitions = Vec::new();
        for partition in (0..log.partitions()).map(Partition) {
            let landings = log.landings(partition);
            let landed = |decoded: DecodedCommit| {
                let offset = usize::try_from(decoded.position.offset).expect("fits in memory");
                Landed { at: landings[offset], decoded }
            };
            partitions.push(commits(log, partition).await.into_iter().map(landed).collect());
        }
        Self { partitions }
    }

    /// All commits, those of a partition in order.
    pub fn all(&self) -> impl Iterator<Item = &Landed> {
        self.partitions.iter().flatten()
    }

    /// Whose account was disabled, and when.
    pub fn gone(&self) -> BTreeMap<UserId, Instant> {
        let disabled = self.events().filter_map(|(landed, event)| match event {
            Event::User(UserEvent::Disabled(e)) => Some((e.user, landed.at)),
            _ => None,
        });
        disabled.collect()
    }

    /// All events, those of a partition in order, each with its commit.
    pub fn events(&self) -> impl Iterator<Item = (&Landed, &Event)> {
        self.all().flat_map(|landed| landed.events().iter().map(move |event| (landed, event)))
    }
}

/// The valid commits of a partition.
pub async fn commits(log: &SimulatedLog, partition: Partition) -> Vec<DecodedCommit> {
    let mut reader = reader(log, partition).await;
    rest(&mut reader).await
}

async fn reader(log: &SimulatedLog, partition: Partition) -> Reader {
    Reader::from_start(Arc::new(log.clone()), partition).await.expect("the log can be read")
}

async fn rest(reader: &mut Reader) -> Vec<DecodedCommit> {
    let mut all = Vec::new();
    loop {
        let batch = reader.commits().await.expect("the log can be read");
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

/// Follows which sagas have begun and not ended.
pub struct OpenSagas {
    readers: Vec<Reader>,
    open: BTreeSet<SagaId>,
}

impl OpenSagas {
    /// Of this log, which has to answer.
    pub async fn of(log: &SimulatedLog) -> Self {
        let mut readers = Vec::new();
        for partition in (0..log.partitions()).map(Partition) {
            readers.push(reader(log, partition).await);
        }
        Self { readers, open: BTreeSet::new() }
    }

    /// Those that are open by now.
    pub async fn look(&mut self) -> &BTreeSet<SagaId> {
        for reader in &mut self.readers {
            for event in rest(reader).await.into_iter().flat_map(|decoded| decoded.commit.events) {
                match event {
                    Event::Saga(SagaEvent::Started(e)) => self.open.insert(e.saga),
                    Event::Saga(SagaEvent::Completed(e)) => self.open.remove(&e.saga),
                    Event::Saga(SagaEvent::Compensated(e)) => self.open.remove(&e.saga),
                    _ => false,
                };
            }
        }
        &self.open
    }
}
