//! An owner that sleeps while its partitions are given away, and wakes up: nothing that it says then may be untrue.

use anyhow::{Context, Result, ensure};
use http::Method;
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
const LOOK: Duration = Duration::from_millis(100);
const BALANCED_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_wakes_up_says_nothing_untrue() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let pauses = settings::number("TIDINGS_PAUSES", PAUSES);
    let cluster = Cluster::start(&services, 2).await?;
    let (begun, mut report, mut asked_again, mut moved) = (Instant::now(), Report::default(), 0, 0);
    for number in 0..pauses {
        let paused = usize::try_from(number % 2)?;
        let owned = balanced(&cluster, paused).await?;
        let name = format!("pause_{number}");
        let contest = Contest::begin(&cluster.client(), &name, usize::MAX, PACE).await?;
        contest.answered(AROUND).await;
        cluster.nodes[paused].signal(Signal::STOP)?;
        sleep(PAUSE).await;
        let taken = owns(&cluster, 1 - paused).await?;
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

/// Waits until both nodes own something; what this one owns then.
async fn balanced(cluster: &Cluster, node: usize) -> Result<Vec<u64>> {
    let begun = Instant::now();
    loop {
        let owned = owns(cluster, node).await?;
        if !owned.is_empty() && !owns(cluster, 1 - node).await?.is_empty() {
            return Ok(owned);
        }
        ensure!(begun.elapsed() < BALANCED_MAX, "a node owns nothing for {BALANCED_MAX:?}");
        sleep(LOOK).await;
    }
}

/// The partitions that a node says it owns.
async fn owns(cluster: &Cluster, node: usize) -> Result<Vec<u64>> {
    let (status, ready) = cluster.client_of(node).send(Method::GET, "/readyz", None, &[]).await?;
    let owned = ready["owns"].as_array().with_context(|| format!("{status} {ready}"))?;
    Ok(owned.iter().filter_map(serde_json::Value::as_u64).collect())
}
