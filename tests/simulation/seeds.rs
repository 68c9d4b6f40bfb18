//! Which seeds are run, on all cores, and what is said of one that fails.
//!
//! `TIDINGS_SEED=n` runs that seed alone and prints its story; `TIDINGS_SEEDS=n` so many fixed ones; beside the fixed
//! ones fresh ones are run, from a base that is printed and can be set again by `TIDINGS_SEED_BASE`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_tests::simulation::{Outcome, Settings, run};

/// The seeds that every run looks at.
const FIXED: u64 = 200;
/// Seeds that nobody has looked at yet.
const FRESH: u64 = 100;
/// Lines of a story that are printed; a file has all of them.
const LINES_MAX: usize = 60;
/// Violations that are printed.
const VIOLATIONS_MAX: usize = 20;

fn asked_for(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The one seed to run and to tell about, if one was asked for.
pub(crate) fn only() -> Option<u64> {
    asked_for("TIDINGS_SEED")
}

/// The seeds to run, fixed ones first.
pub(crate) fn all() -> Vec<u64> {
    if let Some(seed) = only() {
        return vec![seed];
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let base = asked_for("TIDINGS_SEED_BASE").unwrap_or(now * 1_000);
    println!("fresh seeds from TIDINGS_SEED_BASE={base}");
    (0..asked_for("TIDINGS_SEEDS").unwrap_or(FIXED)).chain(base..base + FRESH).collect()
}

/// Runs seeds on all cores until all are done or one has failed; returns what it saw of each. Only of those that failed
/// the story is kept.
pub(crate) fn run_until_one_fails(seeds: &[u64], settings: impl Fn(u64) -> Settings + Sync) -> BTreeMap<u64, Outcome> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = BTreeMap::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut outcome = of(settings(*seed));
            if outcome.violations.is_empty() {
                outcome.lines.clear();
            } else {
                next.store(seeds.len(), Ordering::Relaxed);
            }
            done.insert(*seed, outcome);
        }
        done
    };
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("panics of seeds are caught")).collect()
    })
}

/// What comes of a seed; a panic of the world is a violation too.
fn of(settings: Settings) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(settings))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        Outcome { violations: vec![format!("the world panicked: {text}")], ..Outcome::default() }
    })
}

/// The first seed that failed, in the order in which they were to be run.
pub(crate) fn failing<'a>(seeds: &[u64], outcomes: &'a BTreeMap<u64, Outcome>) -> Option<(u64, &'a Outcome)> {
    let failed = |seed: &u64| outcomes.get(seed).filter(|outcome| !outcome.violations.is_empty()).map(|o| (*seed, o));
    seeds.iter().find_map(failed)
}

/// The end of the story, all of which goes to a file; then, so that it is what a log ends with, what went wrong and how to
/// see it again.
pub(crate) fn report(seed: u64, outcome: &Outcome) -> String {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/simulation"));
    let file = directory.join(format!("seed-{seed}.txt"));
    let story = [outcome.violations.as_slice(), &outcome.lines].concat().join("\n");
    let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, story));
    let place = if written.is_ok() { "target/simulation" } else { "nowhere: it could not be written" };
    let mut report = format!("the story of seed {seed} (all of it: {place}/seed-{seed}.txt) ends with:\n");
    for line in &outcome.lines[outcome.lines.len().saturating_sub(LINES_MAX)..] {
        let _ = writeln!(report, "{line}");
    }
    let _ = writeln!(report, "\nIt breaks {} promises:", outcome.violations.len());
    for violation in outcome.violations.iter().take(VIOLATIONS_MAX) {
        let _ = writeln!(report, "  {violation}");
    }
    let test = "cargo test -p tidings-tests --test simulation the_promises";
    let _ = writeln!(report, "Replay it with: TIDINGS_SEED={seed} {test} -- --nocapture");
    report
}
