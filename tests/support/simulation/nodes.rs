//! Owners as nodes that can be stopped, paused and doubled.

use super::Network;
use async_trait::async_trait;
use commands::{Clock, Owner, OwnerOptions, Router};
use journal::{Assignment, Journal, JournalError, Ownership, Partition, Rules};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Until when something stands still.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Option<Instant>>>);

impl Gate {
    /// Stands still until then.
    pub fn close_until(&self, until: Instant) {
        *self.0.lock() = Some(until);
    }

    /// Runs a future that stands still while the gate is closed: it is not polled, as a stopped process would not be.
    pub fn run<F: Future>(&self, inner: F) -> Paused<F> {
        Paused { inner, gate: self.clone(), asleep: None }
    }
}

pin_project! {
    /// A future behind a [`Gate`].
    pub struct Paused<F> {
        #[pin]
        inner: F,
        gate: Gate,
        asleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for Paused<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(until) = this.gate.0.lock().take() {
            *this.asleep = Some(Box::pin(sleep_until(until)));
        }
        if let Some(asleep) = this.asleep {
            ready!(asleep.as_mut().poll(context));
            *this.asleep = None;
        }
        this.inner.poll(context)
    }
}

/// Who is meant to own what: one table for all nodes.
#[derive(Clone, Default)]
pub struct Assignments(Arc<Mutex<BTreeMap<Partition, usize>>>);

/// One node's view of the table.
struct NodeOwnership {
    node: usize,
    table: Assignments,
    assignment: watch::Sender<Assignment>,
}

#[async_trait]
impl Ownership for NodeOwnership {
    fn assignments(&self) -> watch::Receiver<Assignment> {
        self.assignment.subscribe()
    }

    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError> {
        Ok(self.table.0.lock().get(&partition) == Some(&self.node))
    }
}

/// What all nodes share.
#[derive(Clone)]
pub struct Cluster {
    /// The log, simulated or not.
    pub journal: Arc<dyn Journal>,
    /// The network.
    pub network: Network,
    /// The wall clock.
    pub clock: Clock,
    /// The owner's rules.
    pub rules: Rules,
    /// Chance.
    pub dice: super::Dice,
    assignments: Assignments,
    nodes: Arc<Mutex<usize>>,
}

/// A running owner.
pub struct Node {
    /// Which partition.
    pub partition: Partition,
    /// To let it stand still.
    pub gate: Gate,
    /// To let it stop in order.
    pub stop: CancellationToken,
    /// Its end. An error is one that stops the partition for good.
    pub task: JoinHandle<Result<(), JournalError>>,
}

impl Cluster {
    /// A cluster without nodes.
    pub fn new(journal: Arc<dyn Journal>, network: Network, clock: Clock, rules: Rules, dice: super::Dice) -> Self {
        Self { journal, network, clock, rules, dice, assignments: Assignments::default(), nodes: Arc::default() }
    }

    /// The way to the owners.
    pub fn router(&self) -> Router {
        Router::new(Arc::new(self.network.clone()), self.journal.partitions())
    }

    /// Starts a node, assigns the partition to it and sends requests there. Whoever owned it is not told.
    pub fn start(&self, partition: Partition) -> Node {
        let node = {
            let mut nodes = self.nodes.lock();
            *nodes += 1;
            *nodes
        };
        self.assignments.0.lock().insert(partition, node);
        let (mailbox, inbox) = Owner::mailbox();
        self.network.route(partition, mailbox);
        let dice = self.dice.clone();
        let random: Arc<dyn Fn() -> Uuid + Send + Sync> = Arc::new(move || dice.uuid());
        let options = OwnerOptions {
            partition,
            journal: Arc::clone(&self.journal),
            ownership: Arc::new(NodeOwnership {
                node,
                table: self.assignments.clone(),
                assignment: watch::Sender::new(Assignment::from([partition])),
            }),
            router: self.router(),
            processes: sagas::processes(),
            clock: Arc::clone(&self.clock),
            random,
            rules: self.rules,
        };
        let gate = Gate::default();
        let stop = CancellationToken::new();
        let owner = gate.run(Owner::new(options, inbox).run(None, stop.clone()));
        Node { partition, gate, stop, task: tokio::spawn(owner) }
    }
}
