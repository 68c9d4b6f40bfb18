//! Two processes that both believe that they own a partition, and write into it at once: the chain alone decides.

use anyhow::{Context, Result, bail, ensure};
use events::Commit;
use journal::kafka::{KafkaLog, KafkaOptions};
use journal::{Journal, Kind, Offset, Partition, Reader, Rule, Rules};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use tidings_tests::services::Services;
use tidings_tests::settings;
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// The races of a short run; `TIDINGS_OWNER_RACES` asks for more. Their number is their seed.
const RACES: u64 = 2;
/// More follow until one has seen commits of an owner that was none any more: that is a matter of timing.
const RACES_MAX: u64 = 40;
/// What each racer asks for by itself; as much again it asks for that the other one asks for too.
const COMMANDS: usize = 300;

/// What stands in the log by some rules, or was acknowledged: each command's offsets.
type Effects = BTreeMap<Uuid, Vec<Offset>>;

/// A partition as everybody must read it, or, by other rules, as nobody may.
#[derive(Default)]
struct Log {
    commits: Effects,
    claims: usize,
    /// The chain's head after each valid record.
    heads: BTreeMap<Offset, String>,
    records: Offset,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_race_for_a_partition() -> Result<()> {
    let Some(services) = Services::from_env() else { return Ok(()) };
    let races = settings::number("TIDINGS_OWNER_RACES", RACES);
    let mut seed = 0;
    let (begun, mut acknowledged, mut claims, mut void, mut noticed) = (Instant::now(), 0, 0, 0, 0);
    while seed < races || (noticed == 0 && seed < RACES_MAX) {
        let journal = new_log(&services).await?;
        let racers = [start(&journal, seed, 0)?, start(&journal, seed, 1)?];
        let told = spawn_blocking(|| told(racers)).await?.with_context(|| format!("seed {seed}"))?;
        let log = read(&journal, Rules::default()).await?;
        check(&told, &log).with_context(|| format!("seed {seed}"))?;
        let other = read(&journal, Rules::default()).await?;
        ensure!(other.heads == log.heads, "seed {seed}: two readers disagree");
        acknowledged += log.commits.len();
        claims += log.claims;
        let valid = log.commits.len() + log.claims;
        void += usize::try_from(log.records)? - valid;
        // A reader that takes every record for valid must be found out.
        let naive = read(&journal, Rules::without(Rule::VoidWhatDoesNotExtend)).await?;
        noticed += u64::from(check(&told, &naive).is_err());
        seed += 1;
    }
    println!(
        "nodes: {seed} races of 2 processes in {:.0?}: {acknowledged} commands acknowledged, each once among the valid \
         records, no other; {claims} claims, {void} void records; without the rule {noticed} of {seed} are found out",
        begun.elapsed()
    );
    ensure!(void > 0, "nobody wrote what was void");
    ensure!(noticed > 0, "the check finds nothing without the rule");
    Ok(())
}

async fn new_log(services: &Services) -> Result<Arc<KafkaLog>> {
    let id = Uuid::new_v4();
    let options = KafkaOptions {
        brokers: services.brokers().to_owned(),
        cluster: None,
        topic: format!("race-{id}"),
        log: format!("log {id}"),
        partitions: 1,
        create: true,
        dev: true,
        properties: Vec::new(),
    };
    Ok(Arc::new(spawn_blocking(move || KafkaLog::open(options)).await??))
}

fn start(journal: &KafkaLog, seed: u64, number: usize) -> Result<Child> {
    let KafkaOptions { brokers, topic, log, .. } = journal.options();
    let mut racer = Command::new(env!("CARGO_BIN_EXE_racer"));
    racer.args([brokers, topic, log, &seed.to_string(), &number.to_string(), &COMMANDS.to_string()]);
    racer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting a racer")
}

/// What the racers were told, and each one's last head.
struct Told {
    acknowledged: Effects,
    heads: Vec<(Offset, String)>,
}

/// Lets both begin at once, and waits for their end.
fn told(mut racers: [Child; 2]) -> Result<Told> {
    let mut said = Vec::new();
    for racer in &mut racers {
        let mut lines = BufReader::new(racer.stdout.take().context("it is piped")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        ensure!(line == "ready\n", "a racer said: {line}");
        said.push(lines);
    }
    for racer in &mut racers {
        racer.stdin.take().context("it is piped")?.write_all(b"go\n")?;
    }
    let all_of = |mut lines: BufReader<_>| {
        let mut text = String::new();
        lines.read_to_string(&mut text).map(|_| text)
    };
    let texts = said.into_iter().map(|lines| thread::spawn(move || all_of(lines))).collect::<Vec<_>>();
    let mut told = Told { acknowledged: Effects::new(), heads: Vec::new() };
    for (text, racer) in texts.into_iter().zip(&mut racers) {
        for line in text.join().expect("it only reads")?.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["acknowledged", command, offset] => {
                    told.acknowledged.entry(command.parse()?).or_default().push(offset.parse()?);
                }
                ["head", offset, chain] => told.heads.push((offset.parse()?, chain.to_owned())),
                _ => bail!("a racer said: {line}"),
            }
        }
        let status = racer.wait()?;
        ensure!(status.success(), "a racer ended with {status}");
    }
    Ok(told)
}

async fn read(journal: &Arc<KafkaLog>, rules: Rules) -> Result<Log> {
    let mut log = Log::default();
    let mut reader = Reader::from_start(Arc::clone(journal) as _, Partition(0)).await?.with_rules(rules);
    loop {
        let records = reader.records().await?;
        if records.is_empty() {
            log.records = journal.end(Partition(0)).await?;
            return Ok(log);
        }
        for (record, after) in records {
            log.heads.insert(record.offset, format!("{:?}", after.head));
            match record.draft.kind {
                Kind::Claim => log.claims += 1,
                Kind::Commit => {
                    let command = Commit::decode(&record.draft.value)?.command;
                    log.commits.entry(command.0).or_default().push(record.offset);
                }
            }
        }
    }
}

/// Every acknowledged command stands in the log once, where its askers were told; nothing else does; and whoever read
/// the log has read this one.
fn check(told: &Told, log: &Log) -> Result<()> {
    ensure!(log.claims >= 2, "only one of them ever owned the partition");
    for (command, offsets) in &log.commits {
        let [offset] = offsets[..] else { bail!("{command} took effect at {offsets:?}") };
        let told =
            told.acknowledged.get(command).with_context(|| format!("{command} at {offset}: never acknowledged"))?;
        ensure!(told.iter().all(|told| *told == offset), "{command} stands at {offset}; acknowledged was {told:?}");
    }
    let lost = told.acknowledged.keys().find(|command| !log.commits.contains_key(*command));
    ensure!(lost.is_none(), "acknowledged and lost: {lost:?}");
    ensure!(told.acknowledged.len() == 3 * COMMANDS + 1, "{} were acknowledged", told.acknowledged.len());
    let strange = told.heads.iter().find(|(offset, head)| log.heads.get(offset) != Some(head));
    ensure!(told.heads.len() == 2 && strange.is_none(), "a racer has read another head: {:?}", told.heads);
    Ok(())
}
