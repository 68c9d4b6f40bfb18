//! The owner of the author's key is away in the middle of a post, for as long as the test wants: its node serves, and keeps
//! its partitions, but the other one does not reach it. What an operator is shown, and both ways out.

use anyhow::{Context, Result, ensure};
use commands::POSTS_IN_CREATION_MAX;
use events::Key;
use http::{Method, StatusCode};
use journal::{Partition, partition_of};
use serde_json::{Value, json};
use std::fmt;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use tidings_tests::child::{Environment, HttpClient, tidings};
use tidings_tests::cluster::{Cluster, PARTITIONS};
use tidings_tests::member::Member;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::services::Services;
use tidings_tests::settled;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use uuid::Uuid;

/// How long a saga may take to be where it is expected.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);
/// Below what a post may be tried without an answer.
const ATTEMPTS: u64 = 2;
const REASON: [&str; 2] = ["--reason", "the switch was replaced"];

/// How often the stage is set again, if a node was so slow that it lost its partitions, and the author's with them.
const STAGES_MAX: usize = 3;

/// The author's owner is no longer the node that is out of reach.
#[derive(Debug)]
struct Moved;

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the partitions have moved")
    }
}

impl std::error::Error for Moved {}

/// Two nodes, of which the first one reaches the second by way of a link that can be cut.
struct Stage {
    cluster: Cluster,
    link: Proxy,
    /// Their key is the second node's.
    author: Member,
    own: Vec<Partition>,
    client: HttpClient,
}

impl Stage {
    async fn set(services: &Services) -> Result<Self> {
        let mut cluster = Cluster::prepare(services.brokers(), services.fresh_keyring()).await?;
        let internal = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let link = Proxy::to(internal.to_string()).await?;
        // A post need not be waited for as long as people would.
        let quick = || ("TIDINGS_WRITE_DEADLINE_MS", "1500".into());
        cluster.begin_with(vec![quick()])?;
        let behind_link: Environment = vec![
            quick(),
            ("TIDINGS_INTERNAL_LISTEN", internal.to_string().into()),
            ("TIDINGS_INTERNAL_ADVERTISE", link.address().to_string().into()),
        ];
        cluster.begin_with(behind_link)?;
        cluster.ready().await?;
        let own = cluster.balanced(0).await?;
        let client = cluster.client_of(0);
        let author = loop {
            let name = format!("author_{}", &Uuid::new_v4().simple().to_string()[..12]);
            let member = Member::register(&client, &name).await?;
            if !own.contains(&partition_of(&Key::User(member.id), PARTITIONS)) {
                break member;
            }
        };
        Ok(Self { cluster, link, author, own, client })
    }

    /// Begins a post on the first node's key; its path, and its saga.
    async fn post(&self) -> Result<(String, String)> {
        let headers = [("authorization", self.author.bearer.as_str())];
        let begun = Instant::now();
        loop {
            let body = json!({ "content": "out of reach" });
            let (parts, draft) = self.client.exchange(Method::POST, "/posts", Some(&body), &headers).await?;
            if parts.status == StatusCode::ACCEPTED {
                let id = draft["id"].as_str().context("no id")?;
                ensure!(draft["status"] == "DRAFT", "{draft}");
                if !self.own.contains(&partition_of(&Key::Post(id.parse()?), PARTITIONS)) {
                    return Err(Moved.into());
                }
                return Ok((format!("/posts/{id}"), self.saga_of(id).await?));
            }
            // The post's own key is out of reach.
            ensure!(parts.status == StatusCode::SERVICE_UNAVAILABLE, "{} {draft}", parts.status);
            ensure!(begun.elapsed() < PATIENCE, "no post is on this node's keys");
        }
    }

    async fn saga_of(&self, post: &str) -> Result<String> {
        let listed: Value = serde_json::from_str(&self.said(&["sagas", "list", "--open", "--json"]).await?)?;
        let sagas = listed.as_array().context("no list")?;
        let saga = sagas.iter().find(|saga| saga["key"] == format!("post:{post}"));
        let saga = saga.with_context(|| format!("no saga of {post} in {listed}"))?;
        ensure!(saga["type"] == "POST_CREATION" && saga["actor"] == self.author.id.to_string(), "{saga}");
        Ok(saga["id"].as_str().context("no id")?.to_owned())
    }

