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
mod opener;
#[cfg(feature = "servers")]
pub mod postgres;
pub mod posts;
mod projections;
mod read_model;
mod runner;
pub mod sagas;
pub mod sessions;
mod store;
mod text;
pub mod users;

pub use board::{Health, Progress, RunnerState};
pub use checkpoint::{Checkpoint, Parked};
pub use feed::Feed;
pub use hidden::Hidden;
pub use listing::{Listing, Page, Place};
pub use opener::Opener;
#[cfg(feature = "servers")]
pub use posts::PostgresPosts;
pub use posts::{MemoryPosts, Posts};
pub use projections::{Behind, Lag, ModelLag, ParkedKey, Projections, ProjectionsOptions, spawn};
pub use read_model::{Advance, ApplyError, Batch, Entry, ReadModel, Unavailable};
pub use runner::{Clock, RequestError, Runner, SharedRunner, Stop, limits};
pub use sagas::Sagas;
pub use sessions::Sessions;
pub use text::Text;
pub use users::Users;
