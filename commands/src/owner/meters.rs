//! What an owner measures: how long a command spends in each stage, how much waits, how large commits are.
//!
//! A command waits in the mailbox (`queued`); then its commit is on its way to the log (`durable`), or the answer that
//! needed none waits until it is known to be true (`held`). Deciding itself takes microseconds.

use super::Owner;
use crate::router::Delivery;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::time::Instant;

const STAGES: &str = "tidings_command_seconds";

/// Handles, so that measuring looks nothing up.
pub(super) struct Meters {
    queued: Histogram,
    durable: Histogram,
    held: Histogram,
    waiting: Gauge,
    in_flight: Gauge,
    commits: Counter,
    commit_bytes: Histogram,
}

impl Meters {
    pub(super) fn of(owner: &Owner) -> Self {
        let partition = owner.options.partition.to_string();
        Self {
            queued: histogram!(STAGES, "stage" => "queued"),
            durable: histogram!(STAGES, "stage" => "durable"),
            held: histogram!(STAGES, "stage" => "held"),
            waiting: gauge!("tidings_owner_queue_requests", "partition" => partition.clone()),
            in_flight: gauge!("tidings_owner_in_flight_commits", "partition" => partition),
            commits: counter!("tidings_commits_total"),
            commit_bytes: histogram!("tidings_commit_bytes"),
        }
    }

    /// A batch was taken from the mailbox, in which so many still wait.
    pub(super) fn taken(&self, batch: &[Delivery], waiting: usize, in_flight: usize) {
        let now = Instant::now();
        for delivery in batch {
            self.queued.record(now.duration_since(delivery.since));
        }
        self.waiting.set(waiting as f64);
        self.in_flight.set(in_flight as f64);
    }

    /// A commit of so many bytes was handed to the log.
    pub(super) fn sent(&self, bytes: usize) {
        self.commits.increment(1);
        self.commit_bytes.record(bytes as f64);
    }

    /// A commit that was handed over then is valid.
    pub(super) fn landed(&self, since: Instant) {
        self.durable.record(since.elapsed());
    }

    /// An answer that was held back since then is known to be true.
    pub(super) fn released(&self, since: Instant) {
        self.held.record(since.elapsed());
    }
}
