//! Whether `./dev services` and `compose.yaml` mean the same servers: versions, ports, and every setting that does not only
//! say where something is.
//!
//! Both are read into one form, a value by what it is of, so that what only one of them says is a difference too.

mod compose;
mod scripts;

use compose::Compose;
use scripts::Scripts;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is said of the servers, by server and setting.
type Said = BTreeMap<String, String>;

/// What says where something is or whom it belongs to, and so is another thing in a container.
const PLACES: &[&str] = &[
    "kafka listeners",
    "kafka advertised.listeners",
    "kafka controller.listener.names",
    "kafka controller.quorum.voters",
    "kafka inter.broker.listener.name",
    "kafka listener.security.protocol.map",
    "kafka log.dirs",
    "mongodb bind_ip",
    "mongodb dbpath",
    "mongodb keyFile",
    "mongodb port",
    "postgres listen_addresses",
    "postgres port",
    "postgres unix_socket_directories",
    "redis bind",
    "redis dir",
    "redis port",
    "redis proc-title-template",
    "redis requirepass",
    "s3 port",
    "s3 sidecar",
];

fn here(file: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pairs of `--name` and value in a command line.
fn flags(words: &[&str]) -> Said {
    let pairs = words.windows(2).filter(|pair| !pair[1].starts_with("--"));
    pairs.filter_map(|pair| Some((pair[0].strip_prefix("--")?.to_owned(), pair[1].to_owned()))).collect()
}

/// What stands behind `-c` in a command line of PostgreSQL.
fn settings(words: &[&str]) -> Said {
    let pairs = words.windows(2).filter(|pair| pair[0] == "-c").filter_map(|pair| pair[1].split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The databases that statements in a text make, sorted.
fn created_databases(text: &str) -> Vec<&str> {
    let named = text.split("create database ").skip(1);
    let mut names: Vec<_> = named.filter_map(|rest| rest.split([' ', '"', '\n', ';']).next()).collect();
    names.sort_unstable();
    names
}

fn without_places(mut said: Said) -> Said {
    said.retain(|what, _| !PLACES.contains(&what.as_str()));
    said
}

fn differences(scripts: &Said, compose: &Said) -> Vec<String> {
    let all = scripts.keys().chain(compose.keys().filter(|what| !scripts.contains_key(*what)));
    let differing = all.filter(|what| scripts.get(*what) != compose.get(*what));
    differing
        .map(|what| format!("{what}: {:?} in services/, {:?} in compose.yaml", scripts.get(what), compose.get(what)))
        .collect()
}

#[test]
fn services_and_compose_mean_the_same_servers() {
    let scripts = Scripts::read(here);
    let said = without_places(scripts.said());
    let differences =
        differences(&said, &without_places(Compose::read(&here("compose.yaml")).said(&scripts.servers())));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // What must not be missing from both.
    for what in
        ["kafka version", "kafka auto.create.topics.enable", "postgres max_connections", "mongodb replSet", "s3 bucket"]
    {
        assert!(said.contains_key(what), "{what} is not found: {said:?}");
    }
    assert_eq!((said["redis maxmemory-policy"].as_str(), said["redis appendonly"].as_str()), ("noeviction", "yes"));
}

#[test]
fn the_image_is_built_of_all_that_the_program_is_built_of() {
    let (manifest, let_through) = (here("Cargo.toml"), here(".dockerignore"));
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap_or_default();
    let members = members.split('"').skip(1).step_by(2).map(|member| member.split('/').next().unwrap_or_default());
    let missing =
        members.chain(["migrations"]).filter(|part| !let_through.lines().any(|line| line == format!("!{part}")));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn each_change_of_one_of_them_is_found() {
    let scripts = Scripts::read(here);
    let said = without_places(scripts.said());
    let text = here("compose.yaml");
    for (from, to, what) in [
        ("apache/kafka:4.1.1", "apache/kafka:4.1.2", "kafka version"),
        ("postgres:15", "postgres:16", "postgres version"),
        ("mongo:6.0", "mongo:7.0", "mongodb version"),
        ("TIDINGS_S3_PORT:-17070", "TIDINGS_S3_PORT:-17071", "s3 port of this machine"),
        ("TIDINGS_REDIS_PORT:-16379", "TIDINGS_OTHER_PORT:-16379", "redis port of this machine"),
        (
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE: \"false\"",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE: \"true\"",
            "kafka auto.create.topics.enable",
        ),
        ("      KAFKA_BROKER_SESSION_TIMEOUT_MS: 3000\n", "", "kafka broker.session.timeout.ms"),
        ("noeviction", "allkeys-lru", "redis maxmemory-policy"),
        ("\"--appendonly\", \"yes\", ", "", "redis appendonly"),
        ("\"--replSet\", \"tidings\"", "\"--replSet\", \"rs0\"", "mongodb replSet"),
        ("_id: \"tidings\"", "_id: \"rs0\"", "mongodb replica set"),
        ("max_connections=200", "max_connections=100", "postgres max_connections"),
        ("create database tidings ", "create database reads ", "postgres databases"),
        ("/s3/data/tidings-media", "/s3/data/media", "s3 bucket"),
    ] {
        assert!(text.contains(from), "{from} is not in compose.yaml");
        let changed = without_places(Compose::read(&text.replace(from, to)).said(&scripts.servers()));
        let found = differences(&said, &changed);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{what}: ")), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn each_server_of_compose_has_a_health_check_a_volume_and_no_secret() {
    let compose = Compose::read(&here("compose.yaml"));
    for server in Scripts::read(here).servers() {
        assert!(compose.has(&format!("services.{server}.healthcheck.test")), "{server} has no health check");
        let volume = compose.first(&format!("services.{server}.volumes"));
        let name = volume.split(':').next().unwrap_or("");
        assert!(compose.has(&format!("volumes.{name}")), "{server}: {volume} is not on a named volume");
    }
    for (what, value) in
        compose.all().filter(|(what, _)| ["PASSWORD", "_KEY"].iter().any(|secret| what.ends_with(secret)))
    {
        assert!(value.starts_with("${") && value.contains(":?"), "{what} has a default");
    }
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_workspace() {
    let toolchain = here("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let image = here("Dockerfile");
    assert!(
        image.contains(&format!("FROM rust:{channel}-")) && image.contains(&format!("RUSTUP_TOOLCHAIN={channel}\n"))
    );
}
