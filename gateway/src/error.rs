//! The one shape of every error answer.
//!
//! A handler returns an [`ApiError`]; it travels in the response's extensions, and the edge writes the body, since only
//! the edge knows the request's id and which form the client accepts. What went wrong inside is kept for the log and
//! never told to the client.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use projections::Unavailable;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use tracing::warn;
use utoipa::ToSchema;

/// How long a client should wait before it asks again, in seconds, where nothing better is known.
const RETRY_AFTER_S: u32 = 1;

/// What kind of error it is: a closed list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) enum ErrorName {
    /// The request breaks a rule that the document states.
    InvalidRequest,
    /// There is no access token, or none that is good.
    Unauthorized,
    /// It is somebody else's.
    Forbidden,
    /// There is no such thing, or none any more.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The client accepts nothing that there is here.
    NotAcceptable,
    /// The body did not arrive in time.
    RequestTimeout,
    /// It cannot be done as things stand.
    Conflict,
    /// The idempotency key was used for another request.
    KeyReused,
    /// The first request with this idempotency key is not finished.
    InFlight,
    /// It is of none of the versions that `If-Match` names.
    PreconditionFailed,
    /// The body, or what would have to be stored, is too large.
    PayloadTooLarge,
    /// Path and query are too long.
    UriTooLong,
    /// The body is not JSON by its content type.
    UnsupportedMediaType,
    /// There is as much of it as may be at one time, or in a minute.
    TooManyRequests,
    /// There are too many headers, or they are too long.
    HeadersTooLarge,
    /// A bug of ours.
    InternalError,
    /// Not now; ask again.
    Unavailable,
}

impl ErrorName {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict | Self::KeyReused | Self::InFlight => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// An error answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Error {
    /// What kind of error it is.
    error: ErrorName,
    /// What is wrong, for people.
    message: Cow<'static, str>,
    /// The status of the answer.
    status_code: u16,
    /// The id of the request, as in `X-Request-Id`.
    request_id: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// `unknown`: the write may have taken effect. Ask again, with the same `Idempotency-Key` if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    outcome: Option<&'static str>,
}

/// The same in the form of RFC 9457, for `Accept: application/problem+json`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`.
    r#type: &'static str,
    /// What kind of error it is.
    title: ErrorName,
    /// The status of the answer.
    status: u16,
    /// What is wrong, for people.
    detail: Cow<'static, str>,
    /// The id of the request, as in `X-Request-Id`.
    request_id: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// As in the other form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    outcome: Option<&'static str>,
}

/// What is wrong with a field.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Which field.
    pub(crate) field: &'static str,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// Why a request was not done.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    name: ErrorName,
    message: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after_s: Option<u32>,
    outcome_unknown: bool,
    challenge: &'static str,
    cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(name: ErrorName, message: impl Into<Cow<'static, str>>) -> Self {
        let retry_after_s = matches!(name, ErrorName::Unavailable | ErrorName::InFlight | ErrorName::TooManyRequests)
            .then_some(RETRY_AFTER_S);
        Self(Box::new(Inner {
            name,
            message: message.into(),
            errors: Vec::new(),
            retry_after_s,
            outcome_unknown: false,
            challenge: "Bearer",
            cause: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::InvalidRequest, message)
    }

    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(ErrorName::NotFound, format!("There is no such {what}"))
    }

    pub(crate) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::Conflict, message)
    }

    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::Unavailable, message)
    }

    /// A limit was reached; after so many seconds there is room again.
    pub(crate) fn too_many_requests(message: impl Into<Cow<'static, str>>, retry_after_s: u32) -> Self {
        let mut error = Self::new(ErrorName::TooManyRequests, message);
        error.0.retry_after_s = Some(retry_after_s);
        error
    }

    /// The write may have taken effect.
    pub(crate) fn outcome_unknown() -> Self {
        let mut error = Self::unavailable(
            "It is not known whether this took effect; ask again, with the same Idempotency-Key if there was one",
        );
        error.0.outcome_unknown = true;
        error
    }

    /// The same error once a write was done whose answer cannot be read back: nobody must take it for not done.
    pub(crate) fn after_write(self) -> Self {
        if self.0.name == ErrorName::Unavailable { Self::outcome_unknown() } else { self }
    }

    /// No token was sent, or not as `Bearer`.
    pub(crate) fn no_token() -> Self {
        Self::new(ErrorName::Unauthorized, "This needs an access token: Authorization: Bearer <access_token>")
    }

    /// A token was sent that is not good, for whatever reason: the reason would help only who forges one.
    pub(crate) fn bad_token() -> Self {
        Self::bad_token_since("The access token is not valid, or not any more")
    }

    /// A token that is genuine and lets nobody in all the same.
    pub(crate) fn bad_token_since(reason: &'static str) -> Self {
        let mut error = Self::new(ErrorName::Unauthorized, reason);
        error.0.challenge = "Bearer error=\"invalid_token\"";
        error
    }

    /// A bug of ours; the cause goes to the log only.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let mut error = Self::new(ErrorName::InternalError, "Something went wrong on our side");
        error.0.cause = Some(cause.to_string());
        error
    }

    /// Says which fields are wrong. The message is that of the first one.
    pub(crate) fn of_fields(name: ErrorName, errors: Vec<FieldError>) -> Self {
        let message = errors.first().map_or_else(String::new, |first| first.message.clone());
        let mut error = Self::new(name, message);
        error.0.errors = errors;
        error
    }

    pub(crate) fn name(&self) -> ErrorName {
        self.0.name
    }

    /// What the log should know and the client should not.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The body, as JSON.
    pub(crate) fn body(self, request_id: &str, as_problem: bool) -> Vec<u8> {
        let Inner { name, message, errors, outcome_unknown, .. } = *self.0;
        let (status, request_id) = (name.status().as_u16(), request_id.to_owned());
        let outcome = outcome_unknown.then_some("unknown");
        let written = if as_problem {
            let r#type = "about:blank";
            serde_json::to_vec(&Problem { r#type, title: name, status, detail: message, request_id, errors, outcome })
        } else {
            serde_json::to_vec(&Error { error: name, message, status_code: status, request_id, errors, outcome })
        };
        written.expect("strings and numbers can be written")
    }
}

impl From<Unavailable> for ApiError {
    /// Why it does not answer is for the log: it may name what no client should know.
    fn from(unavailable: Unavailable) -> Self {
        warn!("{unavailable}");
        Self::unavailable("What was asked for cannot be read at the moment; ask again")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.name.status().into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.name == ErrorName::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.0.challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// For what no route matches.
pub(crate) async fn unknown_route() -> ApiError {
    ApiError::new(ErrorName::NotFound, "There is no such route; GET /openapi.json lists them all")
}

/// For what a route matches with another method; the router adds the header, which is all that `OPTIONS` asks for.
pub(crate) async fn unknown_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let message = format!("This route has other methods; see the header {ALLOW}");
    ApiError::new(ErrorName::MethodNotAllowed, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_now_can_be_asked_for_again_and_says_nothing_of_the_server() {
        let error = ApiError::from(Unavailable("postgres://tidings:secret@db".to_owned()));
        let body = String::from_utf8(error.clone().body("1", false)).unwrap();
        assert!(body.contains("\"error\":\"Unavailable\"") && !body.contains("db"), "{body}");
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }
}
