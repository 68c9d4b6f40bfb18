//! What operators see and do, over the API and by the program's own commands.

use anyhow::{Context, Result};
use events::{Event, Role, UserEvent};
use http::StatusCode;
use serde_json::{Value, json};
use std::process::{Command, Output};
use tidings_tests::child::tidings;
use tidings_tests::server::TestServer;
use tokio::task::spawn_blocking;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Runs the program against the server.
async fn run(server: &TestServer, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(tidings());
    command.args(arguments).arg("--data").arg(server.data());
    command.arg("--server").arg(format!("http://{}", server.address()));
    Ok(spawn_blocking(move || command.output()).await??)
}

async fn said(server: &TestServer, arguments: &[&str]) -> Result<String> {
    let output = run(server, arguments).await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_token_makes_the_first_operator_and_the_first_the_second_all_on_the_record() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let role = |person: &str| format!("/admin/users/{person}/role");
    let operator = json!({ "role": "operator", "reason": "the first one" });
    assert_eq!(server.put(role(&ada.id)).json(&operator).send().await?.error(), (401, "Unauthorized"));
    assert_eq!(server.put(role(&ada.id)).by(&ada).json(&operator).send().await?.error(), (403, "Forbidden"));
    let made = said(&server, &["users", "role", "ADA", "operator", "--reason", "the first one"]).await?;
    assert_eq!(made, format!("{} is operator\n", ada.id));
    let second = server.put(role(&bob.id)).by(&ada).json(&json!({ "role": "operator", "reason": " help " }));
    assert_eq!(second.send().await?.body, json!({ "user_id": bob.id, "role": "operator" }));
    assert_eq!(server.get("/admin/sagas").by(&bob).send().await?.status, StatusCode::OK);
    let events = server.commits().await?.into_iter().flat_map(|it| it.commit.events);
    let changes = events.filter_map(|event| match event {
        Event::User(UserEvent::RoleChanged(changed)) => Some(changed),
        _ => None,
    });
    let by = changes.map(|it| (it.user.to_string(), it.role, it.by.map(|by| by.to_string()), it.reason));
    let mut by = by.collect::<Vec<_>>();
    by.sort_by_key(|it| it.2.is_some());
    assert_eq!(by[0], (ada.id.clone(), Role::Operator, None, "the first one".to_owned()));
    assert_eq!(by[1], (bob.id.clone(), Role::Operator, Some(ada.id), "help".to_owned()));
    let token = server.admin_token()?;
    let nobody = server.put(role(NOBODY)).token(&token).json(&operator).send().await?;
    assert_eq!(nobody.error(), (404, "NotFound"));
    for bad in [json!({}), json!({ "role": "king", "reason": "x" }), json!({ "role": "user", "reason": " " })] {
        let answer = server.put(role(&bob.id)).token(&token).json(&bad).send().await?;
        assert_eq!(answer.error(), (400, "InvalidRequest"), "{bad}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_shown_with_all_that_happened_to_it() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let post = server.publish(&ada, "a post").await?;
    server.settle().await?;
    let token = server.admin_token()?;
    let list = |rest: &str| format!("/admin/sagas?type=POST_CREATION{rest}");
    let listed = server.get(list("&open=false")).token(&token).send().await?;
    let saga = &listed.body["sagas"][0];
    assert_eq!((&saga["status"], &saga["key"]), (&json!("COMPLETED"), &json!(format!("post:{post}"))));
    assert_eq!((&saga["actor"], &saga["steps_remaining"]), (&json!(ada.id), &json!([])));
    let id = saga["id"].as_str().context("no id")?;
    let shown = server.get(format!("/admin/sagas/{id}")).token(&token).send().await?.body;
    let events = shown["history"].as_array().context("no history")?.iter().map(|it| it["event"].as_str().unwrap_or(""));
    let expected = ["started", "step_requested", "step_completed", "step_requested", "step_completed", "completed"];
    assert_eq!(events.collect::<Vec<_>>(), expected.map(|name| format!("saga.{name}")));
    assert_eq!(shown["tables"]["post_saga_log"]["current_step"], "FEED_UPDATED");
    assert_eq!(shown["tables"]["redis"][format!("saga:{id}")], "POST_CREATION:COMPLETED");
    let printed = said(&server, &["sagas", "show", id]).await?;
    assert!(printed.contains("status       COMPLETED") && printed.contains("RESERVE_FEED_SLOT"), "{printed}");
    let all = said(&server, &["sagas", "list"]).await?;
    assert!(all.contains("USER_REGISTRATION") && all.ends_with("2 sagas\n"), "{all}");
    for (rest, count) in
        [("&status=RUNNING", 0), ("&status=COMPLETED", 1), ("&open=true", 0), ("&older_than_s=3600", 0)]
    {
        let found = server.get(list(rest)).token(&token).send().await?.body["sagas"].as_array().map(Vec::len);
        assert_eq!(found, Some(count), "{rest}");
    }
    for bad in ["status=LOST", "type=NONE", "open=perhaps", "older_than_s=-1"] {
        let answer = server.get(format!("/admin/sagas?{bad}")).token(&token).send().await?;
        assert_eq!(answer.error(), (400, "InvalidRequest"), "{bad}");
    }
    let metrics = server.get("/readyz").send().await?.body;
    assert_eq!((&metrics["sagas"], &metrics["stuck_sagas"]), (&json!("ok"), &json!([])));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_order_of_a_saga_that_has_ended_or_never_was() -> Result<()> {
    let server = TestServer::start().await?;
    server.register("ada").await?;
    server.settle().await?;
    let token = server.admin_token()?;
    let listed: Value = server.get("/admin/sagas").token(&token).send().await?.body;
    let ended = listed["sagas"][0]["id"].as_str().context("no saga")?.to_owned();
    let before = server.records().await?;
    for order in ["retry", "compensate"] {
        for (saga, error) in [(ended.as_str(), (409, "Conflict")), (NOBODY, (404, "NotFound"))] {
            let call = server.post(format!("/admin/sagas/{saga}/{order}")).token(&token);
            assert_eq!(call.json(&json!({ "reason": "see" })).send().await?.error(), error);
            let output = run(&server, &["sagas", order, saga, "--reason", "see"]).await?;
            let said = String::from_utf8(output.stderr)?;
            assert!(!output.status.success() && said.starts_with(&format!("tidings: {}: ", error.0)), "{said}");
        }
        let without = server.post(format!("/admin/sagas/{ended}/{order}")).token(&token).json(&json!({}));
        assert_eq!(without.send().await?.error(), (400, "InvalidRequest"));
    }
    assert_eq!(server.records().await?, before);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_a_server_the_commands_say_what_is_missing() -> Result<()> {
    let server = TestServer::start().await?;
    let output = run(&server, &["sagas", "list", "--admin-token-file", "/nowhere/admin.token"]).await?;
    assert!(String::from_utf8(output.stderr)?.contains("cannot read /nowhere/admin.token"));
    let mut command = Command::new(tidings());
    command.args(["sagas", "list", "--server", "http://127.0.0.1:1", "--data"]).arg(server.data());
    let output = spawn_blocking(move || command.output()).await??;
    assert!(String::from_utf8(output.stderr)?.contains("no server answers at http://127.0.0.1:1"));
    server.close().await
}
