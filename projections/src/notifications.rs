//! Notifications: what others did that somebody is to hear of.
//!
//! A notification's id follows from what was done, by whom and to what, so the same deed twice is one notification. What is
//! undone soon takes its notification away ([`TAKEN_BACK_MAX`]), later it stays. Nobody hears of themselves, nor of those
//! who are gone, nor do these hear of anything, whether it came before they went or after; and with a deleted post goes
//! what was to be heard of it.
//!
//! Nothing says yet that a notification was read: all of them are unread.

mod change;
mod memory;
#[cfg(feature = "servers")]
mod mongodb;

#[cfg(feature = "servers")]
pub use self::mongodb::MongoNotifications;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page, Place};
use crate::read_model::{ReadModel, Unavailable};
use async_trait::async_trait;
use events::{Keyring, PostId, Timestamp, UserId};
pub use memory::MemoryNotifications;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The name of the read model of notifications, wherever it lives.
pub const NAME: &str = "notifications";

/// What is undone within this time of its notification takes that away.
pub const TAKEN_BACK_MAX: Duration = Duration::from_secs(10 * 60);

/// Unread notifications are counted up to here.
pub const UNREAD_MAX: usize = 10_000;

/// The read model of notifications.
///
/// What it is told and what it shows of that is above. An answer shows whole batches: all of a commit or nothing of it.
#[async_trait]
pub trait Notifications: ReadModel {
    /// What somebody is to hear of, newest first by [`Notification::place`], but for what those did who are hidden from them
    /// or muted; and how much of all that is unread, as [`Self::unread`] counts it at the same moment.
    async fn list(
        &self,
        user: UserId,
        page: Page,
        hidden: &Hidden,
    ) -> Result<(Listing<Notification>, usize), Unavailable>;

    /// How many unread ones [`Self::list`] has, counted up to [`UNREAD_MAX`].
    async fn unread(&self, user: UserId, hidden: &Hidden) -> Result<usize, Unavailable>;
}

/// What somebody is to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Which.
    pub id: NotificationId,
    /// Who did something.
    pub actor: UserId,
    /// What they did.
    pub deed: Deed,
    /// Whether it was read.
    pub is_read: bool,
    /// When it was done.
    pub created_at: Timestamp,
}

impl Notification {
    /// Where it stands in a list.
    pub fn place(&self) -> Place {
        (self.created_at, self.id.padded())
    }
}

/// What somebody did that concerns somebody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Deed {
    /// They follow this person, who is to hear of it.
    Follow {
        /// Whom.
        followee: UserId,
    },
    /// They like this post, whose author is to hear of it.
    Like {
        /// Which.
        post: PostId,
    },
}

impl Deed {
    /// All names of deeds.
    pub const KINDS: [&'static str; 2] = ["follow", "like"];

    /// Its name, also on the wire.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Follow { .. } => "follow",
            Self::Like { .. } => "like",
        }
    }

    /// The post that it was done to, if it was one.
    pub fn post(self) -> Option<PostId> {
        match self {
            Self::Follow { .. } => None,
            Self::Like { post } => Some(post),
        }
    }

    /// What it was done to.
    fn target(self) -> Uuid {
        match self {
            Self::Follow { followee } => followee.0,
            Self::Like { post } => post.0,
        }
    }
}

/// Names a notification; as text 24 hex digits. It says nothing of what it is about to who has not the keyring's secrets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub [u8; NotificationId::BYTES]);

impl NotificationId {
    /// How long it is.
    pub const BYTES: usize = 12;

    /// In a place of a list, where ids have 16 bytes; in the same order.
    fn padded(self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..Self::BYTES].copy_from_slice(&self.0);
        Uuid::from_bytes(bytes)
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotificationId({self})")
    }
}

/// Makes the ids.
#[derive(Clone)]
struct Ids(Arc<dyn Keyring>);

impl Ids {
    fn of(&self, actor: UserId, deed: Deed) -> NotificationId {
        let target = deed.target();
        let parts = [b"notification", deed.kind().as_bytes(), actor.0.as_bytes(), target.as_bytes()];
        let mac = self.0.secrets().token(&parts);
        NotificationId(mac[..NotificationId::BYTES].try_into().expect("a MAC has 32 bytes"))
    }
}
