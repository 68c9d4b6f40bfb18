//! Every saga that is not over, and the last of those that are: where it stands, what it waits for, what happened to it.
//!
//! All events of a saga are on its key, so they come in order. Of those that have ended only the newest of each process
//! and partition are kept, so that memory does not grow with their number; the log has them all. Of somebody whose key is
//! destroyed none is kept that has ended, but their deletion itself.

mod change;
mod history;
mod memory;
mod names;
#[cfg(feature = "servers")]
mod postgres;
mod saga;
mod summary;
pub mod tables;

pub use history::{HISTORY_MAX, Happened, History};
pub use memory::MemorySagas;
#[cfg(feature = "servers")]
pub use postgres::PostgresSagas;
pub use saga::{SagaStatus, SagaView, StepPhase, StepView};
pub use summary::{SagaSummary, Waiting};

use crate::listing::{Listing, Page};
use crate::read_model::{ReadModel, Unavailable};
use async_trait::async_trait;
use events::{Key, SagaData, SagaId, Step, Timestamp, UserId};
use std::sync::Arc;

/// The name of the read model of sagas, wherever it lives.
pub const NAME: &str = "sagas";

/// How many ended sagas of each process are kept for each partition: those that ended last.
///
/// With 64 partitions and four processes that is at most 65,536 of them. With the history of a usual course, which has six
/// to twelve events, one takes 1.5 to 3 KiB: some 150 MB once all of these places are taken.
pub const ENDED_MAX: usize = 256;

/// The process whose progress is asked for by whoever is gone.
const USER_DELETION: &str = "USER_DELETION";

/// The read model of sagas.
///
/// What it is told and what it shows of that is above. An answer shows whole batches: all of a commit or nothing of it.
#[async_trait]
pub trait Sagas: ReadModel {
    /// A saga, as it went last if it began several times; `None` if there is none, if it ended long ago (see
    /// [`ENDED_MAX`]), or if it was of somebody who is gone.
    async fn saga(&self, saga: SagaId) -> Result<Option<SagaView>, Unavailable>;

    /// The sagas that the filter names, oldest first by (started_at, id).
    async fn list(&self, filter: &SagaFilter, page: Page) -> Result<Listing<SagaSummary>, Unavailable>;

    /// Open sagas that have not got on since then, and those that a person must look at, the oldest first: so many at
    /// most, and how many there are.
    async fn stuck(&self, since: Timestamp, limit: usize) -> Result<(Vec<SagaSummary>, usize), Unavailable>;

    /// How many open sagas there are, by process and status, in this order.
    async fn tallies(&self) -> Result<Vec<Tally>, Unavailable>;

    /// The open sagas on the user's own key, and those that began on the user's behalf, in the order of their ids.
    async fn concerning(&self, user: UserId) -> Result<Vec<SagaId>, Unavailable>;
}

/// The steps that a saga with such data is to take, in the order in which they usually come, as far as they are known when
/// it begins. A pure function: what it returns stays with the saga.
pub type Plan = Arc<dyn Fn(&SagaData) -> Vec<Step> + Send + Sync>;

/// Which sagas are asked for; what is `None` does not matter.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SagaFilter {
    /// Where they stand.
    pub status: Option<SagaStatus>,
    /// Of which process.
    pub process: Option<String>,
    /// Whether they are [open](SagaStatus::is_open).
    pub open: Option<bool>,
    /// They began before this.
    pub older_than: Option<Timestamp>,
}

/// How many open sagas of a process stand where.
#[derive(Clone, PartialEq, Debug)]
pub struct Tally {
    /// The process.
    pub process: Arc<str>,
    /// Where they stand.
    pub status: SagaStatus,
    /// How many.
    pub count: usize,
    /// When the oldest of them began.
    pub oldest: Option<Timestamp>,
}

impl SagaFilter {
    /// Whether it names open sagas only.
    fn is_of_open(&self) -> bool {
        self.open == Some(true) || self.status.is_some_and(SagaStatus::is_open)
    }

    fn names(&self, saga: &SagaView) -> bool {
        self.status.is_none_or(|status| status == saga.status)
            && self.process.as_deref().is_none_or(|process| process == &*saga.process)
            && self.open.is_none_or(|open| open == saga.status.is_open())
    }
}

/// Whom a saga concerns: whose key it is on, and on whose behalf it began.
fn concerned(saga: &SagaView) -> impl Iterator<Item = UserId> + use<> {
    let owner = match saga.key {
        Key::User(user) => Some(user),
        Key::Post(_) | Key::Email(_) | Key::Username(_) => None,
    };
    owner.into_iter().chain(saga.actor)
}

/// Whether an ended saga is kept however gone those are whom it concerned.
fn outlives_them(process: &str) -> bool {
    process == USER_DELETION
}
