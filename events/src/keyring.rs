//! The port to the keys: a store of its own, outside the log and beside no read model.
//!
//! There are two things to back up, the log and the keyring. Whoever holds both can read everything; whoever holds the
//! log alone can read no person's text, name or address.

use crate::sealed::mac_of_parts;
use crate::{CipherKey, Digest, KeyId, SigningKeys};
use aws_lc_rs::hmac;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use uuid::{Builder, Uuid};

/// How long after a `destroy` on another node `find` may still give the key.
pub const STALENESS_MAX: Duration = Duration::from_secs(5);
/// How long an access token is good: so long a signing key must verify after it has signed for the last time.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// What a keyring's methods return: they may wait for a disk or a database.
pub type KeyringFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyringError>> + Send + 'a>>;

/// Why a key could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyringError {
    /// The keyring has never heard of this key, although the log uses it: it is older than the log, or another's.
    /// Going on would turn readable values into lost ones, so the caller stops.
    #[error("the keyring does not know key {0}: it is older than the log, or belongs to another log")]
    Unknown(KeyId),
    /// The key was destroyed on purpose; it never comes back.
    #[error("key {0} was destroyed")]
    Destroyed(KeyId),
    /// The store did not answer; trying again may help.
    #[error("the keyring is not available: {0}")]
    Unavailable(String),
    /// The store's content is not what was written to it.
    #[error("the keyring is damaged: {0}")]
    Damaged(String),
    /// The store cannot be used as it is, or not for this; the text names what to do. Trying again does not help.
    #[error("{0}")]
    Unusable(String),
}

/// The keys of people, and the server's own secrets.
///
/// - `create` returns only when the key is durable: a commit that uses it may follow at once. It is idempotent: a key
///   that exists is returned as it is, and two racing calls return the same key.
/// - `destroy` returns only when the key can no longer be read from the store, not even after a crash. It is idempotent.
/// - A destroyed id stays known as destroyed for ever, so that "gone on purpose" and "lost" are never mixed up.
/// - Where several nodes share a keyring, all this holds between them, but that `find` may remember: a call that begins
///   more than [`STALENESS_MAX`] after `destroy` has returned on another node no longer gives the key. On the node that
///   destroyed it none does that begins afterwards. Keys that were given away open what they open: whoever holds one
///   keeps it for a batch at most.
/// - The key that signs access tokens comes in generations. `rotate_signing_key` is durable when it returns; what it
///   added takes over only when every node that calls itself current knows it, and the one before verifies until its
///   last token has expired, so that a rotation refuses nobody.
pub trait Keyring: Send + Sync {
    /// The key of this id, made now if there is none. [`KeyringError::Destroyed`] if there was one.
    fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>>;

    /// The key, or `None` if it was destroyed. [`KeyringError::Unknown`] if it never existed.
    fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>>;

    /// Makes the key unreadable for ever.
    fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()>;

    /// The server's own secrets; they never change during the life of a log.
    fn secrets(&self) -> &Secrets;

    /// The generations of the signing key, without waiting. [`KeyringError::Unavailable`] if the store has been silent
    /// for so long that another node may sign with one that is not known here: then sign nothing, and call no token of
    /// an unknown generation bad.
    fn signing_keys(&self) -> Result<Arc<SigningKeys>, KeyringError>;

    /// Adds a generation, and returns what there is then.
    fn rotate_signing_key(&self) -> KeyringFuture<'_, Arc<SigningKeys>>;
}

/// Secrets of the installation. Each purpose has a key of its own, derived from one root.
pub struct Secrets {
    claims: hmac::Key,
    ids: hmac::Key,
    fingerprints: hmac::Key,
    tokens: hmac::Key,
    signing_seed: [u8; 32],
    later_signing_seeds: hmac::Key,
}

impl Secrets {
    /// Derives every secret from the 32 bytes that the keyring stores.
    pub fn derive(root: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, root);
        let derive = |purpose: &str| -> [u8; 32] { mac_of_parts(&root, &[b"tidings v1", purpose.as_bytes()]) };
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &derive(purpose));
        Self {
            claims: key("claims"),
            ids: key("ids"),
            fingerprints: key("fingerprints"),
            tokens: key("tokens"),
            signing_seed: derive("access token signing"),
            later_signing_seeds: key("access token signing, later generations"),
        }
    }

    /// The digest under which a folded email address or username is claimed.
    pub fn claim(&self, kind: &str, folded: &str) -> Digest {
        Digest(mac_of_parts(&self.claims, &[kind.as_bytes(), folded.as_bytes()]))
    }

    /// An id (UUIDv8) that is the same whenever the parts are: a retry under the same idempotency key meets the same
    /// partition and the same resource.
    pub fn id(&self, parts: &[&[u8]]) -> Uuid {
        let mac = mac_of_parts(&self.ids, parts);
        Builder::from_custom_bytes(mac[..16].try_into().expect("a MAC has 32 bytes")).into_uuid()
    }

    /// The MAC of a request that has no user yet.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac_of_parts(&self.fingerprints, parts)
    }

    /// The MAC behind opaque tokens: refresh tokens, cursors, consistency tokens. `parts` begins with the purpose.
    pub fn token(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac_of_parts(&self.tokens, parts)
    }

    /// The seed of a generation of the Ed25519 key that signs access tokens. It says nothing about any other one; whoever
    /// has the root has them all.
    pub fn signing_seed(&self, generation: u32) -> [u8; 32] {
        match generation {
            0 => self.signing_seed,
            _ => mac_of_parts(&self.later_signing_seeds, &[&generation.to_be_bytes()]),
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}
