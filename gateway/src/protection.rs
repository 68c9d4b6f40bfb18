//! What every answer tells browsers and caches, so that an API's answer is never taken for anything else.
//!
//! Who may see what changes with every block and every deletion, and no shared cache knows of them: answers are for one
//! reader (`private`), who asks again before using one a second time (`no-cache`), which costs no body where there is an
//! `ETag`. Answers to writes, and errors, are not kept at all. HSTS is for whatever ends TLS in front of us.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub(crate) const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The same for all answers. Nothing of ours is a document: it runs nothing, loads nothing and stands in no frame.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    // The same address is another answer to another reader, in another form, to another page.
    (VARY, HeaderValue::from_static("Authorization, Accept, Origin")),
];
const OF_ONE_READER: HeaderValue = HeaderValue::from_static("private, no-cache");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");

/// Completes the headers; what a handler has said of caching stays.
pub(crate) fn write(method: &Method, status: StatusCode, headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        let may_be_kept = method.is_safe() && (status.is_success() || status == StatusCode::NOT_MODIFIED);
        headers.insert(CACHE_CONTROL, if may_be_kept { OF_ONE_READER } else { NOT_KEPT });
    }
}
