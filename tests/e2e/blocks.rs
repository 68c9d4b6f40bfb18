//! Blocks and mutes: who is shown what, route by route, and who may do what.

use anyhow::{Context, Result, ensure};
use futures::future::{join, try_join_all};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidings_tests::server::{Answer, PASSWORD, Person, TestServer};

/// A request without a body that must succeed.
async fn does(server: &TestServer, by: &Person, method: Method, path: String) -> Result<Answer> {
    let answer = server.call(method, path.as_str()).by(by).send().await?;
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
    Ok(answer)
}

async fn comment(server: &TestServer, by: &Person, post: &str) -> Result<String> {
    let answer = server.post(format!("/posts/{post}/comments")).by(by).json(&json!({ "text": "so" })).send().await?;
    ensure!(answer.status == StatusCode::CREATED, "{}", answer.body);
    Ok(answer.text("id"))
}

/// The same person, in a session that waits for what everybody has written.
async fn anew(server: &TestServer, person: &Person) -> Result<Person> {
    let login = json!({ "email": person.email, "password": PASSWORD });
    let token = server.post("/users/auth/login").json(&login).send().await?.text("access_token");
    Ok(Person { token, ..person.clone() })
}

/// Ada and Bob, and Eve who has to do with both: all follow each other, and each has a post under which the other two
/// comment and which they like. Eve's mentions both.
struct World {
    server: TestServer,
    /// Ada, Bob and Eve.
    people: [Person; 3],
    /// A post of each.
    posts: [String; 3],
    /// Under Eve's post: Ada's and Bob's.
    comments: [String; 2],
}

impl World {
    async fn new() -> Result<Self> {
        let server = TestServer::start().await?;
        let people = [server.register("ada").await?, server.register("bob").await?, server.register("eve").await?];
        let mut posts = Vec::new();
        for (person, text) in people.iter().zip(["first #tag", "second #tag", "hello #tag @ada and @bob"]) {
            posts.push(server.publish(person, text).await?);
        }
        let posts: [String; 3] = posts.try_into().ok().context("three")?;
        let mut comments = Vec::new();
        for (n, post) in posts.iter().enumerate() {
            for (m, person) in people.iter().enumerate().filter(|(m, _)| *m != n) {
                does(&server, person, Method::POST, format!("/users/{}/follow", people[n].id)).await?;
                does(&server, person, Method::POST, format!("/posts/{post}/likes")).await?;
                let id = comment(&server, person, post).await?;
                comments.extend((n == 2 && m < 2).then_some(id));
            }
        }
        let comments = comments.try_into().ok().context("two")?;
        Ok(Self { server, people, posts, comments })
    }

    /// Ada blocks Bob, and everything is as it will be.
    async fn block(&mut self) -> Result<()> {
        let [ada, bob, _] = &self.people;
        does(&self.server, ada, Method::POST, format!("/users/{}/block", bob.id)).await?;
        self.server.settle().await?;
        let [ada, bob, eve] = &self.people;
        self.people = [anew(&self.server, ada).await?, anew(&self.server, bob).await?, anew(&self.server, eve).await?];
        Ok(())
    }

    /// A path in which `{ada}`, `{post of ada}` and `{comment of ada}` stand for ids.
    fn path(&self, path: &str) -> String {
        let names = ["ada", "bob", "eve"];
        let ids = names.iter().zip(&self.people).map(|(name, person)| (format!("{{{name}}}"), &person.id));
        let posts = names.iter().zip(&self.posts).map(|(name, id)| (format!("{{post of {name}}}"), id));
        let comments = names.iter().zip(&self.comments).map(|(name, id)| (format!("{{comment of {name}}}"), id));
        let all = ids.chain(posts).chain(comments);
        all.fold(path.to_owned(), |path, (name, id)| path.replace(&name, id))
    }

    /// What a reader is shown: the status if it is an error, else the initials of those who are named.
    async fn shown(&self, reader: Option<&Person>, path: &str) -> Result<String> {
        let call = self.server.get(self.path(path)).header("prefer", "consistency=strict");
        let answer = reader.into_iter().fold(call, |call, reader| call.by(reader)).send().await?;
        if answer.status != StatusCode::OK {
            return Ok(answer.status.as_u16().to_string());
        }
        let mut names = BTreeSet::new();
        collect_names(&answer.body, &mut names);
        Ok(names.into_iter().filter_map(|name| name.chars().next()).collect())
    }
}

