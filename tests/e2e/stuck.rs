//! A saga that is stuck on purpose: what an operator is shown of it, and the ways out.

use anyhow::{Context, Result};
use events::PostId;
use gateway::Config;
use http::StatusCode;
use serde_json::json;
use std::process::Command;
use std::time::Duration;
use tidings_tests::child::tidings;
use tidings_tests::server::TestServer;
use tidings_tests::world::unreadable_post;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

const POST: PostId = PostId(Uuid::from_u128(0x57_0C));
const PATIENCE: Duration = Duration::from_secs(30);

async fn said(server: &TestServer, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(tidings());
    command.args(arguments).arg("--data").arg(server.data());
    command.arg("--server").arg(format!("http://{}", server.address()));
    let output = spawn_blocking(move || command.output()).await??;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn quick(config: &mut Config) {
    (config.write_deadline_ms, config.request_timeout_ms, config.saga_stuck_s) = (500, 1_000, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_a_parked_key_that_concerns_the_person_and_an_operator_sees_why_and_goes_on() -> Result<()>
{
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let directory = server.stop().await?;
    unreadable_post(&directory.path().join("data"), POST, bob.id.parse()?, ada.id.parse()?).await?;
    let server = TestServer::over_with(directory, quick).await?;
    assert_eq!(server.delete("/users/me").by(&ada).send().await?.status, StatusCode::NO_CONTENT);
    let token = server.admin_token()?;
    let list = "/admin/sagas?type=USER_DELETION";
    let stuck = async {
        loop {
            let saga = server.get(list).token(&token).send().await?.body["sagas"][0].clone();
            if saga["waiting_for"][0]["step"] == "SWEEP" && saga["waiting_for"][0]["attempts"].as_u64() >= Some(3) {
                return anyhow::Ok(saga["id"].as_str().context("no id")?.to_owned());
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let saga = timeout(PATIENCE, stuck).await??;
    let shown = said(&server, &["sagas", "show", &saga]).await?;
    println!("{shown}");
    assert!(shown.contains(&format!("post:{} is parked in posts", POST.0)), "{shown}");
    let ready = server.get("/readyz").send().await?.body;
    assert_eq!((&ready["sagas"], &ready["stuck_sagas"][0]["id"]), (&json!("stuck"), &json!(saga)));
    // There is no way back from a deletion.
    let undo = server.post(format!("/admin/sagas/{saga}/compensate")).token(&token).json(&json!({ "reason": "oh" }));
    assert_eq!(undo.send().await?.error(), (409, "Conflict"));
    // The way out: go on without the post that nobody can read, and have the deletion look again.
    let parked = said(&server, &["parked", "list"]).await?;
    println!("{parked}");
    let position = server.get("/admin/parked").token(&token).send().await?.body["parked"][0]["position"].clone();
    let position = position.as_str().context("no position")?;
    let key = format!("post:{}", POST.0);
    let retried = server.post("/admin/parked/retry").token(&token);
    let body = json!({ "model": "posts", "key": key, "reason": "once more" });
    assert_eq!(retried.json(&body).send().await?.error(), (409, "Conflict"), "it fails again");
    let reason = ["--reason", "sealed with a lost key"];
    let left =
        said(&server, &[&["parked", "discard", "posts", &key, "--position", position], &reason[..]].concat()).await?;
    assert!(left.contains("0 keys are parked"), "{left}");
    said(&server, &[&["sagas", "retry", &saga], &reason[..]].concat()).await?;
    server.settle().await?;
    let shown = said(&server, &["sagas", "show", &saga]).await?;
    println!("{shown}");
    assert!(shown.contains("status       COMPLETED") && shown.contains("saga.retry_ordered: sealed with"), "{shown}");
    server.close().await
}
