//! The way between askers and owners: requests and answers are delayed, lost and doubled, overtake each other, and some
//! go to an owner that is none any more.

use super::{Dice, Fault, Story};
use commands::wire::{self, Reply};
use commands::{Answer, Delivery, Mailbox, Request, Transport};
use events::CommandId;
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::Partition;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// How often the network misbehaves; 0 for never.
#[derive(Clone, Copy, Debug)]
pub struct NetworkFaults {
    /// One in so many messages is lost.
    pub lost_one_in: usize,
    /// One in so many requests arrives twice.
    pub doubled_one_in: usize,
    /// One in so many messages takes so long that others overtake it.
    pub delayed_one_in: usize,
    /// One in so many requests goes to a former owner, where there is one.
    pub stale_one_in: usize,
}

impl NetworkFaults {
    /// A network that behaves.
    pub const NONE: Self = Self { lost_one_in: 0, doubled_one_in: 0, delayed_one_in: 0, stale_one_in: 0 };
}

/// A command, and what was asked under its id: the same id for something else is something else.
pub type Sending = (CommandId, Option<[u8; 16]>);

pub(super) fn sending(request: &Request) -> Sending {
    (request.id, request.fingerprint.map(|fingerprint| fingerprint.0))
}

/// What the network knows about a command in the end.
#[derive(Clone, Debug)]
pub struct Carried {
    /// It arrived more often than it was sent.
    pub doubled: bool,
    /// The latest deadline with which it was sent.
    pub deadline: Instant,
    /// When the last of those arrived of which an owner said that they had come too late. The answer tells less: it is held
    /// back until it is known to be true, and meanwhile another copy may have come in time.
    pub expired: Option<Instant>,
}

/// The network. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    routes: Arc<Mutex<Vec<Vec<Mailbox>>>>,
    faults: Arc<Mutex<NetworkFaults>>,
    doubled: Arc<Mutex<BTreeSet<CommandId>>>,
    carried: Arc<Mutex<BTreeMap<Sending, Carried>>>,
    dice: Dice,
    story: Story,
}

impl Network {
    /// A network to so many partitions, none of which has an owner yet.
    pub fn new(partitions: u32, dice: Dice, story: Story, faults: NetworkFaults) -> Self {
        let routes = Arc::new(Mutex::new(vec![Vec::new(); partitions as usize]));
        let (faults, doubled) = (Arc::new(Mutex::new(faults)), Arc::default());
        Self { routes, faults, doubled, carried: Arc::default(), dice, story }
    }

    /// From now on requests for the partition go to this mailbox, and now and then to former ones.
    pub fn route(&self, partition: Partition, mailbox: Mailbox) {
        let routes = &mut self.routes.lock()[partition.0 as usize];
        routes.retain(|former| !former.is_closed() && !former.same_channel(&mailbox));
        routes.push(mailbox);
    }

    /// From now on it misbehaves this often.
    pub fn set_faults(&self, faults: NetworkFaults) {
        *self.faults.lock() = faults;
    }

    /// The commands of the requests that were delivered twice so far.
    pub fn doubled(&self) -> BTreeSet<CommandId> {
        self.doubled.lock().clone()
    }

    /// Those of which an owner has said that they came too late, and which arrived when every deadline had passed with which
    /// they were sent: they never take effect.
    pub fn late(&self) -> BTreeSet<Sending> {
        let carried = self.carried.lock();
        let late = carried.iter().filter(|(_, it)| it.expired.is_some_and(|arrived| arrived > it.deadline));
        late.map(|(sending, _)| *sending).collect()
    }

    /// What it carried.
    pub fn carried(&self) -> BTreeMap<Sending, Carried> {
        self.carried.lock().clone()
    }

    fn once_in(&self, times: usize) -> bool {
        times > 0 && self.dice.once_in(times)
    }

    fn mailbox(&self, partition: Partition) -> Option<Mailbox> {
        let stale = self.once_in(self.faults.lock().stale_one_in);
        let routes = self.routes.lock();
        let (newest, former) = routes[partition.0 as usize].split_last()?;
        match former.last().filter(|former| stale && !former.is_closed()) {
            Some(former) => {
                self.story.fault(Fault::StaleRoute, format_args!("partition {partition}"));
                Some(former.clone())
            }
            None => Some(newest.clone()),
        }
    }