fn collect_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            names.extend(fields.get("username").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

/// Every route that shows people or what they wrote or did: the route, a path of it, and who is named there to the blocker,
/// to the blocked, to a third person and without a token.
const SHOWN: &[(&str, &str, [&str; 4])] = &[
    ("/users/me", "/users/me", ["a", "b", "e", "401"]),
    ("/users/me/blocks", "/users/me/blocks", ["b", "", "", "401"]),
    ("/users/me/mutes", "/users/me/mutes", ["", "", "", "401"]),
    ("/users", "/users?ids={ada},{bob},{eve}", ["abe", "be", "abe", "abe"]),
    ("/users", "/users?username=ADA", ["a", "", "a", "a"]),
    ("/users", "/users?username=Bob", ["b", "b", "b", "b"]),
    ("/users/{user_id}", "/users/{ada}", ["a", "404", "a", "a"]),
    ("/users/{user_id}", "/users/{bob}", ["b", "b", "b", "b"]),
    ("/users/{user_id}/followers", "/users/{ada}/followers", ["e", "404", "e", "e"]),
    ("/users/{user_id}/followers", "/users/{bob}/followers", ["404", "e", "e", "e"]),
    ("/users/{user_id}/followers", "/users/{eve}/followers", ["a", "b", "ab", "ab"]),
    ("/users/{user_id}/following", "/users/{ada}/following", ["e", "404", "e", "e"]),
    ("/users/{user_id}/following", "/users/{bob}/following", ["404", "e", "e", "e"]),
    ("/users/{user_id}/following", "/users/{eve}/following", ["a", "b", "ab", "ab"]),
    ("/users/{user_id}/posts", "/users/{ada}/posts", ["a", "404", "a", "a"]),
    ("/users/{user_id}/posts", "/users/{bob}/posts", ["404", "b", "b", "b"]),
    ("/users/{user_id}/posts", "/users/{eve}/posts", ["ae", "be", "abe", "abe"]),
    ("/hashtags/{hashtag}/posts", "/hashtags/TAG/posts", ["ae", "be", "abe", "abe"]),
    ("/posts", "/posts", ["ae", "be", "abe", "abe"]),
    ("/posts", "/posts?author_id={ada}", ["a", "", "a", "a"]),
    ("/posts", "/posts?author_id={bob}", ["", "b", "b", "b"]),
    ("/posts/{post_id}", "/posts/{post of ada}", ["a", "404", "a", "a"]),
    ("/posts/{post_id}", "/posts/{post of bob}", ["404", "b", "b", "b"]),
    ("/posts/{post_id}", "/posts/{post of eve}", ["ae", "be", "abe", "abe"]),
    ("/posts/{post_id}/history", "/posts/{post of ada}/history", ["", "404", "403", "401"]),
    ("/posts/{post_id}/history", "/posts/{post of eve}/history", ["403", "403", "ab", "401"]),
    ("/posts/{post_id}/comments", "/posts/{post of ada}/comments", ["e", "404", "be", "be"]),
    ("/posts/{post_id}/comments", "/posts/{post of bob}/comments", ["404", "e", "ae", "ae"]),
    ("/posts/{post_id}/comments", "/posts/{post of eve}/comments", ["a", "b", "ab", "ab"]),
    (
        "/posts/{post_id}/comments/{comment_id}",
        "/posts/{post of eve}/comments/{comment of ada}",
        ["a", "404", "a", "a"],
    ),
    (
        "/posts/{post_id}/comments/{comment_id}",
        "/posts/{post of eve}/comments/{comment of bob}",
        ["404", "b", "b", "b"],
    ),
    ("/posts/{post_id}/likes", "/posts/{post of ada}/likes", ["e", "404", "be", "be"]),
    ("/posts/{post_id}/likes", "/posts/{post of bob}/likes", ["404", "e", "ae", "ae"]),
    ("/posts/{post_id}/likes", "/posts/{post of eve}/likes", ["a", "b", "ab", "ab"]),
    ("/notifications", "/notifications", ["e", "e", "ab", "401"]),
    ("/feed", "/feed", ["ae", "be", "abe", "401"]),
    ("/feed", "/feed?mode=latest", ["ae", "be", "abe", "401"]),
];

/// Routes that show nobody: one's own sign-ins, how far one's own deletion is, and how much is unread.
const SHOWS_NOBODY: [&str; 3] = ["/users/me/sessions", "/deletions/{ticket}", "/notifications/unread-count"];

#[tokio::test(flavor = "multi_thread")]
async fn a_block_hides_two_from_each_other_on_every_route_and_from_nobody_else() -> Result<()> {
    let mut world = World::new().await?;
    world.block().await?;
    let mut differ = Vec::new();
    for (_, path, expected) in SHOWN {
        let readers = world.people.iter().map(Some).chain([None]);
        for (reader, expected) in readers.zip(expected) {
            let shown = world.shown(reader, path).await?;
            if shown != **expected {
                let who = reader.map_or("nobody", |reader| &reader.email);
                differ.push(format!("{path} shows {shown:?} to {who} rather than {expected:?}"));
            }
        }
    }
    assert_eq!(differ, [""; 0]);
    world.server.close().await
}

#[test]
fn no_route_that_shows_somebody_is_missing_in_the_table() {
    let document = gateway::openapi();
    let is_for_people =
        |operation: &Value| !["operators", "plumbing"].contains(&operation["tags"][0].as_str().unwrap());
    let paths = document["paths"].as_object().unwrap().iter();
    let reads =
        paths.filter(|(_, item)| item["get"].is_object() && is_for_people(&item["get"])).map(|(path, _)| &**path);
    let listed = SHOWN.iter().map(|(route, ..)| *route).chain(SHOWS_NOBODY);
    assert_eq!(reads.collect::<BTreeSet<_>>(), listed.collect::<BTreeSet<_>>());
}

/// What the blocker, the blocked and a third person get who do something across a block, or take back what they did.
const DONE: &[(&str, &str, [u16; 3])] = &[
    ("POST", "/users/{ada}/follow", [409, 404, 200]),
    ("POST", "/users/{bob}/follow", [404, 409, 200]),
    ("DELETE", "/users/{ada}/follow", [404, 404, 204]),
    ("DELETE", "/users/{bob}/follow", [404, 404, 204]),
    ("POST", "/posts/{post of ada}/likes", [201, 404, 200]),
    ("POST", "/posts/{post of bob}/likes", [404, 201, 200]),
    ("POST", "/posts/{post of ada}/comments", [201, 404, 201]),
    ("POST", "/posts/{post of bob}/comments", [404, 201, 201]),
    ("POST", "/posts/{post of eve}/comments", [201, 201, 201]),
    // What somebody did they may take back.
    ("DELETE", "/posts/{post of ada}/likes", [204, 204, 204]),
    ("DELETE", "/posts/{post of bob}/likes", [204, 204, 204]),
    ("PUT", "/posts/{post of ada}", [200, 404, 403]),
    ("DELETE", "/posts/{post of bob}", [404, 204, 404]),
    ("POST", "/users/{ada}/mute", [409, 201, 201]),
    ("DELETE", "/users/{ada}/mute", [404, 204, 204]),
    // Whoever is blocked may block too, and whoever blocks may end it.
    ("POST", "/users/{ada}/block", [409, 201, 201]),
    ("DELETE", "/users/{ada}/block", [404, 204, 204]),
    ("DELETE", "/users/{bob}/block", [204, 404, 404]),
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_does_anything_across_a_block_but_take_back_what_they_did() -> Result<()> {
    let mut world = World::new().await?;
    world.block().await?;
    let mut differ = Vec::new();
    for (method, path, expected) in DONE {
        for (person, expected) in world.people.iter().zip(expected) {
            let call = world.server.call(method.parse()?, world.path(path)).by(person);
            let body = json!({ "text": "well", "content": "well" });
            let has_body = path.ends_with("/comments") || *method == "PUT";
            let answer = if has_body { call.json(&body) } else { call }.send().await?;
            if answer.status.as_u16() != *expected {
                differ.push(format!("{method} {path} by {}: {} rather than {expected}", person.email, answer.status));
            }
        }
    }
    assert_eq!(differ, [""; 0]);
    world.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_block_has_severed_does_not_come_back() -> Result<()> {
    let mut world = World::new().await?;
    world.block().await?;
    let [ada, bob, _] = &world.people;
    let viewer = |reader: Person, whom: String| {
        let server = &world.server;
        async move {
            Ok::<_, anyhow::Error>(
                server.get(format!("/users/{whom}")).by(&reader).send().await?.body["viewer"].clone(),
            )
        }
    };
    let none = json!({ "following": false, "followed_by": false, "blocking": false, "muting": false });
    let blocking = json!({ "following": false, "followed_by": false, "blocking": true, "muting": false });
    assert_eq!(viewer(ada.clone(), bob.id.clone()).await?, blocking);
    does(&world.server, ada, Method::DELETE, format!("/users/{}/block", bob.id)).await?;
    assert_eq!(viewer(ada.clone(), bob.id.clone()).await?, none);
    assert_eq!(viewer(bob.clone(), ada.id.clone()).await?, none);
    assert_eq!(world.shown(Some(bob), "/posts/{post of ada}/comments").await?, "be", "what they wrote is there again");
    let again = does(&world.server, bob, Method::POST, format!("/users/{}/follow", ada.id)).await?;
    assert_eq!(again.status, StatusCode::CREATED, "it was not only hidden");
    world.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_and_a_mute_begin_once_and_end_once() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let nobody = "00000000-0000-4000-8000-000000000000";
    for what in ["block", "mute"] {
        let path = |user: &str| format!("/users/{user}/{what}");
        let call = |method: Method, user: &str| server.call(method, path(user)).by(&ada);
        assert_eq!(call(Method::DELETE, &bob.id).send().await?.error(), (404, "NotFound"));
        let first = call(Method::POST, &bob.id).key("the-first-one").send().await?;
        let repeated = call(Method::POST, &bob.id).key("the-first-one").send().await?;
        let again = anew(&server, &ada).await?;
        let again = server.post(path(&bob.id)).by(&again).send().await?;
        assert_eq!((first.text("user_id"), first.text("target_id")), (ada.id.clone(), bob.id.clone()));
        assert_eq!([first.status, repeated.status, again.status].map(|status| status.as_u16()), [201, 201, 200]);
        assert_eq!((&first.body, &first.body), (&repeated.body, &again.body));
        let list = server.get(format!("/users/me/{what}s")).by(&ada).send().await?;
        assert_eq!((&list.body["users"][0]["id"], &list.body["next_cursor"]), (&bob.id.as_str().into(), &Value::Null));
        let before = server.records().await?;
        assert_eq!(call(Method::POST, &ada.id).send().await?.error(), (409, "Conflict"));
        assert_eq!(call(Method::POST, nobody).send().await?.error(), (404, "NotFound"));
        assert_eq!(call(Method::POST, "me").send().await?.error(), (400, "InvalidRequest"));
        assert_eq!(server.records().await?, before);
        assert_eq!(call(Method::DELETE, &bob.id).send().await?.status, StatusCode::NO_CONTENT);
        assert_eq!(call(Method::DELETE, &bob.id).send().await?.error(), (404, "NotFound"));
        let late = call(Method::POST, &bob.id).key("the-first-one").send().await?;
        assert_eq!(late.error(), (404, "NotFound"), "it was ended since");
        let list = server.get(format!("/users/me/{what}s")).by(&ada).send().await?;
        assert_eq!(list.body["users"], json!([]));
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_lists_have_pages_and_cursors_of_their_own() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let mut others = Vec::new();
    for n in 0..5 {
        let other = server.register(&format!("other{n}")).await?;
        does(&server, &ada, Method::POST, format!("/users/{}/block", other.id)).await?;
        does(&server, &ada, Method::POST, format!("/users/{}/mute", other.id)).await?;
        others.insert(0, other);
    }
    // Who blocks back is in the list all the same, or they could not be found there.
    does(&server, &others[0], Method::POST, format!("/users/{}/block", ada.id)).await?;
    let mut cursors = Vec::new();
    for what in ["blocks", "mutes"] {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(format!("/users/me/{what}?limit=2{cursor}")).by(&ada).send().await?;
            let users = page.body["users"].as_array().context("no list")?;
            ids.extend(users.iter().map(|user| user["id"].as_str().unwrap_or_default().to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(ids, others.iter().map(|other| other.id.clone()).collect::<Vec<_>>());
        cursors.push(cursor);
    }
    let foreign = server.get(format!("/users/me/mutes?limit=2{}", cursors[0])).by(&ada).send().await?;
    assert_eq!(foreign.error(), (404, "NotFound"));
    let others = server.get(format!("/users/me/blocks?limit=2{}", cursors[0])).by(&others[1]).send().await?;
    assert_eq!(others.error(), (404, "NotFound"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_full_although_much_of_a_list_is_hidden() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob, eve) = (server.register("ada").await?, server.register("bob").await?, server.register("eve").await?);
    for other in [&bob, &eve] {
        does(&server, &ada, Method::POST, format!("/users/{}/follow", other.id)).await?;
    }
    let mut of_eve = Vec::new();
    for n in 0..18 {
        let author = if n % 3 == 0 { &eve } else { &bob };
        let id = server.publish(author, &format!("post {n}")).await?;
        if n % 3 == 0 {
            of_eve.insert(0, id);
        }
    }
    for (what, undo, path, array) in [
        ("block", true, "/posts?", "posts"),
        ("mute", false, "/feed?mode=latest", "feed"),
        ("block", false, "/feed?mode=latest", "feed"),
    ] {
        does(&server, &ada, Method::POST, format!("/users/{}/{what}", bob.id)).await?;
        let reader = anew(&server, &ada).await?;
        let (mut ids, mut cursor, mut sizes) = (Vec::new(), String::new(), Vec::new());
        loop {
            let page = server.get(format!("{path}&limit=4{cursor}")).by(&reader).send().await?;
            let posts = page.body[array].as_array().context("no list")?;
            sizes.push(posts.len());
            ids.extend(posts.iter().map(|post| post["id"].as_str().unwrap_or_default().to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((ids, sizes), (of_eve.clone(), vec![4, 2]), "{what}, {path}");
        if undo {
            does(&server, &ada, Method::DELETE, format!("/users/{}/{what}", bob.id)).await?;
            does(&server, &ada, Method::POST, format!("/users/{}/follow", bob.id)).await?;
        }
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_changes_the_muters_feed_and_notifications_and_nothing_else() -> Result<()> {
    let world = World::new().await?;
    let [ada, bob, eve] = &world.people;
    // The order by relevance changes with what was read before.
    let paths = SHOWN.iter().map(|(_, path, _)| *path).filter(|path| !["/users/me/mutes", "/feed"].contains(path));
    let everything = async |reader: &Person| {
        let mut all = Vec::new();
        for path in paths.clone() {
            let mut answer = world.server.get(world.path(path)).by(&anew(&world.server, reader).await?).send().await?;
            answer.body.as_object_mut().map(|body| body.remove("request_id"));
            all.push((path, answer.body));
        }
        Ok::<_, anyhow::Error>(all)
    };
    let before = [everything(ada).await?, everything(bob).await?, everything(eve).await?];
    does(&world.server, ada, Method::POST, format!("/users/{}/mute", bob.id)).await?;
    let after = [everything(ada).await?, everything(bob).await?, everything(eve).await?];
    assert_eq!(before[1..], after[1..], "nobody else can tell");
    let changed = before[0].iter().zip(&after[0]).filter(|(before, after)| before != after);
    // In profiles and lists of people the muter is told that they mute.
    let told = [
        "/users?ids={ada},{bob},{eve}",
        "/users?username=Bob",
        "/users/{bob}",
        "/users/{ada}/followers",
        "/users/{ada}/following",
        "/users/{eve}/followers",
        "/users/{eve}/following",
    ];
    let changed = changed.map(|((path, _), _)| *path).filter(|path| !told.contains(path)).collect::<Vec<_>>();
    assert_eq!(changed, ["/notifications", "/feed?mode=latest"]);
    assert_eq!(world.shown(Some(ada), "/feed").await?, "abe", "Eve's post still names Bob");
    for mode in ["latest", "relevance"] {
        let authors = authors(&world.server, ada, &format!("/feed?mode={mode}")).await?;
        assert_eq!(authors, BTreeSet::from([ada.id.clone(), eve.id.clone()]), "{mode}");
    }
    let profile = world.server.get(format!("/users/{}", bob.id)).by(ada).send().await?;
    let relation = json!({ "following": true, "followed_by": true, "blocking": false, "muting": true });
    assert_eq!(profile.body["viewer"], relation);
    world.server.close().await
}

/// Who wrote what is on all pages of a feed, beginning with this one.
async fn authors(server: &TestServer, reader: &Person, first: &str) -> Result<BTreeSet<String>> {
    let (mut authors, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = server.get(format!("{first}&limit=1{cursor}")).by(reader).send().await?;
        let posts = page.body["feed"].as_array().context("no feed")?;
        authors.extend(posts.iter().filter_map(|post| Some(post["author_id"].as_str()?.to_owned())));
        let Some(next) = page.body["next_cursor"].as_str() else { return Ok(authors) };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_hidden_since_the_first_page_is_on_none_of_the_others() -> Result<()> {
    for what in ["block", "mute"] {
        let world = World::new().await?;
        let [ada, bob, eve] = &world.people;
        for n in 0..3 {
            world.server.publish(bob, &format!("more {n}")).await?;
        }
        let reader = anew(&world.server, eve).await?;
        let first = world.server.get("/feed?limit=1").by(&reader).send().await?;
        let cursor = first.text("next_cursor");
        does(&world.server, &reader, Method::POST, format!("/users/{}/{what}", bob.id)).await?;
        let rest = world.server.get(format!("/feed?limit=100&cursor={cursor}")).by(&reader).send().await?;
        let posts = rest.body["feed"].as_array().context("no feed")?;
        assert!(!posts.is_empty() && posts.iter().all(|post| post["author_id"] != bob.id.as_str()), "{what}");
        assert!(posts.iter().any(|post| post["author_id"] == ada.id.as_str() || post["author_id"] == eve.id.as_str()));
        world.server.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_blocks_the_author_is_not_mentioned_any_more() -> Result<()> {
    let mut world = World::new().await?;
    world.block().await?;
    let [ada, bob, eve] = &world.people;
    let post = world.server.publish(bob, "dear @ada, dear @eve").await?;
    does(&world.server, ada, Method::DELETE, format!("/users/{}/block", bob.id)).await?;
    let read = world.server.get(format!("/posts/{post}")).by(&anew(&world.server, eve).await?).send().await?;
    let mentions = read.body["mentions"].as_array().context("no mentions")?;
    assert_eq!(mentions.iter().map(|face| face["username"].as_str()).collect::<Vec<_>>(), [Some("eve")]);
    world.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_that_race_with_a_block_are_severed_or_hidden() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let mut others = Vec::new();
    for n in 0..12 {
        others.push(server.register(&format!("other{n}")).await?);
    }
    let race = others.iter().map(|other| async {
        let block = does(&server, &ada, Method::POST, format!("/users/{}/block", other.id));
        let follows = async {
            for _ in 0..4 {
                let answer = server.post(format!("/users/{}/follow", ada.id)).by(other).send().await?;
                ensure!([200, 201, 404].contains(&answer.status.as_u16()), "{}", answer.body);
            }
            Ok(())
        };
        let (blocked, followed) = join(block, follows).await;
        blocked.and(followed)
    });
    try_join_all(race).await?;
    server.settle().await?;
    let ada = anew(&server, &ada).await?;
    for other in &others {
        let other = anew(&server, other).await?;
        let seen = server.get(format!("/users/{}", other.id)).by(&ada).send().await?;
        assert_eq!(
            (&seen.body["viewer"]["following"], &seen.body["viewer"]["followed_by"]),
            (&false.into(), &false.into())
        );
        let following = server.get(format!("/users/{}/following", other.id)).by(&other).send().await?;
        assert_eq!(following.body["users"], json!([]));
        let follow = server.post(format!("/users/{}/follow", ada.id)).by(&other).send().await?;
        assert_eq!(follow.error(), (404, "NotFound"));
    }
    let followers = server.get(format!("/users/{}/followers", ada.id)).by(&ada).send().await?;
    assert_eq!(followers.body["users"], json!([]));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_mutes_outlive_a_restart() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    does(&server, &ada, Method::POST, format!("/users/{}/block", bob.id)).await?;
    does(&server, &bob, Method::POST, format!("/users/{}/mute", ada.id)).await?;
    let server = server.restart().await?;
    let strict = |path: String, reader: &Person| server.get(path).by(reader).header("prefer", "consistency=strict");
    assert_eq!(strict(format!("/users/{}", ada.id), &bob).send().await?.error(), (404, "NotFound"));
    let mutes = strict("/users/me/mutes".to_owned(), &bob).send().await?;
    assert_eq!(
        (&mutes.body["users"][0]["id"], &mutes.body["users"][0]["viewer"]["muting"]),
        (&ada.id.as_str().into(), &true.into())
    );
    server.close().await
}
