//! What the tests of the read models tell them: commits, one by one, in any interleaving of keys.

use crate::checkpoint::Checkpoint;
use crate::hidden::Hidden;
use crate::log::{MemoryKeys, key_of};
use crate::opener::Opener;
use crate::read_model::{Advance, Batch, Entry, ReadModel};
use events::{CommandId, Commit, Event, Incarnation, Key, Retention, Sealable, Sealed, Timestamp, UserId};
use futures::FutureExt;
use journal::{Partition, Position};
use std::ops::Deref;
use std::sync::Arc;
use uuid::Uuid;

/// A read model, the keys that open what it is told, and on whose behalf things happen.
#[derive(Default)]
pub(crate) struct Given<M> {
    pub(crate) model: M,
    pub(crate) keys: MemoryKeys,
    pub(crate) actor: Option<UserId>,
}

impl<M: ReadModel> Given<M> {
    /// A commit of these events; its position is how many came before it.
    pub(crate) fn tell<E: Into<Event>>(&self, key: Key, time: Timestamp, events: impl IntoIterator<Item = E>) {
        let partition = Partition(0);
        let commit = commit(self.actor, time, events.into_iter().map(Into::into).collect());
        let genesis = || Checkpoint::genesis(0, "given", partition);
        let expected = now(self.model.checkpoint(partition)).unwrap().unwrap_or_else(genesis);
        let position = Position { partition, offset: expected.revision };
        let opener = now(Opener::fetch(&self.keys, [&commit])).unwrap();
        let batch = Batch { entries: vec![Entry { position, key, commit: &commit }], opener: &opener };
        let new = expected.succeed(expected.at);
        now(self.model.apply(&Advance { partition, expected: &expected, batch: &batch, new: &new })).unwrap();
    }
}

/// In memory nothing ever waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

impl<M> Deref for Given<M> {
    type Target = M;
    fn deref(&self) -> &M {
        &self.model
    }
}

/// A commit of which only this matters.
pub(crate) fn commit(actor: Option<UserId>, time: Timestamp, events: Vec<Event>) -> Commit {
    Commit {
        command: CommandId(Uuid::nil()),
        ordinal: 0,
        incarnation: Incarnation(Uuid::nil()),
        time,
        actor,
        correlation: Uuid::nil(),
        causation: None,
        retention: Retention::Short,
        fingerprint: None,
        undoes: None,
        events,
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

pub(crate) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

pub(crate) fn seal<T: Sealable>(owner: UserId, value: &T) -> Sealed<T> {
    Sealed::seal(value, &key_of(owner))
}

/// From whom one is apart, and whom one mutes.
pub(crate) fn hidden(apart: &[UserId], muted: &[UserId]) -> Hidden {
    let set = |users: &[UserId]| Some(Arc::new(users.iter().copied().collect()));
    Hidden { apart: set(apart), muted: set(muted) }
}
