//! HTTP as it is spoken at the door: methods, media types, pages of other origins, and clients that are slow, many, or
//! say one thing and mean another.

use anyhow::{Context, Result};
use gateway::Config;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tidings_tests::server::{Answer, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
/// Far above every time limit of these tests.
const SOON: Duration = Duration::from_secs(20);

async fn server(change: impl FnOnce(&mut Config)) -> Result<TestServer> {
    TestServer::over_with(tempfile::tempdir()?, change).await
}

/// Every operation of the document: its method, a path that fits, and what is said of it.
pub(crate) fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(template, item)| {
        let path = template.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| {
            let method = method.to_uppercase().parse().expect("the document names methods");
            (method, path.clone(), operation)
        })
    });
    all.collect()
}

pub(crate) fn is_plumbing(operation: &Value) -> bool {
    operation["tags"][0] == "plumbing"
}

/// Sends bytes and reads until the server closes the connection; a reset ends it too.
async fn said(address: SocketAddr, sent: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // What is too long may be refused before all of it is sent.
    let _ = stream.write_all(sent).await;
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.context("the connection stays open")?;
    Ok(String::from_utf8(answer)?)
}

fn statuses(said: &str) -> Vec<&str> {
    said.match_indices("HTTP/1.1 ").map(|(at, _)| &said[at + 9..at + 12]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_tells_its_methods_and_head_is_get_without_a_body() -> Result<()> {
    let server = server(|_| {}).await?;
    let ada = server.register("ada").await?;
    let document = gateway::openapi();
    assert!(!operations(&document).is_empty());
    for (method, path, _) in operations(&document) {
        let answer = server.call(Method::OPTIONS, path.as_str()).send().await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (204, &Value::Null), "{path}");
        let allowed = answer.header("allow").unwrap().split(',').map(str::to_owned).collect::<BTreeSet<_>>();
        assert!([method.as_str(), "OPTIONS"].iter().all(|method| allowed.contains(*method)), "{path}: {allowed:?}");
        assert_eq!(allowed.contains("HEAD"), allowed.contains("GET"), "{path}");
        if method == Method::GET {
            let (get, head) = (server.get(path.as_str()), server.call(Method::HEAD, path.as_str()));
            let (get, head) = (get.by(&ada).send().await?, head.by(&ada).send().await?);
            // That it has no body is what every answer to HEAD is held to.
            assert_eq!(head.status, get.status, "{path}");
            let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
            assert!(names(&head).is_subset(&names(&get)), "{path}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        }
    }
    assert_eq!(server.call(Method::OPTIONS, "/nothing").send().await?.error(), (404, "NotFound"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_door_refuses_is_refused_for_every_operation_and_changes_nothing() -> Result<()> {
    let server = server(|_| {}).await?;
    let ada = server.register("ada").await?;
    let before = server.records().await?;
    let document = gateway::openapi();
    for (method, path, operation) in operations(&document).into_iter().filter(|(.., operation)| !is_plumbing(operation))
    {
        assert!(["406", "414", "429", "431"].iter().all(|status| !operation["responses"][status].is_null()), "{path}");
        let call = |path: String| server.call(method.clone(), path).by(&ada);
        let html = call(path.clone()).header("accept", "text/html").send().await?;
        assert_eq!(html.error(), (406, "NotAcceptable"), "{method} {path}");
        let long = call(format!("{path}?{}", "x".repeat(8 * 1024))).send().await?;
        assert_eq!(long.error(), (414, "UriTooLong"), "{method} {path}");
        let large = call(path.clone()).header("x-large", "x".repeat(16 * 1024)).send().await?;
        assert_eq!(large.error(), (431, "HeadersTooLarge"), "{method} {path}");
        let many = (0..64).fold(call(path.clone()), |call, _| call.header("x-many", "x")).send().await?;
        assert_eq!(many.error(), (431, "HeadersTooLarge"), "{method} {path}");
    }
    assert_eq!(server.get("/metrics").header("accept", "text/plain").send().await?.status, 200);
    for accept in ["application/json", "application/*", "*/*;q=0.1", "text/html, */*", "application/problem+json", "?"]
    {
        assert_eq!(server.get("/posts").header("accept", accept).send().await?.status, 200, "{accept}");
    }
    assert_eq!(server.records().await?, before);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() -> Result<()> {
    let server = server(|_| {}).await?;
    for (hosts, status) in [("", "400"), ("host: a\r\nhost: b\r\n", "400"), ("host: a\r\n", "200")] {
        let request = format!("GET /posts HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        assert_eq!(statuses(&said(server.address(), request.as_bytes()).await?), [status], "{hosts:?}");
    }
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_of_headers_are_refused_before_they_are_read() -> Result<()> {
    let server = server(|_| {}).await?;
    let many = "a: b\r\n".repeat(200);
    let (long, endless) = ("x".repeat(70_000), "x".repeat(4 << 20));
    for (head, status) in [
        (format!("GET /posts HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "431"),
        (format!("GET /posts HTTP/1.1\r\nhost: x\r\na: {long}\r\n\r\n"), "431"),
        (format!("GET /posts HTTP/1.1\r\nhost: x\r\n{long}: a\r\n\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), "431"),
        // With no end at all.
        (format!("GET /posts HTTP/1.1\r\nhost: x\r\na: {endless}"), "431"),
        (format!("GET /{endless}"), "431"),
        (endless.clone(), "4"),
    ] {
        let said = said(server.address(), head.as_bytes()).await?;
        // What was still being sent may reset the connection under the answer.
        assert!(said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status}")), "{head:.40}: {said:.200}");
    }
    assert_eq!(server.get("/posts").send().await?.status, 200);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_two_readers_could_cut_differently_is_refused_and_nothing_behind_it_is_read() -> Result<()> {
    let server = server(|_| {}).await?;
    let ada = server.register("ada").await?;
    let before = server.records().await?;
    let (token, body) = (&ada.token, r#"{"content":"smuggled"}"#);
    let inner = format!(
        "POST /posts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let post = |headers: &str| format!("POST /users/auth/login HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let length = inner.len();
    for (headers, status) in [
        (format!("content-length: 0\r\ncontent-length: {length}\r\n"), "400"),
        (format!("content-length: {length}, {length}\r\n"), "400"),
        (format!("content-length: +{length}\r\n"), "400"),
        ("transfer-encoding: identity\r\n".to_owned(), "400"),
        ("transfer-encoding: chunked, identity\r\n".to_owned(), "400"),
        ("transfer-encoding : chunked\r\n".to_owned(), "400"),
        ("transfer-encoding: xchunked\r\n".to_owned(), "400"),
        (" content-length: 5\r\n".to_owned(), "400"),
        ("content-length:\r\n 5\r\n".to_owned(), "400"),
        ("content\x00-length: 5\r\n".to_owned(), "400"),
    ] {
        let said = said(server.address(), format!("{}{inner}", post(&headers)).as_bytes()).await?;
        assert_eq!(statuses(&said), [status], "{headers:?}: {said}");
    }
    // With a length as well, the chunks count, and nothing that comes behind them.
    for headers in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        "transfer-encoding: chunked\r\n".to_owned(),
    ] {
        let sent = format!("{}0\r\n\r\n{inner}", post(&format!("{headers}content-type: application/json\r\n")));
        let said = said(server.address(), sent.as_bytes()).await?;
        assert_eq!(statuses(&said), ["400"], "{headers:?}: {said}");
    }
    // A body in chunks that are none.
    for chunks in ["zz\r\n", "5\r\nab", "-1\r\n", "ffffffffffffffffff\r\n", "5;\r\rx\r\nabcde\r\n0\r\n\r\n"] {
        let sent =
            format!("{}{chunks}{inner}", post("transfer-encoding: chunked\r\ncontent-type: application/json\r\n"));
        let said = said(server.address(), sent.as_bytes()).await?;
        assert!(statuses(&said).iter().all(|status| *status == "400"), "{chunks:?}: {said}");
    }
    assert_eq!(server.records().await?, before, "nothing was smuggled");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_a_head_or_a_body_is_cut_off() -> Result<()> {
    let server = server(|config| config.head_timeout_ms = 300).await?;
    let ada = server.register("ada").await?;
    for head in ["", "GET /posts HTTP/1.1\r\nhost: x\r\n", "GET /posts HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let said = said(server.address(), head.as_bytes()).await?;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 200"), "{said}");
    }
    let before = server.records().await?;
    let half = format!(
        "POST /posts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{\"content\":",
        ada.token
    );
    let said = said(server.address(), half.as_bytes()).await?;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("\"RequestTimeout\""), "{said}");
    assert_eq!(server.records().await?, before);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_an_answer_is_cut_off() -> Result<()> {
    let server = server(|config| config.door.write_timeout_ms = 300).await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    let request = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    // As long as the server waits for us it reads nothing, so that this waits too; when it has closed, this fails.
    let cut_off = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(SOON, cut_off).await.context("the server waits for ever")?;
    assert_eq!(server.get("/posts").send().await?.status, 200);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_and_a_trusted_proxy_as_many_as_it_likes() -> Result<()> {
    const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    async fn answers(server: &TestServer) -> Result<Option<TcpStream>> {
        let mut stream = TcpStream::connect(server.address()).await?;
        let mut status = [0; 12];
        let asked = stream.write_all(REQUEST).await.is_ok() && stream.read_exact(&mut status).await.is_ok();
        Ok((asked && &status == b"HTTP/1.1 200").then_some(stream))
    }
    let limited = server(|config| config.door.connections_per_address_max = 3).await?;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(answers(&limited).await?.context("there was room")?);
    }
    for _ in 0..3 {
        assert!(answers(&limited).await?.is_none(), "there were three already");
    }
    open.pop();
    let again = async {
        loop {
            if let Some(stream) = answers(&limited).await? {
                return anyhow::Ok(stream);
            }
        }
    };
    open.push(timeout(SOON, again).await.context("no room although one has left")??);
    limited.stop().await?;
    let behind = server(|config| {
        config.door.connections_per_address_max = 3;
        config.door.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await?;
    for _ in 0..10 {
        open.push(answers(&behind).await?.context("proxies are not counted")?);
    }
    behind.stop().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_ask_where_the_server_says_so_and_only_there() -> Result<()> {
    const PAGE: &str = "https://app.example";
    let origins = |origins: &'static [&'static str]| {
        move |config: &mut Config| {
            config.door.cors_origins = origins.iter().map(|origin| origin.parse().expect("an origin")).collect();
        }
    };
    for (allowed, expected) in [
        (&[][..], None),
        (&["https://other.example"], None),
        (&["https://other.example", PAGE], Some(PAGE)),
        (&["*"], Some("*")),
    ] {
        let server = server(origins(allowed)).await?;
        let preflight = server.call(Method::OPTIONS, "/posts").header("origin", PAGE);
        let preflight = preflight.header("access-control-request-method", "POST");
        let preflight = preflight.header("access-control-request-headers", "authorization,content-type").send().await?;
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-origin"), expected);
        for (name, contained) in [("methods", "POST"), ("headers", "Authorization"), ("headers", "Idempotency-Key")] {
            let name = format!("access-control-allow-{name}");
            assert_eq!(preflight.header(&name).map(|it| it.contains(contained)), expected.map(|_| true), "{name}");
        }
        for answer in [
            server.get("/posts").header("origin", PAGE).send().await?,
            server.get("/users/me").header("origin", PAGE).send().await?,
        ] {
            assert_eq!(answer.header("access-control-allow-origin"), expected);
            let exposed = answer.header("access-control-expose-headers");
            for name in ["RateLimit", "X-Request-Id", "Link", "Location", "ETag", "Retry-After", "X-Consistency-Token"]
            {
                assert_eq!(exposed.map(|it| it.split(", ").any(|it| it == name)), expected.map(|_| true), "{name}");
            }
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
        let own = server.get("/posts").send().await?;
        assert_eq!(own.header("access-control-allow-origin"), None, "no page asks");
        assert!(own.header("vary").is_some_and(|vary| vary.contains("Origin")));
        server.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_that_it_is_no_document_and_who_may_keep_it() -> Result<()> {
    let server = server(|_| {}).await?;
    let ada = server.register("ada").await?;
    let login = json!({ "email": ada.email, "password": tidings_tests::server::PASSWORD });
    for (call, status, caching) in [
        (server.get("/posts"), 200, "private, no-cache"),
        (server.get("/users/me").by(&ada), 200, "private, no-cache"),
        (server.get("/openapi.json"), 200, "private, no-cache"),
        (server.post("/auth/login").json(&login), 200, "no-store"),
        (server.post("/posts").by(&ada).json(&json!({ "content": "x" })), 201, "no-store"),
        (server.get("/users/me"), 401, "no-store"),
        (server.get("/nothing"), 404, "no-store"),
        (server.call(Method::PATCH, "/posts"), 405, "no-store"),
        (server.call(Method::OPTIONS, "/posts"), 204, "private, no-cache"),
        (server.get("/livez"), 200, "private, no-cache"),
    ] {
        let answer = call.send().await?;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (status, Some(caching)));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
            ("vary", "Authorization, Accept, Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name} of {status}");
        }
    }
    server.close().await
}
