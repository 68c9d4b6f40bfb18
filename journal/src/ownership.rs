//! The port that says who is meant to own which partition.
//!
//! It only assigns. Safety comes from the chain: a node that believes in an assignment which is no longer true can do no
//! harm, since its claim or its records are void.

use crate::error::JournalError;
use crate::partition::Partition;
use async_trait::async_trait;
use events::Incarnation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// The partitions that this node is meant to own at present.
pub type Assignment = std::collections::BTreeSet<Partition>;

/// Where the owner of a partition takes commands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// `host:port` of the node's address for other nodes; empty where there is no other node.
    pub address: String,
    /// The tenure that it is about.
    pub incarnation: Incarnation,
}

/// The newest announcement of each partition's owner, as far as it is known here.
pub type Announcements = BTreeMap<Partition, Announcement>;

/// Who is meant to own which partition, and where whoever owns it says that it does.
///
/// - Every partition is in time assigned to some live node; for a while it may be assigned to none or to two.
/// - `assignments` always shows the newest assignment; intermediate ones may be skipped.
/// - `confirm` asks again: it returns `true` only if the assignment held at some moment after the call began. An owner
///   that lost its tenure calls it before it claims again, so that two nodes do not take turns for ever.
/// - An announcement is a hint: it may be late, lost, or of an owner that is none any more. Whoever follows it and meets
///   nobody asks again.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Lets partitions be assigned to this node. To be called when it can own them at once: until then none is, where
    /// there are other nodes. Called again it does nothing.
    fn enter(&self);

    /// The assignment of this node, as it changes.
    fn assignments(&self) -> watch::Receiver<Assignment>;

    /// Whether the partition is (still) meant to be owned by this node.
    async fn confirm(&self, partition: Partition) -> Result<bool, JournalError>;

    /// Tells the other nodes that this one has a valid claim. Returns at once; what cannot be told is told again later.
    fn announce(&self, partition: Partition, incarnation: Incarnation);

    /// Gives up everything that this node is assigned, for good, so that the others get it at once. To be called when its
    /// owners have stopped. May block for as long as the others take to notice; called twice it does nothing.
    fn leave(&self);

    /// What was announced, as it changes. On a node without others it stays empty: who is assigned a partition owns it.
    fn announcements(&self) -> watch::Receiver<Announcements>;
}
