//! Ownership where there is one node: it is meant to own everything, always.

use crate::error::JournalError;
use crate::ownership::{Assignment, Ownership};
use crate::partition::Partition;
use async_trait::async_trait;
use tokio::sync::watch;

/// All partitions, from the beginning to the end. The directory's lock is what makes it true.
#[derive(Debug)]
pub struct StaticOwnership(watch::Sender<Assignment>);

impl StaticOwnership {
    /// The ownership of a log with so many partitions.
    pub fn new(partitions: u32) -> Self {
        Self(watch::Sender::new((0..partitions).map(Partition).collect()))
    }
}

#[async_trait]
impl Ownership for StaticOwnership {
    fn assignments(&self) -> watch::Receiver<Assignment> {
        self.0.subscribe()
    }

    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError> {
        Ok(self.0.borrow().contains(&partition))
    }
}
