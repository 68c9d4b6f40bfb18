//! A log in memory that keeps every promise of the port and no other: records may be slow, lost, or there without a
//! receipt; what a dropped appender has in flight may arrive later.

use super::{Dice, Fault, Story};
use async_trait::async_trait;
use journal::{
    Anchor, AppendError, Appender, Chain, Draft, Journal, JournalError, Offset, Partition, Receipt, Record, Rule, Rules,
};
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

/// How often the log misbehaves.
#[derive(Clone, Copy, Debug)]
pub struct LogFaults {
    /// One in so many records is lost; 0 for none.
    pub lost_one_in: usize,
    /// One in so many receipts is lost; 0 for none.
    pub receipt_lost_one_in: usize,
    /// One in so many batches is slow; 0 for none.
    pub slow_one_in: usize,
    /// One in so many looks at the end is slow; 0 for none.
    pub slow_look_one_in: usize,
}

impl LogFaults {
    /// A log that behaves.
    pub const NONE: Self = Self { lost_one_in: 0, receipt_lost_one_in: 0, slow_one_in: 0, slow_look_one_in: 0 };
}

/// The log. Clones are the same log.
#[derive(Clone)]
pub struct SimulatedLog {
    name: Arc<str>,
    partitions: Arc<Vec<Stored>>,
    dice: Dice,
    story: Story,
    faults: Arc<Mutex<LogFaults>>,
    rules: Rules,
}

struct Stored {
    records: Mutex<Vec<Draft>>,
    /// The chain rule over what is there: what an anchor would say.
    chain: Mutex<Chain>,
    end: watch::Sender<Offset>,
    /// Wakes its waiters in the order in which they came, which a watch does not: a seed must replay exactly.
    landed: Notify,
    /// While true, nothing lands.
    held: watch::Sender<bool>,
    /// How many records were handed over, landed or not.
    handed: AtomicU64,
    /// When each record landed.
    landings: Mutex<Vec<Instant>>,
    /// Until then nobody can read or append.
    unavailable: Mutex<Option<Instant>>,
    /// Until then nothing that is appended lands.
    full: Mutex<Option<Instant>>,
}

impl SimulatedLog {
    /// An empty log.
    pub fn new(partitions: u32, dice: Dice, story: Story, faults: LogFaults) -> Self {
        let name: Arc<str> = "simulated".into();
        let stored = |n| Stored {
            records: Mutex::default(),
            chain: Mutex::new(Chain::genesis(&name, Partition(n))),
            end: watch::Sender::new(0),
            landed: Notify::new(),
            held: watch::Sender::new(false),
            handed: AtomicU64::new(0),
            landings: Mutex::default(),
            unavailable: Mutex::default(),
            full: Mutex::default(),
        };
        let partitions = Arc::new((0..partitions).map(stored).collect());
        Self { name, partitions, dice, story, faults: Arc::new(Mutex::new(faults)), rules: Rules::default() }
    }

    /// The same, for owners that keep these rules.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// From now on it misbehaves this often; what was out of order is no longer.
    pub fn set_faults(&self, faults: LogFaults) {
        *self.faults.lock() = faults;
        for stored in self.partitions.iter() {
            *stored.unavailable.lock() = None;
            *stored.full.lock() = None;
        }
    }

    /// For so long the partition can be neither read nor appended to; what is appended meanwhile lands later or never.
    pub fn make_unavailable(&self, partition: Partition, pause: Duration) {
        *self.at(partition).unavailable.lock() = Some(Instant::now() + pause);
    }

    /// For so long nothing that is appended to the partition lands.
    pub fn fill(&self, partition: Partition, pause: Duration) {
        *self.at(partition).full.lock() = Some(Instant::now() + pause);
    }

    /// How many records of the partition were handed over and have not landed; those that were lost count too.
    pub fn in_flight(&self, partition: Partition) -> u64 {
        self.at(partition).handed.load(Ordering::Relaxed) - self.landed(partition)
    }

    /// When each record of the partition landed.
    pub fn landings(&self, partition: Partition) -> Vec<Instant> {
        self.at(partition).landings.lock().clone()
    }

