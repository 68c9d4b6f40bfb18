//! Starting and stopping, and clients that go away in the middle.

use anyhow::Result;
use http::StatusCode;
use serde_json::json;
use std::io;
use tidings_tests::server::{Person, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The commits of POST_CREATION: begun, a place reserved and given free, and each told to the saga.
const POST_RECORDS: u64 = 5;
const CONTENT: &str = "{\"content\":\"slowly\"}";

/// A request whose body has not come yet.
async fn begin_post(server: &TestServer, author: &Person) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).await?;
    let head = format!(
        "POST /posts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        author.token,
        CONTENT.len()
    );
    stream.write_all(head.as_bytes()).await?;
    // The server asks for the body only when the handler does: from here on the request is in flight.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await?;
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_server_stops() -> Result<()> {
    let server = TestServer::start().await?;
    let ada = server.register("ada").await?;
    let mut stream = begin_post(&server, &ada).await?;
    server.begin_stop();
    let refused = async {
        loop {
            match TcpStream::connect(server.address()).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    refused.await;
    stream.write_all(CONTENT.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let server = server.restart().await?;
    let posts = server.get("/posts").by(&ada).send().await?;
    assert_eq!(posts.body["posts"][0]["content"], "slowly");
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_changes_nothing_for_others() -> Result<()> {
    let server = TestServer::start().await?;
    let (ada, bob) = (server.register("ada").await?, server.register("bob").await?);
    let before = server.records().await?;
    for sent in ["", "{\"content\":", &CONTENT[..CONTENT.len() - 1]] {
        let mut stream = begin_post(&server, &ada).await?;
        stream.write_all(sent.as_bytes()).await?;
        drop(stream);
    }
    for head in ["", "GET", "GET /posts HTTP/1.1\r\n", "GET /posts HTTP/1.1\r\nhost: x\r\n\r\n"] {
        TcpStream::connect(server.address()).await?.write_all(head.as_bytes()).await?;
    }
    let post = server.publish(&bob, "undisturbed").await?;
    let posts = server.get("/posts").by(&bob).send().await?;
    assert_eq!(posts.body["posts"].as_array().map(Vec::len), Some(1));
    assert_eq!(posts.body["posts"][0]["id"], post.as_str());
    assert_eq!(server.records().await?, before + POST_RECORDS);
    // Whoever goes away before the answer to a whole request may or may not have written, but never twice.
    let mut stream = begin_post(&server, &ada).await?;
    stream.write_all(CONTENT.as_bytes()).await?;
    drop(stream);
    server.publish(&ada, "after").await?;
    assert!(server.records().await? <= before + 3 * POST_RECORDS);
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_wire_is_answered_or_cut_off_and_nothing_else() -> Result<()> {
    let server = TestServer::start().await?;
    for nonsense in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"POST /posts HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /posts HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ] {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(nonsense).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        // A reset is an answer too.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.get("/livez").send().await?.body, json!("ok"));
    server.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_without_a_token() -> Result<()> {
    let server = TestServer::start().await?;
    let ready = server.get("/readyz").send().await?;
    assert_eq!((ready.status, &ready.body["status"]), (StatusCode::OK, &json!("ready")));
    assert_eq!(server.get("/metrics").send().await?.status, StatusCode::OK);
    server.close().await
}
