//! The embedded keyring's files: what a crash may leave in them, and what is damage.

use events::{KeyId, Keyring, KeyringError};
use futures::future::join_all;
use journal::embedded;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;
use uuid::Uuid;

const SLOT: usize = 64;

fn id(n: u128) -> KeyId {
    KeyId(Uuid::from_u128(n))
}

/// A closed directory with three keys, the second of them destroyed, and the file they are in.
async fn three_keys() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
    for n in 0..3 {
        keyring.create(id(n)).await.unwrap();
    }
    keyring.destroy(id(1)).await.unwrap();
    let file = directory.path().join("keyring/keys");
    (directory, file)
}

#[tokio::test]
async fn a_destroyed_secret_is_gone_from_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
    keyring.create(id(7)).await.unwrap();
    let file = directory.path().join("keyring/keys");
    let secret = fs::read(&file).unwrap()[16..48].to_vec();
    assert!(secret.iter().any(|byte| *byte != 0));
    keyring.destroy(id(7)).await.unwrap();
    let after = fs::read(&file).unwrap();
    assert!(!after.windows(32).any(|window| window == secret));
    assert_eq!(after.len(), SLOT);
}

#[tokio::test]
async fn a_flipped_bit_in_any_slot_is_damage_with_the_number_of_the_slot() {
    let (directory, file) = three_keys().await;
    let good = fs::read(&file).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&file, bad).unwrap();
        let error = embedded::open(directory.path(), 1).unwrap_err().to_string();
        assert!(error.contains(&format!("keys: slot {} ", byte / SLOT)), "byte {byte}: {error}");
    }
}

#[tokio::test]
async fn a_slot_in_another_place_is_damage() {
    let (directory, file) = three_keys().await;
    let good = fs::read(&file).unwrap();
    let swapped = [&good[2 * SLOT..], &good[SLOT..2 * SLOT], &good[..SLOT]].concat();
    let zeroed = [&good[..SLOT], &[0; SLOT], &good[2 * SLOT..]].concat();
    let repeated = [&good[..], &good[..SLOT]].concat();
    for (bad, slot) in [(swapped, 0), (zeroed, 1), (repeated, 3)] {
        fs::write(&file, bad).unwrap();
        let error = embedded::open(directory.path(), 1).unwrap_err().to_string();
        assert!(error.contains(&format!("slot {slot}")), "{error}");
    }
}

#[tokio::test]
async fn what_a_crash_left_of_the_last_slots_is_cut() {
    let (directory, file) = three_keys().await;
    let good = fs::read(&file).unwrap();
    for rest in [vec![1], vec![1; SLOT - 1], vec![0; SLOT], vec![0; 3 * SLOT], vec![0; SLOT + 5]] {
        fs::write(&file, [&good[..], &rest].concat()).unwrap();
        let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
        assert!(fs::read(&file).unwrap() == good, "{} bytes were to be cut", rest.len());
        assert!(matches!(keyring.find(id(3)).await, Err(KeyringError::Unknown(_))));
        assert!(keyring.find(id(2)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_is_created_after_a_cut_is_there_afterwards() {
    let (directory, file) = three_keys().await;
    fs::write(&file, [&fs::read(&file).unwrap()[..], &[7; 10]].concat()).unwrap();
    let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
    join_all((3..50).map(|n| keyring.create(id(n)))).await.into_iter().for_each(|key| drop(key.unwrap()));
    keyring.destroy(id(40)).await.unwrap();
    drop(keyring);
    let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
    for n in 0..50 {
        assert_eq!(keyring.find(id(n)).await.unwrap().is_none(), n == 1 || n == 40, "key {n}");
    }
}

/// Cut at the end of a slot, what is left looks whole; as does a file from an older backup.
#[tokio::test]
async fn fewer_keys_than_there_were_are_damage() {
    let (directory, file) = three_keys().await;
    let good = fs::read(&file).unwrap();
    for left in 0..3 {
        fs::write(&file, &good[..left * SLOT]).unwrap();
        let error = embedded::open(directory.path(), 1).unwrap_err().to_string();
        let said = format!("keyring/keys holds {left} keys, but held 3 by");
        assert!(error.contains(&said) && error.contains("keyring/count"), "{error}");
        assert_eq!(fs::read(&file).unwrap().len(), left * SLOT, "it was changed");
    }
    fs::write(&file, good).unwrap();
    assert!(embedded::open(directory.path(), 1).unwrap().keyring.find(id(2)).await.unwrap().is_some());
}

/// After a power cut the number may be older than the keys; in a directory of an older program there is none.
#[tokio::test]
async fn more_keys_than_were_counted_are_counted_anew() {
    let (directory, file) = three_keys().await;
    let count = directory.path().join("keyring/count");
    let counted = fs::read(&count).unwrap();
    fs::remove_file(&count).unwrap();
    drop(embedded::open(directory.path(), 1).unwrap());
    assert!(fs::read(&count).unwrap() == counted);
    let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
    keyring.create(id(3)).await.unwrap();
    drop(keyring);
    fs::write(&count, counted).unwrap();
    drop(embedded::open(directory.path(), 1).unwrap());
    let four = fs::read(&file).unwrap();
    fs::write(&file, &four[..3 * SLOT]).unwrap();
    assert!(embedded::open(directory.path(), 1).is_err(), "four keys had been there");
}

#[tokio::test]
async fn a_flipped_bit_in_the_number_of_keys_is_damage() {
    let (directory, _) = three_keys().await;
    let file = directory.path().join("keyring/count");
    let good = fs::read(&file).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&file, bad).unwrap();
        let error = embedded::open(directory.path(), 1).unwrap_err().to_string();
        assert!(error.contains("keyring/count"), "byte {byte}: {error}");
    }
}

#[tokio::test]
async fn a_key_that_never_was_cannot_be_destroyed() {
    let (directory, _) = three_keys().await;
    let keyring = embedded::open(directory.path(), 1).unwrap().keyring;
    assert!(matches!(keyring.destroy(id(9)).await, Err(KeyringError::Unknown(found)) if found == id(9)));
}

#[tokio::test]
async fn a_flipped_bit_in_the_secrets_is_damage() {
    let (directory, _) = three_keys().await;
    let file = directory.path().join("keyring/secrets");
    let good = fs::read(&file).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&file, bad).unwrap();
        let error = embedded::open(directory.path(), 1).unwrap_err().to_string();
        assert!(error.contains("secrets"), "byte {byte}: {error}");
    }
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert!(embedded::open(directory.path(), 1).is_err());
}

#[tokio::test]
async fn only_the_owner_can_read_the_keys() {
    let (directory, file) = three_keys().await;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.path().join("keyring")), 0o700);
    assert_eq!(mode(directory.path().join("keyring/secrets")), 0o600);
    assert_eq!(mode(directory.path().join("keyring/count")), 0o600);
    assert_eq!(mode(file), 0o600);
}
