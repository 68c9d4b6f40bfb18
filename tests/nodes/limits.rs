//! Limits in Redis: however many nodes somebody asks, together they let through exactly as many as one would.

use anyhow::{Result, ensure};
use futures::future::join_all;
use http::{Method, StatusCode};
use tidings_tests::child::HttpClient;
use tidings_tests::cluster::Cluster;
use tidings_tests::member::Member;
use tidings_tests::services::Services;

const REQUESTS: usize = 1_000;
const LIMIT: usize = 300;

/// What all of them, sent at once to the nodes in turn, were answered.
async fn answers(nodes: &[HttpClient], path: &str, headers: &[(&str, &str)]) -> Result<Vec<StatusCode>> {
    let ask = |n: usize| async move { nodes[n % nodes.len()].send(Method::GET, path, None, headers).await };
    join_all((0..REQUESTS).map(ask)).await.into_iter().map(|answer| Ok(answer?.0)).collect()
}

fn count(answers: &[StatusCode], status: StatusCode) -> usize {
    answers.iter().filter(|answer| **answer == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_as_many_pass_over_two_nodes_as_the_limit_says() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let redis = services.fresh_redis_url();
    let mut cluster = Cluster::prepare(services.brokers(), services.fresh_keyring()).await?;
    for _ in 0..2 {
        let limits = format!("all=100000,user={LIMIT}");
        cluster.begin_with(vec![("REDIS_URL", redis.clone().into()), ("TIDINGS_RATE_LIMITS", limits.into())])?;
    }
    cluster.ready().await?;
    cluster.balanced(0).await?;
    let nodes = [cluster.client_of(0), cluster.client_of(1)];
    let ada = Member::register(&nodes[0], "ada").await?;
    let token = [("authorization", ada.bearer.as_str())];

    let all = answers(&nodes, "/users/me", &token).await?;
    let (passed, refused) = (count(&all, StatusCode::OK), count(&all, StatusCode::TOO_MANY_REQUESTS));
    println!("nodes: of {REQUESTS} requests at once over two nodes {passed} passed and {refused} were refused");
    ensure!((passed, refused) == (LIMIT, REQUESTS - LIMIT), "{passed} passed and {refused} were refused");
    for client in &nodes {
        let (parts, _) = client.exchange(Method::GET, "/users/me", None, &token).await?;
        ensure!(parts.status == StatusCode::TOO_MANY_REQUESTS && parts.headers["x-ratelimit-remaining"] == "0");
        ensure!(parts.headers.contains_key("retry-after"));
    }
    // A new session is of the same user.
    let (_, session) = nodes[1].send(Method::POST, "/users/auth/login", Some(&ada.login()), &[]).await?;
    let other = format!("Bearer {}", session["access_token"].as_str().unwrap_or_default());
    let other = [("authorization", other.as_str())];
    let (status, _) = nodes[0].send(Method::GET, "/users/me", None, &other).await?;
    ensure!(status == StatusCode::TOO_MANY_REQUESTS, "{status}");
    gateway::delete_read_models(&redis).await
}
