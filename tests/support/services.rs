//! The real servers that the tests run over: a Kafka broker, a PostgreSQL, a MongoDB and a Redis.
//!
//! `./dev services up` starts them and writes the file that `TIDINGS_TEST_SERVICES` names; `./dev test` does both. `cargo
//! test` alone needs no server: then a test that needs one says that it was not run.

use projections::mongodb;
use projections::postgres::Database;
use projections::redis::Keyspace;
use redis::RedisResult;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Names the file with the servers' addresses, as `./dev services up` writes it.
const VARIABLE: &str = "TIDINGS_TEST_SERVICES";

/// Whoever sets it, to anything, has servers under test keep their read models in the databases of these services.
const READ_MODELS: &str = "TIDINGS_TEST_READ_MODELS";

/// Where the servers are.
pub struct Services {
    brokers: String,
    keyring: String,
    database: String,
    mongodb: String,
    redis: String,
    directory: PathBuf,
}

impl Services {
    /// What the environment names; `None`, and a line of output, if it names nothing.
    ///
    /// # Panics
    /// If it names a file that does not say where the servers are: a run over servers must not pass without them.
    #[expect(clippy::print_stdout, reason = "a test that was not run must be seen to say so")]
    pub fn from_env() -> Option<Self> {
        let Ok(path) = std::env::var(VARIABLE) else {
            println!("not run: {VARIABLE} is not set (`./dev services up` writes what it names)");
            return None;
        };
        let read =
            |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{VARIABLE}: {path}: {error}"));
        // Apart, so that whoever takes up the first file alone has the read models in memory.
        let text = read(&path) + &read(&format!("{path}.read-models"));
        let value = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("{path} does not say {name}")).to_owned()
        };
        let directory = PathBuf::from(value("TIDINGS_SERVICES_DIR"));
        let (brokers, keyring, database) = (value("KAFKA_BROKERS"), value("KEYRING_URL"), value("DATABASE_URL"));
        let (mongodb, redis) = (value("MONGODB_URL"), value("REDIS_URL"));
        Some(Self { brokers, keyring, database, mongodb, redis, directory })
    }

    /// The same, if read models of servers under test are to be in databases.
    ///
    /// # Panics
    /// If they are to be, and no databases are named.
    pub fn of_read_models() -> Option<Self> {
        std::env::var_os(READ_MODELS)?;
        Some(Self::from_env().unwrap_or_else(|| panic!("{READ_MODELS} is set, but {VARIABLE} is not")))
    }

    /// `host:port` of the brokers.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Where they keep what they need.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of a new, empty schema, which the keyring makes when it is opened.
    pub fn fresh_keyring(&self) -> String {
        format!("{}?options[search_path]=test_{}", self.keyring, Uuid::new_v4().simple())
    }

    /// The URL of a new schema for read models, of which nothing is there yet.
    pub fn fresh_database_url(&self) -> String {
        format!("{}?options[search_path]=test_{}", self.database, Uuid::new_v4().simple())
    }

    /// The URL of keys for read models that begin as no others do.
    pub fn fresh_redis_url(&self) -> String {
        format!("{}/0?prefix=test_{}:", self.redis, Uuid::new_v4().simple())
    }

    /// A connection to the server, for what only an operator does.
    pub async fn redis_connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis.as_str()).unwrap_or_else(|error| panic!("REDIS_URL: {error}"));
        client.get_multiplexed_async_connection().await.unwrap_or_else(|error| panic!("Redis: {error}"))
    }

    /// Such keys; whoever has done with them deletes them.
    pub async fn fresh_keyspace(&self) -> Keyspace {
        let url = self.fresh_redis_url();
        Keyspace::open(&url).await.unwrap_or_else(|error| panic!("opening keys that nobody has: {error}"))
    }

    /// A new database for read models, as `tidings migrate` makes it.
    pub async fn fresh_database(&self) -> Database {
        let url = self.fresh_database_url();
        Database::migrate(&url).await.unwrap_or_else(|error| panic!("making a schema: {error}"));
        Database::open(&url).await.unwrap_or_else(|error| panic!("opening what was just made: {error}"))
    }

    /// The URL of a new MongoDB database for read models, of which nothing is there yet. Its client goes by this address and
    /// by no other that the server may name.
    pub fn fresh_mongodb_url(&self) -> String {
        let (server, _) = self.mongodb.split_once('?').unwrap_or((&self.mongodb, ""));
        format!("{server}test_{}?directConnection=true&authSource=admin", Uuid::new_v4().simple())
    }

    /// A new MongoDB database for read models, as `tidings migrate` makes it.
    pub async fn fresh_mongodb(&self) -> mongodb::Database {
        let url = self.fresh_mongodb_url();
        mongodb::Database::migrate(&url).await.unwrap_or_else(|error| panic!("making a database: {error}"));
        mongodb::Database::open(&url).await.unwrap_or_else(|error| panic!("opening what was just made: {error}"))
    }
}

/// All that stands under the keys with the prefix of a URL, as text: each key with what it holds.
pub async fn everything_under(url: &str) -> RedisResult<Vec<String>> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let prefix = url.split_once("prefix=").map_or("", |(_, prefix)| prefix);
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await?;
    let mut all = Vec::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await?;
        let mut ask = match kind.as_str() {
            "string" => redis::cmd("GET"),
            "hash" => redis::cmd("HGETALL"),
            "set" => redis::cmd("SMEMBERS"),
            "zset" => redis::cmd("ZRANGE"),
            kind => panic!("{key} is a {kind}: say how it is read"),
        };
        ask.arg(&key);
        if kind == "zset" {
            ask.arg(0).arg(-1);
        }
        let held: redis::Value = ask.query_async(&mut connection).await?;
        all.push(format!("{key} {}", text_of(&held)));
    }
    Ok(all)
}

fn text_of(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::Array(all) => all.iter().map(text_of).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}
