//! A durable store that holds a read model, as the databases will: a transaction may fail before it begins, or be applied
//! and its answer lost; some commits are rejected a few times, so that their keys park.
//!
//! What is stored outlives the runners, and a rebuild empties it in place: a worker of the build before may still come
//! with what it has. The real memory model underneath compares the checkpoints.

use super::super::{Dice, Fault, Story};
use async_trait::async_trait;
use journal::{Partition, Position, Rule, Rules};
use parking_lot::Mutex;
use projections::{Advance, ApplyError, Batch, Checkpoint, ReadModel, Unavailable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often it is rejected at most.
const REJECTIONS_MAX: usize = 3;

/// How often the stores misbehave; 0 for never.
#[derive(Clone, Copy, Debug)]
pub struct StoreRates {
    /// One transaction in so many never begins, nor one look at the checkpoint.
    pub unavailable_one_in: usize,
    /// One answer in so many is lost after the transaction was applied.
    pub answer_lost_one_in: usize,
    /// One commit in so many is rejected.
    pub rejected_one_in: usize,
}

/// What goes wrong in the stores of one simulation; clones are the same.
#[derive(Clone)]
pub struct StoreFaults {
    dice: Dice,
    story: Story,
    rules: Rules,
    rates: StoreRates,
    /// What happened that must not.
    violations: Arc<Mutex<Vec<String>>>,
    /// How often each commit is still rejected; outlives the models.
    rejections: Arc<Mutex<BTreeMap<(&'static str, Position), usize>>>,
}

impl StoreFaults {
    /// Faults by this chance, with the store's rules kept or not.
    pub fn new(dice: Dice, story: Story, rules: Rules, rates: StoreRates) -> Self {
        Self { dice, story, rules, rates, violations: Arc::default(), rejections: Arc::default() }
    }

    /// The rules of the read side.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// What happened that must not.
    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    fn once_in(&self, times: usize) -> bool {
        times > 0 && self.dice.once_in(times)
    }

    /// The first commit of the batch that is rejected this time.
    fn rejects(&self, model: &'static str, batch: &Batch<'_>) -> Option<Position> {
        let mut rejections = self.rejections.lock();
        let mut draw =
            || if self.once_in(self.rates.rejected_one_in) { 1 + self.dice.below(REJECTIONS_MAX) } else { 0 };
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

/// A place where a read model is stored; a rebuild puts another one there. Clones are the same place.
pub(super) type Slot = Arc<Mutex<Arc<dyn ReadModel>>>;

/// A read model in its store, as the workers of one build see it.
pub(super) struct StoredModel {
    name: &'static str,
    /// Of the build whose worker this is.
    generation: u64,
    slot: Slot,
    faults: StoreFaults,
}

impl StoredModel {
    /// What is in this place, behind those faults.
    pub(super) fn over(slot: Slot, faults: StoreFaults) -> Arc<dyn ReadModel> {
        let model = Arc::clone(&slot.lock());
        let (name, generation) = (model.name(), model.generation());
        Arc::new(Self { name, generation, slot, faults })
    }

    /// Fails now and then.
    fn answer(&self, partition: Partition) -> Result<(), Unavailable> {
        if self.faults.once_in(self.faults.rates.unavailable_one_in) {
            self.faults.fault(Fault::StoreUnavailable, self.name, partition);
            return Err(Unavailable("the store does not answer".to_owned()));
        }
        Ok(())
    }

    /// What the store takes for the stored checkpoint, with a rule taken away.
    fn expected(&self, stored: Option<&Checkpoint>, expected: &Checkpoint) -> Checkpoint {
        let Some(stored) = stored else { return expected.clone() };
        let alike = stored.at == expected.at && !self.faults.rules.keep(Rule::CompareGenerations);
        let blind = alike || !self.faults.rules.keep(Rule::CompareCheckpoints);
        if blind { stored.clone() } else { expected.clone() }
    }
}

#[async_trait]
impl ReadModel for StoredModel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        self.answer(partition)?;
        let model = Arc::clone(&self.slot.lock());
        let mut checkpoint = model.checkpoint(partition).await?;
        if !self.faults.rules.keep(Rule::LoadParkedKeys) {
            checkpoint.iter_mut().for_each(|checkpoint| checkpoint.parked.clear());
        }
        Ok(checkpoint)
    }

    async fn apply(&self, &Advance { partition, expected, batch, new }: &Advance<'_>) -> Result<(), ApplyError> {
        let (faults, name, model) = (&self.faults, self.name, Arc::clone(&self.slot.lock()));
        self.answer(partition)?;
        if let Some(position) = faults.rejects(name, batch) {
            faults.fault(Fault::CommitRejected, name, partition);
            return Err(ApplyError::Rejected { position, error: "poison".to_owned() });
        }
        let expected = &self.expected(model.checkpoint(partition).await?.as_ref(), expected);
        let lost = faults.once_in(faults.rates.answer_lost_one_in);
        if lost && !faults.rules.keep(Rule::CheckpointWithData) {
            // The worker dies between the two writes.
            let nothing = Batch { entries: Vec::new(), opener: batch.opener };
            model.apply(&Advance { partition, expected, batch: &nothing, new }).await?;
        } else {
            model.apply(&Advance { partition, expected, batch, new }).await?;
        }
        if model.generation() != self.generation {
            let what = format!("build {} of {name} has written into build {}", self.generation, model.generation());
            faults.violations.lock().push(what);
        }
        if lost {
            faults.fault(Fault::StoreAnswerLost, name, partition);
            return Err(Unavailable("the store's answer was lost".to_owned()).into());
        }
        Ok(())
    }
}
