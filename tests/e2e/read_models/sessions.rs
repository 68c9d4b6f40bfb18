//! Sessions and feeds in Redis: what is refused at the start, what goes on while it is away, slow or silent, and that nobody is let in,
//! or told to sign in again, because it has lost what it had.

use super::{linked, refusal_with};
use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidings_tests::proxy::Weather;
use tidings_tests::server::{PASSWORD, Person, TestServer, read_models_at};
use tidings_tests::services::Services;

const ME: &str = "/users/me";
/// How long sessions that were lost may take to be read from the log again.
const BACK_MAX: Duration = Duration::from_secs(30);

async fn over(directory: TempDir, url: String) -> Result<TestServer> {
    TestServer::over_with(directory, |config| read_models_at(config, url)).await
}

/// Signs in once more, which needs no session.
pub(super) async fn log_in(server: &TestServer, person: &Person) -> Result<Person> {
    let body = json!({ "email": person.email, "password": PASSWORD });
    let answer = server.post("/users/auth/login").json(&body).send().await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    Ok(Person { token: answer.text("access_token"), ..person.clone() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_will_never_do_is_refused_at_the_start_by_name() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let url = services.fresh_redis_url();
    let (before, rest) = url.split_once('@').context("no password in the URL")?;
    let scheme = before.rsplit_once(':').context("no password in the URL")?.0;
    let wrong = format!("{scheme}:wrong-secret@{rest}");
    for (url, why) in [
        (wrong, "authentication failed"),
        (url.replace("/0?", "/99999?"), "DB index"),
        (url.replace("prefix=", "prefix=*"), "prefix"),
        ("mysql//nothing".to_owned(), "redis://"),
    ] {
        let refusal = refusal_with(|config| config.read_models.redis_url = Some(url)).await?;
        assert!(refusal.contains(why) && refusal.contains("Redis"), "{why}: {refusal}");
        assert!(!refusal.contains("wrong-secret"), "{refusal}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_strangers_are_served_and_nobody_is_let_in_with_a_token() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for away in [Weather::Cut, Weather::Swallowed] {
        let it = linked(&services.fresh_redis_url(), Weather::Fine).await?;
        let ada = it.server.register("ada").await?;
        it.until(ME, &ada, StatusCode::OK).await?;

        it.link.set(away);
        let missed = it.until(ME, &ada, StatusCode::SERVICE_UNAVAILABLE).await?;
        assert!(missed.header("retry-after").is_some(), "{away:?}: {missed:?}");
        assert_eq!(missed.error(), (503, "Unavailable"));
        let post = it.publish(&ada, "nobody can tell whose").await?;
        assert_eq!(post.status, StatusCode::SERVICE_UNAVAILABLE, "{away:?}: {post:?}");
        let posts = it.server.get("/posts").send().await?;
        assert_eq!(posts.status, StatusCode::OK, "{away:?}: {posts:?}");
        let elsewhere = log_in(&it.server, &ada).await?;
        let bob = it.server.register("bob").await?;

        it.link.set(Weather::Fine);
        for person in [&ada, &elsewhere, &bob] {
            it.until(ME, person, StatusCode::OK).await?;
        }
        let logout = it.server.post("/users/auth/logout").by(&elsewhere).send().await?;
        assert_eq!(logout.status, StatusCode::NO_CONTENT, "{away:?}: {logout:?}");
        let after = it.server.get(ME).by(&elsewhere).send().await?;
        assert_eq!(after.status, StatusCode::UNAUTHORIZED, "{away:?}: {after:?}");
        it.server.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_at_the_start_is_reached_when_it_is_back() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked(&services.fresh_redis_url(), Weather::Cut).await?;
    let ada = it.server.register("ada").await?;
    it.until(ME, &ada, StatusCode::SERVICE_UNAVAILABLE).await?;
    it.link.set(Weather::Fine);
    it.until(ME, &ada, StatusCode::OK).await?;
    it.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis_makes_answers_late_and_not_wrong() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked(&services.fresh_redis_url(), Weather::Fine).await?;
    let ada = it.server.register("ada").await?;
    it.link.set(Weather::Slow(Duration::from_millis(20)));
    for _ in 0..5 {
        let here = log_in(&it.server, &ada).await?;
        it.until(ME, &here, StatusCode::OK).await?;
        let logout = it.server.post("/users/auth/logout").by(&here).send().await?;
        assert_eq!(logout.status, StatusCode::NO_CONTENT, "{logout:?}");
        let after = it.server.get(ME).by(&here).send().await?;
        assert_eq!(after.status, StatusCode::UNAUTHORIZED, "{after:?}");
    }
    it.server.close().await
}

/// Asks for both until the one is let in and the other is not, neither of which may ever be the other way round.
async fn only(server: &TestServer, in_: &Person, out: &Person) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (open, ended) = (server.get(ME).by(in_).send().await?, server.get(ME).by(out).send().await?);
        if (open.status, ended.status) == (StatusCode::OK, StatusCode::UNAUTHORIZED) {
            return Ok(());
        }
        ensure!(open.status != StatusCode::UNAUTHORIZED, "an open session is taken for one that has ended");
        ensure!(ended.status != StatusCode::OK, "a session that has ended is taken for an open one");
        ensure!(begun.elapsed() < BACK_MAX, "{} and {} for {BACK_MAX:?}", open.status, ended.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_has_lost_everything_shows_a_feed_as_a_whole_or_not_at_all() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let url = services.fresh_redis_url();
    let mut server = over(tempfile::tempdir()?, url.clone()).await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let follow = server.post(format!("/users/{}/follow", bob.id)).by(&ada).send().await?;
    ensure!(follow.status.is_success(), "{follow:?}");
    let post = server.post("/posts").by(&bob).json(&json!({ "content": "hello" })).send().await?;
    ensure!(post.status == StatusCode::CREATED, "{post:?}");
    whole_feed(&server, &ada, &post.text("id")).await?;
    for _ in 0..3 {
        gateway::delete_read_models(&url).await?;
        whole_feed(&server, &ada, &post.text("id")).await?;
        let directory = server.stop().await?;
        gateway::delete_read_models(&url).await?;
        server = over(directory, url.clone()).await?;
        whole_feed(&server, &ada, &post.text("id")).await?;
    }
    server.close().await?;
    gateway::delete_read_models(&url).await
}

/// Asks until there is a feed, which must have this post.
async fn whole_feed(server: &TestServer, reader: &Person, post: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let feed = server.get("/feed").by(reader).send().await?;
        if feed.status == StatusCode::OK {
            ensure!(feed.items("feed").iter().any(|it| it["id"] == post), "it lacks the post: {feed:?}");
            return Ok(());
        }
        ensure!(feed.status == StatusCode::SERVICE_UNAVAILABLE, "{feed:?}");
        ensure!(begun.elapsed() < BACK_MAX, "there is none for {BACK_MAX:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_has_lost_everything_lets_nobody_in_who_has_left_and_turns_nobody_away() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let url = services.fresh_redis_url();
    let mut server = over(tempfile::tempdir()?, url.clone()).await?;
    let ada = server.register("ada").await?;
    let elsewhere = log_in(&server, &ada).await?;
    for _ in 0..3 {
        let logout = server.post("/users/auth/logout").by(&elsewhere).send().await?;
        assert!(matches!(logout.status, StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED), "{logout:?}");
        only(&server, &ada, &elsewhere).await?;
        gateway::delete_read_models(&url).await?;
        only(&server, &ada, &elsewhere).await?;
        let directory = server.stop().await?;
        gateway::delete_read_models(&url).await?;
        server = over(directory, url.clone()).await?;
        only(&server, &ada, &elsewhere).await?;
    }
    server.close().await?;
    gateway::delete_read_models(&url).await
}
