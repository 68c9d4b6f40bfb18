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
    /// Fetches every key that the commits are sealed under.
    ///
    /// [`KeyringError::Unknown`] must stop the caller: going on would turn readable values into lost ones.
    pub async fn fetch(
        keyring: &dyn Keyring,
        commits: impl IntoIterator<Item = &Commit>,
    ) -> Result<Self, KeyringError> {
        let (mut ids, mut destroyed) = (BTreeSet::new(), BTreeSet::new());
        for event in commits.into_iter().flat_map(|commit| &commit.events) {
            ids.extend(event.sealed_under());
            if let Event::User(UserEvent::KeyDestroyed(gone)) = event {
                destroyed.insert(KeyId::from(gone.user));
            }
        }
        for id in destroyed {
            if keyring.find(id).await.is_ok_and(|key| key.is_some()) {
                keyring.destroy(id).await?;
            }
        }
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
