//! Users and posts in PostgreSQL and notifications in MongoDB: what is refused at the start, and what goes on while a database
//! is away, slow or silent.

mod sessions;
mod unwritable;

use anyhow::{Context, Result};
use gateway::Config;
use http::StatusCode;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::json;
use sqlx::{Connection, PgConnection, query_scalar, raw_sql};
use std::time::Duration;
use tidings_tests::pretended_mongodb::PretendedMongoDb;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::server::{Answer, Person, TestServer, read_models_at};
use tidings_tests::services::Services;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// How long a database that is back may take to be reached again and to be brought up to date.
const BACK_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// A server some of whose read models are behind a link that can be cut.
struct Linked {
    server: TestServer,
    link: Proxy,
}

/// One with those that are at this URL, which are made first.
async fn linked(url: &str, weather: Weather) -> Result<Linked> {
    linked_with(url, weather, |_| {}).await
}

/// The same with other settings.
async fn linked_with(url: &str, weather: Weather, change: impl FnOnce(&mut Config)) -> Result<Linked> {
    gateway::migrate(url).await?;
    let (link, over_it) = Proxy::before(url).await?;
    link.set(weather);
    let server = TestServer::over_with(tempfile::tempdir()?, |config| {
        read_models_at(config, over_it);
        change(config);
    });
    Ok(Linked { server: server.await?, link })
}

/// How long nobody waits for read models of which more than one thing is looked at while they are away.
fn impatient(config: &mut Config) {
    config.read_wait_ms = 300;
}

/// Why a server does not start with this URL.
async fn refusal(url: &str) -> Result<String> {
    refusal_with(|config| read_models_at(config, url.to_owned())).await
}

