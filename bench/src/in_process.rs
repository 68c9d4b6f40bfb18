//! Commands through router and owners with all read models running, beside bare durable appends of the same bytes.

use crate::appends::{Appends, Baseline, copies};
use crate::closed_loop::measure;
use crate::node::{Node, embedded};
use crate::options::Scale;
use crate::people::People;
use crate::report::{Cell, Floor, Section};
use crate::rounds::{Compared, median, ms};
use crate::script::Load;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Measures both loads.
pub(crate) async fn run(scale: &Scale, directory: &Path) -> Result<(Vec<Section>, Vec<Floor>)> {
    let (mut sections, mut floors) = (Vec::new(), Vec::new());
    for load in [Load::Likes, Load::Mix] {
        let (_data, node, people) = settle(scale, directory).await?;
        let store = TempDir::new_in(directory)?;
        let appends = Appends::open(store.path()).await?;
        let mut section = Section::new(format!("In process: {}", load.in_words()), COLUMNS.into());
        section.note("beside the same store appending the same keys and values, each awaited (group commit)");
        let rows = compare(scale, &node, &people, load, &appends, &mut section).await?;
        if load == Load::Likes {
            floors.extend(rows.iter().flat_map(|(clients, compared)| likes_floors(*clients, compared)));
        }
        sections.push(section);
        node.close().await?;
    }
    Ok((sections, floors))
}

/// The product and its population for a load.
pub(crate) async fn settle(scale: &Scale, directory: &Path) -> Result<(TempDir, Node, Arc<People>)> {
    let data = TempDir::new_in(directory)?;
    let node = Node::open(&embedded(data.path()), true).await?;
    let people = People::settle(&node, scale.users, scale.posts).await?;
    Ok((data, node, people))
}

/// Of the tables of commands.
pub(crate) const COLUMNS: [&str; 11] = [
    "clients",
    "commands/s",
    "p50 ms",
    "p99 ms",
    "appends/s",
    "p50 ms",
    "p99 ms",
    "ratio",
    "spread",
    "behind",
    "caught up ms",
];

/// Measures a load with each number of clients, in turns with the baseline; fills the table. What came of each.
pub(crate) async fn compare(
    scale: &Scale,
    node: &Node,
    people: &Arc<People>,
    load: Load,
    baseline: &impl Baseline,
    section: &mut Section,
) -> Result<Vec<(usize, Compared)>> {
    let script = people.script(load);
    // So that there is something to copy.
    measure(people.clients(&node.router, &script, 256), scale.span()).await?;
    node.catch_up().await?;
    let copies = copies(&*node.journal).await?;
    section.note(format!(
        "{} users, {} posts; commands acknowledged, all read models applying them meanwhile",
        scale.users, scale.posts
    ));
    section.note(
        "behind: the most records that the read models lacked at once while the load ran, looked at every 100 ms",
    );
    section.note("caught up: how long they took after it until nothing was lacking");
    let mut rows = Vec::new();
    for clients in scale.clients {
        let mut compared = Compared::default();
        let mut lags = Vec::new();
        for _ in 0..scale.rounds {
            let load = measure(people.clients(&node.router, &script, clients), scale.span());
            let (measured, most_behind) = node.watched(load).await;
            compared.product.push(measured?);
            lags.push((most_behind, node.catch_up().await?));
            compared.baseline.push(measure(baseline.clients(&copies, clients), scale.span()).await?);
        }
        let mut row = compared_cells(clients, &compared);
        row.push(Cell::count(median(lags.iter().map(|(most_behind, _)| *most_behind as f64))));
        row.push(Cell::number(median(lags.iter().map(|(_, took)| ms(*took)))));
        section.row(row);
        rows.push((clients, compared));
    }
    Ok(rows)
}

/// Clients, rates and times of both, and their ratio.
pub(crate) fn compared_cells(clients: usize, compared: &Compared) -> Vec<Cell> {
    let (low, high) = compared.spread();
    let mut cells = vec![Cell::count(clients as f64)];
    for rounds in [&compared.product, &compared.baseline] {
        cells.extend([Cell::count(rounds.per_second()), Cell::number(rounds.p50_ms()), Cell::number(rounds.p99_ms())]);
    }
    cells.extend([Cell::number(compared.ratio()), format!("{low:.2}-{high:.2}").into()]);
    cells
}

fn likes_floors(clients: usize, compared: &Compared) -> Vec<Floor> {
    match clients {
        1 => {
            let times = compared.p50_ratio();
            vec![Floor::at_most("in process, likes, 1 client: p50 in p50s of a durable append", 2.0, times)]
        }
        1_024 => vec![
            Floor::at_least("in process, likes, 1,024 clients: ratio to group commit", 0.3, compared.ratio()),
            Floor::at_least("in process, likes, 1,024 clients: commands/s", 50_000.0, compared.product.per_second()),
        ],
        _ => Vec::new(),
    }
}
