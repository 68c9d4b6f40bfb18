//! Where posts stand: what everybody sees in the lists, and apart from these what the author alone sees, or nobody. So a
//! list has nothing in it that a reader of it must pass over, and no tag is kept that nobody uses any more.

use super::threads::Thread;
use crate::listing::Place;
use crate::text::Text;
use events::{PostId, UserId};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Orders {
    pub(super) latest: BTreeSet<Place>,
    pub(super) by_author: HashMap<UserId, BTreeSet<Place>>,
    /// By folded hashtag.
    pub(super) by_tag: HashMap<Text, BTreeSet<Place>>,
    /// Drafts, and what nobody is shown.
    unlisted: BTreeSet<(UserId, PostId)>,
}

impl Orders {
    /// All that an author has written, listed or not.
    pub(super) fn of(&self, author: UserId) -> impl Iterator<Item = PostId> {
        let unlisted = self.unlisted.range((author, PostId(Uuid::nil()))..=(author, PostId(Uuid::max())));
        let listed = self.by_author.get(&author).into_iter().flatten();
        listed.map(|(_, id)| PostId(*id)).chain(unlisted.map(|(_, post)| *post))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty() && self.by_author.is_empty() && self.by_tag.is_empty() && self.unlisted.is_empty()
    }

    pub(super) fn put(&mut self, post: PostId, thread: &Thread) {
        if thread.is_listed() {
            let place = (thread.created_at, post.0);
            self.latest.insert(place);
            self.by_author.entry(thread.author).or_default().insert(place);
            for tag in thread.hashtags() {
                self.by_tag.entry(tag.clone()).or_default().insert(place);
            }
        } else {
            self.unlisted.insert((thread.author, post));
        }
    }

    /// Takes it out of where it was put; nothing of it may have changed since.
    pub(super) fn take(&mut self, post: PostId, thread: &Thread) {
        if !thread.is_listed() {
            self.unlisted.remove(&(thread.author, post));
            return;
        }
        let place = (thread.created_at, post.0);
        self.latest.remove(&place);
        take(&mut self.by_author, &thread.author, place);
        thread.hashtags().iter().for_each(|tag| take(&mut self.by_tag, tag, place));
    }
}

fn take<K: Eq + Hash>(orders: &mut HashMap<K, BTreeSet<Place>>, of: &K, place: Place) {
    if let Some(order) = orders.get_mut(of) {
        order.remove(&place);
        if order.is_empty() {
            orders.remove(of);
        }
    }
}
