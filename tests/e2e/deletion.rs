//! Deleting an account: nobody can use it from the answer on, nothing of it is left in the end, and its address and name
//! are free again.

use anyhow::{Context, Result};
use events::{Event, UserEvent};
use gateway::Config;
use http::StatusCode;
use serde_json::json;
use tidings_tests::server::{PASSWORD, Person, TestServer};

/// Stragglers are few and quick here.
fn quick(config: &mut Config) {
    (config.write_deadline_ms, config.request_timeout_ms) = (1_000, 2_000);
}

async fn start() -> Result<TestServer> {
    TestServer::over_with(tempfile::tempdir()?, quick).await
}

/// Deletes the account and returns where its progress is.
async fn delete(server: &TestServer, person: &Person) -> Result<String> {
    let answer = server.delete("/users/me").by(person).send().await?;
    assert_eq!((answer.status, &answer.body), (StatusCode::NO_CONTENT, &json!(null)));
    Ok(answer.header("location").context("no Location")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_answer_on_nobody_can_use_the_account() -> Result<()> {
    let mut server = start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let login = json!({ "email": ada.email, "password": PASSWORD });
    let other = server.post("/users/auth/login").json(&login).send().await?.text("access_token");
    let progress = delete(&server, &ada).await?;
    for _ in 0..2 {
        for token in [&ada.token, &other] {
            for path in ["/users/me", "/posts", "/feed"] {
                assert_eq!(server.get(path).token(token).send().await?.error(), (401, "Unauthorized"), "{path}");
            }
            let post = server.post("/posts").token(token).json(&json!({ "content": "still here" })).send().await?;
            assert_eq!(post.error(), (401, "Unauthorized"));
        }
        assert_eq!(server.delete("/users/me").by(&ada).send().await?.error(), (401, "Unauthorized"));
        assert_eq!(server.post("/users/auth/login").json(&login).send().await?.error(), (401, "Unauthorized"));
        assert_eq!(server.get(format!("/users/{}", ada.id)).by(&bob).send().await?.error(), (404, "NotFound"));
        let follow = server.post(format!("/users/{}/follow", ada.id)).by(&bob).send().await?;
        assert_eq!(follow.error(), (404, "NotFound"));
        let directory = server.stop().await?;
        server = TestServer::over_with(directory, quick).await?;
    }
    server.settle().await?;
    let ended = server.get(progress).header("prefer", "consistency=strict").send().await?;
    assert_eq!((ended.status, &ended.body["status"]), (StatusCode::OK, &json!("COMPLETED")));
    assert!(ended.body["steps"].as_array().unwrap().iter().all(|step| step["done"] == true));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_did_is_gone_and_what_others_did_is_not() -> Result<()> {
    let server = start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let (hers, his) = (server.publish(&ada, "hers").await?, server.publish(&bob, "his, to @ada").await?);
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        server.post(format!("/users/{}/follow", other.id)).by(one).send().await?;
        for post in [&hers, &his] {
            server.post(format!("/posts/{post}/likes")).by(one).send().await?;
            server.post(format!("/posts/{post}/comments")).by(one).json(&json!({ "text": "hm" })).send().await?;
        }
    }
    delete(&server, &ada).await?;
    server.settle().await?;
    assert_eq!(server.get(format!("/posts/{hers}")).by(&bob).send().await?.error(), (404, "NotFound"));
    let post = server.get(format!("/posts/{his}")).by(&bob).send().await?;
    assert_eq!(post.body["mentions"], json!([]));
    assert_eq!((&post.body["likes_count"], &post.body["comments_count"]), (&json!(1), &json!(1)));
    let me = server.get("/users/me").by(&bob).send().await?;
    assert_eq!((&me.body["follower_count"], &me.body["following_count"]), (&json!(0), &json!(0)));
    let feed = server.get("/feed").by(&bob).send().await?;
    assert_eq!(feed.body["feed"].as_array().unwrap().len(), 1);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn address_and_name_can_be_registered_again_and_it_is_somebody_else() -> Result<()> {
    let server = start().await?;
    let ada = server.register("ada").await?;
    delete(&server, &ada).await?;
    let body = json!({ "email": ada.email, "password": PASSWORD, "username": "ada" });
    let early = server.post("/users/auth/register").json(&body).send().await?;
    assert!(matches!(early.status.as_u16(), 201 | 409), "{}", early.body);
    server.settle().await?;
    let again = if early.status == 409 { server.register("ada").await?.id } else { early.text("id") };
    assert_ne!(again, ada.id);
    assert_eq!(server.get("/users/me").by(&ada).send().await?.error(), (401, "Unauthorized"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn its_key_is_destroyed_again_when_the_keyring_was_restored_from_before() -> Result<()> {
    let server = start().await?;
    let ada = server.register("ada").await?;
    let directory = server.stop().await?;
    let (keyring, saved) = (directory.path().join("data/keyring"), directory.path().join("saved"));
    copy(&keyring, &saved)?;
    let server = TestServer::over_with(directory, quick).await?;
    delete(&server, &ada).await?;
    server.settle().await?;
    let destroyed = server.commits().await?.into_iter().flat_map(|it| it.commit.events);
    assert_eq!(destroyed.filter(|it| matches!(it, Event::User(UserEvent::KeyDestroyed(_)))).count(), 1);
    let directory = server.stop().await?;
    std::fs::remove_dir_all(&keyring)?;
    copy(&saved, &keyring)?;
    let server = TestServer::over_with(directory, quick).await?;
    let directory = server.stop().await?;
    let keys = journal::embedded::open_keyring(&directory.path().join("data"))?;
    let id = events::KeyId(ada.id.parse()?);
    assert!(events::Keyring::find(&keys, id).await?.is_none(), "the restored key is still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_for_its_deletion_only() -> Result<()> {
    let server = start().await?;
    let ada = server.register("ada").await?;
    let progress = delete(&server, &ada).await?;
    let answer = server.get(progress.as_str()).send().await?;
    assert_eq!((answer.status, &answer.body["steps"][0]["step"]), (StatusCode::OK, &json!("ERASE")));
    for bad in ["x", &"A".repeat(43), &ada.id] {
        assert_eq!(server.get(format!("/deletions/{bad}")).send().await?.error(), (404, "NotFound"), "{bad}");
    }
    assert_eq!(server.delete("/users/me").send().await?.error(), (401, "Unauthorized"));
    server.close().await
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
