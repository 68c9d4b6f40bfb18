//! The feed.

use anyhow::Result;
use serde_json::{Value, json};
use tidings_tests::server::{Person, TestServer};

async fn contents(server: &TestServer, reader: &Person) -> Result<Vec<Value>> {
    let feed = server.get("/feed").by(reader).send().await?.body["feed"].take();
    Ok(feed.as_array().into_iter().flatten().map(|post| post["content"].clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_holds_what_the_reader_and_whom_they_follow_have_posted() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    server.publish(&ada, "1 of ada").await?;
    server.publish(&eve, "2 of eve").await?;
    let own = server.publish(&bob, "3 of bob").await?;
    assert_eq!(contents(&server, &bob).await?, ["3 of bob"]);
    server.post(format!("/users/{}/follow", ada.id)).by(&bob).send().await?;
    assert_eq!(contents(&server, &bob).await?, ["3 of bob", "1 of ada"]);
    server.delete(format!("/posts/{own}")).by(&bob).send().await?;
    assert_eq!(contents(&server, &bob).await?, ["1 of ada"]);
    server.delete(format!("/users/{}/follow", ada.id)).by(&bob).send().await?;
    assert_eq!(contents(&server, &bob).await?, Vec::<Value>::new());
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_that_is_not_there_yet_is_refused() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let latest = server.get("/feed?mode=latest").by(&ada).send().await?;
    assert_eq!(latest.body, json!({ "feed": [], "next_cursor": null }));
    for mode in ["relevance", "LATEST", ""] {
        assert_eq!(server.get(format!("/feed?mode={mode}")).by(&ada).send().await?.error(), (400, "InvalidRequest"));
    }
    assert_eq!(server.get("/feed").send().await?.error(), (401, "Unauthorized"));
    server.close().await
}
