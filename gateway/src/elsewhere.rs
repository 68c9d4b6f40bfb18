//! Whether read models have passed a place of the log: those of this node, and those of every other one, which are asked.
//!
//! A deletion is not over as long as some node may still show the person or take their token. The nodes that are asked are
//! those that own a partition, and so all that serve, but for one that is just joining.

use crate::internal::HttpLink;
use events::UserId;
use futures::future::try_join_all;
use journal::{Announcements, Position};
use projections::{Lag, Projections};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How much longer than what is asked for an answer may be on its way.
const GRACE: Duration = Duration::from_millis(500);

/// What read models are to have passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Passing {
    /// Which read models.
    pub models: Vec<String>,
    /// Everything up to these.
    pub last: Vec<Position>,
    /// Nothing may be parked in them that names this person.
    pub concerning: Option<UserId>,
    /// How long to wait for it.
    pub within_ms: u64,
}

/// Why it has not been passed, for operators.
pub type Waits = String;

/// The other nodes, as whoever deletes somebody must ask them.
#[derive(Clone)]
pub struct Elsewhere(Option<Others>);

#[derive(Clone)]
struct Others {
    announced: watch::Receiver<Announcements>,
    link: Arc<HttpLink>,
    own_address: Arc<str>,
}

impl Passing {
    /// Waits until the read models of this node have passed it.
    pub async fn here(&self, projections: &Projections) -> Result<(), Waits> {
        let deadline = Instant::now() + Duration::from_millis(self.within_ms);
        let models = self.models.iter().map(String::as_str).collect::<Vec<_>>();
        match projections.wait_for(&models, &self.last, deadline).await {
            // What is parked concerns others as long as nobody says otherwise.
            Err(Lag { behind, parked }) if !behind.is_empty() => return Err(Lag { behind, parked }.to_string()),
            _ => {}
        }
        let Some(user) = self.concerning else { return Ok(()) };
        let parked = projections.parked_concerning(user, &models).await;
        match parked.map_err(|error| format!("the log cannot be read: {error}"))? {
            Some(parked) => Err(format!("{} is parked in {}: {}", parked.key, parked.model, parked.error)),
            None => Ok(()),
        }
    }
}

impl Elsewhere {
    /// Where there are no other nodes.
    pub fn nowhere() -> Self {
        Self(None)
    }

    pub(crate) fn new(announced: watch::Receiver<Announcements>, link: Arc<HttpLink>, own_address: &str) -> Self {
        Self(Some(Others { announced, link, own_address: own_address.into() }))
    }

    /// Waits until the read models of every other node have passed it. One that does not say so is named.
    pub async fn passed(&self, passing: &Passing) -> Result<(), Waits> {
        let Some(others) = &self.0 else { return Ok(()) };
        let addresses = others.addresses();
        try_join_all(addresses.iter().map(|address| others.passed(address, passing))).await.map(|_| ())
    }
}

impl Others {
    fn addresses(&self) -> BTreeSet<String> {
        let announced = self.announced.borrow();
        let addresses = announced.values().map(|announcement| announcement.address.clone());
        addresses.filter(|address| **address != *self.own_address).collect()
    }

    async fn passed(&self, address: &str, passing: &Passing) -> Result<(), Waits> {
        let within = Duration::from_millis(passing.within_ms) + GRACE;
        let said = timeout(within, self.link.passed(address, passing)).await;
        let said = said.map_err(|_| "it does not answer".to_owned()).and_then(|said| said.map_err(|e| e.to_string()));
        said.and_then(|said| said).map_err(|why| format!("the node at {address}: {why}"))
    }
}
