//! A process that writes is killed, or its disk is full; what it acknowledged is there when the log is opened again.
//!
//! The process is this test binary once more, told by a variable in its environment which directory to write to; what
//! it has a receipt for it says on its standard output.

use events::{KeyId, Keyring};
use futures::stream::{FuturesUnordered, StreamExt};
use journal::embedded::{self, Embedded};
use journal::{AppendError, Journal, Offset, Partition};
use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tidings_tests::journal_contract::scribe::{Scribe, numbers, valid};
use uuid::Uuid;

const DIRECTORY: &str = "TIDINGS_CRASH_DIRECTORY";
const PARTITIONS: u32 = 4;
/// How many records each partition's writer leaves open.
const IN_FLIGHT: usize = 16;

/// What the child has said: where which value stands, and which keys are there.
#[derive(Default)]
struct Said {
    records: BTreeMap<(Partition, Offset), String>,
    keys: Vec<u128>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["record", partition, offset, value] => {
                let at = (Partition(partition.parse().unwrap()), offset.parse().unwrap());
                assert!(self.records.insert(at, value.to_owned()).is_none(), "two receipts for {line}");
            }
            ["key", n] => self.keys.push(n.parse().unwrap()),
            _ => {}
        }
    }

    async fn is_there(&self, directory: &Path) {
        let Embedded { log, keyring } = embedded::open(directory, PARTITIONS).unwrap();
        let log: Arc<dyn Journal> = log;
        for partition in (0..PARTITIONS).map(Partition) {
            let found: BTreeMap<_, _> = valid(&log, partition)
                .await
                .unwrap()
                .into_iter()
                .map(|record| (record.offset, record.draft.value))
                .collect();
            for ((_, offset), value) in self.records.range((partition, 0)..(Partition(partition.0 + 1), 0)) {
                assert_eq!(found.get(offset).map(|value| &value[..]), Some(value.as_bytes()), "{partition}@{offset}");
            }
        }
        for key in &self.keys {
            assert!(keyring.find(KeyId(Uuid::from_u128(*key))).await.unwrap().is_some(), "key {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_acknowledged_is_there() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return write_until_killed(&PathBuf::from(directory)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for random in numbers(4).take(10) {
        let mut child =
            this_test("crash::what_a_killed_process_acknowledged_is_there", directory.path()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let before = said.records.len();
        let enough = before + usize::try_from(random % 3_000).unwrap();
        while said.records.len() <= enough {
            said.hear(&lines.next().expect("the child writes until it is killed").unwrap());
        }
        child.kill().unwrap();
        // What it had said when the signal came.
        for line in lines.map_while(Result::ok) {
            said.hear(&line);
        }
        child.wait().unwrap();
        said.is_there(directory.path()).await;
    }
    assert!(!said.keys.is_empty());
}

/// A limit on the size of files stands for the end of the disk: writes beyond it fail, the log's journal first.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_log_and_loses_nothing() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return write_until_full(&PathBuf::from(directory)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    // Opened twice: a journal that was just made is as long as it will ever be.
    for _ in 0..2 {
        embedded::open(directory.path(), PARTITIONS).unwrap();
    }
    let this = this_test("crash::a_full_disk_stops_the_log_and_loses_nothing", directory.path());
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\""])
        .arg(this.get_program())
        .args(this.get_args())
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let output = String::from_utf8(limited.stdout).unwrap();
    assert!(limited.status.success(), "{output}{}", String::from_utf8_lossy(&limited.stderr));
    let mut said = Said::default();
    output.lines().for_each(|line| said.hear(line));
    assert!(said.records.len() > 100, "{} records", said.records.len());
    let failure = output.lines().find(|line| line.starts_with("failed")).unwrap();
    assert!(failure.contains(directory.path().to_str().unwrap()) && failure.contains("free space"), "{failure}");
    said.is_there(directory.path()).await;
}

fn this_test(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).stdout(Stdio::piped());
    command
}

async fn write_until_killed(directory: &Path) {
    let Embedded { log, keyring } = embedded::open(directory, PARTITIONS).unwrap();
    let keys = tokio::spawn(async move {
        loop {
            let key = Uuid::new_v4();
            keyring.create(KeyId(key)).await.unwrap();
            say(&format!("key {}", key.as_u128()));
        }
    });
    let log: Arc<dyn Journal> = log;
    let writers: Vec<_> = (0..PARTITIONS).map(|n| tokio::spawn(write(Arc::clone(&log), Partition(n)))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    keys.await.unwrap();
}

/// Appends until a receipt fails.
async fn write(log: Arc<dyn Journal>, partition: Partition) {
    let mut scribe = Scribe::claim(&log, partition).await;
    let mut receipts = FuturesUnordered::new();
    loop {
        while receipts.len() < IN_FLIGHT {
            let value = format!("{}{}", Uuid::new_v4(), "x".repeat(200));
            let receipt = scribe.append(value.clone());
            receipts.push(async move { (receipt.await, value) });
        }
        match receipts.next().await.unwrap() {
            (Ok(offset), value) => say(&format!("record {partition} {offset} {value}")),
            (Err(AppendError::Unknown(_)), _) => return,
        }
    }
}

async fn write_until_full(directory: &Path) {
    let log = embedded::open(directory, PARTITIONS).unwrap().log;
    let port: Arc<dyn Journal> = Arc::clone(&log) as _;
    let writers: Vec<_> = (0..PARTITIONS).map(|n| tokio::spawn(write(Arc::clone(&port), Partition(n)))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    say(&format!("failed {}", log.failed().await));
    let (mut scribe, claim) = Scribe::about_to_claim(&port, Partition(0)).await;
    assert!(scribe.hand_over(claim).await.is_err(), "after a failure nothing is acknowledged");
    let end = port.end(Partition(0)).await.unwrap();
    assert_eq!(valid(&port, Partition(0)).await.unwrap().len() as u64, end, "what is durable can still be read");
}

/// One line at once: a line that is cut by the kill would be heard as another one.
fn say(line: &str) {
    let mut line = line.to_owned();
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}
