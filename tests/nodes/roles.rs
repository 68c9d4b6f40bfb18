//! Nodes that do one thing each: two that serve, two that own, two that feed the read models. Whoever writes on one that
//! serves reads it on the other, while those that feed are stopped, killed and started again.

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::audit::{self, Audit};
use tidings_tests::child::{Environment, HttpClient};
use tidings_tests::cluster::Cluster;
use tidings_tests::load::Load;
use tidings_tests::member::Member;
use tidings_tests::services::Services;
use tidings_tests::{settings, settled};

const ROLES: [&str; 6] = ["gateway", "gateway", "owner", "owner", "projections", "projections"];
const GATEWAYS: [usize; 2] = [0, 1];
const OWNERS: [usize; 2] = [2, 3];
const FEEDERS: [usize; 2] = [4, 5];
const PEOPLE: usize = 12;
const WRITES_BETWEEN: usize = 60;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Read models of this test alone.
async fn read_models(services: &Services) -> Result<Environment> {
    let (database, mongodb) = (services.fresh_database_url(), services.fresh_mongodb_url());
    for url in [&database, &mongodb] {
        gateway::migrate(url).await?;
    }
    let redis = services.fresh_redis_url();
    Ok(vec![("DATABASE_URL", database.into()), ("MONGODB_URL", mongodb.into()), ("REDIS_URL", redis.into())])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_does_its_own_work_and_together_they_do_all_of_it() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let read_models = read_models(&services).await?;
    let mut cluster = Cluster::prepare(services.brokers(), services.fresh_keyring()).await?;
    for roles in ROLES {
        cluster.begin_with(read_models.iter().cloned().chain([("TIDINGS_ROLES", roles.into())]).collect())?;
    }
    cluster.ready().await?;
    for node in GATEWAYS.into_iter().chain(FEEDERS) {
        ensure!(cluster.owned_by(node).await?.is_empty(), "{} owns something", ROLES[node]);
    }
    for node in OWNERS.into_iter().chain(FEEDERS) {
        let (status, said) = cluster.client_of(node).send(Method::GET, "/posts", None, &[]).await?;
        ensure!(status == StatusCode::NOT_FOUND, "{} serves: {status} {said}", ROLES[node]);
    }
    let [here, there] = GATEWAYS.map(|node| cluster.client_of(node));
    let (seed, dice) = settings::seed();
    let gateways = HttpClient::of(GATEWAYS.iter().map(|node| cluster.nodes[*node].url()).collect());
    let mut load = Load::begin(&gateways, PEOPLE, &dice).await?;
    for feeder in FEEDERS {
        load.wait_for(WRITES_BETWEEN).await?;
        cluster.nodes[feeder].kill()?;
        load.wait_for(WRITES_BETWEEN).await?;
        cluster.nodes[feeder].kill_and_restart().await?;
    }
    load.wait_for(WRITES_BETWEEN).await?;
    let books = load.finish().await?;
    settled::over_http(&here, &cluster.data_of(0), SETTLED_WITHIN).await?;
    let store = cluster.store().await?;
    let audit = Audit::of(Arc::clone(&store.journal), Arc::clone(&store.keyring), &books).await?;
    let mut asked = 0;
    for client in [&here, &there] {
        asked += audit::ask_api(client, &books).await?;
    }
    println!(
        "nodes: two that feed were killed in turn: {audit}; {asked} requests to both that serve agree (seed {seed})"
    );
    audit.is_clean()?;
    reads_its_own_writes(&here, &there).await?;
    drop(cluster);
    for (_, url) in read_models {
        gateway::delete_read_models(&url.to_string_lossy()).await?;
    }
    Ok(())
}

/// What somebody does on one node is there on another at once, in each of the servers.
async fn reads_its_own_writes(here: &HttpClient, there: &HttpClient) -> Result<()> {
    let (ada, bob) = (Member::register(here, "ada").await?, Member::register(there, "bob").await?);
    let [by_ada, by_bob] = [&ada, &bob].map(|member| [("authorization", member.bearer.as_str())]);
    let follow = format!("/users/{}/follow", ada.id);
    let (parts, _) = here.exchange(Method::POST, &follow, None, &by_bob).await?;
    ensure!(parts.status.is_success(), "{}", parts.status);
    for n in 0..20 {
        let body = json!({ "content": format!("post {n}") });
        let (parts, post) = here.exchange(Method::POST, "/posts", Some(&body), &by_ada).await?;
        ensure!(parts.status == StatusCode::CREATED, "{} {post}", parts.status);
        let token = parts.headers["x-consistency-token"].to_str()?;
        let strict = [by_bob[0], ("x-consistency-token", token), ("prefer", "consistency=strict")];
        let path = format!("/posts/{}", post["id"].as_str().unwrap_or_default());
        for path in [path.as_str(), "/feed"] {
            let (status, said) = there.send(Method::GET, path, None, &strict).await?;
            ensure!(status == StatusCode::OK && said.to_string().contains(&format!("post {n}\"")), "{path}: {said}");
        }
    }
    let (status, heard) = there.send(Method::GET, "/notifications", None, &by_ada).await?;
    ensure!(status == StatusCode::OK && heard.to_string().contains(&bob.id.to_string()), "{status} {heard}");
    Ok(())
}
