//! Connections: taken up to a limit, in all and per address, each with a time limit for the head of a request and for
//! taking an answer, and finished in order when the server stops.

mod per_address;
mod write_timeout;

use crate::address::{Network, Peer, is_in};
use crate::edge::pass;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use per_address::{Counted, PerAddress};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use write_timeout::WithWriteTimeout;

/// Headers of a request; one with more is answered 431, without a body. The door refuses fewer, with one.
const HEADERS_MAX: usize = 100;
/// The head of a request, in bytes; likewise.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The wait after a connection could not be taken, for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What holds for connections.
#[derive(Clone)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections_max: usize,
    pub(crate) per_address_max: usize,
    /// They bring other people's requests: the limit per address is not for them.
    pub(crate) trusted_proxies: Arc<[Network]>,
    pub(crate) head_timeout: Duration,
    pub(crate) write_timeout: Duration,
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
    let per_address = PerAddress::new(limits.per_address_max);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let Ok(counted) = count(&per_address, peer, &limits) else { continue };
        let connection = graceful.watch(connection(stream, peer, door.clone(), &limits));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!("a connection ended: {error}");
            }
            drop((permit, counted));
        });
    }
    drop(listener);
    if timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        warn!("requests in flight were cut off: they took longer than {:?}", limits.drain_timeout);
    }
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, IpAddr, impl Sized + use<>)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip(), permit)),
        Err(error) => {
            warn!("a connection could not be taken: {error}");
            sleep(ACCEPT_RETRY).await;
            None
        }
    }
}

/// An error if the address has as many connections as it may have: this one is closed.
fn count(per_address: &PerAddress, peer: IpAddr, limits: &ConnectionLimits) -> Result<Option<Counted>, ()> {
    if is_in(peer, &limits.trusted_proxies) {
        return Ok(None);
    }
    let counted = per_address.enter(peer);
    if counted.is_none() {
        metrics::counter!("tidings_connections_refused_total").increment(1);
        debug!("a connection was closed: its address has {} already", limits.per_address_max);
    }
    counted.map(Some).ok_or(())
}

fn connection(
    stream: TcpStream,
    peer: IpAddr,
    door: watch::Receiver<Router>,
    limits: &ConnectionLimits,
) -> http1::Connection<
    TokioIo<WithWriteTimeout<TcpStream>>,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = std::convert::Infallible, Future: Send> + use<>,
> {
    // Answers are small and written at once; waiting for more would only make them late.
    if let Err(error) = stream.set_nodelay(true) {
        debug!("no TCP_NODELAY: {error}");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let router = door.borrow().clone();
        pass(router, request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(WithWriteTimeout::new(stream, limits.write_timeout)), service)
}
