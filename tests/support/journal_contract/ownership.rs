//! The contract of an ownership, as far as one node alone can see it.

use super::UnderTest;
use async_trait::async_trait;
use journal::{Ownership, Partition};
use std::sync::Arc;

/// An ownership that belongs to one test.
#[async_trait]
pub trait OwnershipUnderTest: UnderTest + Sized + Send + Sync {
    /// One live node, and so many partitions.
    async fn create(partitions: u32) -> Self;

    /// What that node sees.
    fn ownership(&self) -> Arc<dyn Ownership>;
}

/// In time.
pub async fn a_lone_node_is_assigned_every_partition<O: OwnershipUnderTest>() {
    let created = O::create(5).await;
    let mut assignments = created.ownership().assignments();
    let all = (0..5).map(Partition).collect();
    let assigned = assignments.wait_for(|assignment| *assignment == all).await.unwrap();
    assert_eq!(assigned.len(), 5);
}

/// Asked again, it says the same.
pub async fn what_is_assigned_is_confirmed_and_what_is_not_there_is_not<O: OwnershipUnderTest>() {
    let created = O::create(3).await;
    let ownership = created.ownership();
    let mut assignments = ownership.assignments();
    assignments.wait_for(|assignment| assignment.len() == 3).await.unwrap();
    for n in 0..3 {
        assert!(ownership.confirm(Partition(n)).await.unwrap());
    }
    assert!(!ownership.confirm(Partition(3)).await.unwrap());
}
