//! One bit of what is stored is flipped, anywhere: the log says where, or nothing was changed by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tidings_tests::settings;
use tidings_tests::simulation::dice::Dice;
use tidings_tests::snapshot::SavedFile;
use tidings_tests::stored_log::{Outcome, StoredLog, kind};

/// The flips of a short run; `TIDINGS_FLIPS` asks for more.
const FLIPS: u64 = 150;
/// Files up to this size have flips of their own; the others get theirs by their size.
const SMALL_BYTES: u64 = 64 << 10;
/// How much of the newest journal's end holds nothing but the last commit.
const TAIL_BYTES: u64 = 64;

/// A bit to be flipped.
struct Flip {
    file: SavedFile,
    bit: u64,
    /// Whether it lies in the last commit, which was acknowledged.
    in_tail: bool,
}

/// How the flips in files of one kind ended.
#[derive(Default)]
struct Row {
    flips: u32,
    detected: u32,
    harmless: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_or_changes_nothing() {
    let flips = settings::number("TIDINGS_FLIPS", FLIPS);
    let (seed, dice) = settings::seed();
    println!("bit flips: seed {seed} (TIDINGS_FAULT_SEED)");
    let begun = Instant::now();
    let logs = [Arc::new(StoredLog::make(false).await), Arc::new(StoredLog::make(true).await)];
    let mut rows = BTreeMap::<_, Row>::new();
    let mut holes = Vec::new();
    for n in 0..flips {
        let log = &logs[usize::from(n % 2 == 1)];
        let Flip { file, bit, in_tail } = choose(log, n, &dice);
        let path = file.path.clone();
        let outcome = log.after(&path, move |directory| file.flip(directory, bit)).await;
        let row = rows.entry(if in_tail { "last commit, acknowledged" } else { kind(&path) }).or_default();
        row.flips += 1;
        match outcome {
            Outcome::Detected(_) => row.detected += 1,
            Outcome::Harmless if !in_tail => row.harmless += 1,
            Outcome::Harmless => holes.push(format!("flip {n}, {}, bit {bit}: not detected", path.display())),
            Outcome::Hole(what) => holes.push(format!("flip {n}, {}, bit {bit}: {what}", path.display())),
        }
    }
    print(&rows);
    let (detected, harmless) = rows.values().fold((0, 0), |sums, row| (sums.0 + row.detected, sums.1 + row.harmless));
    println!(
        "bit flips: {flips} in {:.0?}: {detected} detected, {harmless} harmless, {} neither (seed {seed})",
        begun.elapsed(),
        holes.len()
    );
    assert!(holes.is_empty(), "{holes:#?}");
    assert!(detected > 0, "no flip can have met the log");
}

/// One in ten in the last commit, three in ten in the small files in turn, the others anywhere by size.
fn choose(log: &StoredLog, n: u64, dice: &Dice) -> Flip {
    let below = |limit: u64| dice.below(usize::try_from(limit).expect("a file's size")) as u64;
    if n % 10 < 1 {
        let file = log.newest_journal().clone();
        let written = file.content.len() as u64;
        let bit = (written - 1 - below(TAIL_BYTES)) * 8 + below(8);
        return Flip { file, bit, in_tail: true };
    }
    let files: Vec<_> = log.files().iter().filter(|file| file.reach() > 0).collect();
    if n % 10 < 4 {
        let small: Vec<_> = files.into_iter().filter(|file| file.reach() <= SMALL_BYTES).collect();
        let file = small[usize::try_from(n / 2).expect("few flips") % small.len()].clone();
        let bit = below(file.reach() * 8);
        return Flip { file, bit, in_tail: false };
    }
    let mut bit = below(files.iter().map(|file| file.reach() * 8).sum());
    let within = |file: &&&SavedFile| {
        let bits = file.reach() * 8;
        let is_here = bit < bits;
        bit -= if is_here { 0 } else { bits };
        is_here
    };
    let file = (*files.iter().find(within).expect("below the sum")).clone();
    Flip { file, bit, in_tail: false }
}

fn print(rows: &BTreeMap<&str, Row>) {
    println!("{:<40} {:>8} {:>9} {:>9}", "a bit flipped in", "flips", "detected", "harmless");
    for (kind, Row { flips, detected, harmless }) in rows {
        println!("{kind:<40} {flips:>8} {detected:>9} {harmless:>9}");
    }
}
