//! What the clients of a simulation were told, judged by a checker that is not ours against objects that share no code
//! with the owner.

mod handmade;

use super::settings;
use journal::{Rule, Rules};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use tidings_tests::linearizability::ledger::Report;
use tidings_tests::settings::number;
use tidings_tests::simulation::{Fault, Settings, run};

/// The operations that every run judges; `TIDINGS_OPERATIONS` asks for more.
const OPERATIONS: usize = 20_000;
/// What clients choose from: where all do the same to two posts, with half of it in doubt, no checker gets to the end.
const CHOICE_MIN: usize = 8;
/// One history in so many may be too large for the checker. Each is named.
const HISTORIES_A_TOO_LARGE_ONE_MIN: usize = 2_000;
/// Enough for a missing rule to show.
const SEEDS_MAX_FOR_A_MISSING_RULE: u64 = 200;

fn operations() -> usize {
    usize::try_from(number("TIDINGS_OPERATIONS", OPERATIONS as u64)).expect("it fits")
}

/// What was judged so far.
#[derive(Default)]
struct Judged {
    report: Report,
    faults: BTreeMap<Fault, usize>,
    seeds: u64,
}

/// Judges seeds on two threads until so many operations were judged, or so many seeds, or one is not as it should be.
fn judge(operations: usize, seeds: u64, rules: Rules) -> Judged {
    let (next, judged) = (AtomicU64::new(0), AtomicUsize::new(0));
    let work = || {
        let mut all = Judged::default();
        while judged.load(Ordering::Relaxed) < operations {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let outcome = run(Settings { rules, choice_min: CHOICE_MIN, ..settings(seed) });
            let mut report = outcome.history.judge(&outcome.doubled, &outcome.late);
            judged.fetch_add(report.operations, Ordering::Relaxed);
            report.violations.iter_mut().chain(&mut report.too_large).for_each(|it| *it = format!("seed {seed}, {it}"));
            if !report.violations.is_empty() {
                next.store(seeds, Ordering::Relaxed);
            }
            all.report += report;
            outcome.faults.into_iter().for_each(|(fault, times)| *all.faults.entry(fault).or_default() += times);
            all.seeds += 1;
        }
        all
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut all = work();
        let other = other.join().expect("a seed panicked");
        all.report += other.report;
        all.seeds += other.seeds;
        other.faults.into_iter().for_each(|(fault, times)| *all.faults.entry(fault).or_default() += times);
        all
    })
}

#[test]
fn every_answer_is_that_of_a_system_that_does_one_thing_at_a_time() {
    let begun = Instant::now();
    let Judged { report, faults, seeds } = judge(operations(), u64::MAX, Rules::default());
    println!("{seeds} seeds in {:.0?}: {report}", begun.elapsed());
    println!("faults fired: {faults:?}");
    report.too_large.iter().for_each(|history| println!("too large: {history}"));
    let unjudged = report.too_large.len();
    assert!(unjudged * HISTORIES_A_TOO_LARGE_ONE_MIN <= report.histories, "{}", report.too_large.join("\n"));
    assert!(report.violations.is_empty(), "{}", report.violations.join("\n\n"));
    assert!(report.operations >= operations());
    for fault in [Fault::OwnerCrash, Fault::OwnerPause, Fault::TwoOwners, Fault::StaleRoute, Fault::RequestDoubled] {
        assert!(faults.contains_key(&fault), "{fault:?} never fired");
    }
}

/// Without the rule some seed must be told what no order explains.
fn is_needed(rule: Rule) {
    let Judged { report, seeds, .. } = judge(usize::MAX, SEEDS_MAX_FOR_A_MISSING_RULE, Rules::without(rule));
    let shortest = report.violations.iter().min_by_key(|violation| violation.lines().count());
    let Some(violation) = shortest else { panic!("every answer is explained without {rule:?}") };
    println!("without {rule:?}, after {seeds} seeds and {} operations:\n{violation}", report.operations);
}

#[test]
fn the_refusals_of_a_former_owner_are_not_explained() {
    is_needed(Rule::FenceRefusals);
}

#[test]
fn acceptances_that_are_lost_are_not_explained() {
    is_needed(Rule::AcknowledgeAfterValidity);
}
