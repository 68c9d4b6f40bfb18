//! The file of what everything else is derived from: the root, and since when which generation of the signing key signs.
//!
//! It is replaced as a whole or not at all. As long as the signing key was never changed it has the first format, in
//! which there is only generation 0.

use super::super::directory::sync_directory;
use super::private;
use aws_lc_rs::rand;
use events::{KeyringError, Secrets, SigningKey, SigningKeys, Timestamp};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Without the last byte, which is the format.
const MAGIC: &[u8; 15] = b"tidings secrets";
const ONLY_ROOT: u8 = 1;
const WITH_GENERATIONS: u8 = 2;
/// Magic and format, log id, root.
const HEAD: usize = 16 + 16 + 32;
/// Number and time of a generation.
const GENERATION: usize = 4 + 8;
const CHECKSUM: usize = 32;

/// What the file holds.
pub(super) struct Root {
    path: PathBuf,
    log: Uuid,
    root: [u8; 32],
    signing_keys: Arc<SigningKeys>,
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Root({})", self.path.display())
    }
}

impl Root {
    /// A fresh one, which no file holds yet.
    pub(super) fn random(path: PathBuf, log: Uuid) -> Result<Self, KeyringError> {
        let mut root = [0; 32];
        rand::fill(&mut root).map_err(|_| KeyringError::Unavailable("no randomness".to_owned()))?;
        Ok(Self { path, log, root, signing_keys: Arc::default() })
    }

    pub(super) fn create(&self) -> io::Result<()> {
        let mut file = private().create_new(true).open(&self.path)?;
        file.write_all(&encode(self.log, &self.root, &self.signing_keys))?;
        file.sync_all()
    }

    pub(super) fn open(path: PathBuf, log: Uuid) -> Result<Self, KeyringError> {
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(&path, "it is missing")),
            bytes => bytes.map_err(|error| KeyringError::Unavailable(format!("{}: {error}", path.display()))),
        }?;
        let (root, signing_keys) = decode(&bytes, log).map_err(|what| damaged(&path, &what))?;
        Ok(Self { path, log, root, signing_keys: Arc::new(signing_keys) })
    }

    pub(super) fn secrets(&self) -> Secrets {
        Secrets::derive(&self.root)
    }

    pub(super) fn signing_keys(&self) -> Arc<SigningKeys> {
        Arc::clone(&self.signing_keys)
    }

    /// Keeps these generations from now on; durable when it returns.
    pub(super) fn sign_with(&mut self, keys: SigningKeys) -> Result<Arc<SigningKeys>, KeyringError> {
        let new = self.path.with_extension("new");
        let written = || {
            let mut file = private().create(true).truncate(true).open(&new)?;
            file.write_all(&encode(self.log, &self.root, &keys))?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            self.path.parent().map_or(Ok(()), sync_directory)
        };
        written().map_err(|error| KeyringError::Unavailable(format!("writing {}: {error}", self.path.display())))?;
        self.signing_keys = Arc::new(keys);
        Ok(self.signing_keys())
    }
}

fn damaged(path: &Path, what: &str) -> KeyringError {
    KeyringError::Damaged(format!("{}: {what}", path.display()))
}

fn encode(log: Uuid, root: &[u8; 32], keys: &SigningKeys) -> Vec<u8> {
    let format = if *keys == SigningKeys::default() { ONLY_ROOT } else { WITH_GENERATIONS };
    let mut bytes = [&MAGIC[..], &[format], log.as_bytes(), root].concat();
    if format == WITH_GENERATIONS {
        for key in keys.all() {
            bytes.extend_from_slice(&key.generation.to_be_bytes());
            bytes.extend_from_slice(&key.signs_from.0.to_be_bytes());
        }
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

fn decode(bytes: &[u8], log: Uuid) -> Result<([u8; 32], SigningKeys), String> {
    let (content, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM));
    if content.len() < HEAD {
        return Err("it has another length than it should".to_owned());
    }
    if blake3::hash(content).as_bytes() != checksum {
        return Err("it does not match its checksum".to_owned());
    }
    if !content.starts_with(MAGIC) {
        return Err("it holds no secrets of ours".to_owned());
    }
    let (head, generations) = content.split_at(HEAD);
    let root = head[32..].try_into().expect("32 bytes");
    let owner = Uuid::from_bytes(head[16..32].try_into().expect("16 bytes"));
    if owner != log {
        return Err(format!("it belongs to the log {owner}, but tidings.json says {log}"));
    }
    let (generations, rest) = generations.as_chunks::<GENERATION>();
    let keys = match head[MAGIC.len()] {
        ONLY_ROOT if generations.is_empty() => SigningKeys::default(),
        WITH_GENERATIONS => {
            SigningKeys::new(generations.iter().map(generation).collect()).map_err(|error| error.to_string())?
        }
        format if format > WITH_GENERATIONS => return Err("it was written by a newer program".to_owned()),
        _ => return Err("it has another length than it should".to_owned()),
    };
    if !rest.is_empty() {
        return Err("it has another length than it should".to_owned());
    }
    Ok((root, keys))
}

fn generation(bytes: &[u8; GENERATION]) -> SigningKey {
    let (generation, signs_from) = bytes.split_at(4);
    SigningKey {
        generation: u32::from_be_bytes(generation.try_into().expect("4 bytes")),
        signs_from: Timestamp(i64::from_be_bytes(signs_from.try_into().expect("8 bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_root_whose_signing_key_never_changed_has_the_first_format() {
        let (log, root) = (Uuid::from_u128(1), [7; 32]);
        let bytes = encode(log, &root, &SigningKeys::default());
        assert_eq!((bytes.len(), &bytes[..16]), (96, &b"tidings secrets\x01"[..]));
        assert_eq!(decode(&bytes, log), Ok((root, SigningKeys::default())));
    }

    #[test]
    fn generations_are_read_back_and_a_changed_or_cut_file_is_not() {
        let (log, root) = (Uuid::from_u128(1), [7; 32]);
        let keys = SigningKeys::default().rotated(at(9), at(9), Duration::ZERO).unwrap();
        let bytes = encode(log, &root, &keys);
        assert_eq!(decode(&bytes, log), Ok((root, keys)));
        assert!(decode(&bytes, Uuid::from_u128(2)).unwrap_err().contains("belongs to the log"));
        for n in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[n] ^= 1;
            assert!(decode(&changed, log).is_err(), "byte {n}");
            assert!(decode(&bytes[..n], log).is_err(), "cut at {n}");
        }
    }
}
