//! Who blocks and who mutes whom, found from either end.
//!
//! What one person does is on their key and comes in order; two who block each other are two edges on two keys, and they
//! are apart as long as one of these is left, in whatever order they come. Edges of those who have no account here are
//! kept as well: a deletion must find them.
//!
//! Whom somebody does not see is kept beside the edges as one set, which readers share: it is copied only when it changes
//! while somebody looks at it, and who has to do with no block costs a reader one look.

use super::super::change::Barrier;
use crate::dated::Dated;
use crate::hidden::Hidden;
use events::{Timestamp, UserId};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Barriers {
    pub(super) blocks: Edges,
    pub(super) mutes: Edges,
    /// Between whom and each there is a block, whoever made it.
    apart: Sets,
    muted: Sets,
}

#[derive(Default)]
pub(super) struct Edges {
    made: HashMap<UserId, Dated<()>>,
    received: HashMap<UserId, BTreeSet<UserId>>,
}

#[derive(Default)]
struct Sets(HashMap<UserId, Arc<HashSet<UserId>>>);

impl Barriers {
    pub(super) fn raise(&mut self, barrier: Barrier, user: UserId, target: UserId, at: Timestamp) {
        match barrier {
            Barrier::Block => {
                self.blocks.add(user, target, at);
                self.apart.add(user, target);
                self.apart.add(target, user);
            }
            Barrier::Mute => {
                self.mutes.add(user, target, at);
                self.muted.add(user, target);
            }
        }
    }

    pub(super) fn lift(&mut self, barrier: Barrier, user: UserId, target: UserId) {
        match barrier {
            Barrier::Block => {
                self.blocks.remove(user, target);
                if !self.blocks.holds(target, user) {
                    self.apart.remove(user, target);
                    self.apart.remove(target, user);
                }
            }
            Barrier::Mute => {
                self.mutes.remove(user, target);
                self.muted.remove(user, target);
            }
        }
    }

    pub(super) fn hidden_from(&self, viewer: UserId) -> Hidden {
        Hidden { apart: self.apart.of(viewer), muted: self.muted.of(viewer) }
    }
}

impl Edges {
    pub(super) fn holds(&self, user: UserId, target: UserId) -> bool {
        self.made.get(&user).is_some_and(|made| made.contains(target.0))
    }

    /// Those that somebody has made.
    pub(super) fn made(&self, user: UserId) -> Option<&Dated<()>> {
        self.made.get(&user)
    }

    /// At most so many of those that somebody has made.
    pub(super) fn some_made(&self, user: UserId, limit: usize) -> Vec<UserId> {
        self.made.get(&user).into_iter().flat_map(Dated::ids).take(limit).map(UserId).collect()
    }

    /// At most so many of those who have made one against somebody.
    pub(super) fn some_received(&self, user: UserId, limit: usize) -> Vec<UserId> {
        self.received.get(&user).into_iter().flatten().take(limit).copied().collect()
    }

    fn add(&mut self, user: UserId, target: UserId, at: Timestamp) {
        if self.made.entry(user).or_default().insert(target.0, at, ()) {
            self.received.entry(target).or_default().insert(user);
        }
    }

    fn remove(&mut self, user: UserId, target: UserId) {
        if let Some(made) = self.made.get_mut(&user) {
            made.remove(target.0);
            if made.is_empty() {
                self.made.remove(&user);
            }
        }
        if let Some(received) = self.received.get_mut(&target) {
            received.remove(&user);
            if received.is_empty() {
                self.received.remove(&target);
            }
        }
    }
}

impl Sets {
    fn of(&self, user: UserId) -> Option<Arc<HashSet<UserId>>> {
        self.0.get(&user).cloned()
    }

    fn add(&mut self, user: UserId, other: UserId) {
        Arc::make_mut(self.0.entry(user).or_default()).insert(other);
    }

    fn remove(&mut self, user: UserId, other: UserId) {
        if let Some(set) = self.0.get_mut(&user) {
            let set = Arc::make_mut(set);
            set.remove(&other);
            if set.is_empty() {
                self.0.remove(&user);
            }
        }
    }
}

#[cfg(test)]
impl Barriers {
    /// Whether nothing at all is kept.
    pub(super) fn is_empty(&self) -> bool {
        let none = |edges: &Edges| edges.made.is_empty() && edges.received.is_empty();
        none(&self.blocks) && none(&self.mutes) && self.apart.0.is_empty() && self.muted.0.is_empty()
    }
}
