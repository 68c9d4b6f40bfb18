//! A link between two processes that can be slow, cut, or swallow what is sent.

use anyhow::{Context, Result};
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// What is forwarded at one time.
const CHUNK: usize = 64 << 10;

/// What becomes of what is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// It arrives at once.
    Fine,
    /// Each chunk arrives so much later.
    Slow(Duration),
    /// Connections are closed, and new ones with them.
    Cut,
    /// Nothing arrives, and nobody is told.
    Swallowed,
}

/// A link from a port of its own to an address.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    /// How often connections were forgotten.
    forgotten: watch::Sender<usize>,
    _serving: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Takes a free port; what it leads to is told later, or is not there yet.
    pub async fn to(target: impl Into<String>) -> Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0").await?, target.into())
    }

    /// One to the server that this URL names, and the URL of the same over the link.
    pub async fn before(url: &str) -> Result<(Self, String)> {
        let (_, rest) = url.split_once("://").context("a URL begins with a scheme")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let address = authority.rsplit('@').next().unwrap_or_default();
        let link = Self::to(address).await?;
        let over_it = url.replace(address, &link.address().to_string());
        Ok((link, over_it))
    }

    fn on(listener: TcpListener, target: String) -> Result<Self> {
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather::Fine);
        let forgotten = watch::Sender::new(0);
        let watched = (weather.subscribe(), forgotten.subscribe());
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(link(near, target.clone(), watched.0.clone(), watched.1.clone()));
            }
        }));
        Ok(Self { address, weather, forgotten, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it behaves so.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Connections that are open fall silent for good, as if something on their way had forgotten them; new ones are as the
    /// weather is.
    pub fn forget(&self) {
        self.forgotten.send_modify(|times| *times += 1);
    }
}

async fn link(
    mut near: TcpStream,
    target: String,
    mut weather: watch::Receiver<Weather>,
    mut forgotten: watch::Receiver<usize>,
) {
    forgotten.mark_unchanged();
    if *weather.borrow() == Weather::Cut {
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
    let (there, back) = (weather.clone(), weather.clone());
    tokio::select! {
        _ = weather.wait_for(|weather| *weather == Weather::Cut) => return,
        () = forward(near_in, far_out, there) => return,
        () = forward(far_in, near_out, back) => return,
        Ok(()) = forgotten.changed() => {}
    }
    // Both ends are open, and nothing comes out of either.
    pending::<()>().await;
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Slow(delay) => sleep(delay).await,
            Weather::Swallowed => drop(weather.wait_for(|weather| *weather != Weather::Swallowed).await),
            Weather::Fine | Weather::Cut => {}
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
