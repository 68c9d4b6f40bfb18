//! One of two processes that both believe that they own the only partition of a log on Kafka, and write into it.
//!
//! `racer BROKERS TOPIC LOG SEED NUMBER COMMANDS`: likes one post by so many users of its own, and by as many that the
//! other one asks for too, under the same ids. Prints `ready` and waits for a line of input; prints `acknowledged COMMAND
//! OFFSET` for each, and in the end `head OFFSET CHAIN`, as it reads the log.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use anyhow::{Context, Result, bail, ensure};
use commands::{Answer, LikeCommand, PostCommand, Request, Router};
use events::{CipherKey, CommandId, Content, Key, PostId, Sealed, Timestamp, UserId};
use futures::future::try_join_all;
use journal::kafka::{KafkaLog, KafkaOptions};
use journal::{Journal, Partition, Reader, Rules};
use std::sync::Arc;
use std::time::Duration;
use tidings_tests::simulation::network::NetworkFaults;
use tidings_tests::simulation::nodes::Cluster;
use tidings_tests::simulation::{Dice, Network, Story};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Commands that are asked for at once.
const BURST: usize = 32;
/// The longest pause after them, in microseconds.
const PAUSE_MICROS_MAX: u64 = 20_000;
/// One in so many times the owner stands still at the next ones, and may be overtaken without knowing it.
const ASLEEP_ONE_IN: usize = 4;
/// How long it does so at most, in microseconds; a third of it at least.
const ASLEEP_MICROS_MAX: u64 = 1_200_000;
/// How often a command is asked for again after the router has given up.
const ATTEMPTS_MAX: usize = 10;
const POST: PostId = PostId(Uuid::from_u128(1));

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, log, seed, number, commands] = &arguments[..] else { bail!("usage: see the source") };
    let (seed, number, commands): (u64, u128, u128) = (seed.parse()?, number.parse()?, commands.parse()?);
    let options = KafkaOptions {
        brokers: brokers.clone(),
        cluster: None,
        topic: topic.clone(),
        log: log.clone(),
        partitions: 1,
        create: false,
        dev: true,
        properties: Vec::new(),
    };
    let journal: Arc<dyn Journal> = Arc::new(spawn_blocking(move || KafkaLog::open(options)).await??);
    println!("ready");
    spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    let dice = Dice::new(seed << 1 | u64::try_from(number)?);
    let network = Network::new(1, dice.clone(), Story::default(), NetworkFaults::NONE);
    let cluster = Cluster::new(Arc::clone(&journal), network, Arc::new(Timestamp::now), Rules::default(), dice.clone());
    let owner = cluster.start(Partition(0));
    let router = cluster.router();
    acknowledged(&router, request(0, publish())).await?;
    let own = (0..commands).map(|n| 1_000_000 * (number + 1) + n);
    let shared = (0..commands).map(|n| 10_000_000 + n);
    let commands: Vec<u128> = own.zip(shared).flat_map(|(own, shared)| [own, shared]).collect();
    for burst in commands.chunks(BURST) {
        if dice.once_in(ASLEEP_ONE_IN) {
            owner.gate.close_until(Instant::now() + dice.micros(ASLEEP_MICROS_MAX / 3, ASLEEP_MICROS_MAX));
        }
        let like = |n| LikeCommand::Add { post: POST, user: UserId(Uuid::from_u128(n)) };
        try_join_all(burst.iter().map(|&n| acknowledged(&router, request(n, like(n))))).await?;
        sleep(dice.micros(0, PAUSE_MICROS_MAX)).await;
    }
    ensure!(!owner.task.is_finished(), "the owner has ended by itself");
    owner.task.abort();
    // The other one may still write: what is told is the head at some offset.
    let mut reader = Reader::from_start(journal, Partition(0)).await?;
    while !reader.records().await?.is_empty() {}
    let at = reader.checkpoint();
    println!("head {} {:?}", at.head_offset.context("there are records")?, at.head);
    Ok(())
}

fn publish() -> PostCommand {
    let author = UserId(Uuid::from_u128(2));
    let content = Content::parse("fought over").expect("short");
    let content = Sealed::seal(&content, &CipherKey::new(author.into(), &[1; 32]));
    PostCommand::Publish { post: POST, author, content, hashtags: None, mentions: None }
}

fn request(n: u128, command: impl Into<commands::Command>) -> Request {
    let deadline = Instant::now() + Duration::from_secs(10);
    Request::new(CommandId(Uuid::from_u128(n + 1)), Key::Post(POST), command, Timestamp::now(), deadline)
}

/// Asks until it is acknowledged, and says where it stands.
async fn acknowledged(router: &Router, request: Request) -> Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let deadline = Instant::now() + Duration::from_secs(10);
        match router.submit(Request { deadline, ..request.clone() }).await {
            Answer::Accepted(receipt) | Answer::Repeated(receipt) => {
                println!("acknowledged {} {}", request.id.0, receipt.position.offset);
                return Ok(());
            }
            Answer::Unknown => {}
            other => bail!("{} was answered {other:?}", request.id.0),
        }
    }
    bail!("{} was not answered", request.id.0)
}
