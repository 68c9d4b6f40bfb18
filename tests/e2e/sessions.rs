//! Signing in and out, and what a token is worth.

use anyhow::Result;
use http::StatusCode;
use serde_json::json;
use tidings_tests::server::{PASSWORD, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_opens_a_session_and_anything_else_does_not() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let login = json!({ "email": "ADA@example.com", "password": PASSWORD });
    for path in ["/users/auth/login", "/auth/login", "/auth/login/"] {
        let answer = server.post(path).json(&login).send().await?;
        assert_eq!((answer.status, answer.text("id")), (StatusCode::OK, ada.id.clone()));
        let me = server.get("/users/me").token(&answer.text("access_token")).send().await?;
        assert_eq!(me.status, StatusCode::OK);
    }
    let wrong = json!({ "email": "ada@example.com", "password": "wrong password" });
    let nobody = json!({ "email": "nobody@example.com", "password": PASSWORD });
    let wrong = server.post("/users/auth/login").json(&wrong).send().await?;
    let nobody = server.post("/users/auth/login").json(&nobody).send().await?;
    assert_eq!(wrong.error(), (401, "Unauthorized"));
    assert_eq!((nobody.error(), &nobody.body["message"]), (wrong.error(), &wrong.body["message"]));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_worth_nothing_from_the_answer_to_the_logout_on() -> Result<()> {
    let mut server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let login = json!({ "email": ada.email, "password": PASSWORD });
    let other = server.post("/users/auth/login").json(&login).send().await?.text("access_token");
    let answer = server.post("/users/auth/logout").by(&ada).send().await?;
    assert_eq!((answer.status, &answer.body), (StatusCode::NO_CONTENT, &json!(null)));
    for _ in 0..2 {
        for path in ["/users/me", "/posts"] {
            let answer = server.get(path).by(&ada).send().await?;
            assert_eq!(answer.error(), (401, "Unauthorized"), "{path}");
        }
        assert_eq!(server.post("/users/auth/logout").by(&ada).send().await?.error(), (401, "Unauthorized"));
        assert_eq!(server.get("/users/me").token(&other).send().await?.status, StatusCode::OK, "another session");
        server = server.restart().await?;
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_is_refused_also_where_none_is_needed() -> Result<()> {
    let server = TestServer::start().await?;
    let foreign = TestServer::start().await?;
    let (ada, eve) = (server.register("ada").await?, foreign.register("eve").await?);
    let (signed, signature) = ada.token.rsplit_once('.').unwrap();
    let claims = signed.split_once('.').unwrap().1;
    // {"alg":"none","typ":"at+jwt"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.");
    let flipped = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let refresh = server.post("/auth/login").json(&json!({ "email": ada.email, "password": PASSWORD })).send().await?;
    for bad in [eve.token.as_str(), &unsigned, &flipped, &refresh.text("refresh_token"), "", "x", "a.b.c"] {
        for path in ["/users/me", "/posts"] {
            let answer = server.get(path).token(bad).send().await?;
            assert_eq!(answer.error(), (401, "Unauthorized"), "{path} with {bad}");
            assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
        }
    }
    let basic = server.get("/posts").header("authorization", "Basic YTpi").send().await?;
    assert_eq!(basic.error(), (401, "Unauthorized"));
    let none = server.get("/users/me").send().await?;
    assert_eq!((none.error(), none.header("www-authenticate")), ((401, "Unauthorized"), Some("Bearer")));
    foreign.close().await?;
    server.close().await
}
