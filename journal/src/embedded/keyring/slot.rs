//! One key as it stands in the file: 64 bytes, so that it never lies across two sectors and changes as a whole.

use aws_lc_rs::rand;
use events::{CipherKey, KeyId, KeyringError};
use std::sync::Arc;
use uuid::Uuid;

pub(super) const SLOT: usize = 64;
/// Id, secret, state.
const CONTENT: usize = 16 + 32 + 1;

/// Whether there is a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// There is.
    Live,
    /// There was; zeros stand in its place.
    Destroyed,
}

/// A key, or what is left of it.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) id: KeyId,
    pub(super) state: State,
    secret: [u8; 32],
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({}, {:?})", self.id, self.state)
    }
}

impl Slot {
    pub(super) fn random(id: KeyId) -> Result<Self, KeyringError> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| KeyringError::Unavailable("no randomness".to_owned()))?;
        Ok(Self { id, state: State::Live, secret })
    }

    pub(super) fn destroyed(id: KeyId) -> Self {
        Self { id, state: State::Destroyed, secret: [0; 32] }
    }

    pub(super) fn cipher(&self) -> Option<Arc<CipherKey>> {
        (self.state == State::Live).then(|| Arc::new(CipherKey::new(self.id, &self.secret)))
    }

    pub(super) fn encode(&self, index: u32) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..16].copy_from_slice(self.id.0.as_bytes());
        bytes[16..48].copy_from_slice(&self.secret);
        bytes[48] = match self.state {
            State::Live => 1,
            State::Destroyed => 2,
        };
        let checksum = checksum(index, &bytes[..CONTENT]);
        bytes[CONTENT..].copy_from_slice(&checksum.as_bytes()[..SLOT - CONTENT]);
        bytes
    }

    /// `None` unless these are the bytes that were written at this place.
    pub(super) fn decode(index: u32, bytes: &[u8; SLOT]) -> Option<Self> {
        let state = match bytes[48] {
            1 => State::Live,
            2 => State::Destroyed,
            _ => return None,
        };
        let id = KeyId(Uuid::from_bytes(bytes[..16].try_into().ok()?));
        let slot = Self { id, state, secret: bytes[16..48].try_into().ok()? };
        (slot.encode(index) == *bytes).then_some(slot)
    }
}

/// The place is part of it: a slot copied over another one is noticed.
fn checksum(index: u32, content: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"tidings key slot").update(&index.to_be_bytes()).update(content);
    hasher.finalize()
}
