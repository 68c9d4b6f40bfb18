//! The HTTP client: one request at a time for its caller, repeated as it stands (with the same `Idempotency-Key`) until
//! it is answered, and given up loudly at a limit.
//!
//! Repeated are lost connections, timeouts, 429, 503, 409 `InFlight`, 202 (it has begun, and the same request is told
//! when it is done; a deletion has a ticket for that), and reads that the server itself marks as stale.
//! Every other answer is the caller's to judge.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use rand::RngExt as _;
use serde_json::Value;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// After so many attempts, or so long, a request is given up.
const ATTEMPTS_MAX: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(180);
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A longer `Retry-After` is cut to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// One request without its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) key: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `Null` if empty; a string if it is not JSON.
    pub(crate) body: Value,
    pub(crate) attempts: u32,
    /// It was lost, and follows from the answer to the same request sent again.
    pub(crate) inferred: bool,
}

/// Cheap to clone; clones share connections and counts. Requests go to all nodes in turn, whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    bases: Arc<[String]>,
    counts: Arc<Counts>,
    patience: Duration,
}

#[derive(Debug)]
struct Counts {
    requests: AtomicU64,
    repeats: AtomicU64,
    sent: AtomicUsize,
    waiting: AtomicUsize,
    silence: Mutex<Silence>,
}

/// The time without an answer that is final.
#[derive(Debug)]
struct Silence {
    since: Instant,
    longest: Duration,
    answers: u64,
    slowest: Duration,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, key: None }
    }

    pub(crate) fn post(path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method: Method::POST, path: path.into(), body, key: None }
    }

    pub(crate) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, path: path.into(), body: Some(body), key: None }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), body: None, key: None }
    }

    pub(crate) fn with_key(mut self, key: String) -> Self {
        self.key = Some(key);
        self
    }
}

impl Answer {
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, " (key {key})"))
    }
}

impl Client {
    pub(crate) fn new(base: &str, connections: usize) -> Result<Self> {
        Self::over(&[base.to_owned()], connections)
    }

