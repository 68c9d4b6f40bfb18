//! What is killed: a server, or the broker under all of them.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::spawn_blocking;

use crate::options::OwnBroker;
use crate::server::Server;

/// Something that is killed without warning and started again.
pub(crate) enum Victim {
    Server(Box<Server>),
    Broker(OwnBroker),
}

impl Victim {
    /// For the report.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Broker(_) => "broker",
        }
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Server(server) => server.kill().await,
            Self::Broker(broker) => shell(&broker.kill).await.context("the broker could not be killed"),
        }
    }

    /// Starts again what was killed, and returns how long it took to be ready.
    pub(crate) async fn restart(&mut self) -> Result<Duration> {
        match self {
            Self::Server(server) => server.restart().await,
            Self::Broker(broker) => {
                let begun = Instant::now();
                shell(&broker.up).await.context("the broker could not be started again")?;
                Ok(begun.elapsed())
            }
        }
    }
}

async fn shell(command: &str) -> Result<()> {
    let arguments = ["-c".to_owned(), command.to_owned()];
    let ended = spawn_blocking(|| Command::new("sh").args(arguments).output()).await?.context("cannot run sh")?;
    ensure!(ended.status.success(), "`{command}`: {}", String::from_utf8_lossy(&ended.stderr).trim());
    Ok(())
}
