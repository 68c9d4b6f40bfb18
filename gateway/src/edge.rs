//! What surrounds every request: its id, its time limit, its line in the log, its metrics, the body of its error, and the
//! headers that every answer has.
//!
//! Whatever happens further in (a panic, a handler that hangs, a client that asks for nonsense), one answer of the one
//! shape leaves here. Bodies, tokens and addresses never reach the log.

use crate::accept::wants_problem;
use crate::backend::App;
use crate::cors::Allowed;
use crate::door::{self, Arrival, Entry};
use crate::error::ApiError;
use crate::origin::Origin;
use crate::protection;
use crate::traceparent;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use metrics::Gauge;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tower::Service;
use traces::{Kind, Span, SpanId};
use tracing::{error, info, warn};
use uuid::Uuid;

/// The header's name.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The routes that answer before the read models are there.
const PLUMBING: [&str; 4] = ["/livez", "/readyz", "/metrics", "/openapi.json"];
const REQUEST_ID_MAX: usize = 128;
/// About as many headers as an answer gets here: room made once.
const HEADERS_ADDED: usize = 16;

/// The id of a request: the client's, if it is sane, or ours.
#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    header: HeaderValue,
    origin: Origin,
    /// The span of whoever asks, if they say.
    parent: Option<SpanId>,
}

impl RequestId {
    fn of(headers: &HeaderMap) -> Self {
        let sane = |value: &&HeaderValue| {
            let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
            (1..=REQUEST_ID_MAX).contains(&value.len()) && value.as_bytes().iter().all(allowed)
        };
        // Random throughout, since traces are sampled by their ids.
        let own = Uuid::new_v4();
        let (trace, parent) = traceparent::read(headers).unzip();
        let (header, id) = match headers.get(REQUEST_ID).filter(sane) {
            Some(given) => (given.clone(), given.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(own)),
            None => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                let header = HeaderValue::from_str(own.hyphenated().encode_lower(&mut text));
                (header.expect("a UUID is visible ASCII"), own)
            }
        };
        Self { header, origin: Origin { trace: trace.unwrap_or(id), span: SpanId::mixed(own, 0) }, parent }
    }

    fn text(&self) -> &str {
        self.header.to_str().unwrap_or_default()
    }
}

/// A request that is being answered, also if nobody waits for that any more.
struct InFlight(Gauge);