/// The same with other settings.
async fn refusal_with(change: impl FnOnce(&mut Config)) -> Result<String> {
    let started = TestServer::over_with(tempfile::tempdir()?, change);
    match started.await {
        Ok(_) => anyhow::bail!("it has started"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// What stands before one more parameter of this URL.
fn and(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
}

async fn execute(url: &str, sql: &'static str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    raw_sql(sql).execute(&mut connection).await?;
    connection.close().await.context("closing")
}

impl Linked {
    async fn publish(&self, author: &Person, text: &str) -> Result<Answer> {
        self.server.post("/posts").by(author).json(&json!({ "content": text })).send().await
    }

    /// The answer once it is what is wanted.
    async fn until(&self, path: &str, by: &Person, wanted: StatusCode) -> Result<Answer> {
        let answer = self.until_it(path, by, |answer| answer.status == wanted).await;
        answer.with_context(|| format!("it is not {wanted}"))
    }

    /// The same of an answer that is described otherwise.
    async fn until_it(&self, path: &str, by: &Person, is_such: impl Fn(&Answer) -> bool) -> Result<Answer> {
        let asked = async {
            loop {
                let answer = self.server.get(path).by(by).send().await?;
                if is_such(&answer) {
                    return Ok(answer);
                }
                sleep(LOOK).await;
            }
        };
        timeout(BACK_MAX, asked).await.with_context(|| format!("{path} is not what is wanted for {BACK_MAX:?}"))?
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_will_never_do_is_refused_at_the_start_by_name() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let url = services.fresh_database_url();
    let no_schema = refusal(&url).await?;
    assert!(no_schema.contains("`tidings migrate`"), "{no_schema}");

    assert!(gateway::migrate(&url).await? > 0, "it has made the schema");
    assert_eq!(gateway::migrate(&url).await?, 0, "there is nothing left to do");
    execute(&url, "insert into _sqlx_migrations select 1000, 'later', now(), true, '', 0").await?;
    let newer = refusal(&url).await?;
    assert!(newer.contains("newer program") && newer.contains("1000"), "{newer}");

    let (user, rest) = url.split_once('@').context("no user in the URL")?;
    let scheme = user.rsplit_once(':').context("no password in the URL")?.0;
    let wrong = refusal(&format!("{scheme}:wrong-secret@{rest}")).await?;
    assert!(wrong.contains("password") && !wrong.contains("wrong-secret"), "{wrong}");

    // One that the server does not know, and one that it does not take.
    for (name, value) in [("no_such_setting", "1"), ("work_mem", "nonsense")] {
        let setting = refusal(&format!("{url}{}options[{name}]={value}", and(&url))).await?;
        assert!(setting.contains(name), "{setting}");
    }

    for other in ["mysql//nothing", "mysql://localhost/tidings"] {
        let nonsense = refusal(other).await?;
        assert!(nonsense.contains("postgres://"), "{nonsense}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_the_sessions_of_a_node_costs_readers_another_try_and_writers_nothing() -> Result<()> {
    /// So often.
    const ENDINGS: usize = 20;

    let Some(services) = Services::from_env() else { return Ok(()) };
    let url = services.fresh_database_url();
    let name = format!("ended_{}", Uuid::new_v4().simple());
    let it = linked(&format!("{url}{}application_name={name}", and(&url)), Weather::Fine).await?;
    let ada = it.server.register("ada").await?;
    let posts = format!("/users/{}/posts", ada.id);
    let mut database = PgConnection::connect(&url).await?;
    let mut ended = 0;
    for written in 1..=ENDINGS {
        let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1";
        ended += query_scalar::<_, i64>(all).bind(&name).fetch_one(&mut database).await?;
        let post = it.publish(&ada, "again").await?;
        assert_eq!(post.status, StatusCode::CREATED, "{post:?}");
        let read = it.until_it(&posts, &ada, |read| {
            let later = read.error() == (503, "Unavailable") && read.header("retry-after").is_some();
            assert!(later || read.status == StatusCode::OK, "{read:?}");
            !later && read.items("posts").len() == written
        });
        read.await.with_context(|| format!("{written} posts"))?;
    }
    assert!(ended >= ENDINGS as i64, "only {ended} sessions were ended");
    it.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_who_is_signed_in_goes_on_writing_and_then_nothing_is_missing() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for away in [Weather::Cut, Weather::Swallowed] {
        let it = linked(&services.fresh_database_url(), Weather::Fine).await?;
        let (ada, bob) = (it.server.register("ada").await?, it.server.register("bob").await?);
        let before = it.publish(&ada, "before").await?;
        let seen = format!("/posts/{}", before.body["id"].as_str().context("no id")?);
        it.until(&seen, &bob, StatusCode::OK).await?;

        it.link.set(away);
        let missed = it.until(&seen, &bob, StatusCode::SERVICE_UNAVAILABLE).await?;
        assert!(missed.header("retry-after").is_some(), "{away:?}: {missed:?}");
        assert_eq!(missed.error(), (503, "Unavailable"));
        for path in [format!("/users/{}/follow", ada.id), format!("{seen}/likes")] {
            let written = it.server.post(&path).by(&bob).send().await?;
            assert_eq!(written.status, StatusCode::CREATED, "{away:?}: {written:?}");
        }
        let comment = json!({ "text": "while nobody can read it" });
        let comment = it.server.post(format!("{seen}/comments")).by(&bob).json(&comment).send().await?;
        assert_eq!((comment.status, &comment.body["author"]["username"]), (StatusCode::CREATED, &json!("bob")));
        let mention = it.publish(&ada, "only @bob could tell whom this means").await?;
        assert_eq!(mention.error(), (503, "Unavailable"), "{away:?}: {mention:?}");
        let sessions = it.server.get("/users/me/sessions").by(&bob).send().await?;
        assert_eq!(sessions.status, StatusCode::OK, "{away:?}: {sessions:?}");
        let after = it.publish(&ada, "while it was away").await?;
        assert_eq!(after.status, StatusCode::CREATED, "{away:?}: {after:?}");

        it.link.set(Weather::Fine);
        let late = format!("/posts/{}", after.body["id"].as_str().context("no id")?);
        let late = it.until(&late, &bob, StatusCode::OK).await?;
        assert_eq!(late.body["content"], "while it was away");
        let all = it.until("/posts", &bob, StatusCode::OK).await?;
        assert_eq!(all.body["posts"].as_array().map(Vec::len), Some(2), "{away:?}: {all:?}");
        let liked = it.until(&seen, &bob, StatusCode::OK).await?.body;
        assert_eq!(
            [&liked["likes_count"], &liked["comments_count"], &liked["liked_by_me"]],
            [&json!(1), &json!(1), &json!(true)]
        );
        let author = it.until(&format!("/users/{}", ada.id), &bob, StatusCode::OK).await?.body;
        assert_eq!([&author["follower_count"], &author["viewer"]["following"]], [&json!(1), &json!(true)]);
        it.server.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_at_the_start_is_reached_when_it_is_back() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked(&services.fresh_database_url(), Weather::Cut).await?;
    let anybody = it.server.get("/posts").send().await?;
    assert_eq!(anybody.error(), (503, "Unavailable"));
    // The account is made; that it is theirs cannot be looked up yet.
    let ada = json!({ "email": "ada@example.com", "username": "ada", "password": "correct horse battery" });
    let early = it.server.post("/users/auth/register").key("ada-registers").json(&ada);
    let early = early.send().await?;
    assert_eq!(
        (early.status, &early.body["outcome"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("unknown")),
        "{early:?}"
    );
    it.link.set(Weather::Fine);
    let again = async || {
        let again = it.server.post("/users/auth/register").key("ada-registers").json(&ada);
        again.send().await
    };
    let begun = Instant::now();
    let mut answer = again().await?;
    while answer.status != StatusCode::CREATED && begun.elapsed() < BACK_MAX {
        answer = again().await?;
    }
    assert_eq!((answer.status, &answer.body["username"]), (StatusCode::CREATED, &json!("ada")), "{answer:?}");
    it.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_makes_answers_late_and_not_wrong() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked(&services.fresh_database_url(), Weather::Fine).await?;
    let ada = it.server.register("ada").await?;
    it.link.set(Weather::Slow(Duration::from_millis(20)));
    for n in 0..5 {
        let text = format!("post {n}");
        let post = it.publish(&ada, &text).await?;
        assert_eq!(post.status, StatusCode::CREATED, "{post:?}");
        let path = format!("/posts/{}", post.body["id"].as_str().context("no id")?);
        assert_eq!(it.until(&path, &ada, StatusCode::OK).await?.body["content"], text.as_str());
    }
    it.server.close().await
}

async fn set_schema_version(url: &str, version: i64) -> Result<()> {
    let client = Client::with_uri_str(url).await?;
    let schema = client.default_database().context("no database")?.collection::<Document>("schema");
    schema.update_one(doc! { "_id": "schema" }, doc! { "$set": { "version": version } }).await?;
    Ok(())
}

const HEARD: [&str; 2] = ["/notifications", "/notifications/unread-count"];

impl Linked {
    async fn follow(&self, by: &Person, whom: &Person) -> Result<()> {
        let follow = self.server.post(format!("/users/{}/follow", whom.id)).by(by).send().await?;
        anyhow::ensure!(follow.status.is_success(), "{follow:?}");
        Ok(())
    }

    /// Waits until so many notifications are shown and counted.
    async fn until_heard(&self, by: &Person, wanted: usize) -> Result<()> {
        let heard = async {
            loop {
                let list = self.until(HEARD[0], by, StatusCode::OK).await?;
                let count = self.until(HEARD[1], by, StatusCode::OK).await?;
                if list.items("notifications").len() == wanted && count.body["unread_count"] == wanted {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        };
        timeout(BACK_MAX, heard).await.with_context(|| format!("{wanted} are not heard of for {BACK_MAX:?}"))?
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_will_never_do_is_refused_at_the_start_by_name() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let url = services.fresh_mongodb_url();
    let no_schema = refusal(&url).await?;
    assert!(no_schema.contains("`tidings migrate`"), "{no_schema}");

    assert!(gateway::migrate(&url).await? > 0, "it has made the collections");
    assert_eq!(gateway::migrate(&url).await?, 0, "there is nothing left to do");
    set_schema_version(&url, 1000).await?;
    let newer = refusal(&url).await?;
    assert!(newer.contains("newer program") && newer.contains("1000"), "{newer}");

    let (user, rest) = url.split_once('@').context("no user in the URL")?;
    let scheme = user.rsplit_once(':').context("no password in the URL")?.0;
    let wrong = refusal(&format!("{scheme}:wrong-secret@{rest}")).await?;
    assert!(wrong.to_lowercase().contains("authentication") && !wrong.contains("wrong-secret"), "{wrong}");

    let other_set = url.replace("directConnection=true", "replicaSet=another");
    let other_set = refusal(&other_set).await?;
    assert!(other_set.contains("replica set") && other_set.contains("another"), "{other_set}");
    let nonsense = refusal("mongodb//nothing").await?;
    assert!(nonsense.contains("mongodb://"), "{nonsense}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_stands_alone_or_is_too_old_is_refused_by_name() -> Result<()> {
    for (hello, query, why) in [
        (doc! {}, "", "stands alone"),
        (doc! {}, "?replicaSet=tidings", "stands alone"),
        (
            doc! { "setName": "tidings", "secondary": false, "version": "5.0.31" },
            "?directConnection=true",
            "5.0.31 is too old",
        ),
    ] {
        let pretended = PretendedMongoDb::saying(hello).await?;
        let refused = refusal(&format!("mongodb://{}/read_models{query}", pretended.address())).await?;
        assert!(refused.contains(why), "{query}: {refused}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_mongodb_is_away_all_else_goes_on_and_then_nothing_is_missing() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for away in [Weather::Cut, Weather::Swallowed] {
        let it = linked_with(&services.fresh_mongodb_url(), Weather::Fine, impatient).await?;
        let (ada, bob, eve) =
            (it.server.register("ada").await?, it.server.register("bob").await?, it.server.register("eve").await?);
        it.follow(&bob, &ada).await?;
        it.until_heard(&ada, 1).await?;

        it.link.set(away);
        for path in HEARD {
            let missed = it.until(path, &ada, StatusCode::SERVICE_UNAVAILABLE).await?;
            assert!(missed.header("retry-after").is_some(), "{away:?}: {missed:?}");
            assert_eq!(missed.error(), (503, "Unavailable"));
        }
        it.follow(&eve, &ada).await?;
        let post = it.publish(&ada, "while it was away").await?;
        assert_eq!(post.status, StatusCode::CREATED, "{away:?}: {post:?}");
        it.until("/posts", &bob, StatusCode::OK).await?;

        it.link.set(Weather::Fine);
        it.until_heard(&ada, 2).await?;
        it.server.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_is_away_at_the_start_or_slow_is_waited_for() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked_with(&services.fresh_mongodb_url(), Weather::Cut, impatient).await?;
    let (ada, bob) = (it.server.register("ada").await?, it.server.register("bob").await?);
    it.follow(&bob, &ada).await?;
    it.until(HEARD[0], &ada, StatusCode::SERVICE_UNAVAILABLE).await?;
    it.link.set(Weather::Slow(Duration::from_millis(20)));
    it.until_heard(&ada, 1).await?;
    it.server.close().await
}
