//! What all runs share: a log with its owners, the way to them, and a look at what they have written.

use super::crew::Crew;
use super::keys::Keys;
use super::ledger::Ledger;
use super::ready::Before;
use crate::simulation::Dice;
use commands::{Answer, ClaimCommand, Clock, Command, Order, Request, Router, SagaCommand};
use events::{CommandId, Digest, Key, Retention, SagaId};
use journal::{Partition, partition_of};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

/// How often the log is looked at although nobody says that there is news.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an asker waits for one answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Commits a second apart after which an id is forgotten that is not kept for long.
const FORGOTTEN_AFTER: u32 = 125;

/// A log with its owners.
pub(super) struct Stage {
    pub(super) crew: Crew,
    pub(super) router: Router,
    pub(super) keys: Arc<Keys>,
    pub(super) dice: Dice,
    pub(super) clock: Clock,
    pub(super) partitions: u32,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) news: watch::Sender<()>,
    /// How long a saga may take to end.
    pub(super) patience: Duration,
}

impl Stage {
    /// Waits until the log says so; returns whether it does before patience ends.
    pub(super) async fn until(&self, is_enough: impl Fn(&Ledger) -> bool) -> bool {
        let mut news = self.news.subscribe();
        let give_up = Instant::now() + self.patience;
        loop {
            // Before looking, or a wake-up is lost.
            news.borrow_and_update();
            if self.see(&is_enough).await {
                return true;
            }
            if Instant::now() > give_up {
                return false;
            }
            let _ = timeout(LOOK_EVERY, news.changed()).await;
        }
    }

    /// What the log says now.
    pub(super) async fn see<T>(&self, of: impl FnOnce(&Ledger) -> T) -> T {
        let mut ledger = self.ledger.lock().await;
        ledger.look().await;
        of(&ledger)
    }

    /// A request under an id of its own.
    pub(super) fn request(&self, key: Key, command: impl Into<Command>) -> Request {
        Request::new(CommandId(self.dice.uuid()), key, command, (self.clock)(), Instant::now() + DEADLINE)
    }

    /// Asks once.
    pub(super) async fn ask(&self, key: Key, command: impl Into<Command>) -> Answer {
        self.router.submit(self.request(key, command)).await
    }

    /// An operator orders it.
    pub(super) async fn order(&self, saga: SagaId, key: Key, order: Order) -> Answer {
        self.ask(key, SagaCommand::Order { saga, order, by: None, reason: "the kit says so".to_owned() }).await
    }

    /// Asks for a saga under this id, again and again while there is patience, until there is an answer: as a rule, how it
    /// came out.
    pub(super) async fn begin(&self, id: CommandId, key: Key, start: SagaCommand) -> Answer {
        let give_up = Instant::now() + self.patience;
        while Instant::now() < give_up {
            let request = self.request(key, start.clone());
            let request = Request { id, until_saga_ends: true, retention: Retention::Long, ..request };
            match self.router.submit(request).await {
                Answer::Unknown | Answer::Expired | Answer::Overloaded => {}
                answer => return answer,
            }
        }
        Answer::Unknown
    }

    /// Has a saga begin and come to its end.
    pub(super) async fn play(&self, Before { saga, key, data }: Before) -> Answer {
        let start = SagaCommand::Start { saga, data, with: Value::Null };
        let answer = self.begin(CommandId(saga.0), key, start).await;
        if matches!(answer, Answer::Ended(..)) {
            let has_ended = |ledger: &Ledger| ledger.sagas.get(&saga).is_some_and(|course| course.has_ended());
            assert!(self.until(has_ended).await, "saga {saga} does not end");
        }
        answer
    }

    /// So much is written to a partition, a second apart, that ids are forgotten there that are not kept for long.
    pub(super) async fn grow_old(&self, partition: Partition) {
        let key = self.some_key(partition);
        for _ in 0..FORGOTTEN_AFTER {
            sleep(Duration::from_secs(1)).await;
            let nothing = ClaimCommand::Release { saga: SagaId(self.dice.uuid()) };
            assert!(matches!(self.ask(key, nothing).await, Answer::Accepted(_)));
        }
    }

    /// Asks the owner of a partition for what is not there.
    pub(super) async fn ask_about_nothing(&self, partition: Partition) -> Answer {
        self.order(SagaId(self.dice.uuid()), self.some_key(partition), Order::Retry).await
    }

    /// Some key on a partition that is nobody's.
    fn some_key(&self, partition: Partition) -> Key {
        let digests = (0..).map(|n: u32| Digest(std::array::from_fn(|at| n.to_be_bytes()[at % 4])));
        let is_there = |key: &Key| partition_of(key, self.partitions) == partition;
        digests.map(Key::Email).find(is_there).expect("some key is on every partition")
    }
}
