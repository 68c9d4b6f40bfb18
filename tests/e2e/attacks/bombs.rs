//! API4, API7: what would cost much, and what would have the server ask others.

use super::Attack;
use anyhow::Result;
use serde_json::json;
use std::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn what_would_cost_much_is_refused_early() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let eve = attack.eve.token.clone();
    let json_type = ("content-type", "application/json");
    let many = format!("{{{}\"content\":\"x\"}}", (0..30_000).map(|n| format!("\"a{n}\":0,")).collect::<String>());
    let brackets = format!("{{\"content\":{}", "[".repeat(200_000));
    let number = format!("{{\"content\":{}}}", "9".repeat(200_000));
    for (what, body, status) in [
        ("300,000 bytes", format!("{{\"content\":\"{}\"}}", "x".repeat(300_000)), 413),
        ("30,000 fields, which is too large as well", many, 413),
        ("200,000 open brackets", brackets, 400),
        ("a number of 200,000 digits", number, 400),
        (
            "a text that is only combining marks, too many",
            json!({ "content": "\u{301}".repeat(5_001) }).to_string(),
            400,
        ),
        (
            "5,001 characters that grow when folded",
            json!({ "content": format!("#{}", "\u{fdfa}".repeat(5_000)) }).to_string(),
            400,
        ),
    ] {
        attack
            .tries(what, |it| it.post("/posts").token(&eve).raw(body.clone()).header(json_type.0, json_type.1), status)
            .await?;
    }
    // A body of 1 KiB that would be 1 GiB.
    for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
        attack
            .tries(
                format!("a body that says it is {encoding}"),
                |it| {
                    it.post("/posts")
                        .token(&eve)
                        .raw("{}")
                        .header(json_type.0, json_type.1)
                        .header("content-encoding", encoding)
                },
                415,
            )
            .await?;
    }
    for limit in ["0", "101", "-1", "1e3", "99999999999999999999", "0x10", "%00"] {
        attack.tries(format!("limit={limit}"), |it| it.get(format!("/posts?limit={limit}")), 400).await?;
    }
    let cursor = "A".repeat(8_000);
    attack.tries("a cursor of 8,000 characters", |it| it.get(format!("/posts?cursor={cursor}")), 400).await?;
    let key = "k".repeat(10_000);
    let content = json!({ "content": "x" });
    attack
        .tries(
            "an Idempotency-Key of 10,000 characters",
            |it| it.post("/posts").token(&eve).json(&content).header("idempotency-key", &key),
            400,
        )
        .await?;
    let token = "a".repeat(50_000);
    attack.tries("a token of 50,000 characters", |it| it.get("/users/me").token(&token), 431).await?;
    let token = "a".repeat(10_000);
    attack.tries("a token of 10,000 characters", |it| it.get("/users/me").token(&token), 401).await?;
    attack.end("Resources (API4)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_fetches_nothing_that_a_client_names() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let eve = attack.eve.token.clone();
    let trap = TcpListener::bind("127.0.0.1:0")?;
    trap.set_nonblocking(true)?;
    let trap_url = format!("http://{}/image.jpg", trap.local_addr()?);
    for url in [
        trap_url.as_str(),
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/",
        "//127.0.0.1/x",
    ] {
        let post = json!({ "content": "look", "media_url": url });
        attack
            .tries(
                format!("media_url {}", url.replace(&trap_url, "of a trap")),
                |it| it.post("/posts").token(&eve).json(&post),
                400,
            )
            .await?;
        let avatar = json!({ "avatar_url": url });
        attack.tries("the same as avatar_url", |it| it.put("/users/me").token(&eve).json(&avatar), 400).await?;
    }
    assert!(trap.accept().is_err(), "somebody came to the trap");
    attack.end("Requests on behalf of others (API7)").await
}
