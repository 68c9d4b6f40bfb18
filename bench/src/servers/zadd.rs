//! What Redis does by itself: `redis-benchmark` with pipelines of 64, which adds to one sorted set.

use super::place::Place;
use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use redis::{ConnectionAddr, IntoConnectionInfo};
use std::future::ready;
use std::time::Duration;
use tokio::process::Command;

const PROGRAM: &str = "redis-benchmark";
/// Commands that are sent at once.
const PIPELINE: &str = "64";
/// Scores and members are drawn from so many.
const KEYSPACE: &str = "1000000";

/// What the server is asked for when all is written that is to be counted.
const END: &str = "all is written";

/// How many elements come into sorted sets while this is done: a call may bring several. The server tells of each command that
/// it carries out, which takes it as long again: what is measured is not counted at the same time.
pub(super) async fn elements(place: &Place, done: impl Future<Output = Result<()>>) -> Result<u64> {
    let client = redis::Client::open(place.url())?;
    let monitor = client.get_async_monitor().await?;
    let told = monitor.into_on_message::<String>().take_while(|line| ready(!line.contains(END)));
    let counting = told.fold(0, |sum, line| ready(sum + elements_of(&line)));
    let ended = async {
        done.await?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        anyhow::Ok(redis::cmd("ECHO").arg(END).query_async::<String>(&mut connection).await?)
    };
    let (count, ended) = tokio::join!(counting, ended);
    ended?;
    Ok(count)
}

/// Those of a line such as `1.5 [0 lua] "ZADD" "feed" "NX" "2" "post"`: no argument has a quote in it.
fn elements_of(line: &str) -> u64 {
    let Some((_, arguments)) = line.split_once("] \"ZADD\" ") else { return 0 };
    let arguments = arguments.split("\" \"").count() as u64;
    // The key, and options if the rest are not scores with their elements.
    (arguments - 1) / 2
}

/// How long so many take it, one by one, by what the benchmark says that it does in a second.
pub(super) async fn by_itself(place: &Place, elements: u64) -> Result<Duration> {
    let info = place.url().into_connection_info()?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else { bail!("{PROGRAM} is run over TCP") };
    let prefix = place.url().split_once("prefix=").map_or("", |(_, prefix)| prefix);
    let mut command = Command::new(PROGRAM);
    command.args([
        "-h",
        host,
        "-p",
        &port.to_string(),
        "-P",
        PIPELINE,
        "-r",
        KEYSPACE,
        "-n",
        &elements.to_string(),
        "-q",
    ]);
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
    Ok(Duration::from_secs_f64(elements as f64 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_of_a_call_counts() {
        assert_eq!(elements_of(r#"17.5 [0 lua] "ZADD" "user:1:feed" "2" "a""#), 1);
        assert_eq!(elements_of(r#"17.5 [0 lua] "ZADD" "user:1:posts" "NX" "2" "a""#), 1);
        assert_eq!(elements_of(r#"17.5 [0 lua] "ZADD" "user:1:feed" "2" "a" "3" "b" "4" "c""#), 3);
        assert_eq!(elements_of(r#"17.5 [0 127.0.0.1:9] "EVALSHA" "x" "ZADD" "y""#), 0);
    }
}
