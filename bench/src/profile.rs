//! Where the time of a workload goes: a flame graph, and the functions that are seen most often as text.
//!
//! The stacks of this process are sampled by processor time, so what waits is not seen.

use crate::closed_loop::{Span, measure};
use crate::flamegraph::Tree;
use crate::http;
use crate::in_process::settle;
use crate::options::{Scale, Workload};
use crate::replay::Kept;
use crate::script::Load;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Samples a second of processor time; a prime, so that nothing periodic hides between two.
const FREQUENCY: i32 = 997;
/// How long a load is profiled.
const PROFILED: Duration = Duration::from_secs(6);
/// Functions that are listed.
const TOP: usize = 25;
const NAME_MAX: usize = 150;

/// A running profile of this process.
pub(crate) struct Profile(ProfilerGuard<'static>);

/// Profiles a workload; what is to be printed.
pub(crate) async fn run(workload: Workload, scale: &Scale, data: &Path, graphs: &Path) -> Result<String> {
    fs::create_dir_all(graphs)?;
    let name = workload.to_possible_value().context("every workload has a name")?.get_name().to_owned();
    let graph = graphs.join(name).with_extension("svg");
    let span = Span { warm_up: scale.measured / 5, measured: PROFILED.min(scale.measured * 4) };
    match workload {
        Workload::Commands => commands(Load::Likes, scale, span, data, &graph).await?,
        Workload::Mix => commands(Load::Mix, scale, span, data, &graph).await?,
        Workload::HttpLikes => http::profile(Load::Likes, scale, span, data, &graph)?,
        Workload::HttpMix => http::profile(Load::Mix, scale, span, data, &graph)?,
        Workload::HttpReads => http::profile(Load::Reads, scale, span, data, &graph)?,
        Workload::Replay => replay(scale, data, &graph).await?,
    }
    let text = fs::read_to_string(text_beside(&graph))?;
    Ok(format!("{text}\nflame graph: {}", graph.display()))
}

async fn commands(load: Load, scale: &Scale, span: Span, directory: &Path, graph: &Path) -> Result<()> {
    let (_data, node, people) = settle(scale, directory).await?;
    let clients = people.clients(&node.router, &people.script(load), 1_024);
    let profile = Profile::start()?;
    let measured = measure(clients, span).await?;
    profile.finish(graph, &format!("{:.0} commands/s while profiled", measured.per_second))?;
    node.close().await
}

async fn replay(scale: &Scale, directory: &Path, graph: &Path) -> Result<()> {
    let open = Kept::get(scale, directory, false).await?.open()?;
    let events = open.read().await? as f64;
    let profile = Profile::start()?;
    let took = open.replay().await?;
    profile.finish(graph, &format!("{:.0} events/s while profiled", events / took.as_secs_f64()))
}

impl Profile {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self(ProfilerGuardBuilder::default().frequency(FREQUENCY).build().context("the profiler")?))
    }

    /// Writes the flame graph, and the text beside it.
    pub(crate) fn finish(self, graph: &Path, said: &str) -> Result<()> {
        let report = self.0.report().build().context("the profile")?;
        drop(self.0);
        let mut tree = Tree::default();
        let mut functions = Functions::default();
        for (frames, samples) in &report.data {
            let samples = u64::try_from(*samples).unwrap_or_default();
            let stack = stack(frames);
            tree.add(stack.iter().rev().map(String::as_str), samples);
            functions.add(&stack, samples);
        }
        ensure!(functions.samples > 0, "nothing was sampled");
        let title = graph.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        fs::write(graph, tree.svg(&title))?;
        Ok(fs::write(text_beside(graph), format!("== Profile of {title}: {said}\n{}", functions.text()))?)
    }
}

fn text_beside(graph: &Path) -> PathBuf {
    graph.with_extension("txt")
}

/// The functions of a stack from the innermost outwards, inlined ones too, and the thread's name at last.
fn stack(frames: &Frames) -> Vec<String> {
    let functions = frames.frames.iter().flatten().map(|symbol| readable(&symbol.name()));
    // Threads of one kind have a number at the end.
    let thread = frames.thread_name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    functions.chain([format!("[{thread}]")]).collect()
}

/// Without the compiler's hash.
fn readable(name: &str) -> String {
    let hash = name.rfind("::h").filter(|at| name.len() - at == 19);
    name[..hash.unwrap_or(name.len())].to_owned()
}

/// How often each function was seen.
#[derive(Default)]
struct Functions {
    samples: u64,
    innermost: HashMap<String, u64>,
    anywhere: HashMap<String, u64>,
}

impl Functions {
    fn add(&mut self, stack: &[String], samples: u64) {
        self.samples += samples;
        if let Some(innermost) = stack.first() {
            *self.innermost.entry(innermost.clone()).or_default() += samples;
        }
        for function in stack.iter().collect::<HashSet<_>>() {
            *self.anywhere.entry(function.clone()).or_default() += samples;
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (title, functions) in [("itself", &self.innermost), ("with what it calls", &self.anywhere)] {
            let _ = writeln!(text, "-- {title}, in % of {} samples", self.samples);
            let mut ranked = functions.iter().collect::<Vec<_>>();
            ranked.sort_by_key(|(name, samples)| (std::cmp::Reverse(**samples), name.as_str()));
            for (name, samples) in ranked.into_iter().take(TOP) {
                let name = name.chars().take(NAME_MAX).collect::<String>();
                let _ = writeln!(text, "{:6.2}  {name}", 100.0 * *samples as f64 / self.samples as f64);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_calls_itself_counts_once() {
        let mut functions = Functions::default();
        functions.add(&["f".into(), "f".into(), "main".into()], 3);
        functions.add(&["main".into()], 1);
        assert_eq!((functions.innermost["f"], functions.anywhere["f"], functions.anywhere["main"]), (3, 3, 4));
    }

    #[test]
    fn hashes_are_not_shown() {
        assert_eq!(readable("core::f::h0123456789abcdef"), "core::f");
        assert_eq!(readable("core::hash"), "core::hash");
    }
}
