//! Processes that run sagas are killed between any two records; whoever opens the log next has the sagas end as they must.

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::path::Path;
use std::time::Instant;
use tidings_tests::sagas::failure::Seen;
use tidings_tests::sagas::killed::{self, Place};
use tidings_tests::sagas::{Scenario, Table, scenario};
use tidings_tests::services::Services;
use uuid::Uuid;

/// The program that is killed.
const RUNNER: &str = env!("CARGO_BIN_EXE_saga-runner");
/// Scenarios that are run at once.
const AT_ONCE: usize = 4;

async fn run(place: impl Fn(&Scenario) -> Place, kills: impl Fn(&[Seen]) -> Vec<(usize, bool)> + Copy) -> Result<()> {
    let begun = Instant::now();
    let scenarios = scenario::all();
    let tables = stream::iter(&scenarios).map(|scenario| {
        let place = place(scenario);
        async move { killed::run(Path::new(RUNNER), scenario, place, kills).await }
    });
    let tables: Vec<_> = tables.buffered(AT_ONCE).try_collect().await?;
    let table = tables.into_iter().fold(Table::default(), Table::and);
    println!("{table} in {:.0?}", begun.elapsed());
    assert!(table.leftovers.is_empty(), "{:#?}", table.leftovers);
    assert_eq!(table.not_met(), [""; 0], "a process outlived its kill");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_end_whichever_record_a_process_is_killed_at() -> Result<()> {
    let directory = tempfile::tempdir()?;
    run(|scenario| Place::Directory(directory.path().join(scenario.name)), killed::every_record).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_on_kafka_end_whichever_step_a_process_is_killed_at() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let place = |_: &Scenario| {
        let id = Uuid::new_v4();
        let brokers = services.brokers().to_owned();
        Place::Topic { brokers, topic: format!("sagas-{id}"), log: format!("log {id}") }
    };
    run(place, killed::one_of_each_step).await
}
