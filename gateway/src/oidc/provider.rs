//! One issuer: where its keys are, what they are, and what its tokens must be.
//!
//! The keys are fetched when they are first needed, again when they are old, and again when a token names one that is not
//! among them, but only so often: who sends forged tokens must not make us flood the issuer. While the issuer is silent
//! the keys that are known go on verifying for a day.

use super::keys::Keys;
use super::{FOREIGN_LIFE_MAX, Foreign, OidcIssuer, SUBJECT_CHARS_MAX};
use crate::connector::{Connector, connector};
use crate::error::ApiError;
use anyhow::{Context, Result, bail, ensure};
use events::{CLOCK_SKEW_MAX, Timestamp};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// Keys that are older are fetched again.
const KEYS_FRESH: Duration = Duration::from_secs(600);
/// Keys that could not be fetched again for so long verify nothing any more.
const KEYS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How often keys are fetched in one [`FETCH_WINDOW`], at most.
const FETCHES_MAX: u32 = 6;
const FETCH_WINDOW: Duration = Duration::from_secs(60);
/// How long an issuer may take for an answer.
const FETCH_TIME_MAX: Duration = Duration::from_secs(3);
/// The longest answer of an issuer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// See the module.
pub(super) struct Provider {
    issuer: OidcIssuer,
    client: Client<Connector, Empty<Bytes>>,
    /// One request at a time asks the issuer; the others wait for what it finds.
    known: Mutex<Known>,
}

struct Known {
    keys: Keys,
    /// When they were fetched.
    fetched: Option<Instant>,
    window: Instant,
    /// Within the window.
    fetches: u32,
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: f64,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Flag>,
}

/// Some issuers write it as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Is(bool),
    Says(String),
}

impl Flag {
    fn is_set(&self) -> bool {
        match self {
            Self::Is(is) => *is,
            Self::Says(text) => text == "true",
        }
    }
}

impl Provider {
    pub(super) fn new(issuer: &OidcIssuer) -> Result<Self> {
        let client = Client::builder(TokioExecutor::new()).build(connector(&issuer.url)?);
        let known = Known { keys: Keys::default(), fetched: None, window: Instant::now(), fetches: 0 };
        Ok(Self { issuer: issuer.clone(), client, known: Mutex::new(known) })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer.url
    }

    /// What the token says, if it is one of this issuer's for us and good at `now`. "Unavailable" if there are no keys to
    /// tell by.
    pub(super) async fn verify(&self, token: &str, hash: [u8; 32], now: Timestamp) -> Result<Foreign, ApiError> {
        let header = decode_header(token).map_err(|_| ApiError::bad_token())?;
        let is_jwt = |typ: &str| ["JWT", "at+jwt", "application/at+jwt"].iter().any(|it| it.eq_ignore_ascii_case(typ));
        if header.typ.as_deref().is_some_and(|typ| !is_jwt(typ)) {
            return Err(ApiError::bad_token());
        }
        let key = {
            let mut known = self.known.lock().await;
            let is_fresh = known.fetched.is_some_and(|fetched| fetched.elapsed() < KEYS_FRESH);
            let find = |keys: &Keys| keys.find(header.kid.as_deref(), header.alg).cloned();
            match find(&known.keys).filter(|_| is_fresh) {
                Some(key) => key,
                None => {
                    let looked = self.look_again(&mut known).await;
                    let key = find(&known.keys).filter(|_| known.is_kept());
                    key.ok_or_else(|| if looked { ApiError::bad_token() } else { silent() })?
                }
            }
        };
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer.url]);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // What has expired must be worth nothing for as long as its ended session is remembered.
        validation.leeway = 0;
        let claims = decode::<Claims>(token, &key.key, &validation).map_err(|_| ApiError::bad_token())?.claims;
        claims.checked(hash, now)
    }

    /// Fetches the keys, if that was not done too often. Whether they are those of this moment.
    async fn look_again(&self, known: &mut Known) -> bool {
        if known.window.elapsed() > FETCH_WINDOW {
            (known.window, known.fetches) = (Instant::now(), 0);
        }
        if known.fetches == FETCHES_MAX {
            return false;
        }
        known.fetches += 1;
        match timeout(FETCH_TIME_MAX, self.fetch()).await.unwrap_or_else(|_| bail!("no answer in time")) {
            Ok(keys) => {
                (known.keys, known.fetched) = (keys, Some(Instant::now()));
                true
            }
            Err(error) => {
                warn!("the keys of {} cannot be fetched: {error:#}", self.issuer.url);
                false
            }
        }
    }

    async fn fetch(&self) -> Result<Keys> {
        let base = self.issuer.url.trim_end_matches('/');
        let configuration = self.get(&format!("{base}/.well-known/openid-configuration")).await?;
        let Configuration { issuer, jwks_uri } = serde_json::from_slice(&configuration).context("its configuration")?;
        ensure!(issuer == self.issuer.url, "it calls itself {issuer}");
        let scheme = |url: &str| url.parse::<Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
        ensure!(scheme(&jwks_uri) == scheme(&issuer), "{jwks_uri}: its keys are not where it is");
        let keys = Keys::read(&self.get(&jwks_uri).await?).context("its keys")?;
        ensure!(!keys.is_empty(), "{jwks_uri}: there is no key that verifies");
        Ok(keys)
    }

    async fn get(&self, url: &str) -> Result<Bytes> {
        let request = Request::get(url).header("accept", "application/json").body(Empty::new())?;
        let answer = self.client.request(request).await.with_context(|| url.to_owned())?;
        // Nobody is followed elsewhere.
        ensure!(answer.status() == StatusCode::OK, "{url}: {}", answer.status());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(body.map_err(|error| anyhow::anyhow!("{url}: {error}"))?.to_bytes())
    }
}

