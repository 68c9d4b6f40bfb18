//! `tidings serve` inside this executable, so that it can be profiled: the same settings, log and metrics.
//!
//! It profiles from the line `start` on its input to the line `stop`, then ends.

use crate::profile::Profile;
use anyhow::{Context, Result, anyhow};
use gateway::telemetry::{self, Metrics};
use gateway::{Config, Server};
use std::io::{BufRead, stdin};
use std::path::{Path, PathBuf};
use std::thread;
use tokio_util::sync::CancellationToken;

/// How it is started.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the flame graph goes
    graph: PathBuf,
    #[command(flatten)]
    config: Box<Config>,
}

/// Serves until it was profiled.
pub(crate) async fn serve(arguments: Arguments) -> Result<()> {
    let Arguments { graph, config } = arguments;
    telemetry::log(&config)?;
    let server = Server::open(*config, Metrics::install()?).await?;
    let stop = CancellationToken::new();
    let profiling = thread::spawn({
        let stop = stop.clone();
        move || {
            let profiled = profile(&graph);
            stop.cancel();
            profiled
        }
    });
    server.run(stop).await?;
    profiling.join().map_err(|_| anyhow!("the profiler panicked"))?
}

fn profile(graph: &Path) -> Result<()> {
    let mut lines = stdin().lock().lines();
    let mut line = || lines.next().context("the input has ended")?.context("reading the input");
    while line()? != "start" {}
    let profile = Profile::start(graph)?;
    let mut said = line()?;
    while let Some(rate) = said.strip_prefix("rate ") {
        let rate = rate.to_owned();
        said = line()?;
        if said == "stop" {
            return profile.finish(graph, &rate);
        }
    }
    Err(anyhow!("not understood: {said}"))
}
