//! API1, API3, API5: what belongs to others, what nobody may set, and what only operators may do.

use super::Attack;
use anyhow::{Context, Result};
use http::{Method, StatusCode};
use serde_json::json;
use tidings_tests::server::{PASSWORD, TestServer};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_stays_theirs() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let (ada, eve) = (attack.ada.token.clone(), attack.eve.token.clone());
    let post = attack.server.publish(&attack.ada, "a post of Ada's").await?;
    let comment = json!({ "text": "a comment of Ada's" });
    let comment = attack.server.post(format!("/posts/{post}/comments")).token(&ada).json(&comment).send().await?;
    let comment = comment.text("id");
    let sessions = attack.server.get("/users/me/sessions").token(&ada).send().await?;
    let session = sessions.body["sessions"][0]["id"].as_str().context("no session")?.to_owned();
    attack.starts_here().await?;

    let content = json!({ "content": "taken over" });
    let on_post = format!("/posts/{post}");
    attack.tries("edit another's post", |it| it.put(&on_post).token(&eve).json(&content), 403).await?;
    attack.tries("delete another's post", |it| it.delete(&on_post).token(&eve), 403).await?;
    let on_comment = format!("{on_post}/comments/{comment}");
    attack.tries("delete another's comment", |it| it.delete(&on_comment).token(&eve), 403).await?;
    let under_other = format!("/posts/{}/comments/{comment}", Uuid::now_v7());
    attack.tries("delete it under another post", |it| it.delete(&under_other).token(&ada), 404).await?;
    let on_session = format!("/users/me/sessions/{session}");
    attack.tries("end another's session", |it| it.delete(&on_session).token(&eve), 404).await?;
    attack
        .tries("take a like away that is another's", |it| it.delete(format!("{on_post}/likes")).token(&eve), 404)
        .await?;
    let list = attack.server.get("/users/me/sessions?limit=1").token(&ada).send().await?;
    assert_eq!(list.status, StatusCode::OK);
    for (path, what) in [("/feed?cursor=", "a feed"), ("/users/me/sessions?cursor=", "a list of sessions")] {
        let path = format!("{path}{}", "A".repeat(48));
        attack.tries(format!("make up a cursor of {what}"), |it| it.get(&path).token(&eve), 404).await?;
    }
    attack.tries("make up a deletion's ticket", |it| it.get(format!("/deletions/{}", "A".repeat(64))), 404).await?;
    attack.end("Objects of others (API1)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sets_what_is_not_theirs_to_set() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let wished = json!({
        "email": "eve@example.com", "password": PASSWORD, "username": "eve", "id": ada.id, "role": "operator",
        "email_verified": true, "follower_count": 7, "created_at": "2001-01-01T00:00:00Z", "is_admin": true,
    });
    let eve = server.post("/users/auth/register").json(&wished).send().await?;
    assert_eq!(eve.status, StatusCode::CREATED);
    assert_ne!(eve.text("id"), ada.id);
    let token = eve.text("access_token");
    assert_eq!(server.get("/admin/sagas").token(&token).send().await?.error(), (403, "Forbidden"));
    let wished =
        json!({ "bio": "mine", "id": ada.id, "role": "operator", "posts_count": 9, "viewer": {}, "password": "x" });
    let profile = server.put("/users/me").token(&token).json(&wished).send().await?;
    assert_eq!((profile.text("id"), &profile.body["posts_count"]), (eve.text("id"), &json!(0)));
    let wished = json!({ "content": "mine", "author_id": ada.id, "likes_count": 9, "status": "DRAFT", "id": ada.id });
    let post = server.post("/posts").token(&token).json(&wished).send().await?;
    assert_eq!((post.text("author_id"), &post.body["likes_count"]), (eve.text("id"), &json!(0)));
    assert_eq!(post.text("status"), "PUBLISHED");
    let comment = json!({ "text": "mine", "author_id": ada.id, "post_id": ada.id });
    let comment =
        server.post(format!("/posts/{}/comments", post.text("id"))).token(&token).json(&comment).send().await?;
    assert_eq!((comment.text("author_id"), comment.text("post_id")), (eve.text("id"), post.text("id")));
    println!("Mass assignment (API3): 4 bodies with fields that are nobody's to set: taken without them");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_routes_are_for_operators() -> Result<()> {
    let mut attack = Attack::begin().await?;
    let eve = attack.eve.token.clone();
    let document = attack.server.get("/openapi.json").send().await?;
    let paths = document.body["paths"].as_object().context("no paths")?.clone();
    let filled =
        |path: &str| path.replace("{saga_id}", &Uuid::nil().to_string()).replace("{user_id}", &Uuid::nil().to_string());
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/admin/")) {
        for method in item.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let method: Method = method.to_uppercase().parse()?;
            let what = format!("{method} {path}");
            attack
                .tries(
                    format!("{what} as anybody"),
                    |it| it.call(method.clone(), filled(path)).json(&json!({})).token(&eve),
                    403,
                )
                .await?;
            attack
                .tries(format!("{what} as nobody"), |it| it.call(method.clone(), filled(path)).json(&json!({})), 401)
                .await?;
        }
    }
    attack.end("Functions of operators (API5)").await
}
