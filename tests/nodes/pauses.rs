//! An owner that sleeps while its partitions are given away, and wakes up: nothing that it says then may be untrue.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tidings_tests::cluster::Cluster;
use tidings_tests::contest::Contest;
use tidings_tests::linearizability::ledger::Report;
use tidings_tests::services::Services;
use tidings_tests::settings;
use tokio::time::sleep;

/// The pauses of a short run; `TIDINGS_PAUSES` asks for more.
const PAUSES: u64 = 2;
/// More than twice the time after which the group gives the partitions away.
const PAUSE: Duration = Duration::from_secs(15);
/// What each client waits before it asks.
const PACE: Duration = Duration::from_millis(10);
/// Answers before the pause, and after it.
const AROUND: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_wakes_up_says_nothing_untrue() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let pauses = settings::number("TIDINGS_PAUSES", PAUSES);
    let cluster = Cluster::start(&services, 2).await?;
    let (begun, mut report, mut asked_again, mut moved) = (Instant::now(), Report::default(), 0, 0);
    for number in 0..pauses {
        let paused = usize::try_from(number % 2)?;
        let owned = cluster.balanced(paused).await?;
        let name = format!("pause_{number}");
        let contest = Contest::begin(&cluster.client(), &name, usize::MAX, PACE).await?;
        contest.answered(AROUND).await;
        cluster.nodes[paused].signal(Signal::STOP)?;
        sleep(PAUSE).await;
        let taken = cluster.owned_by(1 - paused).await?;
        cluster.nodes[paused].signal(Signal::CONT)?;
        contest.answered(contest.answers() + AROUND).await;
        contest.stop();
        let (judged, again) = contest.finish().await?;
        report += judged;
        asked_again += again;
        moved += owned.iter().filter(|partition| taken.contains(partition)).count();
    }
    println!(
        "nodes: {pauses} pauses of {PAUSE:?} in {:.0?}, {moved} partitions moved meanwhile, {asked_again} calls asked \
         again: {report}",
        begun.elapsed()
    );
    ensure!(report.too_large.is_empty(), "too large to be judged:\n{}", report.too_large.join("\n"));
    ensure!(report.violations.is_empty(), "{}", report.violations.join("\n\n"));
    ensure!(moved > 0, "no partition moved");
    Ok(())
}
