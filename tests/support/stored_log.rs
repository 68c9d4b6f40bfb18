//! A closed log with its keyring, with every kind of file that the store makes, and what must come of damage to it: an
//! error that says where, or exactly what was there before.
#![expect(clippy::unwrap_used, reason = "what fails here is a test")]

use crate::journal_contract::damage::all_records;
use crate::journal_contract::scribe::{P, Scribe, acknowledged, noise};
use crate::snapshot::{SavedFile, Snapshot};
use events::{KeyId, Keyring, SigningKeys};
use journal::embedded::{self, Embedded};
use journal::{Journal, JournalError, Partition, Record};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

const PARTITIONS: u32 = 3;
const KEYS: u128 = 6;
/// More than a partition keeps in memory before the store makes a table of it.
const TABLE_BYTES: usize = 9 << 20;
/// Of a record among many: half noise, half zeros, so that tables are smaller than journals.
const RECORD_BYTES: usize = 64 << 10;

/// What a log and a keyring say in all: every record, void ones too, and every secret, as a mark that it makes.
#[derive(PartialEq)]
pub struct Fold {
    records: Vec<Record>,
    keys: Vec<Result<Option<[u8; 32]>, String>>,
    secrets: [u8; 32],
    signing_keys: Arc<SigningKeys>,
}

/// A directory as it was closed, and what it said then.
pub struct StoredLog {
    files: Snapshot,
    fold: Fold,
}

/// What came of damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An error that says where.
    Detected(String),
    /// Everything is as it was.
    Harmless,
    /// Neither: a hole.
    Hole(String),
}

impl StoredLog {
    /// A log that never left the store's first journal, as it was closed; or, if `large`, one of several journals and
    /// tables, as a kill leaves it.
    pub async fn make(large: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let opened = embedded::open(directory.path(), PARTITIONS).unwrap();
        for n in 0..KEYS {
            opened.keyring.create(KeyId(Uuid::from_u128(n))).await.unwrap();
        }
        opened.keyring.destroy(KeyId(Uuid::from_u128(1))).await.unwrap();
        if large {
            opened.keyring.rotate_signing_key().await.unwrap();
        }
        let log: Arc<dyn Journal> = Arc::clone(&opened.log) as _;
        write(&log, large).await;
        let fold = fold(&opened).await.unwrap();
        let killed = large.then(|| Snapshot::at_rest(directory.path()));
        drop(log);
        drop(opened);
        Self { files: killed.unwrap_or_else(|| Snapshot::at_rest(directory.path())), fold }
    }

    /// The file that holds what was acknowledged last.
    pub fn newest_journal(&self) -> &SavedFile {
        let is_journal = |file: &&SavedFile| file.path.extension().is_some_and(|extension| extension == "jnl");
        self.files().iter().filter(is_journal).max_by_key(|file| (file.path.as_os_str().len(), &file.path)).unwrap()
    }

    /// All its files.
    pub fn files(&self) -> &[SavedFile] {
        self.files.files()
    }

    /// What comes of damage to the file of this path, below a copy of the directory.
    pub async fn after(self: &Arc<Self>, file: &Path, damage: impl FnOnce(&Path) + Send + 'static) -> Outcome {
        let (this, file) = (Arc::clone(self), file.to_owned());
        let judged = tokio::spawn(async move {
            let directory = this.files.restored();
            damage(directory.path());
            this.judge(&directory, &file).await
        });
        judged.await.unwrap_or_else(|panic| Outcome::Hole(panic.to_string()))
    }

