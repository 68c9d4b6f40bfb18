//! The whole log read into all read models, from its beginning, beside reading it alone.
//!
//! The log is written once by the owners at full speed and kept; what people typed in it is sealed, so opening is part
//! of the replay. Each event is counted once, however many read models take it.

use crate::node::{Node, embedded, read_models};
use crate::options::Scale;
use crate::people::People;
use crate::report::{Cell, Floor, Section};
use crate::rounds::median;
use crate::script::{Load, MIX};
use anyhow::{Context, Result, ensure};
use events::Keyring;
use journal::embedded::{self as store, Embedded};
use journal::{Journal, Partition, Reader};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// To be counted up when what a log is written with changes, so that no log of another shape is measured.
const SHAPE: u32 = 1;
/// Clients that write the log.
const WRITERS: usize = 1_024;

/// A log that is kept from run to run.
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    /// How long writing it took, if that was now.
    written: Option<Duration>,
}

/// A log that is open for reading.
pub(crate) struct Open {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) keyring: Arc<dyn Keyring>,
    _embedded: Embedded,
}

impl Kept {
    /// The log of this scale, written now if there is none or a fresh one is wanted.
    pub(crate) async fn get(scale: &Scale, directory: &Path, fresh: bool) -> Result<Self> {
        let Scale { users, posts, records, .. } = scale;
        let path = directory.join(format!("log-{SHAPE}-{users}-{posts}-{records}"));
        let complete = path.with_extension("complete");
        if complete.exists() && !fresh {
            return Ok(Self { path, written: None });
        }
        for old in [&complete, &path].into_iter().filter(|old| old.exists()) {
            if old.is_dir() { fs::remove_dir_all(old)? } else { fs::remove_file(old)? }
        }
        let begun = Instant::now();
        write(scale, &path).await.context("writing the log")?;
        fs::write(complete, "")?;
        Ok(Self { path, written: Some(begun.elapsed()) })
    }

    pub(crate) fn open(&self) -> Result<Open> {
        let opened = store::open(&self.path, store::PARTITIONS_DEFAULT);
        let embedded =
            opened.with_context(|| format!("opening the log in {}; --fresh writes it anew", self.path.display()))?;
        Ok(Open { journal: embedded.log.clone(), keyring: embedded.keyring.clone(), _embedded: embedded })
    }
}

async fn write(scale: &Scale, path: &Path) -> Result<()> {
    let node = Node::open(&embedded(path), false).await?;
    let people = People::settle(&node, scale.users, scale.posts).await?;
    fill(&node, &people, Load::Mix, scale.records).await?;
    node.close().await
}

/// Carries out a load until the log holds so many records, or a few more.
pub(crate) async fn fill(node: &Node, people: &Arc<People>, load: Load, records: u64) -> Result<()> {
    let script = people.script(load);
    let missing = records.saturating_sub(node.records().await?);
    let mut writing = JoinSet::new();
    for mut client in people.clients(&node.router, &script, WRITERS) {
        let script = Arc::clone(&script);
        writing.spawn(async move {
            while script.acts() < missing {
                crate::closed_loop::Client::ask(&mut client).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

/// Measures reading alone and replaying, in turns.
pub(crate) async fn run(scale: &Scale, directory: &Path, fresh: bool) -> Result<(Section, Floor)> {
    let kept = Kept::get(scale, directory, fresh).await?;
    let open = kept.open()?;
    let (mut replays, mut reads) = (Vec::new(), Vec::new());
    let events = open.read().await?;
    for _ in 0..scale.rounds {
        let begun = Instant::now();
        let read = open.read().await?;
        reads.push(begun.elapsed().as_secs_f64());
        ensure!(read == events, "the log has changed while it was read");
        replays.push(open.replay().await?.as_secs_f64());
    }
    let events = events as f64;
    let columns = vec!["", "events", "s", "events/s", "ratio"];
    let mut section = Section::new("Replay of the whole log", columns);
    section.note(format!("{} users with sealed addresses, names and bios, then {MIX}", scale.users));
    section
        .note("a new set of all read models, fed by the real runners, all partitions at once; each event counts once");
    section.note("beside reading, checking the chain and decoding alone");
    section.note(match kept.written {
        Some(took) => {
            format!("the log was written now, in {:.0} s, and is kept in {}", took.as_secs_f64(), kept.path.display())
        }
        None => format!("the log is that of an earlier run, in {}", kept.path.display()),
    });
    let (replay, read) = (median(replays.into_iter()), median(reads.into_iter()));
    let row = |what: &str, seconds: f64| {
        vec![what.into(), Cell::count(events), Cell::number(seconds), Cell::count(events / seconds)]
    };
    section.row([row("replay", replay), vec![Cell::number(read / replay)]].concat());
    section.row([row("reading alone", read), vec![Cell::number(1.0)]].concat());
    Ok((section, Floor::at_least("replay, all read models: events/s", 300_000.0, events / replay)))
}

impl Open {
    /// Reads every partition to its end, all at once; how many events that are.
    pub(crate) async fn read(&self) -> Result<u64> {
        let mut reading = JoinSet::new();
        for partition in (0..self.journal.partitions()).map(Partition) {
            let journal = Arc::clone(&self.journal);
            reading.spawn(async move {
                let mut reader = Reader::from_start(journal, partition).await?;
                let mut events = 0;
                loop {
                    let commits = reader.commits().await?;
                    if commits.is_empty() {
                        return anyhow::Ok(events);
                    }
                    events += commits.iter().map(|decoded| decoded.commit.events.len() as u64).sum::<u64>();
                }
            });
        }
        let mut events = 0;
        while let Some(read) = reading.join_next().await {
            events += read??;
        }
        Ok(events)
    }

    /// Builds all read models from the beginning, as `tidings serve` does when it starts.
    pub(crate) async fn replay(&self) -> Result<Duration> {
        let begun = Instant::now();
        let (projections, runners) = read_models(&self.journal, &self.keyring, &Arc::default());
        let ends = projections.ends().await?;
        let mut replaying = JoinSet::new();
        for mut runner in runners {
            let end = ends[&runner.partition()];
            replaying.spawn(async move { runner.catch_up(end, &mut |_| {}).await.map(drop) });
        }
        while let Some(replayed) = replaying.join_next().await {
            replayed??;
        }
        let took = begun.elapsed();
        ensure!(projections.is_caught_up(&ends), "the read models lack something");
        ensure!(projections.parked().is_empty(), "the read models have parked something");
        Ok(took)
    }
}
