//! A request that one node takes and another one decides is one trace.

use anyhow::{Context, Result, ensure};
use http::Method;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tidings_tests::child::HttpClient;
use tidings_tests::cluster::Cluster;
use tidings_tests::collector::{Collector, said, tree};
use tidings_tests::server::PASSWORD;
use tidings_tests::services::Services;
use tidings_tests::settled;
use tokio::time::timeout;
use uuid::Uuid;

/// As many, each on a partition of its own choice, that some meet the other node.
const POSTS: usize = 16;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

fn named<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    spans.iter().find(|span| span.name == name).with_context(|| format!("no {name}"))
}

/// Waits until the node's read models have passed all that is in the log.
async fn caught_up(client: &HttpClient) -> Result<()> {
    loop {
        let (_, ready) = client.until_answered(Method::GET, "/readyz", None, &[]).await?;
        if ready["behind"] == json!([]) {
            return Ok(());
        }
        client.pause().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_followed_to_the_owner_on_another_node_and_into_the_memory_of_both() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let collector = Collector::start().await?;
    let mut cluster = Cluster::prepare(services.brokers(), services.fresh_keyring()).await?;
    for _ in 0..2 {
        cluster.begin_with(vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().into())])?;
    }
    cluster.ready().await?;
    cluster.balanced(0).await?;
    let client = cluster.client_of(0);
    let ada = json!({ "email": "ada@example.com", "password": PASSWORD, "username": "ada" });
    let (ada, _) = client.written("/users/auth/register", &ada, &[]).await?;
    let token = format!("Bearer {}", ada["access_token"].as_str().context("no token")?);
    let traces: Vec<Uuid> = (0..POSTS).map(|_| Uuid::new_v4()).collect();
    for trace in &traces {
        let parent = format!("00-{}-00f067aa0ba902b7-01", trace.simple());
        let headers = [("authorization", token.as_str()), ("traceparent", parent.as_str())];
        client.written("/posts", &json!({ "content": "a post" }), &headers).await?;
    }
    settled::over_http(&client, &cluster.data_of(0), SETTLED_WITHIN).await?;
    for node in 0..2 {
        timeout(SETTLED_WITHIN, caught_up(&cluster.client_of(node))).await.context("a node stays behind")??;
    }
    // What waits is sent before they end.
    for node in &mut cluster.nodes {
        node.stop().await?;
    }

    let mut crossed = 0;
    for trace in traces {
        let spans = collector.trace(trace.as_bytes());
        let (request, decided) = (named(&spans, "POST /posts")?, named(&spans, "decide saga start")?);
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
        let roots = spans.iter().filter(|span| !ids.contains(&span.parent_span_id));
        ensure!(roots.map(|span| &span.name).eq([&request.name]), "{}", tree(&spans, &request.parent_span_id));
        let is_in_memory = |span: &&Span| !said(&span.attributes).contains_key("db.system.name");
        let applied = spans.iter().filter(|span| span.name == "apply sagas").filter(is_in_memory);
        let by: BTreeSet<_> = applied.map(|span| collector.sent_by(span)).collect();
        ensure!(by.len() == 2, "sagas are in the memory of both nodes: {by:?}");
        if collector.sent_by(request) != collector.sent_by(decided) {
            crossed += 1;
        }
    }
    ensure!(crossed > 0, "no post was decided on the other node");
    println!("nodes: {crossed} of {POSTS} posts were decided on the other node than asked, each in one trace");
    Ok(())
}
