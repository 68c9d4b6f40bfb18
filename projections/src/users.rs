//! Who has an account, who they are, how they sign in, and who follows, blocks and mutes whom.
//!
//! An account that is not here (not yet seen, disabled, or unreadable since its key was destroyed) is in no list and no
//! count, so at every moment a list has exactly as many entries as its count says. A follow may be seen before the account that it
//! is of: it counts from the moment at which the account appears.

mod change;
mod memory;
#[cfg(feature = "servers")]
mod postgres;

use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::read_model::{ReadModel, Unavailable};
use crate::text::Text;
use async_trait::async_trait;
use events::{Claimed, Digest, PasswordHash, Role, Timestamp, UserId};
pub use memory::MemoryUsers;
#[cfg(feature = "servers")]
pub use postgres::PostgresUsers;

/// The name of the read model of users, wherever it lives.
pub const NAME: &str = "users";

/// The read model of users.
///
/// What it is told and what it shows of that is above. An answer shows whole batches: all of a commit or nothing of it.
#[async_trait]
pub trait Users: ReadModel {
    /// Those of `users` that there are and that can be read, in the order asked for.
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, Unavailable>;

    /// An account; `None` if there is none, or none that can be read.
    async fn profile(&self, user: UserId) -> Result<Option<Profile>, Unavailable> {
        Ok(self.profiles(&[user]).await?.pop())
    }

    /// Those of `users` that there are, in the order asked for.
    async fn authors(&self, users: &[UserId]) -> Result<Vec<Author>, Unavailable>;

    /// Whether anything is held that this person typed, so that they have an account here.
    async fn holds(&self, user: UserId) -> Result<bool, Unavailable> {
        Ok(!self.authors(&[user]).await?.is_empty())
    }

    /// Whether each of `users` has an account here or is known to have none any more, so that there is nobody to wait for.
    async fn are_known(&self, users: &[UserId]) -> Result<bool, Unavailable>;

    /// Whether the account was disabled, which is for good.
    async fn is_disabled(&self, user: UserId) -> Result<bool, Unavailable>;

    /// Who signs in with this address now. Of two accounts with one address it is the one with the newer claim.
    async fn credentials(&self, email_claim: Digest) -> Result<Option<Credentials>, Unavailable>;

    /// How an account signs in, whatever it is called; `None` if there is none.
    async fn credentials_of(&self, user: UserId) -> Result<Option<Credentials>, Unavailable>;

    /// Who has this name now, by the digest of its folded form. Of two accounts it is the one with the newer claim.
    async fn by_username(&self, username_claim: Digest) -> Result<Option<UserId>, Unavailable> {
        Ok(self.by_usernames(&[username_claim]).await?.pop().flatten())
    }

    /// The same of each of these digests, in their order.
    async fn by_usernames(&self, username_claims: &[Digest]) -> Result<Vec<Option<UserId>>, Unavailable>;

    /// What a person may do; [`Role::User`] where there is no account.
    async fn role(&self, user: UserId) -> Result<Role, Unavailable>;

    /// What an account claims, also of a disabled one until its key is destroyed; `None` if there was none.
    async fn claims(&self, user: UserId) -> Result<Option<Claims>, Unavailable>;

    /// How `viewer` and each of `others` stand to each other, in their order. Of two of whom one blocks the other neither
    /// follows: a follow that is still there is about to be severed.
    async fn relations(&self, viewer: UserId, others: &[UserId]) -> Result<Vec<Relation>, Unavailable>;

    /// How `viewer` and `other` stand to each other.
    async fn relation(&self, viewer: UserId, other: UserId) -> Result<Relation, Unavailable> {
        Ok(self.relations(viewer, &[other]).await?.pop().unwrap_or_default())
    }

    /// Whom `viewer` does not see, now.
    async fn hidden_from(&self, viewer: UserId) -> Result<Hidden, Unavailable>;

    /// A list of people around `user`, newest first by (created_at, the other), but for those who are hidden. Empty if there
    /// is no such account.
    async fn list(&self, list: List, user: UserId, page: Page, hidden: &Hidden)
    -> Result<Listing<Follow>, Unavailable>;

    /// At most `limit` of all that there is between `user` and others, both ways, also of an account that is not here; in
    /// the order of the fields.
    async fn related(&self, user: UserId, limit: usize) -> Result<Related, Unavailable>;
}

/// Which people around somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum List {
    /// Who follows them.
    Followers,
    /// Whom they follow.
    Following,
    /// Whom they block.
    Blocks,
    /// Whom they mute.
    Mutes,
}

/// What its owner sees of an account; others see it without `email`.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// Whose.
    pub id: UserId,
    /// The address.
    pub email: Text,
    /// The name as written by its owner.
    pub username: Text,
    /// What it says about its owner.
    pub bio: Option<Text>,
    /// Always `None`: there are no uploads yet.
    pub avatar_url: Option<Text>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// How many entries [`List::Followers`] has.
    pub follower_count: usize,
    /// How many entries [`List::Following`] has.
    pub following_count: usize,
}

/// What stands beside something that a person wrote or did.
#[derive(Clone, PartialEq, Debug)]
pub struct Author {
    /// Who.
    pub id: UserId,
    /// The name as written by its owner.
    pub username: Text,
    /// Always `None`: there are no uploads yet.
    pub avatar_url: Option<Text>,
}

/// What a login is checked against.
#[derive(Clone, PartialEq, Debug)]
pub struct Credentials {
    /// Whose.
    pub user: UserId,
    /// The hash of the password.
    pub password: PasswordHash,
    /// Counts the passwords of the account, from 1. The owner refuses a login that was checked against an older one.
    pub version: u64,
}

/// How two people stand to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Relation {
    /// Whether the viewer follows the other.
    pub following: bool,
    /// Whether the other follows the viewer.
    pub followed_by: bool,
    /// Whether the viewer blocks the other.
    pub blocking: bool,
    /// Whether the other blocks the viewer.
    pub blocked_by: bool,
    /// Whether the viewer mutes the other.
    pub muting: bool,
}

/// An entry of a list of those who follow somebody, or are followed, blocked or muted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Follow {
    /// Whom the list names.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
}

/// Under what an account is found now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claims {
    /// Its address.
    pub email: Claimed,
    /// Its name.
    pub username: Claimed,
}

/// Whom a deletion must part somebody from, whether or not they have an account here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Related {
    /// Who follows them.
    pub followers: Vec<UserId>,
    /// Whom they follow.
    pub following: Vec<UserId>,
    /// Who blocks them.
    pub blocked_by: Vec<UserId>,
    /// Whom they block.
    pub blocking: Vec<UserId>,
    /// Who mutes them.
    pub muted_by: Vec<UserId>,
    /// Whom they mute.
    pub muting: Vec<UserId>,
}

impl Related {
    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        let Self { followers, following, blocked_by, blocking, muted_by, muting } = self;
        [followers, following, blocked_by, blocking, muted_by, muting].iter().all(|people| people.is_empty())
    }
}
