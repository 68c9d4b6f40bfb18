//! Users in memory.

mod barriers;
mod directory;
mod holders;
#[cfg(test)]
mod tests;

use super::change::{Account, Change};
use super::{Author, Claims, Credentials, Follow, List, Profile, Related, Relation, Users};
use crate::checkpoint::Checkpoint;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use barriers::Barriers;
use directory::Directory;
use events::{Digest, Role, UserId};
use journal::Partition;

/// The read model of users of one node, in its memory.
#[derive(Default)]
pub struct MemoryUsers {
    store: Store<Directory>,
}

impl MemoryUsers {
    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }
}

#[async_trait]
impl Users for MemoryUsers {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, Unavailable> {
        let directory = self.store.read();
        let profile = |user: &UserId| {
            let (node, account) = directory.account(*user)?;
            Some(Profile {
                id: *user,
                email: account.email.clone(),
                username: account.username.clone(),
                bio: account.bio.clone(),
                avatar_url: None,
                created_at: account.created_at,
                follower_count: node.followers.visible(),
                following_count: node.following.visible(),
            })
        };
        Ok(users.iter().filter_map(profile).collect())
    }

    async fn authors(&self, users: &[UserId]) -> Result<Vec<Author>, Unavailable> {
        let directory = self.store.read();
        let author = |user: &UserId| {
            let (_, account) = directory.account(*user)?;
            Some(Author { id: *user, username: account.username.clone(), avatar_url: None })
        };
        Ok(users.iter().filter_map(author).collect())
    }

    async fn are_known(&self, users: &[UserId]) -> Result<bool, Unavailable> {
        let directory = self.store.read();
        Ok(users.iter().all(|user| directory.account(*user).is_some() || directory.is_disabled(*user)))
    }

    async fn is_disabled(&self, user: UserId) -> Result<bool, Unavailable> {
        Ok(self.store.read().is_disabled(user))
    }

    async fn credentials(&self, email_claim: Digest) -> Result<Option<Credentials>, Unavailable> {
        let directory = self.store.read();
        Ok(directory.emails.holder(email_claim).and_then(|user| credentials_of(&directory, user)))
    }

    async fn credentials_of(&self, user: UserId) -> Result<Option<Credentials>, Unavailable> {
        Ok(credentials_of(&self.store.read(), user))
    }

    async fn by_usernames(&self, username_claims: &[Digest]) -> Result<Vec<Option<UserId>>, Unavailable> {
        let directory = self.store.read();
        Ok(username_claims.iter().map(|claim| directory.usernames.holder(*claim)).collect())
    }

    async fn role(&self, user: UserId) -> Result<Role, Unavailable> {
        Ok(self.store.read().account(user).map_or(Role::User, |(_, account)| account.role))
    }

    async fn claims(&self, user: UserId) -> Result<Option<Claims>, Unavailable> {
        Ok(self.store.read().node(user).and_then(|node| node.claims.as_deref().copied()))
    }

    async fn relations(&self, viewer: UserId, others: &[UserId]) -> Result<Vec<Relation>, Unavailable> {
        let directory = self.store.read();
        Ok(others.iter().map(|other| relation(&directory, viewer, *other)).collect())
    }

    async fn hidden_from(&self, viewer: UserId) -> Result<Hidden, Unavailable> {
        Ok(self.store.read().barriers.hidden_from(viewer))
    }

    async fn list(
        &self,
        list: List,
        user: UserId,
        page: Page,
        hidden: &Hidden,
    ) -> Result<Listing<Follow>, Unavailable> {
        let directory = self.store.read();
        let Some((node, _)) = directory.account(user) else { return Ok(Listing::default()) };
        let people = match list {
            List::Followers => Some(&node.followers.users),
            List::Following => Some(&node.following.users),
            List::Blocks => directory.barriers.blocks.made(user),
            List::Mutes => directory.barriers.mutes.made(user),
        };
        Ok(people.map(|people| directory.list(people, page, hidden)).unwrap_or_default())
    }

    async fn related(&self, user: UserId, limit: usize) -> Result<Related, Unavailable> {
        let directory = self.store.read();
        let (node, mut left) = (directory.node(user), limit);
        let mut some = |people: &dyn Fn(usize) -> Vec<UserId>| {
            let people = people(left);
            left -= people.len();
            people
        };
        let Barriers { blocks, mutes, .. } = &directory.barriers;
        Ok(Related {
            followers: some(&|limit| node.map(|node| node.followers.some(limit)).unwrap_or_default()),
            following: some(&|limit| node.map(|node| node.following.some(limit)).unwrap_or_default()),
            blocked_by: some(&|limit| blocks.some_received(user, limit)),
            blocking: some(&|limit| blocks.some_made(user, limit)),
            muted_by: some(&|limit| mutes.some_received(user, limit)),
            muting: some(&|limit| mutes.some_made(user, limit)),
        })
    }
}

fn credentials_of(directory: &Directory, user: UserId) -> Option<Credentials> {
    let (_, Account { password, password_version, .. }) = directory.account(user)?;
    Some(Credentials { user, password: password.clone(), version: *password_version })
}

fn relation(directory: &Directory, viewer: UserId, other: UserId) -> Relation {
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

#[async_trait]
impl ReadModel for MemoryUsers {
    fn name(&self) -> &'static str {
        super::NAME
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
