//! Every measurement of this program: what it is called, in which unit it is, and what it says. Whatever is measured
//! anywhere has a line here, and nothing else; a test compares.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};
use Unit::{Bytes, Count, Seconds};

/// Their labels have few values, all of them known here or of the log's partitions; none names a person.
const ALL: &[(&str, Kind, Unit, &str)] = &[
    // HTTP, by method, route and status
    ("tidings_http_request_seconds", Histogram, Seconds, "From the head of a request to the head of its answer"),
    ("tidings_http_requests_in_flight", Gauge, Count, "Requests that are being answered"),
    ("tidings_connections_refused_total", Counter, Count, "Connections beyond what one address may have"),
    ("tidings_rate_limited_total", Counter, Count, "Requests beyond a limit, by its class"),
    (
        "tidings_rate_limit_windows_forgotten_total",
        Counter,
        Count,
        "Windows of limits that were let go for want of room",
    ),
    (
        "tidings_tokens_refused_total",
        Counter,
        Count,
        "Requests whose access token or session was not good, or could not be told",
    ),
    // owners, by partition
    (
        "tidings_command_seconds",
        Histogram,
        Seconds,
        "A command at its owner: queued, durable (its append to the log), held",
    ),
    ("tidings_commits_total", Counter, Count, "Commits handed to the log"),
    ("tidings_commit_bytes", Histogram, Bytes, "How large commits are"),
    ("tidings_owner_queue_requests", Gauge, Count, "Commands that wait for an owner"),
    ("tidings_owner_in_flight_commits", Gauge, Count, "Commits on their way into the log"),
    ("tidings_owner_claims_total", Counter, Count, "Partitions that this node has come to own"),
    ("tidings_owner_lost_total", Counter, Count, "Partitions that this node has lost to another one, or may have"),
    ("tidings_peer_batch_requests", Histogram, Count, "Commands in a batch to another node"),
    ("tidings_peer_batch_seconds", Histogram, Seconds, "From sending such a batch to its last answer"),
    ("tidings_peer_failures_total", Counter, Count, "Batches that another node refused, or that were lost"),
    (
        "tidings_rate_limits_unshared_total",
        Counter,
        Count,
        "Times at which Redis did not answer and this node began to count alone",
    ),
    (
        "tidings_rules_unchecked_total",
        Counter,
        Count,
        "Rules across keys that were not checked, since a read model was away",
    ),
    // sagas, by type
    ("tidings_sagas_open", Gauge, Count, "Sagas that have not ended, by type and status"),
    ("tidings_sagas_oldest_seconds", Gauge, Seconds, "The age of the oldest of these"),
    ("tidings_sagas_stuck", Gauge, Count, "Sagas that have not got on for too long, or that a person must look at"),
    ("tidings_saga_steps_total", Counter, Count, "Attempts of steps that have ended, by what came of them"),
    // read models
    ("tidings_log_records_total", Counter, Count, "Records read from the log, by kind"),
    ("tidings_projection_commits_total", Counter, Count, "Commits applied to a read model"),
    ("tidings_projection_batch_commits", Histogram, Count, "Commits in a batch that a read model has stored"),
    ("tidings_projection_batch_seconds", Histogram, Seconds, "How long storing such a batch took"),
    (
        "tidings_projection_retries_total",
        Counter,
        Count,
        "Times at which a read model, the log or the keyring did not answer a runner",
    ),
    (
        "tidings_model_lag_records",
        Gauge,
        Count,
        "Records of a partition that a read model lacks, and commits that wait behind parked keys",
    ),
    ("tidings_model_lag_oldest_seconds", Gauge, Seconds, "The age of the oldest commit that a read model lacks"),
    ("tidings_parked_keys", Gauge, Count, "Keys that stopped in a read model at an event that cannot be applied"),
    (
        "tidings_runners",
        Gauge,
        Count,
        "Partitions by what the runner of their read models is doing; one that has diverged is stopped",
    ),
    ("tidings_pool_connections", Gauge, Count, "Connections to a database, by pool and whether they are in use"),
    ("tidings_pool_connections_max", Gauge, Count, "Connections that a pool may have"),
    // traces
    ("tidings_trace_exports_total", Counter, Count, "Batches of spans that went to the collector, or did not"),
];

/// Counters without labels of what may not happen for long.
const HAPPENS_RARELY: [&str; 6] = [
    "tidings_connections_refused_total",
    "tidings_rate_limit_windows_forgotten_total",
    "tidings_rate_limits_unshared_total",
    "tidings_rules_unchecked_total",
    "tidings_owner_lost_total",
    "tidings_projection_retries_total",
];

/// The name of everything that may be measured.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, ..)| *name)
}

/// Has what is collected say what it means. For the recorder of this process, once it is there.
pub(super) fn describe() {
    for (name, kind, unit, text) in ALL {
        match kind {
            Counter => describe_counter!(*name, *unit, *text),
            Gauge => describe_gauge!(*name, *unit, *text),
            Histogram => describe_histogram!(*name, *unit, *text),
        }
    }
    // A rate of what has not happened yet is nothing, rather than unknown.
    for name in HAPPENS_RARELY {
        counter!(name).increment(0);
    }
}
