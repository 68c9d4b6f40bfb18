//! How far each partition was ever seen to have come, by this node. A store that has lost what it had says less than that.

use journal::{Offset, Partition};
use parking_lot::RwLock;
use std::collections::HashMap;

/// See the module.
#[derive(Default)]
pub(crate) struct Passed(RwLock<HashMap<Partition, Offset>>);

impl Passed {
    /// It has come so far, or must have, before anything that it says is believed.
    pub(crate) fn note(&self, partition: Partition, next: Offset) {
        if self.of(partition) < next {
            let mut all = self.0.write();
            let known = all.entry(partition).or_default();
            *known = (*known).max(next);
        }
    }

    /// The same of every partition of which anything is known. To be asked before the store is, as well.
    pub(crate) fn all(&self) -> HashMap<Partition, Offset> {
        self.0.read().clone()
    }

    /// As far as is known. To be asked before the store is, since what others write and see meanwhile is more.
    pub(crate) fn of(&self, partition: Partition) -> Offset {
        self.0.read().get(&partition).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_once_is_not_unseen() {
        let passed = Passed::default();
        for (partition, next, known) in [(0, 7, 7), (0, 6, 7), (1, 3, 3), (0, 8, 8)] {
            passed.note(Partition(partition), next);
            assert_eq!(passed.of(Partition(partition)), known, "each partition has its own");
        }
    }
}
