//! Seeds: what the owner, the driver and the runner promise must hold in each of them; with a rule taken away it must
//! not.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests")]

mod owner;
mod reading_rules;
mod registration;

use journal::{Rule, Rules};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tidings_tests::simulation::{Fault, Outcome, Settings, run};

const COMMANDS: usize = 500;
const FAULTS_MIN: usize = 5;
/// The seeds that every run looks at; `TIDINGS_SEEDS` asks for more.
const SEEDS: u64 = 200;
/// Enough for a missing rule to show.
const SEEDS_MAX_FOR_A_MISSING_RULE: u64 = 200;

fn seeds() -> u64 {
    std::env::var("TIDINGS_SEEDS").ok().map_or(SEEDS, |seeds| seeds.parse().expect("TIDINGS_SEEDS is a number"))
}

fn settings(seed: u64) -> Settings {
    Settings { seed, commands: COMMANDS, rules: Rules::default() }
}

/// Runs seeds on two threads until all are done or one has failed; returns what it saw of each.
fn run_seeds(seeds: u64, settings: impl Fn(u64) -> Settings + Sync) -> BTreeMap<u64, Outcome> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return done;
            }
            let outcome = run(settings(seed));
            if !outcome.violations.is_empty() {
                next.store(seeds, Ordering::Relaxed);
            }
            done.insert(seed, outcome);
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut all = work();
        all.extend(other.join().expect("a seed panicked"));
        all
    })
}

fn failing(outcomes: &BTreeMap<u64, Outcome>) -> Option<(u64, &Outcome)> {
    outcomes.iter().find(|(_, outcome)| !outcome.violations.is_empty()).map(|(seed, outcome)| (*seed, outcome))
}

#[test]
fn the_promises_hold_in_every_seed() {
    let begun = Instant::now();
    let outcomes = run_seeds(seeds(), settings);
    if let Some((seed, outcome)) = failing(&outcomes) {
        panic!("seed {seed}:\n{}\n\nIts story:\n{}", outcome.violations.join("\n"), outcome.lines.join("\n"));
    }
    let mut faults: BTreeMap<Fault, usize> = BTreeMap::new();
    for (seed, outcome) in &outcomes {
        assert!(outcome.asked >= COMMANDS, "seed {seed} asked only {} times", outcome.asked);
        assert!(outcome.faults.values().sum::<usize>() >= FAULTS_MIN, "seed {seed} had few faults");
        for (fault, times) in &outcome.faults {
            *faults.entry(*fault).or_default() += times;
        }
    }
    let sum = |of: fn(&Outcome) -> usize| outcomes.values().map(of).sum::<usize>();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!(
        "{} seeds green, {:.0} a minute: {} requests, {} accepted, {} refused or unchanged",
        outcomes.len(),
        outcomes.len() as f64 / minutes,
        sum(|o| o.asked),
        sum(|o| o.accepted),
        sum(|o| o.refused)
    );
    println!("faults fired: {faults:?}");
}

#[test]
fn a_seed_replays_exactly() {
    let (first, second) = (run(settings(42)), run(settings(42)));
    assert!(first.lines.len() > COMMANDS);
    for (first, second) in first.lines.iter().zip(&second.lines) {
        assert_eq!(first, second);
    }
    assert_eq!(first.lines.len(), second.lines.len());
}

/// Without the rule some seed must fail.
fn is_needed(rule: Rule) {
    let rules = Rules::without(rule);
    let outcomes = run_seeds(SEEDS_MAX_FOR_A_MISSING_RULE, |seed| Settings { rules, ..settings(seed) });
    let (seed, outcome) = failing(&outcomes).unwrap_or_else(|| panic!("no seed misses the rule {rule:?}"));
    println!("without {rule:?}: caught after {} seeds (seed {seed}): {}", outcomes.len(), outcome.violations[0]);
}

#[test]
fn acknowledging_before_validity_is_caught() {
    is_needed(Rule::AcknowledgeAfterValidity);
}

#[test]
fn an_unfenced_refusal_is_caught() {
    is_needed(Rule::FenceRefusals);
}
