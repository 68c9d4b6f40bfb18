//! Sagas that are under way, read from the log itself or asked of a server.

use crate::child::HttpClient;
use anyhow::{Context, Result, ensure};
use commands::State;
use events::SagaId;
use futures::future::try_join_all;
use gateway::AdminToken;
use http::{Method, StatusCode};
use journal::{Journal, Partition, Reader};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

const LOOK: Duration = Duration::from_millis(100);

/// Waits until every saga that has begun has ended. An error if that takes longer.
pub async fn all(journal: &Arc<dyn Journal>, within: Duration) -> Result<()> {
    let all = (0..journal.partitions()).map(|n| settled(journal, Partition(n)));
    timeout(within, try_join_all(all)).await.context("a saga does not end")??;
    Ok(())
}

/// The same of a server, by its API, but for deletions of which all that is left to do is to wait for stragglers. `data` is
/// where its admin token is.
pub async fn over_http(client: &HttpClient, data: &Path, within: Duration) -> Result<()> {
    let bearer = format!("Bearer {}", AdminToken::read(&AdminToken::path(data))?.text());
    let headers = [("authorization", bearer.as_str())];
    let path = "/admin/sagas?open=true&limit=100";
    let begun = Instant::now();
    loop {
        let (status, listed) = client.until_answered(Method::GET, path, None, &headers).await?;
        ensure!(status == StatusCode::OK, "{path}: {status} {listed}");
        let open = listed["sagas"].as_array().context("no list")?;
        let waiting = open.iter().all(|saga| saga["waiting_for"][0]["step"] == "SWEEP" && saga["status"] == "RUNNING");
        if waiting && listed["next_cursor"].is_null() {
            return Ok(());
        }
        ensure!(begun.elapsed() < within, "a saga does not end: {listed:#}");
        sleep(LOOK).await;
    }
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
async fn settled(journal: &Arc<dyn Journal>, partition: Partition) -> Result<()> {
    let mut reader = Reader::from_start(Arc::clone(journal), partition).await?;
    let mut state = State::default();
    loop {
        if read_on(&mut reader, &mut state).await? {
            continue;
        }
        if state.open_sagas().next().is_none() {
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
