//! The same request again: the same answer, once in effect.

use anyhow::Result;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tidings_tests::server::TestServer;

const KEY: &str = "a-key-of-my-own";

#[tokio::test(flavor = "multi_thread")]
async fn a_post_sent_again_is_the_same_post_also_after_a_restart() -> Result<()> {
    let mut server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let first = server.post("/posts").by(&ada).key(KEY).json(&json!({ "content": "one" })).send().await?;
    server.put(first.header("location").unwrap()).by(&ada).json(&json!({ "content": "edited" })).send().await?;
    for restart in [false, true] {
        if restart {
            server = server.restart().await?;
        }
        let before = server.records().await?;
        // Other spellings of the same JSON are the same request.
        let spelt = r#"{ "unknown": 1, "content": "one", "media_url": null }"#;
        let again = server.post("/posts").by(&ada).key(KEY).raw(spelt).header("content-type", "application/json");
        let again = again.send().await?;
        assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]));
        assert_eq!(again.body["content"], "edited", "the resource as it is now");
        assert_eq!(server.records().await?, before);
        let other = server.post("/posts").by(&ada).key(KEY).json(&json!({ "content": "two" })).send().await?;
        assert_eq!(other.error(), (409, "KeyReused"));
    }
    let comments = format!("{}/comments", first.header("location").unwrap());
    for (text, status) in [("one", 201), ("one", 201), ("two", 409)] {
        let answer = server.post(comments.as_str()).by(&ada).key(KEY).json(&json!({ "text": text })).send().await?;
        assert_eq!(answer.status.as_u16(), status, "{text}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_what_was_deleted_since_is_not_found() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "a post").await?;
    for (path, undo, body) in [
        (format!("/posts/{post}/comments"), None, json!({ "text": "x" })),
        (format!("/posts/{post}/likes"), Some(format!("/posts/{post}/likes")), Value::Null),
        (format!("/users/{}/follow", ada.id), Some(format!("/users/{}/follow", ada.id)), Value::Null),
        ("/posts".to_owned(), None, json!({ "content": "mine" })),
    ] {
        let first = server.post(path.as_str()).by(&bob).key(KEY).json(&body).send().await?;
        let again = server.post(path.as_str()).by(&bob).key(KEY).json(&body).send().await?;
        assert_eq!((first.status, &first.body), (again.status, &again.body), "{path}");
        assert_eq!(first.status, StatusCode::CREATED);
        let undo = undo.unwrap_or_else(|| first.header("location").unwrap().to_owned());
        for _ in 0..2 {
            let gone = server.delete(undo.as_str()).by(&bob).key("the-deletion").send().await?;
            assert_eq!(gone.status, StatusCode::NO_CONTENT, "{undo}");
        }
        let late = server.post(path.as_str()).by(&bob).key(KEY).json(&body).send().await?;
        assert_eq!(late.error(), (404, "NotFound"), "{path}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_sent_again_is_answered_with_what_is_there_now() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "one").await?;
    for (path, field, first, second) in
        [(format!("/posts/{post}"), "content", "two", "three"), ("/users/me".to_owned(), "bio", "old", "new")]
    {
        let put = |key: &'static str, value: &str| {
            server.call(Method::PUT, path.as_str()).by(&ada).key(key).json(&json!({ field: value }))
        };
        assert_eq!(put("first-change", first).send().await?.body[field], first);
        assert_eq!(put("second-change", second).send().await?.body[field], second);
        let again = put("first-change", first).send().await?;
        assert_eq!((again.status, &again.body[field]), (StatusCode::OK, &json!(second)));
        assert_eq!(put("first-change", second).send().await?.error(), (409, "KeyReused"));
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_a_user_and_a_place() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let body = json!({ "content": "the same" });
    let of_ada = server.post("/posts").by(&ada).key(KEY).json(&body).send().await?;
    let of_bob = server.post("/posts").by(&bob).key(KEY).json(&body).send().await?;
    assert_eq!((of_ada.status, of_bob.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_ne!(of_ada.body["id"], of_bob.body["id"]);
    let comment = json!({ "text": "the same" });
    let mut ids = Vec::new();
    for post in [&of_ada, &of_bob] {
        let path = format!("/posts/{}/comments", post.text("id"));
        let added = server.post(path).by(&ada).key(KEY).json(&comment).send().await?;
        assert_eq!(added.status, StatusCode::CREATED);
        ids.push(added.text("id"));
    }
    assert_ne!(ids[0], ids[1]);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_under_one_key_are_one() -> Result<()> {
    let server = std::sync::Arc::new(TestServer::start().await?);
    let ada = server.register("ada").await?;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (server, ada) = (std::sync::Arc::clone(&server), ada.clone());
        requests.spawn(async move {
            server.post("/posts").by(&ada).key(KEY).json(&json!({ "content": "one" })).send().await
        });
    }
    for answer in requests.join_all().await {
        assert_eq!(answer?.status, StatusCode::CREATED);
    }
    let posts = server.get("/posts").by(&ada).send().await?;
    assert_eq!(posts.body["posts"].as_array().map(Vec::len), Some(1));
    std::sync::Arc::into_inner(server).unwrap().close().await
}
