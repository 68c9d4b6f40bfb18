//! The disk fails under the running server, at a chosen call on a chosen file: nobody is told that a write holds that
//! may not, the server ends by itself and says why, and what was acknowledged before is there when it starts again.

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use tidings_tests::audit::Audit;
use tidings_tests::child::{HttpClient, Server};
use tidings_tests::failing_disk::{Calls, FailingDisk, Recorded};
use tidings_tests::load::{Load, Writer};
use tidings_tests::settings;
use tidings_tests::simulation::dice::Dice;

const PEOPLE: usize = 8;
const WRITES_BEFORE: usize = 40;
const WRITES_AFTER: usize = 40;
/// Runs until somebody waits when the disk fails; one in a hundred has nobody.
const RUNS_MAX: usize = 3;
/// All calls from some moment on.
const ALWAYS: u64 = u64::MAX;
/// From the failure to the end of the process. Those who wait are told at once; the rest is an orderly end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// What fails, and what must be said.
struct Failure {
    name: &'static str,
    calls: Calls,
    ending: &'static str,
    skip: u64,
    times: u64,
    /// Commits that may be on their way when something else fails than they, and that are as good as any.
    on_their_way: usize,
    says: &'static str,
}

impl Failure {
    /// The log's own files fail, from the next call on.
    const OF_THE_LOG: Self = Self {
        name: "",
        calls: Calls::Sync,
        ending: ".jnl",
        skip: 0,
        times: ALWAYS,
        on_their_way: 0,
        says: "the log has failed",
    };
    /// The anchors fail, from the next call on.
    const OF_THE_ANCHORS: Self = Self { ending: "/anchors", says: "anchors", ..Self::OF_THE_LOG };
}

/// The log is lost: those who wait are told that nothing is known. Now and then nobody waits, when what fails is a step of a
/// saga and every client has just been answered; then once more.
async fn ends_the_log(failure: Failure) -> Result<()> {
    for _ in 0..RUNS_MAX {
        if end_the_log(&failure).await? > 0 || failure.on_their_way > 0 {
            return Ok(());
        }
    }
    bail!("in {RUNS_MAX} runs nobody was told that the outcome is unknown")
}

/// Returns how many were told so.
async fn end_the_log(failure: &Failure) -> Result<usize> {
    let (seed, dice) = settings::seed();
    let home = tempfile::tempdir()?;
    let data = home.path().join("data");
    let disk = FailingDisk::of(&data);
    let mut server = Server::start_in(&data, disk.environment()?).await?;
    let client = HttpClient::new(server.url());
    let mut load = Load::begin(&client, PEOPLE, &dice).await?;
    load.wait_for(WRITES_BEFORE).await?;
    disk.fail(failure.calls, failure.ending, failure.skip, failure.times)?;
    let begun = Instant::now();
    let (status, said) = server.ended().await?;
    let ended_after = begun.elapsed();
    let record = disk.record()?;
    ensure!(!status.success() && said.contains(failure.says), "{status} {said}");
    ensure!(ended_after < ENDS_WITHIN, "it took {ended_after:?} to end: {said}");
    nothing_was_written_after_the_failure(&record, failure.on_their_way)?;
    lose_what_was_not_synced(&data, &record)?;

    server.clear_environment();
    server.spawn()?;
    server.ready().await?;
    load.wait_for(WRITES_AFTER).await?;
    let books = load.finish().await?;
    server.kill()?;
    let audit = Audit::of_log(&data, &books).await?;
    let told = books.iter().filter(|write| write.told_unknown > 0).count();
    println!(
        "{}: ended after {ended_after:.1?} ({status}), {told} were told \"unknown\"; {audit} (seed {seed})",
        failure.name
    );
    audit.is_clean()?;
    Ok(told)
}

/// What was not synced when the process ended is gone, as with a disk that dropped what it could not write. Whoever was
/// told that such a write holds has lost it.
fn lose_what_was_not_synced(data: &Path, record: &[Recorded]) -> Result<()> {
    let is_journal = |it: &&Recorded| it.file.ends_with(".jnl");
    let Some(last) = record.iter().rfind(is_journal) else { return Ok(()) };
    let of_file = |it: &&Recorded| it.file == last.file && it.verdict == "passed" && it.call == "fdatasync";
    let Some(synced) = record.iter().rfind(of_file) else { return Ok(()) };
    let file = File::options().write(true).open(data.join(&synced.file))?;
    let length = file.metadata()?.len();
    file.set_len(synced.cursor)?;
    Ok(file.set_len(length)?)
}

