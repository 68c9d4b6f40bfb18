//! The read side: read models built from the log and from nothing else, and the runner that feeds them.
//!
//! Invariants: only a runner writes read models; a read model reads the log and its own data, never another read model;
//! data and checkpoint change together or not at all, so a worker that was paused can write nothing stale. A read model
//! relies on order within a key only: partitions are applied in any interleaving. Everything here can be thrown away and
//! built again.

mod backoff;
mod board;
mod checkpoint;
mod concerning;
mod dated;
pub mod feed;
#[cfg(test)]
mod given;
mod gone;
mod hidden;
mod listing;
// One such log for these tests and the property tests.
#[cfg(test)]
#[path = "../../tests/properties/log.rs"]
mod log;
#[cfg(feature = "servers")]
pub mod mongodb;
pub mod notifications;
#[cfg(feature = "servers")]
mod open_error;
mod opener;
#[cfg(feature = "servers")]
mod parked;
#[cfg(feature = "servers")]
pub mod postgres;
pub mod posts;
mod projections;
mod read_model;
#[cfg(feature = "servers")]
pub mod redis;
mod runner;
#[cfg(feature = "servers")]
pub mod saga_keys;
pub mod sagas;
pub mod sessions;
mod store;
mod text;
pub mod users;

pub use board::{Health, Progress, RunnerState};
pub use checkpoint::{Checkpoint, Parked};
pub use feed::{Feed, MemoryFeed};
#[cfg(feature = "servers")]
pub use feed::{FeedLimits, RedisFeed};
pub use hidden::Hidden;
pub use listing::{Listing, Page, Place};
#[cfg(feature = "servers")]
pub use notifications::MongoNotifications;
pub use notifications::{MemoryNotifications, Notifications};
#[cfg(feature = "servers")]
pub use open_error::OpenError;
pub use opener::Opener;
#[cfg(feature = "servers")]
pub use posts::PostgresPosts;
pub use posts::{MemoryPosts, Posts};
pub use projections::{Behind, Lag, ModelLag, ParkedKey, Projections, ProjectionsOptions, spawn};
pub use read_model::{Advance, ApplyError, Batch, Entry, ReadModel, Unavailable};
pub use runner::{Clock, RequestError, Runner, SharedRunner, Stop, limits};
#[cfg(feature = "servers")]
pub use saga_keys::RedisSagaKeys;
#[cfg(feature = "servers")]
pub use sagas::PostgresSagas;
pub use sagas::{MemorySagas, Sagas};
#[cfg(feature = "servers")]
pub use sessions::RedisSessions;
pub use sessions::{MemorySessions, Sessions};
pub use text::Text;
#[cfg(feature = "servers")]
pub use users::PostgresUsers;
pub use users::{MemoryUsers, Users};
