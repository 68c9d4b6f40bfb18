//! The dashboard and the alert rules in `observability/` ask for nothing that a running server does not measure: each name
//! and each label is held against what it shows.

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tidings_tests::child::{self, Environment, HttpClient};
use tidings_tests::collector::Collector;
use tidings_tests::server::PASSWORD;
use tidings_tests::services::Services;
use tokio::time::{sleep, timeout};

/// Labels that Prometheus adds, and the metric that it makes of each target.
const OF_TARGETS: [&str; 2] = ["instance", "job"];
const UP: &str = "up";
/// What is measured only between nodes, with a server of read models, or of a saga that has not ended when it is looked at.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("tidings_peer_batch_seconds", &["le"]),
    ("tidings_peer_failures_total", &["kind"]),
    ("tidings_sagas_open", &["type", "status"]),
    ("tidings_sagas_oldest_seconds", &["type", "status"]),
    ("tidings_pool_connections", &["pool", "state"]),
    ("tidings_pool_connections_max", &["pool"]),
];
/// How long a measurement may take until it is shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

/// The labels of metrics, by name.
type Measured = BTreeMap<String, BTreeSet<String>>;

/// A metric in an expression, with the labels by which its series are chosen.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Selector {
    metric: String,
    labels: BTreeSet<String>,
}

/// What an expression asks for: the metrics, and the labels by which results are grouped or joined.
#[derive(Debug, Default)]
struct Asked {
    selectors: BTreeSet<Selector>,
    grouped_by: BTreeSet<String>,
}

/// Words that an expression may hold beside functions, which stand before a bracket or a grouping, and metrics.
const WORDS: [&str; 12] =
    ["by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf"];

fn asked(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '[' || c == '"') {
        rest = &rest[start..];
        if let Some(end) = rest.strip_prefix('[').and_then(|range| range.find(']')) {
            rest = &rest[end + 2..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end.max(1));
        let behind = after.trim_start();
        rest = after;
        if WORDS.contains(&word) {
            if let Some(list) = behind.strip_prefix('(') {
                let (labels, after) = list.split_once(')').unwrap_or((list, ""));
                asked.grouped_by.extend(labels.split(',').map(|label| label.trim().to_owned()));
                rest = after;
            }
        } else if !["(", "by ", "without "].iter().any(|it| behind.starts_with(it)) {
            let mut labels = BTreeSet::new();
            if let Some(matchers) = behind.strip_prefix('{') {
                // No value that we look for holds a brace or a comma.
                let (matchers, after) = matchers.split_once('}').unwrap_or((matchers, ""));
                let name = |it: &str| it.split(['=', '!']).next().unwrap_or_default().trim().to_owned();
                labels.extend(matchers.split(',').map(name));
                rest = after;
            }
            asked.selectors.insert(Selector { metric: word.to_owned(), labels });
        }
    }
    asked
}

/// What stands in Prometheus's text format; the parts of a histogram count as one.
fn measured(text: &str) -> Measured {
    let mut measured = Measured::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, _) = line.rsplit_once(' ').unwrap_or((line, ""));
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let names =
            labels.trim_end_matches('}').split("\",").filter_map(|it| it.split_once('=')).map(|it| it.0.to_owned());
        measured.entry(name.to_owned()).or_default().extend(names);
    }
    measured
}

/// What the expression asks for in vain.
fn missing(expression: &str, measured: &Measured) -> Vec<String> {
    let asked = asked(expression);
    let mut missing = Vec::new();
    let mut known: BTreeSet<String> = OF_TARGETS.map(str::to_owned).into();
    for Selector { metric, labels } in &asked.selectors {
        let of_target = (metric == UP).then(BTreeSet::new);
        let Some(has) = measured.get(metric).cloned().or(of_target) else {
            missing.push(format!("the metric {metric}"));
            continue;
        };
        let unknown = labels.iter().filter(|label| !has.contains(*label) && !OF_TARGETS.contains(&label.as_str()));
        missing.extend(unknown.map(|label| format!("the label {label} of {metric}")));
        known.extend(has);
    }
    missing.extend(asked.grouped_by.difference(&known).map(|label| format!("the label {label}")));
    missing
}

fn file(name: &str) -> Result<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../observability")).join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Every expression of the dashboard, the queries of its variables included.
fn of_dashboard(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.filter_map(|target| target["expr"].as_str()).map(str::to_owned);
    let variables = dashboard["templating"]["list"].as_array().into_iter().flatten();
    let queries = variables.filter_map(|it| it["query"].as_str()?.strip_prefix("label_values(")?.split_once(','));
    expressions.chain(queries.map(|(metric, _)| metric.to_owned())).collect()
}

/// Every expression of the rules: each alert has one, on one line.
fn of_rules(rules: &str) -> Result<Vec<String>> {
    let count = |mark: &str| rules.lines().filter(|line| line.trim_start().starts_with(mark)).count();
    let expressions = rules.lines().filter_map(|line| line.trim_start().strip_prefix("expr: "));
    let expressions: Vec<_> = expressions.map(str::to_owned).collect();
    for mark in ["labels: {severity: ", "summary: ", "action: "] {
        ensure!(count(mark) == count("- alert: "), "an alert lacks {mark}");
    }
    ensure!(expressions.len() == count("- alert: "), "an alert lacks its expression");
    Ok(expressions)
}

