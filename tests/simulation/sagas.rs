//! The saga kit over the simulated log, where time costs nothing, and that the kit can fail. `TIDINGS_SCENARIO` names the
//! only scenario to run, `TIDINGS_SEED` another chance for delays.

use journal::{Rule, Rules};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tidings_tests::sagas::{Extent, PARTITIONS_MIN, Scenario, Stand, Table, scenario};
use tidings_tests::settings;
use tidings_tests::simulation::log::LogFaults;
use tidings_tests::simulation::network::NetworkFaults;
use tidings_tests::simulation::nodes::Cluster;
use tidings_tests::simulation::{Dice, Network, SimulatedLog, Story};
use tokio::time::Instant;

const PARTITIONS: u32 = 2 * PARTITIONS_MIN;

fn cluster(rules: Rules) -> Cluster {
    let (dice, story) = (Dice::new(settings::number("TIDINGS_SEED", 7)), Story::default());
    let log = SimulatedLog::new(PARTITIONS, dice.clone(), story.clone(), LogFaults::NONE);
    let network = Network::new(PARTITIONS, dice.clone(), story, NetworkFaults::NONE);
    let begun = Instant::now();
    let clock = Arc::new(move || {
        let elapsed = i64::try_from(begun.elapsed().as_micros()).expect("short");
        events::Timestamp(1_700_000_000_000_000 + elapsed)
    });
    Cluster::new(Arc::new(log), network, clock, rules, dice)
}

/// Each scenario in a world of its own, on all cores.
fn run(rules: Rules, is_enough: impl Fn(&Table) -> bool + Sync) -> Table {
    let only = std::env::var("TIDINGS_SCENARIO").ok();
    let mut scenarios = scenario::all();
    scenarios.retain(|scenario| only.as_ref().is_none_or(|only| scenario.name == only));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tables = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = scenarios.get(n) else { return tables };
            let table = in_a_world(rules, scenario, &is_enough);
            if is_enough(&table) {
                next.store(scenarios.len(), Ordering::Relaxed);
            }
            tables.push((n, table));
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut tables: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    tables.sort_by_key(|(n, _)| *n);
    tables.into_iter().fold(Table::default(), |all, (_, table)| all.and(table))
}

fn in_a_world(rules: Rules, scenario: &Scenario, is_enough: impl Fn(&Table) -> bool) -> Table {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut stand = Stand::new(cluster(rules), Extent::Everything).await;
        stand.run_until(scenario, is_enough).await
    })
}

#[test]
fn every_saga_ends_whatever_goes_wrong_with_a_step() {
    let begun = std::time::Instant::now();
    let table = run(Rules::default(), |_| false);
    println!("{table} in {:.0?}", begun.elapsed());
    assert!(table.leftovers.is_empty(), "{:#?}", table.leftovers);
    assert_eq!(table.not_met(), [""; 0], "the kit plans what it does not do");
}

#[test]
fn without_a_rule_that_sagas_rely_on_something_is_left() {
    let rules = [
        Rule::UndoWhatIsInDoubt,
        Rule::CompensationsOvertakeSteps,
        Rule::ResumeOpenSteps,
        Rule::StepsStandInTheLog,
        Rule::StepIdsNeverChange,
    ];
    for rule in rules {
        let table = run(Rules::without(rule), |table| !table.leftovers.is_empty());
        let left = table.leftovers.first().unwrap_or_else(|| panic!("the kit does not miss {rule:?}"));
        println!("without {rule:?}, after {} runs: {left}", table.runs());
    }
}
