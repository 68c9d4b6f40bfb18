//! `tidings keyring rotate`: nobody is logged out, and new tokens are signed by the new key.

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use tidings_tests::child::{HttpClient, Server, tidings};

const PASSWORD: &str = "correct horse battery";

fn keyring(what: &str, data: &Path) -> Result<String> {
    let output = Command::new(tidings()).args(["keyring", what, "--data"]).arg(data).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn token(client: &HttpClient, path: &str) -> Result<String> {
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "username": "ada"});
    let (_, body) = client.until_answered(Method::POST, path, Some(&body), &[]).await?;
    Ok(body["access_token"].as_str().with_context(|| body.to_string())?.to_owned())
}

async fn is_taken(client: &HttpClient, token: &str) -> Result<bool> {
    let bearer = format!("Bearer {token}");
    let (status, _) = client.send(Method::GET, "/users/me", None, &[("authorization", &bearer)]).await?;
    Ok(status == StatusCode::OK)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_logs_nobody_out() -> Result<()> {
    let home = tempfile::tempdir()?;
    let data = home.path().join("data");
    let mut server = Server::start(&data).await?;
    let client = HttpClient::new(server.url());
    let before = token(&client, "/users/auth/register").await?;
    server.stop().await?;
    ensure!(keyring("show", &data)?.lines().count() == 1, "a new keyring has one key");
    let rotated = keyring("rotate", &data)?;
    ensure!(rotated.lines().count() == 2, "{rotated}");
    server.spawn()?;
    server.ready().await?;
    ensure!(is_taken(&client, &before).await?, "the token of the former key is refused");
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let (status, session) = client.send(Method::POST, "/users/auth/login", Some(&body), &[]).await?;
    ensure!(status == StatusCode::OK, "{status} {session}");
    let after = session["access_token"].as_str().context("no token")?;
    ensure!(is_taken(&client, after).await?, "the new token is refused");
    let kid = |token: &str| token.split('.').next().map(str::to_owned);
    ensure!(kid(&before) != kid(after) || rotated.contains("will sign"), "the new token names the former key");
    Ok(())
}
