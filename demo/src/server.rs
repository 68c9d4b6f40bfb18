//! A server of our own: started, killed, started again on the same data and port, and stopped. It never outlives this
//! value.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Call, Client};
use crate::options::OwnServer;

/// How long a server may take to be ready, its log replayed.
const READY_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a server may take to end after SIGTERM, and the system to reap it after SIGKILL.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Server {
    own: OwnServer,
    port: u16,
    child: Child,
    readiness: Client,
}

impl Server {
    /// Starts the server on a free port and waits until it is ready.
    pub(crate) async fn start(own: &OwnServer) -> Result<Self> {
        fs::create_dir_all(&own.data).with_context(|| format!("cannot create {}", own.data.display()))?;
        let port = free_port()?;
        let readiness = Client::new(&url(port), 1)?;
        let mut server = Self { own: own.clone(), port, child: spawn(own, port)?, readiness };
        server.ready().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Where its output is.
    pub(crate) fn log(&self) -> PathBuf {
        log_path(&self.own)
    }

    /// SIGKILL: the server gets no chance to finish anything.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server has ended by itself, before it was killed: {status}");
        }
        self.child.kill().context("cannot kill the server")?;
        self.ended().await.map(drop)
    }

    /// What the server ended with, if it has ended without being told to.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Starts again what was killed, and returns how long it took to be ready.
    pub(crate) async fn restart(&mut self) -> Result<Duration> {
        let started = Instant::now();
        self.child = spawn(&self.own, self.port)?;
        self.ready().await?;
        Ok(started.elapsed())
    }

    /// SIGTERM; an error unless the server ends in time with status 0.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server has ended by itself: {status}");
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("cannot send SIGTERM")?;
        let status = self.ended().await?;
        ensure!(status.success(), "after SIGTERM the server ended with {status}");
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < READY_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended before it was ready: {status}");
            }
            if self.readiness.once(&Call::get("/readyz")).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        bail!("the server is not ready after {READY_TIME_MAX:?}")
    }

    async fn ended(&mut self) -> Result<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < STOP_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        bail!("the server has not ended after {STOP_TIME_MAX:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing is left to do about a failure here.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Where to look when a run has failed.
pub(crate) fn log_hint(own: &OwnServer) -> String {
    format!("the run was not finished (the server's output is in {})", log_path(own).display())
}

fn log_path(own: &OwnServer) -> PathBuf {
    own.log.clone().unwrap_or_else(|| own.data.with_file_name("tidings-demo.log"))
}

/// Variables that name the servers of a network.
const ELSEWHERE: [&str; 9] = [
    "KAFKA_BROKERS",
    "KEYRING_URL",
    "KEYRING_URL_FILE",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "MONGODB_URL",
    "MONGODB_URL_FILE",
    "REDIS_URL",
    "REDIS_URL_FILE",
];

fn spawn(own: &OwnServer, port: u16) -> Result<Child> {
    let path = log_path(own);
    let log = OpenOptions::new().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("cannot open the log {}", path.display()))?;
    let mut command = Command::new(&own.exe);
    command
        .arg("serve")
        .arg("--data")
        .arg(&own.data)
        .arg("--listen")
        .arg(format!("{}:{port}", Ipv4Addr::LOCALHOST))
        .args(&own.args);
    // What is meant for another server must not become part of a network that is made up.
    for name in ELSEWHERE {
        command.env_remove(name);
    }
    command
        .envs(own.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", own.exe.display()))
}

fn url(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// A port that is free now; nothing keeps it free until the server has it, and then the start fails.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A "server" that is this shell script.
    fn script(name: &str, script: &str) -> OwnServer {
        let home = std::env::temp_dir().join(format!("tidings-demo-{}-{name}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        let exe = home.join("server.sh");
        fs::write(&exe, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).unwrap();
        OwnServer { exe, data: home.join("data"), log: None, args: Vec::new(), env: Vec::new() }
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_reported_with_its_status_and_its_output_kept() {
        let own = script("ends", "echo \"$@\"; exit 3");
        let error = Server::start(&own).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("ended before it was ready") && error.contains('3'), "{error}");
        let log = fs::read_to_string(log_path(&own)).unwrap();
        assert!(log.starts_with("serve --data ") && log.contains("--listen 127.0.0.1:"), "{log}");
        fs::remove_dir_all(own.data.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn an_end_with_another_status_than_zero_is_an_error() {
        for (name, code, good) in [("stops", 0, true), ("fails", 4, false)] {
            let own = script(name, &format!("trap 'exit {code}' TERM\necho up\nwhile :; do sleep 0.02; done"));
            fs::create_dir_all(&own.data).unwrap();
            let child = spawn(&own, 1).unwrap();
            let mut server = Server { own, port: 1, child, readiness: Client::new("http://127.0.0.1:1", 1).unwrap() };
            while fs::read_to_string(log_path(&server.own)).unwrap_or_default().is_empty() {
                tokio::time::sleep(POLL_EVERY).await;
            }
            assert_eq!(server.stop().await.is_ok(), good);
            fs::remove_dir_all(server.own.data.parent().unwrap()).unwrap();
        }
    }
}
