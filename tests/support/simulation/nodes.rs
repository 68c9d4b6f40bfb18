//! Owners as nodes that can be stopped, paused and doubled.

use super::Network;
use async_trait::async_trait;
use commands::{Clock, Effects, MAILBOX_MAX, Mailbox, NoEffects, Owner, OwnerOptions, Router, Transport};
use events::Incarnation;
use journal::{Announcements, Assignment, Journal, JournalError, Ownership, Partition, Rules};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
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

/// Which node a partition was assigned to from when on.
type History = Vec<(Instant, usize)>;

/// Who is meant to own what: one table for all nodes, with its history.
#[derive(Clone, Default)]
pub struct Assignments(Arc<Mutex<BTreeMap<Partition, History>>>);

impl Assignments {
    fn assign(&self, partition: Partition, node: usize) {
        self.0.lock().entry(partition).or_default().push((Instant::now(), node));
    }

    fn newest(&self, partition: Partition) -> Option<usize> {
        self.0.lock().get(&partition)?.last().map(|(_, node)| *node)
    }

    /// Whether the partition was the node's at some moment between these two.
    fn was(&self, partition: Partition, node: usize, from: Instant, to: Instant) -> bool {
        let table = self.0.lock();
        let history = table.get(&partition).map(Vec::as_slice).unwrap_or_default();
        history.iter().enumerate().any(|(n, (since, assigned))| {
            let until = history.get(n + 1).map_or(to, |(until, _)| *until);
            *assigned == node && *since <= to && until >= from
        })
    }
}

/// One node's view of the table.
struct NodeOwnership {
    node: usize,
    table: Assignments,
    assignment: Arc<watch::Sender<Assignment>>,
}

#[async_trait]
impl Ownership for NodeOwnership {
    fn enter(&self) {}

    fn assignments(&self) -> watch::Receiver<Assignment> {
        self.assignment.subscribe()
    }

    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError> {
        Ok(self.table.newest(partition) == Some(self.node))
    }

    fn announce(&self, _: Partition, _: Incarnation) {}

    fn leave(&self) {
        self.assignment.send_replace(Assignment::new());
    }

    fn announcements(&self) -> watch::Receiver<Announcements> {
        watch::Sender::default().subscribe()
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
    /// Requests that may wait for an owner.
    pub mailbox_max: usize,
    /// Who stands between everybody and the network, if anybody does.
    pub meddler: Option<Arc<dyn Transport>>,
    /// Carries out what sagas do outside the log.
    pub effects: Arc<dyn Effects>,
    /// How long after an account was disabled a request of its owner may still be decided.
    pub stragglers: Duration,
    assignments: Assignments,
    nodes: Arc<Mutex<usize>>,
    /// Which node has drawn which random id.
    drawn: Arc<Mutex<BTreeMap<Uuid, usize>>>,
}

/// A running owner.
pub struct Node {
    /// Which partition.
    pub partition: Partition,
    number: usize,
    mailbox: Mailbox,
    assignment: Arc<watch::Sender<Assignment>>,
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
        Self {
            journal,
            network,
            clock,
            rules,
            dice,
            mailbox_max: MAILBOX_MAX,
            meddler: None,
            effects: Arc::new(NoEffects),
            stragglers: Duration::ZERO,
            assignments: Assignments::default(),
            nodes: Arc::default(),
            drawn: Arc::default(),
        }
    }

    /// The way to the owners.
    pub fn router(&self) -> Router {
        let network = || Arc::new(self.network.clone()) as Arc<dyn Transport>;
        Router::new(self.meddler.clone().unwrap_or_else(network), self.journal.partitions()).with_rules(self.rules)
    }

    /// Starts a node, assigns the partition to it and sends requests there. Whoever owned it is not told.
    pub fn start(&self, partition: Partition) -> Node {
        let node = {
            let mut nodes = self.nodes.lock();
            *nodes += 1;
            *nodes
        };
        self.assignments.assign(partition, node);
        let (mailbox, inbox) = mpsc::channel(self.mailbox_max);
        self.network.route(partition, mailbox.clone());
        let assignment = Arc::new(watch::Sender::new(Assignment::from([partition])));
        let (dice, drawn) = (self.dice.clone(), Arc::clone(&self.drawn));
        let random: Arc<dyn Fn() -> Uuid + Send + Sync> = Arc::new(move || {
            let id = dice.uuid();
            drawn.lock().insert(id, node);
            id
        });
        let options = OwnerOptions {
            traces: traces::Traces::default(),
            partition,
            journal: Arc::clone(&self.journal),
            ownership: Arc::new(NodeOwnership {
                node,
                table: self.assignments.clone(),
                assignment: Arc::clone(&assignment),
            }),
            router: self.router(),
            processes: sagas::processes(self.stragglers).with_rules(self.rules),
            effects: Arc::clone(&self.effects),
            clock: Arc::clone(&self.clock),
            random,
            rules: self.rules,
        };
        let gate = Gate::default();
        let stop = CancellationToken::new();
        let owner = gate.run(Owner::new(options, inbox).run(None, stop.clone()));
        Node { partition, number: node, mailbox, assignment, gate, stop, task: tokio::spawn(owner) }
    }

    /// Whether the partition was assigned to the node of this tenure at some moment between these two.
    pub fn was_assigned(&self, incarnation: Incarnation, partition: Partition, from: Instant, to: Instant) -> bool {
        let drawn = self.drawn.lock();
        drawn.get(&incarnation.0).is_some_and(|node| self.assignments.was(partition, *node, from, to))
    }

    /// Tells a node that its partition is another one's now.
    pub fn revoke(&self, node: &Node) {
        node.assignment.send_replace(Assignment::new());
    }

    /// Assigns the partition to a node that had it before, and sends requests there.
    pub fn hand_back(&self, node: &Node) {
        self.assignments.assign(node.partition, node.number);
        node.assignment.send_replace(Assignment::from([node.partition]));
        self.network.route(node.partition, node.mailbox.clone());
    }
}
