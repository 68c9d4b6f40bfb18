//! Servers that answer but take no writes: full, or read-only. What they hold is still shown, writes go on, nobody is turned away
//! for what cannot be stored there, and nothing is missing, or parked, when they take writes again.

use super::sessions::log_in;
use super::{Linked, execute, impatient, linked_with};
use anyhow::{Context, Result, ensure};
use http::StatusCode;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidings_tests::own_database::OwnDatabase;
use tidings_tests::proxy::Weather;
use tidings_tests::server::Person;
use tidings_tests::services::Services;
use tokio::time::sleep;

/// How long a server of a test's own may take to answer.
const STARTED_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
enum Unwritable {
    Full,
    ReadOnly,
}

const BOTH: [Unwritable; 2] = [Unwritable::Full, Unwritable::ReadOnly];

/// A server and two who have come to know each other before it took no more writes.
struct Scene {
    it: Linked,
    ada: Person,
    bob: Person,
    seen: String,
}

impl Scene {
    async fn begin(url: &str) -> Result<Self> {
        let it = linked_with(url, Weather::Fine, impatient).await?;
        let (ada, bob) = (it.server.register("ada").await?, it.server.register("bob").await?);
        it.follow(&bob, &ada).await?;
        let before = it.publish(&ada, "before").await?;
        let seen = format!("/posts/{}", before.text("id"));
        it.until(&seen, &bob, StatusCode::OK).await?;
        it.until_heard(&ada, 1).await?;
        let scene = Self { it, ada, bob, seen };
        scene.shows().await?;
        Ok(scene)
    }

    /// What was there before is shown to those who were.
    async fn shows(&self) -> Result<()> {
        let Self { it, ada, bob, seen } = self;
        it.until(seen, bob, StatusCode::OK).await?;
        let heard = it.until("/notifications", ada, StatusCode::OK).await?;
        ensure!(!heard.items("notifications").is_empty(), "{heard:?}");
        let feed = it.until("/feed", bob, StatusCode::OK).await?;
        ensure!(feed.items("feed").iter().any(|it| it["content"] == "before"), "{feed:?}");
        Ok(())
    }

    /// While nothing is stored there; returns what is written meanwhile, and somebody whose session is.
    async fn goes_on(&self) -> Result<(String, Person)> {
        let Self { it, ada, bob, seen } = self;
        self.shows().await?;
        let post = it.publish(ada, "meanwhile").await?;
        ensure!(post.status == StatusCode::CREATED, "{post:?}");
        let like = it.server.post(format!("{seen}/likes")).by(bob).send().await?;
        ensure!(like.status == StatusCode::CREATED, "{like:?}");
        let back = it.server.post(format!("/users/{}/follow", bob.id)).by(ada).send().await?;
        ensure!(back.status == StatusCode::CREATED, "{back:?}");
        let elsewhere = log_in(&it.server, bob).await?;
        let me = it.server.get("/users/me").by(&elsewhere).send().await?;
        ensure!(me.status != StatusCode::UNAUTHORIZED, "who has just signed in is told to sign in: {me:?}");
        self.shows().await?;
        Ok((format!("/posts/{}", post.text("id")), elsewhere))
    }

    /// While nothing can be counted, nobody is let in who has a token; everybody else is served. Returns somebody who has
    /// signed in meanwhile.
    async fn lets_nobody_in(&self) -> Result<Person> {
        let Self { it, ada, bob, .. } = self;
        let post = it.publish(ada, "meanwhile").await?;
        ensure!(post.error() == (503, "Unavailable") && post.header("retry-after").is_some(), "{post:?}");
        let posts = it.server.get("/posts").send().await?;
        ensure!(posts.status == StatusCode::OK && posts.items("posts").len() == 1, "{posts:?}");
        let elsewhere = log_in(&it.server, bob).await?;
        it.until("/users/me", &elsewhere, StatusCode::SERVICE_UNAVAILABLE).await?;
        Ok(elsewhere)
    }

    /// Once it takes writes again.
    async fn has_it_all(self, (late, elsewhere): (String, Person)) -> Result<()> {
        let Self { it, bob, seen, .. } = &self;
        it.until(&late, &elsewhere, StatusCode::OK).await?;
        it.until_heard(bob, 1).await?;
        it.until_it("/feed", bob, |feed| feed.items("feed").len() == 2).await?;
        it.until_it(seen, bob, |post| post.body["likes_count"] == 1).await?;
        self.lets_in(&elsewhere).await
    }

