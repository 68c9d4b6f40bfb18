//! How much anybody may ask for in a minute: exactly so much, by address, user, account, and what is written.

use crate::door::{is_plumbing, operations};
use anyhow::{Result, bail};
use futures::future::join_all;
use http::Method;
use serde_json::json;
use std::collections::BTreeMap;
use tidings_tests::server::{Answer, Call, PASSWORD, TestServer};

const AT_ONCE: usize = 1_000;
const RUNS: usize = 10;

/// A server behind a proxy on this machine, which says where requests come from.
async fn server(rate_limits: &str) -> Result<TestServer> {
    let rate_limits = format!("all=1000000,{rate_limits}").parse()?;
    TestServer::over_with(tempfile::tempdir()?, |config| {
        config.door.rate_limits = rate_limits;
        config.door.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await
}

trait From {
    fn from(self, address: &str) -> Self;
}

impl From for Call<'_> {
    fn from(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }
}

fn left(answer: &Answer) -> u64 {
    let left = answer.header("x-ratelimit-remaining").and_then(|left| left.parse().ok());
    left.expect("a limited answer says what is left")
}

/// Asks again and again until it is refused: how many were not, and the refusal.
async fn until_refused<'a>(call: impl Fn() -> Call<'a>) -> Result<(usize, Answer)> {
    for passed in 0..AT_ONCE {
        let answer = call().send().await?;
        if answer.status == 429 {
            return Ok((passed, answer));
        }
    }
    bail!("never refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_requests_at_once_exactly_so_many_pass_as_the_limit_says() -> Result<()> {
    const LIMIT: usize = 300;
    let server = server(&format!("anonymous={LIMIT}")).await?;
    for run in 0..RUNS {
        let address = format!("192.0.2.{run}");
        let answers = join_all((0..AT_ONCE).map(|_| server.get("/posts").from(&address).send())).await;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        let (passed, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((passed.len(), refused.len()), (LIMIT, AT_ONCE - LIMIT), "run {run}");
        assert!(refused.iter().all(|answer| answer.error() == (429, "TooManyRequests")));
        let mut told = passed.into_iter().map(left).collect::<Vec<_>>();
        told.sort_unstable();
        assert_eq!(told, (0..LIMIT as u64).collect::<Vec<_>>(), "each was told another remainder");
        println!("run {run}: of {AT_ONCE} at once {LIMIT} passed");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_writes_at_once_exactly_so_many_pass_and_the_others_write_nothing() -> Result<()> {
    const LIMIT: usize = 120;
    let server = server("").await?;
    let ada = server.register("ada").await?;
    let server = TestServer::over_with(server.stop().await?, |config| {
        config.door.rate_limits = format!("all=1000000,interactions={LIMIT}").parse().expect("limits");
    })
    .await?;
    let post = server.publish(&ada, "a post").await?;
    let path = format!("/posts/{post}/comments");
    let comment = json!({ "text": "so much to say" });
    let answers = join_all((0..AT_ONCE).map(|_| server.post(path.as_str()).by(&ada).json(&comment).send())).await;
    let mut by_status = BTreeMap::<u16, usize>::new();
    for answer in answers {
        *by_status.entry(answer?.status.as_u16()).or_default() += 1;
    }
    assert_eq!(by_status, BTreeMap::from([(201, LIMIT), (429, AT_ONCE - LIMIT)]));
    let seen = server.get(format!("/posts/{post}")).by(&ada).send().await?;
    assert_eq!(seen.body["comments_count"], LIMIT);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_and_signing_in_are_limited_by_address_before_anything_is_looked_at() -> Result<()> {
    let server = server("register=5,login=10").await?;
    for (path, limit, name) in [("/users/auth/register", 5, "register"), ("/auth/login", 10, "login")] {
        let (passed, refused) = until_refused(|| server.post(path).from("192.0.2.1").json(&json!({}))).await?;
        assert_eq!(passed, limit, "{path}");
        assert_eq!(refused.error(), (429, "TooManyRequests"));
        let policy = format!("\"anonymous\";q=1000000;w=60, \"{name}\";q={limit};w=60");
        assert_eq!(refused.header("ratelimit-policy"), Some(policy.as_str()));
        let elsewhere = server.post(path).from("192.0.2.2").json(&json!({})).send().await?;
        assert_eq!(elsewhere.error(), (400, "InvalidRequest"));
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_tried_so_often_only_from_however_many_addresses() -> Result<()> {
    let server = server("account=10,anonymous=50").await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let try_it = |email: &str, password: &str, address: String| {
        let body = json!({ "email": email, "password": password });
        server.post("/auth/login").from(&address).json(&body).send()
    };
    // Whether there is such an account is told by none of it.
    for (net, email, written_otherwise) in [
        ("198.51.100", ada.email.as_str(), "ADA@example.com"),
        ("203.0.113", "nobody@example.com", "NoBody@example.com"),
    ] {
        for n in 0..10 {
            let answer = try_it(email, "wrong password", format!("{net}.{n}")).await?;
            assert_eq!(answer.error(), (401, "Unauthorized"));
        }
        let refused = try_it(written_otherwise, PASSWORD, format!("{net}.99")).await?;
        assert_eq!(refused.error(), (429, "TooManyRequests"));
        assert!(refused.header("ratelimit").is_some_and(|it| it.starts_with("\"account\";r=0;t=")));
        // Who was refused has taken nothing from their address either.
        assert_eq!(left(&server.get("/posts").from(&format!("{net}.99")).send().await?), 49);
    }
    assert_eq!(try_it(&bob.email, PASSWORD, "198.51.100.99".to_owned()).await?.status, 200);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_access_token_cannot_guess_the_password() -> Result<()> {
    let server = server("password=10").await?;
    let ada = server.register("ada").await?;
    let change = |password: &str| {
        let body = json!({ "email": "new@example.com", "current_password": password });
        server.put("/users/me").by(&ada).json(&body)
    };
    let before = server.records().await?;
    let (passed, _) = until_refused(|| change("wrong password")).await?;
    assert_eq!(passed, 10);
    let right = change(PASSWORD).send().await?;
    assert_eq!(right.error(), (429, "TooManyRequests"));
    assert_eq!(server.records().await?, before);
    let bio = server.put("/users/me").by(&ada).json(&json!({ "bio": "no password needed" })).send().await?;
    assert_eq!(bio.status, 200);
    // Another route that asks for the password is no second chance.
    let body = json!({ "current_password": PASSWORD, "new_password": "another good password" });
    let changed = server.put("/users/me/password").by(&ada).json(&body).send().await?;
    assert_eq!(changed.error(), (429, "TooManyRequests"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refreshed_so_often_only_and_another_one_is_not_held_up() -> Result<()> {
    let server = server("refresh=4").await?;
    let ada = server.register("ada").await?;
    let login = json!({ "email": ada.email, "password": PASSWORD });
    let sign_in = || server.post("/auth/login").json(&login).send();
    let refresh = |token: String| server.post("/auth/refresh").json(&json!({ "refresh_token": token })).send();
    let (mut token, other) = (sign_in().await?.text("refresh_token"), sign_in().await?.text("refresh_token"));
    for passed in 0..4 {
        let answer = refresh(token).await?;
        assert_eq!((answer.status.as_u16(), left(&answer)), (200, 3 - passed));
        token = answer.text("refresh_token");
    }
    let before = server.records().await?;
    let refused = refresh(token.clone()).await?;
    assert_eq!(refused.error(), (429, "TooManyRequests"));
    assert!(refused.header("ratelimit").is_some_and(|it| it.starts_with("\"refresh\";r=0;t=")));
    assert_eq!(server.records().await?, before, "the session is as it was");
    assert_eq!(refresh(other).await?.status, 200);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_limited_by_user_and_by_kind() -> Result<()> {
    let server = server("posts=3,interactions=4").await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let content = json!({ "content": "x" });
    let (passed, refused) = until_refused(|| server.post("/posts").by(&ada).json(&content)).await?;
    assert_eq!((passed, refused.error()), (3, (429, "TooManyRequests")));
    let post = server.publish(&bob, "another user").await?;
    let edit = server.put(format!("/posts/{post}")).by(&ada).json(&content).send().await?;
    assert_eq!(edit.status, 429, "editing is writing posts");
    let likes = format!("/posts/{post}/likes");
    assert_eq!(server.post(likes.as_str()).by(&ada).send().await?.status, 201);
    assert_eq!(server.delete(likes.as_str()).by(&ada).send().await?.status, 204);
    let follow = server.post(format!("/users/{}/follow", bob.id)).by(&ada).send().await?;
    assert_eq!((follow.status.as_u16(), left(&follow)), (201, 1));
    let comment = server.post(format!("/posts/{post}/comments")).by(&ada).json(&json!({ "text": "x" })).send().await?;
    assert_eq!((comment.status.as_u16(), left(&comment)), (201, 0));
    assert_eq!(server.post(likes.as_str()).by(&ada).send().await?.status, 429);
    assert_eq!(server.get(likes.as_str()).by(&ada).send().await?.status, 200, "reading is another thing");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_counts_for_themselves_wherever_they_are() -> Result<()> {
    let server = server("anonymous=3,user=5").await?;
    let ada = server.register("ada").await?;
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"];
    for (n, address) in addresses.iter().enumerate() {
        let answer = server.get("/users/me").by(&ada).from(address).send().await?;
        assert_eq!(answer.status == 200, n < 5, "{address}");
    }
    // And takes nothing from those who ask there without a token.
    let (passed, _) = until_refused(|| server.get("/posts").from("192.0.2.1")).await?;
    assert_eq!(passed, 3);
    server.stop().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_counts_against_its_address_and_then_no_new_one_is_checked_there() -> Result<()> {
    let server = server("anonymous=5").await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    assert_eq!(server.get("/users/me").by(&ada).from("192.0.2.1").send().await?.status, 200);
    let (passed, refused) = until_refused(|| server.get("/users/me").token("a.b.c").from("192.0.2.1")).await?;
    assert_eq!((passed, refused.error()), (5, (429, "TooManyRequests")));
    assert_eq!(server.get("/posts").from("192.0.2.1").send().await?.status, 429);
    assert_eq!(server.get("/users/me").by(&bob).from("192.0.2.1").send().await?.status, 429, "not seen before");
    // Whoever was signed in there is not locked out by a neighbour.
    assert_eq!(server.get("/users/me").by(&ada).from("192.0.2.1").send().await?.status, 200);
    assert_eq!(server.get("/users/me").by(&bob).from("192.0.2.2").send().await?.status, 200);
    // A token of a session that has ended counts for nobody but its address.
    assert_eq!(server.post("/users/auth/logout").by(&ada).send().await?.status, 204);
    let (passed, _) = until_refused(|| server.get("/users/me").by(&ada).from("192.0.2.7")).await?;
    assert_eq!(passed, 5);
    server.stop().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_of_ipv6_and_one_address_written_twice_are_one() -> Result<()> {
    let server = server("anonymous=2").await?;
    for (same, other) in [
        (["2001:db8:1:2::1", "2001:db8:1:2:a:b:c:d", "2001:db8:1:2:ffff::"], "2001:db8:1:3::1"),
        (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:4711"], "::ffff:192.0.2.2"),
    ] {
        for (address, status) in same.into_iter().zip([200, 200, 429]) {
            assert_eq!(server.get("/posts").from(address).send().await?.status, status, "{address}");
        }
        assert_eq!(server.get("/posts").from(other).send().await?.status, 200, "{other}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_request_comes_from_is_believed_of_trusted_proxies_only() -> Result<()> {
    let limited = |config: &mut gateway::Config| {
        config.door.rate_limits = "all=1000000,anonymous=2".parse().expect("limits");
    };
    let open = TestServer::over_with(tempfile::tempdir()?, limited).await?;
    for (address, status) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.3", 429)] {
        assert_eq!(open.get("/posts").from(address).send().await?.status, status, "{address}");
    }
    open.close().await?;
    let behind = server("anonymous=2").await?;
    // What a client writes stands before what the proxy writes, and helps nobody.
    for (line, status) in [("1.1.1.1, 192.0.2.1", 200), ("2.2.2.2, 192.0.2.1", 200), ("192.0.2.9,192.0.2.1", 429)] {
        assert_eq!(behind.get("/posts").from(line).send().await?.status, status, "{line}");
    }
    // Nonsense from a proxy counts for the proxy.
    for (line, status) in [("unknown", 200), ("192.0.2.5, x", 200), ("", 429)] {
        assert_eq!(behind.get("/posts").from(line).send().await?.status, status, "{line}");
    }
    behind.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limited_answer_says_how_one_stands_in_both_families_of_headers() -> Result<()> {
    let server = server("anonymous=50,user=60").await?;
    let ada = server.register("ada").await?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    for (call, status, policy) in [
        (server.get("/posts"), 200, "\"anonymous\";q=50;w=60"),
        (server.get("/users/me"), 401, "\"anonymous\";q=50;w=60"),
        (server.get("/posts/x"), 400, "\"anonymous\";q=50;w=60"),
        (server.get("/nothing"), 404, "\"anonymous\";q=50;w=60"),
        (server.call(Method::PATCH, "/feed"), 405, "\"anonymous\";q=50;w=60"),
        (server.call(Method::HEAD, "/posts"), 200, "\"anonymous\";q=50;w=60"),
        (server.get("/users/me").by(&ada), 200, "\"user\";q=60;w=60"),
        (server.get("/admin/users").by(&ada), 403, "\"user\";q=60;w=60"),
        (server.get("/admin/sagas").token(&server.admin_token()?), 200, "\"user\";q=60;w=60"),
        (server.post("/posts").by(&ada).raw("{"), 415, "\"user\";q=60;w=60, \"posts\";q=1000000;w=60"),
    ] {
        let answer = call.from("192.0.2.1").send().await?;
        let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("{name} is missing")).to_owned();
        assert_eq!((answer.status.as_u16(), header("ratelimit-policy")), (status, policy.to_owned()));
        let (name, limit) = policy.split_once(";q=").unwrap();
        let (limit, _) = limit.split_once(';').unwrap();
        assert_eq!(header("x-ratelimit-limit"), limit);
        let reset = header("x-ratelimit-reset").parse::<u64>()?;
        assert!((now..=now + 70).contains(&reset), "{reset}");
        let (said, seconds) =
            header("ratelimit").rsplit_once(";t=").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(said, format!("{name};r={}", left(&answer)));
        assert!((1..=60).contains(&seconds.parse::<u32>()?));
    }
    for (method, path) in [
        (Method::GET, "/livez"),
        (Method::GET, "/readyz"),
        (Method::GET, "/metrics"),
        (Method::GET, "/openapi.json"),
        (Method::OPTIONS, "/posts"),
    ] {
        let answer = server.call(method, path).send().await?;
        assert!(answer.status.is_success() && answer.header("ratelimit").is_none(), "{path} is not limited");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_when_to_come_back_and_what_was_too_much() -> Result<()> {
    let server = server("anonymous=1").await?;
    let (_, refused) = until_refused(|| server.get("/posts").header("accept", "application/problem+json")).await?;
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!((&refused.body["title"], &refused.body["status"]), (&json!("TooManyRequests"), &json!(429)));
    let seconds = refused.header("retry-after").unwrap();
    assert!((1..=60).contains(&seconds.parse::<u32>()?));
    let said = format!("More than 1 in 60 seconds (anonymous); ask again in {seconds} s");
    assert_eq!(refused.body["detail"], said.as_str());
    assert!(refused.header("ratelimit").unwrap().ends_with(&format!(";t={seconds}")));
    let metrics = server.get("/metrics").send().await?;
    assert_eq!(metrics.status, 200);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_is_limited_is_refused_in_the_documented_way() -> Result<()> {
    let server = server("anonymous=1").await?;
    assert_eq!(server.get("/posts").send().await?.status, 200);
    let document = gateway::openapi();
    for (method, path, operation) in operations(&document) {
        let answer = server.call(method.clone(), path.as_str()).send().await?;
        assert_eq!(answer.status == 429, !is_plumbing(operation), "{method} {path}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_limits_says_nothing_of_any() -> Result<()> {
    let home = tempfile::tempdir()?;
    let server = tidings_tests::child::Server::start(&home.path().join("data")).await?;
    let client = tidings_tests::child::HttpClient::new(server.url());
    for _ in 0..150 {
        let (answer, _) = client.exchange(Method::GET, "/posts", None, &[]).await?;
        assert!(answer.status == 200 && !answer.headers.contains_key("ratelimit"));
    }
    Ok(())
}
