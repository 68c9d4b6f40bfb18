//! Posts through their saga beside one plain commit of as much, and so many of them a second for a while.

mod flood;

use crate::closed_loop::{Client, measure};
use crate::in_process;
use crate::node::{Node, accept};
use crate::options::Scale;
use crate::people::People;
use crate::report::{Cell, Floor, Section};
use crate::rounds::Compared;
use anyhow::Result;
use commands::Router;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Clients at one time: alone, and as many as a busy small server has.
const CLIENTS: [usize; 2] = [1, 16];
/// How often both take turns.
const ROUNDS: usize = 10;
const COLUMNS: [&str; 8] =
    ["clients", "posts/s", "p50 ms", "p99 ms", "plain commits/s", "p50 ms", "p99 ms", "p50 in p50s"];
/// What the p50 of a post may be in p50s of a plain commit.
const TIMES_MAX: f64 = 4.0;
/// What it may be on Kafka, in milliseconds.
const KAFKA_MS_MAX: f64 = 15.0;

/// Publishes post after post, each by the next author.
struct Writer {
    people: Arc<People>,
    router: Router,
    next: Arc<AtomicUsize>,
    by_saga: bool,
}

impl Client for Writer {
    async fn ask(&mut self) -> Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let request = if self.by_saga { self.people.creation(n)? } else { self.people.publication(n)? };
        accept(&self.router, request).await
    }
}

/// Measures both, embedded.
pub(crate) async fn run(scale: &Scale, directory: &Path) -> Result<(Vec<Section>, Vec<Floor>)> {
    let (_data, node, people) = in_process::settle(scale, directory).await?;
    let (section, floors) = compare(scale, &node, &people, "in process").await?;
    node.close().await?;
    Ok((vec![section, flood::run(scale, directory).await?], floors))
}

/// The same over a log on Kafka.
pub(crate) async fn run_on_kafka(scale: &Scale, node: &Node, people: &Arc<People>) -> Result<(Section, Vec<Floor>)> {
    compare(scale, node, people, "on Kafka").await
}

async fn compare(scale: &Scale, node: &Node, people: &Arc<People>, on: &str) -> Result<(Section, Vec<Floor>)> {
    let scale = scale.with_rounds(ROUNDS);
    let mut section = Section::new(format!("Posts by POST_CREATION, {on}"), COLUMNS.into());
    section.note("a post is acknowledged when it is published, after three commits on two keys one after the other;");
    section.note("two more give its place free later; beside the same post as one plain commit, in turns;");
    section.note("all read models applying both meanwhile");
    let mut floors = Vec::new();
    let next = Arc::new(AtomicUsize::new(0));
    for clients in CLIENTS {
        let writers = |by_saga| {
            let writer =
                || Writer { people: Arc::clone(people), router: node.router.clone(), next: Arc::clone(&next), by_saga };
            (0..clients).map(|_| writer()).collect::<Vec<_>>()
        };
        let mut compared = Compared::default();
        for _ in 0..scale.rounds {
            compared.product.push(measure(writers(true), scale.span()).await?);
            compared.baseline.push(measure(writers(false), scale.span()).await?);
        }
        let mut row = vec![Cell::count(clients as f64)];
        for rounds in [&compared.product, &compared.baseline] {
            row.extend([
                Cell::count(rounds.per_second()),
                Cell::number(rounds.p50_ms()),
                Cell::number(rounds.p99_ms()),
            ]);
        }
        row.push(Cell::number(compared.p50_ratio()));
        section.row(row);
        if clients == 1 {
            let what = format!("{on}, a post by its saga, 1 client: p50 in p50s of a plain commit");
            floors.push(Floor::at_most(what, TIMES_MAX, compared.p50_ratio()));
            if on == "on Kafka" {
                let what = "on Kafka, a post by its saga, 1 client: p50 in ms";
                floors.push(Floor::at_most(what, KAFKA_MS_MAX, compared.product.p50_ms()));
            }
        }
    }
    node.catch_up().await?;
    Ok((section, floors))
}
