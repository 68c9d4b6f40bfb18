//! Posts in PostgreSQL: what is refused at the start, and what goes on while the database is away, slow or silent.

use anyhow::{Context, Result};
use http::StatusCode;
use serde_json::json;
use sqlx::{Connection, PgConnection, raw_sql};
use std::time::Duration;
use tempfile::TempDir;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::server::{Answer, Person, TestServer};
use tidings_tests::services::Services;
use tokio::time::{sleep, timeout};

/// How long a database that is back may take to be reached again and to be brought up to date.
const BACK_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// A server whose posts are behind a link that can be cut.
struct Linked {
    server: TestServer,
    link: Proxy,
}

async fn linked(services: &Services, directory: TempDir, weather: Weather) -> Result<Linked> {
    let direct = services.fresh_database_url();
    gateway::migrate(&direct).await?;
    let link = Proxy::to(services.database_address()).await?;
    link.set(weather);
    let url = direct.replace(services.database_address(), &link.address().to_string());
    let server = TestServer::over_with(directory, |config| {
        config.read_models.database_url = Some(url);
        config.read_wait_ms = 300;
    });
    Ok(Linked { server: server.await?, link })
}

/// Why a server does not start with this URL.
async fn refusal(url: &str) -> Result<String> {
    let started = TestServer::over_with(tempfile::tempdir()?, |config| {
        config.read_models.database_url = Some(url.to_owned());
    });
    match started.await {
        Ok(_) => anyhow::bail!("it has started"),
        Err(error) => Ok(format!("{error:#}")),
    }
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
        let asked = async {
            loop {
                let answer = self.server.get(path).by(by).send().await?;
                if answer.status == wanted {
                    return Ok(answer);
                }
                sleep(LOOK).await;
            }
        };
        timeout(BACK_MAX, asked).await.with_context(|| format!("{path} is not {wanted} for {BACK_MAX:?}"))?
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

    let nonsense = refusal("mysql//nothing").await?;
    assert!(nonsense.contains("postgres://"), "{nonsense}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_writes_and_all_other_reads_go_on_and_then_nothing_is_missing() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for away in [Weather::Cut, Weather::Swallowed] {
        let it = linked(&services, tempfile::tempdir()?, Weather::Fine).await?;
        let (ada, bob) = (it.server.register("ada").await?, it.server.register("bob").await?);
        let before = it.publish(&ada, "before").await?;
        let seen = format!("/posts/{}", before.body["id"].as_str().context("no id")?);
        it.until(&seen, &bob, StatusCode::OK).await?;

        it.link.set(away);
        let missed = it.until(&seen, &bob, StatusCode::SERVICE_UNAVAILABLE).await?;
        assert!(missed.header("retry-after").is_some(), "{away:?}: {missed:?}");
        assert_eq!(missed.error(), (503, "Unavailable"));
        let follow = it.server.post(format!("/users/{}/follow", ada.id)).by(&bob).send().await?;
        assert_eq!(follow.status, StatusCode::CREATED, "{away:?}");
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
        it.server.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_at_the_start_is_reached_when_it_is_back() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked(&services, tempfile::tempdir()?, Weather::Cut).await?;
    let ada = it.server.register("ada").await?;
    let post = it.publish(&ada, "early").await?;
    assert_eq!(post.status, StatusCode::CREATED, "{post:?}");
    let path = format!("/posts/{}", post.body["id"].as_str().context("no id")?);
    it.until(&path, &ada, StatusCode::SERVICE_UNAVAILABLE).await?;
    it.link.set(Weather::Fine);
    it.until(&path, &ada, StatusCode::OK).await?;
    it.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_makes_answers_late_and_not_wrong() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let it = linked(&services, tempfile::tempdir()?, Weather::Fine).await?;
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
