//! What a post has said, for its author.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn an_author_reads_every_version_newest_first_and_nobody_else_any() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let written = server.post("/posts").by(&ada).json(&json!({ "content": "one #a @bob" })).send().await?;
    let path = written.header("location").unwrap();
    let history = format!("{path}/history");
    let mut expected = vec![json!({
        "version": 1, "content": "one #a @bob", "hashtags": ["a"],
        "mentions": [{ "id": bob.id, "username": "bob", "avatar_url": null }], "created_at": written.body["created_at"],
    })];
    for n in 2..5 {
        let edited = server.put(path).by(&ada).json(&json!({ "content": format!("edit {n}") })).send().await?;
        let (content, at) = (&edited.body["content"], &edited.body["edited_at"]);
        expected.push(json!({ "version": n, "content": content, "hashtags": [], "mentions": [], "created_at": at }));
    }
    expected.reverse();
    let read = server.get(history.as_str()).by(&ada).send().await?;
    assert_eq!(read.body, json!({ "versions": expected, "next_cursor": null }));
    let (mut paged, mut next) = (Vec::new(), format!("{history}?limit=3"));
    loop {
        let page = server.get(next.as_str()).by(&ada).send().await?;
        paged.extend(page.body["versions"].as_array().unwrap().clone());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        next = format!("{history}?limit=3&cursor={cursor}");
    }
    assert_eq!(paged, expected);

    assert_eq!(server.get(history.as_str()).by(&bob).send().await?.error(), (403, "Forbidden"));
    assert_eq!(server.get(history.as_str()).send().await?.error(), (401, "Unauthorized"));
    assert_eq!(server.get("/posts/x/history").by(&ada).send().await?.error(), (400, "InvalidRequest"));
    assert_eq!(server.get(format!("/posts/{}/history", ada.id)).by(&ada).send().await?.error(), (404, "NotFound"));
    server.delete(path).by(&ada).send().await?;
    assert_eq!(server.get(history.as_str()).by(&ada).send().await?.error(), (404, "NotFound"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_post_that_is_edited_for_ever_the_newest_fifty_versions_are_read() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "first").await?;
    for n in 2..=55 {
        let body = json!({ "content": format!("version {n}") });
        let edited = server.put(format!("/posts/{post}")).by(&ada).json(&body).send().await?;
        assert_eq!(edited.status, StatusCode::OK);
    }
    let server = server.restart().await?;
    let read = server.get(format!("/posts/{post}/history?limit=100")).by(&ada).send().await?;
    let numbers = read.body["versions"].as_array().unwrap().iter().map(|it| it["version"].as_u64().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), (6..=55).rev().collect::<Vec<_>>());
    assert_eq!(read.body["next_cursor"], Value::Null);
    server.close().await
}
