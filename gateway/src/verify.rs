//! `tidings log verify`: reads every record of a log that nobody has open.

use anyhow::{Context, Result, ensure};
use clap::Args;
use journal::embedded::{self, PARTITIONS_DEFAULT};
use journal::{Journal, JournalError, Partition, Verified};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Which log.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The data directory; no server may have it open
    #[arg(long, env = "TIDINGS_DATA", default_value = "./data")]
    data: PathBuf,
    /// First note anew, as the anchors, what the log holds now: for anchors that were lost or damaged. What the log has
    /// lost since is forgotten
    #[arg(long)]
    accept: bool,
}

/// An error if a single record is not as it was written. Changes nothing, unless it is to accept what is there.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let data = &arguments.data;
    // Opening a directory that holds no log would make one.
    ensure!(data.join("tidings.json").exists(), "{}: there is no log in it", data.display());
    if arguments.accept {
        embedded::rewrite_anchors(data)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let embedded = embedded::open(data, PARTITIONS_DEFAULT)?;
    let journal: Arc<dyn Journal> = embedded.log.clone();
    let found = runtime.block_on(journal::verify(&journal, |_, _| {}));
    let mut out = std::io::stdout().lock();
    let mut broken = 0;
    for (partition, verified) in found {
        broken += usize::from(verified.is_err());
        writeln!(out, "{}", line(partition, verified)).context("writing the result")?;
    }
    ensure!(broken == 0, "{broken} of {} partitions are not as they were written", journal.partitions());
    Ok(())
}

fn line(partition: Partition, verified: Result<Verified, JournalError>) -> String {
    match verified {
        Ok(Verified { records, claims, void, valid, head, anchor }) => {
            let anchored = anchor.map_or(0, |anchor| anchor.count);
            let commits = valid - claims;
            format!(
                "partition {partition}: {records} records ({commits} commits, {claims} claims, {void} void), \
                 agrees with its anchor at {anchored}, head {head}"
            )
        }
        Err(error) => format!("partition {partition}: {error}"),
    }
}
