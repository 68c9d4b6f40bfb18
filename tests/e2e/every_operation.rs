//! What every operation answers alike, asked of each one that the document lists: a new route is asked as soon as it is
//! documented.

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Method;
use serde_json::{Value, json};
use tidings_tests::server::{Call, Person, TestServer};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
/// What is no UTF-8, and so neither an id nor a name.
const NO_TEXT: &str = "%ff";
/// Longer than any body may be.
const BODY_BYTES: usize = 300 * 1024;

/// An operation as it is documented.
struct Operation {
    method: Method,
    path: String,
    said: Value,
}

/// A server, and those who ask it.
struct Asked {
    server: TestServer,
    ada: Person,
    admin: String,
}

impl Operation {
    /// All that promise this status.
    fn promising(status: &str) -> Vec<Self> {
        let document = gateway::openapi();
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, said) in item.as_object().into_iter().flatten() {
                if !said["responses"][status].is_null() {
                    let method = method.to_uppercase().parse().expect("methods are documented by their names");
                    found.push(Self { method, path: path.clone(), said: said.clone() });
                }
            }
        }
        assert!(!found.is_empty(), "none promises {status}");
        found
    }

    fn is_for_operators(&self) -> bool {
        self.said["tags"][0] == "operators"
    }

    fn has_body(&self) -> bool {
        !self.said["requestBody"].is_null()
    }

    fn parameters(&self, place: &str) -> impl Iterator<Item = &str> {
        let all = self.said["parameters"].as_array().into_iter().flatten();
        all.filter(move |it| it["in"] == place).filter_map(|it| it["name"].as_str())
    }

    fn takes_a_token(&self) -> bool {
        self.said["security"].as_array().is_some_and(|choices| !choices.is_empty())
    }

    /// Whether it can also be asked without one.
    fn is_open(&self) -> bool {
        self.said["security"].as_array().is_some_and(|choices| choices.contains(&json!({})))
    }

    /// The path with this in place of each variable.
    fn with(&self, value: &str) -> String {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { value } else { part });
        parts.collect::<Vec<_>>().join("/")
    }
}

impl Asked {
    async fn new() -> Result<Self> {
        let server = TestServer::start().await?;
        let (ada, admin) = (server.register("ada").await?, server.admin_token()?);
        Ok(Self { server, ada, admin })
    }

    /// By whoever may ask.
    fn call(&self, operation: &Operation, path: impl Into<String>) -> Call<'_> {
        let token = if operation.is_for_operators() { &self.admin } else { &self.ada.token };
        self.server.call(operation.method.clone(), path).token(token)
    }

    /// Something that is wrong with any such request, whatever it is about.
    fn invalid(&self, operation: &Operation) -> Option<Call<'_>> {
        let path = operation.with(NOBODY);
        if operation.path.contains('{') {
            Some(self.call(operation, operation.with(NO_TEXT)))
        } else if operation.has_body() {
            Some(self.call(operation, path).raw("{").header("content-type", "application/json"))
        } else if let Some(name) = operation.parameters("query").next() {
            Some(self.call(operation, format!("{path}?{name}=%ff&{name}=%ff")))
        } else {
            let keyed = operation.parameters("header").any(|name| name == "Idempotency-Key");
            keyed.then(|| self.call(operation, path).key("short"))
        }
    }
}

/// Each is answered so, whichever of them is asked.
async fn all_answer(calls: Vec<(String, Call<'_>)>, error: (u16, &str)) -> Result<()> {
    let mut asking = FuturesUnordered::new();
    for (what, call) in calls {
        asking.push(async move { (what, call.send().await) });
    }
    while let Some((what, answer)) = asking.next().await {
        let answer = answer?;
        ensure!(answer.error() == error, "{what}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

fn named<'a>(operation: &Operation, what: &str, call: Call<'a>) -> (String, Call<'a>) {
    (format!("{} {} {what}", operation.method, operation.path), call)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nothing_is_done_that_needs_one() -> Result<()> {
    let asked = Asked::new().await?;
    let operations = Operation::promising("401");
    let mut calls = Vec::new();
    for operation in operations.iter().filter(|it| it.takes_a_token()) {
        let path = operation.with(NOBODY);
        let call = || asked.server.call(operation.method.clone(), path.as_str());
        calls.push(named(operation, "with a bad token", call().token("e30.e30.e30")));
        calls.push(named(operation, "by another scheme", call().header("authorization", "Basic YTpi")));
        if !operation.is_open() {
            calls.push(named(operation, "without a token", call()));
        }
    }
    all_answer(calls, (401, "Unauthorized")).await?;
    asked.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_operator_does_nothing_of_what_operators_do() -> Result<()> {
    let asked = Asked::new().await?;
    let operations = Operation::promising("403");
    let operators = operations.iter().filter(|it| it.is_for_operators());
    let call = |it: &Operation| asked.server.call(it.method.clone(), it.with(NOBODY)).by(&asked.ada);
    all_answer(operators.map(|it| named(it, "by a user", call(it))).collect(), (403, "Forbidden")).await?;
    asked.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_invalid_is_400_wherever_something_can_be() -> Result<()> {
    let asked = Asked::new().await?;
    let mut calls = Vec::new();
    for operation in &Operation::promising("400") {
        let invalid = asked.invalid(operation);
        calls.push(named(operation, "", invalid.unwrap_or_else(|| panic!("{}: nothing to get wrong", operation.path))));
    }
    all_answer(calls, (400, "InvalidRequest")).await?;
    asked.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_json_not_too_large_and_comes_in_time() -> Result<()> {
    let asked = Asked::new().await?;
    let cases = [("408", "RequestTimeout"), ("413", "PayloadTooLarge"), ("415", "UnsupportedMediaType")];
    for (status, error) in cases {
        let mut calls = Vec::new();
        for operation in &Operation::promising(status) {
            assert!(operation.has_body(), "{} has no body", operation.path);
            let call = asked.call(operation, operation.with(NOBODY));
            let call = match status {
                "408" => call.raw("{").header("content-type", "application/json").endless(),
                "413" => call.json(&json!({ "x": "x".repeat(BODY_BYTES) })),
                _ => call.raw("{}").header("content-type", "text/plain"),
            };
            calls.push(named(operation, status, call));
        }
        all_answer(calls, (status.parse()?, error)).await?;
    }
    asked.server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_its_log_says_so_to_everybody() -> Result<()> {
    let server = TestServer::waiting().await?;
    let operations = Operation::promising("503");
    let call = |it: &Operation| server.call(it.method.clone(), it.with(NOBODY));
    all_answer(operations.iter().map(|it| named(it, "", call(it))).collect(), (503, "Unavailable")).await?;
    let alive = server.get("/livez").send().await?;
    assert_eq!((alive.status.as_u16(), alive.body), (200, json!("ok")));
    server.stop().await.map(drop)
}
