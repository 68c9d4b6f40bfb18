//! `tidings demo`: the options of a run, and a server of its own unless one is named.

use ::demo::{Options, OwnServer, Source, Target};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What to load, and into which server.
#[derive(Args)]
pub(crate) struct Arguments {
    /// People of a generated graph with a realistic follower distribution
    #[arg(long, default_value_t = 50, conflicts_with = "graph")]
    people: usize,
    /// A file of friendships, one `a b` a line; each is two follows
    #[arg(long)]
    graph: Option<PathBuf>,
    /// How often the server is killed with SIGKILL on the way and started again
    #[arg(long, default_value_t = 0, conflicts_with = "url")]
    kill: usize,
    /// A server that runs already, as http://host:port; without it one is started, and stopped at the end
    #[arg(long)]
    url: Option<String>,
    /// The data directory of the server that is started [default: a new one, removed if nothing differs]
    #[arg(long, conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Posts to publish [default: 6 for each person]
    #[arg(long)]
    posts: Option<usize>,
    /// Comments to write [default: 11 for each person]
    #[arg(long)]
    comments: Option<usize>,
    /// Likes [default: 35 for each person]
    #[arg(long)]
    likes: Option<usize>,
    /// Connections at one time
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// The seed of every choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// An error if anything differs from what the demo has done.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let home = std::env::temp_dir().join(format!("tidings-demo-{}", std::process::id()));
    let own_home = arguments.url.is_none() && arguments.data.is_none();
    if own_home {
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    }
    let options = arguments.options(&home)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let report = runtime.block_on(::demo::run(options))?;
    writeln!(std::io::stdout(), "{report}").context("writing the report")?;
    if report.differences() > 0 {
        let kept = if own_home { format!("; the data is kept in {}", home.display()) } else { String::new() };
        bail!("{} differences{kept}", report.differences());
    }
    if own_home {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    Ok(())
}

impl Arguments {
    fn options(self, home: &Path) -> Result<Options> {
        let target = match self.url {
            Some(url) => Target::Running(url),
            None => Target::Own(OwnServer {
                exe: std::env::current_exe().context("the program's own path")?,
                data: self.data.unwrap_or_else(|| home.join("data")),
                log: None,
                args: Vec::new(),
                env: Vec::new(),
            }),
        };
        let source = self.graph.map_or(Source::People(self.people), Source::File);
        Ok(Options {
            posts: self.posts,
            comments: self.comments,
            likes: self.likes,
            // Names stay in this version.
            renames: Some(0),
            seed: self.seed,
            kills: self.kill,
            concurrency: self.concurrency,
            progress: true,
            ..Options::new(target, source)
        })
    }
}
