//! A durable store that holds a read model, as the databases will: a transaction may fail before it begins, or be applied
//! and its answer lost; some commits are rejected a few times, so that their keys park.
//!
//! What is stored outlives the runners. The real memory model underneath compares the checkpoints.

use super::super::{Dice, Fault, Story};
use journal::{Partition, Position, Rule, Rules};
use parking_lot::Mutex;
use projections::{ApplyError, Batch, Checkpoint, ReadModel};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One transaction in so many never begins.
const UNAVAILABLE_ONCE_IN: usize = 25;
/// One answer in so many is lost after the transaction was applied.
const ANSWER_LOST_ONCE_IN: usize = 40;
/// One commit in so many is rejected.
const POISON_ONCE_IN: usize = 150;
/// How often it is rejected at most.
const REJECTIONS_MAX: usize = 3;

/// What goes wrong in the stores of one simulation; clones are the same.
#[derive(Clone)]
pub struct StoreFaults {
    dice: Dice,
    story: Story,
    rules: Rules,
    /// How often each commit is still rejected; outlives the models.
    rejections: Arc<Mutex<BTreeMap<(&'static str, Position), usize>>>,
}

impl StoreFaults {
    /// Faults by this chance, with the store's rules kept or not.
    pub fn new(dice: Dice, story: Story, rules: Rules) -> Self {
        Self { dice, story, rules, rejections: Arc::default() }
    }

    /// The first commit of the batch that is rejected this time.
    fn rejects(&self, model: &'static str, batch: &Batch<'_>) -> Option<Position> {
        let mut rejections = self.rejections.lock();
        let mut draw = || if self.dice.once_in(POISON_ONCE_IN) { 1 + self.dice.below(REJECTIONS_MAX) } else { 0 };
        batch.entries.iter().map(|entry| entry.position).find(|position| {
            let left = rejections.entry((model, *position)).or_insert_with(&mut draw);
            let rejected = *left > 0;
            *left -= usize::from(rejected);
            rejected
        })
    }

    fn fault(&self, fault: Fault, model: &str, partition: Partition) {
        self.story.fault(fault, format_args!("{model} in {partition}"));
    }
}

/// A read model in a store.
pub(super) struct StoredModel {
    model: Arc<dyn ReadModel>,
    faults: StoreFaults,
}

impl StoredModel {
    /// This model, behind those faults.
    pub(super) fn over(model: Arc<dyn ReadModel>, faults: StoreFaults) -> Arc<dyn ReadModel> {
        Arc::new(Self { model, faults })
    }
}

impl ReadModel for StoredModel {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn generation(&self) -> u64 {
        self.model.generation()
    }

    fn checkpoint(&self, partition: Partition) -> Option<Checkpoint> {
        let mut checkpoint = self.model.checkpoint(partition)?;
        if !self.faults.rules.keep(Rule::LoadParkedKeys) {
            checkpoint.parked.clear();
        }
        Some(checkpoint)
    }

    fn apply_batch(
        &self,
        partition: Partition,
        expected: &Checkpoint,
        batch: &Batch<'_>,
        new: Checkpoint,
    ) -> Result<(), ApplyError> {
        let (faults, name) = (&self.faults, self.name());
        if faults.dice.once_in(UNAVAILABLE_ONCE_IN) {
            faults.fault(Fault::StoreUnavailable, name, partition);
            return Err(ApplyError::Unavailable("the store does not answer".to_owned()));
        }
        if let Some(position) = faults.rejects(name, batch) {
            faults.fault(Fault::CommitRejected, name, partition);
            return Err(ApplyError::Rejected { position, error: "poison".to_owned() });
        }
        let stored = self.model.checkpoint(partition);
        let expected = match &stored {
            Some(stored) if !faults.rules.keep(Rule::CompareCheckpoints) => stored,
            _ => expected,
        };
        self.model.apply_batch(partition, expected, batch, new)?;
        if faults.dice.once_in(ANSWER_LOST_ONCE_IN) {
            faults.fault(Fault::StoreAnswerLost, name, partition);
            return Err(ApplyError::Unavailable("the store's answer was lost".to_owned()));
        }
        Ok(())
    }
}
