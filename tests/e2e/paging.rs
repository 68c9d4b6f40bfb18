//! Page by page: nothing twice, nothing left out, also while others write.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidings_tests::server::{Person, TestServer};

/// Every id of a list, following cursors; the `Link` must lead the same way.
async fn walk(server: &TestServer, reader: &Person, path: &str, array: &str, limit: usize) -> Result<Vec<String>> {
    let first = if path.contains('?') { format!("{path}&limit={limit}") } else { format!("{path}?limit={limit}") };
    let (mut ids, mut next) = (Vec::new(), Some(first.clone()));
    while let Some(path) = next.take() {
        let page = server.get(path.as_str()).by(reader).send().await?;
        let items = page.body[array].as_array().context("no list")?;
        assert!(items.len() <= limit);
        ids.extend(items.iter().map(|item| id(item).to_owned()));
        let link = page.header("link");
        match page.body["next_cursor"].as_str() {
            Some(cursor) => {
                assert_eq!(items.len(), limit, "a page that is not the last is full");
                next = Some(format!("{first}&cursor={cursor}"));
                assert_eq!(link, Some(format!("<{first}&cursor={cursor}>; rel=\"next\"").as_str()));
            }
            None => assert_eq!(link, None),
        }
    }
    Ok(ids)
}

fn id(item: &Value) -> &str {
    item["id"].as_str().or(item["user_id"].as_str()).expect("every item has an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_has_all_its_items_once_at_every_page_size() -> Result<()> {
    let server = TestServer::start().await?;
    let mut people = Vec::new();
    for n in 0..7 {
        people.push(server.register(&format!("person{n}")).await?);
    }
    let (ada, others) = people.split_first().unwrap();
    let mut posts = Vec::new();
    for n in 0..7 {
        posts.push(server.publish(ada, &format!("post #n {n}")).await?);
    }
    let post = &posts[0];
    let mut comments = Vec::new();
    for other in others {
        server.post(format!("/users/{}/follow", ada.id)).by(other).send().await?;
        server.post(format!("/users/{}/follow", other.id)).by(ada).send().await?;
        server.post(format!("/posts/{post}/likes")).by(other).send().await?;
        let path = format!("/posts/{post}/comments");
        comments.push(server.post(path).by(other).json(&json!({ "text": "x" })).send().await?.text("id"));
    }
    let newest = |ids: &[String]| ids.iter().rev().cloned().collect::<Vec<_>>();
    let people = newest(&others.iter().map(|other| other.id.clone()).collect::<Vec<_>>());
    // Ada's session waits for its own writes only; a new one waits for everybody's.
    let login = json!({ "email": ada.email, "password": tidings_tests::server::PASSWORD });
    let token = server.post("/auth/login").json(&login).send().await?.text("access_token");
    let reader = Person { token, ..ada.clone() };
    let heard = server.get("/notifications?limit=100").by(&reader).send().await?;
    let heard = heard.ids("notifications").into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(heard.len(), 12, "a follow and a like of each");
    let lists = [
        ("/posts".to_owned(), "posts", newest(&posts)),
        (format!("/posts?author_id={}", ada.id), "posts", newest(&posts)),
        (format!("/users/{}/posts", ada.id), "posts", newest(&posts)),
        ("/hashtags/n/posts".to_owned(), "posts", newest(&posts)),
        ("/feed?mode=latest".to_owned(), "feed", newest(&posts)),
        (format!("/posts/{post}/comments"), "comments", comments),
        (format!("/posts/{post}/likes"), "likes", people.clone()),
        (format!("/users/{}/followers", ada.id), "users", people.clone()),
        (format!("/users/{}/following", ada.id), "users", people),
        ("/notifications".to_owned(), "notifications", heard),
    ];
    for (path, array, expected) in lists {
        for limit in [1, 2, 3, 6, 7, 100] {
            assert_eq!(walk(&server, &reader, &path, array, limit).await?, expected, "{path} by {limit}");
        }
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_between_two_pages_moves_nothing() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let mut posts = Vec::new();
    for n in 0..6 {
        posts.push(server.publish(&ada, &format!("post {n}")).await?);
    }
    let first = server.get("/posts?limit=2").by(&ada).send().await?;
    server.publish(&ada, "newer").await?;
    // The very post at which the page ended is deleted.
    server.delete(format!("/posts/{}", posts[4])).by(&ada).send().await?;
    let cursor = first.text("next_cursor");
    let rest = server.get(format!("/posts?limit=100&cursor={cursor}")).by(&ada).send().await?;
    let ids = rest.body["posts"].as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    assert_eq!(ids, [&posts[3], &posts[2], &posts[1], &posts[0]]);
    assert_eq!(rest.body["next_cursor"], Value::Null);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_list_or_reader_is_not_found() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    for n in 0..2 {
        server.publish(&ada, &format!("post {n}")).await?;
    }
    let post = server.publish(&ada, "post 2").await?;
    let of_all = server.get("/posts?limit=1").by(&ada).send().await?.text("next_cursor");
    let of_feed = server.get("/feed?mode=latest&limit=1").by(&ada).send().await?.text("next_cursor");
    for (path, reader) in [
        (format!("/feed?cursor={of_all}"), &ada),
        (format!("/feed?mode=latest&cursor={of_feed}"), &bob),
        (format!("/feed?cursor={of_feed}"), &ada),
        (format!("/users/{}/posts?cursor={of_all}", ada.id), &ada),
        (format!("/hashtags/tag/posts?cursor={of_all}"), &ada),
        (format!("/posts/{post}/history?cursor={of_all}"), &ada),
        (format!("/posts?author_id={}&cursor={of_all}", ada.id), &ada),
        (format!("/posts?cursor={of_feed}"), &ada),
        (format!("/posts?cursor={}", "A".repeat(48)), &ada),
    ] {
        assert_eq!(server.get(path.as_str()).by(reader).send().await?.error(), (404, "NotFound"), "{path}");
    }
    assert_eq!(server.get(format!("/feed?mode=latest&cursor={of_feed}")).by(&ada).send().await?.status, 200);
    server.close().await
}
