//! The owners of a log's partitions, which can be killed, doubled and kept away.

use crate::simulation::nodes::{Cluster, Node};
use journal::Partition;
use parking_lot::Mutex;

/// One owner for each partition, and now and then none or two.
pub(super) struct Crew {
    cluster: Cluster,
    nodes: Mutex<Vec<Node>>,
}

impl Crew {
    /// Everybody begins.
    pub(super) fn new(cluster: Cluster) -> Self {
        let nodes = (0..cluster.journal.partitions()).map(|n| cluster.start(Partition(n))).collect();
        Self { cluster, nodes: Mutex::new(nodes) }
    }

    /// Dies, with whatever it was doing.
    pub(super) fn kill(&self, partition: Partition) {
        self.nodes.lock().extract_if(.., |node| node.partition == partition).for_each(|node| node.task.abort());
    }

    /// Begins, beside whoever is there and is not told.
    pub(super) fn start(&self, partition: Partition) {
        let node = self.cluster.start(partition);
        self.nodes.lock().push(node);
    }

    /// Dies, and another one takes over.
    pub(super) fn replace(&self, partition: Partition) {
        self.kill(partition);
        self.start(partition);
    }

    /// Everybody dies, and others take over.
    pub(super) fn replace_all(&self) {
        (0..self.cluster.journal.partitions()).for_each(|n| self.replace(Partition(n)));
    }

    /// Lets go of all but the newest of each partition; says which ended by themselves.
    pub(super) fn tidy(&self) -> Vec<String> {
        let mut nodes = self.nodes.lock();
        let ended = nodes.iter().filter(|node| node.task.is_finished()).map(|node| node.partition);
        let ended = ended.map(|partition| format!("an owner of partition {partition} ended by itself")).collect();
        let newest = |n: usize| !nodes[n + 1..].iter().any(|later| later.partition == nodes[n].partition);
        let keep: Vec<bool> = (0..nodes.len()).map(newest).collect();
        let mut keep = keep.into_iter();
        nodes.extract_if(.., |_| !keep.next().expect("one for each")).for_each(|node| node.task.abort());
        ended
    }

    /// Everybody ends; when this returns nobody uses the log any more.
    pub(super) async fn end(&self) {
        let nodes = std::mem::take(&mut *self.nodes.lock());
        for node in nodes {
            node.task.abort();
            // It is an error, since it was aborted.
            let _ = node.task.await;
        }
    }
}
