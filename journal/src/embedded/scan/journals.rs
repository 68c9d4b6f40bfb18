//! The store's journals: commits one after the other, in the order in which they were made.

use super::{TRAILER, unreadable};
use crate::embedded::store::unusable;
use crate::error::JournalError;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// The tags of a journal's entries.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
/// Tag, number of items, sequence number.
const START_BYTES: usize = 1 + 4 + 8;
/// Tag, kind of value, compression, keyspace, and the lengths of key, value, and value on disk.
const ITEM_BYTES: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
/// Tag, checksum, trailer.
const END_BYTES: usize = 1 + 8 + 4;
const KEY_BYTES: usize = 8;
/// No log has had so many commits: a larger sequence number is a flipped bit, and the store does not check it.
const SEQUENCE_MAX: u64 = 1 << 48;

/// Looks at all journals: none may be missing between two, and every one but the newest holds whole commits only.
pub(super) fn check(path: &Path, partitions: u32) -> Result<Option<Torn>, JournalError> {
    let failed = |error: io::Error| unreadable(path, &error);
    let mut journals = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jnl")) {
            let number = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            let number = number.ok_or_else(|| unusable(path, &format!("{} does not belong there", file.display())))?;
            journals.push((number, file));
        }
    }
    journals.sort();
    let Some((newest, _)) = journals.last().cloned() else {
        return Err(unusable(path, "the journals (*.jnl) are missing"));
    };
    let mut sequence = None;
    let mut torn = None;
    for (expected, (number, file)) in (journals[0].0..).zip(&journals) {
        // The oldest go first, so what is left has no gaps.
        if *number != expected {
            return Err(unusable(path, &format!("the journal {expected}.jnl is missing")));
        }
        let bytes = fs::read(file).map_err(failed)?;
        let journal = Journal { bytes: &bytes, partitions };
        let end = journal.check(*number == newest, &mut sequence).map_err(|(at, what)| {
            let file = PathBuf::from(file.file_name().unwrap_or_default());
            unusable(path, &format!("{} at byte {at}: {what}", file.display()))
        })?;
        torn = end.map(|at| Torn { file: file.clone(), at: at as u64, bytes: bytes[at..].to_vec() });
    }
    Ok(torn)
}

/// The end of the newest journal, from where no whole commit stands any more.
#[derive(Debug)]
pub(in crate::embedded) struct Torn {
    file: PathBuf,
    at: u64,
    bytes: Vec<u8>,
}

impl Torn {
    /// Takes it off the disk, before the store opens: it would not go past a commit of which only the middle is lost.
    pub(in crate::embedded) fn cut(&self) -> io::Result<()> {
        let file = File::options().write(true).open(&self.file)?;
        file.set_len(self.at)?;
        file.sync_all()
    }

    /// The log is not whole without it, so it was no leftover: puts it back, after the store was closed, since the disk
    /// must stay as it was found. The error, with the place.
    pub(in crate::embedded) fn was_no_leftover(&self, error: JournalError) -> JournalError {
        if let Err(error) = self.put_back() {
            tracing::error!("cannot put back what was cut off ({self}): {error}");
        }
        match error {
            JournalError::Damaged { position, what } => {
                JournalError::Damaged { position, what: format!("{what}; {self}") }
            }
            error => error,
        }
    }

    fn put_back(&self) -> io::Result<()> {
        let file = File::options().write(true).open(&self.file)?;
        if file.metadata()?.len() == self.at {
            file.write_all_at(&self.bytes, self.at)?;
        }
        file.sync_all()
    }
}

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "from byte {} on {} holds no whole commit", self.at, self.file.display())
    }
}

/// One journal: commits one after the other, then zeros, or what a crash has left of one commit.
struct Journal<'a> {
    bytes: &'a [u8],
    partitions: u32,
}

