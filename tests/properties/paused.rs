//! A worker in a process of its own that is paused (SIGSTOP) in the middle of a batch, and woken when another one has fed its
//! partition to the end: what it writes then is nothing. With the fence switched off it is what nobody should see.

use crate::answers::Models;
use crate::read_models::{Call, PARTITIONS, Workers};
use crate::stores::{Store, workers};
use journal::Partition;
use projections::ApplyError;
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tidings_tests::services::Services;
use tidings_tests::settings;
use tidings_tests::simulation::dice::Dice;
use tokio::time::sleep;

/// What the worker's process is told: the store, its URL, the seed of the history and whether there is a fence.
const WORKER: &str = "TIDINGS_TEST_PAUSED_WORKER";
const THIS: &str = "paused::a_worker_that_is_paused_and_woken_after_its_partition_moved_writes_nothing";
/// Pauses of a short run, for each store; `TIDINGS_PAUSES` asks for more.
const PAUSES: u64 = 3;
/// Pauses without the fence after which something must have been wrong.
const UNFENCED_MAX: u64 = 20;
/// Seeds among which there is one whose batch matters.
const SEEDS_MAX: usize = 1_000;
/// Items of a page of what is compared.
const LIMIT: usize = 3;
/// The one that the worker feeds, and its successor.
const PARTITION: Partition = Partition(0);
/// A pause that came too late is tried again.
const ATTEMPTS_MAX: u64 = 40;
/// From when the worker begins until it is paused, in microseconds.
const DELAY_MAX_US: u64 = 8_000;
const AGAIN: Duration = Duration::from_millis(50);
/// How often the worker that was woken tries.
const TRIES_MAX: u32 = 600;
/// How long a successor may be held up by a transaction that nobody goes on with.
const SUCCESSOR_MAX: Duration = Duration::from_secs(30);

impl Workers {
    /// As if there were no fence.
    async fn expect_what_is_there(&self, call: &mut Call) {
        call.expected = self.stored(call.model, call.partition).await;
        call.new = call.expected.succeed(call.new.at);
    }
}

/// What the paused worker has read before, and what its batch is.
fn parts(workers: &Workers) -> (usize, usize) {
    let commits = workers.commits(PARTITION);
    (commits / 3, commits / 3)
}

#[tokio::test]
async fn a_worker_that_is_paused_and_woken_after_its_partition_moved_writes_nothing() {
    if let Ok(told) = env::var(WORKER) {
        return work(&told).await;
    }
    let Some(services) = Services::from_env() else { return };
    let (seed, mut dice) = settings::seed();
    let pauses = settings::number("TIDINGS_PAUSES", PAUSES);
    println!("TIDINGS_FAULT_SEED={seed}");
    for store in Store::ALL {
        for fenced in [true, false] {
            let (mut done, mut differ, mut held_off) = (0, 0, 0);
            // A pause may come before the worker has looked at what it is to change.
            while done < pauses || (!fenced && differ == 0 && done < UNFENCED_MAX) {
                let round = Round::of(store, fenced, &services, &mut dice).await;
                done += 1;
                differ += u64::from(round.differs);
                held_off += u64::from(round.was_fenced);
            }
            let fence = if fenced { "with" } else { "without" };
            println!("{store:?} {fence} the fence: {done} pauses, {held_off} held off, {differ} differ from the twin");
            if fenced {
                assert_eq!((differ, held_off), (0, done), "{store:?}");
            } else {
                assert!(differ > 0, "{store:?}: nothing is wrong without the fence");
            }
        }
    }
}

/// A seed of which everybody could see that its batch was applied once more behind all that came after it.
async fn one_that_matters(store: Store, dice: &mut Dice) -> u64 {
    for _ in 0..SEEDS_MAX {
        let seed = dice.uuid().as_u64_pair().0;
        if is_seen_again(store.model(), seed).await {
            return seed;
        }
    }
    panic!("{store:?}: none of {SEEDS_MAX} seeds has a batch that matters");
}

async fn is_seen_again(model: usize, seed: u64) -> bool {
    let mut workers = workers(seed, Models::default());
    let (before, batch) = parts(&workers);
    workers.apply(model, PARTITION, before).await;
    let mut again = workers.next(model, PARTITION, batch).await;
    for n in 0..PARTITIONS {
        workers.apply(model, Partition(n), usize::MAX).await;
    }
    let once = workers.models.answers(LIMIT).await;
    workers.expect_what_is_there(&mut again).await;
    workers.write(&again).await.unwrap();
    workers.models.answers(LIMIT).await != once
}

