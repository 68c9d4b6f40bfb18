//! What came at some time, found by its id and walked by (time, id).

use crate::listing::Place;
use events::Timestamp;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use uuid::Uuid;

/// Rows with their times. BTrees, since most of these are empty or small and there are very many of them.
pub(crate) struct Dated<V> {
    rows: BTreeMap<Uuid, (Timestamp, V)>,
    order: BTreeSet<Place>,
}

impl<V> Dated<V> {
    /// Adds a row; what is there already stays as it is. Returns whether it was added.
    pub(crate) fn insert(&mut self, id: Uuid, at: Timestamp, row: V) -> bool {
        match self.rows.entry(id) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert((at, row));
                self.order.insert((at, id))
            }
        }
    }

    /// Takes a row away. Returns whether it was there.
    pub(crate) fn remove(&mut self, id: Uuid) -> bool {
        self.rows.remove(&id).is_some_and(|(at, _)| self.order.remove(&(at, id)))
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<(Timestamp, &V)> {
        self.rows.get(&id).map(|(at, row)| (*at, row))
    }

    pub(crate) fn contains(&self, id: Uuid) -> bool {
        self.rows.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.rows.keys().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Uuid, Timestamp, &V)> {
        self.rows.iter().map(|(id, (at, row))| (*id, *at, row))
    }

    pub(crate) fn newest(&self, after: Option<Place>) -> impl Iterator<Item = Place> {
        newest(&self.order, after)
    }

    pub(crate) fn oldest(&self, after: Option<Place>) -> impl Iterator<Item = Place> {
        oldest(&self.order, after)
    }
}

impl<V> Default for Dated<V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), order: BTreeSet::new() }
    }
}

/// Newest first, beginning after a place.
pub(crate) fn newest(order: &BTreeSet<Place>, after: Option<Place>) -> impl Iterator<Item = Place> {
    let to = after.map_or(Bound::Unbounded, Bound::Excluded);
    order.range((Bound::Unbounded, to)).rev().copied()
}

/// Oldest first over a few orders, beginning after a place.
pub(crate) fn oldest_of(orders: Vec<&BTreeSet<Place>>, after: Option<Place>) -> impl Iterator<Item = Place> {
    let mut orders = orders.into_iter().map(|order| oldest(order, after).peekable()).collect::<Vec<_>>();
    std::iter::from_fn(move || {
        let next = orders.iter_mut().filter_map(|order| Some((*order.peek()?, order)));
        next.min_by_key(|(place, _)| *place)?.1.next()
    })
}

/// Oldest first, beginning after a place.
pub(crate) fn oldest(order: &BTreeSet<Place>, after: Option<Place>) -> impl Iterator<Item = Place> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    order.range((from, Bound::Unbounded)).copied()
}
