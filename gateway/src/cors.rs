//! Which pages of other origins may ask (the CORS protocol of the Fetch standard): those of configured origins, or of all
//! of them, or none.
//!
//! Never with credentials in the protocol's sense: we know no cookies, and a token in `Authorization` needs none.

use anyhow::{Error, Result, ensure};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method};
use std::fmt;
use std::str::FromStr;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
/// What a client may send beside what every page may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, X-Consistency-Token, X-Request-Id, \
     Traceparent, Tracestate",
);
/// What a page may read beside what every page may.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "ETag, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, \
     X-Consistency, X-Consistency-Lag, X-Consistency-Token, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, \
     X-Request-Id",
);
/// How long a browser may remember the answer to a preflight, in seconds; they do not remember longer.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");
const ANY: &str = "*";

/// An origin as a browser sends it, `https://example.com`, or `*` for all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin(HeaderValue);

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
        let is_origin = rest.is_some_and(|host| !host.is_empty() && host.bytes().all(is_host));
        ensure!(text == ANY || is_origin, "{text}: an origin is like https://example.com, in lower case, with no path");
        Ok(Self(HeaderValue::from_str(text)?))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// What is to be said to the page that asks.
pub(crate) struct Allowed {
    origin: HeaderValue,
    is_preflight: bool,
}

impl Allowed {
    /// `None` if no page asks, or one that may not.
    pub(crate) fn of(origins: &[Origin], method: &Method, headers: &HeaderMap) -> Option<Self> {
        let asking = headers.get(ORIGIN).filter(|_| !origins.is_empty())?;
        let origin = origins.iter().find(|known| known.0 == *asking || known.0 == ANY)?.0.clone();
        let is_preflight = *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Some(Self { origin, is_preflight })
    }

    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        if self.is_preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        } else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for good in ["*", "https://example.com", "http://localhost:3000", "http://[::1]:80"] {
            assert_eq!(good.parse::<Origin>().unwrap().to_string(), good);
        }
        for bad in ["", "null", "example.com", "https://", "https://Example.com", "https://a/", "https://a b", "**"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_who_is_named_may_ask() {
        let may = |origins: &[&str], asking: &'static str| {
            let origins = origins.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(asking))]);
            Allowed::of(&origins, &Method::GET, &headers).map(|allowed| allowed.origin)
        };
        assert_eq!(may(&[], "https://a.example"), None);
        let named = ["https://a.example", "https://b.example"];
        assert_eq!(may(&named, "https://b.example").unwrap(), "https://b.example");
        for other in ["https://c.example", "http://a.example", "https://a.example.evil", "null", "*"] {
            assert_eq!(may(&named, other), None, "{other}");
        }
        assert_eq!(may(&["*"], "https://c.example").unwrap(), "*");
    }
}
