//! The session in the README, as it stands there.

use std::process::Command;
use tidings_tests::child::Server;

const README: &str = include_str!("../../README.md");
const WHERE: &str = "API=http://127.0.0.1:8080";

/// The shell block that follows the comment which names this file.
fn session() -> &'static str {
    let (_, after) = README.split_once("tests/e2e/readme.rs -->\n```sh\n").expect("the README has the session");
    after.split_once("```").expect("the block ends").0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_works_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data")).await.unwrap();
    assert!(session().starts_with(WHERE), "the address is the only thing that is replaced");
    let script = session().replace(WHERE, &format!("set -euo pipefail; API={}", server.url()));
    let output = Command::new("bash").arg("-c").arg(&script).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    let answers: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&said).into_iter().collect::<Result<_, _>>().expect("every answer is JSON");
    let [again, follow, like, comment, feed, leaving, left] = answers.as_slice() else {
        panic!("seven answers are shown: {said}")
    };
    assert_eq!(again["hashtags"], serde_json::json!(["firstpost"]));
    assert_eq!(again["mentions"][0]["username"], "bob");
    assert!(follow["follower_id"].is_string(), "{follow}");
    assert_eq!(like["post_id"], again["id"]);
    assert_eq!(comment["text"], "Great post!");
    assert_eq!(feed["feed"].as_array().map(Vec::len), Some(1), "the same key is the same post: {feed}");
    assert_eq!(feed["feed"][0]["id"], again["id"]);
    assert_eq!((&feed["feed"][0]["likes_count"], &feed["feed"][0]["comments_count"]), (&1.into(), &1.into()));
    assert_eq!(feed["feed"][0]["liked_by_me"], true);
    assert_eq!((&leaving["status"], &leaving["steps"][0]["step"]), (&"RUNNING".into(), &"ERASE".into()));
    assert_eq!(left["feed"], serde_json::json!([]));
}
