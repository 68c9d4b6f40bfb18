//! Who may depend on whom, and which crate may know which client: the map, checked. And how large things have grown.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod measurements;
mod servers;
mod shape;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate of ours may use of ours. `tests` and `bench` see everything.
const OURS: &[(&str, &[&str])] = &[
    ("events", &[]),
    ("traces", &[]),
    ("pool", &[]),
    ("journal", &["events", "pool"]),
    ("commands", &["events", "traces", "journal"]),
    ("sagas", &["events", "commands"]),
    ("projections", &["events", "traces", "pool", "journal"]),
    ("demo", &[]),
    ("gateway", &["events", "traces", "journal", "commands", "sagas", "projections", "demo"]),
];

/// What nothing depends on but tests and measurements.
const TESTS: [&str; 3] = ["tests", "failing-disk", "bench"];

/// Which crates of ours may use what; everything that is not listed is free.
const CLIENTS: &[(&str, &[&str])] = &[
    ("fjall", &["journal"]),
    ("rdkafka", &["journal"]),
    ("cqrs-es", &["commands"]),
    ("axum", &["gateway"]),
    ("clap", &["gateway"]),
    ("utoipa", &["gateway"]),
    ("jsonwebtoken", &["gateway"]),
    ("argon2", &["gateway"]),
    ("indicatif", &["demo"]),
    ("mongodb", &["projections"]),
    ("redis", &["projections", "gateway"]),
    ("sqlx", &["pool", "projections", "journal"]),
    ("deadpool", &["pool"]),
    ("aws-sdk-s3", &["media"]),
    ("opentelemetry", &["gateway"]),
    ("opentelemetry_sdk", &["gateway"]),
    ("opentelemetry-otlp", &["gateway"]),
    // A checker of histories, for tests.
    ("todc-utils", &[]),
];

/// All that `events` may use, so that another service can depend on it.
const EVENTS: &[&str] = &["aws-lc-rs", "base64", "serde", "serde_json", "thiserror", "time", "uuid"];

/// One TLS stack, one HTTP client, one runtime: what must not be in the tree at all.
const NEVER: &[&str] = &["openssl", "native-tls", "ring", "reqwest", "ureq", "tonic", "async-std", "actix-web"];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The dependencies of each crate of ours, those of its tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let name = |value: &Value| value.as_str().unwrap().trim_start_matches("tidings-").to_owned();
    packages
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            let used = used.filter(|dependency| dependency["kind"].is_null());
            (name(&package["name"]), used.map(|dependency| name(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn dependencies_between_our_crates_point_one_way() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = OURS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in OURS {
        for used in dependencies[*name].iter().filter(|used| ours.contains(used.as_str())) {
            assert!(allowed.contains(&used.as_str()), "{name} must not know {used}");
        }
    }
    for name in dependencies.keys() {
        assert!(ours.contains(name.as_str()) || TESTS.contains(&name.as_str()), "{name} is not on the map");
    }
}

#[test]
fn each_client_is_known_where_it_belongs_and_nowhere_else() {
    for (name, used) in dependencies().iter().filter(|(name, _)| !TESTS.contains(&name.as_str())) {
        for (client, allowed) in CLIENTS {
            assert!(!used.contains(*client) || allowed.contains(&name.as_str()), "{name} must not know {client}");
        }
    }
}

#[test]
fn another_service_can_depend_on_the_vocabulary() {
    let used = &dependencies()["events"];
    assert!(used.iter().all(|used| EVENTS.contains(&used.as_str())), "{used:?}");
}

#[test]
fn there_is_one_tls_stack_and_one_http_client() {
    // What is built, for any target: the lock file also names what no feature of ours turns on.
    let tree = cargo(&["tree", "--workspace", "--target", "all", "--edges", "normal,build", "--prefix", "none"]);
    let tree = String::from_utf8(tree).unwrap();
    let built: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.contains("tokio"), "{tree}");
    assert!(NEVER.iter().all(|name| !built.contains(name)), "{built:?}");
}
