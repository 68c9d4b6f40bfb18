//! What those whom a person follows have posted, and what they posted themselves: also their own posts in creation.
//!
//! Whoever is gone is in nobody's feed and has none: what comes of them later is dropped.
//!
//! A draft stands in the slot that its author's feed keeps for it, the post on its own key: the two come in any order, and
//! where both are here the post counts.

mod change;
mod memory;
pub mod ranking;
#[cfg(feature = "servers")]
mod redis;

#[cfg(feature = "servers")]
pub use self::redis::{FeedLimits, RedisFeed};
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::read_model::{ReadModel, Unavailable};
use async_trait::async_trait;
use events::{PostId, UserId};
use journal::{Offset, Partition};
pub use memory::MemoryFeed;

/// The name of the read model of feeds, wherever it lives.
pub const NAME: &str = "feed";

/// The read model of feeds.
///
/// What it is told and what it shows of that is above. What is read at one moment shows whole batches: all of a commit or
/// nothing of it; a page may be put together of several moments, one after the other.
#[async_trait]
pub trait Feed: ReadModel {
    /// The published posts of `user` and of whom they follow, and the drafts of `user`, newest first by (created_at, id);
    /// a draft's time is that of its slot. Each post is there once, and none of whoever is hidden from the feed.
    async fn latest(&self, user: UserId, page: Page, hidden: &Hidden) -> Result<Listing<PostId>, Unavailable>;

    /// How many posts in creation hold a slot of `user`'s feed.
    async fn in_creation(&self, user: UserId) -> Result<usize, Unavailable>;

    /// What stands before this place of the log must be in every answer from now on; where it is not, the answer is
    /// [`Unavailable`]. Where nothing is ever lost there is nothing to do.
    fn expect(&self, _partition: Partition, _next: Offset) {}
}
