//! The aggregates: one file each, rules in `handle`, none in `apply`.
//!
//! In cqrs-es events are applied while they are written, so every handler checks first and writes last: one that wrote
//! and then refused would leave a state that never happened.

mod block;
mod claim;
mod comment;
mod feed_slots;
mod follow;
mod like;
mod mute;
mod post;
mod sessions;
mod user;

pub use block::{BLOCKS_MAX, Block, BlockCommand};
pub use claim::{Claim, ClaimCommand};
pub use comment::{Comment, CommentCommand};
pub use feed_slots::{FeedSlotCommand, FeedSlots, POSTS_IN_CREATION_MAX};
pub use follow::{Follow, FollowCommand};
pub use like::{Like, LikeCommand};
pub use mute::{MUTES_MAX, Mute, MuteCommand, Muter};
pub use post::{Post, PostCommand};
pub use sessions::{AccountAt, REFRESH_GRACE, SESSION_IDLE_MAX, SESSIONS_MAX, SessionCommand, Sessions};
pub use user::{Account, User, UserCommand};

use cqrs_es::DomainEvent;
use events::Event;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// An event as cqrs-es wants it. The vocabulary does not know cqrs-es, so the trait is implemented on this wrapper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fact<E>(pub E);

impl<E> DomainEvent for Fact<E>
where
    E: Serialize + for<'de> Deserialize<'de> + Clone + PartialEq + Debug + Send + Sync + Into<Event>,
{
    fn event_type(&self) -> String {
        self.0.clone().into().wire_name().0.to_owned()
    }

    fn event_version(&self) -> String {
        self.0.clone().into().wire_name().1.to_string()
    }
}
