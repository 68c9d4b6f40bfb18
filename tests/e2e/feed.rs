//! The feed: what is in it, and its two orders.

use anyhow::Result;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidings_tests::server::{Answer, Person, TestServer};

async fn contents(server: &TestServer, reader: &Person, mode: &str) -> Result<Vec<Value>> {
    let feed = server.get(format!("/feed?mode={mode}")).by(reader).send().await?.body["feed"].take();
    Ok(feed.as_array().into_iter().flatten().map(|post| post["content"].clone()).collect())
}

fn ids(page: &Answer) -> Vec<String> {
    page.ids("feed").into_iter().map(str::to_owned).collect()
}

/// Every id from a page on; every page but the last is full.
async fn rest(server: &TestServer, reader: &Person, first: &Answer, limit: usize) -> Result<Vec<String>> {
    let (mut all, mut next) = (Vec::new(), first.body["next_cursor"].clone());
    while let Some(cursor) = next.as_str() {
        let page = server.get(format!("/feed?limit={limit}&cursor={cursor}")).by(reader).send().await?;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        next = page.body["next_cursor"].clone();
        assert!(!ids(&page).is_empty() && (ids(&page).len() == limit || next.is_null()));
        all.extend(ids(&page));
    }
    Ok(all)
}

/// Has the reader follow these people.
async fn follow(server: &TestServer, reader: &Person, others: &[&Person]) -> Result<()> {
    for other in others {
        let path = format!("/users/{}/follow", other.id);
        assert!(server.post(path).by(reader).send().await?.status.is_success());
    }
    Ok(())
}

