//! What operators are answered about what there is, and what there is not.

use anyhow::{Context, Result};
use gateway::Config;
use http::StatusCode;
use serde_json::{Value, json};
use tidings_tests::server::TestServer;
use tidings_tests::world::World;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn quick(config: &mut Config) {
    (config.write_deadline_ms, config.request_timeout_ms) = (500, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stopped_is_tried_again_or_given_up_and_what_did_not_is_not_found() -> Result<()> {
    let World { directory, names, .. } = World::make(&std::env::temp_dir()).await?;
    let server = TestServer::over_with(directory, quick).await?;
    server.caught_up().await?;
    let token = server.admin_token()?;
    let order = |path: String, body: Value| server.post(path).token(&token).json(&body).send();
    let parked = |order: &str| format!("/admin/parked/{order}");
    let which = |key: &Value, at: &Value| json!({ "model": "posts", "key": key, "position": at, "reason": "a look" });
    let (key, at) = (&names["TIDINGS_PARKED_KEY"], &names["TIDINGS_PARKED_AT"]);
    let nobody = json!(format!("post:{NOBODY}"));
    for path in ["retry", "discard"] {
        assert_eq!(order(parked(path), which(&nobody, at)).await?.error(), (404, "NotFound"), "{path}");
    }
    assert_eq!(order(parked("retry"), which(key, at)).await?.error(), (409, "Conflict"), "it fails again");
    assert_eq!(order(parked("discard"), which(key, &json!("0@0"))).await?.error(), (404, "NotFound"), "another commit");
    let left = order(parked("discard"), which(key, at)).await?;
    assert_eq!((left.status, &left.body["total"]), (StatusCode::OK, &json!(1)), "{}", left.body);

    let saga = names["TIDINGS_SAGA"].as_str().context("no saga")?;
    let retry = format!("/admin/sagas/{saga}/retry");
    let tried = order(retry.clone(), json!({ "reason": "once more" })).await?;
    assert_eq!((tried.status, &tried.body["id"]), (StatusCode::OK, &json!(saga)), "{}", tried.body);
    // Of the other one a later commit cannot be applied either.
    for status in [409, 200] {
        let left = server.get("/admin/parked").token(&token).send().await?.body["parked"][0].clone();
        let discarded = order(parked("discard"), which(&left["key"], &left["position"])).await?;
        assert_eq!(discarded.status.as_u16(), status, "{}", discarded.body);
    }
    order(retry, json!({ "reason": "nothing is in the way" })).await?;
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_name_and_sagas_by_id_or_not_at_all() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let token = server.admin_token()?;
    let get = |path: String| server.get(path).token(&token).send();
    let found = get("/admin/users?username=ADA".to_owned()).await?;
    assert_eq!(found.body, json!({ "user_id": ada.id, "role": "user" }));
    assert_eq!(get("/admin/users?username=nobody".to_owned()).await?.error(), (404, "NotFound"));
    assert_eq!(get(format!("/admin/sagas/{NOBODY}")).await?.error(), (404, "NotFound"));
    assert_eq!(get(format!("/admin/sagas?cursor={}", "A".repeat(48))).await?.error(), (404, "NotFound"));
    assert_eq!(get("/admin/sagas?older_than_s=1099511627777".to_owned()).await?.error(), (400, "InvalidRequest"));
    server.close().await
}
