//! The port that says who is meant to own which partition.
//!
//! It only assigns. Safety comes from the chain: a node that believes in an assignment which is no longer true can do no
//! harm, since its claim or its records are void.

use crate::error::JournalError;
use crate::partition::Partition;
use async_trait::async_trait;
use tokio::sync::watch;

/// The partitions that this node is meant to own at present.
pub type Assignment = std::collections::BTreeSet<Partition>;

/// Who is meant to own which partition.
///
/// - Every partition is in time assigned to some live node; for a while it may be assigned to none or to two.
/// - `assignments` always shows the newest assignment; intermediate ones may be skipped.
/// - `confirm` asks again: it returns `true` only if the assignment held at some moment after the call began. An owner
///   that lost its tenure calls it before it claims again, so that two nodes do not take turns for ever.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// The assignment of this node, as it changes.
    fn assignments(&self) -> watch::Receiver<Assignment>;

    /// Whether the partition is (still) meant to be owned by this node.
    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError>;
}
