//! The partitions in the key-value store: one keyspace each, the big-endian offset as key.
//!
//! One keyspace per partition, because its keys then only ever grow: tables are written once, never merged, and moved
//! down the levels as they are, so that a record is written twice in its life (journal and table). A shared keyspace
//! would be sorted again and again. The batch is atomic across keyspaces.
//!
//! The store checks blocks and batches, but not that all of them are there; contiguous offsets, the chain and the
//! anchors do. What it might mend by deleting, when it opens, is checked before it is asked ([`super::scan`]).

use super::directory::Directory;
use super::scan::{self, Torn};
use crate::chain::{Anchor, Chain, Checkpoint, Head, VOID_RUN_MAX, link};
use crate::error::JournalError;
use crate::partition::{Offset, Partition, Position};
use crate::reader::READ_RECORDS_MAX;
use crate::record::{Draft, Kind, Record};
use bytes::{Buf, BufMut, Bytes};
use events::Incarnation;
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode};
use std::any::Any;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// What one read returns at most, in bytes of keys and values, give or take one record.
const READ_BYTES_MAX: usize = 8 << 20;
/// What a partition keeps in memory before it becomes a table.
const MEMTABLE_BYTES_MAX: u64 = 8 << 20;
/// What the store replays at most when it opens; beyond, it turns memory into tables until the oldest journal can go.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;
/// Blocks of tables kept in memory. A log is read in order and mostly at its end, so a small cache does.
const CACHE_BYTES: u64 = 16 << 20;
/// Larger blocks than the store's own 4 KiB: records are read in order, and they compress better together.
const BLOCK_BYTES: u32 = 16 << 10;
const WORKERS: usize = 2;

/// A file of the store.
const LOCK: &str = "lock";

const RECORD_FORMAT: u8 = 1;
/// Format, kind, incarnation, prev, chain, length of the key.
const RECORD_HEAD: usize = 1 + 1 + 16 + 32 + 32 + 2;

/// The open store. It keeps the directory locked for as long as anybody uses it.
pub(super) struct Store {
    database: Database,
    keyspaces: Vec<Keyspace>,
    directory: Arc<Directory>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.path().display())
    }
}

impl Store {
    /// Makes an empty store and closes it again; its fingerprint.
    pub(super) fn create(path: &Path, partitions: u32) -> Result<String, JournalError> {
        let made = open_database(path).and_then(|database| {
            (0..partitions).try_for_each(|n| database.keyspace(&name(n), keyspace_options).map(drop))?;
            database.persist(PersistMode::SyncAll)
        });
        let failed =
            |cause: String| JournalError::Unusable(format!("cannot make a log in {}: {cause}", path.display()));
        made.map_err(|error| failed(cause(&error)))?;
        scan::fingerprint(path).map_err(|error| failed(error.to_string()))
    }

