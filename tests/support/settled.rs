//! Sagas that are under way, read from the log itself.

use anyhow::{Context, Result};
use commands::{Saga, State};
use events::{SagaId, Timestamp};
use futures::future::try_join_all;
use journal::{Journal, Partition, Reader};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Waits until every saga that has begun has ended. An error if that takes longer.
pub async fn all(journal: &Arc<dyn Journal>, within: Duration) -> Result<()> {
    all_but(journal, within, |_, _| false).await
}

/// The same, but for sagas that may take their time.
pub async fn all_but(
    journal: &Arc<dyn Journal>,
    within: Duration,
    may_take_time: fn(&Saga, Timestamp) -> bool,
) -> Result<()> {
    let all = (0..journal.partitions()).map(|n| settled(journal, Partition(n), may_take_time));
    timeout(within, try_join_all(all)).await.context("a saga does not end")??;
    Ok(())
}

/// Whether all that a saga waits for is the time before a step is tried for the first time.
pub fn waits_for_its_time(saga: &Saga, now: Timestamp) -> bool {
    saga.steps.iter().any(|step| step.attempts == 0 && step.due > now)
}

/// The sagas that are open at the end of the log.
pub async fn open(journal: &Arc<dyn Journal>) -> Result<Vec<SagaId>> {
    let mut open = Vec::new();
    for partition in (0..journal.partitions()).map(Partition) {
        let mut reader = Reader::from_start(Arc::clone(journal), partition).await?;
        let mut state = State::default();
        while read_on(&mut reader, &mut state).await? {}
        open.extend(state.open_sagas().map(|(saga, _)| saga));
    }
    Ok(open)
}

/// Returns when no saga of the partition is open, at an end of the log.
async fn settled(
    journal: &Arc<dyn Journal>,
    partition: Partition,
    may_take_time: fn(&Saga, Timestamp) -> bool,
) -> Result<()> {
    let mut reader = Reader::from_start(Arc::clone(journal), partition).await?;
    let mut state = State::default();
    loop {
        if read_on(&mut reader, &mut state).await? {
            continue;
        }
        if state.open_sagas().all(|(_, saga)| may_take_time(saga, Timestamp::now())) {
            return Ok(());
        }
        reader.wait().await?;
    }
}

/// Folds what comes next; whether there was anything.
async fn read_on(reader: &mut Reader, state: &mut State) -> Result<bool> {
    let commits = reader.commits().await?;
    commits.iter().for_each(|it| state.apply(&it.key, it.position, &it.commit));
    Ok(!commits.is_empty())
}
