//! Sessions on several devices: going on with one, ending others, and what a token is worth afterwards.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidings_tests::server::{Answer, PASSWORD, Person, TestServer};
use tokio::net::TcpStream;

const NEW_PASSWORD: &str = "another horse battery";

/// One connection, kept.
struct Connection(SendRequest<Empty<Bytes>>);

impl Connection {
    async fn open(server: &TestServer) -> Result<Self> {
        let stream = TcpStream::connect(server.address()).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// The status of a request for the own profile.
    async fn me(&mut self, token: &str) -> Result<StatusCode> {
        self.0.ready().await?;
        let request = Request::get("/users/me").header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {token}")).body(Empty::new())?;
        let answer = self.0.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
    }
}

async fn sign_in(server: &TestServer, person: &Person, password: &str, device: &str) -> Result<Answer> {
    let body = json!({ "email": person.email, "password": password });
    server.post("/users/auth/login").header("user-agent", device).json(&body).send().await
}

async fn refresh(server: &TestServer, token: &str) -> Result<Answer> {
    server.post("/users/auth/refresh").json(&json!({ "refresh_token": token })).send().await
}

async fn sessions(server: &TestServer, token: &str) -> Result<Vec<Value>> {
    let list = server.get("/users/me/sessions").token(token).send().await?;
    Ok(list.body["sessions"].as_array().context("no sessions")?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_refreshes_with_one_token_one_session_survives() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let first = sign_in(&server, &ada, PASSWORD, "a phone").await?.text("refresh_token");
    let answers = try_join_all((0..20).map(|_| refresh(&server, &first))).await?;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{answers:?}");
    let next = answers.iter().map(|answer| answer.text("refresh_token")).collect::<BTreeSet<_>>();
    assert_eq!(next.len(), 1, "all get the one token that counts");
    for answer in &answers {
        let me = server.get("/users/me").token(&answer.text("access_token")).send().await?;
        assert_eq!(me.status, StatusCode::OK);
    }
    let sessions = sessions(&server, &ada.token).await?;
    assert_eq!(sessions.len(), 2, "that of the registration, and the phone's");

    // It goes on through a restart, and both paths lead to it.
    let server = server.restart().await?;
    let next = next.first().context("one")?;
    let third = server.post("/auth/refresh").json(&json!({ "refresh_token": next })).send().await?;
    assert_eq!((third.status, third.header("cache-control")), (StatusCode::OK, Some("no-store")));
    assert!(third.body.get("email").is_none());
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_refresh_token_ends_the_session() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let phone = sign_in(&server, &ada, PASSWORD, "a phone").await?;
    let stolen = phone.text("refresh_token");
    let second = refresh(&server, &stolen).await?;
    let third = refresh(&server, &second.text("refresh_token")).await?;
    let mut connection = Connection::open(&server).await?;
    assert_eq!(connection.me(&third.text("access_token")).await?, StatusCode::OK);

    assert_eq!(refresh(&server, &stolen).await?.error(), (401, "Unauthorized"));
    for session in [&phone, &second, &third] {
        assert_eq!(connection.me(&session.text("access_token")).await?, StatusCode::UNAUTHORIZED);
        assert_eq!(refresh(&server, &session.text("refresh_token")).await?.error(), (401, "Unauthorized"));
    }
    assert_eq!(connection.me(&ada.token).await?, StatusCode::OK, "another session");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_refresh_token_of_ours_gets_nothing() -> Result<()> {
    let (server, other) = (TestServer::start().await?, TestServer::start().await?);
    let (ada, eve) = (server.register("ada").await?, other.register("ada").await?);
    let ours = sign_in(&server, &ada, PASSWORD, "a phone").await?.text("refresh_token");
    let foreign = sign_in(&other, &eve, PASSWORD, "a phone").await?.text("refresh_token");
    let mut changed = ours.clone().into_bytes();
    changed[50] = if changed[50] == b'A' { b'B' } else { b'A' };
    for unknown in [foreign, String::from_utf8(changed)?, "A".repeat(91)] {
        assert_eq!(refresh(&server, &unknown).await?.error(), (401, "Unauthorized"), "{unknown}");
    }
    for malformed in [ada.token.as_str(), "", "A", &ours[1..], &"A".repeat(90), &format!("{}=", "A".repeat(90))] {
        let answer = refresh(&server, malformed).await?;
        assert_eq!(
            (answer.error(), answer.body["errors"][0]["field"].as_str()),
            ((400, "InvalidRequest"), Some("refresh_token"))
        );
    }
    let wrong = server.post("/users/auth/refresh").json(&json!({ "refresh_token": 1 })).send().await?;
    assert_eq!(wrong.error(), (400, "InvalidRequest"));
    assert_eq!(refresh(&server, &ours).await?.status, StatusCode::OK, "none of this has hurt it");
    other.close().await?;
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_what_its_scope_says_at_once() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let bob = server.register("bob").await?;
    for (scope, ends_own, ends_others) in [
        ("", true, false),
        ("?scope=local", true, false),
        ("?scope=others", false, true),
        ("?scope=global", true, true),
    ] {
        let mut tokens = Vec::new();
        for device in ["one", "two", "three"] {
            tokens.push(sign_in(&server, &ada, PASSWORD, device).await?.text("access_token"));
        }
        let mut connection = Connection::open(&server).await?;
        let path = format!("/users/auth/logout{scope}");
        assert_eq!(server.post(path).token(&tokens[0]).send().await?.status, StatusCode::NO_CONTENT, "{scope}");
        for (token, ended) in tokens.iter().zip([ends_own, ends_others, ends_others]) {
            let expected = if ended { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            assert_eq!(connection.me(token).await?, expected, "{scope}");
        }
        assert_eq!(connection.me(&bob.token).await?, StatusCode::OK, "somebody else");
    }
    let again = sign_in(&server, &ada, PASSWORD, "again").await?.text("access_token");
    assert_eq!(sessions(&server, &again).await?.len(), 1);
    for _ in 0..2 {
        let others = server.post("/users/auth/logout?scope=others").token(&again).key("nobody-else").send().await?;
        assert_eq!(others.status, StatusCode::NO_CONTENT, "also where there are none");
    }
    let unknown = server.post("/users/auth/logout?scope=all").token(&again).send().await?;
    assert_eq!(unknown.error(), (400, "InvalidRequest"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, eve) = (server.register("ada").await?, server.register("eve").await?);
    let phone = sign_in(&server, &ada, PASSWORD, "a phone").await?.text("access_token");
    let tablet = sign_in(&server, &ada, PASSWORD, &format!("a tablet{}", "!".repeat(300))).await?;
    let tablet_token = refresh(&server, &tablet.text("refresh_token")).await?.text("access_token");
    let mut listed = Vec::new();
    let mut path = "/users/me/sessions?limit=1".to_owned();
    loop {
        let page = server.get(&path).token(&phone).send().await?;
        listed.extend(page.body["sessions"].as_array().context("no sessions")?.clone());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/users/me/sessions?limit=1&cursor={cursor}");
        assert_eq!(server.get(&path).by(&eve).send().await?.error(), (404, "NotFound"), "a cursor of somebody else");
    }
    let [newest, second, oldest] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(newest["device"].as_str().map(str::len), Some(200));
    assert_eq!((&second["device"], &oldest["device"]), (&json!("a phone"), &Value::Null));
    assert_eq!([&newest["current"], &second["current"], &oldest["current"]], [false, true, false]);
    assert!(newest["refreshed_at"].as_str() > newest["created_at"].as_str());
    assert_eq!(second["refreshed_at"], second["created_at"]);

    let id = newest["id"].as_str().context("no id")?;
    let end = |token: &str| server.delete(format!("/users/me/sessions/{id}")).token(token).send();
    assert_eq!(end(&eve.token).await?.error(), (404, "NotFound"), "it is not hers");
    let mut connection = Connection::open(&server).await?;
    assert_eq!(connection.me(&tablet_token).await?, StatusCode::OK);
    assert_eq!(end(&phone).await?.status, StatusCode::NO_CONTENT);
    assert_eq!(connection.me(&tablet_token).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(end(&phone).await?.error(), (404, "NotFound"));
    let own = second["id"].as_str().context("no id")?;
    let ended = server.delete(format!("/users/me/sessions/{own}")).token(&phone).send().await?;
    assert_eq!((ended.status, connection.me(&phone).await?), (StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED));
    let malformed = server.delete("/users/me/sessions/x").by(&ada).send().await?;
    assert_eq!(malformed.error(), (400, "InvalidRequest"));
    assert_eq!(server.delete("/users/me/sessions/x").send().await?.error(), (401, "Unauthorized"));
    assert_eq!(sessions(&server, &ada.token).await?.len(), 1);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_password_every_session_ends_but_a_new_one() -> Result<()> {
    let mut server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let phone = sign_in(&server, &ada, PASSWORD, "a phone").await?;
    let change = |token: String, current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        server.put("/users/me/password").token(&token).json(&body).send()
    };
    let wrong = change(ada.token.clone(), "not the password", NEW_PASSWORD).await?;
    assert_eq!((wrong.error(), &wrong.body["errors"][0]["field"]), ((403, "Forbidden"), &json!("current_password")));
    for (new, token, status) in
        [("short", &ada.token, 400), (PASSWORD, &ada.token, 400), (NEW_PASSWORD, &String::new(), 401)]
    {
        assert_eq!(change(token.clone(), PASSWORD, new).await?.status.as_u16(), status);
    }
    let mut connection = Connection::open(&server).await?;
    let changed = change(ada.token.clone(), PASSWORD, NEW_PASSWORD).await?;
    assert_eq!((changed.status, changed.text("id")), (StatusCode::OK, ada.id.clone()));
    let new = changed.text("access_token");
    for _ in 0..2 {
        for token in [&ada.token, &phone.text("access_token")] {
            assert_eq!(connection.me(token).await?, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(refresh(&server, &phone.text("refresh_token")).await?.error(), (401, "Unauthorized"));
        assert_eq!(connection.me(&new).await?, StatusCode::OK);
        assert_eq!(sign_in(&server, &ada, PASSWORD, "with the old one").await?.error(), (401, "Unauthorized"));
        let again = sign_in(&server, &ada, NEW_PASSWORD, "with the new one").await?;
        assert_eq!(again.status, StatusCode::OK);
        server = server.restart().await?;
        connection = Connection::open(&server).await?;
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_one_password_one_holds() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let bodies = (0..8).map(|n| json!({ "current_password": PASSWORD, "new_password": format!("another one {n}") }));
    let changes = bodies.map(|body| server.put("/users/me/password").by(&ada).json(&body).send());
    let answers = try_join_all(changes).await?;
    let held = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect::<Vec<_>>();
    let [held] = held[..] else { panic!("{answers:?}") };
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        // Whoever came later had no session any more.
        assert!([(409, "Conflict"), (401, "Unauthorized")].contains(&answer.error()), "{answer:?}");
    }
    assert_eq!(server.get("/users/me").token(&held.text("access_token")).send().await?.status, StatusCode::OK);
    server.close().await
}