    /// Opens the store of a directory. Refuses what is not whole before the store could mend it by deleting.
    ///
    /// What is no whole commit at the end is taken off and returned, for whoever finds out that it was one.
    pub(super) fn open(directory: Arc<Directory>) -> Result<(Self, Option<Torn>), JournalError> {
        let path = directory.store();
        let torn = scan::check(&path, directory.partition_count(), directory.store_fingerprint())?;
        // The store wants a lock of its own, a file in which nothing stands.
        File::options()
            .create(true)
            .append(true)
            .open(path.join(LOCK))
            .and_then(|_| torn.as_ref().map_or(Ok(()), Torn::cut))
            .map_err(|error| JournalError::Unusable(format!("cannot write to {}: {error}", path.display())))?;
        let damaged = |what: &str| unusable(&path, what);
        let opened = guarded(|| {
            let database = open_database(&path)?;
            let names = (0..directory.partition_count()).map(name).collect::<Vec<_>>();
            // Asked for before it is opened: the store would make a new, empty one in silence.
            if let Some(missing) = names.iter().find(|name| !database.keyspace_exists(name)) {
                return Ok(Err(format!("the partition {missing} is gone")));
            }
            let keyspaces =
                names.iter().map(|name| database.keyspace(name, keyspace_options)).collect::<Result<_, _>>()?;
            Ok(Ok((database, keyspaces)))
        });
        let refused = match opened {
            Ok(Ok(Ok((database, keyspaces)))) => return Ok((Self { database, keyspaces, directory }, torn)),
            Ok(Ok(Err(what))) => damaged(&what),
            Ok(Err(error)) if is_damage(&error) => damaged(&cause(&error)),
            Ok(Err(error)) => JournalError::Unusable(format!("cannot open {}: {}", path.display(), cause(&error))),
            Err(panic) => damaged(&panic),
        };
        Err(match torn {
            Some(torn) => torn.was_no_leftover(refused),
            None => refused,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whether the store still accepts writes: it stops by itself when a table cannot be written in the background.
    pub(super) fn check_alive(&self) -> Result<(), JournalError> {
        self.database.persist(PersistMode::Buffer).map_err(|error| JournalError::Unavailable(cause(&error).into()))
    }

    /// Makes the records durable, all or none.
    pub(super) fn append(&self, records: &[(Partition, Offset, Draft)]) -> Result<(), JournalError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (partition, offset, draft) in records {
            batch.insert(&self.keyspaces[partition.0 as usize], offset.to_be_bytes(), encode(draft));
        }
        batch.commit().map_err(|error| JournalError::Unavailable(cause(&error).into()))
    }

    /// The records of an interval, all of them up to `READ_BYTES_MAX`; a missing one is damage.
    pub(super) fn read(&self, partition: Partition, from: Offset, until: Offset) -> Result<Vec<Record>, JournalError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut found = self.keyspaces[partition.0 as usize].range(from.to_be_bytes()..until.to_be_bytes());
        for offset in from..until {
            let position = Position { partition, offset };
            let damaged = |what| JournalError::Damaged { position, what };
            let entry = guarded(|| found.next().map(fjall::Guard::into_inner)).map_err(damaged)?;
            let (key, value) = match entry {
                None => return Err(damaged("the record is missing".to_owned())),
                Some(Err(error)) if is_damage(&error) => return Err(damaged(cause(&error))),
                Some(Err(error)) => return Err(JournalError::Unavailable(cause(&error).into())),
                Some(Ok(entry)) => entry,
            };
            if *key != offset.to_be_bytes() {
                return Err(damaged("the record is missing, later ones are there".to_owned()));
            }
            bytes += value.len();
            records.push(decode(value.into()).map_err(|what| damaged(what.to_owned()))?.at(offset));
            if bytes >= READ_BYTES_MAX {
                break;
            }
        }
        Ok(records)
    }

    /// The valid record that an anchor names, as a checkpoint from which the chain goes on.
    pub(super) fn find_head(&self, partition: Partition, anchor: Anchor) -> Result<Checkpoint, JournalError> {
        let oldest = anchor.count.saturating_sub(VOID_RUN_MAX + 1);
        for offset in (oldest..anchor.count).rev() {
            let Some(Record { draft, .. }) = self.read(partition, offset, offset + 1)?.pop() else { break };
            let bytes_match = draft.chain == link(draft.prev, draft.kind, draft.incarnation, &draft.key, &draft.value);
            if draft.chain == anchor.head && bytes_match {
                return Ok(Checkpoint {
                    next: anchor.count,
                    head: anchor.head,
                    head_offset: Some(offset),
                    incarnation: Some(draft.incarnation),
                });
            }
        }
        let position = Position { partition, offset: anchor.count.saturating_sub(1) };
        let what = format!("no record up to here has the chain {}, which was noted for it", anchor.head);
        Err(JournalError::Damaged { position, what })
    }

    /// Judges all records from where the chain stands to the end of the partition.
    pub(super) fn admit_to_the_end(&self, partition: Partition, chain: &mut Chain) -> Result<(), JournalError> {
        let end = self.end(partition, chain.next())?;
        while chain.next() < end {
            let until = end.min(chain.next() + READ_RECORDS_MAX as u64);
            for record in self.read(partition, chain.next(), until)? {
                chain.admit(&record)?;
            }
        }
        Ok(())
    }

    /// One past the last record that the store shows. `about` is where the end is supposed to be, for errors.
    pub(super) fn end(&self, partition: Partition, about: Offset) -> Result<Offset, JournalError> {
        let position = Position { partition, offset: about };
        let damaged = |what| JournalError::Damaged { position, what };
        let last = guarded(|| self.keyspaces[partition.0 as usize].last_key_value().map(fjall::Guard::key));
        match last.map_err(damaged)? {
            None => Ok(0),
            Some(Ok(key)) => {
                let key =
                    <[u8; 8]>::try_from(&*key).map_err(|_| damaged("the last key is not an offset".to_owned()))?;
                Ok(u64::from_be_bytes(key).saturating_add(1))
            }
            Some(Err(error)) => Err(damaged(cause(&error))),
        }
    }
}

/// Runs what may meet damaged bytes. The store's decoders panic on some of them; that must stop the log with a
/// position, not take the process down from within. Nothing it leaves half done is used again: the caller stops.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| format!("the store panicked: {}", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

fn open_database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNALS_BYTES_MAX)
        .journal_compression(CompressionType::None)
        .worker_threads(WORKERS)
        .open()
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES_MAX)
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        // Filters serve lookups of single keys; here only ranges are read.
        .filter_policy(FilterPolicy::disabled())
}

