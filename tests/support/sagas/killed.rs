//! Runs in processes of their own, each of which ends itself with SIGKILL at a record of its run: right before it is handed
//! over, or when it is durable and nobody knows. Then the log is opened anew, and whatever the process has left must come
//! to its end.

use super::contract::cluster;
use super::failure::{Blow, Failure, Moment, Seen};
use super::ready::At;
use super::scenario::{self, Scenario};
use super::{Extent, Outcome, PARTITIONS_MIN, Stand, Table};
use anyhow::{Context, Result, bail};
use journal::kafka::{KafkaLog, KafkaOptions};
use journal::{Journal, embedded};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A log that outlives those who use it.
#[derive(Clone, Debug)]
pub enum Place {
    /// An embedded one, in this directory.
    Directory(PathBuf),
    /// One on Kafka.
    Topic {
        /// `host:port`.
        brokers: String,
        /// Its topic.
        topic: String,
        /// Its name.
        log: String,
    },
}

impl Place {
    async fn open(&self) -> Result<Arc<dyn Journal>> {
        let place = self.clone();
        spawn_blocking(move || -> Result<Arc<dyn Journal>> {
            Ok(match place {
                Self::Directory(directory) => embedded::open(&directory, PARTITIONS_MIN)?.log,
                Self::Topic { brokers, topic, log } => Arc::new(KafkaLog::open(KafkaOptions {
                    brokers,
                    cluster: None,
                    topic,
                    log,
                    partitions: PARTITIONS_MIN,
                    create: true,
                    dev: true,
                    properties: Vec::new(),
                })?),
            })
        })
        .await?
    }

    async fn stand(&self, notes: &Path, seed: u64) -> Result<Stand> {
        Ok(Stand::noting(cluster(self.open().await?, seed), Extent::EachOnce, notes).await)
    }
}

/// One process, and where it ends.
pub struct Kill {
    /// Where its log is.
    pub place: Place,
    /// The file in which it notes what it has done outside the log.
    pub notes: PathBuf,
    /// The name of its scenario.
    pub scenario: String,
    /// Which run of it.
    pub run: u64,
    /// The record.
    pub record: usize,
    /// Whether the record is lost.
    pub is_lost: bool,
}

impl Kill {
    /// What a process is told.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.notes.display().to_string(), self.scenario.clone(), self.run.to_string()];
        arguments.extend([self.record.to_string(), self.is_lost.to_string()]);
        match &self.place {
            Place::Directory(directory) => arguments.push(directory.display().to_string()),
            Place::Topic { brokers, topic, log } => arguments.extend([brokers, topic, log].map(Clone::clone)),
        }
        arguments
    }

    /// What it was told: `NOTES SCENARIO RUN RECORD IS_LOST`, and `DIRECTORY` or `BROKERS TOPIC LOG`.
    pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let arguments: Vec<_> = arguments.collect();
        let [notes, scenario, run, record, is_lost, place @ ..] = &arguments[..] else { bail!("too few arguments") };
        let place = match place {
            [directory] => Place::Directory(directory.into()),
            [brokers, topic, log] => Place::Topic { brokers: brokers.clone(), topic: topic.clone(), log: log.clone() },
            _ => bail!("neither a directory nor a topic"),
        };
        let (run, record, is_lost) = (run.parse()?, record.parse()?, is_lost.parse()?);
        Ok(Self { place, notes: notes.into(), scenario: scenario.clone(), run, record, is_lost })
    }

    fn failure(&self, at: At) -> Failure {
        let moment = if self.is_lost { Moment::Before } else { Moment::Unseen };
        Failure::Record { record: self.record, blow: Blow::Sigkill(moment), at }
    }

    /// Runs the saga in this process, which does not survive it.
    pub async fn run(&self) -> Result<()> {
        let scenarios = scenario::all();
        let scenario = scenarios.iter().find(|scenario| scenario.name == self.scenario).context("no such scenario")?;
        let mut stand = self.place.stand(&self.notes, 2 * self.run).await?;
        stand.begin_with(self.run.into());
        stand.run(scenario, self.failure(At::NOWHERE)).await;
        Ok(())
    }

    /// Runs it in a process of its own; says if that was not killed.
    async fn in_a_process(&self, program: &Path) -> Result<Option<String>> {
        let mut command = Command::new(program);
        command.args(self.arguments());
        let ended = spawn_blocking(move || command.output()).await?.context("starting the runner")?;
        let was_killed = ended.status.signal() == Some(rustix::process::Signal::KILL.as_raw());
        let said = String::from_utf8_lossy(&ended.stderr);
        Ok((!was_killed).then(|| format!("the process was not killed: {}: {said}", ended.status)))
    }

    /// Goes on with what a killed process has left.
    async fn resume(&self, scenario: &Scenario) -> Result<Outcome> {
        let mut stand = self.place.stand(&self.notes, 2 * self.run + 1).await?;
        stand.begin_with(self.run.into());
        let outcome = stand.resume(scenario).await;
        stand.end().await;
        Ok(outcome)
    }
}

/// Runs a scenario once for each of these kills of its records, with `program` for the processes.
pub async fn run(
    program: &Path,
    scenario: &Scenario,
    place: Place,
    kills: impl Fn(&[Seen]) -> Vec<(usize, bool)>,
) -> Result<Table> {
    let directory = tempfile::tempdir()?;
    let notes = directory.path().join("notes");
    let mut stand = place.stand(&notes, 1).await?;
    let (outcome, records) = stand.run_calmly(scenario).await;
    stand.end().await;
    let mut table = Table::default();
    table.note(scenario, &Failure::Nothing, outcome);
    for ((record, is_lost), run) in kills(&records).into_iter().zip(2..) {
        let (place, notes, scenario_name) = (place.clone(), notes.clone(), scenario.name.to_owned());
        let kill = Kill { place, notes, scenario: scenario_name, run, record, is_lost };
        let survived = kill.in_a_process(program).await?;
        let outcome = kill.resume(scenario).await?;
        let leftovers = survived.iter().cloned().chain(outcome.leftovers).collect();
        let failure = kill.failure(records[record - 1].at.clone());
        table.note(scenario, &failure, Outcome { met: survived.is_none(), leftovers, ..outcome });
    }
    Ok(table)
}

/// Each record, lost and not.
pub fn every_record(records: &[Seen]) -> Vec<(usize, bool)> {
    (1..=records.len()).flat_map(|record| [(record, true), (record, false)]).collect()
}

/// A record of each step, lost or not.
pub fn one_of_each_step(records: &[Seen]) -> Vec<(usize, bool)> {
    let mut steps = Vec::new();
    let one_of = |(record, seen): (usize, &Seen)| {
        let is_new = !steps.contains(&seen.at);
        steps.extend(is_new.then(|| seen.at.clone()));
        is_new.then_some((record, record % 2 == 0))
    };
    (1..).zip(records).filter_map(one_of).collect()
}
