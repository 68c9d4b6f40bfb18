//! A post is created in steps: who does not wait for them, and who has too many under way.

use anyhow::{Context, Result};
use commands::{FeedSlotCommand, POSTS_IN_CREATION_MAX};
use events::{Key, PostId, SagaId, UserId};
use http::StatusCode;
use serde_json::json;
use tidings_tests::offline;
use tidings_tests::server::TestServer;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_wait_is_told_where_the_post_will_be() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let body = json!({ "content": "later #today" });
    let call = || server.post("/posts").by(&ada).key("posted-later").header("prefer", "respond-async").json(&body);
    let begun = call().send().await?;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    assert_eq!(begun.header("preference-applied"), Some("respond-async"));
    assert_eq!((&begun.body["content"], &begun.body["author_id"]), (&body["content"], &json!(ada.id)));
    let location = begun.header("location").context("no Location")?.to_owned();
    assert_eq!(location, format!("/posts/{}", begun.text("id")));
    server.settle().await?;
    for reader in [&ada, &bob] {
        let post = server.get(location.as_str()).by(reader).send().await?;
        assert_eq!((post.status, &post.body["status"]), (StatusCode::OK, &json!("PUBLISHED")));
    }
    let again = call().send().await?;
    assert!([StatusCode::CREATED, StatusCode::ACCEPTED].contains(&again.status), "{}", again.status);
    assert_eq!((&again.body["id"], &again.body["status"]), (&begun.body["id"], &json!("PUBLISHED")));
    let waits = server.post("/posts").by(&ada).header("prefer", "consistency=strict").json(&body).send().await?;
    assert_eq!((waits.status, waits.header("preference-applied")), (StatusCode::CREATED, None));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_too_many_posts_in_creation_waits_for_one_of_them() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let user: UserId = ada.id.parse()?;
    let slot = |n: usize| (PostId(Uuid::from_u128(n as u128)), SagaId(Uuid::from_u128(n as u128)));
    let directory = server.stop().await?;
    let reserve = |n: usize| {
        let (post, saga) = slot(n);
        (Key::User(user), FeedSlotCommand::Reserve { user, post, saga }.into())
    };
    let data = directory.path().join("data");
    offline::submit(&data, (0..POSTS_IN_CREATION_MAX).map(reserve).collect()).await?;
    let server = TestServer::over(directory).await?;
    let body = json!({ "content": "one too many" });
    let before = server.records().await?;
    for _ in 0..2 {
        let refused = server.post("/posts").by(&ada).key("one-too-many").json(&body).send().await?;
        assert_eq!(refused.error(), (429, "TooManyRequests"));
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(server.records().await?, before, "nothing began");
    assert_eq!(server.get("/posts").by(&ada).send().await?.body["posts"], json!([]));
    let directory = server.stop().await?;
    let (post, saga) = slot(7);
    let release = FeedSlotCommand::Release { user, post, saga };
    offline::submit(&data, vec![(Key::User(user), release.into())]).await?;
    let server = TestServer::over(directory).await?;
    // The key was not used up.
    let published = server.post("/posts").by(&ada).key("one-too-many").json(&body).send().await?;
    assert_eq!(published.status, StatusCode::CREATED, "{}", published.body);
    server.close().await
}
