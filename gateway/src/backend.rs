//! What every handler works with: the way to the owners, the read models, the keys, and what stands before them.

use crate::address::Network;
use crate::admin::SagaMeters;
use crate::consistency::Consistency;
use crate::cors::Origin;
use crate::effects::Footprint;
use crate::elsewhere::Elsewhere;
use crate::error::ApiError;
use crate::faces::Face;
use crate::feed::Readings;
use crate::health::Stage;
use crate::hearsay::Hearsay;
use crate::oidc::Oidc;
use crate::operator::AdminToken;
use crate::passwords::Passwords;
use crate::rate_limits::RateLimits;
use crate::read_models::SharedModels;
use crate::recent::Recent;
use crate::tokens::AccessTokens;
use events::{CipherKey, Keyring, KeyringError, Secrets, UserId};
use journal::Ownership;
use metrics_exporter_prometheus::PrometheusHandle;
use projections::sagas::Plan;
use projections::{
    Feed, MemoryFeed, MemoryNotifications, MemoryPosts, MemorySagas, MemorySessions, MemoryUsers, Notifications, Posts,
    Projections, Sagas, Sessions, Users,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use traces::Traces;

/// Shared by all requests.
pub(crate) type App = Arc<Backend>;

/// See the module.
pub(crate) struct Backend {
    pub(crate) router: commands::Router,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) ownership: Arc<dyn Ownership>,
    /// Other nodes that keep sessions of their own; none if all share them.
    pub(crate) elsewhere: Elsewhere,
    pub(crate) projections: Arc<Projections>,
    pub(crate) models: Models,
    pub(crate) consistency: Consistency,
    pub(crate) hearsay: Hearsay,
    pub(crate) tokens: AccessTokens,
    pub(crate) oidc: Oidc,
    pub(crate) admin_token: AdminToken,
    /// The kinds of sagas.
    pub(crate) processes: Vec<&'static str>,
    /// A saga that has not got on for longer is stuck.
    pub(crate) saga_stuck: Duration,
    /// Of those who wrote here lately.
    pub(crate) known_faces: Recent<UserId, Face>,
    /// Who is reading which feed how far.
    pub(crate) readings: Readings,
    pub(crate) passwords: Passwords,
    pub(crate) saga_meters: SagaMeters,
    pub(crate) limits: Limits,
    pub(crate) rate_limits: Arc<RateLimits>,
    /// Proxies whose word on addresses counts.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Pages of these may ask.
    pub(crate) origins: Vec<Origin>,
    pub(crate) traces: Traces,
    pub(crate) stage: watch::Receiver<Stage>,
    pub(crate) owners: Vec<commands::OwnerStatus>,
    pub(crate) metrics: PrometheusHandle,
    /// `openapi.json`, as it is sent.
    pub(crate) document: bytes::Bytes,
}

/// The read models.
pub(crate) struct Models {
    pub(crate) users: Arc<dyn Users>,
    pub(crate) posts: Arc<dyn Posts>,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) feed: Arc<dyn Feed>,
    pub(crate) notifications: Arc<dyn Notifications>,
    pub(crate) sagas: Arc<dyn Sagas>,
}

impl Models {
    /// Those that are shared as they are, and empty ones for the rest.
    pub(crate) fn of(plan: Plan, shared: &SharedModels, keyring: &Arc<dyn Keyring>) -> Self {
        let sagas = shared.sagas.clone().unwrap_or_else(|| Arc::new(MemorySagas::planned(plan)));
        let posts = shared.posts.clone().unwrap_or_else(|| Arc::<MemoryPosts>::default());
        let users = shared.users.clone().unwrap_or_else(|| Arc::<MemoryUsers>::default());
        let sessions = shared.sessions.clone().unwrap_or_else(|| Arc::<MemorySessions>::default());
        let feed = shared.feed.clone().unwrap_or_else(|| Arc::<MemoryFeed>::default());
        let in_memory = || Arc::new(MemoryNotifications::new(Arc::clone(keyring))) as _;
        let notifications = shared.notifications.clone().unwrap_or_else(in_memory);
        Self { users, posts, sessions, feed, notifications, sagas }
    }

    /// What finds out what is left of somebody.
    pub(crate) fn footprint(&self) -> Footprint {
        let (users, posts, sagas) = (Arc::clone(&self.users), Arc::clone(&self.posts), Arc::clone(&self.sagas));
        Footprint { users, posts, sagas }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the arrival of a write until it must be decided.
    pub(crate) write_deadline: Duration,
    /// How long a read waits for what its client has written.
    pub(crate) read_wait: Duration,
    /// How long a request may take in all.
    pub(crate) request: Duration,
}

impl Backend {
    pub(crate) fn secrets(&self) -> &Secrets {
        self.keyring.secrets()
    }

    /// The key under which a user's text is sealed.
    pub(crate) async fn key_of(&self, user: UserId) -> Result<Arc<CipherKey>, ApiError> {
        match self.keyring.find(user.into()).await {
            Ok(Some(key)) => Ok(key),
            Ok(None) | Err(KeyringError::Destroyed(_)) => Err(ApiError::bad_token()),
            Err(KeyringError::Unavailable(_)) => Err(ApiError::unavailable("The keyring does not answer")),
            Err(error) => Err(ApiError::internal(error)),
        }
    }
}
