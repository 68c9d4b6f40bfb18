//! What says of itself what MongoDB servers say that cannot be had here: stand-alone and old ones. Nothing can be stored in it.

use anyhow::{Context, Result};
use mongodb::bson::{Document, doc};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Numbers of the protocol's messages: a query and its reply, as clients begin, and what they say from then on.
const QUERY: i32 = 2004;
const REPLY: i32 = 1;
const MESSAGE: i32 = 2013;

/// A message begins with its length, its number, the number of the one that it answers, and its kind.
const HEAD_BYTES: usize = 16;
const BODY_BYTES_MAX: usize = 1 << 20;

/// A server that answers everything alike.
pub struct PretendedMongoDb {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl PretendedMongoDb {
    /// One that takes writes, with this in its answers besides.
    pub async fn saying(more: Document) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut said = doc! {
            "ok": 1.0, "helloOk": true, "ismaster": true, "isWritablePrimary": true, "minWireVersion": 0,
            "maxWireVersion": 17, "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30, "version": "6.0.5",
            "me": address.to_string(), "primary": address.to_string(), "hosts": [address.to_string()],
        };
        said.extend(more);
        let said = said.to_vec()?;
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer_all(client, said.clone()));
            }
        }));
        Ok(Self { address, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Until the client hangs up, or says what is not understood.
async fn answer_all(mut client: TcpStream, said: Vec<u8>) -> Result<()> {
    loop {
        let mut head = [0; HEAD_BYTES];
        client.read_exact(&mut head).await?;
        let number = |at: usize| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, asked, kind) = (usize::try_from(number(0))?, number(4), number(12));
        let mut body = vec![0; length.checked_sub(HEAD_BYTES).filter(|it| *it <= BODY_BYTES_MAX).context("too long")?];
        client.read_exact(&mut body).await?;
        // Flags, no cursor, the first document, one of them; or flags, and the kind of what follows.
        let (kind, before): (i32, &[u8]) = match kind {
            QUERY => (REPLY, &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
            _ => (MESSAGE, &[0, 0, 0, 0, 0]),
        };
        let length = i32::try_from(HEAD_BYTES + before.len() + said.len())?;
        let mut answer = [length, 0, asked, kind].map(i32::to_le_bytes).concat();
        answer.extend_from_slice(before);
        answer.extend_from_slice(&said);
        client.write_all(&answer).await?;
    }
}
