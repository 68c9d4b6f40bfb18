//! The runner of read models that all nodes share. One node feeds a partition at a time: the one that it is assigned to.
//! The others look on, so that whoever waits for a position learns there too when it is passed.
//!
//! Nothing depends on the assignment but who works: two that feed at once meet in the checkpoint, and one of them has
//! written nothing. It reads the checkpoint again and goes on from there, if it is still its turn.

#[cfg(test)]
mod tests;

use super::{Request, RequestError, Runner, Stop};
use crate::backoff::Backoff;
use crate::board::{Board, RunnerState};
use crate::checkpoint::Checkpoint;
use crate::projections::ProjectionsOptions;
use crate::read_model::{ReadModel, Unavailable};
use journal::{Assignment, Partition};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use traces::Traces;
use tracing::{info, warn};

/// How often a node looks how far another one has brought a partition, if nobody waits for it here.
const LOOK: Duration = Duration::from_secs(2);
/// The same while somebody waits.
const LOOK_AWAITED: Duration = Duration::from_millis(5);

/// The runner of one partition of shared read models. Made by [`crate::Projections::with_shared`].
pub struct SharedRunner(Runner);

impl SharedRunner {
    pub(crate) fn new(partition: Partition, options: &ProjectionsOptions) -> Self {
        Self(Runner::new(partition, options))
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        self.0.board()
    }

    /// The same, of which the spans go there.
    #[must_use]
    pub fn with_traces(self, traces: Traces) -> Self {
        Self(self.0.with_traces(traces))
    }

    /// Which partition.
    pub fn partition(&self) -> Partition {
        self.0.partition
    }

    /// Feeds the partition while it is assigned to this node, and looks on while it is not, until it is told to stop or
    /// cannot go on. That another node feeds it is no reason to end.
    pub async fn run(
        mut self,
        mut assignments: watch::Receiver<Assignment>,
        stop: CancellationToken,
    ) -> Result<(), Stop> {
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            error = self.take_turns(&mut assignments) => Err(error),
        };
        self.0.show(RunnerState::Stopped { error: end.as_ref().err().map(ToString::to_string) });
        end
    }

    /// Does not end but by an error.
    async fn take_turns(&mut self, assignments: &mut watch::Receiver<Assignment>) -> Stop {
        let partition = self.partition();
        let mut fenced = Backoff::default();
        loop {
            // What was known may be long past, or of a write whose answer was not waited for.
            self.0.reader = None;
            let is_assigned = assignments.borrow_and_update().contains(&partition);
            if !is_assigned {
                tokio::select! {
                    () = until(assignments, |assigned| assigned.contains(&partition)) => {}
                    () = self.look_on() => {}
                }
                continue;
            }
            let stop = tokio::select! {
                biased;
                () = until(assignments, |assigned| !assigned.contains(&partition)) => continue,
                () = gone_back(self.0.models.clone(), partition, self.0.board()) => {
                    warn!(partition = partition.0, "shared read models hold less of partition {partition} than they did");
                    continue;
                }
                stop = self.0.follow() => stop,
            };
            let Stop::Fenced { model, .. } = stop else { return stop };
            info!(model, partition = partition.0, "another node has fed {model} in partition {partition} meanwhile");
            sleep(fenced.next(u64::from(partition.0))).await;
        }
    }

    /// Shows how far another node has come. Does not end.
    async fn look_on(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.look().await {
                Ok(()) => backoff = Backoff::default(),
                Err(Unavailable(error)) => {
                    self.0.back_off(&mut backoff, &error).await;
                    continue;
                }
            }
            self.0.show(RunnerState::LookingOn);
            sleep(LOOK_AWAITED).await;
            if self.0.board.is_awaited() {
                continue;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.0.board.awaited() => {}
                Some(request) = self.0.requests.recv() => refuse(request),
            }
        }
    }

    async fn look(&mut self) -> Result<(), Unavailable> {
        for model in 0..self.0.models.len() {
            match self.0.models[model].checkpoint(self.0.partition).await? {
                Some(stored) if !stored.is_same(&self.0.places[model]) => self.0.note(model, Arc::new(stored)),
                Some(_) => {}
                None => self.0.begin(model),
            }
        }
        Ok(())
    }
}

/// Returns when a store holds less than this node has written there: it has crashed before that was on its disk, or was
/// replaced by one that is older. The same is noticed with the next batch, but that may be long in coming.
async fn gone_back(models: Vec<Arc<dyn ReadModel>>, partition: Partition, board: Arc<Board>) {
    loop {
        sleep(LOOK).await;
        for (number, model) in models.iter().enumerate() {
            // Before the store is asked: what is written meanwhile is more.
            let Some(known) = board.stored(number) else { continue };
            let Ok(stored) = model.checkpoint(partition).await else { continue };
            let is_less = |stored: Checkpoint| stored.revision <= known.revision && !stored.is_same(&known);
            if stored.is_none_or(is_less) {
                return;
            }
        }
    }
}

/// Returns when the assignment is such; never, if it changes no more.
async fn until(assignments: &mut watch::Receiver<Assignment>, is_such: impl FnMut(&Assignment) -> bool) {
    if assignments.wait_for(is_such).await.is_err() {
        pending::<()>().await;
    }
}

fn refuse(request: Request) {
    let _ = request.reply.send(Err(RequestError::Elsewhere));
}
