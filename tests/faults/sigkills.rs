//! The server is killed again and again while many write, also while it starts: what was acknowledged is there, once.

use anyhow::Result;
use std::time::{Duration, Instant};
use tidings_tests::audit::{self, Audit};
use tidings_tests::child::{HttpClient, Server};
use tidings_tests::load::Load;
use tidings_tests::{settings, settled};

/// The kills of a short run; `TIDINGS_KILLS` asks for more.
const KILLS: u64 = 20;
const PEOPLE: usize = 24;
/// A kill comes after so many more acknowledged writes at most, and a moment.
const WRITES_BEFORE_KILL_MAX: usize = 150;
const MOMENT_MAX_US: u64 = 20_000;
/// One kill in so many is followed by one while the server starts, within this time.
const KILLED_AGAIN_ONE_IN: usize = 3;
const START_MAX_US: u64 = 300_000;
/// How long sagas that a kill left in the middle may take to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_once_whenever_the_server_is_killed() -> Result<()> {
    let kills_wanted = settings::number("TIDINGS_KILLS", KILLS);
    let (seed, dice) = settings::seed();
    println!("kills: seed {seed} (TIDINGS_FAULT_SEED)");
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let begun = Instant::now();
    let mut server = Server::start(&data).await?;
    let client = HttpClient::new(server.url());
    let mut load = Load::begin(&client, PEOPLE, &dice).await?;
    let (mut kills, mut in_start_up) = (0, 0);
    while kills < kills_wanted {
        load.wait_for(1 + dice.below(WRITES_BEFORE_KILL_MAX)).await?;
        tokio::time::sleep(dice.micros(0, MOMENT_MAX_US)).await;
        server.kill()?;
        kills += 1;
        while kills < kills_wanted && dice.once_in(KILLED_AGAIN_ONE_IN) {
            server.spawn()?;
            tokio::time::sleep(dice.micros(0, START_MAX_US)).await;
            server.kill()?;
            (kills, in_start_up) = (kills + 1, in_start_up + 1);
        }
        server.spawn()?;
        server.ready().await?;
    }
    let books = load.finish().await?;
    server.kill()?;
    let audit = Audit::of_log(&data, &books).await?;
    server.spawn()?;
    server.ready().await?;
    settled::over_http(&client, &data, SETTLED_WITHIN).await?;
    let asked = audit::ask_api(&client, &books).await?;
    println!(
        "kills: {kills} ({in_start_up} while it started) in {:.0?}: {audit}; {asked} requests to the API agree \
         (seed {seed})",
        begun.elapsed()
    );
    audit.is_clean()
}
