//! The contract of a log that is damaged: it says so, or it reads as it was written. Never different, never shorter.

use super::LogUnderTest;
use super::scribe::{P, Scribe, acknowledged, noise, numbers, stored, valid};
use journal::{Journal, JournalError, Partition, Record};
use std::sync::Arc;

/// How many bits are flipped, one at a time.
const FLIPS: usize = 120;

/// Receipts were given for records that are gone.
pub async fn a_log_that_lost_its_tail_is_refused<L: LogUnderTest>() {
    let mut log = L::create_alone(2).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    for n in 0..5 {
        scribe.append(format!("{n}")).await.unwrap();
    }
    log.remember().await;
    for n in 5..9 {
        scribe.append(format!("{n}")).await.unwrap();
    }
    drop(scribe);
    let Some(rewound) = log.rewind().await.done() else { return };
    let error = match rewound {
        Err(error) => error,
        Ok(log) => valid(&log.journal(), P).await.expect_err("four acknowledged records are gone"),
    };
    assert!(
        matches!(&error, JournalError::Damaged { position, .. } if position.partition == P && (6..10).contains(&position.offset)),
        "{error}"
    );
}

/// As the disk is when the process was killed.
pub async fn a_bit_flipped_after_a_crash_is_noticed_or_harmless<L: LogUnderTest>() {
    flip_bits(&small::<L>().await, false, 1).await;
}

/// As the disk is after an orderly end.
pub async fn a_bit_flipped_after_a_clean_close_is_noticed_or_harmless<L: LogUnderTest>() {
    flip_bits(&small::<L>().await, true, 2).await;
}

/// Large enough that the store has moved records to where it keeps them for good.
pub async fn a_bit_flipped_in_a_large_log_is_noticed_or_harmless<L: LogUnderTest>() {
    let log = L::create(2).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    for n in 0..24 {
        scribe.append(noise(n, 500_000)).await.unwrap();
    }
    drop(scribe);
    flip_bits(&log, false, 3).await;
}

async fn small<L: LogUnderTest>() -> L {
    let log = L::create(2).await;
    for partition in [P, Partition(1)] {
        let mut scribe = Scribe::claim(&log.journal(), partition).await;
        for n in 0..10 {
            let receipts: Vec<_> = (0..5).map(|m| scribe.append(noise(n * 5 + m, 200))).collect();
            acknowledged(receipts).await;
        }
    }
    log
}

async fn flip_bits<L: LogUnderTest>(log: &L, clean: bool, seed: u64) {
    let before = everything(log).await.unwrap();
    let Some(copy) = log.flipped(clean, None).await.done() else { return };
    assert!(
        everything(&copy.unwrap()).await.unwrap() == before,
        "a copy in which nothing is flipped reads differently"
    );
    let mut noticed = 0;
    for random in numbers(seed).take(FLIPS) {
        let Some(opened) = log.flipped(clean, Some(random)).await.done() else { return };
        let found = match opened {
            Err(error) => Err(error),
            Ok(flipped) => everything(&flipped).await,
        };
        match found {
            Ok(found) => assert!(found == before, "the flip {random} changed what is read, and nobody noticed"),
            Err(error) => {
                assert!(says_where(&error), "the flip {random} was noticed without saying where: {error}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 0, "no flip was noticed: none of them can have met the log");
}

/// Whether an error names a place in the log, or a file.
pub fn says_where(error: &JournalError) -> bool {
    match error {
        JournalError::Damaged { .. } | JournalError::Diverged { .. } | JournalError::Unreadable { .. } => true,
        // Before any record was read the place is a file.
        JournalError::Unusable(what) => what.contains('/'),
        // A server that does not get past it says no more than that; then the place is where the reader stands.
        JournalError::Unavailable(error) => error.to_string().contains("from partition"),
    }
}

/// What readers get, and what is stored: the same whenever nothing is wrong.
async fn everything<L: LogUnderTest>(log: &L) -> Result<Vec<Record>, JournalError> {
    all_records(&log.journal()).await
}

/// The same, of any log.
pub async fn all_records(journal: &Arc<dyn Journal>) -> Result<Vec<Record>, JournalError> {
    let mut all = Vec::new();
    for partition in (0..journal.partitions()).map(Partition) {
        all.extend(valid(journal, partition).await?);
        all.extend(stored(journal, partition).await?);
    }
    Ok(all)
}
