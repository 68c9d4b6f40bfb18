//! What those whom a person follows have posted, and what they posted themselves.
//!
//! Merged when it is read, from one ordered set per author: nothing is copied per follower, so a follow, an unfollow or
//! a delete is one small change, in whatever order it comes. A page costs one look into the set of each followed author;
//! a store across the network would rather push to followers and pay when writing.

use crate::checkpoint::Checkpoint;
use crate::dated::Dated;
use crate::listing::{Listing, Page, Place};
use crate::opener::Opener;
use crate::read_model::{ApplyError, Batch, ReadModel};
use crate::store::Store;
use events::{Event, FollowEvent, PostEvent, PostId, SealError, Timestamp, UserId};
use journal::Partition;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// The read model of feeds.
#[derive(Default)]
pub struct Feed {
    store: Store<Data>,
}

impl Feed {
    /// Its name.
    pub const NAME: &'static str = "feed";

    /// An empty read model of another build than the default one.
    pub fn with_generation(generation: u64) -> Self {
        Self { store: Store::with_generation(generation) }
    }

    /// The published posts of `user` and of whom they follow, newest first by (created_at, id).
    pub fn latest(&self, user: UserId, page: Page) -> Listing<PostId> {
        let data = self.store.read();
        Listing::of(page, data.merged(user, page.after), |(_, id)| Some(PostId(id)))
    }
}

impl ReadModel for Feed {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn checkpoint(&self, partition: Partition) -> Option<Checkpoint> {
        self.store.checkpoint(partition)
    }

    fn apply_batch(
        &self,
        partition: Partition,
        expected: &Checkpoint,
        batch: &Batch<'_>,
        new: Checkpoint,
    ) -> Result<(), ApplyError> {
        let changes = batch.changes(Change::of)?;
        self.store.write(partition, expected, new, |data| changes.into_iter().for_each(|change| data.apply(change)))
    }
}

#[derive(Default)]
struct Data {
    followees: HashMap<UserId, BTreeSet<UserId>>,
    posts: HashMap<UserId, Dated<()>>,
}

#[derive(Clone, Copy)]
enum Change {
    Published {
        post: PostId,
        author: UserId,
        at: Timestamp,
    },
    /// Deleted, or its author's key is destroyed.
    Gone {
        post: PostId,
        author: UserId,
    },
    Followed {
        follower: UserId,
        followee: UserId,
    },
    Unfollowed {
        follower: UserId,
        followee: UserId,
    },
}

impl Change {
    fn of(event: &Event, at: Timestamp, opener: &Opener) -> Result<Option<Self>, SealError> {
        Ok(match event {
            Event::Post(PostEvent::Published(e)) if opener.is_destroyed(e.author) => {
                Some(Self::Gone { post: e.post, author: e.author })
            }
            Event::Post(PostEvent::Published(e)) => Some(Self::Published { post: e.post, author: e.author, at }),
            Event::Post(PostEvent::Edited(e)) if opener.is_destroyed(e.author) => {
                Some(Self::Gone { post: e.post, author: e.author })
            }
            Event::Post(PostEvent::Edited(_)) => None,
            Event::Post(PostEvent::Deleted(e)) => Some(Self::Gone { post: e.post, author: e.author }),
            Event::Follow(FollowEvent::Started(e)) => {
                Some(Self::Followed { follower: e.follower, followee: e.followee })
            }
            Event::Follow(FollowEvent::Ended(e)) => {
                Some(Self::Unfollowed { follower: e.follower, followee: e.followee })
            }
            Event::User(_)
            | Event::Session(_)
            | Event::Comment(_)
            | Event::Like(_)
            | Event::Claim(_)
            | Event::Saga(_) => None,
        })
    }
}

impl Data {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Published { post, author, at } => {
                self.posts.entry(author).or_default().insert(post.0, at, ());
            }
            Change::Gone { post, author } => {
                if let Some(posts) = self.posts.get_mut(&author) {
                    posts.remove(post.0);
                    if posts.is_empty() {
                        self.posts.remove(&author);
                    }
                }
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
        }
    }

    /// The heap holds the newest place of each author that was not taken yet.
    fn merged(&self, user: UserId, after: Option<Place>) -> impl Iterator<Item = Place> {
        let followees = self.followees.get(&user).into_iter().flatten().copied().filter(move |author| *author != user);
        let mut sources = std::iter::once(user)
            .chain(followees)
            .filter_map(|author| self.posts.get(&author))
            .map(|posts| posts.newest(after))
            .collect::<Vec<_>>();
        let mut heap = (0..)
            .zip(&mut sources)
            .filter_map(|(index, source)| source.next().map(|place| (place, index)))
            .collect::<BinaryHeap<(Place, usize)>>();
        std::iter::from_fn(move || {
            let (place, index) = heap.pop()?;
            heap.extend(sources[index].next().map(|next| (next, index)));
            Some(place)
        })
    }
}
