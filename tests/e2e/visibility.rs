//! Reading what one has written: at once, by session or by token, and right after a restart.

use anyhow::Result;
use http::StatusCode;
use serde_json::json;
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_sees_it_at_once() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    for n in 0..200 {
        let post = server.publish(&ada, &format!("post {n}")).await?;
        let read = server.get(format!("/posts/{post}")).by(&ada).header("prefer", "consistency=strict").send().await?;
        assert_eq!((read.status, read.header("x-consistency")), (StatusCode::OK, None), "post {n}");
        let feed = server.get("/feed?mode=latest&limit=1").by(&ada).send().await?;
        assert_eq!(feed.body["feed"][0]["id"], post.as_str());
        let profile = server.get("/users/me").by(&ada).send().await?;
        assert_eq!(profile.body["posts_count"], n + 1);
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_shows_a_write_to_anybody() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    for n in 0..50 {
        let written = server.post("/posts").by(&ada).json(&json!({ "content": format!("post {n}") })).send().await?;
        let token = written.header("x-consistency-token").unwrap();
        let read = server.get(written.header("location").unwrap()).header("x-consistency-token", token).send().await?;
        assert_eq!((read.status, read.header("x-consistency")), (StatusCode::OK, None), "post {n}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_right_after_a_restart() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "a post #tag @bob").await?;
    server.put("/users/me").by(&ada).json(&json!({ "bio": "still here" })).send().await?;
    server.post(format!("/users/{}/follow", ada.id)).by(&bob).send().await?;
    server.post(format!("/posts/{post}/likes")).by(&bob).send().await?;
    server.post(format!("/posts/{post}/comments")).by(&bob).json(&json!({ "text": "so" })).send().await?;
    let paths = [
        "/users/me".to_owned(),
        format!("/users/{}", ada.id),
        format!("/users/{}/followers", ada.id),
        format!("/posts/{post}"),
        format!("/posts/{post}/comments"),
        format!("/posts/{post}/likes"),
        "/posts".to_owned(),
        "/feed?mode=latest".to_owned(),
        "/hashtags/tag/posts".to_owned(),
        format!("/users/{}/posts", ada.id),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(server.get(path.as_str()).by(&bob).send().await?.body);
    }
    let server = server.restart().await?;
    for (path, before) in paths.iter().zip(before) {
        let after = server.get(path.as_str()).by(&bob).header("prefer", "consistency=strict").send().await?;
        assert_eq!(after.body, before, "{path}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_read_makes_the_answer_stale_and_a_strict_one_unavailable() -> Result<()> {
    let server = TestServer::start().await?;
    for token in ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let read = server.get("/posts").header("x-consistency-token", token).send().await?;
        assert_eq!((read.status, read.header("x-consistency")), (StatusCode::OK, Some("stale")));
        let strict = server.get("/posts").header("x-consistency-token", token).header("prefer", "consistency=strict");
        let strict = strict.send().await?;
        assert_eq!(strict.error(), (503, "Unavailable"));
    }
    server.close().await
}
