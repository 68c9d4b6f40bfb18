//! Where the time of a workload goes: a flame graph, and the functions that are seen most often as text.
//!
//! The stacks of this process are sampled by processor time, so what waits is not seen.

use crate::closed_loop::{Span, measure};
use crate::flamegraph::Tree;
use crate::http;
use crate::in_process::settle;
use crate::kafka;
use crate::node::Node;
use crate::options::{Options, Scale, Workload};
use crate::people::People;
use crate::replay::Kept;
use crate::script::Load;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use gateway::Store;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Samples a second of processor time; a prime, so that nothing periodic hides between two.
const FREQUENCY: i32 = 997;
/// How long a load is profiled.
const PROFILED: Duration = Duration::from_secs(6);
/// Functions that are listed.
const TOP: usize = 25;
const NAME_MAX: usize = 150;

const GRAPHS: &str = "target/flamegraphs";

/// A running profile of this process.
pub(crate) struct Profile(ProfilerGuard<'static>);

/// Profiles a workload; what is to be printed.
pub(crate) async fn run(workload: Workload, scale: &Scale, options: &Options, data: &Path) -> Result<String> {
    let graphs = Path::new(GRAPHS);
    fs::create_dir_all(graphs)?;
    let name = workload.to_possible_value().context("every workload has a name")?.get_name().to_owned();
    let graph = graphs.join(name).with_extension("svg");
    let span = Span { warm_up: scale.measured / 5, measured: PROFILED.min(scale.measured * 4) };
    match workload {
        Workload::Commands | Workload::Mix => {
            let (_data, node, people) = settle(scale, data).await?;
            let load = if workload == Workload::Mix { Load::Mix } else { Load::Likes };
            commands(&node, &people, load, span, &graph).await?;
            node.close().await?;
        }
        Workload::Kafka => {
            let (config, node, people) = kafka::settle(scale, options).await?;
            commands(&node, &people, Load::Likes, span, &graph).await?;
            node.close().await?;
            Store::open(&config).await?.delete().await?;
        }
        Workload::HttpLikes => http::profile(Load::Likes, scale, span, data, &graph)?,
        Workload::HttpMix => http::profile(Load::Mix, scale, span, data, &graph)?,
        Workload::HttpReads => http::profile(Load::Reads, scale, span, data, &graph)?,
        Workload::Replay => replay(scale, data, &graph).await?,
    }
    let text = fs::read_to_string(text_beside(&graph))?;
    Ok(format!("{text}\nflame graph: {}", graph.display()))
}

async fn commands(node: &Node, people: &Arc<People>, load: Load, span: Span, graph: &Path) -> Result<()> {
    let clients = people.clients(&node.router, &people.script(load), 1_024);
    let profile = Profile::start(graph)?;
    let measured = measure(clients, span).await?;
    profile.finish(graph, &format!("{:.0} commands/s while profiled", measured.per_second))
}

async fn replay(scale: &Scale, directory: &Path, graph: &Path) -> Result<()> {
    let open = Kept::get(scale, directory, false).await?.open()?;
    let events = open.read().await? as f64;
    let profile = Profile::start(graph)?;
    let took = open.replay().await?;
    profile.finish(graph, &format!("{:.0} events/s while profiled", events / took.as_secs_f64()))
}

impl Profile {
    /// From then on there is a text beside the graph.
    pub(crate) fn start(graph: &Path) -> Result<Self> {
        let profile = Self(ProfilerGuardBuilder::default().frequency(FREQUENCY).build().context("the profiler")?);
        fs::write(text_beside(graph), "not finished\n")?;
        Ok(profile)
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
            tree.add(stack.iter().rev().map(|frame| frame.name.as_str()), samples);
            functions.add(&stack, samples);
        }
        ensure!(functions.samples > 0, "nothing was sampled");
        let title = graph.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        fs::write(graph, tree.svg(&title))?;
        Ok(fs::write(text_beside(graph), format!("== Profile of {title}: {said}\n{}", functions.text()))?)
    }
}

pub(crate) fn text_beside(graph: &Path) -> PathBuf {
    graph.with_extension("txt")
}

/// A function on a stack.
struct Frame {
    name: String,
    /// Whether the compiler has put it into the next one.
    inlined: bool,
}

/// The functions of a stack from the innermost outwards, inlined ones too, and the thread's name at last.
fn stack(frames: &Frames) -> Vec<Frame> {
    let mut stack = Vec::new();
    for symbols in &frames.frames {
        for (index, symbol) in symbols.iter().enumerate() {
            let name = named(&symbol.name(), symbol.filename.as_deref());
            stack.push(Frame { name, inlined: index + 1 < symbols.len() });
        }
    }
    // Threads of one kind have a number at the end.
    let thread = frames.thread_name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    stack.push(Frame { name: format!("[{thread}]"), inlined: false });
    stack
}

