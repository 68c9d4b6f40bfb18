//! The servers under load, each a process of its own, killed when it is dropped.

use super::connection::Connection;
use super::empty::Canned;
use anyhow::{Context, Result, ensure};
use gateway::StoreConfig;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long a server may take until it serves.
const READY_MAX: Duration = Duration::from_secs(120);
/// Never reached, but counted, so that what that costs is measured too. A version without limits does not read it.
const RATE_LIMITS: &str = "all=4294967295";
/// All load comes from one address.
const CONNECTIONS_MAX: &str = "10000";
const READY_POLL: Duration = Duration::from_millis(2);
/// How many clock ticks a second has in `/proc`, on every Linux that Rust runs on.
const TICKS: u64 = 100;

/// A running server.
pub(crate) struct Child {
    process: std::process::Child,
    address: Option<SocketAddr>,
    begun: Instant,
    /// What it says, if that goes to a file.
    log: Option<PathBuf>,
}

/// A server that serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub(crate) address: SocketAddr,
    /// From the start of the process until `/readyz` was 200.
    pub(crate) took: Duration,
}

/// Starts the program on a directory and waits until it serves.
pub(crate) async fn start_tidings(data: &Path) -> Result<(Child, Started)> {
    let mut child = Child::tidings(data, &[])?;
    let started = child.ready().await?;
    Ok((child, started))
}

/// Starts the program as one more node over a log on Kafka and waits until it serves; what it says goes to this file.
pub(crate) async fn start_on(config: &StoreConfig, log: PathBuf) -> Result<Child> {
    let address = free_address()?;
    let said = File::create(&log)?;
    let mut command = Command::new(beside_us("tidings")?);
    command.args(["serve", "--dev", "--listen", &address.to_string()]);
    command.args(["--kafka-topic", &config.kafka_topic]);
    forget_servers(&mut command);
    command.env("KAFKA_BROKERS", config.kafka_brokers.as_deref().unwrap_or_default());
    command.env("KEYRING_URL", config.keyring_url.as_deref().unwrap_or_default());
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    let mut child = Child::spawn(command, Some((address, log)))?;
    child.ready().await?;
    Ok(child)
}

/// Nothing but what is measured may be elsewhere than on this disk and in memory.
fn forget_servers(command: &mut Command) {
    for server in ["KAFKA_BROKERS", "KEYRING_URL", "DATABASE_URL", "MONGODB_URL", "REDIS_URL"] {
        command.env_remove(server).env_remove(format!("{server}_FILE"));
    }
}

impl Child {
    /// The program itself, with its default settings but for these; its log goes to a file beside the data.
    pub(crate) fn tidings(data: &Path, environment: &[(String, String)]) -> Result<Self> {
        Self::program(&beside_us("tidings")?, data, environment)
    }

    /// The same of another build.
    pub(crate) fn program(program: &Path, data: &Path, environment: &[(String, String)]) -> Result<Self> {
        let (address, path) = (free_address()?, data.with_extension("log"));
        let log = File::create(&path)?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(data).args(["--listen", &address.to_string()]);
        forget_servers(&mut command);
        command.envs(environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Self::spawn(command, Some((address, path)))
    }

    /// The same server inside our own executable, profiled.
    pub(crate) fn profiled(data: &Path, profile: &Path) -> Result<Self> {
        let (address, path) = (free_address()?, data.with_extension("log"));
        let log = File::create(&path)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("profiled").arg(profile).arg("--data").arg(data).args(["--listen", &address.to_string()]);
        forget_servers(&mut command);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        Self::spawn(command, Some((address, path)))
    }

    /// The baseline.
    pub(crate) fn empty(answers_file: &Path, answers: &[Canned]) -> Result<Self> {
        std::fs::write(answers_file, serde_json::to_vec(answers)?)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("empty").arg(answers_file).stdin(Stdio::null()).stdout(Stdio::piped());
        Self::spawn(command, None)
    }

    /// Where it will listen and what it writes to, if that is known.
    fn spawn(mut command: Command, known: Option<(SocketAddr, PathBuf)>) -> Result<Self> {
        command.env("TIDINGS_RATE_LIMITS", RATE_LIMITS).env("TIDINGS_CONNECTIONS_PER_ADDRESS_MAX", CONNECTIONS_MAX);
        let begun = Instant::now();
        let process = command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        let (address, log) = known.unzip();
        Ok(Self { process, address, begun, log })
    }

    /// Where it serves; read from its first line if it has chosen itself.
    pub(crate) fn address(&mut self) -> Result<SocketAddr> {
        if let Some(address) = self.address {
            return Ok(address);
        }
        let mut line = String::new();
        BufReader::new(self.process.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the empty server did not say where it serves")?;
        self.address = Some(address);
        Ok(address)
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) -> Result<Started> {
        let address = self.address.context("the address is not known")?;
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\n\r\n");
        while self.begun.elapsed() < READY_MAX {
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.exchange(request.as_bytes()).await
                && answer.status == 200
            {
                return Ok(Started { address, took: self.begun.elapsed() });
            }
            if let Some(status) = self.process.try_wait()? {
                anyhow::bail!("the server has ended, with {status}; its log lies beside its data");
            }
            sleep(READY_POLL).await;
        }
        anyhow::bail!("the server was not ready within {READY_MAX:?}; its log lies beside its data")
    }

    /// The processor time that it has taken so far, of all its threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name of the program may hold anything but ends with the last parenthesis; then come fields 3 and on.
        let (_, fields) = stat.rsplit_once(')').context("no such process")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS))
    }

    /// Its memory in KiB: `VmRSS`, `VmHWM`.
    pub(crate) fn memory_kib(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("no {name}"))?;
        Ok(kib.parse()?)
    }

    /// The way to tell it something.
    pub(crate) fn stdin(&mut self) -> Result<ChildStdin> {
        self.process.stdin.take().context("it takes no input")
    }

    /// Kills it, after making sure that it has not ended by itself.
    pub(crate) fn stop(&mut self) -> Result<()> {
        ensure!(self.process.try_wait()?.is_none(), "a server has ended by itself");
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGTERM, without waiting for its end.
    pub(crate) fn end_in_order(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM).context("cannot send SIGTERM")
    }

    /// Waits until it has ended, however that was.
    pub(crate) fn wait_for_end(&mut self) -> Result<()> {
        self.process.wait()?;
        Ok(())
    }

    /// Waits until it has ended well.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let status = self.process.wait()?;
        let said = || self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        ensure!(status.success(), "the server ended with {status}: {}", said());
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says a line to a process.
pub(crate) fn say(stdin: &mut ChildStdin, line: &str) -> Result<()> {
    writeln!(stdin, "{line}")?;
    Ok(stdin.flush()?)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A program that was built with us.
fn beside_us(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(program.exists(), "{} is not built: `./dev bench` does", program.display());
    Ok(program)
}
