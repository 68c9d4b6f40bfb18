//! How much anybody may ask for in a minute: by address without a good token, by user with one, and less of what is dear
//! or could be guessed.
//!
//! At the door a request takes from what holds for everything and from the class of its route, or from neither. A handler
//! that learns more (whose account, which session) takes once more, through its [`Admission`]; if that is refused, what
//! the door took is given back. Each node counts for itself.
//!
//! An access token that was verified before costs its address nothing. One that was not is checked only while its address
//! has something left, and counts against it if it is not good: so neither can signatures be tried without end, nor can a
//! neighbour behind the same address lock out who is signed in.

mod class;
mod demand;
mod headers;
mod windows;

pub(crate) use class::Class;
pub use class::Quotas;
pub(crate) use demand::Demand;
pub(crate) use windows::WINDOW_S;

use crate::backend::App;
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use events::{SessionId, UserId};
use headers::Policies;
use http::HeaderMap;
use http::request::Parts;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use windows::{Charge, Standing, Taken, Windows};

/// What the door and a handler take from at most.
const CLASSES_MAX: usize = windows::CHARGES_MAX + 1;

/// The limits of this node.
pub(crate) struct RateLimits {
    quotas: Quotas,
    windows: Windows,
    policies: Policies,
    /// Milliseconds since 1970 at `begun`: windows must not move with the system's clock.
    epoch_ms: u64,
    begun: Instant,
}

/// For whom something counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subject(u128);

impl Subject {
    /// Who holds the admin token.
    pub(crate) const OPERATOR: Self = Self(0);

    pub(crate) fn address(address: std::net::IpAddr) -> Self {
        Self(crate::address::subject(address))
    }
}

impl From<UserId> for Subject {
    fn from(user: UserId) -> Self {
        Self(user.0.as_u128())
    }
}

impl From<SessionId> for Subject {
    fn from(session: SessionId) -> Self {
        Self(session.0.as_u128())
    }
}

impl From<events::Digest> for Subject {
    fn from(claim: events::Digest) -> Self {
        let first = claim.0.first_chunk().expect("a digest is longer than an id");
        Self(u128::from_be_bytes(*first))
    }
}

/// What a request has taken or was refused: what the headers of its answer say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    taken: Option<Taken>,
    /// Every limit that was looked at.
    classes: [Option<Class>; CLASSES_MAX],
    tightest: Standing,
}

impl RateLimits {
    pub(crate) fn new(quotas: Quotas) -> Self {
        let epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            quotas,
            windows: Windows::new(),
            policies: Policies::new(quotas),
            epoch_ms: u64::try_from(epoch.as_millis()).unwrap_or_default(),
            begun: Instant::now(),
        }
    }

    /// If not, nothing of this is to be asked.
    pub(crate) fn are_on(&self) -> bool {
        self.quotas.are_on()
    }

    /// Whether an address that takes nothing would be let in.
    pub(crate) fn look(&self, subject: Subject, demand: Demand) -> Result<(), Refused> {
        let now_ms = self.now_ms();
        let charge = self.charge(Class::Anonymous, demand.cost);
        let looked = self.windows.look(subject.0, charge, now_ms);
        looked.map(drop).map_err(|standing| Refused::new(standing, [Some(Class::Anonymous), None, None], now_ms))
    }

    /// Takes what a request takes at the door, or nothing.
    pub(crate) fn enter(&self, subject: Subject, base: Class, demand: Demand) -> Result<Account, Refused> {
        let now_ms = self.now_ms();
        let classes = [Some(base), demand.class, None];
        let base = self.charge(base, demand.cost);
        let taken = match demand.class {
            None => self.windows.take(subject.0, &[base], now_ms),
            Some(class) => self.windows.take(subject.0, &[base, self.charge(class, 1)], now_ms),
        };
        let taken = taken.map_err(|standing| Refused::new(standing, classes, now_ms))?;
        let tightest = taken.standings().reduce(Standing::tighter).expect("something was taken");
        Ok(Account { taken: Some(taken), classes, tightest })
    }

    /// Writes both families of headers.
    pub(crate) fn write(&self, account: &Account, headers: &mut HeaderMap) {
        self.policies.write(account, self.now_ms(), headers);
    }

    fn charge(&self, class: Class, cost: u32) -> Charge {
        Charge { class, limit: self.quotas.of(class), cost }
    }

    fn now_ms(&self) -> u64 {
        self.epoch_ms + u64::try_from(self.begun.elapsed().as_millis()).unwrap_or_default()
    }
}

/// What was too much: the error, and what its headers say.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: ApiError,
    pub(crate) account: Account,
}

impl Refused {
    fn new(standing: Standing, classes: [Option<Class>; CLASSES_MAX], now_ms: u64) -> Self {
        let (class, seconds) = (standing.charge.class.name(), standing.seconds_left(now_ms));
        metrics::counter!("tidings_rate_limited_total", "class" => class).increment(1);
        let limit = standing.charge.limit;
        let message = format!("More than {limit} in {WINDOW_S} seconds ({class}); ask again in {seconds} s");
        let account = Account { taken: None, classes, tightest: standing };
        Self { error: ApiError::too_many_requests(message, seconds), account }
    }
}

/// The way for a handler to take more than the door did, when it knows for whom.
#[derive(Clone)]
pub(crate) struct Admission(Option<Admitted>);

#[derive(Clone)]
struct Admitted {
    limits: Arc<RateLimits>,
    account: Arc<Mutex<Account>>,
}

impl Admission {
    pub(crate) fn new(limits: &Arc<RateLimits>, account: Account) -> Self {
        Self(Some(Admitted { limits: Arc::clone(limits), account: Arc::new(Mutex::new(account)) }))
    }

    /// Takes one from a class, before what it protects is done. If it is refused, what the door took is given back: a
    /// request that is refused takes from nothing. To be asked once a request at most.
    pub(crate) fn take(&self, class: Class, subject: impl Into<Subject>) -> Result<(), ApiError> {
        let Some(Admitted { limits, account }) = &self.0 else { return Ok(()) };
        let (now_ms, mut account) = (limits.now_ms(), account.lock());
        account.classes[CLASSES_MAX - 1] = Some(class);
        match limits.windows.take(subject.into().0, &[limits.charge(class, 1)], now_ms) {
            Ok(taken) => {
                account.tightest = taken.standings().fold(account.tightest, Standing::tighter);
                Ok(())
            }
            Err(standing) => {
                if let Some(taken) = account.taken.take() {
                    limits.windows.give_back(&taken);
                }
                let refused = Refused::new(standing, account.classes, now_ms);
                *account = refused.account;
                Err(refused.error)
            }
        }
    }

    /// As it stands after the handler.
    pub(crate) fn account(&self) -> Option<Account> {
        self.0.as_ref().map(|admitted| *admitted.account.lock())
    }
}

/// Of a server without limits everything is admitted.
impl FromRequestParts<App> for Admission {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self(None)))
    }
}

#[cfg(test)]
mod tests;
