//! Tokens of another issuer: a real OpenID Connect provider, which this starts where `./dev test` has installed it
//! (`TIDINGS_TEST_OIDC` names the folder).

#![expect(clippy::print_stdout, reason = "what was not tested is said")]

use anyhow::{Context, Result, ensure};
use gateway::OidcIssuer;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tidings_tests::server::{Answer, PASSWORD, TestServer};
use tokio::task::spawn_blocking;

const AUDIENCE: &str = "tidings";

/// A provider that runs; killed when dropped.
struct Provider {
    process: Child,
    port: u16,
}

/// What a token is to say.
#[derive(Clone, Copy)]
struct Wish<'a> {
    subject: &'a str,
    email: &'a str,
    verified: bool,
    audience: &'a str,
    life_s: u32,
}

const ADA: Wish<'_> =
    Wish { subject: "ada-7", email: "ada@example.com", verified: true, audience: AUDIENCE, life_s: 600 };

impl Provider {
    async fn start(port: u16, key: &str) -> Result<Self> {
        let folder = PathBuf::from(std::env::var_os("TIDINGS_TEST_OIDC").context("no folder")?);
        let mut command = Command::new("node");
        command.arg(folder.join("provider.mjs")).arg(port.to_string()).arg(key);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("node")?;
        let output = BufReader::new(process.stdout.take().context("no output")?);
        let provider = Self { process, port };
        let ready = spawn_blocking(|| output.lines().any(|line| line.is_ok_and(|line| line == "ready"))).await?;
        ensure!(ready, "the provider ended before it was ready");
        Ok(provider)
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn token(&self, wish: Wish<'_>) -> Result<String> {
        let Wish { subject, email, verified, audience, life_s } = wish;
        let form = format!(
            "grant_type=tests&client_id=tests&client_secret=only-between-the-tests-and-this-process&subject={subject}&\
             email={email}&email_verified={verified}&audience={audience}&life={life_s}"
        );
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::post(format!("{}/token", self.issuer()));
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(Full::new(form.into()))?;
        let body = client.request(request).await?.into_body().collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body)?;
        Ok(body["access_token"].as_str().with_context(|| body.to_string())?.to_owned())
    }

