//! Registering: what is unique, what is refused, and that a repetition is the same registration.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::{PASSWORD, TestServer};
use tokio::task::JoinSet;

fn body(email: &str, username: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "username": username })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_is_signed_in_and_has_a_profile() -> Result<()> {
    let server = TestServer::start().await?;
    let answer = server.post("/users/auth/register").json(&body("Ada@Example.com", "Ada_1")).send().await?;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!((&answer.body["email"], &answer.body["username"]), (&json!("Ada@Example.com"), &json!("Ada_1")));
    assert_eq!((&answer.body["token_type"], &answer.body["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let location = answer.header("location").unwrap();
    let profile = server.get(location).send().await?;
    assert_eq!((&profile.body["id"], &profile.body["username"]), (&answer.body["id"], &json!("Ada_1")));
    let me = server.get("/users/me").token(&answer.text("access_token")).send().await?;
    assert_eq!(me.body["email"], "Ada@Example.com");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_name_are_unique_without_case_and_the_refusal_names_the_field() -> Result<()> {
    let server = TestServer::start().await?;
    server.register("ada").await?;
    for (email, username, field) in [
        ("ADA@example.COM", "other", "email"),
        ("other@example.com", "ADA", "username"),
        ("a@b.co", "Admin", "username"),
    ] {
        let answer = server.post("/users/auth/register").json(&body(email, username)).send().await?;
        assert_eq!(answer.error(), (409, "Conflict"), "{}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], field);
    }
    // What the refused ones had claimed is free again.
    let answer = server.post("/users/auth/register").json(&body("other@example.com", "other")).send().await?;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_want_one_name_exactly_one_gets_it() -> Result<()> {
    let server = std::sync::Arc::new(TestServer::start().await?);
    let mut people = JoinSet::new();
    for person in 0..50 {
        let server = std::sync::Arc::clone(&server);
        people.spawn(async move {
            let body = body(&format!("p{person}@example.com"), "wanted");
            server.post("/users/auth/register").json(&body).send().await
        });
    }
    let mut statuses = Vec::new();
    for answer in people.join_all().await {
        let answer = answer?;
        assert!(answer.status == StatusCode::CREATED || answer.error() == (409, "Conflict"), "{}", answer.body);
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CREATED).count(), 1);
    std::sync::Arc::into_inner(server).unwrap().close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_the_same_user_with_fresh_tokens_also_after_a_restart() -> Result<()> {
    let mut server = TestServer::start().await?;
    let (ada, key) = (body("ada@example.com", "ada"), "registration-1");
    let first = server.post("/users/auth/register").key(key).json(&ada).send().await?;
    for restart in [false, true] {
        if restart {
            server = server.restart().await?;
        }
        let again = server.post("/users/auth/register").key(key).json(&ada).send().await?;
        assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]));
        assert_ne!(again.body["access_token"], first.body["access_token"]);
        for answer in [&first, &again] {
            let me = server.get("/users/me").token(&answer.text("access_token")).send().await?;
            assert_eq!(me.status, StatusCode::OK);
        }
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_password_or_name_is_no_way_in() -> Result<()> {
    let server = TestServer::start().await?;
    let key = "registration-1";
    server.post("/users/auth/register").key(key).json(&body("ada@example.com", "ada")).send().await?;
    let mut guess = body("ada@example.com", "ada");
    guess["password"] = json!("another password");
    for other in [guess, body("ada@example.com", "eve")] {
        let answer = server.post("/users/auth/register").key(key).json(&other).send().await?;
        assert_eq!(answer.error(), (409, "KeyReused"), "{}", answer.body);
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_is_refused_again_under_its_key() -> Result<()> {
    let server = TestServer::start().await?;
    server.register("ada").await?;
    for _ in 0..2 {
        let other = body("other@example.com", "ada");
        let answer = server.post("/users/auth/register").key("registration-2").json(&other).send().await?;
        assert_eq!(answer.error(), (409, "Conflict"), "{}", answer.body);
    }
    server.close().await
}
