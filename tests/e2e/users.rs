//! Profiles.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_bio_is_set_kept_and_cleared() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    for (change, bio) in [
        (json!({}), Value::Null),
        (json!({ "bio": "first" }), json!("first")),
        (json!({ "unknown": [1, { "x": 2 }] }), json!("first")),
        (json!({ "bio": null }), Value::Null),
        (json!({ "bio": "ü".repeat(500) }), json!("ü".repeat(500))),
    ] {
        let answer = server.put("/users/me").by(&ada).json(&change).send().await?;
        assert_eq!((answer.status, &answer.body["bio"]), (StatusCode::OK, &bio), "{change}");
        assert_eq!(server.get("/users/me").by(&ada).send().await?.body["bio"], bio);
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_yet_is_said_and_nothing_is_changed() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let before = server.records().await?;
    for field in ["avatar_url", "username", "email", "current_password"] {
        for value in [json!("x"), json!(null), json!(1)] {
            let answer = server.put("/users/me").by(&ada).json(&json!({ "bio": "new", field: value })).send().await?;
            assert_eq!(answer.error(), (400, "InvalidRequest"));
            assert_eq!(answer.body["errors"][0]["field"], field);
        }
    }
    assert_eq!(server.records().await?, before);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_shown_to_its_owner_only_and_the_viewer_to_who_is_signed_in() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let path = format!("/users/{}", ada.id);
    let anonymous = server.get(path.as_str()).send().await?;
    assert_eq!((anonymous.body.get("email"), anonymous.body.get("viewer")), (None, None));
    let seen = server.get(path.as_str()).by(&bob).send().await?;
    assert_eq!(seen.body.get("email"), None);
    let viewer = json!({ "following": false, "followed_by": false, "blocking": false, "muting": false });
    assert_eq!(seen.body["viewer"], viewer);
    assert_eq!(server.get("/users/me").by(&ada).send().await?.body["email"], ada.email);
    let nobody = server.get("/users/00000000-0000-4000-8000-000000000000").send().await?;
    assert_eq!(nobody.error(), (404, "NotFound"));
    server.close().await
}
