//! The store's archives: sections, a table of contents, a trailer. Manifests and tables are archives.
//!
//! The store allocates what a table of contents or a manifest says before it compares checksums, and an allocation that
//! fails ends the process. So here every length is compared with what is there first.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8] = b"SFA!\x01\x00";
/// Magic, checksum of the contents, where they begin, how long they are.
const TRAILER: usize = 6 + 16 + 8 + 8;
const CONTENTS_MAGIC: &[u8] = b"TOC!";
/// No archive of the store has so many sections that its contents would be longer.
const CONTENTS_MAX: u64 = 1 << 16;
/// Id, type and value of the checksum, sequence number.
const TABLE_BYTES: usize = 8 + 1 + 16 + 8;

/// Bytes that are consumed from the front; `None` once they do not suffice.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.take(N)?);
        Some(u64::from_le_bytes(bytes))
    }
}

/// Whether the end of a file is that of an archive.
pub(super) fn is_archive(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let tail = length.min(CONTENTS_MAX + TRAILER as u64);
    let mut bytes = vec![0; usize::try_from(tail).expect("at most a few KiB")];
    file.read_exact_at(&mut bytes, length - tail)?;
    Ok(sections(&bytes, length).is_some())
}

/// The tables that a manifest lists; `None` if it is none of ours. Only the store's own keyspace has tables with a
/// sequence number of their own (`numbered`).
pub(super) fn tables(manifest: &[u8], numbered: bool) -> Option<Vec<u64>> {
    let sections = sections(manifest, manifest.len() as u64)?;
    let section = |name: &[u8]| {
        let (_, at, length) = sections.iter().find(|(found, ..)| found == name)?;
        let at = usize::try_from(*at).ok()?;
        manifest.get(at..at.checked_add(usize::try_from(*length).ok()?)?)
    };
    // Values are never stored apart from their keys.
    if section(b"blob_files")? != [0; 4] || section(b"blob_gc_stats")? != [0; 4] || section(b"tree_type")? != [0] {
        return None;
    }
    let mut tables = Vec::new();
    let mut rest = Rest(section(b"tables")?);
    for _ in 0..rest.number::<1>()? {
        for _ in 0..rest.number::<1>()? {
            for _ in 0..rest.number::<4>()? {
                let mut table = Rest(rest.take(TABLE_BYTES)?);
                tables.push(table.number::<8>()?);
                table.take(1 + 16)?;
                if table.number::<8>()? != 0 && !numbered {
                    return None;
                }
            }
        }
    }
    rest.0.is_empty().then_some(tables)
}

/// The sections of an archive of which `bytes` is the end: name, place and length of each.
fn sections(bytes: &[u8], file_length: u64) -> Option<Vec<(Vec<u8>, u64, u64)>> {
    let (before, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
    let mut trailer = Rest(trailer);
    if trailer.take(MAGIC.len())? != MAGIC {
        return None;
    }
    trailer.take(16)?;
    let (at, length) = (trailer.number::<8>()?, trailer.number::<8>()?);
    if at.checked_add(length)?.checked_add(TRAILER as u64)? != file_length {
        return None;
    }
    let mut contents = Rest(before.get(before.len().checked_sub(usize::try_from(length).ok()?)?..)?);
    if contents.take(CONTENTS_MAGIC.len())? != CONTENTS_MAGIC {
        return None;
    }
    let mut sections = Vec::new();
    for _ in 0..contents.number::<4>()? {
        let (at, length) = (contents.number::<8>()?, contents.number::<8>()?);
        let name = contents.number::<2>()?;
        sections.push((contents.take(usize::try_from(name).ok()?)?.to_vec(), at, length));
    }
    contents.0.is_empty().then_some(sections)
}
