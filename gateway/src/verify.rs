//! `tidings log verify` and `tidings log stats`: both read every record of a log, apply the chain rule and hold it against
//! what was noted outside the log.

use anyhow::{Context, Result, ensure};
use clap::Args;
use journal::{Anchor, JournalError, Partition, Verified, embedded};
use std::io::Write;
use tidings_gateway::{Store, StoreConfig};
use tokio::runtime;

/// Which log.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: StoreConfig,
    /// Note anew, as the anchors, what the log holds now: for anchors that were lost or damaged. What the log has lost
    /// since is forgotten
    #[arg(long)]
    accept: bool,
}

type Found = Vec<(Partition, Result<Verified, JournalError>)>;

/// An error if a single record is not as it was written. Changes nothing, unless it is to accept what is there.
pub(crate) fn verify(arguments: &Arguments) -> Result<()> {
    let accept = arguments.accept;
    if accept && !arguments.store.is_shared() {
        must_exist(&arguments.store)?;
        embedded::rewrite_anchors(&arguments.store.data)?;
    }
    let found = read(&arguments.store, accept && arguments.store.is_shared())?;
    print(found, line)
}

/// What each partition holds, in numbers. Not changed by it, and as good as verified.
pub(crate) fn stats(store: &StoreConfig) -> Result<()> {
    let found = read(store, false)?;
    writeln!(
        std::io::stdout(),
        "partition    records    commits  claims    void     events      bytes  mean  largest  first .. last commit"
    )
    .context("writing the result")?;
    print(found, row)
}

/// Opening a directory that holds no log would make one.
fn must_exist(store: &StoreConfig) -> Result<()> {
    let data = &store.data;
    ensure!(store.is_shared() || data.join("tidings.json").exists(), "{}: there is no log in it", data.display());
    Ok(())
}

fn read(store: &StoreConfig, accept: bool) -> Result<Found> {
    must_exist(store)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    runtime.block_on(async {
        let store = Store::open(store).await?;
        let found = journal::verify(&store.journal, |_, _| {}).await;
        if accept {
            let anchor = |verified: &Verified| Anchor { count: verified.records, head: verified.head };
            let whole = found.iter().filter_map(|(partition, found)| Some((*partition, anchor(found.as_ref().ok()?))));
            store.accept(&whole.collect::<Vec<_>>()).await?;
        }
        store.close().await?;
        Ok(found)
    })
}

fn print(found: Found, line: impl Fn(Partition, &Verified) -> String) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let (partitions, mut broken) = (found.len(), 0);
    for (partition, found) in found {
        let line = match found {
            Ok(verified) => line(partition, &verified),
            Err(error) => {
                broken += 1;
                format!("partition {partition}: {error}")
            }
        };
        writeln!(out, "{line}").context("writing the result")?;
    }
    ensure!(broken == 0, "{broken} of {partitions} partitions are not as they were written");
    Ok(())
}

fn line(partition: Partition, verified: &Verified) -> String {
    let Verified { records, claims, void, valid, head, anchor, .. } = verified;
    let anchored = anchor.map_or(0, |anchor| anchor.count);
    let commits = valid - claims;
    format!(
        "partition {partition}: {records} records ({commits} commits, {claims} claims, {void} void), \
         agrees with its anchor at {anchored}, head {head}"
    )
}

fn row(partition: Partition, verified: &Verified) -> String {
    let Verified { records, claims, void, valid, events, bytes, largest, times, .. } = verified;
    let (commits, mean) = (valid - claims, bytes / (*valid).max(1));
    let times = times.map_or_else(|| "-".to_owned(), |(first, last)| format!("{first} .. {last}"));
    let partition = partition.0;
    format!(
        "{partition:>9} {records:>10} {commits:>10} {claims:>7} {void:>7} {events:>10} {bytes:>10} {mean:>5} \
         {largest:>8}  {times}"
    )
}
