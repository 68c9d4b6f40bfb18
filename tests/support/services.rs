//! Where the real servers are that the tests run over.
#![allow(missing_docs, reason = "not final")]

use anyhow::{Context, Result};
use std::process::Command;
use uuid::Uuid;

pub struct Services {
    brokers: String,
    keyring: String,
}

impl Services {
    pub fn from_env() -> Option<Self> {
        let path = std::env::var("TIDINGS_TEST_SERVICES").ok()?;
        let text = std::fs::read_to_string(&path).unwrap();
        let value =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
        Some(Self { brokers: value("KAFKA_BROKERS"), keyring: value("KEYRING_URL") })
    }

    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A database of its own.
    pub async fn fresh_keyring(&self) -> Result<String> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let status = Command::new("psql").args([&self.keyring, "-qc", &format!("create database {name}")]).status()?;
        anyhow::ensure!(status.success(), "no database");
        let (server, _) = self.keyring.rsplit_once('/').context("a URL names a database")?;
        Ok(format!("{server}/{name}"))
    }
}
