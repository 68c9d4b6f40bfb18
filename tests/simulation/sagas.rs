//! The saga kit over the simulated log, where time costs nothing, and that the kit can fail.

use journal::{Rule, Rules};
use std::sync::Arc;
use tidings_tests::sagas::{Extent, Table, run_all};
use tidings_tests::simulation::log::LogFaults;
use tidings_tests::simulation::network::NetworkFaults;
use tidings_tests::simulation::nodes::Cluster;
use tidings_tests::simulation::{Dice, Network, SimulatedLog, Story};
use tokio::time::Instant;

const PARTITIONS: u32 = 3;

async fn run(rules: Rules) -> Table {
    let (dice, story) = (Dice::new(7), Story::default());
    let log = SimulatedLog::new(PARTITIONS, dice.clone(), story.clone(), LogFaults::NONE);
    let network = Network::new(PARTITIONS, dice.clone(), story, NetworkFaults::NONE);
    let begun = Instant::now();
    let clock = Arc::new(move || {
        let elapsed = i64::try_from(begun.elapsed().as_micros()).expect("short");
        events::Timestamp(1_700_000_000_000_000 + elapsed)
    });
    let cluster = Cluster::new(Arc::new(log), network, clock, rules, dice);
    run_all(cluster, Extent { at_length: true, every_record: true }).await
}

#[tokio::test(start_paused = true)]
async fn every_saga_ends_whatever_goes_wrong_with_a_step() {
    let table = run(Rules::default()).await;
    println!("{table}");
    assert!(table.leftovers.is_empty(), "{:#?}", table.leftovers);
    assert!(table.met() * 2 > table.runs(), "the kit hardly ever meets what it plans");
}

#[tokio::test(start_paused = true)]
async fn without_a_rule_that_sagas_rely_on_something_is_left() {
    for rule in [Rule::UndoWhatIsInDoubt, Rule::CompensationsOvertakeSteps] {
        let table = run(Rules::without(rule)).await;
        println!("without {rule:?}: {} leftovers", table.leftovers.len());
        assert!(!table.leftovers.is_empty(), "the kit does not miss {rule:?}");
        table.leftovers.iter().take(3).for_each(|left| println!("  {left}"));
    }
}
