//! The real write side in one process: likes of 200 posts by 10,000 users, through router and owners.

use crate::closed_loop::{Client, Measured, measure};
use anyhow::{Result, bail};
use commands::{Answer, LikeCommand, LocalOwners, Owner, OwnerOptions, PostCommand, Request, Router};
use events::{CipherKey, CommandId, Content, Key, PostId, Sealed, Timestamp, UserId};
use journal::embedded::{self, Embedded, StaticOwnership};
use journal::{Journal, Partition, Rules};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const POSTS: u64 = 200;
const USERS: u64 = 10_000;
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Likes {
    router: Router,
    asked: Arc<AtomicU64>,
    stop: CancellationToken,
    owners: JoinSet<Result<(), journal::JournalError>>,
    _embedded: Embedded,
    _directory: TempDir,
}

struct Liker {
    router: Router,
    asked: Arc<AtomicU64>,
}

impl Client for Liker {
    /// Likes by one user after another, and takes them back the next time round: every request writes.
    async fn ask(&mut self) -> Result<()> {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        let (post, user) = (post(n % POSTS), UserId(Uuid::from_u128((n / POSTS % USERS).into())));
        let liked_before = (n / POSTS / USERS) % 2 == 1;
        let command = if liked_before { LikeCommand::Remove { post, user } } else { LikeCommand::Add { post, user } };
        accept(&self.router, Key::Post(post), command).await
    }
}

fn post(n: u64) -> PostId {
    PostId(Uuid::from_u128(n.into()))
}

async fn accept(router: &Router, key: Key, command: impl Into<commands::Command>) -> Result<()> {
    let id = CommandId(Uuid::now_v7());
    let request = Request::new(id, key, command, Timestamp::now(), Instant::now() + ANSWER_MAX);
    match router.submit(request).await {
        Answer::Accepted(_) => Ok(()),
        other => bail!("not accepted: {other:?}"),
    }
}

impl Likes {
    pub(crate) async fn open() -> Result<Self> {
        let directory = TempDir::new()?;
        let embedded = embedded::open(directory.path(), embedded::PARTITIONS_DEFAULT)?;
        let partitions = embedded.log.partitions();
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..partitions).map(|_| Owner::mailbox()).unzip();
        let router = Router::new(Arc::new(LocalOwners::new(mailboxes)), partitions);
        let ownership = Arc::new(StaticOwnership::new(partitions));
        let stop = CancellationToken::new();
        let mut owners = JoinSet::new();
        for (inbox, n) in inboxes.into_iter().zip(0..) {
            let options = OwnerOptions {
                partition: Partition(n),
                journal: embedded.log.clone(),
                ownership: ownership.clone(),
                router: router.clone(),
                processes: sagas::processes(),
                clock: Arc::new(Timestamp::now),
                random: Arc::new(Uuid::new_v4),
                rules: Rules::default(),
            };
            owners.spawn(Owner::new(options, inbox).run(None, stop.clone()));
        }
        let author = UserId(Uuid::from_u128(1));
        let key = CipherKey::new(author.into(), &[1; 32]);
        for n in 0..POSTS {
            let content = Sealed::seal(&Content::parse("a post")?, &key);
            let publish = PostCommand::Publish { post: post(n), author, content, hashtags: None, mentions: None };
            accept(&router, Key::Post(post(n)), publish).await?;
        }
        Ok(Self { router, asked: Arc::default(), stop, owners, _embedded: embedded, _directory: directory })
    }

    /// How large the value of such a commit is.
    pub(crate) fn value_bytes(&self) -> usize {
        let (post, user) = (post(0), UserId::default());
        let commit = events::Commit {
            command: CommandId::default(),
            ordinal: 100_000,
            incarnation: events::Incarnation::default(),
            time: Timestamp::now(),
            actor: None,
            correlation: Uuid::nil(),
            causation: None,
            retention: events::Retention::Short,
            fingerprint: None,
            undoes: None,
            events: vec![events::LikeAdded { post, user }.into()],
        };
        commit.encode().len()
    }

    pub(crate) async fn run(&self, clients: usize, run: Duration) -> Result<Measured> {
        let liker = || Liker { router: self.router.clone(), asked: Arc::clone(&self.asked) };
        measure((0..clients).map(|_| liker()).collect(), run).await
    }

    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        while self.owners.join_next().await.is_some() {}
    }
}
