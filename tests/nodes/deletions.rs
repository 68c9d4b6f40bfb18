//! Somebody deletes their account on one node: from the answer on no node takes a token or the password of theirs, and it
//! is over when nothing of them is left on any.

use anyhow::{Context, Result, ensure};
use events::{Key, KeyId};
use futures::future::{try_join, try_join_all};
use http::{Method, StatusCode};
use journal::partition_of;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tidings_tests::child::{Environment, HttpClient};
use tidings_tests::cluster::{Cluster, PARTITIONS};
use tidings_tests::member::Member;
use tidings_tests::services::Services;
use tidings_tests::settled;
use tokio::time::sleep;
use uuid::Uuid;

const PEOPLE: usize = 12;
/// How long deletions may take until they are over: the time of stragglers, and some more.
const OVER_MAX: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(200);

/// Stragglers are few and quick here.
fn quick() -> Environment {
    vec![
        ("TIDINGS_WRITE_DEADLINE_MS", "3000".into()),
        ("TIDINGS_REQUEST_TIMEOUT_MS", "6000".into()),
        ("TIDINGS_SESSION_LAG_MAX_MS", "6000".into()),
    ]
}

async fn two_nodes(services: &Services) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(services.brokers(), services.fresh_keyring()).await?;
    for _ in 0..2 {
        cluster.begin_with(quick())?;
    }
    cluster.ready().await?;
    Ok(cluster)
}

/// Deletes the account on a node; the status, and where its progress is.
async fn delete(client: &HttpClient, member: &Member) -> Result<(StatusCode, String)> {
    let headers = [("authorization", member.bearer.as_str())];
    let (parts, body) = client.exchange(Method::DELETE, "/users/me", None, &headers).await?;
    let location = parts.headers.get("location").with_context(|| format!("{} {body}", parts.status))?;
    Ok((parts.status, location.to_str()?.to_owned()))
}

/// What is answered to who comes with the token, and with the password.
async fn comes_back(client: &HttpClient, member: &Member) -> Result<[StatusCode; 3]> {
    let headers = [("authorization", member.bearer.as_str())];
    let post = json!({ "content": "still here" });
    let (read, write) = (
        client.send(Method::GET, "/users/me", None, &headers),
        client.send(Method::POST, "/posts", Some(&post), &headers),
    );
    let login = member.login();
    let login = client.send(Method::POST, "/users/auth/login", Some(&login), &[]);
    let ((read, write), login) = try_join(try_join(read, write), login).await?;
    Ok([read.0, write.0, login.0])
}

/// Waits until the deletion is over, as a node tells.
async fn over(client: &HttpClient, location: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let (status, progress) = client.send(Method::GET, location, None, &[]).await?;
        ensure!(status == StatusCode::OK, "{location}: {status} {progress}");
        if progress["status"] == "COMPLETED" {
            return Ok(progress);
        }
        ensure!(begun.elapsed() < OVER_MAX, "{location}: {progress}");
        sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_answer_on_no_node_takes_a_token_or_the_password() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let cluster = two_nodes(&services).await?;
    let clients = [cluster.client_of(0), cluster.client_of(1)];
    let mut deleted = Vec::new();
    for n in 0..PEOPLE {
        let (here, there) = (&clients[n % 2], &clients[(n + 1) % 2]);
        let member = Member::register(here, &format!("leaves_{n}")).await?;
        let headers = [("authorization", member.bearer.as_str())];
        let (post, token) = here.written("/posts", &json!({ "content": "goodbye" }), &headers).await?;
        let path = format!("/posts/{}", post["id"].as_str().context("no id")?);
        let (status, _) = there.send(Method::GET, &path, None, &[("x-consistency-token", &token)]).await?;
        ensure!(status == StatusCode::OK, "{path}: {status}");
        let (status, location) = delete(here, &member).await?;
        ensure!(status == StatusCode::NO_CONTENT, "{n}: {status}");
        let answers = try_join(comes_back(there, &member), comes_back(here, &member)).await?;
        ensure!(answers == ([StatusCode::UNAUTHORIZED; 3], [StatusCode::UNAUTHORIZED; 3]), "{n}: {answers:?}");
        deleted.push((member, path, location));
    }
    let begun = Instant::now();
    for (n, (member, path, location)) in deleted.iter().enumerate() {
        over(&clients[n % 2], location).await?;
        for client in &clients {
            for path in [path, &format!("/users/{}", member.id)] {
                let (status, body) = client.send(Method::GET, path, None, &[]).await?;
                ensure!(status == StatusCode::NOT_FOUND, "{path}: {status} {body}");
            }
        }
    }
    let store = cluster.store().await?;
    settled::all(&store.journal, OVER_MAX).await?;
    let keys = try_join_all(deleted.iter().map(|(member, ..)| store.keyring.find(KeyId::from(member.id)))).await?;
    ensure!(keys.iter().all(Option::is_none), "a key is still there");
    println!("nodes: {PEOPLE} deletions on two nodes, over {:.1?} after the last one", begun.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_node_does_not_say_that_it_knows_the_answer_is_that_it_has_begun() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let cluster = two_nodes(&services).await?;
    let (here, there) = (cluster.client_of(0), cluster.client_of(1));
    let owned = cluster.balanced(0).await?;
    // Somebody whose key is this node's; and whoever has one of the other's makes this node look for that.
    let (mut own, mut others) = (None, 0);
    let member = loop {
        let name = format!("pauses_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let member = Member::register(&here, &name).await?;
        if owned.contains(&partition_of(&Key::User(member.id), PARTITIONS)) {
            own = Some(member);
        } else {
            others += 1;
        }
        if let (Some(member), 1..) = (&own, others) {
            break member.clone();
        }
    };
    cluster.nodes[1].signal(Signal::STOP)?;
    let (status, location) = delete(&here, &member).await?;
    ensure!(status == StatusCode::ACCEPTED, "{status}");
    ensure!(comes_back(&here, &member).await? == [StatusCode::UNAUTHORIZED; 3], "this node knows");
    cluster.nodes[1].signal(Signal::CONT)?;
    over(&here, &location).await?;
    // It is over only when every node has passed it.
    ensure!(comes_back(&there, &member).await? == [StatusCode::UNAUTHORIZED; 3], "the other one knows by now");
    Ok(())
}
