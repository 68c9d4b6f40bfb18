//! Connections: taken up to a limit, each with a time limit for the head of a request, and finished in order when the
//! server stops.

use crate::edge::normalise;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{debug, warn};

/// Headers of a request; one with more is answered 431.
const HEADERS_MAX: usize = 100;
/// The head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The wait after a connection could not be taken, for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What holds for connections.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections_max: usize,
    pub(crate) head_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

/// Serves until told to stop; then takes no more connections and finishes the requests in flight, within a limit.
///
/// Each request goes to the router that the door shows when it comes: first to one that only says "not yet".
pub(crate) async fn listen(
    listener: TcpListener,
    door: watch::Receiver<Router>,
    limits: ConnectionLimits,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let connection = graceful.watch(connection(stream, door.clone(), limits));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!("a connection ended: {error}");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        warn!("requests in flight were cut off: they took longer than {:?}", limits.drain_timeout);
    }
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, impl Sized + use<>)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            warn!("a connection could not be taken: {error}");
            sleep(ACCEPT_RETRY).await;
            None
        }
    }
}

fn connection(
    stream: TcpStream,
    door: watch::Receiver<Router>,
    limits: ConnectionLimits,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = std::convert::Infallible, Future: Send>,
> {
    // Answers are small and written at once; waiting for more would only make them late.
    if let Err(error) = stream.set_nodelay(true) {
        debug!("no TCP_NODELAY: {error}");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        normalise(request.uri_mut());
        let mut router = door.borrow().clone();
        router.call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
}
