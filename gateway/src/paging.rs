//! Lists page by page. A cursor says where the page before ended and which list that was, under a MAC, so that nobody
//! can make one and none works on another list.

use crate::backend::Backend;
use crate::error::{ApiError, ErrorName};
use crate::extract::InQuery;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{Secrets, Timestamp};
use http::header::LINK;
use http::request::Parts;
use http::{HeaderValue, Uri};
use projections::{Page, Place};
use serde::Deserialize;
use std::convert::Infallible;
use uuid::Uuid;

/// Items of a page, at most.
pub(crate) const LIMIT_MAX: usize = 100;
/// Items of a page, if nothing is said.
pub(crate) const LIMIT_DEFAULT: usize = 20;
/// What a cursor must match.
pub(crate) const CURSOR_PATTERN: &str = "^[A-Za-z0-9_-]{48}$";
const CURSOR_CHARS: usize = 48;
const PLACE_BYTES: usize = 8 + 16;
const CURSOR_BYTES: usize = PLACE_BYTES + 12;

/// Which list: its kind, and what it is of.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    pub(crate) kind: &'static str,
    pub(crate) of: &'a [u8],
}

/// Which page was asked for.
pub(crate) struct Paging {
    limit: usize,
    cursor: Option<String>,
    uri: Uri,
}

#[derive(Deserialize)]
struct Parameters {
    limit: Option<String>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let InQuery(Parameters { limit, cursor }) = InQuery::from_request_parts(parts, state).await?;
        let limit = match limit {
            None => LIMIT_DEFAULT,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit.ok_or_else(|| ApiError::invalid(format!("limit must be a number from 1 to {LIMIT_MAX}")))?
            }
        };
        Ok(Self { limit, cursor, uri: parts.uri.clone() })
    }
}

impl Paging {
    /// The page of this list. 400 for a cursor that does not match the pattern, 404 for one that is not of this list.
    pub(crate) fn page(&self, app: &Backend, list: List<'_>) -> Result<Page, ApiError> {
        let Some(cursor) = &self.cursor else { return Ok(Page { limit: self.limit, after: None }) };
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if cursor.len() != CURSOR_CHARS || !cursor.bytes().all(fits) {
            return Err(ApiError::invalid(format!("cursor must match {CURSOR_PATTERN}")));
        }
        let after = read(app.secrets(), list, cursor);
        let after = after.ok_or_else(|| ApiError::new(ErrorName::NotFound, "This list has no such cursor"))?;
        Ok(Page { limit: self.limit, after: Some(after) })
    }

    /// The cursor of the next page, and the header that links to it.
    pub(crate) fn next(&self, app: &Backend, list: List<'_>, next: Option<Place>) -> (Option<String>, NextLink) {
        let cursor = next.map(|next| write(app.secrets(), list, next));
        let link = cursor.as_ref().map(|cursor| link(&self.uri, cursor));
        (cursor, NextLink(link))
    }
}

/// `Link: rel="next"`, if there is a next page.
pub(crate) struct NextLink(Option<HeaderValue>);

impl IntoResponseParts for NextLink {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Some(link) = self.0 {
            response.headers_mut().insert(LINK, link);
        }
        Ok(response)
    }
}

fn write(secrets: &Secrets, list: List<'_>, (at, id): Place) -> String {
    let mut bytes = [0; CURSOR_BYTES];
    bytes[..8].copy_from_slice(&at.0.to_be_bytes());
    bytes[8..PLACE_BYTES].copy_from_slice(id.as_bytes());
    let mac = mac(secrets, list, &bytes[..PLACE_BYTES]);
    bytes[PLACE_BYTES..].copy_from_slice(&mac[..CURSOR_BYTES - PLACE_BYTES]);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn read(secrets: &Secrets, list: List<'_>, cursor: &str) -> Option<Place> {
    let mut bytes = [0; CURSOR_BYTES];
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(cursor, &mut bytes).ok()?;
    let (place, signed) = bytes.split_at(PLACE_BYTES);
    let mac = mac(secrets, list, place);
    let is_ours = aws_lc_rs::constant_time::verify_slices_are_equal(&mac[..signed.len()], signed).is_ok();
    if length != CURSOR_BYTES || !is_ours {
        return None;
    }
    let at = Timestamp(i64::from_be_bytes(place[..8].try_into().ok()?));
    Some((at, Uuid::from_slice(&place[8..]).ok()?))
}

fn mac(secrets: &Secrets, list: List<'_>, place: &[u8]) -> [u8; 32] {
    secrets.token(&[b"cursor", list.kind.as_bytes(), list.of, place])
}

/// The request again, with another cursor.
fn link(uri: &Uri, cursor: &str) -> HeaderValue {
    let others = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let others = others.filter(|pair| pair.split('=').next() != Some("cursor"));
    let mut target = format!("<{}?", uri.path());
    for pair in others {
        target.push_str(pair);
        target.push('&');
    }
    target.push_str(&format!("cursor={cursor}>; rel=\"next\""));
    HeaderValue::from_str(&target).expect("a URI and a cursor are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List<'static> = List { kind: "posts", of: b"ada" };

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let secrets = Secrets::derive(&[1; 32]);
        let place = (Timestamp(1_700_000_000_000_000), Uuid::from_u128(7));
        let cursor = write(&secrets, LIST, place);
        assert_eq!(cursor.len(), CURSOR_CHARS);
        assert_eq!(read(&secrets, LIST, &cursor), Some(place));
        assert_eq!(read(&secrets, List { of: b"bob", ..LIST }, &cursor), None);
        assert_eq!(read(&secrets, List { kind: "likes", ..LIST }, &cursor), None);
        assert_eq!(read(&Secrets::derive(&[2; 32]), LIST, &cursor), None);
        assert_eq!(read(&secrets, LIST, &"A".repeat(CURSOR_CHARS)), None);
    }

    #[test]
    fn the_link_keeps_what_was_asked_but_the_cursor() {
        let uri = "/posts?cursor=old&limit=5&author_id=x".parse().unwrap();
        assert_eq!(link(&uri, "new"), "</posts?limit=5&author_id=x&cursor=new>; rel=\"next\"");
        assert_eq!(link(&"/feed".parse().unwrap(), "new"), "</feed?cursor=new>; rel=\"next\"");
    }
}
