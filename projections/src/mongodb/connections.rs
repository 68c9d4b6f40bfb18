//! Which connections there are: the driver only tells what becomes of each.

use ::mongodb::event::EventHandler;
use ::mongodb::event::cmap::CmapEvent;
use ::mongodb::options::ServerAddress;
use parking_lot::Mutex;
use pool::PoolUse;
use std::collections::HashSet;
use std::sync::Arc;

/// Where to, and the number that the driver has given it.
type Id = (ServerAddress, u32);

/// Those of a client, to all members that it knows. In fact it works with the one that takes writes.
#[derive(Default)]
pub(super) struct Connections(Mutex<Known>);

/// By name and not by number: whoever gives up while a connection is handed out has it given back without being told to have
/// had it.
#[derive(Default)]
struct Known {
    open: HashSet<Id>,
    in_use: HashSet<Id>,
}

impl Connections {
    /// Notes what a client tells.
    pub(super) fn noted(self: &Arc<Self>) -> EventHandler<CmapEvent> {
        let connections = Arc::clone(self);
        EventHandler::callback(move |event| {
            let Known { open, in_use } = &mut *connections.0.lock();
            match event {
                CmapEvent::ConnectionCreated(it) => drop(open.insert((it.address, it.connection_id))),
                CmapEvent::ConnectionCheckedOut(it) => drop(in_use.insert((it.address, it.connection_id))),
                CmapEvent::ConnectionCheckedIn(it) => drop(in_use.remove(&(it.address, it.connection_id))),
                CmapEvent::ConnectionClosed(it) => {
                    let id = (it.address, it.connection_id);
                    open.remove(&id);
                    in_use.remove(&id);
                }
                _ => {}
            }
        })
    }

    /// As they are now.
    pub(super) fn in_use(&self) -> PoolUse {
        let Known { open, in_use } = &*self.0.lock();
        let count = |connections: usize| u32::try_from(connections).unwrap_or(u32::MAX);
        PoolUse { open: count(open.len()), idle: count(open.difference(in_use).count()) }
    }
}
