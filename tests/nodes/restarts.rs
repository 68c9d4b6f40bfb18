//! Nodes that are killed, or stopped, and started again in turn.

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_tests::audit::{self, Audit};
use tidings_tests::child::HttpClient;
use tidings_tests::cluster::Cluster;
use tidings_tests::load::Load;
use tidings_tests::services::Services;
use tidings_tests::{settings, settled};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The kills of a short run; `TIDINGS_NODE_KILLS` asks for more.
const KILLS: u64 = 4;
const PEOPLE: usize = 16;
const WRITES_BEFORE_KILL: usize = 60;
/// Requests a second while both nodes are restarted in turn.
const RATE: u32 = 200;
/// How long the requests go on before and after each restart.
const AROUND: Duration = Duration::from_secs(3);
/// What may be answered "not now", of a hundred.
const RETRYABLE_MAX: f64 = 1.0;
/// The longest that nobody may be answered.
const GAP_MAX: Duration = Duration::from_secs(2);
/// How often a request is sent again before it counts as failed.
const RETRIES_MAX: usize = 40;
/// How long sagas that a node left in the middle may take to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const RETRY_DELAY: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_once_whichever_node_is_killed() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let kills = settings::number("TIDINGS_NODE_KILLS", KILLS);
    let (seed, dice) = settings::seed();
    let mut cluster = Cluster::start(&services, 2).await?;
    let mut load = Load::begin(&cluster.client(), PEOPLE, &dice).await?;
    for kill in 0..kills {
        load.wait_for(WRITES_BEFORE_KILL).await?;
        let node = &mut cluster.nodes[usize::try_from(kill % 2)?];
        node.kill_and_restart().await?;
    }
    load.wait_for(WRITES_BEFORE_KILL).await?;
    let books = load.finish().await?;
    settled::over_http(&cluster.client_of(0), &cluster.data_of(0), SETTLED_WITHIN).await?;
    let store = cluster.store().await?;
    let audit = Audit::of(Arc::clone(&store.journal), Arc::clone(&store.keyring), &books).await?;
    let mut asked = 0;
    for node in 0..2 {
        asked += audit::ask_api(&cluster.client_of(node), &books).await?;
    }
    println!("nodes: {kills} kills: {audit}; {asked} requests to both nodes agree (seed {seed})");
    audit.is_clean()
}

/// What came of the requests.
#[derive(Default)]
struct Answers {
    sent: u64,
    /// What came instead of an answer, and how often; each time the request was sent again.
    retryable: BTreeMap<String, u64>,
    /// When each was answered at last.
    answered: Vec<Instant>,
    slowest: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_is_hardly_noticed() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let (_, dice) = settings::seed();
    let mut cluster = Cluster::start(&services, 2).await?;
    let client = cluster.client();
    let _health = client.check_health();
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::register(&client, &format!("rolling_{n}_{}", dice.below(1_000_000))).await?);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let asking = tokio::spawn(ask(people, stopped));
    sleep(AROUND).await;
    let begun = Instant::now();
    for node in &mut cluster.nodes {
        node.stop().await?;
        node.spawn()?;
        node.ready().await?;
        sleep(AROUND).await;
    }
    let took = begun.elapsed();
    stop.send_replace(true);
    let answers = asking.await??;
    let gap = answers.answered.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    let again = answers.retryable.values().sum::<u64>();
    let retryable = again as f64 * 100.0 / answers.sent as f64;
    println!(
        "nodes: rolling restart of both in {took:.1?}: {} requests at {RATE}/s, {again} ({retryable:.2} %) answered \
         \"not now\" and sent again, every one answered at last; longest gap {gap:.2?}, slowest answer {:.2?}; {:?}",
        answers.sent, answers.slowest, answers.retryable
    );
    ensure!(retryable <= RETRYABLE_MAX, "{retryable:.2} % were answered \"not now\"");
    ensure!(gap <= GAP_MAX, "nobody was answered for {gap:?}");
    Ok(())
}

