//! How long nobody answers for a partition when its owner goes: when it ends in order, when it is killed, and when
//! nobody is left who knows the partition.
//!
//! The log has one partition, of likes. Two nodes serve it; the one that does not own it follows it, so that taking over
//! reads only what is left. One write after another is sent to the node that stays until one is answered.

use super::new_log;
use crate::http::{Child, Connection, publication, sign_in, start_on};
use crate::node::Node;
use crate::options::{Options, Scale};
use crate::people::People;
use crate::replay::fill;
use crate::report::{Cell, Section};
use crate::rounds::median;
use crate::script::Load;
use anyhow::{Context, Result, bail};
use gateway::{Store, StoreConfig};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Handovers of each kind.
const ROUNDS: usize = 1;
/// How long one write is waited for before another one is sent.
const WRITE_MAX: Duration = Duration::from_secs(1);
const WRITE_AGAIN: Duration = Duration::from_millis(5);
/// How long nobody may answer.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// One node, and how it is started again.
struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// See the module.
pub(crate) async fn run(scale: &Scale, options: &Options, directory: &Path) -> Result<Section> {
    let config = new_log(options, 1)?;
    let begun = Instant::now();
    let records = write(scale, &config).await.context("writing the log")?;
    let written = begun.elapsed();
    let mut servers = Vec::new();
    for name in ["node-0.log", "node-1.log"] {
        servers.push(Server::start(&config, directory.join(name)).await?);
    }
    let mut connection = Connection::open(servers[0].address).await?;
    let head = sign_in(&mut connection, servers[0].address, 0).await.context("signing in")?;
    let (mut stopped, mut killed, mut cold, mut started) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        stopped.push(handover(&mut servers, &config, &head, End::InOrder).await.context("after an orderly end")?);
        killed.push(handover(&mut servers, &config, &head, End::Killed).await.context("after SIGKILL")?);
    }
    servers[1].child.stop()?;
    for _ in 0..ROUNDS {
        servers[0].child.stop()?;
        let begun = Instant::now();
        servers[0] = Server::start(&config, servers[0].log.clone()).await?;
        started.push(begun.elapsed());
        first_answer(servers[0].address, &head).await?;
        cold.push(begun.elapsed());
    }
    servers[0].child.stop()?;
    Store::open(&config).await?.delete().await?;
    let columns = vec!["", "s until a write is answered", "least", "most"];
    let mut section = Section::new("On Kafka: a partition is handed over", columns);
    section.note(format!(
        "one partition of {:.2} million records, written in {:.0} s; medians of {ROUNDS}",
        records as f64 / 1e6,
        written.as_secs_f64()
    ));
    section.note("from the signal to the first answer to a write that the other node was sent after it");
    section.note("a cold start: both were killed; from the start of one to its first answer, read models included");
    for (what, times) in [
        ("the owner ends in order, the other one has followed", &stopped),
        ("the owner is killed, the other one has followed", &killed),
        ("a cold start, nothing is kept", &cold),
        ("of that, until /readyz is 200", &started),
    ] {
        let seconds = || times.iter().map(Duration::as_secs_f64);
        let (least, most) = (seconds().fold(f64::INFINITY, f64::min), seconds().fold(0.0, f64::max));
        section.row(vec![what.into(), Cell::number(median(seconds())), Cell::number(least), Cell::number(most)]);
    }
    Ok(section)
}

/// Fills the partition; how many records it has then.
async fn write(scale: &Scale, config: &StoreConfig) -> Result<u64> {
    let node = Node::open(config, false).await?;
    node.share(1).await?;
    let people = People::settle(&node, scale.users, scale.posts).await?;
    fill(&node, &people, Load::Likes, scale.handed_over).await?;
    let records = node.records().await?;
    node.close().await?;
    Ok(records)
}

#[derive(Clone, Copy)]
enum End {
    InOrder,
    Killed,
}

/// Ends the owner and starts it again afterwards; how long the partition had no owner that answers.
async fn handover(servers: &mut [Server], config: &StoreConfig, head: &[u8], end: End) -> Result<Duration> {
    let mut owner = None;
    for (n, server) in servers.iter().enumerate() {
        if server.owns_something().await? {
            owner = Some(n);
        }
    }
    let owner = owner.context("nobody owns the partition")?;
    let other = servers[1 - owner].address;
    // It has followed to the end.
    first_answer(other, head).await?;
    let begun = Instant::now();
    match end {
        End::InOrder => servers[owner].child.end_in_order()?,
        End::Killed => servers[owner].child.stop()?,
    }
    first_answer(other, head).await?;
    let took = begun.elapsed();
    servers[owner].child.wait_for_end()?;
    let log = servers[owner].log.clone();
    servers[owner] = Server::start(config, log).await?;
    Ok(took)
}

impl Server {
    async fn start(config: &StoreConfig, log: PathBuf) -> Result<Self> {
        let mut child = start_on(config, log.clone()).await?;
        let address = child.ready().await?.address;
        Ok(Self { child, address, log })
    }

    async fn owns_something(&self) -> Result<bool> {
        let mut connection = Connection::open(self.address).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        let answer = connection.exchange(request.as_bytes()).await?;
        let ready: Value = serde_json::from_slice(answer.body)?;
        Ok(!ready["owns"].as_array().context("it does not say what it owns")?.is_empty())
    }
}

/// Sends writes until one is answered well.
async fn first_answer(address: SocketAddr, head: &[u8]) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < SILENCE_MAX {
        if let Ok(Ok(201)) = timeout(WRITE_MAX, write_once(address, head)).await {
            return Ok(());
        }
        sleep(WRITE_AGAIN).await;
    }
    bail!("nobody has answered for {SILENCE_MAX:?}")
}

async fn write_once(address: SocketAddr, head: &[u8]) -> Result<u16> {
    let mut connection = Connection::open(address).await?;
    Ok(connection.exchange(&publication(head)).await?.status)
}
