//! The file of slots, one per key in the order of their making.

use super::count::Count;
use super::slot::{SLOT, Slot};
use super::{Slots, private};
use events::KeyringError;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The open file, and how many keys are in it.
#[derive(Debug)]
pub(super) struct KeysFile {
    path: PathBuf,
    file: File,
    pub(super) slots: u32,
    count: Count,
}

impl KeysFile {
    /// Reads all slots; cuts off what a crash leaves of those that were being written.
    pub(super) fn open(path: PathBuf, (count, counted): (Count, u64)) -> Result<(Self, Slots), KeyringError> {
        let unavailable = |error: io::Error| KeyringError::Unavailable(format!("{}: {error}", path.display()));
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyringError::Damaged(format!("{} is missing", path.display())));
            }
            bytes => bytes.map_err(unavailable)?,
        };
        let file = private().open(&path).map_err(unavailable)?;
        let (all, _) = bytes.as_chunks::<SLOT>();
        // What a crash leaves of slots that were being appended, and nobody was told of: zeros, or a part of one.
        let whole = all.iter().rposition(|slot| slot.iter().any(|byte| *byte != 0)).map_or(0, |last| last + 1);
        let mut slots = Slots::with_capacity(whole);
        for (bytes, index) in all[..whole].iter().zip(0u32..) {
            let damaged = |what: &str| KeyringError::Damaged(format!("{}: slot {index} {what}", path.display()));
            let slot = Slot::decode(index, bytes).ok_or_else(|| damaged("does not match its checksum"))?;
            if slots.insert(slot.id, (index, slot)).is_some() {
                return Err(damaged("repeats an earlier one"));
            }
        }
        if (whole as u64) < counted {
            let what = format!("{} holds {whole} keys, but held {counted}", path.display());
            return Err(KeyringError::Damaged(format!("{what} by {}", count.path().display())));
        }
        if whole * SLOT < bytes.len() {
            tracing::warn!(
                "cutting {} bytes of an unfinished write from {}",
                bytes.len() - whole * SLOT,
                path.display()
            );
            file.set_len((whole * SLOT) as u64).and_then(|()| file.sync_all()).map_err(unavailable)?;
        }
        if whole as u64 > counted {
            // What was read may be in the page cache only, and the number must never be ahead of the keys.
            file.sync_all().and_then(|()| count.write(whole as u64)).map_err(unavailable)?;
        }
        let slots_in_file = u32::try_from(whole).map_err(|_| KeyringError::Damaged("too many keys".to_owned()))?;
        Ok((Self { path, file, slots: slots_in_file, count }, slots))
    }

    /// Writes the slots where they belong and brings them to the disk.
    pub(super) fn write(&mut self, slots: &Slots) -> Result<(), KeyringError> {
        if slots.is_empty() {
            return Ok(());
        }
        let mut slots: Vec<_> = slots.values().copied().collect();
        slots.sort_by_key(|(index, _)| *index);
        let written = slots.iter().try_for_each(|(index, slot)| {
            self.file.write_all_at(&slot.encode(*index), u64::from(*index) * SLOT as u64)
        });
        let in_file = self.slots.max(slots.last().map_or(0, |(index, _)| index + 1));
        let synced = written.and_then(|()| self.file.sync_data());
        synced.and_then(|()| self.count.write(in_file.into())).map_err(|error| {
            let what =
                format!("writing {} failed: {error}; start again when the disk can be written", self.path.display());
            tracing::error!("{what}");
            KeyringError::Unavailable(what)
        })?;
        self.slots = in_file;
        Ok(())
    }
}
