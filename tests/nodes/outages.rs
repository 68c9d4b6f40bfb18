//! Kafka is not there, goes away, comes back, is slow: reads go on, writes wait or are told to come again, nothing that
//! was acknowledged is lost, and nobody has to be started again.

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_tests::audit::{self, Audit};
use tidings_tests::broker::Broker;
use tidings_tests::child::HttpClient;
use tidings_tests::cluster::Cluster;
use tidings_tests::load::Load;
use tidings_tests::proxy::{Proxy, Weather};
use tidings_tests::services::Services;
use tidings_tests::{settings, settled};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How long Kafka is away in a short run; `TIDINGS_AWAY_S` asks for more.
const AWAY_S: u64 = 8;
const PEOPLE: usize = 8;
const WRITES_BETWEEN: usize = 60;
/// How long sagas that Kafka left in the middle may take to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const SLOW: Duration = Duration::from_millis(150);

/// A broker that its clients reach by way of this address.
async fn own_broker(port: u16, reached_at: SocketAddr) -> Result<Arc<Broker>> {
    let advertised =
        move |controller| format!("advertised.listeners=PLAINTEXT://{reached_at},CONTROLLER://127.0.0.1:{controller}");
    Ok(Arc::new(spawn_blocking(move || Broker::start_with(port, &advertised(port + 1))).await??))
}

async fn with(broker: &Arc<Broker>, what: fn(&Broker) -> Result<()>) -> Result<()> {
    let broker = Arc::clone(broker);
    spawn_blocking(move || what(&broker)).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_link_to_kafka_nothing_is_lost() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let away = Duration::from_secs(settings::number("TIDINGS_AWAY_S", AWAY_S));
    let (seed, dice) = settings::seed();
    let port = Broker::free_port()?;
    let proxy = Proxy::to(format!("127.0.0.1:{port}")).await?;
    let broker = own_broker(port, proxy.address()).await?;
    let cluster = Cluster::with(&proxy.address().to_string(), services.fresh_keyring(), 2).await?;
    let mut load = Load::begin(&cluster.client(), PEOPLE, &dice).await?;
    load.wait_for(WRITES_BETWEEN).await?;
    let mut back = Vec::new();
    for weather in [Weather::Slow(SLOW), Weather::Cut, Weather::Swallowed] {
        proxy.set(weather);
        if weather == Weather::Cut {
            refuses_writes_and_serves_reads(&cluster).await?;
        }
        sleep(away).await;
        proxy.set(Weather::Fine);
        let begun = Instant::now();
        load.wait_for(WRITES_BETWEEN).await?;
        back.push(format!("{weather:?} {:.1?}", begun.elapsed()));
    }
    with(&broker, Broker::kill).await?;
    sleep(away).await;
    with(&broker, Broker::up).await?;
    let begun = Instant::now();
    load.wait_for(WRITES_BETWEEN).await?;
    back.push(format!("killed {:.1?}", begun.elapsed()));
    let books = load.finish().await?;
    settled::over_http(&cluster.client_of(0), &cluster.data_of(0), SETTLED_WITHIN).await?;
    let store = cluster.store().await?;
    let audit = Audit::of(Arc::clone(&store.journal), Arc::clone(&store.keyring), &books).await?;
    let mut asked = 0;
    for node in 0..2 {
        asked += audit::ask_api(&cluster.client_of(node), &books).await?;
    }
    println!(
        "nodes: Kafka away for {away:?} each time; until {WRITES_BETWEEN} more writes were acknowledged: {}; {audit}; \
         {asked} requests to both nodes agree (seed {seed})",
        back.join(", ")
    );
    audit.is_clean()
}

/// With Kafka away.
async fn refuses_writes_and_serves_reads(cluster: &Cluster) -> Result<()> {
    let body = json!({"email": "late@example.com", "password": "correct horse battery", "username": "late"});
    for node in 0..2 {
        let client = cluster.client_of(node);
        let (parts, body) = client.exchange(Method::POST, "/users/auth/register", Some(&body), &[]).await?;
        ensure!(
            parts.status == StatusCode::SERVICE_UNAVAILABLE,
            "node {node}: a write was answered {} {body}",
            parts.status
        );
        ensure!(parts.headers.contains_key("retry-after"), "node {node}: 503 without Retry-After");
        let (status, posts) = client.send(Method::GET, "/posts", None, &[]).await?;
        ensure!(status == StatusCode::OK, "node {node}: a read was answered {status} {posts}");
        let (status, ready) = client.send(Method::GET, "/livez", None, &[]).await?;
        ensure!(status == StatusCode::OK, "node {node}: {status} {ready}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_servers_that_are_not_there_yet() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let port = Broker::free_port()?;
    let broker = own_broker(port, SocketAddr::from(([127, 0, 0, 1], port))).await?;
    with(&broker, Broker::down).await?;
    let mut cluster = Cluster::prepare(&broker.address(), services.fresh_keyring()).await?;
    cluster.begin()?;
    let client = cluster.client_of(0);
    let ready = until_it_says(&client, "/readyz").await?;
    ensure!(ready.to_string().contains("Kafka"), "it does not say what it waits for: {ready}");
    let (status, _) = client.send(Method::GET, "/livez", None, &[]).await?;
    ensure!(status == StatusCode::OK, "a node that waits does not live: {status}");
    with(&broker, Broker::up).await?;
    cluster.nodes[0].ready().await?;
    let body = json!({"email": "early@example.com", "password": "correct horse battery", "username": "early"});
    let (status, body) = client.until_answered(Method::POST, "/users/auth/register", Some(&body), &[]).await?;
    ensure!(status == StatusCode::CREATED, "{status} {body}");
    Ok(())
}

/// What a node answers, once it listens.
async fn until_it_says(client: &HttpClient, path: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        match client.send(Method::GET, path, None, &[]).await {
            Ok((StatusCode::SERVICE_UNAVAILABLE, body)) if body.to_string().contains("Kafka") => return Ok(body),
            Ok((StatusCode::OK, body)) => anyhow::bail!("it is ready without Kafka: {body}"),
            other if begun.elapsed() > Duration::from_secs(30) => {
                return other.map(|(_, body)| body).context("it says nothing of Kafka");
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}
