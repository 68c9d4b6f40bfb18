//! The real servers that the tests run over: a Kafka broker and a PostgreSQL.
//!
//! `./dev services up` starts them and writes the file that `TIDINGS_TEST_SERVICES` names; `./dev test` does both. `cargo
//! test` alone needs no server: then a test that needs one says that it was not run.

use projections::postgres::Database;
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
        Some(Self { brokers, keyring, database, directory })
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

    /// Where the server of these databases listens.
    pub fn database_address(&self) -> &str {
        let server = self.database.split_once('@').map_or("", |(_, rest)| rest);
        server.split('/').next().unwrap_or_default()
    }

    /// A new database for read models, as `tidings migrate` makes it.
    pub async fn fresh_database(&self) -> Database {
        let url = self.fresh_database_url();
        Database::migrate(&url).await.unwrap_or_else(|error| panic!("making a schema: {error}"));
        Database::open(&url).await.unwrap_or_else(|error| panic!("opening what was just made: {error}"))
    }
}
