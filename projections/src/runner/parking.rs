//! Writing a batch into a read model, and what becomes of a commit that can never be applied.
//!
//! Only its key stops, and only for that model: the failing commit and those of the key behind it are noted by position,
//! in the checkpoint and so in the same atomic unit as the rest of the batch, which goes on without them.

use super::{Runner, Stop, limits};
use crate::backoff::Backoff;
use crate::checkpoint::{Checkpoint, Parked};
use crate::read_model::{Advance, ApplyError, Batch, Unavailable};
use journal::{Offset, Position};
use metrics::{counter, histogram};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::warn;

impl Runner {
    /// Applies the batch and stores `new`; parks what cannot be applied.
    pub(super) async fn write(&mut self, model: usize, mut batch: Batch<'_>, mut new: Checkpoint) -> Result<(), Stop> {
        let (name, partition) = (self.models[model].name(), self.partition);
        let mut backoff = Backoff::default();
        loop {
            self.check_parked(model, &new)?;
            let advance = Advance { partition, expected: &self.places[model], batch: &batch, new: &new };
            let begun = Instant::now();
            match self.models[model].apply(&advance).await {
                Ok(()) => {
                    self.trace(model, &batch.entries, begun);
                    self.note(model, Arc::new(new));
                    measure(name, batch.entries.len(), begun);
                    return Ok(());
                }
                Err(ApplyError::Rejected { position, error }) => {
                    if !park(&mut batch, &mut new, position, &error) {
                        return Err(Stop::Contract { model: name, partition });
                    }
                    warn!(model = name, %position, error, "{name} parked the key of the commit at {position}: {error}");
                }
                Err(ApplyError::Unavailable(Unavailable(error))) => self.back_off(&mut backoff, &error).await,
                Err(ApplyError::Fenced) => return Err(Stop::Fenced { model: name, partition }),
            }
        }
    }

    fn check_parked(&self, model: usize, new: &Checkpoint) -> Result<(), Stop> {
        if new.parked_offsets() <= limits::PARKED_MAX {
            return Ok(());
        }
        let (model, partition) = (self.models[model].name(), self.partition);
        let newest = new.parked.values().max_by_key(|parked| parked.offsets.first());
        let error = newest.map(|parked| parked.error.clone()).unwrap_or_default();
        Err(Stop::TooManyParked { model, partition, error })
    }
}

/// A batch of so many commits is stored.
fn measure(model: &'static str, commits: usize, begun: Instant) {
    counter!("tidings_projection_commits_total", "model" => model).increment(commits as u64);
    histogram!("tidings_projection_batch_commits", "model" => model).record(commits as f64);
    histogram!("tidings_projection_batch_seconds", "model" => model).record(begun.elapsed());
}

/// Moves the commit at `position` and those of its key behind it from the batch to the markers. Returns whether the
/// batch has that commit.
fn park(batch: &mut Batch<'_>, new: &mut Checkpoint, position: Position, error: &str) -> bool {
    let Some(failed) = batch.entries.iter().find(|entry| entry.position == position).copied() else { return false };
    let mut offsets: Vec<Offset> = Vec::new();
    batch.entries.retain(|entry| {
        let waits = entry.key == failed.key && entry.position.offset >= position.offset;
        if waits {
            offsets.push(entry.position.offset);
        }
        !waits
    });
    // In a retry, the rest of the queue already waits; it lies behind the batch.
    offsets.extend(new.parked.remove(&failed.key).into_iter().flat_map(|parked| parked.offsets));
    new.parked.insert(failed.key, Parked { error: error.to_owned(), since: failed.commit.time, offsets });
    true
}
