//! Profiles.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::{Answer, PASSWORD, TestServer};

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
    for value in [json!("x"), json!(null), json!(1)] {
        let change = json!({ "bio": "new", "avatar_url": value });
        let answer = server.put("/users/me").by(&ada).json(&change).send().await?;
        assert_eq!(answer.error(), (400, "InvalidRequest"));
        assert_eq!(answer.body["errors"][0]["field"], "avatar_url");
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

async fn log_in(server: &TestServer, email: &str) -> Result<(u16, Value)> {
    let login = json!({ "email": email, "password": PASSWORD });
    let answer = server.post("/users/auth/login").json(&login).send().await?;
    Ok((answer.status.as_u16(), answer.body["username"].clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn address_name_and_bio_change_together_and_the_former_ones_are_free() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let post = server.publish(&ada, "hello").await?;
    let change = json!({
        "username": "Lovelace", "email": "lovelace@example.com", "current_password": PASSWORD, "bio": "Countess"
    });
    let before = server.records().await?;
    let answer = server.put("/users/me").by(&ada).key("my-new-name").json(&change).send().await?;
    let shown = |answer: &Answer| ["username", "email", "bio"].map(|field| answer.body[field].clone());
    let now = ["Lovelace", "lovelace@example.com", "Countess"].map(|text| json!(text));
    assert_eq!((answer.status, shown(&answer)), (StatusCode::OK, now.clone()));
    // The session goes on, and everybody sees it.
    assert_eq!(shown(&server.get("/users/me").by(&ada).send().await?), now);
    assert_eq!(server.get(format!("/users/{}", ada.id)).by(&bob).send().await?.body["username"], "Lovelace");
    let seen = server.get(format!("/posts/{post}")).send().await?;
    assert_eq!(seen.body["author"]["username"], "Lovelace");
    // Both are found by what they are called now: whoever signs in, and whoever is mentioned.
    assert_eq!(log_in(&server, "lovelace@example.com").await?, (200, json!("Lovelace")));
    assert_eq!(log_in(&server, "ada@example.com").await?.0, 401);
    let mention = server.publish(&bob, "@lovelace and @ada").await?;
    let mentions = server.get(format!("/posts/{mention}")).by(&bob).send().await?.body["mentions"].clone();
    assert_eq!(mentions, json!([{ "id": ada.id, "username": "Lovelace", "avatar_url": null }]));
    // A repetition finds what it has done, and does nothing again.
    server.settle().await?;
    let records = server.records().await?;
    assert!(records > before);
    let again = server.put("/users/me").by(&ada).key("my-new-name").json(&change).send().await?;
    assert_eq!((again.status, shown(&again)), (StatusCode::OK, now));
    let other = json!({ "username": "countess" });
    let reused = server.put("/users/me").by(&ada).key("my-new-name").json(&other).send().await?;
    assert_eq!(reused.error(), (409, "KeyReused"));
    assert_eq!(server.records().await?, records);
    let second = server.register("ada").await?;
    assert_ne!(second.id, ada.id);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_sent_again_finds_its_account_whatever_that_is_called() -> Result<()> {
    let server = TestServer::start().await?;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "username": "ada" });
    let register = || server.post("/users/auth/register").key("ada-registers").json(&body).send();
    let first = register().await?;
    let token = first.text("access_token");
    let change = json!({ "email": "lovelace@example.com", "current_password": PASSWORD, "username": "lovelace" });
    assert_eq!(server.put("/users/me").token(&token).json(&change).send().await?.status, StatusCode::OK);
    let again = register().await?;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]));
    assert_eq!(again.body["username"], "lovelace");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_says_why_and_changes_nothing() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, _) = (server.register("ada").await?, server.register("bob").await?);
    let free = "lovelace@example.com";
    for (change, error, field) in [
        (json!({ "username": "BOB" }), (409, "Conflict"), "username"),
        (json!({ "username": "admin" }), (409, "Conflict"), "username"),
        (json!({ "username": "a b" }), (400, "InvalidRequest"), "username"),
        (json!({ "username": null }), (400, "InvalidRequest"), "username"),
        (json!({ "email": null, "current_password": PASSWORD }), (400, "InvalidRequest"), "email"),
        (json!({ "email": free }), (400, "InvalidRequest"), "current_password"),
        (json!({ "email": free, "current_password": 1 }), (400, "InvalidRequest"), "current_password"),
        (json!({ "email": free, "current_password": "not this one" }), (403, "Forbidden"), "current_password"),
        (json!({ "email": "BOB@example.com", "current_password": PASSWORD }), (409, "Conflict"), "email"),
        // The address would be free, the name is not.
        (json!({ "email": free, "current_password": PASSWORD, "username": "bob" }), (409, "Conflict"), "username"),
    ] {
        let mut with_bio = change.clone();
        with_bio["bio"] = json!("new");
        let answer = server.put("/users/me").by(&ada).json(&with_bio).send().await?;
        assert_eq!(answer.error(), error, "{change}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{change}");
    }
    server.settle().await?;
    let me = server.get("/users/me").by(&ada).send().await?;
    assert_eq!(
        [&me.body["username"], &me.body["email"], &me.body["bio"]],
        [&json!("ada"), &json!(ada.email), &Value::Null]
    );
    // What was claimed on the way was given back.
    let change = json!({ "email": free, "current_password": PASSWORD });
    assert_eq!(server.put("/users/me").by(&ada).json(&change).send().await?.status, StatusCode::OK);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_written_otherwise_and_of_two_changes_at_once_none_is_half_done() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let answer = server.put("/users/me").by(&ada).json(&json!({ "username": "ADA" })).send().await?;
    assert_eq!((answer.status, &answer.body["username"]), (StatusCode::OK, &json!("ADA")));
    let change = |n: usize| json!({ "username": format!("ada{n}"), "bio": format!("number {n}") });
    let (first, second) = (change(1), change(2));
    let (first, second) = tokio::try_join!(
        server.put("/users/me").by(&ada).json(&first).send(),
        server.put("/users/me").by(&ada).json(&second).send(),
    )?;
    for answer in [&first, &second] {
        assert!(answer.status == StatusCode::OK || answer.error() == (409, "Conflict"), "{}", answer.body);
    }
    assert!([&first, &second].iter().any(|answer| answer.status == StatusCode::OK));
    let me = server.get("/users/me").by(&ada).send().await?;
    let is = |n: usize| me.body["username"] == format!("ada{n}") && me.body["bio"] == format!("number {n}");
    assert!(is(1) || is(2), "{}", me.body);
    // The name that it does not have is free.
    server.settle().await?;
    let free = if is(1) { "ada2" } else { "ada1" };
    server.register(free).await?;
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_id_and_by_name() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let find = |query: String| server.get(format!("/users{query}")).by(&ada).send();
    let ids = |answer: &Answer| {
        let users = answer.body["users"].as_array().into_iter().flatten();
        users.filter_map(|user| user["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let (a, b, nobody) = (&ada.id, &bob.id, uuid::Uuid::nil());
    for (query, found) in [
        (String::new(), vec![]),
        ("?ids=".to_owned(), vec![]),
        (format!("?ids={b},{nobody},{a},{b}"), vec![b, a]),
        ("?username=BOB".to_owned(), vec![b]),
        ("?username=nobody_here".to_owned(), vec![]),
        (format!("?ids={a},{b}&username=bob"), vec![b]),
        (format!("?ids={a}&username=bob"), vec![]),
        (format!("?ids={}", vec![a.as_str(); 100].join(",")), vec![a]),
    ] {
        let answer = find(query.clone()).await?;
        let found = found.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!((answer.status, ids(&answer)), (StatusCode::OK, found), "{query}");
    }
    let viewed = find("?username=bob".to_owned()).await?;
    assert!(viewed.body["users"][0]["viewer"].is_object() && viewed.body["users"][0].get("email").is_none());
    let many = vec![a.as_str(); 101].join(",");
    for bad in ["?ids=x", "?ids=,", &format!("?ids={a},"), &format!("?ids={many}"), "?username=a%20b", "?username=ab"] {
        assert_eq!(find(bad.to_owned()).await?.error(), (400, "InvalidRequest"), "{bad}");
    }
    server.close().await
}
