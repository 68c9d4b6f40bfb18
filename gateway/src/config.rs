//! What can be configured. The doc comments are the help.

use crate::backend::Limits;
use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use commands::REQUEST_DEADLINE_MAX;
use journal::embedded::PARTITIONS_DEFAULT;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Environment variables that name servers which this version cannot use.
pub const SERVERS: [&str; 5] = ["KAFKA_BROKERS", "DATABASE_URL", "MONGODB_URL", "REDIS_URL", "MEDIA_URL"];

/// The settings of a server.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The directory of the log and the keyring; made if it is not there
    #[arg(long, env = "TIDINGS_DATA", default_value = "./data")]
    pub data: PathBuf,

    /// The address to serve on
    #[arg(long, env = "TIDINGS_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The form of the log on standard output
    #[arg(long, env = "TIDINGS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, as directives like `info` or `warn,tidings_gateway=debug`
    #[arg(long, env = "TIDINGS_LOG", default_value = "info,fjall=warn,lsm_tree=warn")]
    pub log: String,

    /// The number of partitions of a log that is made; of one that exists it stays
    #[arg(long, env = "TIDINGS_PARTITIONS", default_value_t = PARTITIONS_DEFAULT)]
    pub partitions: u32,

    /// Threads that serve requests [default: one per core]
    #[arg(long, env = "TIDINGS_THREADS")]
    pub threads: Option<usize>,

    /// Passwords that are hashed at one time; each takes 19 MiB [default: one per core]
    #[arg(long, env = "TIDINGS_HASHERS")]
    pub hashers: Option<usize>,

    /// Connections at one time; further ones wait
    #[arg(long, env = "TIDINGS_CONNECTIONS_MAX", default_value_t = 10_000)]
    pub connections_max: usize,

    /// How long a client may take to send the head of a request, and may keep an idle connection, in milliseconds
    #[arg(long, env = "TIDINGS_HEAD_TIMEOUT_MS", default_value_t = 30_000)]
    pub head_timeout_ms: u64,

    /// How long a write may wait to be decided, in milliseconds; 10000 at most
    #[arg(long, env = "TIDINGS_WRITE_DEADLINE_MS", default_value_t = 8_000)]
    pub write_deadline_ms: u64,

    /// How long a read waits for what its client has written, in milliseconds
    #[arg(long, env = "TIDINGS_READ_WAIT_MS", default_value_t = 2_000)]
    pub read_wait_ms: u64,

    /// How long a request may take in all, in milliseconds
    #[arg(long, env = "TIDINGS_REQUEST_TIMEOUT_MS", default_value_t = 25_000)]
    pub request_timeout_ms: u64,

    /// How long requests in flight may take to finish after SIGTERM, in milliseconds
    #[arg(long, env = "TIDINGS_DRAIN_TIMEOUT_MS", default_value_t = 10_000)]
    pub drain_timeout_ms: u64,
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
        ensure!(self.connections_max > 0, "--connections-max must be 1 or more");
        ensure!(self.threads != Some(0), "--threads must be 1 or more");
        ensure!(self.hashers != Some(0), "--hashers must be 1 or more");
        ensure!(self.head_timeout_ms > 0, "--head-timeout-ms must be 1 or more");
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            write_deadline: Duration::from_millis(self.write_deadline_ms),
            read_wait: Duration::from_millis(self.read_wait_ms),
            request: Duration::from_millis(self.request_timeout_ms),
        }
    }

    pub(crate) fn hashers(&self) -> usize {
        self.hashers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
    }
}

/// Refuses to run beside servers that were configured and would not be used.
pub fn refuse_servers(is_set: impl Fn(&str) -> bool) -> Result<()> {
    let set = SERVERS.into_iter().filter(|name| is_set(name)).collect::<Vec<_>>();
    if !set.is_empty() {
        bail!(
            "{} is set, but this version only runs embedded, with everything in its data directory; unset it to go on",
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
        let error = refuse_servers(|name| name == "REDIS_URL").unwrap_err().to_string();
        assert!(error.starts_with("REDIS_URL is set") && error.contains("embedded"), "{error}");
    }
}
