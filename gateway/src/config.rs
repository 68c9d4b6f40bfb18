//! What can be configured. The doc comments are the help.

mod door;
mod read_models;
mod secret;
mod traces;

pub use door::DoorConfig;
pub use read_models::ReadModelsConfig;
pub use traces::TracesConfig;

use crate::backend::Limits;
use crate::oidc::OidcIssuer;
use crate::roles::{Role, Roles};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use commands::REQUEST_DEADLINE_MAX;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Environment variables that name servers which this version cannot use.
pub const SERVERS: [&str; 1] = ["MEDIA_URL"];

/// The settings of a server.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the log and its keyring are
    #[command(flatten)]
    pub store: StoreConfig,

    /// Where the read models are
    #[command(flatten)]
    pub read_models: ReadModelsConfig,

    /// Where traces go
    #[command(flatten)]
    pub traces: TracesConfig,

    /// What this node does, with commas; nodes that do not do everything share all read models in PostgreSQL, MongoDB and
    /// Redis. Either each node that feeds them owns partitions too, or none does
    #[arg(long, env = "TIDINGS_ROLES", value_enum, value_delimiter = ',', default_value = "gateway,owner,projections")]
    pub roles: Vec<Role>,

    /// The address to serve on
    #[arg(long, env = "TIDINGS_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The URL under which clients reach the API, the same on every node: the issuer of access tokens. With another one
    /// the tokens that were given before are not taken any more, but can be refreshed
    #[arg(long, env = "TIDINGS_PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
    pub public_url: String,

    /// Issuers whose tokens are taken beside our own, as `URL=AUDIENCE`, with commas: OpenID Connect providers, Supabase
    /// Auth among them. Whoever is first seen gets an account, with the address that the issuer vouches for
    #[arg(long, env = "TIDINGS_OIDC_ISSUERS", value_delimiter = ',')]
    pub oidc_issuers: Vec<OidcIssuer>,

    /// The form of the log on standard output
    #[arg(long, env = "TIDINGS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, as directives like `info` or `warn,tidings_gateway=debug`
    #[arg(long, env = "TIDINGS_LOG", default_value = "info,fjall=warn,lsm_tree=warn")]
    pub log: String,

    /// Where this node takes commands of other nodes; used on Kafka only, and for nobody but them
    #[arg(long, env = "TIDINGS_INTERNAL_LISTEN", default_value = "127.0.0.1:0")]
    pub internal_listen: SocketAddr,

    /// `host:port` under which other nodes reach that address [default: the address itself]
    #[arg(long, env = "TIDINGS_INTERNAL_ADVERTISE")]
    pub internal_advertise: Option<String>,

    /// Threads that serve requests [default: one per core]
    #[arg(long, env = "TIDINGS_THREADS")]
    pub threads: Option<usize>,

    /// Passwords that are hashed at one time; each takes 19 MiB [default: one per core]
    #[arg(long, env = "TIDINGS_HASHERS")]
    pub hashers: Option<usize>,

    /// Connections at one time; further ones wait
    #[arg(long, env = "TIDINGS_CONNECTIONS_MAX", default_value_t = 10_000)]
    pub connections_max: usize,

    /// Who may ask for how much, and from where
    #[command(flatten)]
    pub door: DoorConfig,

    /// How long a client may take to send the head of a request, and may keep an idle connection, in milliseconds
    #[arg(long, env = "TIDINGS_HEAD_TIMEOUT_MS", default_value_t = 30_000)]
    pub head_timeout_ms: u64,

    /// How long a write may wait to be decided, in milliseconds; 10000 at most
    #[arg(long, env = "TIDINGS_WRITE_DEADLINE_MS", default_value_t = 8_000)]
    pub write_deadline_ms: u64,

    /// How long a read waits for what its client has written, in milliseconds
    #[arg(long, env = "TIDINGS_READ_WAIT_MS", default_value_t = 2_000)]
    pub read_wait_ms: u64,

    /// A node that has heard nothing of the log for so long answers 503 to whoever brings a token, since their session
    /// may have been ended on another node, in milliseconds; used on Kafka only
    #[arg(long, env = "TIDINGS_SESSION_LAG_MAX_MS", default_value_t = 60_000)]
    pub session_lag_max_ms: u64,

    /// How long a request may take in all, in milliseconds
    #[arg(long, env = "TIDINGS_REQUEST_TIMEOUT_MS", default_value_t = 25_000)]
    pub request_timeout_ms: u64,

    /// A saga that has not got on for so long is called stuck, by /readyz and by a metric, in seconds
    #[arg(long, env = "TIDINGS_SAGA_STUCK_S", default_value_t = 300)]
    pub saga_stuck_s: u64,

    /// How long a node that was told to stop still serves while it says that it is not ready, so that load balancers
    /// send nobody any more when it stops, in milliseconds
    #[arg(long, env = "TIDINGS_NOTICE_MS", default_value_t = 0)]
    pub notice_ms: u64,

    /// How long requests in flight may take to finish after SIGTERM, in milliseconds
    #[arg(long, env = "TIDINGS_DRAIN_TIMEOUT_MS", default_value_t = 10_000)]
    pub drain_timeout_ms: u64,
}

