//! Tokens of other issuers (OpenID Connect providers, Supabase Auth among them), where the configuration names them.
//!
//! Such a token is a session of ours: it is opened in the log when the token is first seen and can be ended like any
//! other, so a token that was signed out is worth nothing although its issuer still vouches for it. That holds because an
//! ended session is remembered for longer than a token may live ([`FOREIGN_LIFE_MAX`]).
//!
//! Whoever is first seen gets an account of their own. An address that somebody has here already is never linked to it:
//! the issuer's word for an address is not the password of the account that has it.

mod account;
mod keys;
mod provider;

use crate::error::ApiError;
use crate::recent::Recent;
use crate::tokens::{Verified, hash_of};
use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::Timestamp;
use http::Uri;
use projections::sessions::CLOSED_KEPT;
use provider::Provider;
use serde::Deserialize;
use std::str::FromStr;
use std::time::Duration;

/// How long a token of another issuer may live.
pub(crate) const FOREIGN_LIFE_MAX: Duration = Duration::from_secs(3_600);
/// A longer token is not looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1_024;
/// The longest subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_CHARS_MAX: usize = 255;
/// Tokens that are remembered.
const VERIFIED_MAX: usize = 100_000;

const _: () = assert!(FOREIGN_LIFE_MAX.as_secs() <= CLOSED_KEPT.as_secs());

/// An issuer whose tokens are taken: `URL=AUDIENCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcIssuer {
    /// The issuer, as its tokens name it.
    pub url: String,
    /// Whom its tokens must be for.
    pub audience: String,
}

impl FromStr for OidcIssuer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (url, audience) = text.split_once('=').unwrap_or_default();
        ensure!(!url.is_empty() && !audience.is_empty(), "{text}: expected URL=AUDIENCE");
        let parsed: Uri = url.parse()?;
        let is_safe = match parsed.scheme_str() {
            Some("https") => true,
            // Nobody sits between two ends of one machine.
            Some("http") => matches!(parsed.host(), Some("127.0.0.1" | "localhost" | "[::1]")),
            _ => false,
        };
        ensure!(is_safe, "{url}: an issuer is an https URL");
        ensure!(parsed.query().is_none(), "{url}: an issuer has no query");
        Ok(Self { url: url.to_owned(), audience: audience.to_owned() })
    }
}

/// What a token of another issuer says, verified.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Foreign {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// If the issuer vouches for it.
    pub(crate) email: Option<String>,
    /// Of the whole token.
    pub(crate) hash: [u8; 32],
    /// In seconds since 1970.
    pub(crate) expires_s: i64,
}

/// The issuers that are trusted.
pub(crate) struct Oidc {
    providers: Vec<Provider>,
    verified: Recent<[u8; 32], Verified>,
}

impl Oidc {
    pub(crate) fn new(issuers: &[OidcIssuer]) -> Result<Self> {
        let providers = issuers.iter().map(Provider::new).collect::<Result<_>>()?;
        Ok(Self { providers, verified: Recent::new(VERIFIED_MAX) })
    }

    /// Who is to verify this token, if it is one of theirs by its own word.
    fn provider_of(&self, token: &str) -> Option<&Provider> {
        #[derive(Deserialize)]
        struct Says {
            iss: String,
        }
        if self.providers.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let Says { iss } = serde_json::from_slice(&claims).ok()?;
        self.providers.iter().find(|provider| provider.issuer() == iss)
    }
}

impl crate::backend::Backend {
    /// Whom a token speaks for, whoever has issued it. Of another issuer: the account and the session are there when this
    /// returns. `gate` is asked before a signature is checked: its error is the answer.
    pub(crate) async fn whose(
        &self,
        token: &str,
        now: Timestamp,
        gate: impl Future<Output = Result<(), ApiError>> + Send,
    ) -> Result<Verified, ApiError> {
        let Some(provider) = self.oidc.provider_of(token) else { return self.tokens.verify(token, now, gate).await };
        let hash = hash_of(token)?;
        let known = self.oidc.verified.with(&hash, |verified| *verified);
        let verified = match known {
            Some(verified) => verified,
            None => {
                gate.await?;
                let foreign = provider.verify(token, hash, now).await?;
                let verified = self.admit(&foreign).await?;
                self.oidc.verified.insert(hash, verified);
                verified
            }
        };
        if verified.is_good_at(now) { Ok(verified) } else { Err(ApiError::bad_token()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_https_url_with_an_audience() {
        let issuer = OidcIssuer::from_str("https://id.example/auth/v1=authenticated").unwrap();
        assert_eq!((issuer.url.as_str(), issuer.audience.as_str()), ("https://id.example/auth/v1", "authenticated"));
        assert!(OidcIssuer::from_str("http://127.0.0.1:3000=tidings").is_ok());
        for bad in
            ["", "https://id.example", "=x", "https://id.example=", "http://id.example=x", "ftp://a=b", "https://a?b=c"]
        {
            assert!(OidcIssuer::from_str(bad).is_err(), "{bad}");
        }
    }
}
