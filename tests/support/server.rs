//! A server inside the test's own process, over a directory of its own, and a client that holds every answer against
//! the server's own document.
//!
//! Whoever closes it learns whether the test left something behind: a parked event, an open saga.

mod document;

use crate::services::Services;
use crate::settled;
use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use document::Document;
use futures::{StreamExt, stream};
use gateway::telemetry::Metrics;
use gateway::{Config, DoorConfig, LogFormat, ReadModelsConfig, StoreConfig, TracesConfig};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use journal::{DecodedCommit, Journal, Partition, Reader};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Few, so that different keys meet on one.
const PARTITIONS: u32 = 4;
/// How long a saga may take to end.
const LOOK: Duration = Duration::from_millis(5);
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery";

/// A running server.
pub struct TestServer {
    directory: TempDir,
    address: SocketAddr,
    journal: Option<Arc<dyn Journal>>,
    stop: CancellationToken,
    running: JoinHandle<Result<()>>,
    client: HttpClient,
    document: Arc<Document>,
}

type HttpClient = Client<HttpConnector, UnsyncBoxBody<Bytes, Infallible>>;

/// Somebody who has registered.
#[derive(Clone, Debug)]
pub struct Person {
    /// The id.
    pub id: String,
    /// The address.
    pub email: String,
    /// The access token of a session.
    pub token: String,
}

/// A request to be.
pub struct Call<'a> {
    server: &'a TestServer,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    stalls: bool,
}

/// An answer that agrees with the document.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if there is none, a string if it is text.
    pub body: Value,
}

