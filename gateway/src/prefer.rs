//! `Prefer: respond-async` (RFC 7240): whether the client waits for the end of what its request begins.

use crate::submit::Wait;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::convert::Infallible;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// Every preference of a request, as it was written.
pub(crate) fn preferences(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).map(str::trim)
}

/// Whether the client would rather be told at once that what it asks for has begun.
#[derive(Clone, Copy)]
pub(crate) struct RespondAsync(bool);

impl<S: Sync> FromRequestParts<S> for RespondAsync {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(preferences(&parts.headers).any(|it| it.eq_ignore_ascii_case(RESPOND_ASYNC))))
    }
}

impl RespondAsync {
    pub(crate) fn wait(self) -> Wait {
        if self.0 { Wait::No } else { Wait::ForTheEnd }
    }

    /// Says so where the preference was followed.
    pub(crate) fn applied(self, mut response: Response) -> Response {
        if self.0 && response.status() == StatusCode::ACCEPTED {
            response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
        }
        response
    }
}
