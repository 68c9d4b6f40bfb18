//! How long it takes from the acknowledgement of a command until the read models in a server have passed it: at a fixed
//! rate, whether or not those before have been answered.

use super::Servers;
use super::fed::Fed;
use super::place::{Place, Which};
use crate::in_process;
use crate::node::Node;
use crate::options::Scale;
use crate::people::People;
use crate::report::{Cell, Floor, Report, Section};
use crate::rounds::{median, ms};
use crate::script::{Load, MIX, Script};
use anyhow::{Result, anyhow, bail};
use commands::Answer;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

const RATES: [u32; 2] = [500, 2_000];
/// How often each rate is measured; the median is shown.
const ROUNDS: usize = 5;
/// How long one may wait.
const VISIBLE_MAX: Duration = Duration::from_secs(60);
const P99_MS_MAX: f64 = 50.0;

/// How long one command took.
struct Times {
    acknowledged: Duration,
    visible: Duration,
}

pub(super) async fn run(scale: &Scale, servers: &Servers, directory: &Path, report: &mut Report) -> Result<()> {
    let (_data, node, people) = in_process::settle(scale, directory).await?;
    let columns = vec!["", "commands/s", "answered/s", "ack p50 ms", "p99 ms", "visible p50 ms", "p99 ms", "worst p99"];
    let mut section = Section::new("Acknowledged, then visible in servers", columns);
    section.note(format!("{MIX}, at fixed times; one server at a time, all read models in memory beside it"));
    section.note("ack: from the time that it was due until it was acknowledged; visible: from then until all read");
    section.note(format!("models there had passed it; the median of {ROUNDS} rounds, and the worst p99 of them"));
    // One for all, so that nobody does anything again.
    let script = people.script(Load::Mix);
    let mut floors = Vec::new();
    for which in Which::SERVERS {
        let place = Place::new(servers, which).await?;
        let fed = Fed::begin(&node.journal, &node.keyring, &place).await?;
        fed.catch_up().await?;
        rates(scale, &node, (&people, &script), (which, &fed), (&mut section, &mut floors)).await?;
        fed.end().await?;
        place.delete().await?;
    }
    report.add([section], floors);
    node.close().await
}

/// Measures each rate, into one server.
async fn rates(
    scale: &Scale,
    node: &Node,
    acting: (&Arc<People>, &Script),
    (which, fed): (Which, &Fed),
    (section, floors): (&mut Section, &mut Vec<Floor>),
) -> Result<()> {
    for rate in RATES {
        let rounds = scale.with_rounds(ROUNDS).rounds;
        let (mut answered, mut columns) = (Vec::new(), [const { Vec::new() }; 4]);
        for _ in 0..rounds {
            let begun = Instant::now();
            let times = round(scale, node, acting, fed, rate).await?;
            answered.push(times.len() as f64 / begun.elapsed().as_secs_f64());
            let percentiles =
                [(acknowledged as fn(&Times) -> Duration, 50), (acknowledged, 99), (visible, 50), (visible, 99)];
            for (column, (of, percent)) in columns.iter_mut().zip(percentiles) {
                column.push(ms(at(&times, of, percent)));
            }
        }
        let worst = columns[3].iter().copied().fold(0.0, f64::max);
        let medians = columns.map(|column| median(column.into_iter()));
        let mut row = vec![which.server().into(), Cell::count(rate.into()), Cell::count(median(answered.into_iter()))];
        row.extend(medians.map(Cell::number));
        row.push(Cell::number(worst));
        section.row(row);
        if rate == RATES[0] {
            let what = format!("visible in {} at {rate} commands/s: p99 ms", which.server());
            floors.push(Floor::at_most(what, P99_MS_MAX, medians[3]));
        }
    }
    Ok(())
}

fn acknowledged(times: &Times) -> Duration {
    times.acknowledged
}

fn visible(times: &Times) -> Duration {
    times.visible
}

fn at(times: &[Times], of: fn(&Times) -> Duration, percent: usize) -> Duration {
    let mut times = times.iter().map(of).collect::<Vec<_>>();
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

async fn round(
    scale: &Scale,
    node: &Node,
    (people, script): (&Arc<People>, &Script),
    fed: &Fed,
    rate: u32,
) -> Result<Vec<Times>> {
    let begun = Instant::now();
    let count = rate * u32::try_from(scale.flooded.as_secs() / 6).unwrap_or_default().max(1);
    let mut commands = JoinSet::new();
    for n in 0..count {
        let due = begun + Duration::from_secs(1) / rate * n;
        sleep_until(due).await;
        let request = people.request(script.next())?;
        let (router, projections) = (node.router.clone(), Arc::clone(&fed.projections));
        let names = fed.names.clone();
        commands.spawn(async move {
            let receipt = match router.submit(request).await {
                Answer::Accepted(receipt) => receipt,
                other => bail!("not accepted: {other:?}"),
            };
            let answered = Instant::now();
            let passed = projections.wait_for(&names, &[receipt.position], answered + VISIBLE_MAX).await;
            passed.map_err(|lag| anyhow!("not visible: {lag}"))?;
            Ok(Times { acknowledged: answered - due, visible: answered.elapsed() })
        });
    }
    let mut times = Vec::new();
    while let Some(took) = commands.join_next().await {
        times.push(took??);
    }
    Ok(times)
}