/// Sends requests at a fixed rate, whatever becomes of those before.
async fn ask(people: Vec<Person>, stop: tokio::sync::watch::Receiver<bool>) -> Result<Answers> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut answers, mut asking) = (Answers::default(), JoinSet::new());
    while !*stop.borrow() {
        ticks.tick().await;
        let (person, n) = (people[usize::try_from(answers.sent)? % people.len()].clone(), answers.sent);
        asking.spawn(async move { person.ask(n).await });
        answers.sent += 1;
        while let Some(done) = asking.try_join_next() {
            answers.note(done??);
        }
    }
    while let Some(done) = asking.join_next().await {
        answers.note(done??);
    }
    answers.answered.sort();
    Ok(answers)
}

impl Answers {
    fn note(&mut self, (retries, sent): (Vec<String>, Instant)) {
        for why in retries {
            *self.retryable.entry(why).or_default() += 1;
        }
        self.answered.push(Instant::now());
        self.slowest = self.slowest.max(sent.elapsed());
    }
}

/// Somebody with a token.
#[derive(Clone)]
struct Person {
    client: HttpClient,
    token: String,
}

impl Person {
    async fn register(client: &HttpClient, name: &str) -> Result<Self> {
        let body =
            json!({"email": format!("{name}@example.com"), "password": "correct horse battery", "username": name});
        let (status, body) = client.until_answered(Method::POST, "/users/auth/register", Some(&body), &[]).await?;
        ensure!(status == StatusCode::CREATED, "{body}");
        let token = body["access_token"].as_str().context("no token")?;
        Ok(Self { client: client.clone(), token: format!("Bearer {token}") })
    }

    /// Writes or reads; why it had to be sent again, each time, and when it was sent first.
    async fn ask(self, n: u64) -> Result<(Vec<String>, Instant)> {
        let (begun, key) = (Instant::now(), format!("rolling-{n:08}"));
        let headers = [("authorization", self.token.as_str()), ("idempotency-key", key.as_str())];
        let post = json!({"content": format!("post {n}")});
        let (method, path, body, expected) = match n % 4 {
            0 => (Method::POST, "/posts", Some(&post), StatusCode::CREATED),
            1 => (Method::GET, "/feed?mode=latest", None, StatusCode::OK),
            2 => (Method::GET, "/users/me", None, StatusCode::OK),
            _ => (Method::GET, "/posts", None, StatusCode::OK),
        };
        let mut retries = Vec::new();
        while retries.len() < RETRIES_MAX {
            let why = match self.client.send(method.clone(), path, body, &headers).await {
                Ok((status, _)) if status == expected => return Ok((retries, begun)),
                Ok((StatusCode::ACCEPTED, _)) => format!("{method} {path}: it has begun"),
                Ok((StatusCode::SERVICE_UNAVAILABLE, body)) => format!("{method} {path}: {}", body["message"]),
                Ok((StatusCode::CONFLICT, body)) if body["error"] == "InFlight" => format!("{method} {path}: InFlight"),
                Ok((status, body)) => anyhow::bail!("{method} {path}: {status} {body}"),
                Err(error) => format!("{method} {path}: {error:#}"),
            };
            self.client.move_on();
            retries.push(why);
            sleep(RETRY_DELAY.mul_f64(if retries.len() == 1 { 0.1 } else { 1.0 })).await;
        }
        anyhow::bail!("{method} {path}: not answered after {RETRIES_MAX} retries")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_on_one_node_reads_it_on_the_other() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let cluster = Cluster::start(&services, 2).await?;
    let clients = [cluster.client_of(0), cluster.client_of(1)];
    let person = Person::register(&clients[0], "reads_everywhere").await?;
    for n in 0..50usize {
        let (here, there) = (&clients[n % 2], &clients[(n + 1) % 2]);
        let headers = [("authorization", person.token.as_str())];
        let content = format!("post {n}");
        let (posted, token) = here.written("/posts", &json!({"content": content}), &headers).await?;
        let path = format!("/posts/{}", posted["id"].as_str().context("no id")?);
        let (status, read) = there.send(Method::GET, &path, None, &[("x-consistency-token", &token)]).await?;
        ensure!(status == StatusCode::OK && read["content"] == content, "{n}: {status} {read}");
    }
    Ok(())
}
