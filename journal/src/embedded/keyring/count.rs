//! How many keys there were, noted beside them: a file of keys that was cut, or that is older, no longer agrees.
//!
//! It is written after the keys that it counts are durable, and needs no `fsync` of its own: whatever version survives a
//! crash is never ahead of them. Where it is missing, as in a directory of a program that wrote none, it is noted anew.

use super::{private, sync_directory};
use events::KeyringError;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const MAGIC: &[u8; 16] = b"tidings keycount";
/// Magic, log id, count, checksum: as long as a slot, so that it changes as a whole.
const BYTES: usize = 16 + 16 + 8 + CHECKSUM;
const CHECKSUM: usize = 24;

/// The open file.
#[derive(Debug)]
pub(super) struct Count {
    path: PathBuf,
    file: File,
    log: Uuid,
}

impl Count {
    /// The file, and what stands in it; 0 in one that is made now.
    pub(super) fn open(path: &Path, log: Uuid) -> Result<(Self, u64), KeyringError> {
        let unavailable = |error: io::Error| KeyringError::Unavailable(format!("{}: {error}", path.display()));
        let count = match fs::read(path) {
            Ok(bytes) => parse(&bytes, log).ok_or_else(|| {
                let what = "it is damaged, or of another log; without it the keys are counted anew";
                KeyringError::Damaged(format!("{}: {what}", path.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(path, log).map_err(unavailable)?;
                0
            }
            Err(error) => return Err(unavailable(error)),
        };
        let file = private().open(path).map_err(unavailable)?;
        Ok((Self { path: path.to_owned(), file, log }, count))
    }

    /// Makes a file that counts nothing yet.
    pub(super) fn create(path: &Path, log: Uuid) -> io::Result<()> {
        let file = private().create_new(true).open(path)?;
        file.write_all_at(&encode(log, 0), 0)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), sync_directory)
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a number; the keys are durable.
    pub(super) fn write(&self, count: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(self.log, count), 0)
    }
}

fn encode(log: Uuid, count: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..32].copy_from_slice(log.as_bytes());
    bytes[32..40].copy_from_slice(&count.to_be_bytes());
    let checksum = blake3::hash(&bytes[..BYTES - CHECKSUM]);
    bytes[BYTES - CHECKSUM..].copy_from_slice(&checksum.as_bytes()[..CHECKSUM]);
    bytes
}

fn parse(bytes: &[u8], log: Uuid) -> Option<u64> {
    let count = u64::from_be_bytes(bytes.get(32..40)?.try_into().ok()?);
    (encode(log, count) == *bytes).then_some(count)
}
