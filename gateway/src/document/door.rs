//! What the document says of the door: the same for every operation, so it stands here once.

use super::add_error;
use crate::rate_limits::{Demand, Quotas, WINDOW_S};
use http::Method;
use serde_json::{Map, Value, json};

/// What every answer has.
const ALWAYS: [(&str, &str, &str); 6] = [
    ("Cache-Control", "string", "`private, no-cache` for what was read, `no-store` for all else"),
    ("Content-Security-Policy", "string", "That this is no document"),
    ("Cross-Origin-Resource-Policy", "string", "That other sites cannot embed it"),
    ("Referrer-Policy", "string", "That nothing is said of where a reader came from"),
    ("Vary", "string", "Which headers of a request the answer depends on"),
    ("X-Content-Type-Options", "string", "That it is what its content type says"),
];

/// What every answer to a limited request has; all but the last speak of the tightest limit that applied.
const LIMITED: [(&str, &str, &str); 5] = [
    ("X-RateLimit-Limit", "integer", "How much the limit allows in a minute"),
    ("X-RateLimit-Remaining", "integer", "How much of it is left"),
    ("X-RateLimit-Reset", "integer", "When all of it is there again, in seconds since 1970"),
    ("RateLimit", "string", "The same in the form of draft-ietf-httpapi-ratelimit-headers: `\"user\";r=599;t=60`"),
    ("RateLimit-Policy", "string", "All limits that applied: `\"user\";q=600;w=60, \"posts\";q=30;w=60`"),
];

/// For the description of the whole.
pub(super) fn description() -> String {
    format!(
        "## Limits\n\n\
         A limit is so many requests in a window of {WINDOW_S} seconds, which begins with the first one. Without a good \
         token requests count for their address (of IPv6, its /64 network), with one for the user. By default: \
         `{}`. `account` is signing in by account, whatever the address; `password` is checking the password of somebody \
         who is signed in; `refresh` is by session. A request that is refused counts for nothing. What is answered before a server has started \
         has none of these headers.\n\n\
         ## Methods\n\n\
         Each path that has `GET` has `HEAD`, which is the same without a body. Each path answers `OPTIONS` with 204 and \
         `Allow`, and a method that it does not have with 405 and `Allow`.\n\n\
         ## Other origins\n\n\
         Pages of origins that the server is configured for may ask, without credentials in the sense of CORS: the token \
         in `Authorization` needs none.",
        Quotas::default()
    )
}

/// The headers, by name.
pub(super) fn headers() -> Value {
    let header = |(name, r#type, description): (&str, &str, &str)| {
        let mut schema = json!({"type": r#type});
        if r#type == "integer" {
            schema["minimum"] = 0.into();
        }
        (name.to_owned(), json!({"description": description, "required": true, "schema": schema}))
    };
    Value::Object(ALWAYS.into_iter().chain(LIMITED).map(header).collect())
}

/// The errors that the door answers with.
pub(super) fn add_errors(path: &str, method: &str, operation: &mut Value) {
    add_error(operation, "406", "`Accept` allows neither `application/json` nor `application/problem+json`");
    add_error(operation, "414", "Path and query are too long");
    add_error(operation, "431", "There are too many headers, or they are too long");
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or_default();
    let demand = Demand::of(&method, path);
    let class = demand.class.map_or_else(String::new, |class| format!(" and `{}`", class.name()));
    let weight = if demand.cost == 1 { String::new() } else { format!("; this counts as {} requests", demand.cost) };
    let limit = format!("More in a minute than the limits for all requests{class} allow{weight}");
    let response = &mut operation["responses"]["429"];
    match response["description"].as_str() {
        Some(other) => response["description"] = format!("{other}; or: {limit}").into(),
        None => *response = json!({"description": limit}),
    }
}

/// The headers that the door promises. A server that is still starting says 503 before anything is counted.
pub(super) fn add_headers(status: &str, is_plumbing: bool, headers: &mut Map<String, Value>) {
    let limited = if is_plumbing || status == "503" { &[] } else { LIMITED.as_slice() };
    for (name, ..) in ALWAYS.iter().chain(limited) {
        headers.insert((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    }
}
