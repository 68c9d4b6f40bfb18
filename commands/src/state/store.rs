//! Where the aggregates of a partition are kept: by id, each with the commit that changed it last.

use crate::aggregates::Fact;
use crate::answer::{Receipt, Refusal};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{Event, UserId};
use futures::FutureExt;
use std::collections::HashMap;
use std::hash::Hash;
use tokio::task::unconstrained;

/// An aggregate and the commit that changed it last.
pub(super) struct Entry<A> {
    pub(super) aggregate: A,
    changed: Receipt,
}

/// The aggregates of one type. Whoever is in its default state is not in the map.
pub(super) struct Store<K, A>(pub(super) HashMap<K, Entry<A>>);

impl<K, A> Default for Store<K, A> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Copy, A: Aggregate<Error = Refusal> + Clone + PartialEq> Store<K, A> {
    pub(super) fn get(&self, id: K) -> A {
        self.0.get(&id).map(|entry| entry.aggregate.clone()).unwrap_or_default()
    }

    /// Decides on a clone: a refusal leaves no trace.
    pub(super) fn decide<E>(&self, id: K, command: A::Command, services: &A::Services) -> Result<Vec<Event>, Refusal>
    where
        A: Aggregate<Event = Fact<E>>,
        E: Into<Event>,
    {
        let mut aggregate = self.get(id);
        let sink = EventSink::default();
        let decided = async {
            aggregate.handle(command, services, &sink).await?;
            Ok(sink.collect().await)
        };
        // The sink's lock is tokio's, which waits when a task has used up its turn; a batch of decisions is one turn.
        let decided = unconstrained(decided).now_or_never();
        let events = decided.expect("handlers do no I/O, so they never wait")?;
        Ok(events.into_iter().map(|Fact(event)| event.into()).collect())
    }

    pub(super) fn apply<E: Clone>(&mut self, id: K, event: &E, receipt: Receipt)
    where
        A: Aggregate<Event = Fact<E>>,
    {
        let mut entry = self.0.remove(&id).unwrap_or_else(|| Entry { aggregate: A::default(), changed: receipt });
        entry.aggregate.apply(Fact(event.clone()));
        entry.changed = receipt;
        if entry.aggregate != A::default() {
            self.0.insert(id, entry);
        }
    }

    pub(super) fn changed(&self, id: K) -> Option<Receipt> {
        self.0.get(&id).map(|entry| entry.changed)
    }
}

/// What people have to do with others, and for each of them with how many.
pub(super) struct Counted<A> {
    pub(super) pairs: Store<(UserId, UserId), A>,
    counts: HashMap<UserId, usize>,
}

impl<A> Default for Counted<A> {
    fn default() -> Self {
        Self { pairs: Store::default(), counts: HashMap::new() }
    }
}

impl<A: Aggregate<Error = Refusal> + Clone + PartialEq> Counted<A> {
    pub(super) fn of(&self, user: UserId) -> usize {
        self.counts.get(&user).copied().unwrap_or_default()
    }

    pub(super) fn apply<E: Clone>(&mut self, (user, other): (UserId, UserId), event: &E, receipt: Receipt)
    where
        A: Aggregate<Event = Fact<E>>,
    {
        let before = self.pairs.0.len();
        self.pairs.apply((user, other), event, receipt);
        let count = self.of(user) + self.pairs.0.len() - before;
        if count == 0 {
            self.counts.remove(&user);
        } else {
            self.counts.insert(user, count);
        }
    }
}
