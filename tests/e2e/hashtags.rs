//! Hashtags and mentions, and the posts that a hashtag or a person leads to.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_hashtag_leads_to_its_posts() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let one = server.publish(&ada, "#Straße and #rust").await?;
    let two = server.publish(&ada, "#STRASSE").await?;
    let fraction = server.publish(&ada, "#x½").await?;
    for spelling in ["strasse", "STRASSE", "Stra%C3%9Fe", "STRA%E1%BA%9EE"] {
        let listed = server.get(format!("/hashtags/{spelling}/posts")).by(&ada).send().await?;
        assert_eq!(listed.ids("posts"), [&two, &one], "{spelling}");
    }
    let shown = server.get(format!("/posts/{fraction}")).by(&ada).send().await?;
    assert_eq!(shown.body["hashtags"], json!(["x12"]), "a folded hashtag is a hashtag");
    assert_eq!(server.get("/hashtags/x12/posts").by(&ada).send().await?.ids("posts"), [&fraction]);
    let unused = server.get("/hashtags/nobody/posts").send().await?;
    assert_eq!(unused.body, json!({ "posts": [], "next_cursor": null }));
    for bad in ["2024", "%23rust", "a%20b", "a-b", "a%00", "%FF", "%D9%A2"] {
        let refused = server.get(format!("/hashtags/{bad}/posts")).send().await?;
        assert_eq!(refused.error(), (400, "InvalidRequest"), "{bad}");
    }
    server.put(format!("/posts/{two}")).by(&ada).json(&json!({ "content": "#rust" })).send().await?;
    assert_eq!(server.get("/hashtags/strasse/posts").by(&ada).send().await?.ids("posts"), [&one]);
    assert_eq!(server.get("/hashtags/rust/posts").by(&ada).send().await?.ids("posts"), [&two, &one]);
    server.delete(format!("/posts/{two}")).by(&ada).send().await?;
    assert_eq!(server.get("/hashtags/rust/posts").by(&ada).send().await?.ids("posts"), [&one]);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn somebodys_posts_are_listed_newest_first() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let (one, two) = (server.publish(&ada, "one").await?, server.publish(&ada, "two").await?);
    server.publish(&bob, "of Bob").await?;
    let path = format!("/users/{}/posts", ada.id);
    let listed = server.get(path.as_str()).by(&ada).send().await?;
    assert_eq!((listed.ids("posts"), &listed.body["next_cursor"]), (vec![two.as_str(), &one], &Value::Null));
    let nobody = "/users/00000000-0000-4000-8000-000000000000/posts";
    assert_eq!(server.get(nobody).send().await?.error(), (404, "NotFound"));
    assert_eq!(server.get("/users/ada/posts").send().await?.error(), (400, "InvalidRequest"));
    let eve = server.register("eve").await?;
    let none = server.get(format!("/users/{}/posts", eve.id)).by(&eve).send().await?;
    assert_eq!(none.body["posts"], json!([]));
    let gone = server.delete("/users/me").by(&ada).send().await?;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let token = gone.header("x-consistency-token").unwrap();
    let listed = server.get(path.as_str()).by(&eve).header("x-consistency-token", token).send().await?;
    assert_eq!(listed.error(), (404, "NotFound"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_hashtags_and_thirty_mentions_count_and_the_rest_is_text() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let mut people = Vec::new();
    for n in 0..31 {
        people.push(server.register(&format!("person{n}")).await?);
    }
    let tags = (0..31).map(|n| format!("#tag{n} "));
    let names = (0..31).map(|n| format!("@nobody{n} @person{n} @PERSON{n} "));
    let content = tags.chain(names).collect::<String>();
    let written = server.post("/posts").by(&ada).json(&json!({ "content": content })).send().await?;
    let tags = (0..30).map(|n| format!("tag{n}")).collect::<Vec<_>>();
    assert_eq!(written.body["hashtags"], json!(tags));
    let mentioned = written.body["mentions"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
    assert_eq!(mentioned.collect::<Vec<_>>(), people[..30].iter().map(|it| it.id.as_str()).collect::<Vec<_>>());
    assert_eq!(written.body["content"], content.as_str());
    assert!(server.get("/hashtags/tag30/posts").by(&ada).send().await?.ids("posts").is_empty());
    server.close().await
}
