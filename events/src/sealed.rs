//! Values that only the holder of a person's key can read.
//!
//! A sealed value is AES-256-GCM under the key of the person it belongs to, with the key's id and the field's name as
//! associated data, so that it can neither be moved to another field nor to another person unnoticed. Destroying the
//! key makes every copy of it unreadable, in the log and in every backup of the log.

use crate::KeyId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use uuid::Uuid;

const ID_LEN: usize = 16;

/// A value that may stand in the log only when sealed; `FIELD` is bound to the ciphertext and never changes.
pub trait Sealable: Serialize + DeserializeOwned {
    /// The field's name in the associated data.
    const FIELD: &'static str;
}

/// Why a value could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed under another key than the one offered.
    #[error("the value is sealed under key {actual}, not {offered}")]
    OtherKey {
        /// The key that was offered.
        offered: KeyId,
        /// The key that the value names.
        actual: KeyId,
    },
    /// The ciphertext, the field or the key is not what it was when it was sealed.
    #[error("the sealed {0} does not open: its bytes, its field or its key were changed")]
    Forged(&'static str),
    /// It opened, but what is inside is not a value of this type. What is inside is not told: errors are logged.
    #[error("the sealed {0} opens, but holds no such value")]
    Content(&'static str),
}

/// A person's key: seals and opens values, and makes MACs that nobody can check once it is destroyed.
pub struct CipherKey {
    id: KeyId,
    cipher: LessSafeKey,
    secret: [u8; 32],
}

impl CipherKey {
    /// The key from its 32 secret bytes.
    pub fn new(id: KeyId, secret: &[u8; 32]) -> Self {
        let cipher = UnboundKey::new(&AES_256_GCM, secret).expect("AES-256 takes any 32 bytes");
        Self { id, cipher: LessSafeKey::new(cipher), secret: *secret }
    }

    /// Which key this is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// HMAC-SHA256 of `parts`, each preceded by its length.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // The MAC has a key of its own, so that no byte string is ever used with two algorithms. It is derived only here:
        // a replay makes very many of these keys and no MAC.
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret), b"tidings user mac v1");
        mac_of_parts(&hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()), parts)
    }
}

impl fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CipherKey({})", self.id)
    }
}

pub(crate) fn mac_of_parts(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A `T` under a person's key. On the wire: base64 of key id, nonce and ciphertext.
pub struct Sealed<T> {
    bytes: Box<[u8]>,
    value: PhantomData<fn() -> T>,
}

impl<T: Sealable> Sealed<T> {
    /// Seals `value` under `key` with a random nonce: sealing twice gives different bytes.
    pub fn seal(value: &T, key: &CipherKey) -> Self {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).expect("the operating system gives randomness");
        let mut ciphertext = serde_json::to_vec(value).expect("a sealable value is plain data");
        key.cipher
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated(key.id, T::FIELD)),
                &mut ciphertext,
            )
            .expect("a value of at most a few KiB can be sealed");
        let mut bytes = Vec::with_capacity(ID_LEN + NONCE_LEN + ciphertext.len());
        bytes.extend_from_slice(key.id.0.as_bytes());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&ciphertext);
        Self { bytes: bytes.into(), value: PhantomData }
    }

    /// Opens the value. An error means damage or a wrong key, never a value that was merely sealed long ago.
    pub fn open(&self, key: &CipherKey) -> Result<T, SealError> {
        if key.id != self.key() {
            return Err(SealError::OtherKey { offered: key.id, actual: self.key() });
        }
        let nonce = Nonce::try_assume_unique_for_key(&self.bytes[ID_LEN..ID_LEN + NONCE_LEN])
            .map_err(|_| SealError::Forged(T::FIELD))?;
        let mut ciphertext = self.bytes[ID_LEN + NONCE_LEN..].to_vec();
        let plain = key
            .cipher
            .open_in_place(nonce, Aad::from(associated(key.id, T::FIELD)), &mut ciphertext)
            .map_err(|_| SealError::Forged(T::FIELD))?;
        serde_json::from_slice(plain).map_err(|_| SealError::Content(T::FIELD))
    }
}

impl<T> Sealed<T> {
    /// The key under which the value is sealed.
    pub fn key(&self) -> KeyId {
        let id: [u8; ID_LEN] = self.bytes[..ID_LEN].try_into().expect("checked when it was made");
        KeyId(Uuid::from_bytes(id))
    }
}

fn associated(key: KeyId, field: &'static str) -> Vec<u8> {
    [key.0.as_bytes(), field.as_bytes()].concat()
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), value: PhantomData }
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.key())
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD_NO_PAD.encode(&self.bytes))
    }
}

impl<T> FromStr for Sealed<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = BASE64_STANDARD_NO_PAD.decode(text).map_err(|error| error.to_string())?;
        if bytes.len() < ID_LEN + NONCE_LEN + AES_256_GCM.tag_len() {
            return Err("a sealed value is cut short".to_owned());
        }
        Ok(Self { bytes: bytes.into(), value: PhantomData })
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::parsed::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bio, Content};

    fn key(n: u8) -> CipherKey {
        CipherKey::new(KeyId(Uuid::from_u128(n.into())), &[n; 32])
    }

    #[test]
    fn what_was_sealed_opens_under_its_key_only() {
        let sealed = Sealed::seal(&Content::parse("hello").unwrap(), &key(1));
        assert_eq!(sealed.open(&key(1)).unwrap().as_str(), "hello");
        assert!(matches!(sealed.open(&key(2)), Err(SealError::OtherKey { .. })));
        let same_id = CipherKey::new(key(1).id(), &[9; 32]);
        assert_eq!(sealed.open(&same_id).unwrap_err(), SealError::Forged("post.content"));
    }

    #[test]
    fn a_value_does_not_open_as_another_field() {
        let text = serde_json::to_string(&Sealed::seal(&Content::parse("hello").unwrap(), &key(1))).unwrap();
        let moved: Sealed<Bio> = serde_json::from_str(&text).unwrap();
        assert_eq!(moved.open(&key(1)).unwrap_err(), SealError::Forged("user.bio"));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = Sealed::seal(&Content::parse("hi").unwrap(), &key(1));
        for bit in 0..sealed.bytes.len() * 8 {
            let mut flipped = sealed.clone();
            flipped.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(flipped.open(&key(1)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_value_cut_short_is_refused_when_read() {
        assert!(serde_json::from_str::<Sealed<Bio>>("\"AAAA\"").is_err());
    }
}
