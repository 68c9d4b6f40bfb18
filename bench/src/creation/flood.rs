//! A thousand posts a second for a minute, at fixed times whether or not those before have been answered: whether sagas
//! pile up, and what memory they keep.

use crate::in_process;
use crate::node::{Node, accept};
use crate::options::Scale;
use crate::people::People;
use crate::report::{Cell, Section};
use crate::rounds::ms;
use anyhow::{Context, Result};
use commands::Request;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

const PER_SECOND: u32 = 1_000;
/// How often memory is looked at, within a run.
const LOOKS: u32 = 6;
const COLUMNS: [&str; 8] =
    ["posts", "answered/s", "p50 ms", "p99 ms", "longest ms", "most open", "oldest s", "resident MiB"];

/// What is seen while it runs.
#[derive(Default)]
struct Seen {
    most_open: usize,
    oldest: Duration,
    resident_mib: Vec<u64>,
}

/// By the saga, and then as many plain commits as a control, each on a log of its own.
pub(super) async fn run(scale: &Scale, directory: &Path) -> Result<Section> {
    let title = format!("{PER_SECOND} posts a second for {} s, embedded", scale.flooded.as_secs());
    let mut section = Section::new(title, COLUMNS.into());
    section
        .note("at fixed times; open and oldest: sagas without an end, looked at every 100 ms; none was open at last");
    section.note("resident: of this process, at the beginning and then at equal times; posts stay in memory, so the");
    section.note("second row, without sagas, says what of the growth is posts");
    for by_saga in [true, false] {
        let (_data, node, people) = in_process::settle(scale, directory).await?;
        let (times, took, seen) = flood(scale, &node, &people, by_saga).await?;
        let at = |percent: usize| Cell::number(ms(times[(times.len() - 1) * percent / 100]));
        let resident = seen.resident_mib.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        section.row(vec![
            if by_saga { "by their saga".into() } else { "plain commits".into() },
            Cell::count(times.len() as f64 / took.as_secs_f64()),
            at(50),
            at(99),
            at(100),
            Cell::count(seen.most_open as f64),
            Cell::number(seen.oldest.as_secs_f64()),
            resident.into(),
        ]);
        node.let_sagas_end().await?;
        node.close().await?;
    }
    Ok(section)
}

/// How long each took, ascending, and all of them.
async fn flood(
    scale: &Scale,
    node: &Node,
    people: &Arc<People>,
    by_saga: bool,
) -> Result<(Vec<Duration>, Duration, Seen)> {
    let begun = Instant::now();
    let count = PER_SECOND * u32::try_from(scale.flooded.as_secs()).context("seconds")?;
    let mut posts = JoinSet::new();
    let mut seen = Seen { resident_mib: vec![resident_mib()?], ..Seen::default() };
    let mut looks = interval(Duration::from_millis(100));
    let mut next_resident = begun + scale.flooded / LOOKS;
    let mut times = Vec::with_capacity(count as usize);
    for n in 0..count {
        let at = begun + Duration::from_secs(1) / PER_SECOND * n;
        loop {
            tokio::select! {
                () = sleep_until(at) => break,
                _ = looks.tick() => {
                    look(node, &mut seen).await?;
                    if Instant::now() >= next_resident {
                        seen.resident_mib.push(resident_mib()?);
                        next_resident += scale.flooded / LOOKS;
                    }
                }
                Some(took) = posts.join_next() => times.push(took??),
            }
        }
        let n = n as usize;
        let request: Request = if by_saga { people.creation(n)? } else { people.publication(n)? };
        let router = node.router.clone();
        posts.spawn(async move {
            accept(&router, request).await?;
            anyhow::Ok(at.elapsed())
        });
    }
    while let Some(took) = posts.join_next().await {
        times.push(took??);
    }
    let took = begun.elapsed();
    seen.resident_mib.push(resident_mib()?);
    times.sort_unstable();
    Ok((times, took, seen))
}

async fn look(node: &Node, seen: &mut Seen) -> Result<()> {
    seen.most_open = seen.most_open.max(node.sagas_open().await?);
    seen.oldest = seen.oldest.max(node.oldest_saga().await?);
    Ok(())
}

/// The memory of this process that is in use.
fn resident_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading the memory in use")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is no number")?;
    Ok(kib / 1_024)
}