/// A function's name without its type parameters, and the file that it stands in: inlined ones have no path.
fn named(name: &str, file: Option<&Path>) -> String {
    let hash = name.rfind("::h").filter(|at| name.len() - at == 19);
    let name = &name[..hash.unwrap_or(name.len())];
    let generic = name.find('<').filter(|at| *at > 0);
    let name = &name[..generic.unwrap_or(name.len())];
    let Some(file) = file.and_then(Path::to_str) else { return name.to_owned() };
    let ours = env!("CARGO_MANIFEST_DIR").strip_suffix("bench").and_then(|root| file.strip_prefix(root));
    let crates = file.find("/registry/src/").and_then(|at| file[at..].splitn(5, '/').nth(4));
    let std = file.find("/library/").map(|at| &file[at + 1..]);
    let file = ours.or(crates).or(std).unwrap_or(file.strip_prefix("./").unwrap_or(file));
    format!("{name}  {file}")
}

/// Whether a function is neither the standard library's nor the runtime's nor C's: those are above everything.
fn says_something(function: &str) -> bool {
    let file = function.rsplit("  ").next().unwrap_or_default();
    function.contains("  ")
        && file.ends_with(".rs")
        && !["library/", "tokio-1", "futures-"].iter().any(|it| file.starts_with(it))
}

/// Whether it stands in this repository.
fn is_ours(function: &str) -> bool {
    let file = function.rsplit("  ").next().unwrap_or_default();
    !file.starts_with('/') && file.split('/').nth(1) == Some("src") && !file.contains(|c: char| c.is_ascii_digit())
}

/// How often each function was seen.
#[derive(Default)]
struct Functions {
    samples: u64,
    /// Innermost, as the processor has it.
    innermost: HashMap<String, u64>,
    /// Innermost of those that say something.
    blamed: HashMap<String, u64>,
    anywhere: HashMap<String, u64>,
}

impl Functions {
    fn add(&mut self, stack: &[Frame], samples: u64) {
        self.samples += samples;
        let innermost = stack.iter().find(|frame| !frame.inlined);
        let blamed = stack.iter().find(|frame| says_something(&frame.name)).or(innermost);
        for (functions, frame) in [(&mut self.innermost, innermost), (&mut self.blamed, blamed)] {
            *functions.entry(frame.map_or_else(String::new, |frame| frame.name.clone())).or_default() += samples;
        }
        for function in stack.iter().map(|frame| &frame.name).collect::<HashSet<_>>() {
            *self.anywhere.entry(function.clone()).or_default() += samples;
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.list(&mut text, "by themselves", &self.innermost, |_| true);
        let title = "by themselves, with what they call of the standard library, the runtime and C";
        self.list(&mut text, title, &self.blamed, |_| true);
        let title = "with all that they call, but for the standard library and the runtime";
        self.list(&mut text, title, &self.anywhere, says_something);
        let ours = |function: &str| says_something(function) && is_ours(function);
        self.list(&mut text, "with all that they call, only ours", &self.anywhere, ours);
        text
    }

    /// The functions that were seen most often.
    fn list(&self, text: &mut String, title: &str, functions: &HashMap<String, u64>, is_listed: impl Fn(&str) -> bool) {
        let _ = writeln!(text, "-- {title}, in % of {} samples", self.samples);
        let mut ranked = functions.iter().filter(|(name, _)| is_listed(name)).collect::<Vec<_>>();
        ranked.sort_by_key(|(name, samples)| (std::cmp::Reverse(**samples), name.as_str()));
        for (name, samples) in ranked.into_iter().take(TOP) {
            let name = name.chars().take(NAME_MAX).collect::<String>();
            let _ = writeln!(text, "{:6.2}  {name}", 100.0 * *samples as f64 / self.samples as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_calls_itself_counts_once() {
        let stack = |names: &[&str]| {
            let frame = |name: &&str| Frame { name: (*name).to_owned(), inlined: false };
            names.iter().map(frame).collect::<Vec<_>>()
        };
        let mut functions = Functions::default();
        functions.add(&stack(&["f", "f", "main"]), 3);
        functions.add(&stack(&["main"]), 1);
        assert_eq!((functions.innermost["f"], functions.anywhere["f"], functions.anywhere["main"]), (3, 3, 4));
    }

    #[test]
    fn a_name_is_short_and_says_where_it_stands() {
        let ours = named("decode<a::B>", Some(Path::new("./journal/src/reader.rs")));
        let theirs = ".cargo/registry/src/somewhere-1/serde_json-1.0.1/src/ser.rs";
        let theirs = named("serde_json::ser::f::h0123456789abcdef", Some(Path::new(theirs)));
        assert_eq!(ours, "decode  journal/src/reader.rs");
        assert_eq!(theirs, "serde_json::ser::f  serde_json-1.0.1/src/ser.rs");
        assert!(is_ours(&ours) && !is_ours(&theirs) && says_something(&theirs));
        assert!(!says_something(&named("poll", Some(Path::new("/rustc/1/library/core/src/f.rs")))));
        assert_eq!(named("core::hash", None), "core::hash");
    }
}
