//! A keyring in memory, for worlds without a disk.

use events::{
    ACCESS_TOKEN_LIFE, CipherKey, KeyId, Keyring, KeyringError, KeyringFuture, Secrets, SigningKeys, Timestamp,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Keys that are derived from their ids; what is destroyed stays so.
pub struct MemoryKeyring {
    keys: Mutex<HashMap<KeyId, Kept>>,
    secrets: Secrets,
    signing_keys: Mutex<Arc<SigningKeys>>,
}

/// A key, or since when it is destroyed.
enum Kept {
    There(Arc<CipherKey>),
    Destroyed(Instant),
}

impl Default for MemoryKeyring {
    fn default() -> Self {
        Self { keys: Mutex::default(), secrets: Secrets::derive(&[7; 32]), signing_keys: Mutex::default() }
    }
}

impl MemoryKeyring {
    /// The key of this id, made now if there is none.
    pub fn key(&self, id: KeyId) -> Result<Arc<CipherKey>, KeyringError> {
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(id.0.as_bytes());
        match self.keys.lock().entry(id).or_insert_with(|| Kept::There(Arc::new(CipherKey::new(id, &secret)))) {
            Kept::There(key) => Ok(Arc::clone(key)),
            Kept::Destroyed(_) => Err(KeyringError::Destroyed(id)),
        }
    }

    /// Since when the key is destroyed; `None` if it is there, or never was.
    pub fn destroyed_since(&self, id: KeyId) -> Option<Instant> {
        match self.keys.lock().get(&id)? {
            Kept::There(_) => None,
            Kept::Destroyed(since) => Some(*since),
        }
    }
}

impl Keyring for MemoryKeyring {
    fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>> {
        Box::pin(async move { self.key(id) })
    }

    fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>> {
        Box::pin(async move {
            match self.keys.lock().get(&id).ok_or(KeyringError::Unknown(id))? {
                Kept::There(key) => Ok(Some(Arc::clone(key))),
                Kept::Destroyed(_) => Ok(None),
            }
        })
    }

    fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()> {
        Box::pin(async move {
            let mut keys = self.keys.lock();
            if !matches!(keys.get(&id), Some(Kept::Destroyed(_))) {
                keys.insert(id, Kept::Destroyed(Instant::now()));
            }
            Ok(())
        })
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn signing_keys(&self) -> Result<Arc<SigningKeys>, KeyringError> {
        Ok(Arc::clone(&self.signing_keys.lock()))
    }

    fn rotate_signing_key(&self) -> KeyringFuture<'_, Arc<SigningKeys>> {
        Box::pin(async move {
            let (mut keys, now) = (self.signing_keys.lock(), Timestamp::now());
            let rotated = keys.rotated(now, now, ACCESS_TOKEN_LIFE);
            *keys = Arc::new(rotated.map_err(|error| KeyringError::Unusable(error.to_string()))?);
            Ok(Arc::clone(&keys))
        })
    }
}
