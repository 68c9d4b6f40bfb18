//! How many connections there are: the driver only tells what becomes of each.

use ::mongodb::event::EventHandler;
use ::mongodb::event::cmap::CmapEvent;
use pool::PoolUse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Those of a client, to all members that it knows. In fact it works with the one that takes writes.
#[derive(Default)]
pub(super) struct Connections {
    open: AtomicU32,
    in_use: AtomicU32,
}

impl Connections {
    /// Counts what a client tells.
    pub(super) fn counted(self: &Arc<Self>) -> EventHandler<CmapEvent> {
        let counted = Arc::clone(self);
        EventHandler::callback(move |event| match event {
            CmapEvent::ConnectionCreated(_) => drop(counted.open.fetch_add(1, Ordering::Relaxed)),
            CmapEvent::ConnectionClosed(_) => drop(counted.open.fetch_sub(1, Ordering::Relaxed)),
            CmapEvent::ConnectionCheckedOut(_) => drop(counted.in_use.fetch_add(1, Ordering::Relaxed)),
            CmapEvent::ConnectionCheckedIn(_) => drop(counted.in_use.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        })
    }

    /// As they are now.
    pub(super) fn in_use(&self) -> PoolUse {
        let open = self.open.load(Ordering::Relaxed);
        PoolUse { open, idle: open.saturating_sub(self.in_use.load(Ordering::Relaxed)) }
    }
}
