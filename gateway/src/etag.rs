//! Entity tags (RFC 9110): what a client has of a post, and what it makes an edit or a deletion depend on.
//!
//! The tag of a post is strong and has two parts: the version of what its author wrote, and a digest of the answer.
//! `If-None-Match` compares the whole, so that a copy is only called current if all of it is: likes, names and whether the
//! reader likes it included. `If-Match` guards what an edit replaces, so of a tag that it names the version alone counts,
//! and a like makes no edit stale. Versions are compared by the owner of the post's key and never here: of two edits of
//! one version only one can win.

use crate::consistency::Freshness;
use crate::error::ApiError;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// What our tags match.
pub(crate) const TAG_PATTERN: &str = "^\"[1-9][0-9]{0,19}-[A-Za-z0-9_-]{16}\"$";
/// What both conditions must match.
pub(crate) const CONDITION_PATTERN: &str = "^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)?$";
/// Tags that one condition may name.
pub(crate) const TAGS_MAX: usize = 32;
/// Of the digest's 32; base64 makes 16 characters of them.
const DIGEST_BYTES: usize = 12;
const DIGEST_CHARS: usize = 16;

/// What a change depends on: the versions that the post may have, or `None` if any will do.
pub(crate) struct IfMatch(pub(crate) Option<Vec<u64>>);

/// What the client has already.
pub(crate) struct IfNoneMatch(Option<Condition>);

enum Condition {
    Any,
    Tags(Vec<Tag>),
}

#[derive(PartialEq, Debug)]
struct Tag {
    weak: bool,
    opaque: Vec<u8>,
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(match Condition::of(&parts.headers, &IF_MATCH)? {
            // What there is not is 404 in any case.
            None | Some(Condition::Any) => None,
            // No weak tag is equal to any by the strong comparison, nor is one that we do not mint.
            Some(Condition::Tags(tags)) => Some(tags.iter().filter_map(Tag::version).collect()),
        }))
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Condition::of(&parts.headers, &IF_NONE_MATCH).map(Self)
    }
}

impl IfNoneMatch {
    /// The body with its tag; or, if the client has it already, the tag alone.
    pub(crate) fn answer(&self, fresh: Freshness, version: u64, body: &impl Serialize) -> Response {
        let body = written(body);
        let tag = tag(version, &body);
        let is_known = self.is_met_by(&tag);
        let headers = [
            (ETAG, tag),
            // What is shown depends on who asks, and may be another thing at any time.
            (CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
            (VARY, HeaderValue::from_static("authorization")),
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, fresh, headers).into_response();
        }
        (fresh, headers, [(CONTENT_TYPE, "application/json")], body).into_response()
    }

    fn is_met_by(&self, tag: &HeaderValue) -> bool {
        match &self.0 {
            None => false,
            Some(Condition::Any) => true,
            Some(Condition::Tags(tags)) => tags.iter().any(|it| quoted(&it.opaque) == tag.as_bytes()),
        }
    }
}

/// The tag of something new, as its answer shows it.
pub(crate) fn of(version: u64, body: &impl Serialize) -> (HeaderName, HeaderValue) {
    (ETAG, tag(version, &written(body)))
}

fn written(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("what is shown is plain data")
}

fn tag(version: u64, body: &[u8]) -> HeaderValue {
    let digest = BASE64_URL_SAFE_NO_PAD.encode(&digest(&SHA256, body).as_ref()[..DIGEST_BYTES]);
    HeaderValue::from_str(&format!("\"{version}-{digest}\"")).expect("digits and base64 are visible ASCII")
}

fn quoted(opaque: &[u8]) -> Vec<u8> {
    [b"\"", opaque, b"\""].concat()
}

impl Condition {
    /// `None` without such a header; 400 if it is none.
    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, ApiError> {
        let values = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        if values.is_empty() {
            return Ok(None);
        }
        let value = values.join(&b',');
        if value.trim_ascii() == b"*" {
            return Ok(Some(Self::Any));
        }
        let malformed = || ApiError::invalid(format!("{name} must be * or a list of entity tags, {TAGS_MAX} at most"));
        let tags = tags(&value).filter(|tags| tags.len() <= TAGS_MAX);
        tags.map(|tags| Some(Self::Tags(tags))).ok_or_else(malformed)
    }
}