    /// What the operator's program says on the first node.
    async fn said(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tidings());
        command
            .args(arguments)
            .arg("--data")
            .arg(self.cluster.data_of(0))
            .args(["--server", &self.cluster.nodes[0].url()]);
        let output = spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Waits until the saga is as expected; what the operator's program shows of it then.
    async fn shown(&self, saga: &str, is: impl Fn(&Value) -> bool) -> Result<String> {
        let begun = Instant::now();
        loop {
            let view: Value = serde_json::from_str(&self.said(&["sagas", "show", saga, "--json"]).await?)?;
            if is(&view) {
                return self.said(&["sagas", "show", saga]).await;
            }
            ensure!(begun.elapsed() < PATIENCE, "{view:#}");
            sleep(LOOK).await;
        }
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, Value)> {
        let headers = [("authorization", self.author.bearer.as_str()), ("prefer", "consistency=strict")];
        self.client.send(Method::GET, path, None, &headers).await
    }
}

/// Tried so often, without an answer.
fn waits(view: &Value) -> bool {
    view["waiting_for"][0]["attempts"].as_u64() >= Some(ATTEMPTS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_whose_authors_owner_is_away_is_seen_and_retried_or_undone() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    for _ in 1..STAGES_MAX {
        match seen_and_retried_or_undone(&services).await {
            Err(error) if error.is::<Moved>() => println!("{error}: once more"),
            done => return done,
        }
    }
    seen_and_retried_or_undone(&services).await
}

#[expect(clippy::print_stdout, reason = "what an operator sees, for whoever runs it by itself")]
async fn seen_and_retried_or_undone(services: &Services) -> Result<()> {
    let stage = Stage::set(services).await?;
    stage.link.set(Weather::Cut);
    let (kept, kept_saga) = stage.post().await?;
    let shown = stage.shown(&kept_saga, waits).await?;
    println!("{shown}");
    ensure!(shown.contains("status       RUNNING") && shown.contains("waits for    RESERVE_FEED_SLOT"), "{shown}");
    let (status, draft) = stage.get(&kept).await?;
    ensure!(status == StatusCode::OK && draft["status"] == "DRAFT", "its author sees the draft: {status} {draft}");
    let (status, _) = stage.client.send(Method::GET, &kept, None, &[]).await?;
    ensure!(status == StatusCode::NOT_FOUND, "nobody else does: {status}");

    // The way back: undone, also while the owner is away.
    let (given_up, given_up_saga) = stage.post().await?;
    stage.shown(&given_up_saga, waits).await?;
    println!("{}", stage.said(&[&["sagas", "compensate", &given_up_saga], &REASON[..]].concat()).await?);
    let shown = stage.shown(&given_up_saga, waits).await?;
    ensure!(shown.contains("status       COMPENSATING"), "{shown}");
    ensure!(stage.get(&given_up).await?.0 == StatusCode::NOT_FOUND, "the draft is dropped");

    // The way forward: the link is mended.
    stage.link.set(Weather::Fine);
    let retried = stage.said(&[&["sagas", "retry", &kept_saga], &REASON[..]].concat()).await?;
    println!("{retried}");
    let shown = stage.shown(&kept_saga, |view| view["status"] == "COMPLETED").await?;
    println!("{shown}");
    ensure!(shown.contains("saga.retry_ordered: the switch was replaced"), "{shown}");
    let (status, post) = stage.get(&kept).await?;
    ensure!(status == StatusCode::OK && post["status"] == "PUBLISHED", "{status} {post}");
    // Its compensation is tried again by itself.
    println!("{}", stage.shown(&given_up_saga, |view| view["status"] == "COMPENSATED").await?);
    let store = stage.cluster.store().await?;
    settled::all(&store.journal, PATIENCE).await?;
    // Neither holds a place any more: as many fit as ever.
    for n in 0..POSTS_IN_CREATION_MAX + 1 {
        let headers = [("authorization", stage.author.bearer.as_str())];
        let post = json!({ "content": format!("post {n}") });
        let (status, body) = stage.client.until_answered(Method::POST, "/posts", Some(&post), &headers).await?;
        ensure!(status == StatusCode::CREATED, "{n}: {status} {body}");
    }
    Ok(())
}
