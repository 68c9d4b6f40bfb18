//! What is killed: a server, or one of those that it needs.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::spawn_blocking;

use crate::options::OwnService;
use crate::server::Server;

/// Something that is killed without warning and started again.
pub(crate) enum Victim {
    Server(Box<Server>),
    Service(OwnService),
}

impl Victim {
    /// For the report.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Service(service) => service.kind,
        }
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Server(server) => server.kill().await,
            Self::Service(OwnService { kind, kill, .. }) => {
                shell(kill).await.with_context(|| format!("the {kind} could not be killed"))
            }
        }
    }

    /// Starts again what was killed, and returns how long it took to be ready.
    pub(crate) async fn restart(&mut self) -> Result<Duration> {
        match self {
            Self::Server(server) => server.restart().await,
            Self::Service(OwnService { kind, up, .. }) => {
                let begun = Instant::now();
                shell(up).await.with_context(|| format!("the {kind} could not be started again"))?;
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
