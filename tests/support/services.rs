//! The real servers that the tests run over: a Kafka broker and a PostgreSQL.
//!
//! `./dev services up` starts them and writes the file that `TIDINGS_TEST_SERVICES` names; `./dev test` does both. `cargo
//! test` alone needs no server: then a test that needs one says that it was not run.

use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Names the file with the servers' addresses, as `./dev services up` writes it.
const VARIABLE: &str = "TIDINGS_TEST_SERVICES";

/// Where the servers are.
pub struct Services {
    brokers: String,
    keyring: String,
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
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{VARIABLE}: {path}: {error}"));
        let value = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("{path} does not say {name}")).to_owned()
        };
        let directory = PathBuf::from(value("TIDINGS_SERVICES_DIR"));
        Some(Self { brokers: value("KAFKA_BROKERS"), keyring: value("KEYRING_URL"), directory })
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
}
