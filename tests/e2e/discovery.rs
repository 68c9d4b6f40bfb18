//! What others need to verify our access tokens by themselves.

use anyhow::{Context, Result};
use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use tidings_tests::server::TestServer;

const PUBLIC_URL: &str = "https://social.example";

#[tokio::test(flavor = "multi_thread")]
async fn anybody_can_verify_an_access_token_with_what_is_published() -> Result<()> {
    let settings = |config: &mut gateway::Config| config.public_url = format!("{PUBLIC_URL}/");
    let server = TestServer::over_with(tempfile::tempdir()?, settings).await?;
    let ada = server.register("ada").await?;
    let found = server.get("/.well-known/openid-configuration").send().await?;
    assert_eq!((found.status, found.text("issuer")), (StatusCode::OK, PUBLIC_URL.to_owned()));
    let path = found.text("jwks_uri").strip_prefix(PUBLIC_URL).context("elsewhere")?.to_owned();
    let published = server.get(path).send().await?;
    assert_eq!(published.header("cache-control"), Some("public, max-age=15"));
    let keys: JwkSet = serde_json::from_value(published.body)?;

    let kid = decode_header(&ada.token)?.kid.context("no kid")?;
    let key = DecodingKey::from_jwk(keys.find(&kid).context("the key is not published")?)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[PUBLIC_URL]);
    validation.set_audience(&["tidings"]);
    let claims = decode::<Value>(&ada.token, &key, &validation)?.claims;
    assert_eq!(claims["sub"], ada.id.as_str());
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn under_another_name_former_tokens_are_worth_nothing_and_are_refreshed() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let login = serde_json::json!({ "email": ada.email, "password": tidings_tests::server::PASSWORD });
    let session = server.post("/auth/login").json(&login).send().await?;
    let server =
        TestServer::over_with(server.stop().await?, |config| config.public_url = PUBLIC_URL.to_owned()).await?;
    assert_eq!(server.get("/users/me").by(&ada).send().await?.error(), (401, "Unauthorized"));
    let body = serde_json::json!({ "refresh_token": session.text("refresh_token") });
    let next = server.post("/auth/refresh").json(&body).send().await?.text("access_token");
    assert_eq!(server.get("/users/me").token(&next).send().await?.status, StatusCode::OK);
    server.close().await
}