/// A reader whose next read waits for everything that anybody has written.
async fn anew(server: &TestServer, reader: &Person) -> Result<Person> {
    let login = json!({ "email": reader.email, "password": tidings_tests::server::PASSWORD });
    let token = server.post("/auth/login").json(&login).send().await?.text("access_token");
    Ok(Person { token, ..reader.clone() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_holds_what_the_reader_and_whom_they_follow_have_posted() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    server.publish(&ada, "1 of ada").await?;
    server.publish(&eve, "2 of eve").await?;
    let own = server.publish(&bob, "3 of bob").await?;
    for mode in ["latest", "relevance"] {
        assert_eq!(contents(&server, &bob, mode).await?, ["3 of bob"]);
    }
    follow(&server, &bob, &[&ada]).await?;
    assert_eq!(contents(&server, &bob, "latest").await?, ["3 of bob", "1 of ada"]);
    assert_eq!(contents(&server, &bob, "relevance").await?, ["1 of ada", "3 of bob"], "that of Bob he has seen");
    server.delete(format!("/posts/{own}")).by(&bob).send().await?;
    server.delete(format!("/users/{}/follow", ada.id)).by(&bob).send().await?;
    for mode in ["latest", "relevance"] {
        assert_eq!(contents(&server, &bob, mode).await?, Vec::<Value>::new());
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_order_is_refused_and_none_is_relevance() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let empty = json!({ "feed": [], "next_cursor": null });
    for query in ["", "?mode=latest", "?mode=relevance&explain=0", "?explain=1"] {
        assert_eq!(server.get(format!("/feed{query}")).by(&ada).send().await?.body, empty);
    }
    for query in ["mode=LATEST", "mode=", "explain=yes", "explain=", "explain=1&explain=1", "limit=0", "cursor=x"] {
        assert_eq!(server.get(format!("/feed?{query}")).by(&ada).send().await?.error(), (400, "InvalidRequest"));
    }
    assert_eq!(server.get("/feed").send().await?.error(), (401, "Unauthorized"));
    let one = server.publish(&ada, "one").await?;
    server.post(format!("/posts/{one}/likes")).by(&ada).send().await?;
    server.publish(&ada, "two").await?;
    assert_eq!(contents(&server, &ada, "latest").await?, ["two", "one"]);
    let by_default = server.get("/feed?explain=1").by(&ada).send().await?;
    assert_eq!(ids(&by_default)[0], one, "what is liked comes first");
    assert!(by_default.body["feed"][0]["explanation"]["score"].is_f64());
    let latest = server.get("/feed?mode=latest&explain=1").by(&ada).send().await?;
    assert_eq!(latest.body["feed"][0].get("explanation"), None, "the order by time explains itself");
    server.close().await
}

fn factors(item: &Value) -> [f64; 5] {
    ["affinity", "popularity", "recency", "diversity", "seen"]
        .map(|name| item["explanation"][name].as_f64().unwrap_or(f64::NAN))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_multiplies_to_the_score_and_says_what_counted() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    follow(&server, &bob, &[&ada, &eve]).await?;
    let mut posts = Vec::new();
    for n in 0..3 {
        posts.push(server.publish(&ada, &format!("{n} of ada")).await?);
    }
    let of_eve = server.publish(&eve, "of eve").await?;
    for person in [&bob, &eve, &ada] {
        server.post(format!("/posts/{}/likes", posts[0])).by(person).send().await?;
    }
    let comments = format!("/posts/{}/comments", posts[1]);
    for _ in 0..2 {
        server.post(comments.as_str()).by(&bob).json(&json!({ "text": "well" })).send().await?;
    }
    let bob = anew(&server, &bob).await?;
    let page = server.get("/feed?explain=1").by(&bob).send().await?;
    let items = page.items("feed");
    for item in items {
        let score = item["explanation"]["score"].as_f64().unwrap();
        assert!((factors(item).iter().product::<f64>() - score).abs() < 1e-12, "{item}");
    }
    let scores = items.iter().map(|item| item["explanation"]["score"].as_f64().unwrap()).collect::<Vec<_>>();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    // Of Ada: one like and two comments of Bob's; three likes of the first post, two comments under the second.
    let of = |id: &str| factors(items.iter().find(|item| item["id"] == id).unwrap());
    let close = |one: f64, two: f64| (one - two).abs() < 1e-12;
    let ([a, p, r, d, s], [a_1, p_1, _, d_1, _]) = (of(&posts[0]), of(&posts[1]));
    assert!(close(a, 1.5) && close(a_1, 1.5), "{a} {a_1}");
    assert!(close(p, 1.0 + 4.0_f64.ln()) && close(p_1, 1.0 + 7.0_f64.ln()), "{p} {p_1}");
    assert!((0.99..1.0).contains(&r) && close(s, 1.0));
    assert!(close(d_1, 1.0) && close(d, 0.625) && close(of(&posts[2])[3], 0.4375), "the second leads: {d_1} {d}");
    assert_eq!(of(&of_eve)[..2], [1.0, 1.0]);
    server.delete(format!("/posts/{}/likes", posts[0])).by(&bob).send().await?;
    server.delete(format!("/posts/{}", posts[1])).by(&ada).send().await?;
    let again = server.get("/feed?explain=1").by(&anew(&server, &bob).await?).send().await?;
    let left = again.items("feed").iter().map(factors).collect::<Vec<_>>();
    assert!(left.iter().all(|[affinity, .., seen]| (*affinity, *seen) == (1.0, 0.4)), "{left:?}");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_neither_repeats_nor_skips_whatever_happens_meanwhile() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    follow(&server, &bob, &[&ada]).await?;
    let mut posts = Vec::new();
    for n in 0..12 {
        posts.push(server.publish(if n % 3 == 0 { &bob } else { &ada }, &format!("post {n}")).await?);
    }
    let bob = anew(&server, &bob).await?;
    let whole = ids(&server.get("/feed?limit=12").by(&bob).send().await?);
    assert_eq!(whole.iter().collect::<BTreeSet<_>>(), posts.iter().collect::<BTreeSet<_>>());
    for limit in [1, 2, 3, 5, 11] {
        let first = server.get(format!("/feed?limit={limit}")).by(&bob).send().await?;
        let before = posts.clone();
        // Posts arrive, and what stands last becomes liked.
        for person in [&ada, &bob] {
            posts.push(server.publish(person, &format!("new by {limit}")).await?);
        }
        server.post(format!("/posts/{}/likes", posts[0])).by(&ada).send().await?;
        let read = [ids(&first), rest(&server, &bob, &first, limit).await?].concat();
        assert_eq!(read.len(), before.len(), "nothing twice");
        assert_eq!(read.iter().collect::<BTreeSet<_>>(), before.iter().collect::<BTreeSet<_>>(), "nothing left out");
        // The same page is the same again.
        let cursor = first.text("next_cursor");
        let second = format!("/feed?limit=2&cursor={cursor}");
        let pages = [server.get(second.as_str()).by(&bob).send().await?, server.get(second).by(&bob).send().await?];
        assert_eq!(pages[0].body["next_cursor"], pages[1].body["next_cursor"]);
        assert_eq!(ids(&pages[0]), ids(&pages[1]));
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_between_two_pages_is_left_out_and_the_page_filled_up() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    for n in 0..8 {
        server.publish(&ada, &format!("post {n}")).await?;
    }
    let all = ids(&server.get("/feed").by(&ada).send().await?);
    let first = server.get("/feed?limit=2").by(&ada).send().await?;
    let order = [ids(&first), rest(&server, &ada, &first, 6).await?].concat();
    assert_eq!(order, all, "seen all, the order is the same");
    for id in [&order[2], &order[3], &order[6], &order[7]] {
        server.delete(format!("/posts/{id}")).by(&ada).send().await?;
    }
    let cursor = first.text("next_cursor");
    let second = server.get(format!("/feed?limit=2&cursor={cursor}")).by(&ada).send().await?;
    assert_eq!(ids(&second), order[4..6]);
    assert_eq!((&second.body["next_cursor"], second.header("link")), (&Value::Null, None), "nothing follows");
    for id in &order[4..6] {
        server.delete(format!("/posts/{id}")).by(&ada).send().await?;
    }
    let none = server.get(format!("/feed?cursor={cursor}")).by(&ada).send().await?;
    assert_eq!(none.body, json!({ "feed": [], "next_cursor": null }));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_foreign_or_forgotten_is_not_found() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    for person in [&ada, &bob] {
        for n in 0..3 {
            server.publish(person, &format!("post {n}")).await?;
        }
    }
    let first = server.get("/feed?limit=1").by(&ada).send().await?.text("next_cursor");
    let path = format!("/feed?limit=1&cursor={first}");
    assert_eq!(first.len(), 48);
    for (path, reader) in [
        (path.clone(), &bob),
        (format!("/feed?mode=latest&cursor={first}"), &ada),
        (format!("/posts?cursor={first}"), &ada),
        (format!("/feed?cursor={}", "A".repeat(48)), &ada),
    ] {
        assert_eq!(server.get(path.as_str()).by(reader).send().await?.error(), (404, "NotFound"), "{path}");
    }
    // Bob's rankings push out none of Ada's, and her own the oldest: four devices may page at the same time.
    for (reader, status) in [(&bob, 200), (&ada, 404)] {
        for _ in 0..4 {
            server.get("/feed?limit=1").by(reader).send().await?;
        }
        assert_eq!(server.get(path.as_str()).by(&ada).send().await?.status, status);
    }
    let last = server.get("/feed?limit=1").by(&ada).send().await?.text("next_cursor");
    let server = server.restart().await?;
    let expired = server.get(format!("/feed?cursor={last}")).by(&ada).send().await?;
    assert_eq!(expired.error(), (404, "NotFound"), "rankings are in memory alone");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shown_counts_less_from_the_next_ranking_on() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    for n in 0..3 {
        server.publish(&ada, &format!("post {n}")).await?;
    }
    let seen = |page: &Answer| page.items("feed").iter().map(|it| factors(it)[4]).collect::<Vec<_>>();
    let first = server.get("/feed?limit=1&explain=1").by(&ada).send().await?;
    let cursor = first.text("next_cursor");
    // The frozen ranking says what it said, also of what was shown since.
    let second = server.get(format!("/feed?limit=1&explain=1&cursor={cursor}")).by(&ada).send().await?;
    let again = server.get(format!("/feed?limit=1&explain=1&cursor={cursor}")).by(&ada).send().await?;
    assert_eq!((seen(&first), seen(&second), seen(&again)), (vec![1.0], vec![1.0], vec![1.0]));
    let next = server.get("/feed?explain=1").by(&ada).send().await?;
    assert_eq!(seen(&next), [1.0, 0.4, 0.4]);
    assert!(!ids(&first).contains(&ids(&next)[0]) && !ids(&second).contains(&ids(&next)[0]));
    // What is read newest first leaves no marks.
    let bob = server.register("bob").await?;
    server.publish(&bob, "of bob").await?;
    server.get("/feed?mode=latest").by(&bob).send().await?;
    assert_eq!(seen(&server.get("/feed?explain=1").by(&bob).send().await?), [1.0]);
    server.close().await
}