impl Known {
    fn is_kept(&self) -> bool {
        self.fetched.is_some_and(|fetched| fetched.elapsed() < KEYS_KEPT)
    }
}

/// There may be a key that is not known here.
fn silent() -> ApiError {
    ApiError::unavailable("The issuer of this token does not say which keys it has; ask again")
}

impl Claims {
    fn checked(self, hash: [u8; 32], now: Timestamp) -> Result<Foreign, ApiError> {
        let (skew, life) = (CLOCK_SKEW_MAX.as_secs_f64(), FOREIGN_LIFE_MAX.as_secs_f64());
        let latest = now.seconds() as f64 + skew;
        let begins = self.iat.max(self.nbf.unwrap_or(self.iat));
        let subject_fits = (1..=SUBJECT_CHARS_MAX).contains(&self.sub.chars().count());
        if begins > latest || self.exp - self.iat > life || !subject_fits {
            return Err(ApiError::bad_token());
        }
        let is_verified = self.email_verified.is_some_and(|flag| flag.is_set());
        Ok(Foreign {
            issuer: self.iss,
            subject: self.sub,
            email: self.email.filter(|_| is_verified),
            hash,
            expires_s: self.exp as i64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(change: impl FnOnce(&mut Claims)) -> Claims {
        let now = Timestamp::now().seconds() as f64;
        let mut claims = Claims {
            iss: "https://id.example".to_owned(),
            sub: "7".to_owned(),
            iat: now,
            exp: now + 60.0,
            nbf: None,
            email: Some("ada@example.com".to_owned()),
            email_verified: Some(Flag::Is(true)),
        };
        change(&mut claims);
        claims
    }

    fn check(change: impl FnOnce(&mut Claims)) -> Result<Foreign, u16> {
        let checked = claims(change).checked([0; 32], Timestamp::now());
        checked.map_err(|error| error.name().status().as_u16())
    }

    #[test]
    fn a_token_that_lives_too_long_or_begins_later_is_refused() {
        assert!(check(|_| {}).is_ok());
        assert_eq!(check(|claims| claims.exp = claims.iat + 3_601.0), Err(401));
        assert_eq!(check(|claims| claims.iat += 120.0), Err(401));
        assert_eq!(check(|claims| claims.nbf = Some(claims.iat + 120.0)), Err(401));
        assert_eq!(check(|claims| claims.sub = String::new()), Err(401));
        assert_eq!(check(|claims| claims.sub = "x".repeat(SUBJECT_CHARS_MAX + 1)), Err(401));
    }

    #[test]
    fn an_address_counts_only_if_the_issuer_vouches_for_it() {
        assert!(check(|claims| claims.email_verified = Some(Flag::Says("true".to_owned()))).unwrap().email.is_some());
        for flag in [None, Some(Flag::Is(false)), Some(Flag::Says("yes".to_owned()))] {
            assert_eq!(check(|claims| claims.email_verified = flag).unwrap().email, None);
        }
    }
}
