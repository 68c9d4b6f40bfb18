//! The data directory: whose it is, what stands in it, and that one process has it at a time.
//!
//! A log is made in `creating/`, whole, then moved into place piece by piece; `tidings.json` comes last. So a kill at
//! any moment leaves either a `creating/` that can be thrown away, or one that says the rest has only to be moved, and
//! a missing `tidings.json` beside a log is never mistaken for a new directory.

use super::anchors::Anchors;
use super::keyring::EmbeddedKeyring;
use super::store::Store;
use super::{PARTITIONS_DEFAULT, PARTITIONS_MAX};
use crate::chain::{Anchor, genesis};
use crate::error::JournalError;
use crate::partition::Partition;
use events::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const FORMAT: u32 = 1;
const IDENTITY: &str = "tidings.json";
const LOCK: &str = "lock";
const LOG: &str = "log";
const ANCHORS: &str = "anchors";
const KEYRING: &str = "keyring";
const CREATING: &str = "creating";
/// What may stand in a directory in which no log was made yet.
const NOT_FOREIGN: [&str; 3] = [LOCK, CREATING, "lost+found"];

/// What `tidings.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    log: Uuid,
    partitions: u32,
    created_at: Timestamp,
    /// The hash of those files of the store that never change.
    store: String,
}

/// A data directory, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    identity: Identity,
    _lock: Lock,
}

/// Given back when it is dropped, also where a child process that is just being made holds the file as well.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // The end of the process gives it back too.
        let _ = self.0.unlock();
    }
}

