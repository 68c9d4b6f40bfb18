//! From the log to what a server holds in memory: one pass over each partition, all partitions at once.

use anyhow::{Context, Result};
use commands::{Owner, Recovered, State};
use journal::{Journal, Reader};
use projections::Runner;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What is to be brought up, by partition.
pub(super) struct Partitions {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) owners: Vec<Owner>,
    pub(super) runners: Vec<Runner>,
}

/// A partition that can be owned and followed from where its log ended.
pub(super) struct Ready {
    pub(super) owner: Owner,
    pub(super) state: Recovered,
    pub(super) runner: Runner,
    pub(super) records: u64,
}

/// Reads each partition up to its end as it is now.
pub(super) async fn recover(partitions: Partitions) -> Result<JoinSet<Result<Ready>>> {
    let Partitions { journal, owners, runners } = partitions;
    let mut recovering = JoinSet::new();
    for (owner, runner) in owners.into_iter().zip(runners) {
        recovering.spawn(partition(Arc::clone(&journal), owner, runner));
    }
    Ok(recovering)
}

async fn partition(journal: Arc<dyn Journal>, owner: Owner, mut runner: Runner) -> Result<Ready> {
    let partition = runner.partition();
    let failed = || format!("partition {partition} cannot be read");
    let end = journal.end(partition).await.with_context(failed)?;
    let mut state = State::default();
    let mut observer = |decoded: &journal::DecodedCommit| state.apply(&decoded.key, decoded.position, &decoded.commit);
    let checkpoint = runner.catch_up(end, &mut observer).await.with_context(failed)?;
    let reader = Reader::resume(journal, partition, checkpoint).await.with_context(failed)?;
    Ok(Ready { owner, state: Recovered { state, reader }, runner, records: checkpoint.next })
}