/// Where a log and its keyring are: both in a directory, or on Kafka and in PostgreSQL.
#[derive(Args, Clone, Debug)]
pub struct StoreConfig {
    /// The directory of the log and the keyring, and of the file with the admin token; made if it is not there. On Kafka
    /// it holds only the latter
    #[arg(long, env = "TIDINGS_DATA", default_value = "./data")]
    pub data: PathBuf,

    /// The number of partitions of a log that is made; of one that exists it stays [default: 8, and 64 on Kafka]
    #[arg(long, env = "TIDINGS_PARTITIONS")]
    pub partitions: Option<u32>,

    /// The log is a Kafka topic rather than in the data directory: `host:port` of brokers, with commas
    #[arg(long, env = "KAFKA_BROKERS")]
    pub kafka_brokers: Option<String>,

    /// The log's topic; others that belong to it have names that begin with it
    #[arg(long, env = "KAFKA_TOPIC", default_value = "tidings.events")]
    pub kafka_topic: String,

    /// Further settings of the Kafka client, such as `security.protocol=SASL_PLAINTEXT`, with commas
    #[arg(long, env = "KAFKA_PROPERTIES", hide_env_values = true, value_delimiter = ',')]
    pub kafka_properties: Vec<String>,

    /// A file with more of them, one a line: for those that are secrets, such as `sasl.password=...`
    #[arg(long, env = "KAFKA_PROPERTIES_FILE")]
    pub kafka_properties_file: Option<PathBuf>,

    /// The keyring of a log on Kafka: a PostgreSQL database of its own, as a `postgres://` URL
    #[arg(long, env = "KEYRING_URL", hide_env_values = true)]
    pub keyring_url: Option<String>,

    /// A file with that URL in it, instead of the URL
    #[arg(long, env = "KEYRING_URL_FILE")]
    pub keyring_url_file: Option<PathBuf>,

    /// Accept a Kafka that loses what was acknowledged when its machine fails: one broker, one replica
    #[arg(long, env = "TIDINGS_DEV")]
    pub dev: bool,
}

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Refuses what cannot be: an error names the setting.
    pub fn check(&self) -> Result<()> {
        let deadline_max_ms = REQUEST_DEADLINE_MAX.as_millis();
        ensure!(
            (1..=deadline_max_ms).contains(&u128::from(self.write_deadline_ms)),
            "--write-deadline-ms must be 1 to {deadline_max_ms}"
        );
        ensure!(
            self.request_timeout_ms > self.write_deadline_ms,
            "--request-timeout-ms must be more than --write-deadline-ms"
        );
        let is_http = |uri: http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
        ensure!(
            self.public_url.parse().is_ok_and(is_http),
            "--public-url must be an http or https URL without a query: {}",
            self.public_url
        );
        ensure!(self.connections_max > 0, "--connections-max must be 1 or more");
        ensure!(self.threads != Some(0), "--threads must be 1 or more");
        ensure!(self.hashers != Some(0), "--hashers must be 1 or more");
        ensure!(self.head_timeout_ms > 0, "--head-timeout-ms must be 1 or more");
        self.door.check()?;
        if self.store.is_shared() {
            ensure!(
                self.internal_advertise.is_some() || !self.internal_listen.ip().is_unspecified(),
                "--internal-advertise is missing: other nodes cannot reach {}",
                self.internal_listen
            );
        }
        ensure!(
            self.store.is_shared() || self.internal_advertise.is_none(),
            "TIDINGS_INTERNAL_ADVERTISE is set, but KAFKA_BROKERS is not: only nodes of a log on Kafka reach each other"
        );
        self.read_models.check()?;
        Roles::check(self)?;
        self.traces.check()?;
        self.store.check()
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            write_deadline: Duration::from_millis(self.write_deadline_ms),
            read_wait: Duration::from_millis(self.read_wait_ms),
            request: Duration::from_millis(self.request_timeout_ms),
        }
    }

    /// The public URL, without a slash at its end.
    pub(crate) fn issuer(&self) -> &str {
        self.public_url.trim_end_matches('/')
    }

    pub(crate) fn hashers(&self) -> usize {
        self.hashers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
    }
}

