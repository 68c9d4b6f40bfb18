//! Takes batches of other nodes.

use super::{COMMANDS, PASSED, Seal, text};
use crate::elsewhere::Passing;
use commands::Nodes;
use commands::wire::{BATCH_BYTES_MAX, WireError};
use events::{Keyring, Timestamp};
use futures::{Stream, StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use projections::Projections;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections of other nodes; each has one.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// Batches of one connection that are being answered.
const STREAMS_MAX: u32 = 128;
/// How long a batch may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(10);
/// How long a node is kept waiting for its read models, whatever it asks for.
const PASSING_MAX_MS: u64 = 30_000;
/// A connection on which nothing comes is asked whether it lives, and must say so.
const PING_EVERY: Duration = Duration::from_secs(2);
const PONG_MAX: Duration = Duration::from_secs(3);
/// The wait after a connection could not be taken.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What other nodes ask for.
pub(crate) struct Door {
    /// Decides commands.
    pub(crate) nodes: Nodes,
    /// Read models.
    pub(crate) projections: Arc<Projections>,
    /// Says who is a node.
    pub(crate) keyring: Arc<dyn Keyring>,
}

/// Answers other nodes until told to stop; whoever waits for an answer then is told by the end of the connection.
pub(crate) async fn listen(listener: TcpListener, door: Door, stop: CancellationToken) {
    let door = Arc::new(door);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match (accepted, Arc::clone(&room).try_acquire_owned()) {
            (Ok((stream, _)), Ok(permit)) => {
                let door = Arc::clone(&door);
                connections.spawn(async move {
                    serve(stream, door).await;
                    drop(permit);
                });
            }
            (Ok(_), Err(_)) => warn!("more than {CONNECTIONS_MAX} connections of other nodes"),
            (Err(error), _) => {
                warn!("a connection of another node could not be taken: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, door: Arc<Door>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!("no TCP_NODELAY: {error}");
    }
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(answer(request, door).await.unwrap_or_else(refused)) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!("a connection of another node ended: {error}");
    }
}

async fn answer(request: Request<Incoming>, door: Arc<Door>) -> Result<Response<Body>, StatusCode> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if ![COMMANDS, PASSED].contains(&path) {
        return Err(StatusCode::NOT_FOUND);
    }
    if parts.method != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let seal = Seal(Arc::clone(&door.keyring));
    let head = seal.check(path, &parts.headers, Timestamp::now()).ok_or(StatusCode::UNAUTHORIZED)?;
    let body = timeout(BODY_MAX, Limited::new(body, BATCH_BYTES_MAX).collect());
    let body = body.await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
    if !head.is_of(&body) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(Response::new(match path {
        PASSED => sealed(passed(door, &body)?, seal, head.mac),
        _ => sealed(taken(&door.nodes, &body)?, seal, head.mac),
    }))
}

/// The replies to a batch of commands.
fn taken(nodes: &Nodes, batch: &[u8]) -> Result<impl Stream<Item = Bytes> + Send + use<>, StatusCode> {
    nodes.take(batch).map_err(|error| {
        warn!("a batch of another node was refused: {error}");
        match error {
            WireError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            WireError::Version(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            WireError::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    })
}

/// The reply to the question whether read models have passed something.
fn passed(door: Arc<Door>, question: &[u8]) -> Result<impl Stream<Item = Bytes> + Send + use<>, StatusCode> {
    let mut passing: Passing = serde_json::from_slice(question).map_err(|_| StatusCode::BAD_REQUEST)?;
    passing.within_ms = passing.within_ms.min(PASSING_MAX_MS);
    Ok(stream::once(async move {
        let said = passing.here(&door.projections).await;
        serde_json::to_vec(&said).expect("text is plain data").into()
    }))
}

/// The replies as lines, each behind its MAC; what is ready goes together.
fn sealed(replies: impl Stream<Item = Bytes> + Send + 'static, seal: Seal, request: [u8; 32]) -> Body {
    let frames = replies.ready_chunks(commands::wire::BATCH_REQUESTS_MAX).map(move |lines| {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(text(&seal.of_reply(&request, &line)).as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        Ok(Frame::data(Bytes::from(bytes)))
    });
    // An empty chunk first, so that the head of the answer leaves at once.
    let head = stream::once(std::future::ready(Ok(Frame::data(Bytes::new()))));
    StreamBody::new(head.chain(frames)).boxed_unsync()
}

fn refused(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    response
}
