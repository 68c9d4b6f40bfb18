//! Feeds in memory: built from the log at every start.
//!
//! Merged when they are read, from one ordered set per author: nothing is copied per follower, so a follow, an unfollow or
//! a delete is one small change, in whatever order it comes. A page costs one look into the set of each followed author.

#[cfg(test)]
mod tests;

use super::change::Change;
use super::{Feed, NAME};
use crate::checkpoint::Checkpoint;
use crate::dated::Dated;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page, Place};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use events::{PostId, UserId};
use journal::Partition;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use uuid::Uuid;

/// The read model of feeds, in memory.
#[derive(Default)]
pub struct MemoryFeed {
    store: Store<Data>,
}

impl MemoryFeed {
    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }
}

#[async_trait]
impl Feed for MemoryFeed {
    async fn latest(&self, user: UserId, page: Page, hidden: &Hidden) -> Result<Listing<PostId>, Unavailable> {
        let data = self.store.read();
        Ok(Listing::of(page, data.merged(user, page.after, hidden), |(_, id)| Some(PostId(id))))
    }

    async fn in_creation(&self, user: UserId) -> Result<usize, Unavailable> {
        Ok(self.store.read().slots.get(&user).map_or(0, Dated::len))
    }
}

#[async_trait]
impl ReadModel for MemoryFeed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(self.store.checkpoint(partition))
    }

    async fn apply(&self, advance: &Advance<'_>) -> Result<(), ApplyError> {
        let changes = advance.batch.changes(Change::of)?;
        self.store.write(advance, |data| changes.into_iter().for_each(|change| data.apply(change)))
    }
}

#[derive(Default)]
struct Data {
    followees: HashMap<UserId, BTreeSet<UserId>>,
    posts: HashMap<UserId, Dated<()>>,
    /// By author, the posts in creation that hold a slot.
    slots: HashMap<UserId, Dated<()>>,
    /// Drafts whose author's key is there, which are a post when they are published.
    drafts: BTreeSet<(UserId, PostId)>,
    /// For good.
    gone: HashSet<UserId>,
}

impl Data {
    fn apply(&mut self, change: Change) {
        if self.comes_too_late(change) {
            return;
        }
        match change {
            Change::Published { post, author, at } => {
                self.posts.entry(author).or_default().insert(post.0, at, ());
            }
            Change::Drafted { post, author } => {
                self.drafts.insert((author, post));
            }
            Change::DraftPublished { post, author, at } => {
                if self.drafts.remove(&(author, post)) {
                    self.posts.entry(author).or_default().insert(post.0, at, ());
                }
            }
            Change::Deleted { post, author } => {
                self.drafts.remove(&(author, post));
                take(&mut self.posts, author, post);
            }
            Change::Followed { follower, followee } => {
                self.followees.entry(follower).or_default().insert(followee);
            }
            Change::Unfollowed { follower, followee } => {
                if let Some(followees) = self.followees.get_mut(&follower) {
                    followees.remove(&followee);
                    if followees.is_empty() {
                        self.followees.remove(&follower);
                    }
                }
            }
            Change::Reserved { user, post, at } => {
                self.slots.entry(user).or_default().insert(post.0, at, ());
            }
            Change::Vacated { user, post } => take(&mut self.slots, user, post),
            Change::Gone { user } => self.forget(user),
        }
    }

    /// Whether it adds something of somebody who is gone.
    fn comes_too_late(&self, change: Change) -> bool {
        match change {
            Change::Published { author: user, .. }
            | Change::Drafted { author: user, .. }
            | Change::Reserved { user, .. } => self.gone.contains(&user),
            Change::Followed { follower, followee } => self.gone.contains(&follower) || self.gone.contains(&followee),
            Change::DraftPublished { .. }
            | Change::Deleted { .. }
            | Change::Unfollowed { .. }
            | Change::Vacated { .. }
            | Change::Gone { .. } => false,
        }
    }

    /// Who follows them is not found from here: their deletion ends these follows one by one, and until then they lead to
    /// nothing.
    fn forget(&mut self, user: UserId) {
        self.gone.insert(user);
        self.posts.remove(&user);
        self.slots.remove(&user);
        self.followees.remove(&user);
        let drafts = self.drafts.range((user, PostId(Uuid::nil()))..=(user, PostId(Uuid::max())));
        for draft in drafts.copied().collect::<Vec<_>>() {
            self.drafts.remove(&draft);
        }
    }

    /// The heap holds the newest place of each source that was not taken yet.
    fn merged(&self, user: UserId, after: Option<Place>, hidden: &Hidden) -> impl Iterator<Item = Place> {
        let is_seen = |author: &UserId| *author != user && !hidden.hides_in_feed(*author);
        let followees = self.followees.get(&user).into_iter().flatten().copied().filter(is_seen);
        let own = self.posts.get(&user);
        let is_published = move |place: &Place| own.is_some_and(|own| own.contains(place.1));
        let posts = std::iter::once(user).chain(followees).filter_map(|author| self.posts.get(&author));
        let mut sources = posts.chain(self.slots.get(&user)).map(|posts| posts.newest(after)).collect::<Vec<_>>();
        // A draft that is published by now is passed over.
        let slots = self.slots.contains_key(&user).then(|| sources.len() - 1);
        let count = sources.len();
        let mut next = move |index: usize| {
            sources[index]
                .by_ref()
                .find(|place| slots != Some(index) || !is_published(place))
                .map(|place| (place, index))
        };
        let mut heap = (0..count).filter_map(&mut next).collect::<BinaryHeap<(Place, usize)>>();
        std::iter::from_fn(move || {
            let (place, index) = heap.pop()?;
            heap.extend(next(index));
            Some(place)
        })
    }
}

fn take(all: &mut HashMap<UserId, Dated<()>>, user: UserId, post: PostId) {
    if let Some(some) = all.get_mut(&user) {
        some.remove(post.0);
        if some.is_empty() {
            all.remove(&user);
        }
    }
}