    /// As the node of the mailbox answers.
    fn deliver(&self, partition: Partition, request: &Arc<Request>) -> Result<oneshot::Receiver<Answer>, Answer> {
        let request = &Arc::new(on_the_wire(partition, request));
        let (reply, answer) = oneshot::channel();
        let mailbox = self.mailbox(partition).ok_or(Answer::Unknown)?;
        match mailbox.try_send(Delivery::new(Arc::clone(request), reply)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Answer::Unknown),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.story.fault(Fault::MailboxFull, format_args!("partition {partition}"));
                Err(Answer::Overloaded)
            }
        }
    }

    /// Delivers it and waits for the answer; notes what is checked in the end.
    async fn ask(&self, partition: Partition, request: &Arc<Request>) -> Answer {
        let arrived = Instant::now();
        let answer = match self.deliver(partition, request) {
            Ok(answer) => answer.await.map_or(Answer::Unknown, answer_on_the_wire),
            Err(answer) => answer,
        };
        if answer == Answer::Expired
            && let Some(carried) = self.carried.lock().get_mut(&sending(request))
        {
            carried.expired = carried.expired.max(Some(arrived));
        }
        answer
    }

    /// On its way; sometimes for so long that whatever was sent later arrives before.
    async fn travel(&self, fault: Fault, id: CommandId) {
        if self.once_in(self.faults.lock().delayed_one_in) {
            self.story.fault(fault, id);
            sleep(self.dice.micros(5_000, 1_200_000)).await;
        } else {
            sleep(self.dice.micros(20, 2_000)).await;
        }
    }

    fn double(&self, partition: Partition, request: &Arc<Request>) {
        let late = self.once_in(3);
        let fault = if late { Fault::DoubledLate } else { Fault::RequestDoubled };
        self.story.fault(fault, request.id);
        self.doubled.lock().insert(request.id);
        if let Some(carried) = self.carried.lock().get_mut(&sending(request)) {
            carried.doubled = true;
        }
        let way = if late { self.dice.micros(400_000, 20_000_000) } else { self.dice.micros(10, 400_000) };
        let (network, request) = (self.clone(), Arc::clone(request));
        tokio::spawn(async move {
            sleep(way).await;
            network.ask(partition, &request).await;
        });
    }

    async fn carry(self, partition: Partition, request: Arc<Request>) -> Answer {
        let faults = *self.faults.lock();
        self.story.tell(format_args!("carry {}", request.id));
        {
            let mut carried = self.carried.lock();
            let first = Carried { doubled: false, deadline: request.deadline, expired: None };
            let carried = carried.entry(sending(&request)).or_insert(first);
            carried.deadline = carried.deadline.max(request.deadline);
        }
        self.travel(Fault::RequestDelayed, request.id).await;
        if self.once_in(faults.lost_one_in) {
            self.story.fault(Fault::RequestLost, request.id);
            sleep(self.dice.micros(10_000, 300_000)).await;
            return Answer::Unknown;
        }
        if self.once_in(faults.doubled_one_in) {
            self.double(partition, &request);
        }
        let answer = self.ask(partition, &request).await;
        self.travel(Fault::AnswerDelayed, request.id).await;
        if self.once_in(faults.lost_one_in) {
            self.story.fault(Fault::AnswerLost, request.id);
            return Answer::Unknown;
        }
        answer
    }
}

/// The request as another node reads it.
fn on_the_wire(partition: Partition, request: &Request) -> Request {
    let batch = wire::write_batch([(partition, request)]).expect("one request fits in any case");
    let mut read = wire::read_batch(&batch).expect("our own");
    let (to, read) = read.pop().expect("there is one");
    assert_eq!(to, partition);
    // What is left of its time is counted from its arrival; what arrives too late has none left.
    let latest = request.deadline.max(Instant::now());
    assert!(read.deadline <= latest + Duration::from_secs(1), "{read:?}");
    // Without a rest, so that a new field cannot be left behind.
    let Request {
        id,
        key,
        command,
        actor,
        correlation,
        causation,
        retention,
        fingerprint,
        undoes,
        time,
        deadline: _,
        until_saga_ends,
    } = &read;
    assert_eq!((*id, key, command), (request.id, &request.key, &request.command));
    assert_eq!((*actor, *correlation, *causation), (request.actor, request.correlation, request.causation));
    assert_eq!((*retention, *fingerprint, *undoes), (request.retention, request.fingerprint, request.undoes));
    assert_eq!((*time, *until_saga_ends), (request.time, request.until_saga_ends));
    read
}

/// The answer as the asker's node reads it.
fn answer_on_the_wire(answer: Answer) -> Answer {
    let line = wire::write_reply(0, Reply::Answer(answer.clone()));
    assert_eq!(wire::read_reply(&line), Ok((0, Reply::Answer(answer.clone()))));
    answer
}

impl Transport for Network {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        self.clone().carry(partition, request).boxed()
    }
}

/// How long after its deadline a command may still land in the log: as long as an owner may stand still, and the log be
/// slow, after it was decided in time.
pub const LANDS_LATE_MAX: Duration = Duration::from_secs(8);