/// What came of one pause.
struct Round {
    differs: bool,
    was_fenced: bool,
}

impl Round {
    /// Pauses that come when all is written already do not count.
    async fn of(store: Store, fenced: bool, services: &Services, dice: &mut Dice) -> Self {
        for attempt in 0..ATTEMPTS_MAX {
            let seed = one_that_matters(store, dice).await;
            // Shorter and shorter, until it falls into the batch, which may take less than a millisecond.
            let delay = dice.micros(0, DELAY_MAX_US >> (attempt / 3));
            if let Some(round) = Self::attempt(store, fenced, services, seed, delay).await {
                return round;
            }
        }
        panic!("{store:?}: no pause of {ATTEMPTS_MAX} fell into a batch");
    }

    async fn attempt(store: Store, fenced: bool, services: &Services, seed: u64, delay: Duration) -> Option<Self> {
        let (before, _) = parts(&workers(seed, Models::default()));
        let (url, model) = (store.fresh(services).await, store.model());
        let mut ours = workers(seed, store.open(&url).await);
        ours.apply(model, PARTITION, before).await;
        for n in 1..PARTITIONS {
            ours.apply(model, Partition(n), usize::MAX).await;
        }
        let mut worker = Worker::start(store, &url, seed, fenced);
        worker.hear("ready");
        worker.say("go");
        // The runtime's timer knows whole milliseconds only.
        thread::sleep(delay);
        worker.signal(Signal::STOP);
        let begun = Instant::now();
        let mut moved = false;
        loop {
            let call = ours.next(model, PARTITION, usize::MAX).await;
            // It was written before the pause, and this is what comes behind it.
            moved |= call.commits.start > before;
            match ours.write(&call).await {
                Ok(()) => break,
                Err(error) => assert!(begun.elapsed() < SUCCESSOR_MAX, "{store:?}: {error}"),
            }
            sleep(AGAIN).await;
        }
        worker.signal(Signal::CONT);
        let said = worker.hear_any();
        worker.end();
        let round = if moved {
            None
        } else {
            let mut twin = workers(seed, Models::default());
            for n in 0..PARTITIONS {
                twin.apply(model, Partition(n), usize::MAX).await;
            }
            // Whoever was there might refuse to answer, because what it saw is not there any more.
            let answers = store.open(&url).await.answers(LIMIT).await;
            let differs = answers != twin.models.answers(LIMIT).await;
            Some(Self { differs, was_fenced: said == "fenced" })
        };
        drop(ours);
        gateway::delete_read_models(&url).await.unwrap();
        round
    }
}

/// A worker's process.
struct Worker {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Worker {
    fn start(store: Store, url: &str, seed: u64, fenced: bool) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([THIS, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(WORKER, format!("{store:?} {seed} {fenced} {url}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn say(&mut self, word: &str) {
        writeln!(self.to, "{word}").unwrap();
    }

    /// The next word that is from it, and not from the harness of its test.
    fn hear_any(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the worker has ended");
            if let Some((_, word)) = line.trim_end().split_once("worker: ") {
                return word.to_owned();
            }
        }
    }

    fn hear(&mut self, word: &str) {
        assert_eq!(self.hear_any(), word);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

/// In its process: applies one batch when it is told to.
async fn work(told: &str) {
    let [store, seed, fenced, url] = told.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let store = Store::ALL.into_iter().find(|it| format!("{it:?}") == store).unwrap();
    let workers = workers(seed.parse().unwrap(), store.open(url).await);
    let (_, batch) = parts(&workers);
    let mut call: Call = workers.next(store.model(), PARTITION, batch).await;
    say("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    for _ in 0..TRIES_MAX {
        match workers.write(&call).await {
            Ok(()) => return say("written"),
            Err(ApplyError::Fenced) if fenced == "true" => return say("fenced"),
            // Whoever is not held off compares with whatever is there by now.
            Err(ApplyError::Fenced) => workers.expect_what_is_there(&mut call).await,
            Err(ApplyError::Unavailable(_)) => sleep(AGAIN).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{store:?} does not answer");
}

#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn say(word: &str) {
    println!("worker: {word}");
}
