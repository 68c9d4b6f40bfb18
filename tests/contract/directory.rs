//! The embedded data directory: what it refuses, and that it changes nothing when it does.

use journal::embedded::{self, PARTITIONS_DEFAULT};
use journal::{Anchor, Journal, JournalError, Partition};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tidings_tests::journal_contract::scribe::{P, Scribe, noise, stored, valid};
use tidings_tests::snapshot::Snapshot;

/// A directory with a few records, closed.
async fn with_records() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let log = embedded::open(directory.path(), 2).unwrap().log;
    let mut scribe = Scribe::claim(&(Arc::clone(&log) as _), P).await;
    for n in 0..5 {
        scribe.append(format!("{n}")).await.unwrap();
    }
    directory
}

/// Opening fails, says what it must, and leaves everything as it was.
fn refuses(directory: &Path, says: &[&str]) {
    let before = Snapshot::at_rest(directory);
    let error = embedded::open(directory, PARTITIONS_DEFAULT).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, JournalError::Unusable(_)), "{text}");
    for part in says.iter().chain([&directory.to_str().unwrap()]) {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(Snapshot::at_rest(directory) == before, "the refused directory was changed");
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_open_is_refused() {
    let directory = with_records().await;
    let open = embedded::open(directory.path(), 2).unwrap();
    refuses(directory.path(), &["another process"]);
    drop(open);
    embedded::open(directory.path(), 2).unwrap();
}

#[tokio::test]
async fn a_directory_of_a_newer_program_is_refused() {
    let directory = with_records().await;
    let file = directory.path().join("tidings.json");
    fs::write(&file, r#"{"format": 2, "partitions": {"by": "key"}}"#).unwrap();
    refuses(directory.path(), &["tidings.json", "format 2", "newer"]);
}

#[tokio::test]
async fn a_directory_that_lost_a_part_is_refused_by_the_name_of_the_part() {
    for part in ["log", "anchors", "keyring", "keyring/keys", "keyring/secrets", "tidings.json"] {
        let directory = with_records().await;
        let lost = directory.path().join(part);
        remove(&lost);
        refuses(directory.path(), &[part, "missing", "backup"]);
    }
}

#[tokio::test]
async fn every_missing_file_of_the_log_is_noticed() {
    let directory = with_records().await;
    let log = directory.path().join("log");
    for file in ["version", "0.jnl", "keyspaces/0/current", "keyspaces/1/current", "keyspaces/2", "keyspaces"] {
        let before = Snapshot::at_rest(&log);
        let lost = log.join(file);
        remove(&lost);
        refuses(directory.path(), &["missing"]);
        fs::remove_dir_all(&log).unwrap();
        before.restore(&log);
    }
    let log = embedded::open(directory.path(), 2).unwrap().log;
    assert_eq!(valid(&(log as _), P).await.unwrap().len(), 6, "with everything in its place again");
}

#[tokio::test]
async fn a_journal_that_was_cut_is_damage() {
    let directory = with_records().await;
    let journal = directory.path().join("log/0.jnl");
    let written = fs::read(&journal).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    fs::File::options().write(true).open(&journal).unwrap().set_len(written / 2).unwrap();
    let error = embedded::open(directory.path(), 2).unwrap_err();
    assert!(matches!(&error, JournalError::Damaged { position, .. } if position.partition == P), "{error}");
}

/// A commit that lies over many pages, of which some in the middle never reached the disk.
#[tokio::test]
async fn a_commit_with_a_hole_is_cut_only_if_nobody_had_a_receipt_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (anchors, journal) = (directory.path().join("anchors"), directory.path().join("log/0.jnl"));
    let log: Arc<dyn Journal> = embedded::open(directory.path(), 1).unwrap().log;
    let mut scribe = Scribe::claim(&log, P).await;
    scribe.append("before").await.unwrap();
    let before = fs::read(&anchors).unwrap();
    scribe.append(noise(1, 100_000)).await.unwrap();
    drop((scribe, log));
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() - 60_000;
    bytes[middle..middle + 4_096].fill(0);
    fs::write(&journal, &bytes).unwrap();
    let error = embedded::open(directory.path(), 1).unwrap_err();
    assert!(matches!(&error, JournalError::Damaged { position, .. } if position.offset == 2), "{error}");
    assert!(error.to_string().contains("0.jnl holds no whole commit"), "{error}");
    let found = fs::read(&journal).unwrap();
    assert!(found.starts_with(&bytes) && found[bytes.len()..].iter().all(|byte| *byte == 0), "it was changed");
    // As after a power cut: nothing says that the record was ever whole.
    fs::write(&anchors, before).unwrap();
    let log: Arc<dyn Journal> = embedded::open(directory.path(), 1).unwrap().log;
    assert_eq!(valid(&log, P).await.unwrap().len(), 2);
    Scribe::claim(&log, P).await.append("after").await.unwrap();
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
    refuses(directory.path(), &["thesis.tex", "choose another directory"]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = embedded::open(&file.join("data"), 2).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_log_without_partitions_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for partitions in [0, 100_000] {
        assert!(matches!(embedded::open(directory.path(), partitions), Err(JournalError::Unusable(_))));
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_keyring_of_another_log_is_refused() {
    let (one, other) = (with_records().await, with_records().await);
    fs::copy(other.path().join("keyring/secrets"), one.path().join("keyring/secrets")).unwrap();
    refuses(one.path(), &["secrets", "belongs to the log"]);
}

#[tokio::test]
async fn anchors_of_another_log_are_refused() {
    let (one, other) = (with_records().await, with_records().await);
    fs::copy(other.path().join("anchors"), one.path().join("anchors")).unwrap();
    refuses(one.path(), &["anchors", "another log"]);
}

/// Whatever part of the making was done: the next start completes it, or begins again.
#[tokio::test]
async fn a_creation_that_was_cut_short_is_completed() {
    let parts = ["log", "anchors", "keyring", "tidings.json"];
    for moved in 0..=parts.len() {
        let made = with_records().await;
        let staging = made.path().join("creating");
        fs::create_dir(&staging).unwrap();
        // What was not moved into place yet stands in the staging directory.
        for part in &parts[moved..] {
            fs::rename(made.path().join(part), staging.join(part)).unwrap();
        }
        let log = embedded::open(made.path(), 2).unwrap().log;
        assert_eq!(valid(&(log as _), P).await.unwrap().len(), 6, "{moved} parts were moved");
        assert!(!staging.exists());
    }
}

#[tokio::test]
async fn a_creation_that_had_only_begun_begins_again() {
    for part in ["log", "anchors", "keyring"] {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("creating")).unwrap();
        fs::write(directory.path().join("creating").join(part), "half").unwrap();
        fs::write(directory.path().join("lock"), "").unwrap();
        let log = embedded::open(directory.path(), 2).unwrap().log;
        assert_eq!(log.end(P).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn the_number_of_partitions_is_that_of_the_creation() {
    let directory = with_records().await;
    assert_eq!(embedded::open(directory.path(), 5).unwrap().log.partitions(), 2);
}

/// A flipped bit in any byte of the anchors.
#[tokio::test]
async fn damaged_anchors_are_refused_and_can_be_noted_anew() {
    let directory = with_records().await;
    let file = directory.path().join("anchors");
    let good = fs::read(&file).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&file, bad).unwrap();
        refuses(directory.path(), &["anchors", "tidings log verify --accept"]);
    }
    let noted = embedded::rewrite_anchors(directory.path()).unwrap();
    assert_eq!(
        noted.iter().map(|(partition, anchor)| (partition.0, anchor.count)).collect::<Vec<_>>(),
        [(0, 6), (1, 0)]
    );
    assert!(fs::read(&file).unwrap() == good);
    fs::remove_file(&file).unwrap();
    embedded::rewrite_anchors(directory.path()).unwrap();
    let log = embedded::open(directory.path(), 2).unwrap().log;
    let Anchor { count, .. } = log.anchor(Partition(0)).await.unwrap().unwrap();
    assert_eq!(count, 6);
}

/// As after a power cut that lost the last writes to the anchors, which are not synced each time.
#[tokio::test]
async fn anchors_that_are_older_than_the_log_are_caught_up() {
    let directory = tempfile::tempdir().unwrap();
    let log: Arc<dyn Journal> = embedded::open(directory.path(), 1).unwrap().log;
    let mut versions = vec![fs::read(directory.path().join("anchors")).unwrap()];
    let mut scribe = Scribe::claim(&log, P).await;
    for n in 0..10 {
        if n % 3 == 0 {
            drop(scribe.draft("lost"));
            scribe.append("void").await.unwrap();
            versions.push(fs::read(directory.path().join("anchors")).unwrap());
            scribe = Scribe::claim(&log, P).await;
        }
        scribe.append(noise(n, 100)).await.unwrap();
        versions.push(fs::read(directory.path().join("anchors")).unwrap());
    }
    let (end, records) = (log.end(P).await.unwrap(), stored(&log, P).await.unwrap());
    drop((scribe, log));
    for older in versions {
        fs::write(directory.path().join("anchors"), older).unwrap();
        let log: Arc<dyn Journal> = embedded::open(directory.path(), 1).unwrap().log;
        assert_eq!(log.end(P).await.unwrap(), end);
        assert!(stored(&log, P).await.unwrap() == records);
        assert_eq!(
            log.anchor(P).await.unwrap().unwrap().head,
            valid(&log, P).await.unwrap().last().unwrap().draft.chain
        );
    }
}