    /// A client of several nodes.
    pub(crate) fn over(bases: &[String], connections: usize) -> Result<Self> {
        for base in bases {
            ensure!(base.starts_with("http://"), "the server's URL begins with http://, not as in `{base}`");
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = HyperClient::builder(TokioExecutor::new()).pool_max_idle_per_host(connections).build(connector);
        let counts = Counts {
            requests: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            sent: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            silence: Mutex::new(Silence::default()),
        };
        let bases = bases.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, bases, counts: Arc::new(counts), patience: PATIENCE })
    }

    /// Whether what one node has written is read of a moment later on another.
    pub(crate) fn has_several_nodes(&self) -> bool {
        self.bases.len() > 1
    }

    /// Forgets how long nobody was answered; what follows counts from now.
    pub(crate) fn listen(&self) {
        *self.counts.silence.lock() = Silence::default();
    }

    /// Answers since then.
    pub(crate) fn answers(&self) -> u64 {
        self.counts.silence.lock().answers
    }

    /// The longest time without an answer since then, with the one that is not over.
    pub(crate) fn silence(&self) -> Duration {
        let silence = self.counts.silence.lock();
        silence.longest.max(silence.since.elapsed())
    }

    /// The longest that anybody has waited for an answer which has come since then, through all attempts.
    pub(crate) fn slowest(&self) -> Duration {
        self.counts.silence.lock().slowest
    }

    /// A client of each node by itself; the counts are those of all.
    pub(crate) fn of_each(&self) -> Vec<Self> {
        let only = |base: &String| Self { bases: [base.clone()].into(), ..self.clone() };
        self.bases.iter().map(only).collect()
    }

    /// Sends the call until it is answered.
    pub(crate) async fn exchange(&self, call: &Call, token: Option<&str>) -> Result<Answer> {
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        let answer = self.until_answered(call, token).await;
        self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    /// Whether somebody has asked and is not answered yet.
    pub(crate) fn is_asked(&self) -> bool {
        self.counts.waiting.load(Ordering::Relaxed) > 0
    }

    async fn until_answered(&self, call: &Call, token: Option<&str>) -> Result<Answer> {
        let started = Instant::now();
        let mut location = None;
        for attempt in 1..=ATTEMPTS_MAX {
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            let outcome = self.attempt(call, token).await;
            let (reason, asked) = match outcome {
                Ok(mut answer) => match retry(call, &answer) {
                    None => {
                        answer.attempts = attempt;
                        if let Some(location) = location {
                            answer.headers.entry(LOCATION).or_insert(location);
                        }
                        self.counts.silence.lock().end(started);
                        return Ok(answer);
                    }
                    Some(retry) => {
                        // Where to look for what may have begun, which the final answer may not know.
                        location = answer.headers.remove(LOCATION).or(location);
                        retry
                    }
                },
                Err(error) => (format!("{error:#}"), None),
            };
            self.counts.repeats.fetch_add(1, Ordering::Relaxed);
            if started.elapsed() > self.patience {
                bail!("gave up {call} after {attempt} attempts in {:?}: {reason}", started.elapsed());
            }
            tokio::time::sleep(pause(attempt, asked)).await;
        }
        bail!("gave up {call} after {ATTEMPTS_MAX} attempts")
    }

    /// Sends the call once; neither counted nor repeated.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answer> {
        self.attempt(call, None).await
    }

    /// All attempts so far.
    pub(crate) fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// The attempts that had to be repeated.
    pub(crate) fn repeats(&self) -> u64 {
        self.counts.repeats.load(Ordering::Relaxed)
    }

    async fn attempt(&self, call: &Call, token: Option<&str>) -> Result<Answer> {
        let request = self.request(call, token)?;
        let exchange = async {
            let (parts, body) = self.http.request(request).await.context("no answer")?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(anyhow::Error::from_boxed).context("half an answer")?.to_bytes();
            let body = match body.as_ref() {
                [] => Value::Null,
                body => serde_json::from_slice(body)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned())),
            };
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, attempts: 0, inferred: false })
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.context("timed out")?
    }

    fn base(&self) -> &str {
        &self.bases[self.counts.sent.fetch_add(1, Ordering::Relaxed) % self.bases.len()]
    }

    fn request(&self, call: &Call, token: Option<&str>) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(&call.method).uri(format!("{}{}", self.base(), call.path));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if call.method == Method::GET {
            // Rather no answer yet than one from before our own writes.
            request = request.header("prefer", "consistency=strict");
        }
        let body = match &call.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body).context("cannot write the body")?)
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body)).with_context(|| format!("cannot build {call}"))
    }
}

impl Default for Silence {
    fn default() -> Self {
        Self { since: Instant::now(), longest: Duration::ZERO, answers: 0, slowest: Duration::ZERO }
    }
}

impl Silence {
    /// An answer, to who has asked for it since then.
    fn end(&mut self, asked: Instant) {
        self.answers += 1;
        self.slowest = self.slowest.max(asked.elapsed());
        self.longest = self.longest.max(self.since.elapsed());
        self.since = Instant::now();
    }
}

/// Why the answer is not final, and how long the server asks to wait.
fn retry(call: &Call, answer: &Answer) -> Option<(String, Option<Duration>)> {
    let in_flight = answer.status == 409 && answer.body["error"] == "InFlight";
    let stale = call.method == Method::GET && answer.headers.get("x-consistency").is_some_and(|value| value == "stale");
    let begun = call.method != Method::DELETE && answer.status == 202;
    if !in_flight && !stale && !begun && !matches!(answer.status, 429 | 503) {
        return None;
    }
    let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let reason = if stale { "the answer is stale".to_owned() } else { format!("answered {}", answer.status) };
    Some((reason, asked.map(Duration::from_secs)))
}

