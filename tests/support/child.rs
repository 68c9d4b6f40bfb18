//! The real program as a child process: started, killed without warning, started again on the same directory.

use anyhow::{Context, Result, bail, ensure};
use events::Timestamp;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// How long a server may take until it is ready.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a node that has not answered is left out, where there are others.
const LEFT_OUT: Duration = Duration::from_secs(1);
/// How often nodes are asked whether they are ready.
const HEALTH_EVERY: Duration = Duration::from_millis(100);
/// How long a client waits before it asks again.
const RETRY_DELAY: Duration = Duration::from_millis(25);
/// How long a client asks before it gives up: through the longest outage that a test makes, and until all is as it was.
const ANSWER_MAX: Duration = Duration::from_secs(150);

/// The built program, beside the test's own executable.
pub fn tidings() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let built = test.parent().and_then(Path::parent).expect("target/debug/deps/test").join("tidings");
    assert!(built.exists(), "{} is not built: run `cargo build --bin tidings` (`./dev test` does)", built.display());
    built
}

/// A server in a process of its own; killed when dropped.
pub struct Server {
    data: PathBuf,
    port: u16,
    child: Child,
    environment: Environment,
}

/// What a child's environment holds more than this process's.
pub type Environment = Vec<(&'static str, OsString)>;

impl Server {
    /// Starts it on a free loopback port and waits until it is ready.
    pub async fn start(data: &Path) -> Result<Self> {
        Self::start_in(data, Environment::new()).await
    }

    /// The same, with more in its environment.
    pub async fn start_in(data: &Path, environment: Environment) -> Result<Self> {
        let server = Self::begin(data, environment)?;
        server.ready().await?;
        Ok(server)
    }

    /// The same without waiting: it may never be ready.
    pub fn begin(data: &Path, environment: Environment) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = spawn(data, port, &environment)?;
        Ok(Self { data: data.to_owned(), port, child, environment })
    }

    /// SIGKILL, and a new process on the same directory and port.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.kill()?;
        self.spawn()?;
        self.ready().await
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("cannot send {signal:?}"))
    }

    /// SIGTERM, and waits until it has stopped in order.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let (status, said) = self.ended().await?;
        ensure!(status.success(), "it did not stop in order: {said}");
        Ok(())
    }

    /// A new process after one that has ended, which may not be ready for a while.
    pub fn spawn(&mut self) -> Result<()> {
        self.child = spawn(&self.data, self.port, &self.environment)?;
        Ok(())
    }

    /// What is spawned from here on has nothing more in its environment than this process.
    pub fn clear_environment(&mut self) {
        self.environment.clear();
    }

    /// Waits until it has ended by itself; how, and all that it and those before it have said.
    pub async fn ended(&mut self) -> Result<(ExitStatus, String)> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, std::fs::read_to_string(log_of(&self.data))?));
            }
            ensure!(begun.elapsed() < READY_MAX, "it did not end within {READY_MAX:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until it serves.
    pub async fn ready(&self) -> Result<()> {
        let client = HttpClient::new(self.url());
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if matches!(client.send(Method::GET, "/readyz", None, &[]).await, Ok((StatusCode::OK, _))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the server was not ready within {READY_MAX:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_of(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn spawn(data: &Path, port: u16, environment: &Environment) -> Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(log_of(data))?;
    Command::new(tidings())
        .args(["serve", "--data"])
        .arg(data)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        // What runs in a process of its own is loaded hard.
        .env("TIDINGS_RATE_LIMITS", "off")
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("starting tidings serve")
}

/// A node as its clients see it.
struct Node {
    url: String,
    /// Until then nobody asks it unless all are so, as a load balancer leaves out what did not answer.
    left_out: Mutex<Instant>,
    /// What it says of itself, if anybody looks.
    ready: AtomicBool,
}

/// A plain client of the API, on one node or on several.
pub struct HttpClient {
    nodes: Arc<[Node]>,
    /// Which node it asks.
    at: AtomicUsize,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl Clone for HttpClient {
    /// Begins at another node, so that clones spread over all of them.
    fn clone(&self) -> Self {
        let at = AtomicUsize::new(self.at.fetch_add(1, Ordering::Relaxed));
        Self { nodes: Arc::clone(&self.nodes), at, client: self.client.clone() }
    }
}

impl HttpClient {
    /// A client of the server at this address.
    pub fn new(url: String) -> Self {
        Self::of(vec![url])
    }

    /// A client of several nodes.
    pub fn of(urls: Vec<String>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let nodes = urls
            .into_iter()
            .map(|url| Node { url, left_out: Mutex::new(Instant::now()), ready: AtomicBool::new(true) })
            .collect();
        Self { nodes, at: AtomicUsize::new(0), client }
    }

    /// Whether a request may be answered by another process than the one that it was sent to.
    pub fn has_several_nodes(&self) -> bool {
        self.nodes.len() > 1
    }

    /// A client of the same nodes that shares no connection with this one, and begins at the node of this number.
    pub fn with_own_connections(&self, at: usize) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { nodes: Arc::clone(&self.nodes), at: AtomicUsize::new(at), client }
    }

    /// The node that it asked last has not answered: for a while another one is asked, by all clones.
    pub fn move_on(&self) {
        *self.nodes[self.at.load(Ordering::Relaxed) % self.nodes.len()].left_out.lock() = Instant::now() + LEFT_OUT;
    }

    /// From here on asks every node again and again whether it is ready, as a load balancer does, and all clones leave
    /// out those that are not.
    pub fn check_health(&self) -> AbortOnDropHandle<()> {
        let nodes = Arc::clone(&self.nodes);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                for node in nodes.iter() {
                    let answer = Self::new(node.url.clone()).send(Method::GET, "/readyz", None, &[]).await;
                    node.ready.store(matches!(answer, Ok((StatusCode::OK, _))), Ordering::Relaxed);
                }
                tokio::time::sleep(HEALTH_EVERY).await;
            }
        }))
    }

    fn url(&self) -> &str {
        let (at, now) = (self.at.load(Ordering::Relaxed), Instant::now());
        let order = (at..at + self.nodes.len()).map(|n| n % self.nodes.len());
        let ready = |n: &usize| self.nodes[*n].ready.load(Ordering::Relaxed);
        let fit = |n: &usize| ready(n) && *self.nodes[*n].left_out.lock() <= now;
        let chosen = order.clone().find(fit).or_else(|| order.clone().find(ready));
        let chosen = chosen.unwrap_or(at % self.nodes.len());
        self.at.store(chosen, Ordering::Relaxed);
        &self.nodes[chosen].url
    }

    /// One request; an error means that there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<(StatusCode, Value)> {
        let (parts, body) = self.exchange(method, path, body, headers).await?;
        Ok((parts.status, body))
    }

    /// The same, with the headers of the answer.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<(http::response::Parts, Value)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| bytes::Bytes::from(body.to_string())).unwrap_or_default();
        let answer = self.client.request(request.body(Full::new(bytes))?).await?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await?.to_bytes();
        Ok((parts, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// A write that must succeed at once: its answer, and its consistency token.
    pub async fn written(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Result<(Value, String)> {
        let (parts, body) = self.exchange(Method::POST, path, Some(body), headers).await?;
        ensure!(parts.status.is_success(), "{path}: {} {body}", parts.status);
        let token = parts.headers.get("x-consistency-token").context("a write without a consistency token")?;
        Ok((body, token.to_str()?.to_owned()))
    }

    /// Asks with the same headers (and so the same `Idempotency-Key`) until there is an answer: no connection, 503,
    /// `InFlight` and 202, which says that it has begun, are none.
    pub async fn until_answered(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<(StatusCode, Value)> {
        let Answered { status, body, .. } = self.ask(method, path, body, headers).await?;
        Ok((status, body))
    }

    /// The same, with what came before the answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answered> {
        let begun = Instant::now();
        let (mut doubts, mut told_unknown) = (0, 0);
        loop {
            let last_sent = Timestamp::now();
            match self.send(method.clone(), path, body, headers).await {
                Ok((StatusCode::ACCEPTED, _)) => {}
                Ok((status, body)) if status != StatusCode::SERVICE_UNAVAILABLE && body["error"] != "InFlight" => {
                    return Ok(Answered { status, body, doubts, told_unknown, last_sent });
                }
                Ok((_, body)) => told_unknown += u32::from(body["outcome"] == "unknown"),
                Err(error) => doubts += u32::from(may_have_arrived(&error)),
            }
            ensure!(begun.elapsed() < ANSWER_MAX, "{method} {path}: no answer within {ANSWER_MAX:?}");
            self.pause().await;
        }
    }

    /// Asks until it is answered at all.
    pub async fn until_alive(&self) -> Result<(StatusCode, Value)> {
        self.until_answered(Method::GET, "/livez", None, &[]).await
    }

    /// What a client does that was not answered: waits for a moment, and then asks another node.
    pub async fn pause(&self) {
        self.move_on();
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// An answer, and how it was come by.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The body; null if there is none.
    pub body: Value,
    /// How often it was sent before without any answer.
    pub doubts: u32,
    /// How often it was answered that the outcome is unknown.
    pub told_unknown: u32,
    /// When it was sent the last time.
    pub last_sent: Timestamp,
}

fn may_have_arrived(error: &anyhow::Error) -> bool {
    !error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
}
