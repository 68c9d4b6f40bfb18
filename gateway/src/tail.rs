//! `tidings events tail`: the log as it grows, one CloudEvent a line, for people and for whatever reads lines.
//!
//! What a person typed stays sealed: only the keyring opens it, and this reads no keys. Events of one partition come in
//! the order of the log, those of several as they arrive.

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use events::Event;
use journal::{DecodedCommit, Journal, Partition, Reader};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use tidings_gateway::{Store, StoreConfig};
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Commits that were read and not written yet; readers wait beyond.
const AHEAD_MAX: usize = 1_024;

/// What is shown.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreConfig,
    /// From the first record on, rather than only what comes from now on
    #[arg(long)]
    from_start: bool,
    /// Only this partition
    #[arg(long)]
    partition: Option<u32>,
    /// Only events whose type begins so, such as `post.`
    #[arg(long = "type")]
    prefix: Option<String>,
    /// End after so many events
    #[arg(long)]
    count: Option<u64>,
}

/// Until interrupted, or as many events as asked for. An embedded log cannot be open elsewhere.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let data = &arguments.store.data;
    let exists = arguments.store.is_shared() || data.join("tidings.json").exists();
    ensure!(exists, "{}: there is no log in it", data.display());
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let tailed = runtime.block_on(tail(arguments));
    runtime.shutdown_background();
    tailed
}

async fn tail(arguments: &Arguments) -> Result<()> {
    let store = Store::open(&arguments.store).await?;
    let (commits, mut arriving) = mpsc::channel(AHEAD_MAX);
    let mut reading = JoinSet::new();
    for partition in 0..store.journal.partitions() {
        if arguments.partition.is_none_or(|wanted| wanted == partition) {
            let (journal, commits) = (Arc::clone(&store.journal), commits.clone());
            let from_start = arguments.from_start;
            reading.spawn(async move { follow(journal, Partition(partition), from_start, commits).await });
        }
    }
    ensure!(!reading.is_empty(), "there is no such partition: the log has {}", store.journal.partitions());
    drop(commits);
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        tokio::select! {
            Some(commit) = arriving.recv() => left -= show(&store.journal, &commit, arguments, left)?,
            Some(ended) = reading.join_next() => return ended?.and(Err(anyhow!("a reader has ended"))),
            () = interrupted() => return Ok(()),
        }
    }
    Ok(())
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn follow(
    journal: Arc<dyn Journal>,
    partition: Partition,
    from_start: bool,
    commits: mpsc::Sender<DecodedCommit>,
) -> Result<()> {
    let end = if from_start { 0 } else { journal.end(partition).await? };
    // What counts depends on all that came before, so the beginning is read in any case.
    let mut reader = Reader::from_start(journal, partition).await?;
    loop {
        let read = reader.commits().await?;
        if read.is_empty() {
            reader.wait().await?;
        }
        for commit in read.into_iter().filter(|commit| commit.position.offset >= end) {
            if commits.send(commit).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Writes the events that are asked for, at most so many; returns how many those were.
fn show(journal: &Arc<dyn Journal>, decoded: &DecodedCommit, arguments: &Arguments, most: u64) -> Result<u64> {
    let mut out = std::io::stdout().lock();
    let mut shown = 0;
    for (event, n) in decoded.commit.events.iter().zip(0..) {
        let prefix = arguments.prefix.as_deref().unwrap_or_default();
        if event.wire_name().0.starts_with(prefix) && shown < most {
            writeln!(out, "{}", cloud_event(journal.log(), decoded, event, n)?).context("writing an event")?;
            shown += 1;
        }
    }
    out.flush().context("writing an event")?;
    Ok(shown)
}

/// The event in the structured form of CloudEvents 1.0. `id` is unique within `source`: the commit's offset, and the
/// event's place in the commit.
fn cloud_event(log: &str, decoded: &DecodedCommit, event: &Event, n: usize) -> Result<Value> {
    let DecodedCommit { position, key, commit, .. } = decoded;
    let wire = serde_json::to_value(event).context("an event is plain data")?;
    let (name, version) = event.wire_name();
    Ok(json!({
        "specversion": "1.0",
        "id": format!("{}-{n}", position.offset),
        "source": format!("/logs/{log}/{}", position.partition),
        "type": name,
        "time": commit.time,
        "subject": key.to_string(),
        "datacontenttype": "application/json",
        "eventversion": version,
        "actor": commit.actor,
        "correlationid": commit.correlation,
        "causationid": commit.causation,
        "data": wire["data"],
    }))
}
