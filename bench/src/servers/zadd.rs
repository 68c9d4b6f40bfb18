//! What Redis does by itself: `redis-benchmark` with pipelines of 64, which adds to one sorted set.

use super::place::Place;
use anyhow::{Context, Result, bail, ensure};
use redis::{ConnectionAddr, IntoConnectionInfo};
use std::time::Duration;
use tokio::process::Command;

const PROGRAM: &str = "redis-benchmark";
/// Commands that are sent at once.
const PIPELINE: &str = "64";
/// Scores and members are drawn from so many.
const KEYSPACE: &str = "1000000";

/// How often the server has carried out `ZADD` since it was started, whoever asked for it.
pub(super) async fn calls(place: &Place) -> Result<u64> {
    let mut connection = redis::Client::open(place.url())?.get_multiplexed_async_connection().await?;
    let said: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await?;
    let Some(line) = said.lines().find_map(|line| line.strip_prefix("cmdstat_zadd:calls=")) else { return Ok(0) };
    let calls = line.split(',').next().unwrap_or_default();
    calls.parse().with_context(|| format!("Redis says that it was called {calls} times"))
}

/// How long so many take it, by what the benchmark says that it does in a second.
pub(super) async fn by_itself(place: &Place, calls: u64) -> Result<Duration> {
    let info = place.url().into_connection_info()?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else { bail!("{PROGRAM} is run over TCP") };
    let prefix = place.url().split_once("prefix=").map_or("", |(_, prefix)| prefix);
    let mut command = Command::new(PROGRAM);
    command.args(["-h", host, "-p", &port.to_string(), "-P", PIPELINE, "-r", KEYSPACE, "-n", &calls.to_string(), "-q"]);
    if let Some(password) = info.redis_settings().password() {
        // It takes it in no other way; a server that is measured has nothing to hide.
        command.args(["-a", password]);
    }
    command.args(["ZADD", &format!("{prefix}benchmark"), "__rand_int__", "member:__rand_int__"]);
    let output = command.output().await.with_context(|| format!("{PROGRAM}, which Debian has in redis-tools"))?;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{PROGRAM}: {said}{failed}");
    let (before, _) = said.rsplit_once(" requests per second").with_context(|| format!("{PROGRAM}: {said}{failed}"))?;
    let per_second: f64 = before.rsplit([' ', '\r', '\n']).next().unwrap_or_default().parse()?;
    Ok(Duration::from_secs_f64(calls as f64 / per_second))
}
