//! `tidings demo`: the options of a run, and a server of its own unless one is named.

use ::demo::{Options, OwnServer, OwnService, Source, Target};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tidings_gateway::{Store, StoreConfig, apart, delete_read_models, migrate};
use uuid::Uuid;

/// The partitions of a log on Kafka that a run makes: enough for each node to own several.
const PARTITIONS: u32 = 16;
/// What the names of everything of a run begin with, where others have theirs too.
const NAMES: &str = "demo";

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
    /// Keep read models in servers too, as far as this version can: in a new schema of the database of DATABASE_URL, in a new
    /// database of the server of MONGODB_URL, and under a new prefix of the Redis of REDIS_URL. All are deleted if nothing
    /// differs
    #[arg(long, requires_all = ["kafka", "database_url", "mongodb_url", "redis_url"])]
    servers: bool,
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
    /// The database for --servers
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// As for the broker, for PostgreSQL: the keyring's server, and with --servers that of the read models
    #[arg(long, env = "POSTGRES_KILL", requires = "postgres_up")]
    postgres_kill: Option<String>,
    /// A shell command that starts PostgreSQL again, and returns when it answers
    #[arg(long, env = "POSTGRES_UP")]
    postgres_up: Option<String>,
    /// The MongoDB server for --servers
    #[arg(long, env = "MONGODB_URL", hide_env_values = true)]
    mongodb_url: Option<String>,
    /// As for the broker, for MongoDB with --servers
    #[arg(long, env = "MONGODB_KILL", requires = "mongodb_up")]
    mongodb_kill: Option<String>,
    /// A shell command that starts MongoDB again, and returns when it answers
    #[arg(long, env = "MONGODB_UP")]
    mongodb_up: Option<String>,
    /// The Redis for --servers
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// As for the broker, for Redis
    #[arg(long, env = "REDIS_KILL", requires = "redis_up")]
    redis_kill: Option<String>,
    /// A shell command that starts Redis again, and returns when it answers
    #[arg(long, env = "REDIS_UP")]
    redis_up: Option<String>,
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
    let read_models = if arguments.servers { arguments.new_read_models()? } else { Vec::new() };
    let options = arguments.options(&home, log.as_ref(), &read_models)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    for (_, url) in &read_models {
        runtime.block_on(migrate(url))?;
    }
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
    for (_, url) in read_models {
        runtime.block_on(delete_read_models(&url))?;
    }
    if own_home {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    Ok(())
}

impl Arguments {
    fn options(self, home: &Path, log: Option<&StoreConfig>, read_models: &[(String, String)]) -> Result<Options> {
        let target = self.target(home, log, read_models)?;
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

    fn target(&self, home: &Path, log: Option<&StoreConfig>, read_models: &[(String, String)]) -> Result<Target> {
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
            return Ok(Target::Own { nodes: vec![own], services: Vec::new() });
        };
        let mut env = environment(log);
        env.extend_from_slice(read_models);
        let node = |node| OwnServer {
            exe: exe.clone(),
            data: data.clone(),
            log: Some(home.join(format!("node-{node}.log"))),
            args: Vec::new(),
            env: env.clone(),
        };
        Ok(Target::Own { nodes: (0..self.nodes).map(node).collect(), services: self.services() })
    }

    /// What is killed beside the nodes.
    fn services(&self) -> Vec<OwnService> {
        let of_read_models = |kill: &'_ Option<String>| kill.clone().filter(|_| self.servers);
        let all = [
            ("broker", self.broker_kill.clone(), &self.broker_up),
            ("PostgreSQL", of_read_models(&self.postgres_kill), &self.postgres_up),
            ("MongoDB", of_read_models(&self.mongodb_kill), &self.mongodb_up),
            ("Redis", of_read_models(&self.redis_kill), &self.redis_up),
        ];
        all.into_iter().filter_map(|(kind, kill, up)| Some(OwnService { kind, kill: kill?, up: up.clone()? })).collect()
    }

    /// Where the read models of this run alone are, by the variable that says so.
    fn new_read_models(&self) -> Result<Vec<(String, String)>> {
        let urls =
            [("DATABASE_URL", &self.database_url), ("MONGODB_URL", &self.mongodb_url), ("REDIS_URL", &self.redis_url)];
        let of_this_run = |(name, url): (&str, &Option<String>)| {
            let url = url.as_deref().with_context(|| format!("{name} is missing"))?;
            Ok((name.to_owned(), apart(url, NAMES)?))
        };
        urls.into_iter().map(of_this_run).collect()
    }

    /// Of this run alone.
    fn new_log(&self) -> Result<StoreConfig> {
        let keyring = self.keyring_url.as_ref().context("no keyring is named")?;
        let run = Uuid::new_v4().simple();
        Ok(StoreConfig {
            data: PathBuf::from("unused"),
            partitions: Some(PARTITIONS),
            kafka_brokers: Some(self.brokers.clone().context("no brokers are named")?),
            kafka_topic: format!("demo-{run}"),
            kafka_properties: Vec::new(),
            kafka_properties_file: None,
            keyring_url: Some(apart(keyring, NAMES)?),
            keyring_url_file: None,
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
