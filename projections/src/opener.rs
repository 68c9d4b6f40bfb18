//! Opening what people's keys seal, without waiting: the keys of a batch are fetched before the batch is applied.
//!
//! Keys are fetched anew for every batch and forgotten with it, so that a key which was destroyed opens nothing later. That a
//! key was destroyed stands in the log too: a keyring that was restored from before has it again, and reading the log
//! destroys it anew.

use crate::runner::limits;
use events::{CipherKey, Commit, Event, KeyId, Keyring, KeyringError, SealError, Sealable, Sealed, UserEvent, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The keys of a batch; `None` stands for one that was destroyed.
#[derive(Default)]
pub struct Opener(HashMap<KeyId, Option<Arc<CipherKey>>>);

impl Opener {
    /// Fetches every key that the commits are sealed under, and destroys those that they say are destroyed.
    ///
    /// [`KeyringError::Unavailable`] asks the caller to try again before anything is applied: a key that came back must
    /// not survive a keyring that was silent for a moment. [`KeyringError::Unknown`] must stop the caller: going on would
    /// turn readable values into lost ones.
    pub async fn fetch(
        keyring: &dyn Keyring,
        commits: impl IntoIterator<Item = &Commit>,
    ) -> Result<Self, KeyringError> {
        let (mut ids, mut destroyed) = (BTreeSet::new(), BTreeSet::new());
        for event in commits.into_iter().flat_map(|commit| &commit.events) {
            ids.extend(event.sealed_under());
            destroyed.extend(destroyed_by(event));
        }
        Self::destroy(keyring, destroyed).await?;
        let found = stream::iter(ids)
            .map(|id| async move {
                match keyring.find(id).await {
                    Err(KeyringError::Destroyed(_)) => Ok((id, None)),
                    found => Ok((id, found?)),
                }
            })
            .buffered(limits::KEYS_FETCHING_MAX);
        found.try_collect().await.map(Self)
    }

    /// The keys that the commits say are destroyed.
    pub(crate) fn destroyed<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> BTreeSet<KeyId> {
        commits.into_iter().flat_map(|commit| &commit.events).filter_map(destroyed_by).collect()
    }

    /// Destroys these, where they are not destroyed.
    pub(crate) async fn destroy(keyring: &dyn Keyring, keys: BTreeSet<KeyId>) -> Result<(), KeyringError> {
        for key in keys {
            destroy_anew(keyring, key).await?;
        }
        Ok(())
    }

    /// The value, or `None` if its owner's key was destroyed. An error is final.
    pub fn open<T: Sealable>(&self, owner: UserId, sealed: &Sealed<T>) -> Result<Option<T>, SealError> {
        self.key(owner).map(|key| sealed.open(key)).transpose()
    }

    /// Whether the person's values can no longer be read.
    pub fn is_destroyed(&self, owner: UserId) -> bool {
        self.key(owner).is_none()
    }

    fn key(&self, owner: UserId) -> Option<&CipherKey> {
        self.0.get(&owner.into()).expect("the keys of all events of a batch are fetched with it").as_deref()
    }
}

fn destroyed_by(event: &Event) -> Option<KeyId> {
    match event {
        Event::User(UserEvent::KeyDestroyed(gone)) => Some(gone.user.into()),
        _ => None,
    }
}

/// A key that is gone already, or was never here, is as it should be.
async fn destroy_anew(keyring: &dyn Keyring, id: KeyId) -> Result<(), KeyringError> {
    match keyring.find(id).await {
        Ok(None) | Err(KeyringError::Destroyed(_) | KeyringError::Unknown(_)) => Ok(()),
        Ok(Some(_)) => keyring.destroy(id).await,
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{at, commit, user};
    use crate::log::MemoryKeys;
    use events::UserKeyDestroyed;
    use futures::FutureExt;
    use std::sync::atomic::Ordering;

    fn fetch(keys: &MemoryKeys) -> Result<Opener, KeyringError> {
        let destroyed = commit(None, at(1), vec![UserKeyDestroyed { user: user(1) }.into()]);
        Opener::fetch(keys, [&destroyed]).now_or_never().unwrap()
    }

    #[test]
    fn a_key_that_came_back_does_not_survive_a_keyring_that_was_silent_for_a_moment() {
        let keys = MemoryKeys::default();
        keys.unavailable.store(1, Ordering::Relaxed);
        assert!(matches!(fetch(&keys), Err(KeyringError::Unavailable(_))));
        assert!(keys.destroyed_since.lock().is_empty());
        assert!(fetch(&keys).is_ok());
        assert!(keys.destroyed_since.lock().contains(&user(1)));
    }

    #[test]
    fn a_key_that_is_gone_or_was_never_here_need_not_be_destroyed() {
        let gone = MemoryKeys { destroyed: [user(1)].into(), ..MemoryKeys::default() };
        let unknown = MemoryKeys { unknown: [user(1)].into(), ..MemoryKeys::default() };
        for keys in [gone, unknown] {
            assert!(fetch(&keys).is_ok());
            assert!(keys.destroyed_since.lock().is_empty());
        }
    }
}
