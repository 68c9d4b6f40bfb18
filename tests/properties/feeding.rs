//! A node with one read model that is in a server, over a log of one partition. On one thread, as all that uses the log in
//! memory.

use crate::log::{MemoryKeys, MemoryLog};
use async_trait::async_trait;
use events::Timestamp;
use journal::{Assignment, Partition, Position, Rules};
use projections::{Advance, ApplyError, Checkpoint, Lag, Projections, ProjectionsOptions, ReadModel, Unavailable};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITION: Partition = Partition(0);
pub(crate) const LONG: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// See the module. It begins with its turn to feed.
pub(crate) struct Feeding {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) projections: Projections,
    assignment: watch::Sender<Assignment>,
    running: JoinSet<()>,
    name: &'static str,
}

impl Feeding {
    pub(crate) fn over(log: Arc<MemoryLog>, model: Arc<dyn ReadModel>) -> Self {
        let name = model.name();
        let options = ProjectionsOptions {
            journal: Arc::clone(&log) as _,
            keyring: Arc::new(MemoryKeys::default()),
            models: Vec::new(),
            clock: Arc::new(|| Timestamp(0)),
            rules: Rules::default(),
        };
        let (projections, _, runners) = Projections::with_shared(options, vec![vec![model]]);
        let (assignment, mut running) = (watch::Sender::new([PARTITION].into()), JoinSet::new());
        for runner in runners {
            let run = runner.run(assignment.subscribe(), CancellationToken::new());
            running.spawn(async move { run.await.unwrap() });
        }
        Self { log, projections, assignment, running, name }
    }

    /// Whether it is this node's turn.
    pub(crate) fn assign(&self, is_assigned: bool) {
        self.assignment.send_replace(is_assigned.then_some(PARTITION).into_iter().collect());
    }

    pub(crate) async fn pass(&self, position: Position) -> Result<(), Lag> {
        self.projections.wait_for(&[self.name], &[position], Instant::now() + LONG).await
    }

    /// Whether its runner has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.running.len() == 1
    }
}

/// Asks until the answer is such.
pub(crate) async fn until<T: std::fmt::Debug>(ask: impl AsyncFn() -> T, is_such: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if is_such(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < LONG, "it stays {answer:?}");
        sleep(LOOK).await;
    }
}

/// A read model that counts the batches that are begun.
pub(crate) struct Counted {
    inner: Arc<dyn ReadModel>,
    batches: watch::Sender<usize>,
}

impl Counted {
    /// The count is 0 for now.
    pub(crate) fn over(inner: Arc<dyn ReadModel>) -> (Self, watch::Receiver<usize>) {
        let (batches, counted) = watch::channel(0);
        (Self { inner, batches }, counted)
    }
}

#[async_trait]
impl ReadModel for Counted {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.inner.checkpoint(partition).await
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        self.batches.send_modify(|batches| *batches += 1);
        self.inner.apply(advance).await
    }
}
