//! API2, and RFC 8725: tokens that were forged, mixed up, or kept for too long.

use super::Attack;
use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tidings_tests::server::{PASSWORD, TestServer};
use uuid::Uuid;

fn text(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn read(part: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part)?)?)
}

fn with(value: &Value, name: &str, new: Value) -> Value {
    let mut changed = value.clone();
    changed[name] = new;
    changed
}

/// A key pair of the attacker's: PKCS #8 of Ed25519 with a seed of their own.
fn own_key() -> EncodingKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([7; 32]);
    EncodingKey::from_ed_der(&der)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_not_given_for_this_lets_nobody_in() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let foreign = TestServer::start().await?;
    let stranger = foreign.register("ada").await?;
    let good = attack.eve.token.clone();
    let [header, claims, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().ok().context("no JWT")?;
    let (head, said) = (read(header)?, read(claims)?);
    let kid = head["kid"].as_str().context("no kid")?;
    let keys = attack.server.get("/.well-known/jwks.json").send().await?;
    let public = keys.body["keys"][0]["x"].as_str().context("no key")?.to_owned();
    let as_ada = with(&said, "sub", json!(attack.ada.id));

    let hmac = |secret: &[u8]| {
        let header =
            Header { kid: Some(kid.to_owned()), typ: Some("at+jwt".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &as_ada, &EncodingKey::from_secret(secret))
    };
    let own = |header: Header| encode(&header, &as_ada, &own_key());
    let ed = || Header { kid: Some(kid.to_owned()), typ: Some("at+jwt".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": public});
    let injected =
        |name: &str, value: Value| format!("{}.{}.{signature}", text(&with(&head, name, value)), text(&as_ada));
    let login = json!({ "email": attack.eve.email, "password": PASSWORD });
    let session = attack.server.post("/auth/login").json(&login).send().await?;
    let written = attack.server.put("/users/me").by(&attack.eve).json(&json!({ "bio": "x" })).send().await?;
    let consistency = written.header("x-consistency-token").context("no token")?.to_owned();
    attack.starts_here().await?;
    let tokens = [
        ("claims of another, the signature kept", format!("{header}.{}.{signature}", text(&as_ada))),
        ("alg none, no signature", format!("{}.{}.", text(&with(&head, "alg", json!("none"))), text(&as_ada))),
        ("alg None, the signature kept", injected("alg", json!("None"))),
        ("alg HS256 with the public key as the secret", hmac(&BASE64_URL_SAFE_NO_PAD.decode(&public)?)?),
        ("alg HS256 with the public key's text as the secret", hmac(public.as_bytes())?),
        ("alg HS256 with an empty secret", hmac(b"")?),
        ("signed by a key of one's own under our key's name", own(ed())?),
        ("signed by a key of one's own, without a name", own(Header { kid: None, ..ed() })?),
        ("kid that leads out of the folder", injected("kid", json!("../../../dev/null"))),
        ("kid that would be SQL", injected("kid", json!("x' union select 'secret"))),
        ("the key in the header (jwk)", injected("jwk", jwk)),
        ("the key at a URL (jku)", injected("jku", json!("http://127.0.0.1:9/keys"))),
        ("a certificate at a URL (x5u)", injected("x5u", json!("http://127.0.0.1:9/cert"))),
        ("an extension that must be understood (crit)", injected("crit", json!(["exp"]))),
        ("typ of an id token", injected("typ", json!("JWT"))),
        ("no claims", format!("{header}..{signature}")),
        ("only dots", "..".to_owned()),
        ("five parts, as if it were encrypted", format!("{good}.x.y")),
        ("the token of another installation", stranger.token.clone()),
        ("the refresh token", session.text("refresh_token")),
        ("a consistency token", consistency),
        ("a user's id", attack.eve.id.clone()),
        ("a token twice", format!("{good} {good}")),
        ("a token in a list", format!("{good},{good}")),
    ];
    for (what, token) in tokens {
        attack.tries(what, |it| it.get("/users/me").token(&token), 401).await?;
        // Where none is needed a bad one is not passed over.
        attack.server.get("/posts").token(&token).send().await.and_then(|answer| {
            anyhow::ensure!(answer.status == 401, "{what}: {} where none is needed", answer.status);
            Ok(())
        })?;
    }
    for (what, value) in
        [("Basic", format!("Basic {good}")), ("no scheme", good.clone()), ("Token", format!("Token {good}"))]
    {
        attack.tries(format!("scheme: {what}"), |it| it.get("/users/me").header("authorization", &value), 401).await?;
    }
    attack.tries("the token in the query", |it| it.get(format!("/users/me?access_token={good}")), 401).await?;
    attack
        .tries("the token in a cookie", |it| it.get("/users/me").header("cookie", format!("access_token={good}")), 401)
        .await?;
    attack
        .tries(
            "the access token as refresh token",
            |it| it.post("/auth/refresh").json(&json!({ "refresh_token": good })),
            400,
        )
        .await?;
    foreign.close().await?;
    attack.end("Tokens (API2, RFC 8725)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_not_found_by_other_ways_in() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let email = attack.ada.email.clone();
    for (what, password) in [
        ("a pattern", json!("%%%%%%%%")),
        ("a longer one", json!(format!("{PASSWORD}x"))),
        ("upper case", json!(PASSWORD.to_uppercase())),
    ] {
        let login = json!({ "email": email, "password": password });
        attack.tries(format!("sign in with {what}"), |it| it.post("/auth/login").json(&login), 401).await?;
    }
    for (what, password) in [
        ("true", json!(true)),
        ("an operator", json!({ "$ne": null })),
        ("a list", json!([PASSWORD])),
        ("null", Value::Null),
    ] {
        let login = json!({ "email": email, "password": password });
        attack.tries(format!("sign in with {what}"), |it| it.post("/auth/login").json(&login), 400).await?;
    }
    let known = json!({ "email": email, "password": "not the password" });
    let unknown = json!({ "email": format!("{}@example.com", Uuid::now_v7()), "password": "not the password" });
    let known = attack.tries("a known address", |it| it.post("/auth/login").json(&known), 401).await?;
    let unknown = attack.tries("an unknown address", |it| it.post("/auth/login").json(&unknown), 401).await?;
    assert_eq!(known.body["message"], unknown.body["message"]);
    attack.end("Ways in (API2)").await
}
