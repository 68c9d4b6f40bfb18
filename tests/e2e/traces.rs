//! One request as one trace: from HTTP through the log into every read model, as a collector gets it.

use anyhow::{Context, Result};
use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use projections::{feed, notifications, sagas, sessions, users};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use tidings_tests::collector::{Collector, said, tree};
use tidings_tests::server::TestServer;
use tidings_tests::services::Services;
use uuid::Uuid;

const TRACE: Uuid = Uuid::from_u128(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
const ASKER: [u8; 8] = [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
const CONTENT: &str = "what nobody but readers should see #private";

fn traceparent() -> String {
    format!("00-{}-00f067aa0ba902b7-01", TRACE.simple())
}

async fn traced(url: String, change: impl FnOnce(&mut gateway::TracesConfig)) -> Result<TestServer> {
    let server = TestServer::over_with(tempfile::tempdir()?, |config| {
        config.traces.endpoint = Some(url);
        change(&mut config.traces);
    });
    server.await
}

fn named<'a>(spans: &'a [Span], name: &'a str) -> impl Iterator<Item = &'a Span> {
    spans.iter().filter(move |span| span.name == name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_seen_from_the_request_through_the_log_into_every_read_model() -> Result<()> {
    let collector = Collector::start().await?;
    let server = traced(collector.url(), |traces| {
        traces.headers = Some("x-tenant=t1".to_owned());
        traces.service_name = "tidings-test".to_owned();
    });
    let server = server.await?;
    let ada = server.register("ada").await?;
    let post = server.post("/posts").by(&ada).header("traceparent", traceparent());
    let answer = post.json(&json!({ "content": CONTENT })).send().await?;
    assert_eq!(answer.status, StatusCode::CREATED);
    server.settle().await?;
    let commits: BTreeMap<_, _> = server.commits().await?.into_iter().map(|it| (it.commit.command, it)).collect();
    let commits = commits.values().filter(|it| it.commit.correlation == TRACE).count();
    // What waits is sent before it ends.
    server.stop().await?;

    let spans = collector.trace(TRACE.as_bytes());
    println!("{}", tree(&spans, &ASKER));
    let request = named(&spans, "POST /posts").next().context("no span of the request")?;
    assert_eq!((request.parent_span_id.as_slice(), request.kind()), (&ASKER[..], SpanKind::Server));
    let about = said(&request.attributes);
    assert_eq!(about["http.route"], "/posts");
    assert_eq!((about["http.request.method"].as_str(), about["http.response.status_code"].as_str()), ("POST", "201"));

    // To the owner, into the log, and on with the steps of the saga.
    let submit = named(&spans, "submit saga start").next().context("it was not sent")?;
    assert_eq!(submit.parent_span_id, request.span_id);
    let decided = named(&spans, "decide saga start").next().context("it was not decided")?;
    assert_eq!(decided.parent_span_id, submit.span_id);
    let steps: Vec<_> = spans.iter().filter(|span| span.name.starts_with("step ")).collect();
    assert!(!steps.is_empty() && steps.iter().all(|step| step.parent_span_id == decided.span_id));
    let decisions: Vec<_> = spans.iter().filter(|span| span.name.starts_with("decide ")).collect();
    assert_eq!(decisions.len(), commits, "each commit of the request has one");
    for decision in &decisions {
        assert_eq!(named(&spans, "append").filter(|span| span.parent_span_id == decision.span_id).count(), 1);
    }

    // Each read model continues each commit, by itself or with others of its batch.
    let applied: Vec<_> = spans.iter().filter(|span| span.name.starts_with("apply ")).collect();
    let models: BTreeSet<_> = applied.iter().map(|span| said(&span.attributes)["tidings.model"].clone()).collect();
    for model in [users::NAME, sessions::NAME, notifications::NAME, feed::NAME, sagas::NAME, "posts"] {
        assert!(models.contains(model), "{model} is not among {models:?}");
    }
    for model in &models {
        let by_it = applied.iter().filter(|span| said(&span.attributes)["tidings.model"] == *model);
        let continued: BTreeSet<_> =
            by_it.flat_map(|span| span.links.iter().map(|link| &link.span_id).chain([&span.parent_span_id])).collect();
        assert_eq!(continued, decisions.iter().map(|it| &it.span_id).collect(), "{model}");
    }
    let servers = [
        ("apply posts", "postgresql"),
        ("apply users", "postgresql"),
        ("apply notifications", "mongodb"),
        ("apply sessions", "redis"),
        ("apply feed", "redis"),
        ("apply sagas", "postgresql"),
    ];
    for (name, server) in servers {
        let span = named(&spans, name).next().context(name)?;
        let system = said(&span.attributes).get("db.system.name").cloned();
        assert_eq!(system.as_deref(), Services::of_read_models().map(|_| server), "{name}");
    }

    // It is one tree, and tells nothing of people.
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len(), "an id stands for two spans");
    for span in &spans {
        assert!(span.parent_span_id == ASKER || ids.contains(&span.parent_span_id), "{} hangs on nothing", span.name);
        let text = format!("{} {:?}", span.name, said(&span.attributes));
        for secret in [CONTENT, "private", "ada", &ada.id, &ada.token, &ada.email] {
            assert!(!text.contains(secret), "{text} names {secret}");
        }
    }
    let services = collector.services();
    assert!(services.iter().all(|service| service["service.name"] == "tidings-test"), "{services:?}");
    assert_eq!(collector.header("x-tenant").as_deref(), Some("t1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_not_sampled_leaves_no_span_anywhere() -> Result<()> {
    let collector = Collector::start().await?;
    let server = traced(collector.url(), |traces| {
        // The trace's id is below a half and above a thousandth of what there is.
        traces.sampler = "traceidratio".to_owned();
        traces.sampler_arg = Some("0.2".to_owned());
    });
    let server = server.await?;
    let low = Uuid::from_u128(1);
    let high = Uuid::from_u128(u128::MAX);
    let ada = server.register("ada").await?;
    for trace in [low, high] {
        let header = format!("00-{}-00f067aa0ba902b7-01", trace.simple());
        let post = server.post("/posts").by(&ada).header("traceparent", header);
        post.json(&json!({ "content": CONTENT })).send().await?;
    }
    server.settle().await?;
    server.stop().await?;
    assert_eq!(collector.trace(low.as_bytes()), []);
    let followed = collector.trace(high.as_bytes());
    assert!(named(&followed, "POST /posts").count() == 1 && named(&followed, "apply posts").count() > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_harms_nobody() -> Result<()> {
    let nobody = TcpListener::bind("127.0.0.1:0")?;
    let server = traced(format!("http://{}", nobody.local_addr()?), |_| {}).await?;
    let ada = server.register("ada").await?;
    for n in 0..300 {
        let answer =
            server.get(format!("/users/{}", ada.id)).header("x-request-id", format!("n-{n:05}")).send().await?;
        assert_eq!(answer.status, StatusCode::OK);
    }
    server.publish(&ada, CONTENT).await?;
    server.settle().await?;
    server.stop().await?;
    Ok(())
}
