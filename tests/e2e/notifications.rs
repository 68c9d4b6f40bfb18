//! Notifications: who hears of what, and of what no more.

use anyhow::{Context, Result, ensure};
use gateway::Config;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tidings_tests::server::{Person, TestServer};

/// A request without a body that must succeed.
async fn does(server: &TestServer, by: &Person, method: Method, path: String) -> Result<()> {
    let answer = server.call(method, path.as_str()).by(by).send().await?;
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
    Ok(())
}

async fn follows(server: &TestServer, by: &Person, whom: &Person) -> Result<()> {
    does(server, by, Method::POST, format!("/users/{}/follow", whom.id)).await
}

async fn likes(server: &TestServer, by: &Person, post: &str) -> Result<()> {
    does(server, by, Method::POST, format!("/posts/{post}/likes")).await
}

/// What a person is shown when all is read that was written: type and actor of each, newest first. As much is counted.
async fn heard(server: &TestServer, by: &Person) -> Result<Vec<(String, String)>> {
    server.settle().await?;
    let list = server.get("/notifications").by(by).send().await?;
    let count = server.get("/notifications/unread-count").by(by).send().await?;
    ensure!(list.status == StatusCode::OK && count.status == StatusCode::OK, "{} {}", list.body, count.body);
    let items = list.items("notifications");
    assert_eq!((&list.body["unread_count"], &count.body["unread_count"]), (&json!(items.len()), &json!(items.len())));
    let field = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    Ok(items.iter().map(|item| (field(item, "type"), field(item, "actor_id"))).collect())
}

fn pairs(expected: &[(&str, &Person)]) -> Vec<(String, String)> {
    expected.iter().map(|(kind, actor)| ((*kind).to_owned(), actor.id.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_and_a_like_are_heard_of_with_who_did_it_and_to_what() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "hello").await?;
    follows(&server, &bob, &ada).await?;
    likes(&server, &bob, &post).await?;
    likes(&server, &ada, &post).await?;
    assert_eq!(heard(&server, &ada).await?, pairs(&[("like", &bob), ("follow", &bob)]));
    assert_eq!(heard(&server, &bob).await?, []);

    let list = server.get("/notifications").by(&ada).send().await?;
    let [like, follow] = list.items("notifications") else { panic!("two of them: {}", list.body) };
    assert_eq!((&like["post_id"], &follow["post_id"]), (&json!(post), &json!(null)));
    for it in [like, follow] {
        assert_eq!(
            (&it["actor"]["username"], &it["comment_id"], &it["is_read"]),
            (&json!("bob"), &json!(null), &json!(false))
        );
    }
    let server = server.restart().await?;
    server.caught_up().await?;
    let again = server.get("/notifications").by(&ada).send().await?;
    assert_eq!(again.body, list.body, "the same ids, whenever it is built from the log");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_soon_is_heard_of_no_more_and_done_again_it_is_one() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "hello").await?;
    let undo = async |path: String| does(&server, &bob, Method::DELETE, path).await;
    follows(&server, &bob, &ada).await?;
    likes(&server, &bob, &post).await?;
    undo(format!("/posts/{post}/likes")).await?;
    assert_eq!(heard(&server, &ada).await?, pairs(&[("follow", &bob)]));
    undo(format!("/users/{}/follow", ada.id)).await?;
    assert_eq!(heard(&server, &ada).await?, []);
    likes(&server, &bob, &post).await?;
    assert_eq!(heard(&server, &ada).await?, pairs(&[("like", &bob)]));
    does(&server, &ada, Method::DELETE, format!("/posts/{post}")).await?;
    assert_eq!(heard(&server, &ada).await?, [], "with the post goes what was to be heard of it");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_whom_one_blocks_or_mutes_nothing_is_heard_until_one_does_so_no_longer() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    let post = server.publish(&ada, "hello").await?;
    likes(&server, &bob, &post).await?;
    likes(&server, &eve, &post).await?;
    let both = pairs(&[("like", &eve), ("like", &bob)]);
    for barrier in ["mute", "block"] {
        assert_eq!(heard(&server, &ada).await?, both);
        let path = format!("/users/{}/{barrier}", bob.id);
        does(&server, &ada, Method::POST, path.clone()).await?;
        assert_eq!(heard(&server, &ada).await?, pairs(&[("like", &eve)]), "{barrier}");
        does(&server, &ada, Method::DELETE, path).await?;
    }
    does(&server, &bob, Method::POST, format!("/users/{}/block", ada.id)).await?;
    assert_eq!(heard(&server, &ada).await?, pairs(&[("like", &eve)]), "whoever blocks");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_whoever_deletes_their_account_nothing_is_heard() -> Result<()> {
    let quick = |config: &mut Config| (config.write_deadline_ms, config.request_timeout_ms) = (1_000, 2_000);
    let server = TestServer::over_with(tempfile::tempdir()?, quick).await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    let post = server.publish(&ada, "hello").await?;
    for person in [&bob, &eve] {
        likes(&server, person, &post).await?;
        follows(&server, person, &ada).await?;
    }
    assert_eq!(heard(&server, &ada).await?.len(), 4);
    does(&server, &bob, Method::DELETE, "/users/me".to_owned()).await?;
    assert_eq!(heard(&server, &ada).await?, pairs(&[("follow", &eve), ("like", &eve)]));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whoever_is_signed_in_hears_something_and_only_along_their_own_list() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    for person in [&bob, &eve] {
        follows(&server, person, &ada).await?;
    }
    server.settle().await?;
    for path in ["/notifications", "/notifications/unread-count"] {
        assert_eq!(server.get(path).send().await?.error(), (401, "Unauthorized"), "{path}");
    }
    let first = server.get("/notifications?limit=1").by(&ada).send().await?;
    assert_eq!((first.items("notifications").len(), &first.body["unread_count"]), (1, &json!(2)));
    let cursor = first.text("next_cursor");
    let link = first.header("link").context("no Link")?;
    assert!(link.contains(&cursor), "{link}");
    let next = format!("/notifications?limit=1&cursor={cursor}");
    let second = server.get(next.as_str()).by(&ada).send().await?;
    assert_eq!((second.items("notifications").len(), &second.body["next_cursor"]), (1, &json!(null)));
    assert_ne!(first.ids("notifications"), second.ids("notifications"));
    assert_eq!(server.get(next).by(&bob).send().await?.error(), (404, "NotFound"), "it is of Ada's list");
    for query in ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor="] {
        let refused = server.get(format!("/notifications?{query}")).by(&ada).send().await?;
        assert_eq!(refused.error(), (400, "InvalidRequest"), "{query}");
    }
    server.close().await
}
