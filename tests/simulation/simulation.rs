//! Seeds: what the owner, the driver and the runner promise must hold in each of them; with a rule taken away it must
//! not.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests")]

mod deletion;
mod linearizability;
mod overtaken;
mod owner;
mod registration;
mod rules;
mod sagas;
mod seeds;
mod unawaited;

use journal::Rules;
use std::collections::BTreeMap;
use std::time::Instant;
use tidings_tests::simulation::{Deed, Fault, Outcome, Settings, run};

/// Commands that the clients of a seed ask for: from half as many to half as many again.
const COMMANDS: usize = 220;
/// How often each kind of fault fires in 100 seeds, at least: none may become rare unnoticed.
const FAULTS_MIN: usize = 40;
/// How often people do each kind of thing in 100 seeds, at least.
const DEEDS_MIN: usize = 8;
/// Seeds that are run twice.
const REPLAYED: [u64; 6] = [1, 7, 42, 77, 101, 199];

fn settings(seed: u64) -> Settings {
    Settings { seed, commands: COMMANDS, choice_min: 1, rules: Rules::default() }
}

#[test]
fn the_promises_hold_in_every_seed() {
    let begun = Instant::now();
    let all = seeds::all();
    let outcomes = seeds::run_until_one_fails(&all, settings);
    if let Some(seed) = seeds::only() {
        println!("{}", run(settings(seed)).lines.join("\n"));
    }
    if let Some((seed, outcome)) = seeds::failing(&all, &outcomes) {
        panic!("{}", seeds::report(seed, outcome));
    }
    if seeds::only().is_some() {
        return;
    }
    let mut faults: BTreeMap<Fault, usize> = Fault::ALL.iter().map(|fault| (*fault, 0)).collect();
    let mut deeds: BTreeMap<Deed, usize> = Deed::ALL.iter().map(|deed| (*deed, 0)).collect();
    for (seed, outcome) in &outcomes {
        assert!(outcome.asked >= outcome.wanted, "seed {seed} asked only {} times", outcome.asked);
        for (fault, times) in &outcome.faults {
            *faults.entry(*fault).or_default() += times;
        }
        for (deed, times) in &outcome.deeds {
            *deeds.entry(*deed).or_default() += times;
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
    println!("people did: {deeds:?}");
    let seeds = outcomes.len();
    for (fault, times) in &faults {
        assert!(*times >= FAULTS_MIN * seeds / 100, "{fault:?} fired only {times} times in {seeds} seeds");
    }
    for (deed, times) in &deeds {
        assert!(*times >= DEEDS_MIN * seeds / 100, "{deed:?} happened only {times} times in {seeds} seeds");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in REPLAYED {
        let (first, second) = (run(settings(seed)), run(settings(seed)));
        assert!(first.lines.len() > first.wanted);
        for (first, second) in first.lines.iter().zip(&second.lines) {
            assert_eq!(first, second, "seed {seed}");
        }
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
    }
}
