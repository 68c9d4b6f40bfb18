//! Strangers, liars and the clumsy at the door for other nodes.

use super::server::CONNECTIONS_MAX;
use super::*;
use crate::elsewhere::Passing;
use crate::tokens::tests::OnlySecrets;
use commands::wire::BATCH_BYTES_MAX;
use commands::{Link, LinkError, LocalOwners, Nodes, Replies};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use http::{Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use journal::embedded::StaticOwnership;
use journal::{Partition, Position, Rules};
use projections::{MemorySessions, Projections, ProjectionsOptions, sessions};
use std::convert::Infallible;
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An empty batch of this version.
const EMPTY: &[u8] = b"{\"tidings\":2}\n";
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

/// Never used: the door only takes.
struct NoLink;

impl Link for NoLink {
    fn send(&self, _: &str, _: Bytes) -> BoxFuture<'static, Result<Replies, LinkError>> {
        async { Err(LinkError::Refused("nowhere to go".to_owned())) }.boxed()
    }
}

/// The door of a node without owners over an empty log, whose read models nobody feeds, until it is dropped.
async fn door() -> (SocketAddr, (DropGuard, TempDir)) {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let nodes = Nodes::new(LocalOwners::new(Vec::new()), &StaticOwnership::new(1), Arc::new(NoLink), "here");
    let keyring: Arc<dyn Keyring> = OnlySecrets::new(1);
    let options = ProjectionsOptions {
        journal: journal::embedded::open(directory.path(), 1).unwrap().log,
        keyring: Arc::clone(&keyring),
        models: vec![Arc::<MemorySessions>::default()],
        clock: Arc::new(Timestamp::now),
        rules: Rules::default(),
    };
    let projections = Arc::new(Projections::new(options).0);
    let stop = CancellationToken::new();
    tokio::spawn(listen(listener, Door { nodes, projections, keyring }, stop.clone()));
    (address, (stop.drop_guard(), directory))
}

/// A request; as it should be, unless something is changed.
struct Ask {
    root: u8,
    method: Method,
    path: &'static str,
    age: Duration,
    ahead: Duration,
    signed: Vec<u8>,
    sent: Vec<u8>,
}

impl Ask {
    fn of(body: &[u8]) -> Self {
        Self {
            root: 1,
            method: Method::POST,
            path: COMMANDS,
            age: Duration::ZERO,
            ahead: Duration::ZERO,
            signed: body.to_vec(),
            sent: body.to_vec(),
        }
    }

    async fn status(self, address: SocketAddr) -> StatusCode {
        let now = Timestamp::now().plus(self.ahead);
        let time = Timestamp(now.0 - i64::try_from(self.age.as_micros()).unwrap());
        let digest = digest_of(&self.signed);
        let mac = Seal(OnlySecrets::new(self.root)).of_request(self.path, time, &digest);
        let request = Request::builder()
            .method(self.method)
            .uri(format!("http://{address}{}", self.path))
            .header(TIME, time.0.to_string())
            .header(DIGEST, text(&digest))
            .header(MAC, text(&mac))
            .body(Full::new(Bytes::from(self.sent)).boxed());
        status(request.unwrap()).await
    }
}

async fn status(request: Request<BoxBody<Bytes, Infallible>>) -> StatusCode {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    timeout(LONG, client.request(request)).await.expect("no answer").unwrap().status()
}

#[tokio::test]
async fn a_node_is_let_in() {
    let (address, _door) = door().await;
    assert_eq!(Ask::of(EMPTY).status(address).await, StatusCode::OK);
    let link = HttpLink::new(OnlySecrets::new(1));
    let replies = link.send(&address.to_string(), Bytes::from_static(EMPTY)).await.unwrap();
    assert_eq!(replies.try_collect::<Vec<_>>().await.unwrap(), Vec::<Bytes>::new());
}

