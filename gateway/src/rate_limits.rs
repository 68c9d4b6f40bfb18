//! How much anybody may ask for in a minute: by address without a good token, by user with one, and less of what is dear
//! or could be guessed.
//!
//! At the door a request takes from what holds for everything and from the class of its route, or from neither. A handler
//! that learns more (whose account, which session) takes once more, through its [`Admission`]; if that is refused, what
//! the door took is given back. Nodes count together where they share a Redis, else each for itself; while Redis is away each
//! counts for itself those whom it lets in without it, who bring no token.
//!
//! An access token that was verified before costs its address nothing. One that was not is checked only while its address
//! has something left, and counts against it if it is not good: so neither can signatures be tried without end, nor can a
//! neighbour behind the same address lock out who is signed in.

mod class;
mod demand;
mod headers;
#[cfg_attr(not(feature = "servers"), path = "rate_limits/no_servers.rs")]
mod shared;
mod windows;

pub(crate) use class::Class;
pub use class::Quotas;
pub(crate) use demand::Demand;
pub(crate) use shared::SharedWindows;
pub(crate) use windows::WINDOW_S;

use crate::backend::App;
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use events::{SessionId, UserId};
use headers::Policies;
use http::HeaderMap;
use http::request::Parts;
use parking_lot::Mutex;
use projections::sessions::SessionState;
use projections::{Sessions, Unavailable};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tracing::debug;
use windows::{Charge, Standing, Taken, Windows};

/// What the door and a handler take from at most.
const CLASSES_MAX: usize = windows::CHARGES_MAX + 1;

/// How long nobody asks Redis for windows after it did not answer: a stranger must not wait for it with every request.
const NOT_ASKED: Duration = Duration::from_secs(1);

/// The limits that hold on this node.
pub(crate) struct RateLimits {
    quotas: Quotas,
    shared: Option<Arc<SharedWindows>>,
    /// Until when these are not asked, in milliseconds since `begun`.
    not_asked_before_ms: AtomicU64,
    /// Where none are shared, or while these are away.
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
    taken: Option<Took>,
    /// Every limit that was looked at.
    classes: [Option<Class>; CLASSES_MAX],
    tightest: Standing,
    /// When that was, by the clock that the windows go by.
    now_ms: u64,
}

/// What was taken, and where.
#[derive(Clone, Copy, Debug)]
struct Took {
    taken: Taken,
    is_shared: bool,
}

/// What a window has said, and when, in milliseconds since 1970.
struct Decided<T> {
    outcome: Result<T, Standing>,
    now_ms: u64,
}

