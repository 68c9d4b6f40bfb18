//! A look at the store's files before the store sees them.
//!
//! When it opens, the store mends: it cuts a journal at the first entry that it cannot parse, makes anew what has no
//! marker, and deletes what it has no record of. That is right for what a crash leaves behind and wrong for damage: the
//! records behind a flipped bit would be gone from the disk as well. So a damaged directory is refused here, as it is.
//!
//! It knows the store's files (format 3) as far as needed for that, and holds each against the store's own checksum of
//! it: the store asks for those only when it reads a block, and ends the process over some of what it may find before.
//! Whether the last commit is there, the anchors tell.

mod archive;
mod journals;

pub(super) use journals::Torn;

use super::store::unusable;
use crate::error::JournalError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

const VERSION: &str = "version";
const KEYSPACES: &str = "keyspaces";
/// What the file of that name holds, and every commit ends with.
const TRAILER: &[u8] = b"FJL\x03";
/// Number of the version, checksum of its manifest, type of the checksum.
const MARKER_BYTES: usize = 8 + 16 + 1;
/// The type of every checksum.
const XXH3: u8 = 0;
/// The hash of what the store knows about its keyspaces. It is written when the log is made and never again.
pub(super) fn fingerprint(path: &Path) -> Result<String, JournalError> {
    let mut hasher = blake3::Hasher::new();
    for file in live_files(path, &Path::new(KEYSPACES).join("0"), true)? {
        let content = fs::read(path.join(&file)).map_err(|error| unreadable(path, &error))?;
        hasher.update(file.as_os_str().as_encoded_bytes()).update(&(content.len() as u64).to_be_bytes());
        hasher.update(&content);
    }
    Ok(hasher.finalize().to_string())
}

/// Refuses a store of which a file is missing, strange, or damaged. `known` is the fingerprint that was noted when the
/// log was made. Returns what is no whole commit at the very end: a crash leaves that, and so does damage to the last
/// commit; only whoever knows how much the log held can tell.
pub(super) fn check(path: &Path, partitions: u32, known: &str) -> Result<Option<Torn>, JournalError> {
    let failed = |error: io::Error| unreadable(path, &error);
    for file in [VERSION, KEYSPACES] {
        if !path.join(file).exists() {
            return Err(unusable(path, &format!("{file} is missing")));
        }
    }
    if fs::read(path.join(VERSION)).map_err(failed)? != TRAILER {
        return Err(unusable(path, &format!("{VERSION} does not name the version that this program knows")));
    }
    // Keyspace 0 is the store's own; ours follow in the order in which they were made.
    let expected: Vec<_> = (0..=partitions).map(|n| n.to_string()).collect();
    for keyspace in &expected {
        let marker = Path::new(KEYSPACES).join(keyspace).join("current");
        if !path.join(&marker).exists() {
            let what = format!("{} is missing, but tidings.json says {partitions} partitions", marker.display());
            return Err(unusable(path, &what));
        }
    }
    for entry in fs::read_dir(path.join(KEYSPACES)).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !expected.iter().any(|keyspace| name == keyspace.as_str()) {
            let name = name.display();
            let what = format!("{KEYSPACES}/{name} does not belong there: tidings.json says {partitions} partitions");
            return Err(unusable(path, &what));
        }
    }
    if fingerprint(path)? != known {
        return Err(unusable(
            path,
            &format!("{KEYSPACES}/0 is not what it was when the log was made, by its hash in tidings.json"),
        ));
    }
    for keyspace in &expected[1..] {
        live_files(path, &Path::new(KEYSPACES).join(keyspace), false)?;
    }
    journals::check(path, partitions)
}

/// The files that make up a keyspace: the marker, the manifest that it names, and the tables that this one lists. All
/// must be there and well-formed: the store deletes tables that are not listed.
fn live_files(path: &Path, keyspace: &Path, numbered: bool) -> Result<Vec<PathBuf>, JournalError> {
    let damaged = |file: &Path, what: &str| unusable(path, &format!("{} {what}", file.display()));
    let failed = |file: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => damaged(file, "is missing"),
        _ => unreadable(path, &error),
    };
    let marker = keyspace.join("current");
    let current = fs::read(path.join(&marker)).map_err(|error| failed(&marker, error))?;
    let Some((version, checksum)) = parse_marker(&current) else {
        return Err(damaged(&marker, "names no version"));
    };
    let manifest = keyspace.join(format!("v{version}"));
    let bytes = fs::read(path.join(&manifest)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged(&manifest, &format!("is missing, but {} names it", marker.display())),
        _ => unreadable(path, &error),
    })?;
    if xxh3_128(&bytes) != checksum {
        return Err(damaged(&manifest, &format!("does not match its checksum in {}", marker.display())));
    }
    let tables = archive::tables(&bytes, numbered).ok_or_else(|| damaged(&manifest, "is no list of tables"))?;
    let mut files = vec![marker, manifest];
    for (table, checksum) in tables {
        let table = keyspace.join("tables").join(table.to_string());
        let matches = archive::matches(&path.join(&table), checksum).map_err(|error| failed(&table, error))?;
        if !matches {
            return Err(damaged(&table, "does not match its checksum"));
        }
        files.push(table);
    }
    Ok(files)
}

/// The number of the version that a keyspace stands at, and the checksum of its manifest.
fn parse_marker(bytes: &[u8]) -> Option<(u64, u128)> {
    let bytes: &[u8; MARKER_BYTES] = bytes.try_into().ok()?;
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let (checksum, kind) = rest.split_first_chunk::<16>()?;
    (kind == [XXH3]).then(|| (u64::from_le_bytes(*version), u128::from_le_bytes(*checksum)))
}

fn unreadable(path: &Path, error: &io::Error) -> JournalError {
    JournalError::Unusable(format!("cannot read {}: {error}", path.display()))
}