/// The settings of a test's server.
pub fn config(data: &Path) -> Config {
    Config {
        store: StoreConfig {
            data: data.to_owned(),
            partitions: Some(PARTITIONS),
            kafka_brokers: None,
            kafka_topic: "tidings.events".to_owned(),
            kafka_properties: Vec::new(),
            kafka_properties_file: None,
            keyring_url: None,
            keyring_url_file: None,
            dev: false,
        },
        read_models: ReadModelsConfig::default(),
        traces: TracesConfig::default(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        roles: gateway::Role::ALL.to_vec(),
        public_url: "http://127.0.0.1:8080".to_owned(),
        oidc_issuers: Vec::new(),
        log_format: LogFormat::Text,
        log: "off".to_owned(),
        internal_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        internal_advertise: None,
        threads: None,
        hashers: None,
        connections_max: 3_000,
        door: DoorConfig {
            // Raised rather than off, so that every answer has the headers that the document promises.
            rate_limits: "all=1000000".parse().expect("a setting"),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            connections_per_address_max: 3_000,
            write_timeout_ms: 30_000,
        },
        head_timeout_ms: 30_000,
        write_deadline_ms: 8_000,
        read_wait_ms: 5_000,
        session_lag_max_ms: 60_000,
        request_timeout_ms: 25_000,
        saga_stuck_s: 300,
        notice_ms: 0,
        drain_timeout_ms: 10_000,
    }
}

/// The URL of the keys of whoever served this directory, if some of their read models are in Redis.
pub fn redis_of(directory: &TempDir) -> Result<Option<String>> {
    let noted = || std::fs::read_to_string(directory.path().join(REDIS_NOTE));
    Ok(Services::of_read_models().map(|_| noted()).transpose()?)
}

/// Where it stands which keys are whose.
const REDIS_NOTE: &str = "redis-url";

/// Where the read models of whoever serves this directory are, if they are not in memory: each has databases and keys of its
/// own, which it finds again.
async fn read_models_of(directory: &TempDir) -> Result<ReadModelsConfig> {
    let Some(services) = Services::of_read_models() else { return Ok(ReadModelsConfig::default()) };
    let url = |name: &str, fresh: String| {
        let note = directory.path().join(name);
        async move {
            if let Ok(url) = std::fs::read_to_string(&note) {
                return Ok::<_, anyhow::Error>(Some(url));
            }
            gateway::migrate(&fresh).await?;
            std::fs::write(note, &fresh)?;
            Ok(Some(fresh))
        }
    };
    let database_url = url("database-url", services.fresh_database_url()).await?;
    let mongodb_url = url("mongodb-url", services.fresh_mongodb_url()).await?;
    let redis_url = url(REDIS_NOTE, services.fresh_redis_url()).await?;
    Ok(ReadModelsConfig { database_url, mongodb_url, redis_url, ..ReadModelsConfig::default() })
}

/// Has those read models be at this URL that are in servers of its scheme.
pub fn read_models_at(config: &mut Config, url: String) {
    let models = &mut config.read_models;
    let place = match &url {
        url if url.starts_with("mongodb") => &mut models.mongodb_url,
        url if url.starts_with("redis") => &mut models.redis_url,
        _ => &mut models.database_url,
    };
    *place = Some(url);
}

impl TestServer {
    /// A server over an empty directory.
    pub async fn start() -> Result<Self> {
        Self::over(tempfile::tempdir()?).await
    }

    /// A server over what stands in a directory.
    pub async fn over(directory: TempDir) -> Result<Self> {
        Self::over_with(directory, |_| {}).await
    }

    /// The same, with other settings.
    pub async fn over_with(directory: TempDir, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let mut config = config(&directory.path().join("data"));
        config.read_models = Box::pin(read_models_of(&directory)).await?;
        change(&mut config);
        let (server, ready) = Self::begin(directory, config).await?;
        ensure!(ready.await, "the server ended before it was ready");
        Ok(server)
    }

    /// One that waits for a log that does not answer, and says so until it is stopped.
    pub async fn waiting() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut config = config(directory.path());
        config.store.kafka_brokers = Some("127.0.0.1:1".to_owned());
        config.store.keyring_url = Some("postgres://127.0.0.1:1/nowhere".to_owned());
        Ok(Self::begin(directory, config).await?.0)
    }

    /// The same before it is ready, and what becomes true when it is.
    async fn begin(directory: TempDir, config: Config) -> Result<(Self, impl Future<Output = bool>)> {
        let server = Box::pin(gateway::Server::open(config, Metrics::detached()?)).await?;
        let (address, journal, ready) = (server.address(), server.journal(), server.ready());
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let document = Arc::new(Document::new(gateway::openapi())?);
        Ok((Self { directory, address, journal, stop, running, client, document }, ready))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Its admin token.
    pub fn admin_token(&self) -> Result<String> {
        Ok(gateway::AdminToken::read(&gateway::AdminToken::path(&self.data()))?.text().to_owned())
    }

    /// Tells it to stop, without waiting.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it as SIGTERM would.
    pub async fn stop(mut self) -> Result<TempDir> {
        self.journal = None;
        self.stop.cancel();
        self.running.await??;
        Ok(self.directory)
    }

    /// Stops it, and starts another on the same directory.
    pub async fn restart(self) -> Result<Self> {
        Self::over(self.stop().await?).await
    }

    /// Waits until every saga that has begun has ended, and the read models show it. An error if one does not.
    pub async fn settle(&self) -> Result<()> {
        let journal = self.journal.as_ref().context("the server has stopped")?;
        settled::all(journal, SETTLED_WITHIN).await?;
        self.caught_up().await
    }

    /// Waits until its read models have passed all that is in the log; what is parked is passed. In memory they have when it
    /// serves.
    pub async fn caught_up(&self) -> Result<()> {
        let caught_up = async {
            loop {
                let ready = self.get("/readyz").send().await?;
                let behind = ready.body["behind"].as_array().context("not ready")?;
                if behind.iter().all(|model| model["records"] == 0) {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        };
        timeout(SETTLED_WITHIN, caught_up).await.context("the read models stay behind")?
    }

    /// Every commit of the log, with its key.
    pub async fn commits(&self) -> Result<Vec<DecodedCommit>> {
        let journal = self.journal.as_ref().context("the server has stopped")?;
        let mut all = Vec::new();
        for partition in (0..journal.partitions()).map(Partition) {
            let mut reader = Reader::from_start(Arc::clone(journal), partition).await?;
            loop {
                let commits = reader.commits().await?;
                if commits.is_empty() {
                    break;
                }
                all.extend(commits);
            }
        }
        Ok(all)
    }

    /// Stops it. An error if something was left behind.
    pub async fn close(self) -> Result<()> {
        self.settle().await?;
        let ready = self.get("/readyz").send().await?;
        ensure!(ready.body["parked"] == json!([]), "parked events are left behind: {}", ready.body);
        let directory = self.stop().await?;
        let journal: Arc<dyn Journal> = journal::embedded::open(&directory.path().join("data"), PARTITIONS)?.log;
        let open = settled::open(&journal).await?;
        ensure!(open.is_empty(), "sagas are left open: {open:?}");
        Ok(())
    }

    /// How many records the log holds, when every saga that has begun has ended.
    pub async fn records(&self) -> Result<u64> {
        self.settle().await?;
        let journal = self.journal.as_ref().context("the server has stopped")?;
        let mut records = 0;
        for partition in (0..journal.partitions()).map(Partition) {
            records += journal.end(partition).await?;
        }
        Ok(records)
    }

    /// A GET.
    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }

    /// A POST.
    pub fn post(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// Any request.
    pub fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call { server: self, method, path: path.into(), headers: Vec::new(), body: Vec::new(), stalls: false }
    }

    /// Registers somebody.
    pub async fn register(&self, name: &str) -> Result<Person> {
        let email = format!("{name}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "username": name });
        let answer = self.post("/users/auth/register").json(&body).send().await?;
        ensure!(answer.status == StatusCode::CREATED, "{name} was not registered: {}", answer.body);
        Ok(Person { id: answer.text("id"), email, token: answer.text("access_token") })
    }

    /// Publishes a post and returns its id.
    pub async fn publish(&self, author: &Person, content: &str) -> Result<String> {
        let answer = self.post("/posts").by(author).json(&json!({ "content": content })).send().await?;
        ensure!(answer.status == StatusCode::CREATED, "not published: {}", answer.body);
        Ok(answer.text("id"))
    }
}

impl Call<'_> {
    /// As this person.
    #[must_use]
    pub fn by(self, person: &Person) -> Self {
        self.token(&person.token)
    }

    /// With this token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Under this `Idempotency-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.raw(body.to_string()).header("content-type", "application/json")
    }

    /// With any body, and no content type.
    #[must_use]
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of which the end never comes.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.stalls = true;
        self
    }

    /// Sends it. An error if there is no answer, or one that the document does not promise.
    pub async fn send(self) -> Result<Answer> {
        let Self { server, method, path, headers, body, stalls } = self;
        let mut request = Request::builder().method(&method).uri(format!("http://{}{path}", server.address));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = match stalls {
            false => Full::new(body.into()).boxed_unsync(),
            true => {
                StreamBody::new(stream::iter([Ok(Frame::data(body.into()))]).chain(stream::pending())).boxed_unsync()
            }
        };
        let answer = server.client.request(request.body(body)?).await?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let is_text = parts.headers.get("content-type").is_some_and(|it| it.as_bytes().starts_with(b"text/plain"));
        let body = match serde_json::from_slice(&bytes) {
            _ if is_text => Value::String(String::from_utf8(bytes.into())?),
            Ok(body) => body,
            Err(_) if bytes.is_empty() => Value::Null,
            Err(error) => return Err(error).with_context(|| format!("{method} {path}: the body is not JSON")),
        };
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        let broken = server.document.check(&method, &path, &answer);
        broken.map_err(|promise| anyhow!("{method} {path}: {} {}: {promise}", answer.status, answer.body))?;
        Ok(answer)
    }
}

impl Answer {
    /// A field that is a string.
    pub fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body)).to_owned()
    }

    /// The items of a list.
    pub fn items(&self, list: &str) -> &[Value] {
        self.body[list].as_array().unwrap_or_else(|| panic!("no {list} in {}", self.body))
    }

    /// The ids of the items of a list.
    pub fn ids(&self, list: &str) -> Vec<&str> {
        self.items(list).iter().filter_map(|item| item["id"].as_str()).collect()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Status and name of an error, to compare with.
    pub fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["error"].as_str().unwrap_or_default())
    }
}
