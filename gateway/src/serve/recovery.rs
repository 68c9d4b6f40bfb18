//! From the log to what a server holds in memory: one pass over each partition, all partitions at once.

use anyhow::{Context, Result};
use commands::{Owner, Recovered, State};
use journal::{Journal, JournalError, Offset, Partition, Reader};
use projections::Runner;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

/// What is to be brought up, by partition.
pub(super) struct Partitions {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) owners: Vec<Owner>,
    pub(super) runners: Vec<Runner>,
}

/// A partition that can be owned and followed from where its log ended.
pub(super) struct Ready {
    pub(super) owner: Owner,
    /// What its owner begins with, if this node can have one.
    pub(super) state: Option<Recovered>,
    pub(super) runner: Runner,
    pub(super) records: u64,
}

/// Partitions that are read at one time: more would share the same cores, and each holds what it has read ahead.
const READING_MAX: usize = 8;
/// The wait after the log did not say where it ends.
const UNAVAILABLE_DELAY: Duration = Duration::from_millis(250);

/// Reads each partition up to its end as it is now, for owners too where this node has any.
pub(super) fn recover(partitions: Partitions, owns: bool) -> JoinSet<Result<Ready>> {
    let Partitions { journal, owners, runners } = partitions;
    let mut recovering = JoinSet::new();
    let room = Arc::new(Semaphore::new(READING_MAX));
    for (owner, runner) in owners.into_iter().zip(runners) {
        let (journal, room) = (Arc::clone(&journal), Arc::clone(&room));
        recovering.spawn(async move {
            let _room = room.acquire_owned().await.context("never closed")?;
            partition(journal, owner, runner, owns).await
        });
    }
    recovering
}

/// Where the partition ends; asked until there is an answer.
async fn end(journal: &Arc<dyn Journal>, partition: Partition) -> Result<Offset, JournalError> {
    loop {
        match journal.end(partition).await {
            Err(JournalError::Unavailable(error)) => {
                warn!("partition {partition} waits for the log: {error}");
                sleep(UNAVAILABLE_DELAY).await;
            }
            end => return end,
        }
    }
}

async fn partition(journal: Arc<dyn Journal>, owner: Owner, mut runner: Runner, owns: bool) -> Result<Ready> {
    let partition = runner.partition();
    let failed = || format!("partition {partition} cannot be read");
    let end = end(&journal, partition).await.with_context(failed)?;
    let mut state = State::default();
    let mut observer = |decoded: &journal::DecodedCommit| {
        if owns {
            state.apply(&decoded.key, decoded.position, &decoded.commit);
        }
    };
    let checkpoint = runner.catch_up(end, &mut observer).await.with_context(failed)?;
    let state = match owns {
        true => {
            let reader = Reader::resume(journal, partition, checkpoint).await.with_context(failed)?;
            Some(Recovered { state, reader })
        }
        false => None,
    };
    Ok(Ready { owner, state, runner, records: checkpoint.next })
}