fn name(partition: u32) -> String {
    format!("p{partition}")
}

/// Whether the bytes are not what was written, as opposed to a disk that does not answer.
fn is_damage(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
        ),
        fjall::Error::Poisoned | fjall::Error::Locked | fjall::Error::KeyspaceDeleted => false,
        _ => true,
    }
}

/// The error without the library's own prefixes.
fn cause(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => error.to_string(),
        fjall::Error::Storage(error) => format!("{error:?}"),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        fjall::Error::Locked => "another process has it open".to_owned(),
        error => format!("{error:?}"),
    }
}

pub(super) fn unusable(path: &Path, what: &str) -> JournalError {
    JournalError::Unusable(format!("the log in {} is damaged: {what}; restore it from a backup", path.display()))
}

fn encode(draft: &Draft) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_HEAD + draft.key.len() + draft.value.len());
    bytes.put_u8(RECORD_FORMAT);
    bytes.put_u8(draft.kind.code());
    bytes.put_slice(draft.incarnation.0.as_bytes());
    bytes.put_slice(&draft.prev.0);
    bytes.put_slice(&draft.chain.0);
    bytes.put_u16(u16::try_from(draft.key.len()).expect("the writer refuses longer keys"));
    bytes.put_slice(&draft.key);
    bytes.put_slice(&draft.value);
    bytes
}

/// Key and value of the record share the bytes of the store's block.
fn decode(mut bytes: Bytes) -> Result<Draft, &'static str> {
    const SHORT: &str = "the record is too short";
    let head = *bytes.first_chunk::<RECORD_HEAD>().ok_or(SHORT)?;
    bytes.advance(RECORD_HEAD);
    if head[0] != RECORD_FORMAT {
        return Err("the record has a format that this program does not know");
    }
    let kind = Kind::of_code(head[1]).ok_or("the record is of a kind that this program does not know")?;
    let array = |from: usize| <[u8; 32]>::try_from(&head[from..from + 32]).expect("32 bytes");
    let incarnation = Incarnation(Uuid::from_bytes(head[2..18].try_into().expect("16 bytes")));
    let key_len = usize::from(u16::from_be_bytes([head[82], head[83]]));
    if key_len > bytes.len() {
        return Err(SHORT);
    }
    let mut key = bytes;
    let value = key.split_off(key_len);
    Ok(Draft { kind, incarnation, key, value, prev: Head(array(18)), chain: Head(array(50)) })
}

/// The longest key that a record can have.
pub(super) const KEY_BYTES_MAX: usize = u16::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let by = Incarnation(Uuid::from_u128(7));
        for (key, value) in [("", ""), ("k", ""), ("", "v"), ("key", "value")] {
            let draft = Draft::extending(Head([3; 32]), Kind::Commit, by, Bytes::from(key), Bytes::from(value));
            assert_eq!(decode(encode(&draft).into()), Ok(draft));
        }
    }

    #[test]
    fn a_record_cut_anywhere_before_its_value_is_refused() {
        let by = Incarnation(Uuid::from_u128(7));
        let draft = Draft::extending(Head([3; 32]), Kind::Claim, by, Bytes::from("key"), Bytes::from("value"));
        let bytes = encode(&draft);
        for length in 0..bytes.len() - "value".len() {
            assert!(decode(Bytes::copy_from_slice(&bytes[..length])).is_err(), "{length}");
        }
    }
}
