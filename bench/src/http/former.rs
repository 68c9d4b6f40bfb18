//! This build beside another one, usually the one that was released last: the same requests, in turns within one run.

use super::server::Child;
use super::{Requests, on_own_thread, populate, round};
use crate::options::Scale;
use crate::report::{Cell, Floor, Section};
use crate::rounds::Compared;
use crate::script::{Load, MIX};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Rounds of each row.
const ROUNDS: usize = 10;
/// People who sign in to both; each costs a hash.
const USERS_MAX: usize = 1_000;
/// How many times as fast as the other build this one is to be, at least.
const RATIO_MIN: f64 = 0.9;

/// Measures every load on both servers.
pub(crate) fn run(scale: &Scale, directory: &Path, other: &Path) -> Result<(Vec<Section>, Vec<Floor>)> {
    // No like repeats, so there are as many pairs of people and posts as ever.
    let users = scale.users.min(USERS_MAX);
    let scale = Scale { users, posts: scale.posts * scale.users / users, ..scale.with_rounds(ROUNDS) };
    let (directory, other) = (directory.to_owned(), other.to_owned());
    on_own_thread(async move { compare(&scale, &directory, &other).await })
}

async fn compare(scale: &Scale, directory: &Path, other: &Path) -> Result<(Vec<Section>, Vec<Floor>)> {
    let (data, people) = populate(scale, directory).await?;
    let copy = tempfile::tempdir_in(directory)?;
    copy_files(data.path(), copy.path()).context("copying the data")?;
    let (mut ours, mut theirs) = (Child::tidings(data.path(), &[])?, Child::program(other, copy.path(), &[])?);
    let addresses = [ours.ready().await?.address, theirs.ready().await?.address];
    let sign_in = async |n: usize| Requests::sign_in(addresses[n], &people).await.map(Arc::new);
    let requests = [sign_in(0).await?, sign_in(1).await?];

    let (mut sections, mut floors) = (Vec::new(), Vec::new());
    for (load, name) in [(Load::Likes, "likes"), (Load::Mix, MIX), (Load::Reads, "reads of a post")] {
        let script = people.script(load);
        let columns = vec!["connections", "requests/s", "the other's/s", "ratio", "spread", "us", "the other's us"];
        let mut section = Section::new(format!("Over HTTP, this build beside another: {name}"), columns);
        section.note(format!("medians of {} rounds of each, in turns; us: processor time per request", scale.rounds));
        for clients in scale.clients {
            let (mut compared, mut costs) = (Compared::default(), [0.0, 0.0]);
            for _ in 0..scale.rounds {
                let (measured, cost) = round(scale, addresses[0], &ours, &requests[0], &script, clients).await?;
                compared.product.push(measured);
                costs[0] += cost;
                let (measured, cost) = round(scale, addresses[1], &theirs, &requests[1], &script, clients).await?;
                compared.baseline.push(measured);
                costs[1] += cost;
            }
            let (low, high) = compared.spread();
            let rates = [compared.product.per_second(), compared.baseline.per_second()].map(Cell::count);
            let mut row = vec![Cell::count(clients as f64)];
            row.extend(rates);
            row.extend([Cell::number(compared.ratio()), format!("{low:.2}-{high:.2}").into()]);
            row.extend(costs.map(|cost| Cell::number(cost / scale.rounds as f64)));
            section.row(row);
            let what = format!("{name}, {clients} connections: ratio to the other build");
            floors.push(Floor::at_least(what, RATIO_MIN, compared.ratio()));
        }
        sections.push(section);
    }
    ours.stop()?;
    theirs.stop()?;
    Ok((sections, floors))
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
