//! The public keys of an issuer, each for the algorithms that its kind allows and for no other.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::str::FromStr;

/// Keys of one issuer that are looked at.
const KEYS_MAX: usize = 64;
const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// A key, and what it may have signed with.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// The keys of an issuer.
#[derive(Clone, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// Those of a JWK set that can verify a signature; others are passed over.
    pub(super) fn read(set: &[u8]) -> serde_json::Result<Self> {
        let Set { keys } = serde_json::from_slice(set)?;
        Ok(Self(keys.into_iter().take(KEYS_MAX).filter_map(Key::read).collect()))
    }

    /// The key that a token names, if it may sign so. A token that names none gets the only one that there is.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| self.0.len() == 1),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    fn read(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|it| *it != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = algorithms(&jwk.algorithm).to_vec();
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from_str(&format!("{algorithm:?}")).is_ok_and(|it| it == only));
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (!algorithms.is_empty()).then_some(Self { id: jwk.common.key_id, key, algorithms })
    }
}

/// By the kind of the key alone: what a token says of itself chooses among these. Secrets that both sides share are not
/// among them.
fn algorithms(parameters: &AlgorithmParameters) -> &'static [Algorithm] {
    match parameters {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ed25519(id: &str, change: &Value) -> Value {
        let mut key =
            json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        for (name, value) in change.as_object().into_iter().flatten() {
            key[name] = value.clone();
        }
        key
    }

    fn keys(keys: &[Value]) -> Keys {
        Keys::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_key_verifies_what_its_kind_signs_and_nothing_else() {
        let keys = keys(&[ed25519("a", &json!({})), ed25519("b", &json!({"alg": "EdDSA", "use": "sig"}))]);
        for id in ["a", "b"] {
            assert!(keys.find(Some(id), Algorithm::EdDSA).is_some());
            for other in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
                assert!(keys.find(Some(id), other).is_none(), "{id} {other:?}");
            }
        }
        assert!(keys.find(Some("c"), Algorithm::EdDSA).is_none());
        assert!(keys.find(None, Algorithm::EdDSA).is_none(), "which of the two?");
    }

    #[test]
    fn what_cannot_verify_a_signature_is_passed_over() {
        let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"});
        let encrypts = ed25519("e", &json!({"use": "enc"}));
        let contradicts = ed25519("c", &json!({"alg": "RS256"}));
        let keys = keys(&[secret, encrypts, contradicts, json!(7), json!({"kty": "new"})]);
        assert!(keys.is_empty());
        assert!(Keys::read(b"{}").is_err());
    }
}