#[tokio::test]
async fn who_does_not_hold_the_secrets_is_refused() {
    let (address, _door) = door().await;
    let other_secrets = Ask { root: 2, ..Ask::of(EMPTY) };
    let other_body = Ask { sent: b"{\"tidings\":2}\n{}\n".to_vec(), ..Ask::of(EMPTY) };
    let recorded = Ask { age: CLOCKS_MAX + Duration::from_secs(5), ..Ask::of(EMPTY) };
    let from_the_future = Ask { ahead: CLOCKS_MAX + Duration::from_secs(5), ..Ask::of(EMPTY) };
    for ask in [other_secrets, other_body, recorded, from_the_future] {
        assert_eq!(ask.status(address).await, StatusCode::UNAUTHORIZED);
    }
    for (time, digest, mac) in [("", "", ""), ("9223372036854775807", "AAAA", "\u{7f}"), ("-1", "=", "=")] {
        let mut request = Request::post(format!("http://{address}{COMMANDS}")).body(Full::default().boxed()).unwrap();
        for (name, value) in [(TIME, time), (DIGEST, digest), (MAC, mac)] {
            if let Ok(value) = value.parse() {
                request.headers_mut().insert(name, value);
            }
        }
        assert_eq!(status(request).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_body_of_a_stranger_is_not_waited_for() {
    let (address, _door) = door().await;
    let endless = BodyExt::boxed(StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()));
    let request = Request::post(format!("http://{address}{COMMANDS}")).body(endless).unwrap();
    assert_eq!(status(request).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_a_node_should_not_send_is_refused_by_its_kind() {
    let (address, _door) = door().await;
    for (ask, expected) in [
        (Ask::of(&vec![b' '; BATCH_BYTES_MAX + 1]), StatusCode::PAYLOAD_TOO_LARGE),
        (Ask::of(b"{\"tidings\":3}\n"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Ask::of(b""), StatusCode::BAD_REQUEST),
        (Ask::of(b"{\"tidings\":2}\n{\"partition\":0}\n"), StatusCode::BAD_REQUEST),
        (Ask::of(&[&b"{\"tidings\":2}\n"[..], &[b'['; 100_000]].concat()), StatusCode::BAD_REQUEST),
        (Ask { path: "/", ..Ask::of(EMPTY) }, StatusCode::NOT_FOUND),
        (Ask { method: Method::GET, ..Ask::of(b"") }, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(ask.status(address).await, expected);
    }
    assert_eq!(Ask::of(EMPTY).status(address).await, StatusCode::OK);
}

/// What a node is asked about its read models, and how it is to be answered.
fn passing(last: Option<u64>) -> Passing {
    let place = |offset| Position { partition: Partition(0), offset };
    let models = vec![sessions::NAME.to_owned()];
    Passing { models, last: last.map(place).into_iter().collect(), concerning: None, within_ms: 10 }
}

#[tokio::test]
async fn a_node_says_whether_its_read_models_have_passed_a_place() {
    let (address, _door) = door().await;
    let link = HttpLink::new(OnlySecrets::new(1));
    let address = address.to_string();
    assert_eq!(link.passed(&address, &passing(None)).await.unwrap(), Ok(()));
    let behind = link.passed(&address, &passing(Some(0))).await.unwrap().unwrap_err();
    assert!(behind.contains("sessions has not passed 0@0"), "{behind}");
    let stranger = HttpLink::new(OnlySecrets::new(2));
    assert!(stranger.passed(&address, &passing(None)).await.unwrap_err().to_string().contains("401"));
    let liar = liar(|| vec![Bytes::from("{\"Ok\":null}\n")]).await;
    assert!(link.passed(&liar, &passing(None)).await.unwrap_err().to_string().contains("without a MAC"));
}

#[tokio::test]
async fn what_is_for_one_question_is_no_answer_to_another() {
    let (address, _door) = door().await;
    let question = Ask::of(&serde_json::to_vec(&passing(None)).unwrap());
    assert_eq!(Ask { path: PASSED, ..question }.status(address).await, StatusCode::OK);
    assert_eq!(Ask { path: PASSED, ..Ask::of(EMPTY) }.status(address).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn another_protocol_ends_the_connection() {
    let (address, _door) = door().await;
    for said in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], &[0; 4_096]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        // It may end with a reset.
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
        assert!(!answer.starts_with(b"HTTP/1"), "{answer:?}");
    }
}

#[tokio::test]
async fn connections_have_a_limit_and_a_place_comes_free() {
    let (address, _door) = door().await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server's first frame: it was let in.
        stream.read_exact(&mut [0]).await.unwrap();
        open.push(stream);
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    let end = timeout(LONG, refused.read(&mut [0])).await.expect("the connection stays open");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    open.clear();
    let asked = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if matches!(stream.read(&mut [0]).await, Ok(1)) {
                return;
            }
        }
    };
    timeout(LONG, asked).await.expect("no place comes free");
}

/// A node that answers every batch with this.
async fn liar(answer: impl Fn() -> Vec<Bytes> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                let frames = answer().into_iter().map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
                async move { Ok::<_, Infallible>(http::Response::new(StreamBody::new(stream::iter(frames)))) }
            });
            let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(served);
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_no_node_made_is_no_answer() {
    let reply = "{\"n\":0,\"reply\":\"not_here\"}";
    let stranger = text(&Seal(OnlySecrets::new(2)).of_reply(&[0; 32], reply.as_bytes()));
    // A reply of ours, but to another request.
    let recorded = text(&Seal(OnlySecrets::new(1)).of_reply(&[0; 32], reply.as_bytes()));
    for (said, why) in [
        (format!("{stranger} {reply}\n"), "did not make"),
        (format!("{recorded} {reply}\n"), "did not make"),
        (format!("{reply}\n"), "without a MAC"),
        (format!("{recorded} {reply}"), "half a reply"),
    ] {
        let address = liar(move || vec![Bytes::from(said.clone())]).await;
        assert!(lost(&address).await.contains(why));
    }
    let endless = liar(|| vec![Bytes::from(vec![b'a'; BATCH_BYTES_MAX / 4]); 8]).await;
    assert!(lost(&endless).await.contains("without end"));
}

/// What becomes of a batch: its answers are lost, and why.
async fn lost(address: &str) -> String {
    let link = HttpLink::new(OnlySecrets::new(1));
    let mut replies = link.send(address, Bytes::from_static(EMPTY)).await.unwrap();
    match timeout(LONG, replies.next()).await.expect("no answer") {
        Some(Err(LinkError::Lost(why))) => why,
        other => panic!("{other:?}"),
    }
}
