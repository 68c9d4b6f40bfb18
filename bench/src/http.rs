//! The API over loopback, beside an axum server whose handlers do nothing: the same requests, and answers of the same
//! status, headers and size.
//!
//! Both servers are processes of their own. One thread of this process is the load generator for both; it shares the
//! cores with whom it asks.

mod connection;
pub(crate) mod empty;
pub(crate) mod former;
pub(crate) mod profiled;
mod requests;
mod server;

use crate::closed_loop::{Span, measure};
use crate::in_process::{compared_cells, settle};
use crate::options::Scale;
use crate::people::People;
use crate::profile::text_beside;
use crate::report::{Cell, Floor, Section};
use crate::rounds::{Compared, median};
use crate::script::{Load, MIX, Script};
use anyhow::{Context, Result};
use requests::Requests;
use server::say;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime;
use tokio::time::{sleep, timeout};

pub(crate) use connection::Connection;
pub(crate) use requests::{publication, sign_in};
pub(crate) use server::{Child, start_on, start_tidings};

/// How long the profiler may take until it samples: it reads about the program first.
const PROFILER_MAX: Duration = Duration::from_secs(60);
const PROFILER_POLL: Duration = Duration::from_millis(5);

/// All loads there are.
pub(crate) const LOADS: [Load; 3] = [Load::Likes, Load::Mix, Load::Reads];

/// Measures loads on a server with this in its environment.
pub(crate) fn run(
    scale: &Scale,
    directory: &Path,
    loads: &[Load],
    environment: &[(String, String)],
) -> Result<(Vec<Section>, Vec<Floor>)> {
    let (scale, directory) = (*scale, directory.to_owned());
    let (loads, environment) = (loads.to_owned(), environment.to_owned());
    on_own_thread(async move { compare_all(&scale, &directory, &loads, &environment).await })
}

/// Runs the load generator: a runtime of one thread.
pub(crate) fn on_own_thread<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let generator = thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))?;
    generator.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))?
}

async fn compare_all(
    scale: &Scale,
    directory: &Path,
    loads: &[Load],
    environment: &[(String, String)],
) -> Result<(Vec<Section>, Vec<Floor>)> {
    let (data, people) = populate(scale, directory).await?;
    let mut product = Child::tidings(data.path(), environment)?;
    let address = product.ready().await?.address;
    let requests = Arc::new(Requests::sign_in(address, &people).await?);
    // What was liked once is not liked again.
    let mix = people.script(Load::Mix);
    let answers = requests.sample(address, &mix).await?;
    let mut baseline = Child::empty(&data.path().join("answers.json"), &answers)?;
    let empty = baseline.address()?;

    let (mut sections, mut floors) = (Vec::new(), Vec::new());
    for load in loads {
        let script = &if *load == Load::Mix { Arc::clone(&mix) } else { people.script(*load) };
        let mut section = section(*load);
        for clients in scale.clients {
            let mut compared = Compared::default();
            let mut costs = [Vec::new(), Vec::new()];
            for _ in 0..scale.rounds {
                let round = round(scale, address, &product, &requests, script, clients).await?;
                compared.product.push(round.0);
                costs[0].push(round.1);
                let round = self::round(scale, empty, &baseline, &requests, script, clients).await?;
                compared.baseline.push(round.0);
                costs[1].push(round.1);
            }
            let mut row = compared_cells(clients, &compared);
            row.extend(costs.map(|costs| Cell::number(median(costs.into_iter()))));
            section.row(row);
            floors.extend(floor(*load, clients, &compared));
        }
        sections.push(section);
    }
    product.stop()?;
    baseline.stop()?;
    Ok((sections, floors))
}

/// What is measured, and the processor time of the server per answer, in microseconds.
async fn round(
    scale: &Scale,
    address: SocketAddr,
    server: &Child,
    requests: &Arc<Requests>,
    script: &Arc<Script>,
    clients: usize,
) -> Result<(crate::closed_loop::Measured, f64)> {
    let clients = requests.clients(address, script, clients).await?;
    let before = (server.cpu()?, script.acts());
    let measured = measure(clients, scale.span()).await?;
    let answers = script.acts() - before.1;
    Ok((measured, (server.cpu()? - before.0).as_secs_f64() * 1e6 / answers as f64))
}

/// A data directory with people in it.
pub(crate) async fn populate(scale: &Scale, directory: &Path) -> Result<(TempDir, Arc<People>)> {
    let (data, node, people) = settle(scale, directory).await.context("populating")?;
    node.close().await?;
    Ok((data, people))
}

fn section(load: Load) -> Section {
    let title = match load {
        Load::Likes => "Over HTTP: likes (POST /posts/{id}/likes)".to_owned(),
        Load::Mix => format!("Over HTTP: {MIX}"),
        Load::Reads => "Over HTTP: reads of a post (GET /posts/{id})".to_owned(),
    };
    let columns = vec![
        "connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "empty/s",
        "p50 ms",
        "p99 ms",
        "ratio",
        "spread",
        "server us",
        "empty us",
    ];
    let mut section = Section::new(title, columns);
    section.note("each request with the access token of one of the users; every status is checked, every body read");
    section.note("beside an axum server whose handlers do nothing; one thread in a third process asks both");
    section.note("server us, empty us: the server's processor time per request");
    section
}

fn floor(load: Load, clients: usize, compared: &Compared) -> Option<Floor> {
    let (what, limit) = match (load, clients) {
        (Load::Reads, 256) => ("HTTP, reads of a post, 256 connections: ratio to an empty handler", 0.5),
        (Load::Likes, 256) => ("HTTP, likes, 256 connections: ratio to an empty handler", 0.25),
        _ => return None,
    };
    Some(Floor::at_least(what, limit, compared.ratio()))
}

async fn appeared(file: &Path) {
    while !file.exists() {
        sleep(PROFILER_POLL).await;
    }
}

/// Profiles the server under a load on 256 connections.
pub(crate) fn profile(load: Load, scale: &Scale, span: Span, directory: &Path, graph: &Path) -> Result<()> {
    let (scale, directory, graph) = (*scale, directory.to_owned(), graph.to_owned());
    on_own_thread(async move {
        let (data, people) = populate(&scale, &directory).await?;
        let mut server = Child::profiled(data.path(), &graph)?;
        let address = server.ready().await?.address;
        let requests = Arc::new(Requests::sign_in(address, &people).await?);
        let clients = requests.clients(address, &people.script(load), 256).await?;
        let mut stdin = server.stdin()?;
        let begun = text_beside(&graph);
        if begun.exists() {
            fs::remove_file(&begun)?;
        }
        say(&mut stdin, "start")?;
        timeout(PROFILER_MAX, appeared(&begun)).await.context("the profiler does not start")?;
        let measured = measure(clients, span).await?;
        say(&mut stdin, &format!("rate {:.0} requests/s while profiled\nstop", measured.per_second))?;
        server.wait()
    })
}
