//! Access tokens (EdDSA JWTs that name a session) and refresh tokens (MACs that are kept nowhere).
//!
//! A token that was verified is remembered by its hash until it expires, since checking a signature costs more than all
//! the rest of a small request. Whether the session it names is still open is asked anew with every request.

use crate::error::ApiError;
use crate::recent::Recent;
use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{Secrets, SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long an access token is good, in seconds.
pub(crate) const ACCESS_TOKEN_S: i64 = 15 * 60;
/// Verified tokens that are remembered.
const VERIFIED_MAX: usize = 100_000;
/// A longer token cannot be ours.
const TOKEN_BYTES_MAX: usize = 1_024;
const ISSUER: &str = "tidings";
const AUDIENCE: &str = "tidings";
const TYPE: &str = "at+jwt";

/// Signs and verifies access tokens.
pub(crate) struct AccessTokens {
    key_id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    verified: Recent<[u8; 32], Verified>,
}

/// Whom a token speaks for, and until when (seconds since 1970).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verified {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    expires_s: i64,
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
    /// The tokens of the installation that has these secrets.
    pub(crate) fn new(secrets: &Secrets) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(secrets.signing_seed())
            .map_err(|error| anyhow!("{error}"))
            .context("the signing key cannot be made")?;
        let document = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair)
            .map_err(|error| anyhow!("{error}"))
            .context("the signing key cannot be written")?;
        let public = pair.public_key().as_ref();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        Ok(Self {
            key_id: BASE64_URL_SAFE_NO_PAD.encode(&digest(&SHA256, public).as_ref()[..9]),
            signing: EncodingKey::from_ed_der(document.as_ref()),
            verifying: DecodingKey::from_ed_der(public),
            validation,
            verified: Recent::new(VERIFIED_MAX),
        })
    }

    /// A token for a session, good from `now_s` on for [`ACCESS_TOKEN_S`].
    pub(crate) fn issue(&self, user: UserId, session: SessionId, now_s: i64) -> Result<String, ApiError> {
        let header =
            Header { typ: Some(TYPE.to_owned()), kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            jti: Uuid::now_v7(),
            iat: now_s,
            exp: now_s + ACCESS_TOKEN_S,
        };
        encode(&header, &claims, &self.signing).map_err(ApiError::internal)
    }

    /// Whom the token speaks for, if it is ours and good at `now_s`.
    pub(crate) fn verify(&self, token: &str, now_s: i64) -> Option<Verified> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash: [u8; 32] = digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()?;
        let verified = match self.verified.with(&hash, |verified| *verified) {
            Some(verified) => verified,
            None => {
                let verified = self.check(token)?;
                self.verified.insert(hash, verified);
                verified
            }
        };
        (now_s < verified.expires_s).then_some(verified)
    }

    fn check(&self, token: &str) -> Option<Verified> {
        let header = decode_header(token).ok()?;
        if header.typ.as_deref() != Some(TYPE) || header.kid.as_deref() != Some(&self.key_id) {
            return None;
        }
        let claims = decode::<Claims>(token, &self.verifying, &self.validation).ok()?.claims;
        Some(Verified { user: claims.sub, session: claims.sid, expires_s: claims.exp })
    }
}

/// The refresh token of a session's so-manieth generation: the session, the generation, and a MAC of both.
pub(crate) fn refresh_token(secrets: &Secrets, session: SessionId, generation: u32) -> String {
    let generation = generation.to_be_bytes();
    let mac = secrets.token(&[b"refresh", session.0.as_bytes(), &generation]);
    BASE64_URL_SAFE_NO_PAD.encode([session.0.as_bytes().as_slice(), &generation, &mac].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Timestamp;
    use serde_json::{Value, json};

    fn tokens(root: u8) -> AccessTokens {
        AccessTokens::new(&Secrets::derive(&[root; 32])).unwrap()
    }

    fn now() -> i64 {
        Timestamp::now().seconds()
    }

    fn ids() -> (UserId, SessionId) {
        (UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)))
    }

    /// A token of ours with another header or other claims.
    fn forged(key: &EncodingKey, header: &Header, change: &Value) -> String {
        let (user, session) = ids();
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "sid": session, "jti": Uuid::nil(), "iat": now(),
            "exp": now() + 60,
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        encode(header, &claims, key).unwrap()
    }

    #[test]
    fn a_token_speaks_for_its_user_and_session_until_it_expires() {
        let (tokens, (user, session)) = (tokens(1), ids());
        let token = tokens.issue(user, session, now()).unwrap();
        for _ in 0..2 {
            let verified = tokens.verify(&token, now()).unwrap();
            assert_eq!((verified.user, verified.session), (user, session));
            assert_eq!(tokens.verify(&token, now() + ACCESS_TOKEN_S), None);
        }
    }

    #[test]
    fn a_token_that_is_changed_foreign_or_unsigned_is_worth_nothing() {
        let (ours, (user, session)) = (tokens(1), ids());
        let good = ours.issue(user, session, now()).unwrap();
        assert_eq!(tokens(2).verify(&good, now()), None);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        assert_eq!(ours.verify(&format!("{signed}."), now()), None);
        let (header, claims) = signed.split_once('.').unwrap();
        let none = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": TYPE, "kid": ours.key_id}).to_string());
        let hs256 = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": TYPE, "kid": ours.key_id}).to_string());
        for bad in [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{hs256}.{claims}.{signature}"),
            format!("{header}.{claims}x.{signature}"),
            "x".repeat(TOKEN_BYTES_MAX + 1),
            String::new(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(ours.verify(&bad, now()), None, "{bad}");
        }
    }

    #[test]
    fn every_claim_is_checked() {
        let tokens = tokens(1);
        let header =
            Header { typ: Some(TYPE.to_owned()), kid: Some(tokens.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        assert!(tokens.verify(&forged(&tokens.signing, &header, &json!({})), now()).is_some());
        for change in [
            json!({"iss": "other"}),
            json!({"aud": "other"}),
            json!({"exp": now() - 1}),
            json!({"exp": null}),
            json!({"sub": "me"}),
            json!({"sid": null}),
        ] {
            assert_eq!(tokens.verify(&forged(&tokens.signing, &header, &change), now()), None, "{change}");
        }
        for other in [Header { typ: None, ..header.clone() }, Header { kid: None, ..header }] {
            assert_eq!(tokens.verify(&forged(&tokens.signing, &other, &json!({})), now()), None);
        }
    }
}
