//! Somebody with much behind them is deleted while clients of theirs go on: afterwards no answer, no read model and no
//! plain text of the log names them.
//!
//! `TIDINGS_ERASED` says how many posts they have (and in proportion comments, likes and followers); it prints what was
//! looked through, and how long each phase took.

use anyhow::{Context, Result, ensure};
use events::{Event, KeyId, Keyring, SagaEvent, Step, Timestamp, UserId};
use futures::future::{try_join, try_join_all};
use futures::{StreamExt, TryStreamExt, stream};
use gateway::{Config, Footprint};
use http::{Method, StatusCode};
use journal::{DecodedCommit, Journal};
use projections::{
    Feed, Hidden, MemoryFeed, MemoryNotifications, MemoryPosts, MemorySagas, MemorySessions, MemoryUsers,
    Notifications, Page, Posts, Projections, ProjectionsOptions, ReadModel, spawn,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tidings_tests::server::{PASSWORD, Person, TestServer, redis_of};
use tidings_tests::services::everything_under;
use tidings_tests::settings::number;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const ERASED_DEFAULT: u64 = 60;
/// Requests under way at one time while the world is made and looked through.
const AT_ONCE: usize = 32;
const CLIENTS: usize = 4;
/// How often, and after what, somebody asks again.
const TRIES_MAX: usize = 100;
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// What nobody else writes.
const NAME: &str = "Quetzalcoatl_77";
const MARK: &str = "zyzzyva";

/// Requests that take effect, in any order. Whoever has too many posts in creation asks again, as a client would.
async fn all(server: &TestServer, calls: Vec<(Person, Method, String, Value)>) -> Result<Vec<Value>> {
    let send = |(person, method, path, body): (Person, Method, String, Value)| async move {
        let call = || server.call(method.clone(), path.as_str()).by(&person).json(&body);
        let mut answer = call().send().await?;
        for _ in 0..TRIES_MAX {
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            sleep(ASK_AGAIN).await;
            answer = call().send().await?;
        }
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    };
    stream::iter(calls).map(send).buffered(AT_ONCE).try_collect().await
}

fn post(text: &str) -> (Method, String, Value) {
    (Method::POST, "/posts".to_owned(), json!({ "content": text }))
}

/// What was there before the deletion.
struct World {
    gone: Person,
    others: Vec<Person>,
    /// Of others.
    posts: Vec<String>,
}

impl World {
    async fn of(server: &TestServer, erased: usize) -> Result<Self> {
        let gone = server.register(NAME).await?;
        let body = json!({ "email": gone.email, "password": PASSWORD });
        let elsewhere = server.post("/users/auth/login").header("user-agent", MARK).json(&body).send().await?;
        ensure!(elsewhere.status == StatusCode::OK, "{}", elsewhere.body);
        let names = (0..(erased / 2).max(2)).map(|n| format!("other_{n}"));
        let register = |name: String| async move { server.register(&name).await };
        let others: Vec<Person> = stream::iter(names).map(register).buffered(4).try_collect().await?;
        let other = |n: usize| others[n % others.len()].clone();
        let calls = (0..5 * erased).map(|n| {
            let (method, path, body) = post(&format!("post {n}"));
            (other(n), method, path, body)
        });
        let ids = |made: &[Value]| made.iter().map(|it| it["id"].as_str().unwrap_or_default().to_owned()).collect();
        let posts: Vec<String> = ids(&all(server, calls.collect()).await?);
        let calls = (0..erased).map(|n| {
            let (method, path, body) = post(&format!("#{MARK} {n}"));
            (gone.clone(), method, path, body)
        });
        let own: Vec<String> = ids(&all(server, calls.collect()).await?);
        let edits = own.iter().map(|id| {
            (gone.clone(), Method::PUT, format!("/posts/{id}"), json!({ "content": format!("#{MARK} edited") }))
        });
        all(server, edits.collect()).await?;
        let likes = posts.iter().map(|id| (gone.clone(), Method::POST, format!("/posts/{id}/likes"), json!({})));
        let said = |id: &String| {
            (gone.clone(), Method::POST, format!("/posts/{id}/comments"), json!({ "text": format!("{MARK}!") }))
        };
        let comments = posts.iter().take(erased * 5 / 2).map(said);
        let follow =
            |one: &Person, two: &Person| (one.clone(), Method::POST, format!("/users/{}/follow", two.id), json!({}));
        let follows = others.iter().flat_map(|it| [follow(it, &gone), follow(&gone, it)]);
        let liked =
            own.iter().zip(0..).map(|(id, n)| (other(n), Method::POST, format!("/posts/{id}/likes"), json!({})));
        all(server, likes.chain(comments).chain(follows).chain(liked).collect()).await?;
        let against = |what: &str, one: &Person, two: &Person| {
            (one.clone(), Method::POST, format!("/users/{}/{what}", two.id), json!({}))
        };
        let (first, second) = (&others[0], &others[1]);
        let pairs =
            [("block", first, &gone), ("mute", &gone, first), ("block", &gone, second), ("mute", second, &gone)];
        all(server, pairs.map(|(what, one, two)| against(what, one, two)).into()).await?;
        Ok(Self { gone, others, posts })
    }

    /// Every address that a stranger, a follower or an operator can read, but the record of the deletion itself.
    async fn pages(&self, server: &TestServer) -> Result<Vec<(Option<Person>, String)>> {
        let mut pages = vec![
            (None, format!("/users/{}", self.gone.id)),
            (None, format!("/users/{}/followers", self.gone.id)),
            (None, format!("/users/{}/following", self.gone.id)),
            (None, format!("/posts?author_id={}", self.gone.id)),
            (None, format!("/users/{}/posts", self.gone.id)),
            (None, format!("/hashtags/{MARK}/posts")),
            (None, "/readyz".to_owned()),
            (None, "/metrics".to_owned()),
        ];
        for (n, other) in self.others.iter().enumerate() {
            for rest in ["", "/followers", "/following"] {
                pages.push((Some(other.clone()), format!("/users/{}{rest}", other.id)));
            }
            for own in ["/users/me", "/users/me/blocks", "/users/me/mutes", "/notifications?limit=100"] {
                pages.push((Some(other.clone()), own.to_owned()));
            }
            if n < 20 {
                for mode in ["relevance", "latest"] {
                    pages.extend(listed(server, other, &format!("/feed?mode={mode}&limit=100")).await?);
                }
            }
        }
        pages.extend(listed(server, &self.others[0], "/posts?limit=100").await?);
        for (n, post) in self.posts.iter().enumerate() {
            let reader = (n % 2 == 0).then(|| self.others[n % self.others.len()].clone());
            for rest in ["", "/comments", "/likes"] {
                pages.push((reader.clone(), format!("/posts/{post}{rest}")));
            }
        }
        let operator = &self.others[1];
        let body = json!({ "role": "operator", "reason": "looks for what is left" });
        let role = server.put(format!("/admin/users/{}/role", operator.id)).token(&server.admin_token()?);
        ensure!(role.json(&body).send().await?.status == StatusCode::OK, "nobody became an operator");
        for process in ["USER_REGISTRATION", "POST_CREATION", "USER_RENAME", "USER_BLOCK"] {
            pages.extend(listed(server, operator, &format!("/admin/sagas?type={process}&limit=100")).await?);
        }
        pages.push((Some(operator.clone()), "/admin/parked".to_owned()));
        pages.push((Some(operator.clone()), format!("/admin/users?username={NAME}")));
        Ok(pages)
    }
}

/// The addresses of all pages of a list.
async fn listed(server: &TestServer, reader: &Person, first: &str) -> Result<Vec<(Option<Person>, String)>> {
    let (mut pages, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(page) = next {
        let answer = server.get(page.as_str()).by(reader).send().await?;
        next = answer.body["next_cursor"].as_str().map(|cursor| format!("{first}&cursor={cursor}"));
        pages.push((Some(reader.clone()), page));
    }
    Ok(pages)
}

/// What must be named nowhere.
fn names(person: &Person) -> Vec<String> {
    vec![person.id.clone(), person.email.to_lowercase(), NAME.to_lowercase(), MARK.to_owned()]
}

/// Writes until the token is good no more, and counts what took effect.
async fn go_on(server: &TestServer, world: &World, client: usize, written: &AtomicUsize) -> Result<()> {
    for n in (0..).map(|n| n * CLIENTS + client) {
        let (path, body) = match n % 3 {
            0 => ("/posts".to_owned(), json!({ "content": format!("{MARK} again {n}") })),
            1 => (format!("/posts/{}/comments", world.posts[n % world.posts.len()]), json!({ "text": MARK })),
            _ => (format!("/posts/{}/likes", world.posts[n % world.posts.len()]), json!({})),
        };
        let answer = server.post(path).by(&world.gone).json(&body).send().await?;
        match answer.status {
            StatusCode::UNAUTHORIZED => break,
            // The account is being deleted, or what was written is gone before it is shown.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
            status => {
                ensure!(status.is_success(), "{}", answer.body);
                written.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

/// How long after the first commit of the deletion each of its steps was done.
fn phases(commits: &[DecodedCommit], user: &str) -> Vec<(Step, Duration)> {
    let mut begun = Timestamp::default();
    let mut done = Vec::new();
    let key = format!("user:{user}");
    let own = commits.iter().filter(|it| it.key.to_string() == key);
    for (event, time) in own.flat_map(|it| it.commit.events.iter().map(|event| (event, it.commit.time))) {
        match event {
            Event::Saga(SagaEvent::Started(started)) if started.data.process == "USER_DELETION" => begun = time,
            Event::Saga(SagaEvent::StepCompleted(step)) if begun != Timestamp::default() => {
                done.push((step.step.clone(), time.since(begun)));
            }
            _ => {}
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_was_deleted_is_named_anywhere() -> Result<()> {
    let erased = usize::try_from(number("TIDINGS_ERASED", ERASED_DEFAULT))?;
    let quick = |config: &mut Config| (config.write_deadline_ms, config.request_timeout_ms) = (1_000, 5_000);
    let server = TestServer::over_with(tempfile::tempdir()?, quick).await?;
    let world = World::of(&server, erased).await?;
    let written = AtomicUsize::new(0);
    let clients = (0..CLIENTS).map(|client| go_on(&server, &world, client, &written));
    let deletion = async {
        // When all of them are at it.
        while written.load(Ordering::Relaxed) < erased {
            server.get("/posts?limit=1").send().await?;
        }
        let from = Instant::now();
        let answer = server.delete("/users/me").by(&world.gone).send().await?;
        ensure!(answer.status == StatusCode::NO_CONTENT, "{}", answer.body);
        let disabled = from.elapsed();
        let page = format!("/users/{}", world.gone.id);
        while server.get(page.as_str()).send().await?.status != StatusCode::NOT_FOUND {}
        let profile = from.elapsed();
        let list = format!("/posts?author_id={}", world.gone.id);
        while server.get(list.as_str()).send().await?.body["posts"] != json!([]) {}
        Ok((disabled, profile, from.elapsed()))
    };
    let (_, (disabled, profile, posts)) = try_join(try_join_all(clients), deletion).await?;
    server.settle().await?;
    println!(
        "{erased} posts, {} comments, {} likes, {} followers both ways; {CLIENTS} clients wrote {} more meanwhile",
        erased * 5 / 2,
        erased * 5,
        world.others.len(),
        written.into_inner()
    );
    println!("disabled after {disabled:.1?}, profile gone after {profile:.1?}, posts out of lists after {posts:.1?}");
    let commits = server.commits().await?;
    for (step, after) in phases(&commits, &world.gone.id) {
        println!("{step:>17} done after {after:.1?}");
    }
    let pages = world.pages(&server).await?;
    let looked_through = pages.len();
    let forbidden = names(&world.gone);
    let look = |(reader, path): (Option<Person>, String)| {
        let (server, forbidden) = (&server, &forbidden);
        async move {
            let call = server.get(path.as_str());
            let answer = reader.iter().fold(call, |call, reader| call.by(reader)).send().await?;
            let text = answer.body.to_string().to_lowercase();
            let named = forbidden.iter().find(|name| text.contains(name.as_str()));
            ensure!(named.is_none(), "{path} names {named:?}: {text}");
            Ok(())
        }
    };
    stream::iter(pages).map(look).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let mut bytes = 0;
    for commit in &commits {
        let text = String::from_utf8(commit.commit.encode())?.to_lowercase();
        bytes += text.len();
        // Ids are in the log for ever; what they typed is not.
        let typed = forbidden[1..].iter().find(|name| text.contains(name.as_str()));
        ensure!(typed.is_none(), "{} has {typed:?} in plain text", commit.position);
    }
    println!("{looked_through} answers and {} MiB of log name them nowhere", bytes >> 20);
    let directory = server.stop().await?;
    if let Some(url) = redis_of(&directory)? {
        let all = everything_under(&url).await?;
        let named = all.iter().find(|held| forbidden.iter().any(|name| held.to_lowercase().contains(name.as_str())));
        ensure!(named.is_none(), "Redis names them: {named:?}");
        println!("{} keys in Redis name them nowhere", all.len());
    }
    nothing_in_any_read_model(&directory.path().join("data"), world.gone.id.parse()?).await
}

/// The read models built anew from the log, as every server builds them, hold nothing of the person; nor does the keyring.
async fn nothing_in_any_read_model(data: &std::path::Path, user: UserId) -> Result<()> {
    let embedded = journal::embedded::open(data, 4)?;
    let (log, keyring): (Arc<dyn Journal>, Arc<dyn Keyring>) = (embedded.log.clone(), embedded.keyring.clone());
    let (users, posts, sagas): (Arc<MemoryUsers>, Arc<MemoryPosts>, Arc<MemorySagas>) = Default::default();
    let (feed, sessions): (Arc<MemoryFeed>, Arc<MemorySessions>) = Default::default();
    let notifications = Arc::new(MemoryNotifications::new(Arc::clone(&keyring)));
    let models: Vec<Arc<dyn ReadModel>> =
        vec![users.clone(), posts.clone(), sagas.clone(), feed.clone(), sessions, notifications.clone()];
    let (projections, runners) = Projections::new(ProjectionsOptions {
        journal: Arc::clone(&log),
        keyring: Arc::clone(&keyring),
        models,
        clock: Arc::new(Timestamp::now),
        rules: journal::Rules::default(),
    });
    let stop = CancellationToken::new();
    let mut running = spawn(runners, &stop);
    let ends = projections.ends().await?;
    let last: Vec<_> = ends
        .iter()
        .filter_map(|(partition, end)| {
            end.checked_sub(1).map(|offset| journal::Position { partition: *partition, offset })
        })
        .collect();
    let names: Vec<_> = projections.names().collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    projections.wait_for(&names, &last, deadline).await.context("building the read models")?;
    assert_eq!(posts.tagged(MARK, Page { limit: 10, after: None }, &Hidden::NOBODY).await?.items, []);
    let footprint = Footprint { users, posts, sagas };
    assert!(footprint.is_empty(user).await?, "{:?}", footprint.traces(user, 10).await?);
    assert_eq!(footprint.sagas_of(user).await?, []);
    assert_eq!(feed.latest(user, Page { limit: 10, after: None }, &Hidden::NOBODY).await?.items, []);
    assert_eq!(notifications.unread(user, &Hidden::NOBODY).await?, 0);
    assert!(keyring.find(KeyId::from(user)).await?.is_none(), "the key is still there");
    stop.cancel();
    while running.join_next().await.is_some() {}
    Ok(())
}
