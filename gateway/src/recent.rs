//! A bounded memory of what was used lately: whatever is forgotten can be found out again.
//!
//! Two generations: when the young one is full it becomes the old one, and what the old one held is forgotten unless it
//! was used since. So what is kept is at least the newer half of the limit, at the cost of two look-ups and no list.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// A power of two; more threads than that rarely run here.
const SHARDS: usize = 16;

/// Values by key, at most about so many as the limit says.
pub(crate) struct Recent<K, V> {
    shards: [Mutex<Generations<K, V>>; SHARDS],
    hasher: RandomState,
    young_max: usize,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        let shard = |_| Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() });
        Self { shards: std::array::from_fn(shard), hasher: RandomState::new(), young_max: (limit / SHARDS / 2).max(1) }
    }

    /// Looks at a value, or changes it; `None` if it is not known.
    pub(crate) fn with<T>(&self, key: &K, look: impl FnOnce(&mut V) -> T) -> Option<T>
    where
        K: Clone,
    {
        let mut generations = self.shard(key).lock();
        if let Some(value) = generations.young.get_mut(key) {
            return Some(look(value));
        }
        let mut value = generations.old.remove(key)?;
        let seen = look(&mut value);
        generations.insert(key.clone(), value, self.young_max);
        Some(seen)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut generations = self.shard(&key).lock();
        generations.old.remove(&key);
        generations.insert(key, value, self.young_max);
    }

    pub(crate) fn remove(&self, key: &K) {
        let mut generations = self.shard(key).lock();
        generations.young.remove(key);
        generations.old.remove(key);
    }

    fn shard(&self, key: &K) -> &Mutex<Generations<K, V>> {
        let hash = self.hasher.hash_one(key);
        // The map's own hash has other keys, so the bits taken here say nothing about the place in it.
        &self.shards[usize::try_from(hash).unwrap_or_default() % SHARDS]
    }
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: V, young_max: usize) {
        if self.young.len() >= young_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten_in_time() {
        let recent = Recent::new(SHARDS * 8);
        recent.insert(0, "kept");
        for n in 1..10_000 {
            recent.insert(n, "passing");
            assert_eq!(recent.with(&0, |value| *value), Some("kept"));
        }
        let known = (1..10_000).filter(|n| recent.with(n, |_| ()).is_some()).count();
        assert!((1..=SHARDS * 8).contains(&known), "{known}");
    }

    #[test]
    fn a_change_is_seen_and_a_removed_value_is_gone() {
        let recent = Recent::new(100);
        recent.insert("a", 1);
        recent.with(&"a", |value| *value += 1);
        assert_eq!(recent.with(&"a", |value| *value), Some(2));
        recent.remove(&"a");
        assert_eq!(recent.with(&"a", |value| *value), None);
    }
}