    /// And it ends with nothing parked, of which whoever closes it learns.
    async fn lets_in(self, elsewhere: &Person) -> Result<()> {
        self.it.until("/users/me", elsewhere, StatusCode::OK).await?;
        self.shows().await?;
        self.it.server.close().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_takes_no_writes_shows_what_it_has_and_gets_the_rest_later() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for how in BOTH {
        let database = OwnDatabase::make(&services).await?;
        let scene = Scene::begin(&database.url).await?;
        match how {
            // What the server says when a disk has no room, said by a trigger: there is one disk for all tests.
            Unwritable::Full => {
                execute(
                    &database.url,
                    "create function no_room() returns trigger language plpgsql as \
                         'begin raise exception using errcode = ''53100'', message = ''No space left on device''; end'; \
                     create trigger no_room before insert or update on checkpoints execute function no_room()",
                )
                .await?;
            }
            Unwritable::ReadOnly => database.set_read_only(true).await?,
        }
        let meanwhile = scene.goes_on().await.with_context(|| format!("{how:?}"))?;
        match how {
            Unwritable::Full => execute(&database.url, "drop trigger no_room on checkpoints").await?,
            Unwritable::ReadOnly => database.set_read_only(false).await?,
        }
        scene.has_it_all(meanwhile).await.with_context(|| format!("{how:?}"))?;
        database.delete().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_takes_no_writes_shows_what_it_has_and_gets_the_rest_later() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for how in BOTH {
        let url = services.fresh_mongodb_url();
        let scene = Scene::begin(&url).await?;
        // What it says when its disk is full, and when it is no primary any more.
        let code = match how {
            Unwritable::Full => 14031,
            Unwritable::ReadOnly => 10107,
        };
        let client = Client::with_uri_str(&url).await?;
        let name = client.default_database().context("no database")?.name().to_owned();
        let mut fails = doc! { "failCommands": ["insert", "update", "delete"], "errorCode": code };
        fails.insert("namespace", format!("{name}.checkpoints"));
        let fail =
            |mode: &str, data: Document| doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        let admin = client.database("admin");
        let failing = admin.run_command(fail("alwaysOn", fails)).await;
        failing.context("`./dev test` starts a server that can be told to fail")?;
        let meanwhile = scene.goes_on().await.with_context(|| format!("{how:?}"));
        admin.run_command(fail("off", Document::new())).await?;
        scene.has_it_all(meanwhile?).await.with_context(|| format!("{how:?}"))?;
        gateway::delete_read_models(&url).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_takes_no_writes_shows_what_it_has_and_gets_the_rest_later() -> Result<()> {
    if Services::from_env().is_none() {
        return Ok(());
    }
    let redis = OwnRedis::start().await?;
    let full = Scene::begin(&format!("redis://{}/0", redis.address)).await?;
    redis.set("maxmemory", "1").await?;
    let meanwhile = full.goes_on().await?;
    redis.set("maxmemory", "0").await?;
    full.has_it_all(meanwhile).await?;

    let read_only = Scene::begin(&format!("redis://{}/1", redis.address)).await?;
    redis.set("min-replicas-to-write", "1").await?;
    let elsewhere = read_only.lets_nobody_in().await?;
    redis.set("min-replicas-to-write", "0").await?;
    read_only.lets_in(&elsewhere).await
}

/// A server of the test's own, since its settings are those of all of its keys.
struct OwnRedis {
    address: String,
    process: Child,
    _directory: TempDir,
}

impl OwnRedis {
    async fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]);
        command.arg(directory.path()).stdout(Stdio::null());
        let process = command.spawn().context("redis-server")?;
        let it = Self { address: format!("127.0.0.1:{port}"), process, _directory: directory };
        let begun = Instant::now();
        while let Err(error) = it.set("maxmemory-policy", "noeviction").await {
            ensure!(begun.elapsed() < STARTED_MAX, "{error:#}");
            sleep(LOOK).await;
        }
        Ok(it)
    }

    async fn set(&self, setting: &str, value: &str) -> Result<()> {
        let client = redis::Client::open(format!("redis://{}", self.address))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        Ok(redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).query_async(&mut connection).await?)
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