impl Journal<'_> {
    /// Where the commits end, if anything but zeros follows.
    fn check(&self, newest: bool, sequence: &mut Option<u64>) -> Result<Option<usize>, (usize, String)> {
        let mut at = 0;
        while let Some((next, number)) = self.commit(at) {
            if sequence.is_some_and(|last| number <= last) || number > SEQUENCE_MAX {
                return Err((at, format!("the commit has number {number}, which cannot follow the one before it")));
            }
            *sequence = Some(number);
            at = next;
        }
        if self.bytes[at..].iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !newest {
            return Err((at, "not a commit, in a journal that was closed".to_owned()));
        }
        // One commit is written at a time, so what a crash leaves of one is never followed by another.
        match (at + 1..self.bytes.len()).find(|later| self.commit(*later).is_some()) {
            Some(later) => Err((at, format!("not a commit, although one follows at byte {later}"))),
            None => Ok(Some(at)),
        }
    }

    /// Where the commit that begins here ends, and its sequence number; `None` if no whole one does.
    fn commit(&self, at: usize) -> Option<(usize, u64)> {
        let start = self.bytes.get(at..at + START_BYTES)?;
        let items = u32::from_le_bytes(start[1..5].try_into().ok()?);
        if start[0] != START || items == 0 {
            return None;
        }
        let first = at + START_BYTES;
        let mut at = first;
        for _ in 0..items {
            at = self.item(at)?;
        }
        let end = self.bytes.get(at..at + END_BYTES)?;
        let checksum = u64::from_le_bytes(end[1..9].try_into().ok()?);
        let whole = end[0] == END && end.ends_with(TRAILER) && xxh3_64(&self.bytes[first..at]) == checksum;
        whole.then_some((at + END_BYTES, u64::from_le_bytes(start[5..].try_into().ok()?)))
    }

    /// Where the item that begins here ends: a record of ours, uncompressed, under an 8-byte key.
    fn item(&self, at: usize) -> Option<usize> {
        let head = self.bytes.get(at..at + ITEM_BYTES)?;
        let keyspace = u64::from_le_bytes(head[3..11].try_into().ok()?);
        let key = usize::from(u16::from_le_bytes(head[11..13].try_into().ok()?));
        let value = u32::from_le_bytes(head[13..17].try_into().ok()?);
        let on_disk = u32::from_le_bytes(head[17..21].try_into().ok()?);
        let ours = head[..3] == [ITEM, 0, 0]
            && (1..=u64::from(self.partitions)).contains(&keyspace)
            && key == KEY_BYTES
            && value == on_disk;
        ours.then_some(at + ITEM_BYTES + key + value as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(number: u64, values: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![START];
        bytes.extend((values.len() as u32).to_le_bytes());
        bytes.extend(number.to_le_bytes());
        let first = bytes.len();
        for value in values {
            bytes.extend([ITEM, 0, 0]);
            bytes.extend(1u64.to_le_bytes());
            bytes.extend(8u16.to_le_bytes());
            bytes.extend([value.len() as u32; 2].map(u32::to_le_bytes).concat());
            bytes.extend([7; 8]);
            bytes.extend(*value);
        }
        let checksum = xxh3_64(&bytes[first..]);
        bytes.push(END);
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(TRAILER);
        bytes
    }

    fn check(bytes: &[u8]) -> Result<Option<usize>, usize> {
        Journal { bytes, partitions: 1 }.check(true, &mut None).map_err(|(at, _)| at)
    }

    #[test]
    fn a_commit_cut_anywhere_at_the_end_is_what_a_crash_leaves() {
        let first = commit(1, &[b"a", b"b"]);
        let second = commit(2, &[b"c"]);
        for length in 0..=second.len() {
            for zeros in [0, 100] {
                let end = (0 < length && length < second.len()).then_some(first.len());
                assert_eq!(check(&[&first, &second[..length], &vec![0; zeros]].concat()), Ok(end), "{length}");
            }
        }
    }

    #[test]
    fn what_is_broken_with_a_commit_behind_it_is_damage() {
        let bytes = [commit(1, &[b"a"]), commit(2, &[b"b"]), commit(3, &[b"c"])].concat();
        let length = bytes.len() / 3;
        // The sequence number is protected by its order only.
        let elsewhere = |at: usize| (5..START_BYTES).contains(&(at % length));
        for at in (0..length * 2).filter(|at| !elsewhere(*at)) {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(check(&flipped).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn commits_out_of_order_are_damage() {
        for numbers in [[1, 1], [2, 1], [1, SEQUENCE_MAX + 1]] {
            assert!(check(&numbers.map(|number| commit(number, &[b"a"])).concat()).is_err(), "{numbers:?}");
        }
    }

    #[test]
    fn zeros_in_the_middle_are_damage() {
        let mut bytes = [commit(1, &[b"a"]), commit(2, &[b"b"]), commit(3, &[b"c"])].concat();
        let length = bytes.len() / 3;
        bytes[length..2 * length].fill(0);
        assert_eq!(check(&bytes), Err(length));
    }
}
