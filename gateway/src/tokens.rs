//! Access tokens: EdDSA JWTs that name a session.
//!
//! A token that was verified is remembered by its hash until it expires, since checking a signature costs more than all
//! the rest of a small request. Whether the session it names is still open is asked anew with every request.
//!
//! The signing key has generations, and new ones come while the server runs: the active one signs, the token says which
//! one verifies it.

use crate::discovery::Jwk;
use crate::error::ApiError;
use crate::recent::Recent;
use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{ACCESS_TOKEN_LIFE, Keyring, Secrets, SessionId, SigningKey, SigningKeys, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// Verified tokens that are remembered.
const VERIFIED_MAX: usize = 100_000;
/// A longer token cannot be ours.
const TOKEN_BYTES_MAX: usize = 1_024;
const AUDIENCE: &str = "tidings";
const TYPE: &str = "at+jwt";
const ALGORITHM: Algorithm = Algorithm::EdDSA;

/// Signs and verifies access tokens, with as many generations of the signing key as the keyring has.
pub(crate) struct AccessTokens {
    keyring: Arc<dyn Keyring>,
    issuer: Box<str>,
    /// Of the generations that were looked at last.
    pairs: RwLock<Pairs>,
    validation: Validation,
    verified: Recent<[u8; 32], Verified>,
}

#[derive(Clone)]
struct Pairs {
    keys: Arc<SigningKeys>,
    pairs: Arc<[Pair]>,
}

struct Pair {
    generation: u32,
    public: Jwk,
    signing: EncodingKey,
    verifying: DecodingKey,
}

/// Whom a token speaks for, and until when (seconds since 1970).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verified {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) expires_s: i64,
}

impl Verified {
    pub(crate) fn is_good_at(&self, now: Timestamp) -> bool {
        now.seconds() < self.expires_s
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

impl AccessTokens {
    /// The tokens of the installation that has this keyring, and this name.
    pub(crate) fn new(keyring: Arc<dyn Keyring>, issuer: &str) -> Result<Self> {
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        let pairs = RwLock::new(Pairs::of(keyring.secrets(), keyring.signing_keys()?)?);
        Ok(Self { keyring, issuer: issuer.into(), pairs, validation, verified: Recent::new(VERIFIED_MAX) })
    }

    /// Who issues tokens here: their `iss`.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What verifies the tokens that may be good at `now`, and those that will be signed next.
    pub(crate) fn public_keys(&self, now: Timestamp) -> Result<Vec<Jwk>, ApiError> {
        let Pairs { keys, pairs } = self.current_pairs()?;
        let good = pairs.iter().filter(|pair| keys.is_good(pair.generation, now, ACCESS_TOKEN_LIFE));
        Ok(good.map(|pair| pair.public.clone()).collect())
    }

    /// A token for a session, good from `now` on for [`ACCESS_TOKEN_LIFE`].
    pub(crate) fn issue(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<String, ApiError> {
        let pairs = self.current_pairs()?;
        let pair = pairs.of_generation(pairs.keys.signing_at(now).generation)?;
        let header =
            Header { typ: Some(TYPE.to_owned()), kid: Some(pair.public.kid.clone()), ..Header::new(ALGORITHM) };
        let claims = Claims {
            iss: self.issuer.to_string(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            jti: Uuid::now_v7(),
            iat: now.seconds(),
            exp: now.plus(ACCESS_TOKEN_LIFE).seconds(),
        };
        encode(&header, &claims, &pair.signing).map_err(ApiError::internal)
    }

    /// Whom the token speaks for, if it is ours and good at `now`. "Unavailable" if it may be of a generation that is
    /// not known here yet. `gate` is asked before a signature is checked: its error is the answer.
    pub(crate) async fn verify(
        &self,
        token: &str,
        now: Timestamp,
        gate: impl Future<Output = Result<(), ApiError>> + Send,
    ) -> Result<Verified, ApiError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ApiError::bad_token());
        }
        let hash = hash_of(token)?;
        let verified = match self.verified.with(&hash, |verified| *verified) {
            Some(verified) => verified,
            None => {
                gate.await?;
                let verified = self.check(token, now)?;
                self.verified.insert(hash, verified);
                verified
            }
        };
        if verified.is_good_at(now) { Ok(verified) } else { Err(ApiError::bad_token()) }
    }

    fn check(&self, token: &str, now: Timestamp) -> Result<Verified, ApiError> {
        let header = decode_header(token).map_err(|_| ApiError::bad_token())?;
        let (Some(TYPE), Some(key_id)) = (header.typ.as_deref(), header.kid.as_deref()) else {
            return Err(ApiError::bad_token());
        };
        let mut pairs = self.pairs.read().clone();
        if pairs.by_id(key_id).is_none() {
            pairs = self.current_pairs()?;
        }
        let known = pairs.by_id(key_id).filter(|pair| pairs.keys.is_good(pair.generation, now, ACCESS_TOKEN_LIFE));
        let pair = known.ok_or_else(ApiError::bad_token)?;
        let claims =
            decode::<Claims>(token, &pair.verifying, &self.validation).map_err(|_| ApiError::bad_token())?.claims;
        Ok(Verified { user: claims.sub, session: claims.sid, expires_s: claims.exp })
    }

    /// Of all generations that there are now.
    fn current_pairs(&self) -> Result<Pairs, ApiError> {
        let keys = self.keyring.signing_keys().map_err(|_| ApiError::unavailable("The keyring does not answer"))?;
        let pairs = self.pairs.read().clone();
        if pairs.keys == keys {
            return Ok(pairs);
        }
        let pairs = Pairs::of(self.keyring.secrets(), keys).map_err(ApiError::internal)?;
        *self.pairs.write() = pairs.clone();
        Ok(pairs)
    }
}

/// What a token is remembered by.
pub(crate) fn hash_of(token: &str) -> Result<[u8; 32], ApiError> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().map_err(ApiError::internal)
}

