//! A Kafka broker that belongs to one test, which may do to it what a broker meets in its life.

use crate::services::Services;
use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where free ports are looked for: below those that the system gives to connections.
const PORTS: std::ops::Range<u16> = 20_000..29_000;

/// A broker of a test's own; it ends with it.
pub struct Broker {
    directory: TempDir,
    port: u16,
}

impl Broker {
    /// Starts one with the programs of the shared one. Blocks for some seconds.
    pub fn start(services: &Services) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let kafka = directory.path().join("kafka");
        std::fs::create_dir(&kafka)?;
        std::os::unix::fs::symlink(services.directory().join("kafka/lib"), kafka.join("lib"))?;
        let broker = Self { directory, port: free_port()? };
        broker.up()?;
        Ok(broker)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where a partition's records are.
    pub fn partition(&self, topic: &str, partition: u32) -> PathBuf {
        self.directory.path().join(format!("kafka/data/{topic}-{partition}"))
    }

    /// Starts it again and waits until it answers. Blocks.
    pub fn up(&self) -> Result<()> {
        self.services("up")
    }

    /// SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.services("kill")
    }

    /// SIGTERM, and waits until it is gone.
    pub fn down(&self) -> Result<()> {
        self.services("down")
    }

    fn services(&self, what: &str) -> Result<()> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the tests are in the workspace")?;
        let done = Command::new(here.join("dev"))
            .args(["services", what, "kafka"])
            .env("TIDINGS_SERVICES_DIR", self.directory.path())
            .env("TIDINGS_KAFKA_PORT", self.port.to_string())
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "./dev services {what} kafka: {}: {said}", done.status);
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// One that is free, as is the next one, which the controller takes.
fn free_port() -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = PORTS.start + u16::try_from(std::process::id() % 4_000)? * 2;
    let mut ports = (start..PORTS.end).chain(PORTS).step_by(2);
    ports.find(|port| free(*port) && free(port + 1)).context("no two ports are free")
}
