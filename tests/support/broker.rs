//! A Kafka broker that belongs to one test, which may do to it what a broker meets in its life.

use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use tempfile::TempDir;

/// Where free ports are looked for: below those that the system gives to connections.
const PORTS_FROM: u16 = 20_000;
const PORTS_MAX: u16 = 9_000;
static PORTS_TAKEN: AtomicU16 = AtomicU16::new(0);

/// A broker of a test's own; it ends with it.
pub struct Broker {
    directory: TempDir,
    port: u16,
}

impl Broker {
    /// Starts one with the programs of the shared one. Blocks for some seconds.
    pub fn start() -> Result<Self> {
        Self::start_with(Self::free_port()?, "")
    }

    /// The same on this port, with these settings more, as lines of its properties.
    pub fn start_with(port: u16, settings: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let kafka = directory.path().join("kafka");
        std::fs::create_dir(&kafka)?;
        std::fs::write(kafka.join("more.properties"), settings)?;
        let broker = Self { directory, port };
        broker.up()?;
        Ok(broker)
    }

    /// A port that is free, as is the next one, which the controller takes.
    pub fn free_port() -> Result<u16> {
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        // Two tests at once look for one each.
        let begin = u32::from(PORTS_TAKEN.fetch_add(1, Ordering::Relaxed)) * 2 + std::process::id() * 20;
        let offsets = (0..u32::from(PORTS_MAX)).step_by(2).map(|n| (begin * 2 + n) % u32::from(PORTS_MAX));
        let mut ports = offsets.filter_map(|offset| u16::try_from(offset).ok()).map(|offset| PORTS_FROM + offset);
        ports.find(|port| free(*port) && free(port + 1)).context("no two ports are free")
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
