//! Connections to servers, as measurements.

use metrics::gauge;

/// A pool of them as it is now.
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    pub(crate) open: u32,
    /// Those of them that wait for work.
    pub(crate) idle: u32,
    /// So many may be open.
    pub(crate) max: u32,
}

impl Pool {
    pub(crate) fn show(&self) {
        let Self { name, open, idle, max } = *self;
        for (state, connections) in [("in_use", open.saturating_sub(idle)), ("idle", idle)] {
            gauge!("tidings_pool_connections", "pool" => name, "state" => state).set(f64::from(connections));
        }
        gauge!("tidings_pool_connections_max", "pool" => name).set(f64::from(max));
    }
}
