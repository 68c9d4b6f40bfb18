//! `tidings demo`: the options of a run, and a server of its own unless one is named.

use ::demo::{Options, OwnBroker, OwnServer, Source, Target};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tidings_gateway::{Store, StoreConfig};
use uuid::Uuid;

/// The partitions of a log on Kafka that a run makes: enough for each node to own several.
const PARTITIONS: u32 = 16;

/// What to load, and into which server.
#[derive(Args)]
pub(crate) struct Arguments {
    /// People of a generated graph with a realistic follower distribution
    #[arg(long, default_value_t = 50, conflicts_with = "graph")]
    people: usize,
    /// A file of friendships, one `a b` a line; each is two follows
    #[arg(long)]
    graph: Option<PathBuf>,
    /// How often the server is killed with SIGKILL on the way and started again
    #[arg(long, default_value_t = 0, conflicts_with = "url")]
    kill: usize,
    /// A server that runs already, as http://host:port; without it one is started, and stopped at the end
    #[arg(long)]
    url: Option<String>,
    /// The data directory of the server that is started [default: a new one, removed if nothing differs]
    #[arg(long, conflicts_with_all = ["url", "kafka"])]
    data: Option<PathBuf>,
    /// Keep the log on Kafka: a new topic on KAFKA_BROKERS, with a keyring of its own in the database of KEYRING_URL; both
    /// are deleted if nothing differs
    #[arg(long, conflicts_with = "url", requires_all = ["brokers", "keyring_url"])]
    kafka: bool,
    /// How many nodes serve the log
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    /// The brokers for --kafka
    #[arg(long, env = "KAFKA_BROKERS")]
    brokers: Option<String>,
    /// The database for --kafka
    #[arg(long, env = "KEYRING_URL", hide_env_values = true)]
    keyring_url: Option<String>,
    /// A shell command that ends the broker with SIGKILL: with it, and --broker-up, kills hit the broker in its turn too
    #[arg(long, env = "KAFKA_KILL", requires = "broker_up")]
    broker_kill: Option<String>,
    /// A shell command that starts the broker again, and returns when it answers
    #[arg(long, env = "KAFKA_UP")]
    broker_up: Option<String>,
    /// Posts to publish [default: 6 for each person]
    #[arg(long)]
    posts: Option<usize>,
    /// Comments to write [default: 11 for each person]
    #[arg(long)]
    comments: Option<usize>,
    /// Likes [default: 35 for each person]
    #[arg(long)]
    likes: Option<usize>,
    /// People who delete their accounts in the end [default: 2 % of the people, and 3 at least]
    #[arg(long)]
    leaves: Option<usize>,
    /// Connections at one time
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// The seed of every choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// An error if anything differs from what the demo has done.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let home = std::env::temp_dir().join(format!("tidings-demo-{}", std::process::id()));
    let own_home = arguments.url.is_none() && arguments.data.is_none();
    if own_home {
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    }
    let log = arguments.kafka.then(|| arguments.new_log()).transpose()?;
    let options = arguments.options(&home, log.as_ref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let report = runtime.block_on(::demo::run(options))?;
    writeln!(std::io::stdout(), "{report}").context("writing the report")?;
    if report.differences() > 0 {
        let kept = if own_home { format!("; the data is kept in {}", home.display()) } else { String::new() };
        let topic = log.map_or(String::new(), |log| format!(", the log in the topic {}", log.kafka_topic));
        bail!("{} differences{kept}{topic}", report.differences());
    }
    if let Some(log) = log {
        let deleted = runtime.block_on(async { Store::open(&log).await?.delete().await });
        deleted.with_context(|| format!("cannot delete the log in the topic {}", log.kafka_topic))?;
    }
    if own_home {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    Ok(())
}

impl Arguments {
    fn options(self, home: &Path, log: Option<&StoreConfig>) -> Result<Options> {
        let target = self.target(home, log)?;
        let source = self.graph.map_or(Source::People(self.people), Source::File);
        Ok(Options {
            posts: self.posts,
            comments: self.comments,
            likes: self.likes,
            leaves: self.leaves,
            seed: self.seed,
            kills: self.kill,
            concurrency: self.concurrency,
            progress: true,
            ..Options::new(target, source)
        })
    }

    fn target(&self, home: &Path, log: Option<&StoreConfig>) -> Result<Target> {
        if let Some(url) = &self.url {
            return Ok(Target::Running(url.clone()));
        }
        if self.nodes > 1 && log.is_none() {
            bail!("several nodes share a log on Kafka: --nodes {} needs --kafka", self.nodes);
        }
        let exe = std::env::current_exe().context("the program's own path")?;
        let data = self.data.clone().unwrap_or_else(|| home.join("data"));
        let Some(log) = log else {
            let own = OwnServer { exe, data, log: None, args: Vec::new(), env: vec![unlimited()] };
            return Ok(Target::Own { nodes: vec![own], broker: None });
        };
        let env = environment(log);
        let node = |node| OwnServer {
            exe: exe.clone(),
            data: data.clone(),
            log: Some(home.join(format!("node-{node}.log"))),
            args: Vec::new(),
            env: env.clone(),
        };
        let broker = self.broker_kill.clone().zip(self.broker_up.clone());
        let broker = broker.map(|(kill, up)| OwnBroker { kill, up });
        Ok(Target::Own { nodes: (0..self.nodes).map(node).collect(), broker })
    }

    /// Of this run alone.
    fn new_log(&self) -> Result<StoreConfig> {
        let run = Uuid::new_v4().simple();
        let keyring = self.keyring_url.as_ref().context("no keyring is named")?;
        let and = if keyring.contains('?') { '&' } else { '?' };
        Ok(StoreConfig {
            data: PathBuf::from("unused"),
            partitions: Some(PARTITIONS),
            kafka_brokers: Some(self.brokers.clone().context("no brokers are named")?),
            kafka_topic: format!("demo-{run}"),
            kafka_properties: Vec::new(),
            keyring_url: Some(format!("{keyring}{and}options[search_path]=demo_{run}")),
            dev: true,
        })
    }
}

/// The demo asks for as much as it can.
fn unlimited() -> (String, String) {
    ("TIDINGS_RATE_LIMITS".to_owned(), "off".to_owned())
}

/// Of a node over this log.
fn environment(log: &StoreConfig) -> Vec<(String, String)> {
    let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        unlimited(),
        named("KAFKA_BROKERS", log.kafka_brokers.as_deref().unwrap_or_default()),
        named("KEYRING_URL", log.keyring_url.as_deref().unwrap_or_default()),
        named("KAFKA_TOPIC", &log.kafka_topic),
        named("TIDINGS_DEV", "true"),
        named("TIDINGS_PARTITIONS", &PARTITIONS.to_string()),
    ]
}
