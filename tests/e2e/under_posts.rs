//! What lies under posts: comments and likes.

use anyhow::Result;
use http::StatusCode;
use serde_json::json;
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_listed_oldest_first_and_counted() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "a post").await?;
    let path = format!("/posts/{post}/comments");
    let first =
        server.post(path.as_str()).by(&bob).json(&json!({ "text": "first", "author_id": ada.id })).send().await?;
    assert_eq!((first.status, first.text("author_id")), (StatusCode::CREATED, bob.id.clone()));
    let second = server.post(path.as_str()).by(&ada).json(&json!({ "text": "second" })).send().await?;
    // Bob's session has seen nothing of Ada's comment: its token says what to wait for.
    let token = second.header("x-consistency-token").unwrap();
    let listed = server.get(path.as_str()).by(&bob).header("x-consistency-token", token).send().await?;
    assert_eq!(listed.body["comments"], json!([first.body, second.body]));
    assert_eq!(server.get(first.header("location").unwrap()).by(&bob).send().await?.body, first.body);
    let counted = server.get(format!("/posts/{post}")).by(&ada).send().await?;
    assert_eq!(counted.body["comments_count"], 2);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_deleted_by_its_author_or_that_of_the_post() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    let post = server.publish(&ada, "a post").await?;
    let other = server.publish(&ada, "another").await?;
    for deleter in [&bob, &ada] {
        let added =
            server.post(format!("/posts/{post}/comments")).by(&bob).json(&json!({ "text": "x" })).send().await?;
        let path = added.header("location").unwrap();
        let elsewhere = path.replace(&post, &other);
        assert_eq!(server.get(elsewhere.as_str()).by(&bob).send().await?.error(), (404, "NotFound"));
        assert_eq!(server.delete(path).by(&eve).send().await?.error(), (403, "Forbidden"));
        assert_eq!(server.delete(path).by(deleter).send().await?.status, StatusCode::NO_CONTENT);
        assert_eq!(server.delete(path).by(deleter).send().await?.error(), (404, "NotFound"));
        assert_eq!(server.get(path).by(deleter).send().await?.error(), (404, "NotFound"));
    }
    let nowhere =
        server.post(format!("/posts/{}/comments", ada.id)).by(&bob).json(&json!({ "text": "x" })).send().await?;
    assert_eq!(nowhere.error(), (404, "NotFound"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_like_counts_once_and_can_be_taken_back() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "a post").await?;
    let path = format!("/posts/{post}/likes");
    let first = server.post(path.as_str()).by(&bob).send().await?;
    let again = server.post(path.as_str()).by(&bob).send().await?;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.body, again.body);
    assert_eq!(server.get(path.as_str()).by(&bob).send().await?.body["likes"], json!([first.body]));
    let liked = server.get(format!("/posts/{post}")).by(&bob).send().await?;
    assert_eq!((&liked.body["likes_count"], &liked.body["liked_by_me"]), (&1.into(), &true.into()));
    assert_eq!(server.get(format!("/posts/{post}")).by(&ada).send().await?.body["liked_by_me"], false);

    assert_eq!(server.delete(path.as_str()).by(&bob).send().await?.status, StatusCode::NO_CONTENT);
    assert_eq!(server.delete(path.as_str()).by(&bob).send().await?.error(), (404, "NotFound"));
    assert_eq!(server.get(path.as_str()).by(&bob).send().await?.body["likes"], json!([]));
    let nowhere = format!("/posts/{}/likes", ada.id);
    assert_eq!(server.post(nowhere.as_str()).by(&bob).send().await?.error(), (404, "NotFound"));
    server.close().await
}