    fn stop(self) -> u16 {
        self.port
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // One that has ended by itself is as it should be.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn is_possible() -> bool {
    let possible = std::env::var_os("TIDINGS_TEST_OIDC").is_some();
    if !possible {
        println!("not possible here: no provider is installed, ./dev test installs one");
    }
    possible
}

async fn trusting(provider: &Provider) -> Result<TestServer> {
    let issuer = OidcIssuer { url: provider.issuer(), audience: AUDIENCE.to_owned() };
    TestServer::over_with(tempfile::tempdir()?, |config| config.oidc_issuers = vec![issuer]).await
}

async fn me(server: &TestServer, token: &str) -> Result<Answer> {
    server.get("/users/me").token(token).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_the_issuer_vouches_for_has_an_account_of_their_own() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let provider = Provider::start(free_port()?, "first").await?;
    let server = trusting(&provider).await?;
    let token = provider.token(ADA).await?;
    let first = futures::future::try_join_all((0..8).map(|_| me(&server, &token))).await?;
    for answer in &first {
        assert_eq!((answer.status, answer.text("id")), (StatusCode::OK, first[0].text("id")), "one account");
    }
    let profile = &first[0];
    assert_eq!(profile.text("email"), ADA.email);
    let name = profile.text("username");
    ensure!(name.strip_prefix("user_").is_some_and(|hex| hex.len() == 12), "{name}");
    let posted = server.post("/posts").token(&token).json(&json!({ "content": "from afar" })).send().await?;
    assert_eq!(posted.status, StatusCode::CREATED);

    // Another token of the same subject is another session of the same account, also after a restart.
    let server = TestServer::over_with(server.stop().await?, |config| {
        config.oidc_issuers = vec![OidcIssuer { url: provider.issuer(), audience: AUDIENCE.to_owned() }];
    });
    let server = server.await?;
    let other = provider.token(Wish { email: "new@example.com", ..ADA }).await?;
    assert_eq!(me(&server, &other).await?.text("id"), profile.text("id"));
    assert_eq!(server.post("/users/auth/logout").token(&token).send().await?.status, StatusCode::NO_CONTENT);
    for _ in 0..2 {
        assert_eq!(me(&server, &token).await?.error(), (401, "Unauthorized"), "signed out, whatever the issuer says");
        assert_eq!(me(&server, &other).await?.status, StatusCode::OK);
    }
    let deleted = server.delete("/users/me").token(&other).send().await?;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    let again = provider.token(Wish { life_s: 500, ..ADA }).await?;
    assert_eq!(me(&server, &again).await?.error(), (401, "Unauthorized"), "deleted is deleted");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_or_not_verified_is_never_linked() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let provider = Provider::start(free_port()?, "first").await?;
    let server = trusting(&provider).await?;
    let ada = server.register("ada").await?;
    for wish in
        [ADA, Wish { email: "ADA@example.com", ..ADA }, Wish { verified: false, email: "eve@example.com", ..ADA }]
    {
        let answer = me(&server, &provider.token(wish).await?).await?;
        assert_eq!(answer.error(), (401, "Unauthorized"));
        ensure!(answer.text("message").contains("address"), "{}", answer.body);
    }
    assert_eq!(server.get("/users/me").by(&ada).send().await?.status, StatusCode::OK);
    let elsewhere = provider.token(Wish { email: "other@example.com", ..ADA }).await?;
    assert_ne!(me(&server, &elsewhere).await?.text("id"), ada.id, "a refusal uses nothing up");
    let login = json!({ "email": "other@example.com", "password": PASSWORD });
    assert_eq!(server.post("/auth/login").json(&login).send().await?.error(), (401, "Unauthorized"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_us_or_not_of_whom_we_trust_is_worth_nothing() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let provider = Provider::start(free_port()?, "first").await?;
    let stranger = Provider::start(free_port()?, "first").await?;
    let server = trusting(&provider).await?;
    let good = provider.token(ADA).await?;
    let refused = [
        ("another audience", provider.token(Wish { audience: "others", ..ADA }).await?),
        ("another issuer", stranger.token(ADA).await?),
        ("it lives too long", provider.token(Wish { life_s: 3_601, ..ADA }).await?),
        ("it is changed", changed(&good)?),
        ("signed by another key", resigned(&good, &stranger.token(ADA).await?)?),
        ("without a signature", unsigned(&good)?),
    ];
    for (why, token) in &refused {
        for path in ["/users/me", "/posts"] {
            assert_eq!(server.get(path).token(token).send().await?.error(), (401, "Unauthorized"), "{why}");
        }
    }
    assert_eq!(me(&server, &good).await?.status, StatusCode::OK);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_rotated_is_fetched_and_a_silent_issuer_harms_nobody_who_is_known() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let provider = Provider::start(free_port()?, "first").await?;
    let server = trusting(&provider).await?;
    let before = provider.token(ADA).await?;
    assert_eq!(me(&server, &before).await?.status, StatusCode::OK);
    let unseen = provider.token(Wish { life_s: 300, ..ADA }).await?;
    let port = provider.stop();
    assert_eq!(me(&server, &unseen).await?.status, StatusCode::OK, "its key is known");

    let rotated = Provider::start(port, "second").await?;
    let after = rotated.token(ADA).await?;
    let port = rotated.stop();
    let silent = me(&server, &after).await?;
    assert_eq!((silent.error(), silent.header("retry-after")), ((503, "Unavailable"), Some("1")), "nobody can tell");
    let rotated = Provider::start(port, "third").await?;
    let third = rotated.token(ADA).await?;
    assert_eq!(me(&server, &third).await?.status, StatusCode::OK, "the new key was fetched");
    assert_eq!(me(&server, &after).await?.error(), (401, "Unauthorized"), "no such key");
    assert_eq!(me(&server, &before).await?.status, StatusCode::OK, "it was verified before");
    server.close().await
}

fn parts(token: &str) -> Result<[&str; 3]> {
    token.split('.').collect::<Vec<_>>().try_into().map_err(|_| anyhow::anyhow!("not a JWT"))
}

/// Says that somebody else is meant.
fn changed(token: &str) -> Result<String> {
    let [header, claims, signature] = parts(token)?;
    let mut claims: Value = serde_json::from_slice(&decoded(claims)?)?;
    claims["sub"] = "somebody-else".into();
    Ok(format!("{header}.{}.{signature}", encoded(claims.to_string().as_bytes())))
}

fn resigned(token: &str, by: &str) -> Result<String> {
    let ([header, claims, _], [_, _, signature]) = (parts(token)?, parts(by)?);
    Ok(format!("{header}.{claims}.{signature}"))
}

fn unsigned(token: &str) -> Result<String> {
    let [_, claims, _] = parts(token)?;
    Ok(format!("{}.{claims}.", encoded(br#"{"alg":"none","typ":"at+jwt","kid":"first"}"#)))
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    use base64::Engine;
    Ok(base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(text)?)
}

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
