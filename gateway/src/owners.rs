//! The owners of all partitions on this node, and the way to them and to those on other nodes.

use crate::elsewhere::Elsewhere;
use crate::internal::{self, Door, HttpLink};
use crate::store::Store;
use anyhow::{Context, Result};
use commands::{Nodes, Owner, Processes, Router};
use events::Keyring;
use journal::Ownership;
use projections::Projections;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Owners that are to be run, over an open store.
pub struct Owners {
    /// To whoever owns a key, wherever that is.
    pub router: Router,
    /// One for each partition, by partition; each owns it only while it is assigned to this node.
    pub owners: Vec<Owner>,
    /// This node's part in who owns what. To be entered when the owners run and know the log, and left when they have
    /// stopped.
    pub ownership: Arc<dyn Ownership>,
    /// What answers other nodes; `None` where there cannot be any.
    pub entrance: Option<Entrance>,
    /// Those other nodes.
    pub elsewhere: Elsewhere,
}

/// Takes the commands of other nodes, and tells them how far this node's read models are.
pub struct Entrance {
    listener: TcpListener,
    nodes: Nodes,
    keyring: Arc<dyn Keyring>,
}

impl Owners {
    /// Prepares this node's part among the nodes over a log that can have several. They are told `advertised`, or else the address of the
    /// listener; an embedded log needs none.
    ///
    /// Their sagas are those of `processes`.
    pub fn new(
        store: &Store,
        processes: &Processes,
        listener: Option<TcpListener>,
        advertised: Option<&str>,
    ) -> Result<Self> {
        let own_address = match (advertised, &listener) {
            (Some(advertised), _) => advertised.to_owned(),
            (None, Some(listener)) => listener.local_addr().context("the listener has no address")?.to_string(),
            (None, None) => String::new(),
        };
        let ownership = store.ownership(&own_address)?;
        let (mut entrance, mut elsewhere) = (None, Elsewhere::nowhere());
        let (router, owners) = Owner::of_all(&store.journal, &ownership, processes, |local| match listener {
            None => Arc::new(local),
            Some(listener) => {
                let keyring = Arc::clone(&store.keyring);
                let link = Arc::new(HttpLink::new(Arc::clone(&keyring)));
                elsewhere = Elsewhere::new(ownership.announcements(), Arc::clone(&link), &own_address);
                let nodes = Nodes::new(local, &*ownership, link, &own_address);
                entrance = Some(Entrance { listener, nodes: nodes.clone(), keyring });
                Arc::new(nodes)
            }
        });
        Ok(Self { router, owners, ownership, entrance, elsewhere })
    }
}

impl Entrance {
    /// Answers until told to stop; whoever waits for an answer then is told by the end of the connection.
    pub async fn listen(self, projections: Arc<Projections>, stop: CancellationToken) {
        let Self { listener, nodes, keyring } = self;
        internal::listen(listener, Door { nodes, projections, keyring }, stop).await;
    }
}
