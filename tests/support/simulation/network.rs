//! The way between askers and owners: requests and answers are delayed, lost and doubled, and some go to an owner that
//! is none any more.

use super::{Dice, Fault, Story};
use commands::{Answer, Delivery, Mailbox, Request, Transport};
use events::CommandId;
use futures::FutureExt;
use futures::future::BoxFuture;
use journal::Partition;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How often the network misbehaves; 0 for never.
#[derive(Clone, Copy, Debug)]
pub struct NetworkFaults {
    /// One in so many messages is lost.
    pub lost_one_in: usize,
    /// One in so many requests arrives twice.
    pub doubled_one_in: usize,
    /// One in so many requests goes to a former owner, where there is one.
    pub stale_one_in: usize,
}

impl NetworkFaults {
    /// A network that behaves.
    pub const NONE: Self = Self { lost_one_in: 0, doubled_one_in: 0, stale_one_in: 0 };
}

/// The network. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    routes: Arc<Mutex<Vec<Vec<Mailbox>>>>,
    faults: Arc<Mutex<NetworkFaults>>,
    doubled: Arc<Mutex<Vec<CommandId>>>,
    dice: Dice,
    story: Story,
}

impl Network {
    /// A network to so many partitions, none of which has an owner yet.
    pub fn new(partitions: u32, dice: Dice, story: Story, faults: NetworkFaults) -> Self {
        let routes = Arc::new(Mutex::new(vec![Vec::new(); partitions as usize]));
        Self { routes, faults: Arc::new(Mutex::new(faults)), doubled: Arc::default(), dice, story }
    }

    /// From now on requests for the partition go to this mailbox, and now and then to former ones.
    pub fn route(&self, partition: Partition, mailbox: Mailbox) {
        let routes = &mut self.routes.lock()[partition.0 as usize];
        routes.retain(|former| !former.is_closed());
        routes.push(mailbox);
    }

    /// From now on it misbehaves this often.
    pub fn set_faults(&self, faults: NetworkFaults) {
        *self.faults.lock() = faults;
    }

    /// The commands of the requests that were delivered twice so far.
    pub fn doubled(&self) -> Vec<CommandId> {
        self.doubled.lock().clone()
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

    fn deliver(&self, partition: Partition, request: &Arc<Request>) -> Option<oneshot::Receiver<Answer>> {
        let (reply, answer) = oneshot::channel();
        self.mailbox(partition)?.try_send(Delivery { request: Arc::clone(request), reply }).ok()?;
        Some(answer)
    }

    async fn carry(self, partition: Partition, request: Arc<Request>) -> Answer {
        let faults = *self.faults.lock();
        self.story.tell(format_args!("carry {}", request.id));
        sleep(self.dice.micros(20, 2_000)).await;
        if self.once_in(faults.lost_one_in) {
            self.story.fault(Fault::RequestLost, request.id);
            sleep(self.dice.micros(10_000, 300_000)).await;
            return Answer::Unknown;
        }
        if self.once_in(faults.doubled_one_in) {
            self.story.fault(Fault::RequestDoubled, request.id);
            self.doubled.lock().push(request.id);
            let (network, request) = (self.clone(), Arc::clone(&request));
            tokio::spawn(async move {
                sleep(network.dice.micros(10, 400_000)).await;
                drop(network.deliver(partition, &request));
            });
        }
        let Some(answer) = self.deliver(partition, &request) else { return Answer::Unknown };
        let answer = answer.await.unwrap_or(Answer::Unknown);
        sleep(self.dice.micros(20, 2_000)).await;
        if self.once_in(faults.lost_one_in) {
            self.story.fault(Fault::AnswerLost, request.id);
            return Answer::Unknown;
        }
        answer
    }
}

impl Transport for Network {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        self.clone().carry(partition, request).boxed()
    }
}
