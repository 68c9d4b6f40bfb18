//! The program killed without warning among clients that fight: every answer must be true.

use anyhow::Result;
use std::time::{Duration, Instant};
use tidings_tests::child::{HttpClient, Server};
use tidings_tests::contest::Contest;
use tidings_tests::linearizability::ledger::Report;
use tidings_tests::settings;
use tidings_tests::simulation::Dice;

/// The kills of a short run, one a round; `TIDINGS_ROUNDS` asks for more.
const KILLS: usize = 3;
/// Calls in a round, all clients together.
const CALLS: usize = 7_500;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_whenever_the_program_is_killed() -> Result<()> {
    let kills = usize::try_from(settings::number("TIDINGS_ROUNDS", KILLS as u64))?;
    let directory = tempfile::tempdir()?;
    let mut server = Server::start(&directory.path().join("data")).await?;
    let (begun, mut report, mut asked_again) = (Instant::now(), Report::default(), 0);
    for number in 0..kills {
        let http = HttpClient::new(server.url());
        let contest = Contest::begin(&http, &format!("round_{number}"), CALLS, Duration::ZERO).await?;
        contest.answered(CALLS / 5 + Dice::new(u64::try_from(number)?).below(CALLS * 3 / 5)).await;
        server.kill_and_restart().await?;
        let (judged, again) = contest.finish().await?;
        report += judged;
        asked_again += again;
    }
    println!("{kills} kills in {:.0?}, {asked_again} calls asked again after one: {report}", begun.elapsed());
    assert!(report.too_large.is_empty(), "too large to be judged:\n{}", report.too_large.join("\n"));
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n\n"));
    assert!(report.operations >= kills * CALLS * 9 / 10, "few calls were answered");
    assert!(report.unknown > 0 && asked_again > 0, "no kill fell among the calls");
    Ok(())
}