    fn check_available(&self, partition: Partition) -> Result<(), JournalError> {
        match *self.at(partition).unavailable.lock() {
            Some(until) if Instant::now() < until => Err(JournalError::Unavailable("out of reach".into())),
            _ => Ok(()),
        }
    }

    fn is_full(&self, partition: Partition) -> bool {
        self.at(partition).full.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Lets nothing land in a partition until it is let go again.
    pub fn hold(&self, partition: Partition, held: bool) {
        self.at(partition).held.send_replace(held);
    }

    /// How many records have landed.
    pub fn landed(&self, partition: Partition) -> Offset {
        *self.at(partition).end.borrow()
    }

    /// The same of all partitions.
    pub fn ends(&self) -> Vec<Offset> {
        self.partitions.iter().map(|stored| *stored.end.borrow()).collect()
    }

    /// Changes what is stored, as no log should.
    pub fn tamper(&self, partition: Partition, change: impl FnOnce(&mut Vec<Draft>)) {
        let stored = self.at(partition);
        let mut records = stored.records.lock();
        change(&mut records);
        stored.end.send_replace(records.len() as Offset);
    }

    /// Loses everything from there on, as no log should; what comes next takes the place.
    pub fn cut(&self, partition: Partition, end: Offset) {
        self.tamper(partition, |records| records.truncate(usize::try_from(end).expect("a small log")));
        let stored = self.at(partition);
        let mut chain = Chain::genesis(&self.name, partition);
        for (draft, offset) in stored.records.lock().iter().zip(0..) {
            chain.admit(&draft.clone().at(offset)).expect("it was admitted before");
        }
        *stored.chain.lock() = chain;
    }

    fn at(&self, partition: Partition) -> &Stored {
        &self.partitions[partition.0 as usize]
    }

    fn once_in(&self, times: usize) -> bool {
        times > 0 && self.dice.once_in(times)
    }

    fn land(&self, partition: Partition, draft: Draft) -> Offset {
        let stored = self.at(partition);
        let mut records = stored.records.lock();
        let offset = records.len() as Offset;
        stored.chain.lock().admit(&draft.clone().at(offset)).expect("writers append what they have chained");
        self.story.tell(format_args!("landed {partition}@{offset} {:?} {}", draft.kind, draft.incarnation));
        records.push(draft);
        stored.landings.lock().push(Instant::now());
        stored.end.send_replace(offset + 1);
        stored.landed.notify_waiters();
        offset
    }

    /// What one appender hands over, batch by batch, until it is dropped and all it had in flight has come or gone.
    async fn take_in(self, partition: Partition, mut queue: mpsc::UnboundedReceiver<Handed>, fate: Arc<Fate>) {
        let faults = || *self.faults.lock();
        while let Some(first) = queue.recv().await {
            let slow = self.once_in(faults().slow_one_in);
            if slow {
                self.story.fault(Fault::SlowAppend, format_args!("partition {partition}"));
            }
            sleep(if slow { self.dice.micros(20_000, 800_000) } else { self.dice.micros(50, 1_500) }).await;
            while self.check_available(partition).is_err() {
                sleep(Duration::from_millis(50)).await;
            }
            let _ = self.at(partition).held.subscribe().wait_for(|held| !held).await;
            let mut batch = vec![first];
            let size = 1 + self.dice.below(16);
            while batch.len() < size
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            let mut receipts = Vec::new();
            for (draft, reply) in batch {
                if fate.dropped.load(Ordering::Relaxed) {
                    if fate.purged.load(Ordering::Relaxed) {
                        continue;
                    }
                    self.story.fault(Fault::ZombieRecord, format_args!("partition {partition}"));
                }
                if self.is_full(partition) {
                    receipts.push((reply, Err(AppendError::Unknown("no space left".to_owned()))));
                    continue;
                }
                if self.once_in(faults().lost_one_in) {
                    self.story.fault(Fault::RecordLost, format_args!("partition {partition}"));
                    receipts.push((reply, Err(AppendError::Unknown("lost".to_owned()))));
                    continue;
                }
                let offset = self.land(partition, draft);
                if self.once_in(faults().receipt_lost_one_in) {
                    self.story.fault(Fault::ReceiptLost, format_args!("partition {partition} offset {offset}"));
                    receipts.push((reply, Err(AppendError::Unknown("timed out".to_owned()))));
                } else {
                    receipts.push((reply, Ok(offset)));
                }
            }
            sleep(self.dice.micros(20, 600)).await;
            for (reply, receipt) in receipts {
                let _ = reply.send(receipt);
            }
        }
    }
}

type Handed = (Draft, oneshot::Sender<Result<Offset, AppendError>>);

/// What becomes of what an appender has in flight when it is dropped.
#[derive(Default)]
struct Fate {
    dropped: AtomicBool,
    purged: AtomicBool,
}

struct SimulatedAppender {
    log: SimulatedLog,
    partition: Partition,
    queue: mpsc::UnboundedSender<Handed>,
    fate: Arc<Fate>,
}

impl Appender for SimulatedAppender {
    fn append(&mut self, draft: Draft) -> Receipt {
        self.log.at(self.partition).handed.fetch_add(1, Ordering::Relaxed);
        let (reply, receipt) = Receipt::new();
        let _ = self.queue.send((draft, reply));
        receipt
    }
}

impl Drop for SimulatedAppender {
    fn drop(&mut self) {
        self.fate.purged.store(self.log.dice.once_in(2), Ordering::Relaxed);
        self.fate.dropped.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Journal for SimulatedLog {
    fn log(&self) -> &str {
        &self.name
    }

    fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("a few partitions")
    }

    fn appender(&self, partition: Partition) -> Result<Box<dyn Appender>, JournalError> {
        self.check_available(partition)?;
        let (queue, handed) = mpsc::unbounded_channel();
        let fate = Arc::new(Fate::default());
        tokio::spawn(self.clone().take_in(partition, handed, Arc::clone(&fate)));
        Ok(Box::new(SimulatedAppender { log: self.clone(), partition, queue, fate }))
    }

    async fn read(&self, partition: Partition, from: Offset, records_max: usize) -> Result<Vec<Record>, JournalError> {
        self.check_available(partition)?;
        let records = self.at(partition).records.lock();
        let end = records.len() as Offset;
        if from > end {
            let what = format!("the log ends at {end}");
            return Err(JournalError::Diverged { partition, offset: from, what });
        }
        let first = usize::try_from(from).expect("fits in memory");
        Ok(records[first..].iter().take(records_max).cloned().zip(from..).map(|(draft, at)| draft.at(at)).collect())
    }

    async fn end(&self, partition: Partition) -> Result<Offset, JournalError> {
        self.story.tell(format_args!("look {partition}"));
        self.check_available(partition)?;
        let slow = self.once_in(self.faults.lock().slow_look_one_in);
        if slow {
            self.story.fault(Fault::SlowLook, format_args!("partition {partition}"));
        }
        let way = || if slow { self.dice.micros(10_000, 900_000) } else { self.dice.micros(10, 400) };
        sleep(way()).await;
        let end = self.landed(partition);
        sleep(way()).await;
        self.check_available(partition)?;
        Ok(end)
    }

    async fn wait_past(&self, partition: Partition, offset: Offset) -> Result<(), JournalError> {
        let mut landed = pin!(self.at(partition).landed.notified());
        // Register before looking, or a wake-up is lost.
        landed.as_mut().enable();
        if self.landed(partition) <= offset {
            let _ = timeout(Duration::from_secs(1), landed).await;
        }
        Ok(())
    }

    async fn anchor(&self, partition: Partition) -> Result<Option<Anchor>, JournalError> {
        self.check_available(partition)?;
        if !self.rules.keep(Rule::VoidWhatDoesNotExtend) {
            // It would show every owner at once that it reads by another rule.
            return Ok(None);
        }
        let chain = self.at(partition).chain.lock();
        Ok(Some(Anchor { count: chain.next(), head: chain.head() }))
    }
}
