//! Entity tags: a copy that is still current, and changes that depend on what somebody has seen.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::{Answer, Person, TestServer};

async fn tag(server: &TestServer, reader: &Person, post: &str) -> Result<String> {
    let read = server.get(format!("/posts/{post}")).by(reader).send().await?;
    Ok(read.header("etag").context("no tag")?.to_owned())
}

async fn edit(server: &TestServer, author: &Person, post: &str, text: &str, if_match: &str) -> Result<Answer> {
    let call = server.put(format!("/posts/{post}")).by(author).json(&json!({ "content": text }));
    call.header("if-match", if_match).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_current_until_anything_that_it_shows_changes() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let written = server.post("/posts").by(&ada).json(&json!({ "content": "one" })).send().await?;
    let (path, first) = (written.header("location").unwrap(), written.header("etag").unwrap());
    let get = |reader: &Person, known: &str| server.get(path).by(reader).header("if-none-match", known).send();
    for known in [first, &format!("W/{first}"), &format!("\"x\" ,, {first}"), "*"] {
        let answer = get(&ada, known).await?;
        assert_eq!((answer.status, &answer.body, answer.header("etag")), (304.try_into()?, &Value::Null, Some(first)));
    }
    for other in ["\"x\"", "", &first.replace("\"1-", "\"2-")] {
        assert_eq!(get(&ada, other).await?.status, StatusCode::OK, "{other}");
    }
    let twice = server.get(path).by(&ada).header("if-none-match", "\"x\"").header("if-none-match", first);
    assert_eq!(twice.send().await?.status, StatusCode::NOT_MODIFIED);
    for garbage in ["x", "\"x", "*, \"x\"", "w/\"x\"", "\"a b\""] {
        assert_eq!(get(&ada, garbage).await?.error(), (400, "InvalidRequest"), "{garbage}");
    }
    server.post(format!("{path}/likes")).by(&bob).send().await?;
    // The next read of Bob's session shows what it has written.
    assert_eq!(get(&bob, first).await?.body["liked_by_me"], true);
    assert_ne!(tag(&server, &ada, &written.text("id")).await?, tag(&server, &bob, &written.text("id")).await?);
    let edited = server.put(path).by(&ada).json(&json!({ "content": "two" })).send().await?;
    assert_eq!((edited.status, edited.header("etag")), (StatusCode::OK, None), "what was sent is not what is shown");
    assert_eq!(get(&ada, first).await?.body["content"], "two");
    assert_eq!(server.get("/posts/x").header("if-none-match", "*").send().await?.error(), (400, "InvalidRequest"));
    let nowhere = server.get(format!("/posts/{}", ada.id)).header("if-none-match", "*").send().await?;
    assert_eq!(nowhere.error(), (404, "NotFound"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_to_the_version_that_was_seen_or_not_at_all() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "one").await?;
    let first = tag(&server, &ada, &post).await?;
    server.post(format!("/posts/{post}/likes")).by(&bob).send().await?;
    assert_eq!(edit(&server, &ada, &post, "two", &first).await?.status, StatusCode::OK, "a like makes no edit stale");

    let before = server.records().await?;
    let second = tag(&server, &ada, &post).await?;
    for stale in [first.as_str(), &format!("W/{second}"), "\"2\"", "\"\"", "", &format!("{first}, W/{second}")] {
        assert_eq!(edit(&server, &ada, &post, "three", stale).await?.error(), (412, "PreconditionFailed"), "{stale}");
        let delete = server.delete(format!("/posts/{post}")).by(&ada).header("if-match", stale);
        assert_eq!(delete.send().await?.error(), (412, "PreconditionFailed"), "{stale}");
    }
    let many = vec![first.as_str(); 33].join(", ");
    for garbage in ["x", "*, \"x\"", "\"x", &many] {
        assert_eq!(edit(&server, &ada, &post, "three", garbage).await?.error(), (400, "InvalidRequest"), "{garbage}");
    }
    // Whose it is and whether it is there come before its version.
    assert_eq!(edit(&server, &bob, &post, "mine", &first).await?.error(), (403, "Forbidden"));
    assert_eq!(edit(&server, &ada, &ada.id, "nowhere", "*").await?.error(), (404, "NotFound"));
    assert_eq!(server.records().await?, before);

    assert_eq!(edit(&server, &ada, &post, "three", &format!("{first} , {second}")).await?.status, StatusCode::OK);
    assert_eq!(edit(&server, &ada, &post, "four", "*").await?.status, StatusCode::OK);
    let fourth = tag(&server, &ada, &post).await?;
    let gone = server.delete(format!("/posts/{post}")).by(&ada).header("if-match", fourth).send().await?;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_edits_of_one_version_exactly_one_wins() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    for round in 0..20 {
        let post = server.publish(&ada, "one").await?;
        let seen = tag(&server, &ada, &post).await?;
        let texts = (0..8).map(|n| format!("edit {n} of {round}")).collect::<Vec<_>>();
        let answers = try_join_all(texts.iter().map(|text| edit(&server, &ada, &post, text, &seen))).await?;
        let won = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect::<Vec<_>>();
        assert_eq!(won.len(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.error() == (412, "PreconditionFailed")).count(), 7);
        let read = server.get(format!("/posts/{post}")).by(&ada).send().await?;
        assert_eq!(read.body["content"], won[0].body["content"]);
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_as_before_though_the_version_is_another_by_now() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "one").await?;
    let path = format!("/posts/{post}");
    let seen = tag(&server, &ada, &post).await?;
    let body = json!({ "content": "two" });
    let put =
        || server.put(path.as_str()).by(&ada).key("edit-once").header("if-match", seen.as_str()).json(&body).send();
    let first = put().await?;
    let before = server.records().await?;
    let again = put().await?;
    assert_eq!((first.status, &first.body), (StatusCode::OK, &again.body));
    assert_eq!((again.status, server.records().await?), (StatusCode::OK, before));
    let seen = tag(&server, &ada, &post).await?;
    let delete = || server.delete(path.as_str()).by(&ada).key("delete-once").header("if-match", seen.as_str()).send();
    for _ in 0..2 {
        assert_eq!(delete().await?.status, StatusCode::NO_CONTENT);
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_still_the_same_after_a_restart() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "one").await?;
    let first = tag(&server, &ada, &post).await?;
    assert_eq!(edit(&server, &ada, &post, "two", &first).await?.status, StatusCode::OK);
    let second = tag(&server, &ada, &post).await?;
    let server = server.restart().await?;
    assert_eq!(tag(&server, &ada, &post).await?, second);
    assert_eq!(edit(&server, &ada, &post, "three", &first).await?.error(), (412, "PreconditionFailed"));
    assert_eq!(edit(&server, &ada, &post, "three", &second).await?.status, StatusCode::OK);
    server.close().await
}