impl InFlight {
    fn begin() -> Self {
        let gauge = metrics::gauge!("tidings_http_requests_in_flight");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The middleware around all routes.
pub(crate) async fn surround(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let _in_flight = InFlight::begin();
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let as_problem = wants_problem(request.headers());
    let page = Allowed::of(&app.origins, &method, request.headers());
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);

    let mut entry = Entry::default();
    let mut response = match not_ready(&app, route) {
        Some(refused) => refused.into_response(),
        None => {
            let answered = answer(&app, request, next, route, &id, &mut entry);
            let answered = id.origin.scope(AssertUnwindSafe(answered).catch_unwind());
            match timeout(app.limits.request, answered).await {
                Ok(Ok(response)) => response,
                Ok(Err(panic)) => ApiError::internal(panic_text(panic.as_ref())).into_response(),
                Err(_) if method.is_safe() => ApiError::unavailable("This took too long; ask again").into_response(),
                Err(_) => ApiError::outcome_unknown().into_response(),
            }
        }
    };

    let refused = response.extensions_mut().remove::<ApiError>();
    let status = response.status();
    let took = begun.elapsed();
    let (took_us, request_id) = (u64::try_from(took.as_micros()).unwrap_or(u64::MAX), id.text());
    match refused.as_ref().and_then(ApiError::cause) {
        Some(cause) => {
            error!(request_id, %method, route, status = status.as_u16(), took_us, "request {request_id} failed: {cause}");
        }
        None if status.is_server_error() => {
            warn!(request_id, %method, route, status = status.as_u16(), took_us, "request {request_id}: {status}");
        }
        None => info!(request_id, %method, route, status = status.as_u16(), took_us, "{method} {route} {status}"),
    }
    count(&method, route, status.as_u16(), took.as_secs_f64());
    if app.traces.follows(id.origin.trace) && !is_plumbing(route) {
        app.traces.finish(span(&id, &method, route, status, took));
    }

    if let Some(refused) = refused {
        explain(&mut response, refused, request_id, as_problem);
    }
    let headers = response.headers_mut();
    headers.reserve(HEADERS_ADDED);
    if let Some(account) = entry.account() {
        app.rate_limits.write(&account, headers);
    }
    if let Some(page) = page {
        page.write(headers);
    }
    finish(&method, &id, &mut response);
    response
}

/// Through the door and, if it lets the request in, to the handler.
async fn answer(app: &App, request: Request, next: Next, route: &str, id: &RequestId, entry: &mut Entry) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(id.clone());
    if !is_plumbing(route)
        && let Err(refused) = door::open(Arrival { app, route }, &mut parts, entry).await
    {
        return refused.into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

/// The headers that every answer has.
fn finish(method: &Method, id: &RequestId, response: &mut Response) {
    let status = response.status();
    let headers = response.headers_mut();
    protection::write(method, status, headers);
    headers.insert(REQUEST_ID, id.header.clone());
}

/// The answer to every request while the server waits for what it stands on; that it lives is true already.
pub(crate) async fn not_yet(request: Request, why: String) -> Response {
    let (method, id) = (request.method().clone(), RequestId::of(request.headers()));
    let mut response = if request.uri().path() == "/livez" {
        "ok".into_response()
    } else {
        let refused = ApiError::unavailable(why);
        let mut response = refused.clone().into_response();
        explain(&mut response, refused, id.text(), wants_problem(request.headers()));
        response
    };
    finish(&method, &id, &mut response);
    response
}

/// Writes the body of an error.
fn explain(response: &mut Response, refused: ApiError, request_id: &str, as_problem: bool) {
    let media_type = if as_problem { "application/problem+json" } else { "application/json" };
    *response.body_mut() = Body::from(refused.body(request_id, as_problem));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
}

/// What is asked by machines that look after others, and is not limited.
fn is_plumbing(route: &str) -> bool {
    PLUMBING.contains(&route) || route.starts_with("/.well-known/")
}

fn not_ready(app: &App, route: &str) -> Option<ApiError> {
    if app.stage.borrow().has_served() || PLUMBING.contains(&route) {
        return None;
    }
    Some(ApiError::unavailable("The server has not read its log yet; ask again"))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a handler panicked".to_owned())
}

/// Standard methods only, so that nobody can make up new series.
fn standard(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// The span of a request, by OpenTelemetry's conventions for HTTP, but without the path: it may name people.
fn span(id: &RequestId, method: &Method, route: &str, status: StatusCode, took: Duration) -> Span {
    let method = match standard(method) {
        "other" => "_OTHER",
        method => method,
    };
    let span = Span::new(id.origin.trace, id.origin.span, format!("{method} {route}"));
    Span { parent: id.parent, failed: status.is_server_error(), ..span }
        .kind(Kind::Server)
        .took(took)
        .with("http.request.method", method)
        .with("http.route", route.to_owned())
        .with("http.response.status_code", u64::from(status.as_u16()))
        .with("url.scheme", "http")
}

fn count(method: &Method, route: &str, status: u16, seconds: f64) {
    let method = standard(method);
    let route = route.to_owned();
    metrics::histogram!("tidings_http_request_seconds", "method" => method, "route" => route, "status" => status.to_string())
        .record(seconds);
}

/// What is done before a request is routed, and after: the router itself is between.
pub(crate) async fn pass(mut router: Router, mut request: Request) -> Result<Response, Infallible> {
    normalise(request.uri_mut());
    // Whoever sends both this and a length may be read differently by a proxy in front of us: nothing that follows on the
    // connection is believed to be another request (RFC 9112, 6.1). The library has dropped the length by now.
    let ends_connection = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = router.call(request).await?;
    let headers = response.headers_mut();
    if ends_connection {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(allowed) = headers.get_mut(ALLOW) {
        // The router names what has a handler; this is answered on every route.
        let all = [allowed.as_bytes(), if allowed.is_empty() { b"" } else { b"," }, b"OPTIONS"].concat();
        *allowed = HeaderValue::from_maybe_shared(Bytes::from(all)).expect("methods are visible ASCII");
    }
    Ok(response)
}

/// One form for every path, before it is routed: no trailing slashes, and `/auth/...` for `/users/auth/...`.
fn normalise(uri: &mut Uri) {
    let path = uri.path();
    let is_short = path.starts_with("/auth/");
    if !is_short && (path.len() == 1 || !path.ends_with('/')) {
        return;
    }
    let trimmed = path.trim_end_matches('/');
    let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
    let prefix = if is_short { "/users" } else { "" };
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    // What does not parse is left as it is, and matches no route.
    if let Ok(normal) = format!("{prefix}{trimmed}{query}").parse() {
        *uri = normal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (given, normal) in [
            ("/posts/", "/posts"),
            ("/posts///?limit=1", "/posts?limit=1"),
            ("/auth/login", "/users/auth/login"),
            ("/auth/login/?x=/", "/users/auth/login?x=/"),
            ("/", "/"),
            ("//", "/"),
            ("/posts", "/posts"),
        ] {
            let mut uri = given.parse().unwrap();
            normalise(&mut uri);
            assert_eq!(uri, normal);
        }
    }

    #[test]
    fn a_request_id_that_is_not_sane_is_replaced() {
        let id = |text: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(text).unwrap())]);
            RequestId::of(&headers).text().to_owned()
        };
        assert_eq!(id("abc-1.2:3_4"), "abc-1.2:3_4");
        for bad in ["", "a b", "a\"b", &"x".repeat(REQUEST_ID_MAX + 1)] {
            assert_ne!(id(bad), bad);
        }
    }
}
