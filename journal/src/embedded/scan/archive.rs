//! The store's archives: sections, a table of contents, a trailer. Manifests and tables are archives.
//!
//! A manifest has a checksum in the marker that names it, a table in the manifest that lists it. The store believes the
//! lengths that stand in both, and ends the process over some that are not true; so they are compared here, first.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8] = b"SFA!\x01\x00";
/// Magic, checksum of the contents, where they begin, how long they are.
const TRAILER: usize = 6 + 16 + 8 + 8;
const CONTENTS_MAGIC: &[u8] = b"TOC!";
/// How much of a table is in memory at a time.
const CHUNK_BYTES: usize = 1 << 20;
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

/// Whether a file has this checksum.
pub(super) fn matches(path: &Path, checksum: u128) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.digest128() == checksum),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// The tables that a manifest lists, each with its checksum; `None` if it is none of ours. Only the store's own keyspace has tables with a
/// sequence number of their own (`numbered`).
pub(super) fn tables(manifest: &[u8], numbered: bool) -> Option<Vec<(u64, u128)>> {
    let sections = sections(manifest)?;
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
                let (id, kind) = (table.number::<8>()?, table.number::<1>()?);
                let checksum = u128::from_le_bytes(table.take(16)?.try_into().ok()?);
                tables.push((id, checksum));
                if kind != 0 {
                    return None;
                }
                if table.number::<8>()? != 0 && !numbered {
                    return None;
                }
            }
        }
    }
    rest.0.is_empty().then_some(tables)
}

/// The sections of an archive: name, place and length of each.
fn sections(bytes: &[u8]) -> Option<Vec<(Vec<u8>, u64, u64)>> {
    let (before, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
    let mut trailer = Rest(trailer);
    if trailer.take(MAGIC.len())? != MAGIC {
        return None;
    }
    trailer.take(16)?;
    let (at, length) = (trailer.number::<8>()?, trailer.number::<8>()?);
    if at.checked_add(length)?.checked_add(TRAILER as u64)? != bytes.len() as u64 {
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