impl StoreConfig {
    /// Whether other nodes can be on the same log.
    pub fn is_shared(&self) -> bool {
        self.kafka_brokers.is_some()
    }

    /// The URL of the keyring, wherever it stands.
    pub(crate) fn keyring_url(&self) -> Result<Option<String>> {
        secret::read("KEYRING_URL", self.keyring_url.as_deref(), self.keyring_url_file.as_deref())
    }

    /// The settings of the Kafka client, wherever they stand.
    pub(crate) fn kafka_properties(&self) -> Result<Vec<(String, String)>> {
        let name = "KAFKA_PROPERTIES";
        let file = secret::read(name, None, self.kafka_properties_file.as_deref())?.unwrap_or_default();
        let lines = file.lines().filter(|line| !line.trim().is_empty());
        let all = self.kafka_properties.iter().map(String::as_str).chain(lines);
        all.map(|text| property(text).with_context(|| name)).collect()
    }

    /// The log and its keyring are either both in the data directory, or neither is: an error names what is missing.
    pub fn check(&self) -> Result<()> {
        let has_properties = !self.kafka_properties()?.is_empty();
        ensure!(
            self.kafka_brokers.is_some() || !has_properties,
            "KAFKA_PROPERTIES is set, but KAFKA_BROKERS is not: there is no Kafka that they are for"
        );
        match (&self.kafka_brokers, self.keyring_url()?) {
            (Some(_), None) => bail!(
                "KAFKA_BROKERS is set, but KEYRING_URL is not, nor KEYRING_URL_FILE: the nodes of a log on Kafka share \
                 their keys in a PostgreSQL database"
            ),
            (None, Some(_)) => bail!(
                "KEYRING_URL is set, but KAFKA_BROKERS is not: a log in the data directory has its keyring beside it"
            ),
            (Some(_), Some(_)) if cfg!(not(feature = "servers")) => bail!(
                "KAFKA_BROKERS is set, but this program was built without the feature `servers` and runs embedded only"
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
        Ok(())
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kafka_brokers {
            None => self.data.display().fmt(f),
            Some(brokers) => write!(f, "the topic {} on {brokers}", self.kafka_topic),
        }
    }
}

/// An error does not show the text: it may be a secret.
fn property(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected name=value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Refuses to run beside servers that were configured and would not be used.
pub fn refuse_servers(is_set: impl Fn(&str) -> bool) -> Result<()> {
    let set = SERVERS.into_iter().filter(|name| is_set(name)).collect::<Vec<_>>();
    if !set.is_empty() {
        bail!(
            "{} is set, but this version uses no server but Kafka, PostgreSQL, MongoDB and Redis, and keeps in memory what is \
             not in these; unset it to go on",
            set.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_server_is_named_and_not_ignored() {
        assert!(refuse_servers(|_| false).is_ok());
        let error = refuse_servers(|name| name == "MEDIA_URL").unwrap_err().to_string();
        assert!(error.starts_with("MEDIA_URL is set") && error.contains("in memory"), "{error}");
    }
}
