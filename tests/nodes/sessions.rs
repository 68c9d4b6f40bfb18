//! Sessions in Redis: one that ends on a node has ended on every node with the answer that says so, also on one that sleeps.

use anyhow::{Result, ensure};
use events::Key;
use http::{Method, StatusCode};
use journal::partition_of;
use rustix::process::Signal;
use tidings_tests::cluster::{Cluster, PARTITIONS};
use tidings_tests::member::Member;
use tidings_tests::services::Services;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_has_ended_on_a_node_that_sleeps() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let redis = services.fresh_redis_url();
    let mut cluster = Cluster::prepare(services.brokers(), services.fresh_keyring()).await?;
    for _ in 0..2 {
        cluster.begin_with(vec![("REDIS_URL", redis.clone().into())])?;
    }
    cluster.ready().await?;
    let own = cluster.balanced(0).await?;
    let (here, there) = (cluster.client_of(0), cluster.client_of(1));
    for _ in 0..3 {
        // Their key is the first node's, so that it needs nothing of the other one.
        let member = loop {
            let name = format!("member_{}", &Uuid::new_v4().simple().to_string()[..12]);
            let member = Member::register(&here, &name).await?;
            if own.contains(&partition_of(&Key::User(member.id), PARTITIONS)) {
                break member;
            }
        };
        let token = [("authorization", member.bearer.as_str())];
        let (status, me) = there.send(Method::GET, "/users/me/sessions", None, &token).await?;
        ensure!(status == StatusCode::OK, "the other node does not take the token: {status} {me}");
        cluster.nodes[1].signal(Signal::STOP)?;
        let (status, said) = here.send(Method::POST, "/users/auth/logout", None, &token).await?;
        cluster.nodes[1].signal(Signal::CONT)?;
        ensure!(status == StatusCode::NO_CONTENT, "{status} {said}");
        for (client, node) in [(&there, "the one that slept"), (&here, "the one that said so")] {
            let (status, me) = client.send(Method::GET, "/users/me/sessions", None, &token).await?;
            ensure!(status == StatusCode::UNAUTHORIZED, "{node} still takes the token: {status} {me}");
        }
    }
    gateway::delete_read_models(&redis).await
}
