//! What Tidings costs, measured beside what it is built on: within one run, in turns, so that the ratios mean something
//! on a noisy machine. The absolute figures stand beside them and promise nothing.
#![expect(clippy::print_stdout, reason = "the tables are what this program is for")]

mod appends;
mod closed_loop;
mod creation;
mod flamegraph;
mod http;
mod in_process;
mod kafka;
mod logins;
mod node;
mod options;
mod people;
mod profile;
mod replay;
mod report;
mod rounds;
mod script;
mod servers;
mod start;

use anyhow::{Context, Result};
use clap::Parser;
use options::{Options, Part, Role, Scale};
use report::Report;
use std::path::Path;
use std::thread::available_parallelism;
use tokio::runtime::Runtime;

/// The product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where data and kept logs lie, from where it is started.
const DATA: &str = "target/bench";

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match options.role {
        Some(Role::Empty(arguments)) => runtime.block_on(http::empty::serve(arguments)),
        Some(Role::Profiled(arguments)) => runtime.block_on(http::profiled::serve(arguments)),
        None => measure(&options, &runtime),
    }
}

fn measure(options: &Options, runtime: &Runtime) -> Result<()> {
    let scale = Scale::of(options.quick);
    let data = Path::new(DATA);
    std::fs::create_dir_all(data).with_context(|| format!("making {DATA}"))?;
    if let Some(workload) = options.profile {
        println!("{}", runtime.block_on(profile::run(workload, &scale, options, data))?);
        return Ok(());
    }
    let mut report = Report::begin(available_parallelism()?.get());
    let measured = fill(&mut report, options, runtime, &scale, data);
    report.end();
    // Of a long run what there is is kept, whatever has failed then.
    if let Some(file) = options.json.as_ref().filter(|_| measured.is_ok() || !report.is_empty()) {
        std::fs::write(file, report.to_json()?).with_context(|| format!("writing {}", file.display()))?;
    }
    measured
}

/// Measures what is asked for.
fn fill(report: &mut Report, options: &Options, runtime: &Runtime, scale: &Scale, data: &Path) -> Result<()> {
    if options.kafka && options.handover {
        report.add([runtime.block_on(kafka::handover::run(scale, options, data)).context("handover")?], []);
        return Ok(());
    }
    if options.kafka && options.posts {
        let (section, floors) = runtime.block_on(kafka::posts(scale, options)).context("posts on Kafka")?;
        report.add([section], floors);
        return Ok(());
    }
    if options.kafka {
        let (sections, floors) = runtime.block_on(kafka::run(scale, options, data)).context("commands on Kafka")?;
        report.add(sections, floors);
        return Ok(());
    }
    if options.servers {
        return servers::run(runtime, scale, options, data, report).context("read models in servers");
    }
    if let Some(other) = &options.against {
        let (sections, floors) = http::former::run(scale, data, other).context("another build")?;
        report.add(sections, floors);
        return Ok(());
    }
    let is_wanted = |part| options.is_wanted(part);
    if is_wanted(Part::Commands) {
        let (sections, floors) = runtime.block_on(in_process::run(scale, data)).context("commands")?;
        report.add(sections, floors);
    }
    if is_wanted(Part::Posts) {
        let (sections, floors) = runtime.block_on(creation::run(scale, data)).context("posts")?;
        report.add(sections, floors);
    }
    if is_wanted(Part::Http) {
        let (sections, floors) = http::run(scale, data, &http::LOADS, &[]).context("http")?;
        report.add(sections, floors);
    }
    if is_wanted(Part::Logins) {
        let (section, floor) = runtime.block_on(logins::run(scale, data)).context("logins")?;
        report.add([section], [floor]);
    }
    if is_wanted(Part::Replay) {
        let (section, floor) = runtime.block_on(replay::run(scale, data, options.fresh)).context("replay")?;
        report.add([section], [floor]);
    }
    if is_wanted(Part::Start) {
        let fresh = options.fresh && !is_wanted(Part::Replay);
        report.add([runtime.block_on(start::run(scale, data, fresh)).context("start")?], []);
    }
    Ok(())
}
