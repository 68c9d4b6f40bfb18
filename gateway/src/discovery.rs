//! What others need to verify our access tokens by themselves: the public keys, and where they are.

use crate::backend::App;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use events::Timestamp;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(configuration)).routes(routes!(keys))
}

/// Where the public keys are.
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";
/// On a shared keyring a new key signs 30 s after it was made, and every node publishes it within 15 s: a copy that is kept
/// no longer than the rest never lacks the key that signs.
const KEEP: &str = "public, max-age=15";

/// Who issues access tokens here, and how to verify them (OpenID Connect Discovery 1.0, RFC 8414). There is no
/// authorization endpoint: people sign in at `/users/auth/login`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Discovery {
    /// The `iss` of every access token.
    #[schema(schema_with = crate::schemas::url)]
    issuer: String,
    /// Where the public keys are.
    #[schema(schema_with = crate::schemas::url)]
    jwks_uri: String,
    /// Empty: no tokens are given in redirects.
    response_types_supported: [&'static str; 0],
    /// Always `public`: everybody knows a user by the same `sub`.
    subject_types_supported: [&'static str; 1],
    /// How access tokens are signed.
    id_token_signing_alg_values_supported: [&'static str; 1],
    /// The claims of an access token.
    claims_supported: [&'static str; 7],
}

/// A set of public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct JwkSet {
    /// Those that verify tokens which may be good, and the next one that will sign.
    pub(crate) keys: Vec<Jwk>,
}

/// A public key of Ed25519 (RFC 8037).
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Jwk {
    /// Always `OKP`.
    pub(crate) kty: &'static str,
    /// Always `Ed25519`.
    pub(crate) crv: &'static str,
    /// Always `EdDSA`.
    pub(crate) alg: &'static str,
    /// Always `sig`.
    pub(crate) r#use: &'static str,
    /// The `kid` of the tokens that it verifies.
    pub(crate) kid: String,
    /// The key itself.
    pub(crate) x: String,
}

/// Who issues access tokens, and where the public keys are
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "plumbing",
    responses((status = 200, description = "The configuration", body = Discovery)))]
async fn configuration(State(app): State<App>) -> Response {
    let issuer = app.tokens.issuer().to_owned();
    let discovery = Discovery {
        jwks_uri: format!("{issuer}{JWKS_PATH}"),
        issuer,
        response_types_supported: [],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["EdDSA"],
        claims_supported: ["iss", "aud", "sub", "sid", "jti", "iat", "exp"],
    };
    kept(Json(discovery))
}

/// The public keys that verify access tokens
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "plumbing",
    responses((status = 200, description = "The keys", body = JwkSet),
        (status = 503, description = "The keyring does not answer", body = crate::error::Error)))]
async fn keys(State(app): State<App>) -> Result<Response, ApiError> {
    Ok(kept(Json(JwkSet { keys: app.tokens.public_keys(Timestamp::now())? })))
}

fn kept(answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(KEEP));
    answer
}