impl Tag {
    /// The version that one of our tags names.
    fn version(&self) -> Option<u64> {
        let (version, digest) = std::str::from_utf8(&self.opaque).ok()?.split_once('-')?;
        let is_canonical = version.bytes().all(|c| c.is_ascii_digit()) && !version.starts_with('0');
        let is_digest = digest.len() == DIGEST_CHARS && BASE64_URL_SAFE_NO_PAD.decode(digest).is_ok();
        version.parse().ok().filter(|_| is_canonical && is_digest && !self.weak)
    }
}

/// The tags of a list, whose elements may be empty; `None` if it is none.
fn tags(list: &[u8]) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = list.trim_ascii();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
            continue;
        }
        let quoted = rest.strip_prefix(b"W/");
        let (weak, quoted) = (quoted.is_some(), quoted.unwrap_or(rest).strip_prefix(b"\"")?);
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let (opaque, after) = (&quoted[..end], quoted[end + 1..].trim_ascii_start());
        let is_visible = opaque.iter().all(|byte| matches!(byte, b'!'..=b'~' | 0x80..));
        if !is_visible || !(after.is_empty() || after.starts_with(b",")) {
            return None;
        }
        tags.push(Tag { weak, opaque: opaque.into() });
        rest = after;
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opaque(list: &str) -> Option<Vec<(bool, String)>> {
        let text = |tag: Tag| (tag.weak, String::from_utf8(tag.opaque).unwrap());
        tags(list.as_bytes()).map(|tags| tags.into_iter().map(text).collect())
    }

    #[test]
    fn a_list_of_tags_is_read_as_it_may_be_written() {
        let (a, b) = ((false, "a,b".to_owned()), (true, String::new()));
        for list in ["\"a,b\",W/\"\"", " \"a,b\" ,\t, W/\"\" ,", ",\"a,b\" , W/\"\""] {
            assert_eq!(opaque(list), Some(vec![a.clone(), b.clone()]), "{list}");
        }
        assert_eq!(opaque(" , "), Some(Vec::new()));
        for garbage in ["a", "\"a", "\"a\" \"b\"", "\"a\"b", "w/\"a\"", "W/ \"a\"", "*, \"a\"", "\"a b\"", "\"a\tb\""] {
            assert_eq!(opaque(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn of_our_own_tags_the_version_counts_and_others_name_none() {
        let version = |weak, text: &str| Tag { weak, opaque: text.into() }.version();
        let minted = tag(7, b"{}");
        let minted = minted.to_str().unwrap().trim_matches('"');
        assert_eq!(version(false, minted), Some(7));
        assert_eq!(version(true, minted), None, "the strong comparison knows no weak tags");
        let digest = minted.split_once('-').unwrap().1;
        for text in [format!("07-{digest}"), format!("+7-{digest}"), format!("-{digest}"), "7-".into(), "7".into()] {
            assert_eq!(version(false, &text), None, "{text}");
        }
        assert_eq!(version(false, &format!("99999999999999999999-{digest}")), None);
    }

    #[test]
    fn a_copy_is_current_if_every_byte_is_and_weakness_does_not_matter() {
        let condition = |text: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(text).unwrap())]);
            IfNoneMatch(Condition::of(&headers, &IF_NONE_MATCH).unwrap())
        };
        let now = tag(7, b"{}");
        let text = now.to_str().unwrap();
        for known in [text, &format!("W/{text}"), &format!("\"x\", {text}"), "*"] {
            assert!(condition(known).is_met_by(&now), "{known}");
        }
        for other in [tag(7, b"{ }").to_str().unwrap(), tag(8, b"{}").to_str().unwrap(), "\"\"", ""] {
            assert!(!condition(other).is_met_by(&now), "{other}");
        }
    }
}
