//! Posts: written, read, edited, deleted.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_post_reads_as_it_was_answered() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("Bob").await?);
    let content = "Hi @BOB, @nobody_here! #Rust #rust (#日本語) a#b #2024 😀";
    let written =
        server.post("/posts").by(&ada).json(&json!({ "content": content, "author_id": bob.id })).send().await?;
    assert_eq!(written.status, StatusCode::CREATED);
    assert_eq!(written.body["author_id"], ada.id.as_str(), "the token says who");
    assert_eq!(written.body["content"], content);
    assert_eq!(written.body["hashtags"], json!(["rust", "日本語"]));
    assert_eq!(written.body["mentions"], json!([{ "id": bob.id, "username": "Bob", "avatar_url": null }]));
    assert_eq!((&written.body["status"], &written.body["media_url"]), (&json!("PUBLISHED"), &Value::Null));
    let read = server.get(written.header("location").unwrap()).by(&ada).send().await?;
    assert_eq!(read.body, written.body);
    let listed = server.get(format!("/posts?author_id={}", ada.id)).by(&ada).send().await?;
    assert_eq!((&listed.body["posts"], &listed.body["next_cursor"]), (&json!([written.body]), &Value::Null));
    assert_eq!(server.get(format!("/posts?author_id={}", bob.id)).by(&ada).send().await?.body["posts"], json!([]));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_author_edits_and_deletes_a_post() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "first #one").await?;
    let path = format!("/posts/{post}");
    let before = server.records().await?;
    let foreign = server.put(path.as_str()).by(&bob).json(&json!({ "content": "mine" })).send().await?;
    assert_eq!(foreign.error(), (403, "Forbidden"));
    assert_eq!(server.delete(path.as_str()).by(&bob).send().await?.error(), (403, "Forbidden"));
    assert_eq!(server.records().await?, before);

    let edited = server.put(path.as_str()).by(&ada).json(&json!({ "content": "second #two" })).send().await?;
    assert_eq!((edited.status, &edited.body["hashtags"]), (StatusCode::OK, &json!(["two"])));
    assert!(edited.body["edited_at"].as_str() > edited.body["created_at"].as_str());
    assert_eq!(server.get(path.as_str()).by(&ada).send().await?.body, edited.body);

    assert_eq!(server.delete(path.as_str()).by(&ada).send().await?.status, StatusCode::NO_CONTENT);
    assert_eq!(server.delete(path.as_str()).by(&ada).send().await?.error(), (404, "NotFound"));
    let late = server.put(path.as_str()).by(&ada).json(&json!({ "content": "third" })).send().await?;
    assert_eq!(late.error(), (404, "NotFound"));
    for under in ["", "/comments", "/likes"] {
        assert_eq!(server.get(format!("{path}{under}")).by(&ada).send().await?.error(), (404, "NotFound"));
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_media_yet() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let before = server.records().await?;
    for (url, error) in [
        (json!("https://example.com/image.jpg"), (400, "InvalidRequest")),
        (json!(7), (400, "InvalidRequest")),
        (json!("/media/00000000-0000-4000-8000-000000000000"), (403, "Forbidden")),
    ] {
        let body = json!({ "content": "look", "media_url": url });
        assert_eq!(server.post("/posts").by(&ada).json(&body).send().await?.error(), error, "{url}");
    }
    assert_eq!(server.records().await?, before);
    let none = json!({ "content": "look", "media_url": null });
    assert_eq!(server.post("/posts").by(&ada).json(&none).send().await?.status, StatusCode::CREATED);
    server.close().await
}
