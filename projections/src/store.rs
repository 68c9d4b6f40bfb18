//! Where a memory read model keeps its data: one lock over data and checkpoints, so that both change in one step.

use crate::checkpoint::Checkpoint;
use crate::read_model::{Advance, ApplyError};
use journal::Partition;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use std::collections::BTreeMap;

/// Data and the checkpoints of what it holds.
#[derive(Default)]
pub(crate) struct Store<D> {
    generation: u64,
    stored: RwLock<Stored<D>>,
}

#[derive(Default)]
struct Stored<D> {
    data: D,
    checkpoints: BTreeMap<Partition, Checkpoint>,
}

impl<D: Default> Store<D> {
    /// An empty store.
    pub(crate) fn with_generation(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn checkpoint(&self, partition: Partition) -> Option<Checkpoint> {
        self.stored.read().checkpoints.get(&partition).cloned()
    }

    pub(crate) fn read(&self) -> MappedRwLockReadGuard<'_, D> {
        RwLockReadGuard::map(self.stored.read(), |stored| &stored.data)
    }

    /// Compare-and-set: changes the data and stores `new` if `expected` is what is stored. It waits
    /// for nothing, so it is not dropped halfway.
    pub(crate) fn write(
        &self,
        Advance { partition, expected, new, .. }: &Advance<'_>,
        change: impl FnOnce(&mut D),
    ) -> Result<(), ApplyError> {
        let mut stored = self.stored.write();
        let is_expected = match stored.checkpoints.get(partition) {
            Some(checkpoint) => checkpoint.is_same(expected),
            None => expected.generation == self.generation && expected.revision == 0 && expected.at.next == 0,
        };
        if !is_expected {
            return Err(ApplyError::Fenced);
        }
        change(&mut stored.data);
        stored.checkpoints.insert(*partition, (*new).clone());
        Ok(())
    }
}