impl RateLimits {
    pub(crate) fn new(quotas: Quotas, shared: Option<Arc<SharedWindows>>) -> Self {
        let epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            quotas,
            shared,
            not_asked_before_ms: AtomicU64::new(0),
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
    pub(crate) async fn look(&self, subject: Subject, demand: Demand) -> Result<(), Refused> {
        let charge = self.charge(Class::Anonymous, demand.cost);
        let Decided { outcome, now_ms } = match self.reachable() {
            Some(shared) => match shared.look(subject.0, charge, None).await {
                Ok((outcome, now_ms)) => Decided { outcome, now_ms },
                Err(error) => {
                    self.is_away(&error);
                    self.look_here(subject, charge)
                }
            },
            None => self.look_here(subject, charge),
        };
        outcome.map(drop).map_err(|standing| Refused::new(standing, [Some(Class::Anonymous), None, None], now_ms))
    }

    fn look_here(&self, subject: Subject, charge: Charge) -> Decided<Standing> {
        let now_ms = self.now_ms();
        Decided { outcome: self.windows.look(subject.0, charge, now_ms), now_ms }
    }

    /// Takes what a request takes at the door, or nothing.
    pub(crate) async fn enter(&self, subject: Subject, base: Class, demand: Demand) -> Result<Account, Refused> {
        let decided = self.take(subject, self.charges(base, demand).as_slice()).await;
        admitted(decided, base, demand)
    }

    /// The same for somebody whose session is open; if it is not, what is known of it. Where sessions and windows are shared
    /// it is one step, and without its answer there is none.
    pub(crate) async fn enter_with(
        &self,
        sessions: &dyn Sessions,
        (session, user): (SessionId, UserId),
        demand: Option<Demand>,
    ) -> Result<(SessionState, Option<Result<Account, Refused>>), Unavailable> {
        if let (Some(shared), Some(demand)) = (&self.shared, demand) {
            let charges = self.charges(Class::User, demand);
            let ((state, outcome), now_ms) =
                shared.enter((session, user), charges.as_slice()).await.inspect_err(|error| self.is_away(error))?;
            let took = |taken| Took { taken, is_shared: true };
            let decided = outcome.map(|outcome| Decided { outcome: outcome.map(took), now_ms });
            return Ok((state, decided.map(|decided| admitted(decided, Class::User, demand))));
        }
        let state = sessions.state(session, user).await?;
        let entered = match demand {
            Some(demand) if state == (SessionState::Open { user }) => {
                Some(self.enter(user.into(), Class::User, demand).await)
            }
            _ => None,
        };
        Ok((state, entered))
    }

    async fn take(&self, subject: Subject, charges: &[Charge]) -> Decided<Took> {
        if let Some(shared) = self.reachable() {
            match shared.take(subject.0, charges, None).await {
                Ok((outcome, now_ms)) => {
                    return Decided { outcome: outcome.map(|taken| Took { taken, is_shared: true }), now_ms };
                }
                Err(error) => self.is_away(&error),
            }
        }
        let now_ms = self.now_ms();
        let outcome = self.windows.take(subject.0, charges, now_ms);
        Decided { outcome: outcome.map(|taken| Took { taken, is_shared: false }), now_ms }
    }

    /// What Redis does not take back now it forgets within a minute.
    async fn give_back(&self, Took { taken, is_shared }: &Took) {
        match self.reachable() {
            Some(shared) if *is_shared => {
                if let Err(error) = shared.give_back(taken).await {
                    self.is_away(&error);
                }
            }
            _ => self.windows.give_back(taken),
        }
    }

    /// The shared windows, unless they have just not answered.
    fn reachable(&self) -> Option<&SharedWindows> {
        let not_before = self.not_asked_before_ms.load(Ordering::Relaxed);
        self.shared.as_deref().filter(|_| self.running_ms() >= not_before)
    }

    fn is_away(&self, error: &Unavailable) {
        debug!("this node counts alone for a while: {error}");
        let not_before = self.running_ms() + u64::try_from(NOT_ASKED.as_millis()).unwrap_or_default();
        self.not_asked_before_ms.fetch_max(not_before, Ordering::Relaxed);
        metrics::counter!("tidings_rate_limits_unshared_total").increment(1);
    }

    /// Writes both families of headers.
    pub(crate) fn write(&self, account: &Account, headers: &mut HeaderMap) {
        self.policies.write(account, headers);
    }

    /// What a request takes at the door.
    fn charges(&self, base: Class, demand: Demand) -> Charges {
        let base = self.charge(base, demand.cost);
        match demand.class {
            None => Charges::One([base]),
            Some(class) => Charges::Two([base, self.charge(class, 1)]),
        }
    }

    fn charge(&self, class: Class, cost: u32) -> Charge {
        Charge { class, limit: self.quotas.of(class), cost }
    }

    fn now_ms(&self) -> u64 {
        self.epoch_ms + self.running_ms()
    }

    fn running_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or_default()
    }
}

/// What is taken at one time.
enum Charges {
    One([Charge; 1]),
    Two([Charge; 2]),
}

impl Charges {
    fn as_slice(&self) -> &[Charge] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => two,
        }
    }
}

fn admitted(Decided { outcome, now_ms }: Decided<Took>, base: Class, demand: Demand) -> Result<Account, Refused> {
    let classes = [Some(base), demand.class, None];
    let took = outcome.map_err(|standing| Refused::new(standing, classes, now_ms))?;
    let tightest = took.taken.standings().reduce(Standing::tighter).expect("something was taken");
    Ok(Account { taken: Some(took), classes, tightest, now_ms })
}

/// What was too much: the error, and what its headers say.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: ApiError,
    pub(crate) account: Box<Account>,
}

impl Refused {
    fn new(standing: Standing, classes: [Option<Class>; CLASSES_MAX], now_ms: u64) -> Self {
        let (class, seconds) = (standing.charge.class.name(), standing.seconds_left(now_ms));
        metrics::counter!("tidings_rate_limited_total", "class" => class).increment(1);
        let limit = standing.charge.limit;
        let message = format!("More than {limit} in {WINDOW_S} seconds ({class}); ask again in {seconds} s");
        let account = Box::new(Account { taken: None, classes, tightest: standing, now_ms });
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
    pub(crate) async fn take(&self, class: Class, subject: impl Into<Subject>) -> Result<(), ApiError> {
        let Some(Admitted { limits, account }) = &self.0 else { return Ok(()) };
        let Decided { outcome, now_ms } = limits.take(subject.into(), &[limits.charge(class, 1)]).await;
        let given_back = {
            let mut account = account.lock();
            account.classes[CLASSES_MAX - 1] = Some(class);
            match &outcome {
                Ok(took) => {
                    account.tightest = took.taken.standings().fold(account.tightest, Standing::tighter);
                    account.now_ms = now_ms;
                    return Ok(());
                }
                Err(_) => account.taken.take(),
            }
        };
        if let Some(took) = given_back {
            limits.give_back(&took).await;
        }
        let Err(standing) = outcome else { return Ok(()) };
        let mut account = account.lock();
        let refused = Refused::new(standing, account.classes, now_ms);
        *account = *refused.account;
        Err(refused.error)
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
mod contract;
#[cfg(test)]
mod tests;
