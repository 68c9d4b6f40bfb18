//! Hands batches to other nodes.

use super::{COMMANDS, DIGEST, MAC, PASSED, Seal, TIME, digest_of, same, text};
use crate::elsewhere::{Passing, Waits};
use commands::wire::BATCH_BYTES_MAX;
use commands::{Link, LinkError, Replies};
use events::{Keyring, Timestamp};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::time::Duration;

/// How long a node may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A connection on which nothing comes is asked whether it lives, and must say so.
const PING_EVERY: Duration = Duration::from_millis(1_000);
const PONG_MAX: Duration = Duration::from_secs(2);
/// The longest reply: an answer is small.
const LINE_MAX: usize = BATCH_BYTES_MAX;

/// One connection to each node, shared by all batches.
pub(crate) struct HttpLink {
    client: Client<HttpConnector, Full<Bytes>>,
    seal: Seal,
}

impl HttpLink {
    pub(crate) fn new(keyring: Arc<dyn Keyring>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_MAX));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PONG_MAX)
            .build(connector);
        Self { client, seal: Seal(keyring) }
    }
}

impl Link for HttpLink {
    fn send(&self, address: &str, batch: Bytes) -> BoxFuture<'static, Result<Replies, LinkError>> {
        self.ask(address, COMMANDS, batch)
    }
}

impl HttpLink {
    /// What the node says to the question whether its read models have passed something.
    pub(crate) async fn passed(&self, address: &str, passing: &Passing) -> Result<Result<(), Waits>, LinkError> {
        let question = serde_json::to_vec(passing).expect("a question is plain data");
        let mut replies = self.ask(address, PASSED, question.into()).await?;
        let lost = |why: String| LinkError::Lost(why);
        let line = replies.next().await.ok_or_else(|| lost("no reply".to_owned()))??;
        serde_json::from_slice(&line).map_err(|error| lost(error.to_string()))
    }

    fn ask(&self, address: &str, path: &str, body: Bytes) -> BoxFuture<'static, Result<Replies, LinkError>> {
        let now = Timestamp::now();
        let digest = digest_of(&body);
        let mac = self.seal.of_request(path, now, &digest);
        let request = Request::post(format!("http://{address}{path}"))
            .header(TIME, now.0.to_string())
            .header(DIGEST, text(&digest))
            .header(MAC, text(&mac))
            .body(Full::new(body));
        let (client, seal) = (self.client.clone(), self.seal.clone());
        async move {
            let request = request.map_err(|error| LinkError::Refused(error.to_string()))?;
            let answer = client.request(request).await.map_err(|error| {
                let why = format!("{error}: {:?}", std::error::Error::source(&error));
                if error.is_connect() { LinkError::Refused(why) } else { LinkError::Lost(why) }
            })?;
            match answer.status() {
                StatusCode::OK => Ok(replies(answer.into_body(), seal, mac)),
                status => Err(LinkError::Refused(status.to_string())),
            }
        }
        .boxed()
    }
}

/// The lines of an answer, each checked against its MAC.
fn replies(body: Incoming, seal: Seal, request: [u8; 32]) -> Replies {
    let reading = Reading { body, buffer: Vec::new(), seal, request };
    stream::try_unfold(reading, |mut reading| async move { Ok(reading.line().await?.map(|line| (line, reading))) })
        .boxed()
}

struct Reading {
    body: Incoming,
    buffer: Vec<u8>,
    seal: Seal,
    request: [u8; 32],
}

impl Reading {
    async fn line(&mut self) -> Result<Option<Bytes>, LinkError> {
        let lost = |why: &str| LinkError::Lost(why.to_owned());
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let space = line.iter().position(|byte| *byte == b' ').ok_or_else(|| lost("a line without a MAC"))?;
                let (mac, line) = (&line[..space], &line[space + 1..end]);
                if !same(mac, &self.seal.of_reply(&self.request, line)) {
                    return Err(lost("a reply that the other node did not make"));
                }
                return Ok(Some(Bytes::copy_from_slice(line)));
            }
            if self.buffer.len() > LINE_MAX {
                return Err(lost("a reply without end"));
            }
            match self.body.frame().await {
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(lost("half a reply")),
                Some(Err(error)) => return Err(LinkError::Lost(error.to_string())),
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }
}
