//! Every rule is needed: without it some seed breaks a promise, and the simulation alone sees it.
//!
//! One table, over [`Rule::ALL`]: a rule that nobody proves to be needed fails here. `TIDINGS_RULE=Name` takes that one
//! away alone.

use crate::seeds;
use crate::settings;
use journal::{Rule, Rules};
use tidings_tests::simulation::Settings;

/// Enough for a missing rule to show.
const SEEDS_MAX: u64 = 2_000;

/// Runs seeds without the rule until one fails; says which, and what it says. A seed that fails with the rule as well
/// proves nothing about it.
fn caught(rule: Rule) -> Option<String> {
    let rules = Rules::without(rule);
    let seeds: Vec<u64> = (0..SEEDS_MAX).collect();
    let outcomes = seeds::run_until_one_fails(&seeds, |seed| Settings { rules, ..settings(seed) });
    let (seed, outcome) = seeds::failing(&seeds, &outcomes)?;
    let with = seeds::run_until_one_fails(&[seed], settings);
    assert!(seeds::failing(&[seed], &with).is_none(), "seed {seed} fails with {rule:?} as well");
    let mut first = outcome.violations[0].clone();
    first.truncate(first.char_indices().nth(200).map_or(first.len(), |(at, _)| at));
    Some(format!("caught after {} seeds (seed {seed}): {first}", seed + 1))
}

#[test]
fn without_any_one_rule_a_seed_breaks_a_promise() {
    let only = std::env::var("TIDINGS_RULE").ok();
    let mut missed = Vec::new();
    for rule in Rule::ALL {
        let name = format!("{rule:?}");
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        match caught(*rule) {
            Some(how) => println!("without {name}: {how}"),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "within {SEEDS_MAX} seeds nothing misses {missed:?}");
}