fn nothing_was_written_after_the_failure(record: &[Recorded], on_their_way: usize) -> Result<()> {
    let first = record.iter().position(|it| it.verdict == "failed").context("nothing has failed")?;
    // What the anchors say by then was durable before they said it: to sync them does no harm.
    let is_of_log = |it: &&Recorded| it.file.ends_with(".jnl") || (it.file == "anchors" && it.call != "fdatasync");
    let of_log = |it: &&Recorded| it.verdict == "passed" && is_of_log(it);
    let later: Vec<_> = record[first..].iter().filter(of_log).collect();
    let commits = later.iter().filter(|it| it.call == "fdatasync").count();
    ensure!(commits <= on_their_way && (on_their_way > 0 || later.is_empty()), "after the failure: {later:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_of_the_log() -> Result<()> {
    ends_the_log(Failure { name: "fdatasync of the log fails", skip: 3, ..Failure::OF_THE_LOG }).await
}

/// What the first one has lost the second one reports as done.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_the_log_that_fails_once() -> Result<()> {
    ends_the_log(Failure { name: "fdatasync of the log fails once", skip: 5, times: 1, ..Failure::OF_THE_LOG }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_in_the_middle_of_a_commit() -> Result<()> {
    let (name, calls) = ("disk full in the middle of a commit", Calls::WriteToFull);
    ends_the_log(Failure { name, calls, skip: 2, ..Failure::OF_THE_LOG }).await
}

/// Space is free again before the process has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_for_a_moment() -> Result<()> {
    let (name, calls) = ("disk full for a moment", Calls::WriteToFull);
    ends_the_log(Failure { name, calls, skip: 2, times: 2, ..Failure::OF_THE_LOG }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_log_that_fails() -> Result<()> {
    ends_the_log(Failure { name: "write of the log fails", calls: Calls::Write, skip: 4, ..Failure::OF_THE_LOG }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_anchors_that_fails() -> Result<()> {
    let (name, calls) = ("write of the anchors fails", Calls::Write);
    ends_the_log(Failure { name, calls, skip: 2, ..Failure::OF_THE_ANCHORS }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_of_the_anchors() -> Result<()> {
    let name = "fdatasync of the anchors fails";
    // Another thread finds it out than the one that writes the log, and may have to wait for a processor before it says so.
    ends_the_log(Failure { name, on_their_way: 8, ..Failure::OF_THE_ANCHORS }).await
}

/// A key that may not be on the disk is never used: nobody is registered with it, and the server ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_cannot_be_written() -> Result<()> {
    let cases = [
        ("fdatasync of the keys fails", Calls::Sync, "/keyring/keys"),
        ("disk full in the keys", Calls::WriteToFull, "/keyring/keys"),
        ("write of their number fails", Calls::Write, "/keyring/count"),
    ];
    for (name, calls, ending) in cases {
        let dice = Dice::new(1);
        let home = tempfile::tempdir()?;
        let data = home.path().join("data");
        let disk = FailingDisk::of(&data);
        let mut server = Server::start_in(&data, disk.environment()?).await?;
        let client = HttpClient::new(server.url());
        let mut before = Writer::register(&client, "before", &dice).await?;
        before.post().await?;
        disk.fail(calls, ending, 0, ALWAYS)?;
        let begun = Instant::now();
        let body = json!({ "email": "a@example.com", "password": "correct horse battery", "username": "after" });
        let answer = client.send(Method::POST, "/users/auth/register", Some(&body), &[]).await;
        let status = answer.ok().map(|(status, _)| status);
        ensure!(status.is_none_or(|status| status == StatusCode::SERVICE_UNAVAILABLE), "{name}: {status:?}");
        let (ended, said) = server.ended().await?;
        let after = begun.elapsed();
        ensure!(!ended.success() && said.contains("the keyring has failed"), "{name}: {ended} {said}");
        ensure!(after < ENDS_WITHIN, "{name}: it took {after:?} to end: {said}");
        server.clear_environment();
        server.spawn()?;
        server.ready().await?;
        let mut again = Writer::register(&client, "after", &dice).await?;
        again.post().await?;
        before.post().await?;
        server.kill()?;
        let books = [before.books, again.books].concat();
        let audit = Audit::of_log(&data, &books).await?;
        println!("{name}: answered {status:?}, ended after {after:.1?} ({ended}); {audit}");
        audit.is_clean()?;
    }
    Ok(())
}