impl Pairs {
    fn of(secrets: &Secrets, keys: Arc<SigningKeys>) -> Result<Self> {
        let pair = |key: &SigningKey| Pair::of(secrets, key.generation);
        let pairs = keys.all().iter().map(pair).collect::<Result<Vec<_>>>()?.into();
        Ok(Self { keys, pairs })
    }

    fn by_id(&self, key_id: &str) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.public.kid == key_id)
    }

    fn of_generation(&self, generation: u32) -> Result<&Pair, ApiError> {
        let pair = self.pairs.iter().find(|pair| pair.generation == generation);
        pair.ok_or_else(|| ApiError::internal(format!("signing key {generation} is not among those that there are")))
    }
}

impl Pair {
    fn of(secrets: &Secrets, generation: u32) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&secrets.signing_seed(generation))
            .map_err(|error| anyhow!("{error}"))
            .context("the signing key cannot be made")?;
        let document = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair)
            .map_err(|error| anyhow!("{error}"))
            .context("the signing key cannot be written")?;
        let public = pair.public_key().as_ref();
        Ok(Self {
            generation,
            public: Jwk {
                kty: "OKP",
                crv: "Ed25519",
                alg: "EdDSA",
                r#use: "sig",
                kid: BASE64_URL_SAFE_NO_PAD.encode(&digest(&SHA256, public).as_ref()[..9]),
                x: BASE64_URL_SAFE_NO_PAD.encode(public),
            },
            signing: EncodingKey::from_ed_der(document.as_ref()),
            verifying: DecodingKey::from_ed_der(public),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use events::{CLOCK_SKEW_MAX, CipherKey, KeyId, KeyringError, KeyringFuture};
    use futures::FutureExt;
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use std::time::Duration;

    const ISSUER: &str = "https://social.example";

    /// A keyring of secrets alone.
    pub(crate) struct OnlySecrets {
        secrets: Secrets,
        signing_keys: Mutex<Option<Arc<SigningKeys>>>,
    }

    impl OnlySecrets {
        pub(crate) fn new(root: u8) -> Arc<Self> {
            Arc::new(Self { secrets: Secrets::derive(&[root; 32]), signing_keys: Mutex::new(Some(Arc::default())) })
        }

        /// Another generation, which signs from then on.
        fn rotate(&self, signs_from: Timestamp) {
            let rotated = self.signing_keys().unwrap().rotated(signs_from, now(), ACCESS_TOKEN_LIFE).unwrap();
            *self.signing_keys.lock() = Some(Arc::new(rotated));
        }
    }

    impl Keyring for OnlySecrets {
        fn create(&self, id: KeyId) -> KeyringFuture<'_, Arc<CipherKey>> {
            Box::pin(async move { Err(KeyringError::Unknown(id)) })
        }

        fn find(&self, id: KeyId) -> KeyringFuture<'_, Option<Arc<CipherKey>>> {
            Box::pin(async move { Err(KeyringError::Unknown(id)) })
        }

        fn destroy(&self, id: KeyId) -> KeyringFuture<'_, ()> {
            Box::pin(async move { Err(KeyringError::Unknown(id)) })
        }

        fn secrets(&self) -> &Secrets {
            &self.secrets
        }

        fn signing_keys(&self) -> Result<Arc<SigningKeys>, KeyringError> {
            self.signing_keys.lock().clone().ok_or_else(|| KeyringError::Unavailable("silent".to_owned()))
        }

        fn rotate_signing_key(&self) -> KeyringFuture<'_, Arc<SigningKeys>> {
            Box::pin(async { Err(KeyringError::Unavailable("not here".to_owned())) })
        }
    }

    fn tokens(root: u8) -> AccessTokens {
        AccessTokens::new(OnlySecrets::new(root), ISSUER).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::now()
    }

    fn key_id(token: &str) -> String {
        decode_header(token).unwrap().kid.unwrap()
    }

    fn ids() -> (UserId, SessionId) {
        (UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)))
    }

    /// A token of ours with another header or other claims.
    fn forged(key: &EncodingKey, header: &Header, change: &Value) -> String {
        let (user, session) = ids();
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "sid": session, "jti": Uuid::nil(), "iat": now().seconds(),
            "exp": now().seconds() + 60,
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        encode(header, &claims, key).unwrap()
    }

    /// A token of a generation that is good for a minute from then on.
    fn forged_at(tokens: &AccessTokens, generation: u32, now: Timestamp) -> String {
        let pairs = tokens.current_pairs().unwrap();
        let pair = pairs.of_generation(generation).unwrap();
        let header =
            Header { typ: Some(TYPE.to_owned()), kid: Some(pair.public.kid.clone()), ..Header::new(ALGORITHM) };
        forged(&pair.signing, &header, &json!({ "exp": now.seconds() + 60 }))
    }

    /// With nothing in the way.
    fn verified(tokens: &AccessTokens, token: &str, now: Timestamp) -> Result<Verified, ApiError> {
        tokens.verify(token, now, async { Ok(()) }).now_or_never().unwrap()
    }

    fn status<T>(answer: Result<T, ApiError>) -> Result<(), u16> {
        answer.map(drop).map_err(|error| error.into_response().status().as_u16())
    }

    #[test]
    fn a_token_speaks_for_its_user_and_session_until_it_expires() {
        let (tokens, (user, session)) = (tokens(1), ids());
        let token = tokens.issue(user, session, now()).unwrap();
        for _ in 0..2 {
            let Verified { user: whose, session: of, .. } = verified(&tokens, &token, now()).unwrap();
            assert_eq!((whose, of), (user, session));
            assert_eq!(status(verified(&tokens, &token, now().plus(ACCESS_TOKEN_LIFE))), Err(401));
        }
    }

    #[test]
    fn a_token_that_is_changed_foreign_or_unsigned_is_worth_nothing() {
        let (ours, (user, session)) = (tokens(1), ids());
        let good = ours.issue(user, session, now()).unwrap();
        assert_eq!(status(verified(&tokens(2), &good, now())), Err(401));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        assert_eq!(status(verified(&ours, &format!("{signed}."), now())), Err(401));
        let (header, claims) = signed.split_once('.').unwrap();
        let none = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": TYPE, "kid": key_id(&good)}).to_string());
        let hs256 =
            BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": TYPE, "kid": key_id(&good)}).to_string());
        for bad in [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{hs256}.{claims}.{signature}"),
            format!("{header}.{claims}x.{signature}"),
            "x".repeat(TOKEN_BYTES_MAX + 1),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(status(verified(&ours, &bad, now())), Err(401), "{bad}");
        }
    }

    #[test]
    fn every_claim_is_checked() {
        let tokens = tokens(1);
        let pairs = tokens.current_pairs().unwrap();
        let Pair { public: Jwk { kid, .. }, signing, .. } = &pairs.pairs[0];
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(kid.clone()), ..Header::new(ALGORITHM) };
        assert!(verified(&tokens, &forged(signing, &header, &json!({})), now()).is_ok());
        for change in [
            json!({"iss": "other"}),
            json!({"aud": "other"}),
            json!({"exp": now().seconds() - 1}),
            json!({"exp": null}),
            json!({"sub": "me"}),
            json!({"sid": null}),
        ] {
            assert_eq!(status(verified(&tokens, &forged(signing, &header, &change), now())), Err(401), "{change}");
        }
        for other in [Header { typ: None, ..header.clone() }, Header { kid: None, ..header }] {
            assert_eq!(status(verified(&tokens, &forged(signing, &other, &json!({})), now())), Err(401));
        }
    }

    #[test]
    fn a_new_key_signs_from_its_time_on_and_what_the_former_one_signed_stays_good() {
        let (keyring, (user, session)) = (OnlySecrets::new(1), ids());
        let ours = AccessTokens::new(keyring.clone(), ISSUER).unwrap();
        let other = AccessTokens::new(keyring.clone(), ISSUER).unwrap();
        let (begun, takes_over) = (now(), now().plus(Duration::from_secs(30)));
        let before = ours.issue(user, session, begun).unwrap();
        keyring.rotate(takes_over);
        let still = ours.issue(user, session, begun).unwrap();
        let after = ours.issue(user, session, takes_over).unwrap();
        assert_eq!(key_id(&before), key_id(&still));
        assert_ne!(key_id(&before), key_id(&after));
        for token in [&before, &still, &after] {
            assert_eq!(status(verified(&other, token, takes_over)), Ok(()));
        }
        let late = takes_over.plus(ACCESS_TOKEN_LIFE).plus(CLOCK_SKEW_MAX);
        let forged = forged_at(&ours, 0, late);
        assert_eq!(status(verified(&ours, &forged, begun)), Ok(()), "by its signature it is good");
        let unseen = AccessTokens::new(keyring, ISSUER).unwrap();
        assert_eq!(status(verified(&unseen, &forged, late)), Err(401), "but its key no longer is");
    }

    #[test]
    fn while_the_keyring_is_silent_nothing_is_signed_and_an_unknown_key_is_not_called_bad() {
        let (keyring, (user, session)) = (OnlySecrets::new(1), ids());
        let ours = AccessTokens::new(keyring.clone(), ISSUER).unwrap();
        let other = AccessTokens::new(keyring.clone(), ISSUER).unwrap();
        let known = ours.issue(user, session, now()).unwrap();
        keyring.rotate(now());
        let unknown = ours.issue(user, session, now()).unwrap();
        let back = keyring.signing_keys.lock().take();
        assert_eq!(status(verified(&other, &known, now())), Ok(()));
        assert_eq!(status(verified(&other, &unknown, now())), Err(503));
        assert_eq!(status(ours.issue(user, session, now())), Err(503));
        *keyring.signing_keys.lock() = back;
        assert_eq!(status(verified(&other, &unknown, now())), Ok(()));
    }
}