    async fn judge(&self, directory: &TempDir, file: &Path) -> Outcome {
        let found = match embedded::open(directory.path(), PARTITIONS) {
            Ok(opened) => fold(&opened).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) if found == self.fold => self.goes_on(directory).await,
            Ok(_) => Outcome::Hole("something else is read, and nobody noticed".to_owned()),
            Err(error) if names(&error, file) => Outcome::Detected(error.to_string()),
            Err(error) => Outcome::Hole(format!("it was noticed without saying where: {error}")),
        }
    }

    /// What changed nothing must not matter to what is written next, either.
    async fn goes_on(&self, directory: &TempDir) -> Outcome {
        let written = embedded::open(directory.path(), PARTITIONS).unwrap();
        Scribe::claim(&(Arc::clone(&written.log) as _), P).await.append("after").await.unwrap();
        drop(written);
        let Fold { mut records, keys, secrets, signing_keys } = match embedded::open(directory.path(), PARTITIONS) {
            Ok(opened) => fold(&opened).await.unwrap(),
            Err(error) => return Outcome::Hole(format!("it was noticed only after more was written: {error}")),
        };
        let is_old = |record: &Record| self.fold.records.contains(record);
        let added = records.iter().filter(|record| !is_old(record)).count();
        records.retain(is_old);
        // Each is counted twice: among the valid ones and among all.
        if added == 2 * 2 && (Fold { records, keys, secrets, signing_keys }) == self.fold {
            Outcome::Harmless
        } else {
            Outcome::Hole("after more was written, something else is read".to_owned())
        }
    }
}

/// Claims, commits, void records, in all partitions but the last.
async fn write(log: &Arc<dyn Journal>, large: bool) {
    let mut few = Scribe::claim(log, Partition(1)).await;
    let mut many = Scribe::claim(log, P).await;
    for round in 0..2 {
        for n in 0..20 {
            few.append(noise(n, 100)).await.unwrap();
            many.append(noise(n, 300)).await.unwrap();
        }
        drop(many.draft("lost"));
        many.append("void").await.unwrap();
        many = Scribe::claim(log, P).await;
        let records = if large { TABLE_BYTES / RECORD_BYTES } else { 0 };
        for n in 0..records {
            let mut value = noise((round * records + n) as u64, RECORD_BYTES / 2);
            value.resize(RECORD_BYTES, 0);
            acknowledged([many.append(value)]).await;
        }
    }
    many.append("the last one").await.unwrap();
}

async fn fold(opened: &Embedded) -> Result<Fold, JournalError> {
    let log: Arc<dyn Journal> = Arc::clone(&opened.log) as _;
    let records = all_records(&log).await?;
    let mut keys = Vec::new();
    for n in 0..=KEYS {
        let key = opened.keyring.find(KeyId(Uuid::from_u128(n))).await;
        keys.push(key.map(|key| key.map(|key| key.mac(&[b"mark"]))).map_err(|error| error.to_string()));
    }
    let signing_keys = opened.keyring.signing_keys().unwrap();
    let last = signing_keys.all().last().unwrap().generation;
    Ok(Fold { records, keys, secrets: opened.keyring.secrets().signing_seed(last), signing_keys })
}

/// Whether an error says where: a partition and an offset, or the damaged file.
fn names(error: &JournalError, file: &Path) -> bool {
    match error {
        JournalError::Damaged { .. } | JournalError::Diverged { .. } | JournalError::Unreadable { .. } => true,
        JournalError::Unusable(what) => {
            let name = file.strip_prefix("log").unwrap_or(file).to_str().unwrap();
            // Where all are gone, no number can be said.
            what.contains(name) || (name.ends_with(".jnl") && what.contains("*.jnl"))
        }
        JournalError::Unavailable(_) => false,
    }
}

/// What a file below the directory is for.
pub fn kind(file: &Path) -> &'static str {
    let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        ["tidings.json"] => "identity (tidings.json)",
        ["anchors"] => "anchors",
        ["keyring", "secrets"] => "keyring: secrets",
        ["keyring", "keys"] => "keyring: keys",
        ["keyring", "count"] => "keyring: their number",
        ["log", journal] if journal.ends_with(".jnl") => "store: journals",
        ["log", "version"] => "store: version",
        ["log", "keyspaces", "0", ..] => "store: its list of partitions",
        ["log", "keyspaces", _, "current"] => "store: markers",
        ["log", "keyspaces", _, "tables", _] => "store: tables",
        ["log", "keyspaces", _, _] => "store: manifests",
        _ => "another file",
    }
}
