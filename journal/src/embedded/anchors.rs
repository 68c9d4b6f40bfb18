//! What the log was known to hold, noted beside it: a log that was cut or rewritten no longer agrees.
//!
//! One slot of 64 bytes per partition after a head of 64: no slot lies across two sectors, so a power cut leaves each as
//! it was before or after a write. All are written at once, after the records that they count are durable.

use crate::chain::{Anchor, Head};
use crate::error::JournalError;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

const SLOT: usize = 64;
const CHECKSUM: usize = 24;
const MAGIC: &[u8; 16] = b"tidings anchors\x01";

/// The open file.
#[derive(Debug)]
pub(super) struct Anchors {
    path: PathBuf,
    file: File,
    head: [u8; SLOT],
    dirty: AtomicBool,
}

impl Anchors {
    /// Writes a file in one piece: a crash leaves the old one or the new one.
    pub(super) fn rewrite(path: &Path, log: Uuid, anchors: impl Iterator<Item = Anchor>) -> Result<(), JournalError> {
        let staged = path.with_extension("new");
        let written = fs::write(&staged, encode(&head(log), anchors))
            .and_then(|()| File::open(&staged)?.sync_all())
            .and_then(|()| fs::rename(&staged, path))
            .and_then(|()| File::open(path.parent().unwrap_or(path))?.sync_all());
        written.map_err(|error| unusable(path, &error.to_string()))
    }

    /// The file and what stands in it, one anchor per partition.
    pub(super) fn open(path: &Path, log: Uuid, partitions: u32) -> Result<(Self, Vec<Anchor>), JournalError> {
        let bytes = fs::read(path).map_err(|error| unusable(path, &error.to_string()))?;
        let file = File::options().write(true).open(path).map_err(|error| unusable(path, &error.to_string()))?;
        let head = head(log);
        let (slots, rest) = bytes.as_chunks::<SLOT>();
        if slots.len() != partitions as usize + 1 || !rest.is_empty() {
            return Err(unusable(
                path,
                &format!("it has {} bytes, but tidings.json says {partitions} partitions", bytes.len()),
            ));
        }
        if slots[0] != head {
            return Err(unusable(path, "its head is damaged, or it belongs to another log than tidings.json says"));
        }
        let anchors = slots[1..]
            .iter()
            .zip(0u32..)
            .map(|(slot, n)| {
                decode(&head, n, slot).ok_or_else(|| unusable(path, &format!("the slot of partition {n} is damaged")))
            })
            .collect::<Result<_, _>>()?;
        Ok((Self { path: path.to_owned(), file, head, dirty: AtomicBool::new(false) }, anchors))
    }

    /// Notes the anchors of all partitions; `sync` brings them to the disk.
    pub(super) fn write(&self, anchors: impl Iterator<Item = Anchor>) -> Result<(), JournalError> {
        self.file
            .write_all_at(&encode(&self.head, anchors), 0)
            .map_err(|error| unusable(&self.path, &error.to_string()))?;
        self.dirty.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        if self.dirty.swap(false, Ordering::Acquire) {
            self.file.sync_data().map_err(|error| unusable(&self.path, &error.to_string()))?;
        }
        Ok(())
    }
}

fn head(log: Uuid) -> [u8; SLOT] {
    let mut head = [0; SLOT];
    head[..16].copy_from_slice(MAGIC);
    head[16..32].copy_from_slice(log.as_bytes());
    head
}

fn encode(head: &[u8; SLOT], anchors: impl Iterator<Item = Anchor>) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for (anchor, partition) in anchors.zip(0u32..) {
        bytes.extend_from_slice(&slot(head, partition, &anchor));
    }
    bytes
}

fn slot(head: &[u8; SLOT], partition: u32, anchor: &Anchor) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(&anchor.count.to_be_bytes());
    slot[8..40].copy_from_slice(&anchor.head.0);
    // The log and the partition are part of it, so that a slot cannot stand in another place.
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(&partition.to_be_bytes()).update(&slot[..40]);
    slot[40..].copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    slot
}

fn decode(head: &[u8; SLOT], partition: u32, bytes: &[u8; SLOT]) -> Option<Anchor> {
    let count = u64::from_be_bytes(bytes[..8].try_into().ok()?);
    let anchor = Anchor { count, head: Head(bytes[8..40].try_into().ok()?) };
    (slot(head, partition, &anchor) == *bytes).then_some(anchor)
}

fn unusable(path: &Path, what: &str) -> JournalError {
    JournalError::Unusable(format!(
        "{}: {what}; `tidings log verify --accept` checks the whole log and notes its anchors anew",
        path.display()
    ))
}
