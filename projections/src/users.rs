//! Who has an account, who they are, how they sign in, and who follows, blocks and mutes whom.
//!
//! An account that is not here (not yet seen, disabled, or unreadable since its key was destroyed) is in no list and no
//! count, so at every moment a list has exactly as many entries as its count says. A follow may be seen before the account that it
//! is of: it counts from the moment at which the account appears.

mod barriers;
mod directory;
mod holders;
#[cfg(test)]
mod tests;

use crate::checkpoint::Checkpoint;
use crate::dated::Dated;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use crate::text::Text;
use async_trait::async_trait;
use barriers::Barriers;
use directory::{Account, Change, Directory, Node};
use events::{Claimed, Digest, PasswordHash, Role, Timestamp, UserId};
use journal::Partition;

/// The read model of users.
#[derive(Default)]
pub struct Users {
    store: Store<Directory>,
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
    /// How many entries [`Users::followers`] has.
    pub follower_count: usize,
    /// How many entries [`Users::following`] has.
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

impl Users {
    /// Its name.
    pub const NAME: &'static str = "users";

    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }

    /// An account; `None` if there is none, or none that can be read.
    pub fn profile(&self, user: UserId) -> Option<Profile> {
        let directory = self.store.read();
        let (node, account) = directory.account(user)?;
        Some(Profile {
            id: user,
            email: account.email.clone(),
            username: account.username.clone(),
            bio: account.bio.clone(),
            avatar_url: None,
            created_at: account.created_at,
            follower_count: node.followers.visible(),
            following_count: node.following.visible(),
        })
    }

    /// Those of `users` that there are, in the order asked for.
    pub fn authors(&self, users: &[UserId]) -> Vec<Author> {
        let directory = self.store.read();
        let author = |user: &UserId| {
            let (_, account) = directory.account(*user)?;
            Some(Author { id: *user, username: account.username.clone(), avatar_url: None })
        };
        users.iter().filter_map(author).collect()
    }

    /// Whether each of `users` has an account here or is known to have none any more, so that there is nobody to wait for.
    pub fn are_known(&self, users: &[UserId]) -> bool {
        let directory = self.store.read();
        users.iter().all(|user| directory.account(*user).is_some() || directory.is_disabled(*user))
    }

    /// Who signs in with this address now. Of two accounts with one address it is the one with the newer claim.
    pub fn credentials(&self, email_claim: Digest) -> Option<Credentials> {
        let user = self.store.read().emails.holder(email_claim)?;
        self.credentials_of(user)
    }

    /// How an account signs in, whatever it is called; `None` if there is none.
    pub fn credentials_of(&self, user: UserId) -> Option<Credentials> {
        let directory = self.store.read();
        let (_, Account { password, password_version, .. }) = directory.account(user)?;
        Some(Credentials { user, password: password.clone(), version: *password_version })
    }

    /// Who has this name now, by the digest of its folded form. Of two accounts it is the one with the newer claim.
    pub fn by_username(&self, username_claim: Digest) -> Option<UserId> {
        self.store.read().usernames.holder(username_claim)
    }

    /// What a person may do; [`Role::User`] where there is no account.
    pub fn role(&self, user: UserId) -> Role {
        self.store.read().account(user).map_or(Role::User, |(_, account)| account.role)
    }

    /// How `viewer` and `other` stand to each other. Of two of whom one blocks the other neither follows: a follow that is
    /// still there is about to be severed.
    pub fn relation(&self, viewer: UserId, other: UserId) -> Relation {
        let directory = self.store.read();
        let (blocks, mutes) = (&directory.barriers.blocks, &directory.barriers.mutes);
        let (blocking, blocked_by) = (blocks.holds(viewer, other), blocks.holds(other, viewer));
        let follows = |one, two| !blocking && !blocked_by && directory.follows(one, two);
        Relation {
            following: follows(viewer, other),
            followed_by: follows(other, viewer),
            blocking,
            blocked_by,
            muting: mutes.holds(viewer, other),
        }
    }

    /// Whom `viewer` does not see, now.
    pub fn hidden_from(&self, viewer: UserId) -> Hidden {
        self.store.read().barriers.hidden_from(viewer)
    }

    /// Who follows `user`, newest first by (created_at, follower), but for those who are hidden. Empty if there is no such
    /// account.
    pub fn followers(&self, user: UserId, page: Page, hidden: &Hidden) -> Listing<Follow> {
        self.list(user, page, hidden, |_, node| Some(&node.followers.users))
    }

    /// Whom `user` follows, newest first by (created_at, followed user), but for those who are hidden. Empty if there is no
    /// such account.
    pub fn following(&self, user: UserId, page: Page, hidden: &Hidden) -> Listing<Follow> {
        self.list(user, page, hidden, |_, node| Some(&node.following.users))
    }

    /// Whom `user` blocks, newest first by (created_at, blocked user). Empty if there is no such account.
    pub fn blocks(&self, user: UserId, page: Page) -> Listing<Follow> {
        self.list(user, page, &Hidden::NOBODY, |directory, _| directory.barriers.blocks.made(user))
    }

    /// Whom `user` mutes, newest first by (created_at, muted user). Empty if there is no such account.
    pub fn mutes(&self, user: UserId, page: Page) -> Listing<Follow> {
        self.list(user, page, &Hidden::NOBODY, |directory, _| directory.barriers.mutes.made(user))
    }

    fn list(
        &self,
        user: UserId,
        page: Page,
        hidden: &Hidden,
        people: impl for<'a> FnOnce(&'a Directory, &'a Node) -> Option<&'a Dated<()>>,
    ) -> Listing<Follow> {
        let directory = self.store.read();
        let people = directory.account(user).and_then(|(node, _)| people(&directory, node));
        people.map(|people| directory.list(people, page, hidden)).unwrap_or_default()
    }

    /// At most `limit` of all that there is between `user` and others, both ways, also of an account that is not here; in
    /// the order of the fields.
    pub fn related(&self, user: UserId, limit: usize) -> Related {
        let directory = self.store.read();
        let (node, mut left) = (directory.node(user), limit);
        let mut some = |people: &dyn Fn(usize) -> Vec<UserId>| {
            let people = people(left);
            left -= people.len();
            people
        };
        let Barriers { blocks, mutes, .. } = &directory.barriers;
        Related {
            followers: some(&|limit| node.map(|node| node.followers.some(limit)).unwrap_or_default()),
            following: some(&|limit| node.map(|node| node.following.some(limit)).unwrap_or_default()),
            blocked_by: some(&|limit| blocks.some_received(user, limit)),
            blocking: some(&|limit| blocks.some_made(user, limit)),
            muted_by: some(&|limit| mutes.some_received(user, limit)),
            muting: some(&|limit| mutes.some_made(user, limit)),
        }
    }

    /// What an account claims, also of a disabled one until its key is destroyed; `None` if there was none.
    pub fn claims(&self, user: UserId) -> Option<Claims> {
        self.store.read().node(user)?.claims.as_deref().copied()
    }

    /// Whether the account was disabled, which is for good.
    pub fn is_disabled(&self, user: UserId) -> bool {
        self.store.read().is_disabled(user)
    }

    /// Whether anything is held that this person typed.
    pub fn holds(&self, user: UserId) -> bool {
        self.store.read().account(user).is_some()
    }
}

#[async_trait]
impl ReadModel for Users {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        self.store.write(advance, |directory| {
            changes.into_iter().for_each(|change| directory.apply(change));
        })
    }
}