impl Directory {
    /// Locks the directory; makes it if there is none, completes it if its making was cut short.
    pub(super) fn open(path: &Path, partitions: u32) -> Result<Self, JournalError> {
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let what = format!(
                "a log has 1 to {PARTITIONS_MAX} partitions ({PARTITIONS_DEFAULT} by default), not {partitions}"
            );
            return Err(JournalError::Unusable(what));
        }
        if !holds_log(path)? {
            refuse_foreign(path)?;
            fs::create_dir_all(path).map_err(|error| {
                unusable(path, &format!("it cannot be made ({error}); choose a directory that can be written"))
            })?;
        }
        let lock = lock(path)?;
        complete_creation(path)?;
        if !holds_log(path)? {
            create(path, partitions).map_err(|error| unusable(path, &format!("no log can be made in it ({error})")))?;
        }
        Self::locked(path, lock, &[LOG, ANCHORS, KEYRING])
    }

    /// Locks a directory in which a log was made; it may have lost its anchors, and nothing else.
    pub(super) fn open_made(path: &Path) -> Result<Self, JournalError> {
        if !holds_log(path)? {
            return Err(unusable(path, "there is no log in it"));
        }
        let lock = lock(path)?;
        Self::locked(path, lock, &[LOG, KEYRING])
    }

    fn locked(path: &Path, lock: Lock, parts: &[&str]) -> Result<Self, JournalError> {
        let file = path.join(IDENTITY);
        let text = fs::read(&file).map_err(|error| unusable(&file, &format!("it cannot be read ({error})")))?;
        let identity = parse_identity(&file, &text)?;
        for part in parts {
            if !path.join(part).exists() {
                let way_out = match *part {
                    ANCHORS => "restore it from a backup, or note them anew with `tidings log verify --accept`",
                    _ => "restore it from a backup",
                };
                let what = format!(
                    "{} is missing, but {IDENTITY} says that a log was made here; {way_out}",
                    path.join(part).display()
                );
                return Err(JournalError::Unusable(what));
            }
        }
        Ok(Self { path: path.to_owned(), identity, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub(super) fn anchors(&self) -> PathBuf {
        self.path.join(ANCHORS)
    }

    pub(super) fn keyring(&self) -> PathBuf {
        self.path.join(KEYRING)
    }

    pub(super) fn id(&self) -> Uuid {
        self.identity.log
    }

    pub(super) fn store_fingerprint(&self) -> &str {
        &self.identity.store
    }

    /// The log's name: what the genesis of each partition is made of.
    pub(super) fn log(&self) -> String {
        self.identity.log.to_string()
    }

    pub(super) fn partition_count(&self) -> u32 {
        self.identity.partitions
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> {
        (0..self.identity.partitions).map(Partition)
    }
}

/// The format is looked at first: a newer one may have other fields.
fn parse_identity(file: &Path, text: &[u8]) -> Result<Identity, JournalError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |error| unusable(file, &format!("it is damaged ({error}); restore it from a backup"));
    let Format { format } = serde_json::from_slice(text).map_err(damaged)?;
    if format > FORMAT {
        let what = format!(
            "it has format {format}, this program knows {FORMAT}; use the program that wrote it, or a newer one"
        );
        return Err(unusable(file, &what));
    }
    let identity: Identity = serde_json::from_slice(text).map_err(damaged)?;
    if !(1..=PARTITIONS_MAX).contains(&identity.partitions) {
        return Err(unusable(file, &format!("it says {} partitions; restore it from a backup", identity.partitions)));
    }
    Ok(identity)
}

fn holds_log(path: &Path) -> Result<bool, JournalError> {
    path.join(IDENTITY).try_exists().map_err(|error| unusable(path, &format!("it cannot be read ({error})")))
}

/// Refuses a directory without `tidings.json` in which anything stands that is not the beginning of ours.
fn refuse_foreign(path: &Path) -> Result<(), JournalError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| unusable(path, &format!("it cannot be read ({error})")))?,
    };
    if path.join(CREATING).join(IDENTITY).exists() {
        return Ok(());
    }
    for entry in entries {
        let entry = entry.map_err(|error| unusable(path, &format!("it cannot be read ({error})")))?;
        let name = entry.file_name();
        if [LOG, ANCHORS, KEYRING].iter().any(|part| name == *part) {
            let what =
                format!("{} is there, but {IDENTITY} is missing; restore it from a backup", entry.path().display());
            return Err(unusable(path, &what));
        }
        if !NOT_FOREIGN.iter().any(|ours| name == *ours) {
            let what =
                format!("it is not empty and holds no log ({} stands in it); choose another directory", name.display());
            return Err(unusable(path, &what));
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<Lock, JournalError> {
    let file = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(|error| {
        unusable(path, &format!("it cannot be written ({error}); change its permissions or choose another directory"))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            Err(unusable(path, "another process has it open; stop that one, or choose another directory"))
        }
        Err(TryLockError::Error(error)) => Err(unusable(path, &format!("it cannot be locked ({error})"))),
    }
}

fn create(path: &Path, partitions: u32) -> Result<(), JournalError> {
    let staging = path.join(CREATING);
    let failed = |error: io::Error| unusable(&staging, &error.to_string());
    fs::create_dir(&staging).map_err(failed)?;
    let store = Store::create(&staging.join(LOG), partitions)?;
    let identity = Identity { format: FORMAT, log: Uuid::new_v4(), partitions, created_at: Timestamp::now(), store };
    let name = identity.log.to_string();
    let empty = (0..partitions).map(|n| Anchor { count: 0, head: genesis(&name, Partition(n)) });
    Anchors::rewrite(&staging.join(ANCHORS), identity.log, empty)?;
    EmbeddedKeyring::create_files(&staging.join(KEYRING), identity.log)
        .map_err(|error| JournalError::Unusable(error.to_string()))?;
    // From the moment this file has its name, the creation is only ever completed, not begun again.
    let text = serde_json::to_vec_pretty(&identity).expect("plain data");
    let unnamed = staging.join("tidings.new");
    fs::write(&unnamed, text).and_then(|()| File::open(&unnamed)?.sync_all()).map_err(failed)?;
    sync_directory(&staging).map_err(failed)?;
    fs::rename(&unnamed, staging.join(IDENTITY)).and_then(|()| sync_directory(&staging)).map_err(failed)?;
    complete_creation(path)
}

/// Moves what was made whole into its place; throws away what was not.
fn complete_creation(path: &Path) -> Result<(), JournalError> {
    let staging = path.join(CREATING);
    let failed = |error: io::Error| unusable(&staging, &error.to_string());
    if !staging.exists() {
        return Ok(());
    }
    if staging.join(IDENTITY).exists() {
        for part in [LOG, ANCHORS, KEYRING] {
            if staging.join(part).exists() {
                fs::rename(staging.join(part), path.join(part)).map_err(failed)?;
            }
        }
        sync_directory(path).map_err(failed)?;
        fs::rename(staging.join(IDENTITY), path.join(IDENTITY)).map_err(failed)?;
        sync_directory(path).map_err(failed)?;
    }
    fs::remove_dir_all(&staging).and_then(|()| sync_directory(path)).map_err(failed)
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn unusable(path: &Path, what: &str) -> JournalError {
    JournalError::Unusable(format!("{}: {what}", path.display()))
}
