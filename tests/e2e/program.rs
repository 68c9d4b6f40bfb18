//! The program itself: what it says when it cannot run, and that it changes nothing then.

use anyhow::{Context, Result};
use http::Method;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use tidings_tests::child::{self, tidings};
use tidings_tests::server::TestServer;

fn run(arguments: &[&str], data: &Path, environment: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(tidings());
    command.args(arguments).arg("--data").arg(data).envs(environment.iter().copied());
    command.output().context("starting tidings")
}

/// The one line that a start which must fail says.
fn refused(data: &Path, environment: &[(&str, &str)]) -> Result<String> {
    let output = run(&["serve", "--listen", "127.0.0.1:0"], data, environment)?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success(), "it has started");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("tidings: "), "{said}");
    Ok(said)
}

/// Every file with its content.
fn content(directory: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(content(&path)?);
        } else {
            files.insert(path.clone(), fs::read(path)?);
        }
    }
    Ok(files)
}

/// A directory in which somebody has posted.
async fn used() -> Result<TempDir> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    server.publish(&ada, "a post").await?;
    server.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_directory_is_refused_and_disturbs_nobody() -> Result<()> {
    let home = tempfile::tempdir()?;
    let data = home.path().join("data");
    let server = child::Server::start(&data).await?;
    assert!(refused(&data, &[])?.contains("another process has it open"));
    let verify = run(&["log", "verify"], &data, &[])?;
    assert!(!verify.status.success());
    let client = child::HttpClient::new(server.url());
    let (status, _) = client.send(Method::GET, "/readyz", None, &[]).await?;
    assert_eq!(status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_made_is_named() -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("file");
    fs::write(&file, "not a directory")?;
    let said = refused(&file.join("data"), &[])?;
    assert!(said.contains(&*file.join("data").to_string_lossy()), "{said}");
    let before = content(home.path())?;
    assert_eq!(before.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_newer_version_is_left_as_it_is() -> Result<()> {
    let home = used().await?;
    let data = home.path().join("data");
    let identity = data.join("tidings.json");
    let newer = fs::read_to_string(&identity)?.replace("\"format\": 1", "\"format\": 99");
    assert!(newer.contains("99"));
    fs::write(&identity, newer)?;
    let before = content(&data)?;
    assert!(refused(&data, &[])?.contains("format 99"));
    assert!(content(&data)? == before, "something was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_keyring_is_said_and_none_is_made() -> Result<()> {
    let home = used().await?;
    let data = home.path().join("data");
    fs::remove_dir_all(data.join("keyring"))?;
    let before = content(&data)?;
    assert!(refused(&data, &[])?.contains("keyring"));
    assert!(content(&data)? == before, "something was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_what_it_was_is_refused_with_the_position() -> Result<()> {
    let home = used().await?;
    let data = home.path().join("data");
    let verified = run(&["log", "verify"], &data, &[])?;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert_eq!(String::from_utf8(verified.stdout)?.lines().count(), 4);
    let log = content(&data.join("log"))?;
    let server = TestServer::over(home).await?;
    server.register("bob").await?;
    let home = server.stop().await?;
    // As if the disk had gone back in time: every record is whole, but some are missing.
    fs::remove_dir_all(data.join("log"))?;
    for (path, bytes) in log {
        fs::create_dir_all(path.parent().context("a file has a parent")?)?;
        fs::write(path, bytes)?;
    }
    for said in [refused(&data, &[])?, refused(&data, &[])?] {
        assert!(said.contains("damaged at") && said.contains('@'), "{said}");
    }
    drop(home);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_anchors_are_refused_until_they_are_noted_anew() -> Result<()> {
    let home = used().await?;
    let data = home.path().join("data");
    fs::remove_file(data.join("anchors"))?;
    assert!(refused(&data, &[])?.contains("tidings log verify --accept"));
    assert!(!run(&["log", "verify"], &data, &[])?.status.success());
    let accepted = run(&["log", "verify", "--accept"], &data, &[])?;
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    TestServer::over(home).await?.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_would_not_be_used_are_refused_before_anything_is_made() -> Result<()> {
    let home = tempfile::tempdir()?;
    for name in gateway::SERVERS {
        let said = refused(&home.path().join("data"), &[(name, "somewhere")])?;
        assert!(said.contains(name) && said.contains("in memory"), "{said}");
    }
    for (name, missing) in [("KAFKA_BROKERS", "KEYRING_URL"), ("KEYRING_URL", "KAFKA_BROKERS")] {
        let said = refused(&home.path().join("data"), &[(name, "somewhere")])?;
        assert!(said.contains(name) && said.contains(&format!("{missing} is not")), "{said}");
    }
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret");
    let file = home.path().with_extension("headers");
    fs::write(&file, "authorization=s3cret\n")?;
    let headers_file = ("OTEL_EXPORTER_OTLP_HEADERS_FILE", file.to_str().context("a path")?);
    for (name, value, missing) in [
        ("KAFKA_PROPERTIES", "sasl.password=s3cret", "KAFKA_BROKERS"),
        ("TIDINGS_INTERNAL_ADVERTISE", "there:1", "KAFKA_BROKERS"),
        (headers.0, headers.1, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (headers_file.0, headers_file.1, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ] {
        let said = refused(&home.path().join("data"), &[(name, value)])?;
        assert!(said.contains(&format!("but {missing} is not")) && !said.contains("s3cret"), "{said}");
    }
    fs::remove_file(file)?;
    assert!(content(home.path())?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_by_the_help_nor_by_what_is_refused_nor_by_the_log() -> Result<()> {
    const SECRETS: [(&str, &str); 6] = [
        ("KEYRING_URL", "postgres://tidings:s3cret@127.0.0.1:1/keys"),
        ("DATABASE_URL", "postgres://tidings:s3cret@127.0.0.1:1/reads"),
        ("MONGODB_URL", "mongodb://tidings:s3cret@127.0.0.1:1/heard?replicaSet=one"),
        ("REDIS_URL", "redis://:s3cret@127.0.0.1:1/0"),
        ("KAFKA_PROPERTIES", "sasl.password=s3cret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"),
    ];
    let home = tempfile::tempdir()?;
    let help = Command::new(tidings()).args(["serve", "--help"]).envs(SECRETS).output()?;
    let help = String::from_utf8(help.stdout)?;
    assert!(help.contains("KEYRING_URL") && !help.contains("s3cret"), "{help}");
    let bad = [("KAFKA_PROPERTIES", "s3cret"), ("KAFKA_BROKERS", "127.0.0.1:1"), SECRETS[0]];
    let said = run(&["serve"], &home.path().join("data"), &bad)?;
    let said = String::from_utf8(said.stderr)?;
    assert!(said.starts_with("tidings: KAFKA_PROPERTIES: expected name=value") && !said.contains("s3cret"), "{said}");
    // It waits for what does not answer, and says what for.
    let mut environment: child::Environment = SECRETS.iter().map(|(name, value)| (*name, value.into())).collect();
    environment.push(("KAFKA_BROKERS", "127.0.0.1:1".into()));
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".into()));
    let mut server = child::Server::begin(&home.path().join("data"), environment)?;
    let client = child::HttpClient::new(server.url());
    let (status, _) = client.until_alive().await?;
    assert_eq!(status, 200);
    server.signal(rustix::process::Signal::TERM)?;
    let (_, said) = server.ended().await?;
    for place in [
        "tidings.events on 127.0.0.1:1",
        "reads on 127.0.0.1:1",
        "heard on 127.0.0.1:1",
        "the Redis",
        "sent to http://127.0.0.1:1",
    ] {
        assert!(said.contains(place), "{place} is not said: {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_leaves_no_directory_behind() -> Result<()> {
    let home = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let output = run(&["serve", "--listen", &address], &home.path().join("data"), &[])?;
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr)?.contains(&address));
    assert!(content(home.path())?.is_empty());
    let verify = run(&["log", "verify"], &home.path().join("data"), &[])?;
    assert!(!verify.status.success() && content(home.path())?.is_empty(), "verifying has made a log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_is_shown() -> Result<()> {
    let home = tempfile::tempdir()?;
    let server = child::Server::start(&home.path().join("data")).await?;
    let client = child::HttpClient::new(server.url());
    client.send(Method::GET, "/posts", None, &[]).await?;
    let output = Command::new("bash").arg("-c").arg(format!("curl -s {}/metrics", server.url())).output()?;
    let shown = String::from_utf8(output.stdout)?;
    let line = "tidings_http_request_seconds_count{method=\"GET\",route=\"/posts\",status=\"200\"} 1";
    assert!(shown.contains(line), "{shown}");
    assert!(shown.contains("tidings_owner_claims_total"));
    Ok(())
}