/// What a server shows once it shows all of these.
async fn shown(server: &child::Server, wanted: &[&str]) -> Result<String> {
    let look = async {
        loop {
            let output = Command::new("curl").arg("-sf").arg(format!("{}/metrics", server.url())).output()?;
            let text = String::from_utf8(output.stdout)?;
            if wanted.iter().all(|name| text.contains(name)) {
                return Ok(text);
            }
            sleep(LOOK).await;
        }
    };
    timeout(SHOWN_WITHIN, look).await.with_context(|| format!("not all of {wanted:?} is shown"))?
}

/// Somebody who registers and posts, somebody without a token, and somebody who asks too much.
async fn traffic(client: &HttpClient) -> Result<()> {
    let ada = json!({ "email": "ada@example.com", "password": PASSWORD, "username": "ada" });
    let (ada, _) = client.written("/users/auth/register", &ada, &[]).await?;
    let token = format!("Bearer {}", ada["access_token"].as_str().context("no token")?);
    client.written("/posts", &json!({ "content": "a post" }), &[("authorization", token.as_str())]).await?;
    let (status, _) = client.send(Method::GET, "/users/me", None, &[("authorization", "Bearer nonsense")]).await?;
    ensure!(status == StatusCode::UNAUTHORIZED);
    let mut limited = false;
    for n in 0..8 {
        let login = json!({ "email": format!("nobody{n}@example.com"), "password": PASSWORD });
        let (status, _) = client.send(Method::POST, "/users/auth/login", Some(&login), &[]).await?;
        limited |= status == StatusCode::TOO_MANY_REQUESTS;
    }
    ensure!(limited, "nothing was limited");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dashboard_and_the_alerts_ask_for_is_measured() -> Result<()> {
    let home = tempfile::tempdir()?;
    let collector = Collector::start().await?;
    let mut environment: Environment = vec![
        ("TIDINGS_RATE_LIMITS", "login=3".into()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().into()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".into()),
    ];
    let services = Services::of_read_models();
    if let Some(services) = &services {
        for (name, url) in
            [("DATABASE_URL", services.fresh_database_url()), ("MONGODB_URL", services.fresh_mongodb_url())]
        {
            gateway::migrate(&url).await?;
            environment.push((name, url.into()));
        }
    }
    let server = child::Server::start_in(&home.path().join("data"), environment).await?;
    traffic(&HttpClient::new(server.url())).await?;
    // Those that come last: with the second look of the upkeep, and with the first spans.
    let late =
        ["tidings_parked_keys", "tidings_sagas_stuck", "tidings_trace_exports_total", "tidings_rate_limited_total"];
    let text = shown(&server, &late).await?;
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        ensure!(text.contains(&format!("# HELP {name} ")), "{name} does not say what it is");
    }
    let mut measured = measured(&text);
    for pool in services.iter().flat_map(|_| ["postgresql_reads", "postgresql_writes", "mongodb"]) {
        let of_it = format!("tidings_pool_connections{{pool=\"{pool}\",");
        let mut connections = text.lines().filter(|line| line.starts_with(&of_it));
        ensure!(connections.any(|line| !line.ends_with(" 0")), "{pool} has no connections: {text}");
    }
    for (name, labels) in ELSEWHERE {
        ensure!(gateway::telemetry::names().any(|known| known == *name), "{name} is measured nowhere");
        let labels: BTreeSet<_> = labels.iter().map(|label| (*label).to_owned()).collect();
        for name in [(*name).to_owned(), format!("{name}_bucket")] {
            measured.entry(name).or_insert_with(|| labels.clone());
        }
    }

    let dashboard = of_dashboard(&serde_json::from_str(&file("dashboard.json")?)?);
    let alerts = of_rules(&file("alerts.yaml")?)?;
    ensure!(dashboard.len() > 30 && alerts.len() > 10, "{} and {}", dashboard.len(), alerts.len());
    for expression in dashboard.iter().chain(&alerts) {
        let missing = missing(expression, &measured);
        ensure!(missing.is_empty(), "{expression}\nasks for {}, which is not measured", missing.join(", "));
    }
    Ok(())
}

#[test]
fn what_is_not_measured_is_found() {
    let text = "# TYPE a counter\na{model=\"x\",state=\"y, z\"} 1\nb_bucket{le=\"+Inf\"} 2\nb_count 2\n";
    let measured = measured(text);
    for good in [
        "sum by (model) (rate(a{state=~\"y|z\", instance=~\"$instance\"}[$__rate_interval])) > 0.5",
        "histogram_quantile(0.99, sum by (le) (rate(b_bucket[5m])))",
        "up{job=\"tidings\"} == 0",
        "a >= on (model, instance) max by (model, instance) (a)",
    ] {
        assert_eq!(missing(good, &measured), Vec::<String>::new(), "{good}");
    }
    for (bad, what) in [
        ("rate(c[5m])", "the metric c"),
        ("sum(a{kind=\"x\"})", "the label kind of a"),
        ("sum by (route) (a)", "the label route"),
        ("a / on (route) b_count", "the label route"),
        ("b", "the metric b"),
    ] {
        assert_eq!(missing(bad, &measured), [what], "{bad}");
    }
}
