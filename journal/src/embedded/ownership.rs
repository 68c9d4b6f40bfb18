//! Ownership where there is one node: it is meant to own everything, always.

use crate::error::JournalError;
use crate::ownership::{Announcements, Assignment, Ownership};
use crate::partition::Partition;
use async_trait::async_trait;
use events::Incarnation;
use tokio::sync::watch;

/// All partitions, from the beginning to the end. The directory's lock is what makes it true.
#[derive(Debug)]
pub struct StaticOwnership {
    assignment: watch::Sender<Assignment>,
    announcements: watch::Sender<Announcements>,
}

impl StaticOwnership {
    /// The ownership of a log with so many partitions.
    pub fn new(partitions: u32) -> Self {
        let assignment = watch::Sender::new((0..partitions).map(Partition).collect());
        Self { assignment, announcements: watch::Sender::default() }
    }
}

#[async_trait]
impl Ownership for StaticOwnership {
    /// Everything is this node's from the beginning.
    fn enter(&self) {}

    fn assignments(&self) -> watch::Receiver<Assignment> {
        self.assignment.subscribe()
    }

    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError> {
        Ok(self.assignment.borrow().contains(&partition))
    }

    fn announce(&self, _: Partition, _: Incarnation) {}

    fn leave(&self) {
        self.assignment.send_replace(Assignment::new());
    }

    fn announcements(&self) -> watch::Receiver<Announcements> {
        self.announcements.subscribe()
    }
}
