//! The way to owners on several nodes: into the mailbox where the partition is this node's own, else to the node that
//! announced it, in batches.
//!
//! A node never passes on what came from another one: it takes what is for a partition of its own and says "not here" of
//! the rest, upon which the asker looks where the partition has gone. So nothing goes round in circles, and a request
//! that met nobody was not done by anybody.

mod peer;

pub use peer::{Link, LinkError, Replies};

use crate::answer::Answer;
use crate::request::Request;
use crate::router::{LocalOwners, Transport};
use crate::wire::{Reply, WireError, read_batch, write_reply};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream};
use journal::{Announcement, Announcements, Assignment, Ownership, Partition};
use parking_lot::Mutex;
use peer::Peer;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long a request that has met nobody waits for news of its partition before it tries the same place again.
const NEWS_MAX: Duration = Duration::from_millis(250);

/// Owners on this node and on others. Clones are the same.
#[derive(Clone)]
pub struct Nodes {
    local: Arc<LocalOwners>,
    assigned: watch::Receiver<Assignment>,
    announced: watch::Receiver<Announcements>,
    link: Arc<dyn Link>,
    /// By address; those that nobody announces any more are let go when a new one comes.
    peers: Arc<Mutex<HashMap<String, Peer>>>,
    own_address: String,
}

/// Where a request goes.
enum Route {
    Here,
    There(String),
    /// Nobody is known to own the partition.
    Nowhere,
}

impl Nodes {
    /// The way to these owners, and to others over this link. `own_address` is what this node announces.
    pub fn new(local: LocalOwners, ownership: &dyn Ownership, link: Arc<dyn Link>, own_address: &str) -> Self {
        Self {
            local: Arc::new(local),
            assigned: ownership.assignments(),
            announced: ownership.announcements(),
            link,
            peers: Arc::default(),
            own_address: own_address.to_owned(),
        }
    }

    fn route(&self, partition: Partition) -> Route {
        if self.assigned.borrow().contains(&partition) {
            return Route::Here;
        }
        match self.announced.borrow().get(&partition) {
            Some(Announcement { address, .. }) if *address != self.own_address => Route::There(address.clone()),
            _ => Route::Nowhere,
        }
    }

    fn ask(&self, address: String, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Reply> {
        let mut peers = self.peers.lock();
        if !peers.contains_key(&address) {
            let announced = self.announced.borrow();
            peers.retain(|known, _| announced.values().any(|announcement| announcement.address == *known));
        }
        let peer = peers.entry(address.clone()).or_insert_with(|| Peer::start(address, Arc::clone(&self.link)));
        peer.ask(partition, request)
    }

    /// Until it was answered by somebody. What nobody has taken can wait: it was not done.
    async fn deliver(mut self, partition: Partition, request: Arc<Request>) -> Answer {
        loop {
            self.assigned.mark_unchanged();
            self.announced.mark_unchanged();
            match self.route(partition) {
                Route::Here => return self.local.send(partition, request).await,
                Route::There(address) => match self.ask(address, partition, Arc::clone(&request)).await {
                    Reply::Answer(answer) => return answer,
                    Reply::NotHere => {}
                },
                Route::Nowhere => {}
            }
            if Instant::now() >= request.deadline {
                return Answer::Expired;
            }
            self.news((Instant::now() + NEWS_MAX).min(request.deadline)).await;
        }
    }

    /// Returns when something has changed about who owns what, or then.
    async fn news(&mut self, until: Instant) {
        tokio::select! {
            biased;
            Ok(()) = self.assigned.changed() => {}
            Ok(()) = self.announced.changed() => {}
            () = sleep_until(until) => {}
        }
    }

    /// Takes a batch of another node. The replies come as they become true, each as one line.
    pub fn take(&self, batch: &[u8]) -> Result<impl Stream<Item = Bytes> + Send + use<>, WireError> {
        let replies = FuturesUnordered::new();
        for ((partition, request), n) in read_batch(batch)?.into_iter().zip(0..) {
            let here = matches!(self.route(partition), Route::Here);
            let answer = here.then(|| self.local.send(partition, Arc::new(request)));
            replies.push(async move {
                let reply = match answer {
                    Some(answer) => Reply::Answer(answer.await),
                    None => Reply::NotHere,
                };
                write_reply(n, reply)
            });
        }
        Ok(replies)
    }
}

impl Transport for Nodes {
    fn send(&self, partition: Partition, request: Arc<Request>) -> BoxFuture<'static, Answer> {
        // The common case must not cost a clone of everything.
        if let Route::Here = self.route(partition) {
            return self.local.send(partition, request);
        }
        self.clone().deliver(partition, request).boxed()
    }
}
