//! What a run measures, and at what size.

use crate::closed_loop::Span;
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

/// Compares Tidings with what it is built on, within one run
#[derive(clap::Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// Small and short, to see that it works: the figures mean nothing
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these sections
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Part>,

    /// Measures commands on a log on Kafka instead, on one node and on two, beside a bare producer: the servers that
    /// KAFKA_BROKERS and KEYRING_URL name
    #[arg(long, conflicts_with_all = ["only", "profile"])]
    pub(crate) kafka: bool,

    /// With --kafka: how long it takes until another node answers for a partition of five million commits, instead
    #[arg(long, requires = "kafka")]
    pub(crate) handover: bool,

    /// With --kafka: posts by their saga beside one plain commit, instead
    #[arg(long, requires = "kafka", conflicts_with = "handover")]
    pub(crate) posts: bool,

    /// Measures read models in servers instead, beside what these do with the same rows by themselves: those that
    /// DATABASE_URL, MONGODB_URL and REDIS_URL name, in places of its own. Parts of it are replay, commands (until they
    /// are visible there) and http
    #[arg(long, conflicts_with_all = ["profile", "kafka"])]
    pub(crate) servers: bool,

    /// Measures the server of this build beside another build of it, instead: ten rounds of each, in turns
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["only", "profile", "kafka", "servers"])]
    pub(crate) against: Option<PathBuf>,

    /// Where Kafka is, as `host:port`
    #[arg(long, env = "KAFKA_BROKERS", hide = true)]
    pub(crate) kafka_brokers: Option<String>,

    /// Where the keyring is
    #[arg(long, env = "KEYRING_URL", hide = true, hide_env_values = true)]
    pub(crate) keyring_url: Option<String>,

    /// Where the read models are
    #[arg(long, env = "DATABASE_URL", hide = true, hide_env_values = true)]
    pub(crate) database_url: Option<String>,

    /// Where notifications are
    #[arg(long, env = "MONGODB_URL", hide = true, hide_env_values = true)]
    pub(crate) mongodb_url: Option<String>,

    /// Where sessions are
    #[arg(long, env = "REDIS_URL", hide = true, hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// Writes the tables to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Writes the log for replay anew, although one is kept
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Draws a flame graph of a workload instead, and lists where its time goes
    #[arg(long, value_name = "WORKLOAD", num_args = 0..=1, default_missing_value = "commands", value_enum)]
    pub(crate) profile: Option<Workload>,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

impl Options {
    pub(crate) fn is_wanted(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// A section of the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Part {
    /// Commands in this process
    Commands,
    /// Posts by their saga
    Posts,
    /// Requests over HTTP
    Http,
    /// Refused logins, of known and unknown addresses
    Logins,
    /// The log read into read models
    Replay,
    /// The start of the program
    Start,
}

/// What can be profiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Workload {
    /// Likes in this process by 1,024 clients
    Commands,
    /// The mix in this process by 1,024 clients
    Mix,
    /// Likes in this process by 1,024 clients, over Kafka
    Kafka,
    /// Likes over HTTP on 256 connections
    HttpLikes,
    /// The mix over HTTP on 256 connections
    HttpMix,
    /// Reads of posts over HTTP on 256 connections
    HttpReads,
    /// The log read into read models
    Replay,
}

/// What a process is that the bench has started itself.
#[derive(clap::Subcommand)]
pub(crate) enum Role {
    /// The server of the baseline
    #[command(hide = true)]
    Empty(crate::http::empty::Arguments),
    /// Tidings, profiled
    #[command(hide = true)]
    Profiled(crate::http::profiled::Arguments),
}

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) users: usize,
    pub(crate) posts: usize,
    pub(crate) clients: [usize; 4],
    pub(crate) rounds: usize,
    pub(crate) measured: Duration,
    /// How long posts come at a fixed rate.
    pub(crate) flooded: Duration,
    /// Records of the log for replay, at least.
    pub(crate) records: u64,
    /// Records of the partition that is handed over, at least.
    pub(crate) handed_over: u64,
    /// Refused logins of each kind.
    pub(crate) logins: usize,
}

impl Scale {
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            let measured = Duration::from_millis(100);
            return Self {
                users: 300,
                posts: 1_000,
                clients: [1, 16, 256, 1_024],
                rounds: 1,
                measured,
                flooded: Duration::from_secs(2),
                records: 10_000,
                handed_over: 10_000,
                logins: 20,
            };
        }
        let measured = Duration::from_millis(1_500);
        Self {
            users: 10_000,
            posts: 2_000,
            clients: [1, 16, 256, 1_024],
            rounds: 3,
            measured,
            flooded: Duration::from_secs(60),
            records: 1_000_000,
            handed_over: 5_000_000,
            logins: 500,
        }
    }

    /// The same with so many rounds, unless it is a quick one.
    pub(crate) fn with_rounds(self, rounds: usize) -> Self {
        Self { rounds: if self.rounds == 1 { 1 } else { rounds }, ..self }
    }

    /// One round.
    pub(crate) fn span(&self) -> Span {
        Span { warm_up: self.measured / 5, measured: self.measured }
    }
}