/// What the server asked for, or twice as long each time; up to as much again at random, so that clients spread.
fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    let doubled = BACKOFF_FIRST * 2_u32.saturating_pow((attempt - 1).min(10));
    let base = asked.map_or(doubled.min(BACKOFF_MAX), |asked| asked.min(RETRY_AFTER_MAX).max(BACKOFF_FIRST));
    base.mul_f64(rand::rng().random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each connection with the next of these, and returns what it was sent.
    async fn canned(answers: Vec<&'static str>) -> (Client, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), 1).unwrap();
        let server = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..read]).to_lowercase());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        (client, server)
    }

    fn write() -> Call {
        Call::post("/posts", Some(serde_json::json!({"content": "x"}))).with_key("demo-key-1".to_owned())
    }

    const CREATED: &str = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 8\r\n\r\n{\"id\":1}";

    #[tokio::test]
    async fn a_write_is_repeated_with_the_same_key_until_it_is_answered() {
        let (client, server) = canned(vec![
            "",
            "HTTP/1.1 503 Unavailable\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 409 Conflict\r\nconnection: close\r\ncontent-length: 20\r\n\r\n{\"error\":\"InFlight\"}",
            "HTTP/1.1 201 Created\r\ncontent-length: 800\r\n\r\n{\"id\"",
            "HTTP/1.1 429 Too Many\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            CREATED,
        ])
        .await;
        let answer = client.exchange(&write(), Some("token")).await.unwrap();
        assert_eq!((answer.status, answer.attempts, &answer.body["id"]), (201, 6, &Value::from(1)));
        let requests = server.await.unwrap();
        assert!(requests.iter().all(|request| request.contains("idempotency-key: demo-key-1")), "{requests:?}");
        assert_eq!(client.repeats(), 5);
    }

    #[tokio::test]
    async fn where_a_deletion_is_told_of_stays_known_when_the_answer_is_lost() {
        let (client, _server) = canned(vec![
            "HTTP/1.1 503 Unavailable\r\nlocation: /deletions/7\r\nretry-after: 0\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n",
            "",
            "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 202 Accepted\r\nlocation: /deletions/8\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        ])
        .await;
        for (status, location) in [(401, "/deletions/7"), (202, "/deletions/8")] {
            let answer = client.exchange(&Call::delete("/users/me"), Some("token")).await.unwrap();
            assert_eq!((answer.status, answer.location()), (status, Some(location)));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_final() {
        for status in ["400 Bad", "404 Not Found", "409 Conflict", "500 Oops"] {
            let refusal = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").leak();
            let (client, _server) = canned(vec![refusal]).await;
            assert_eq!(client.exchange(&write(), None).await.unwrap().attempts, 1);
        }
    }

    #[tokio::test]
    async fn a_stale_read_is_read_again() {
        let (client, _server) = canned(vec![
            "HTTP/1.1 200 OK\r\nx-consistency: stale\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\ntext",
        ])
        .await;
        let answer = client.exchange(&Call::get("/posts"), None).await.unwrap();
        assert_eq!(answer.body, "text");
    }

    #[tokio::test]
    async fn an_unreachable_server_is_given_up() {
        let mut client = Client::new("http://127.0.0.1:9", 1).unwrap();
        client.patience = Duration::ZERO;
        let error = client.exchange(&write(), None).await.unwrap_err().to_string();
        assert!(error.contains("gave up POST /posts") && error.contains("demo-key-1"), "{error}");
    }

    #[test]
    fn pauses_are_bounded_whatever_the_server_asks() {
        assert!(pause(1, Some(Duration::from_secs(3600))) <= RETRY_AFTER_MAX);
        assert!(pause(ATTEMPTS_MAX, None) <= BACKOFF_MAX);
        assert!(pause(1, Some(Duration::ZERO)) > Duration::ZERO);
    }
}
