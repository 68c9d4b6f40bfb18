//! Notifications in memory: built from the log at every start.

mod inboxes;
#[cfg(test)]
mod tests;

use super::change::Change;
use super::{Ids, NAME, Notification, Notifications, UNREAD_MAX};
use crate::checkpoint::Checkpoint;
use crate::hidden::Hidden;
use crate::listing::{Listing, Page};
use crate::read_model::{Advance, ApplyError, ReadModel, Unavailable};
use crate::store::Store;
use async_trait::async_trait;
use events::{Keyring, UserId};
use inboxes::{Inbox, Inboxes};
use journal::Partition;
use std::sync::Arc;

/// The read model of notifications, in memory.
pub struct MemoryNotifications {
    store: Store<Inboxes>,
    ids: Ids,
}

impl MemoryNotifications {
    /// An empty read model. The keyring's secrets make the ids.
    pub fn new(keyring: Arc<dyn Keyring>) -> Self {
        Self::with_generation(0, keyring)
    }

    /// The same of another build than the default one.
    pub fn with_generation(generation: u64, keyring: Arc<dyn Keyring>) -> Self {
        Self { store: Store::with_generation(generation), ids: Ids(keyring) }
    }
}

#[async_trait]
impl Notifications for MemoryNotifications {
    async fn list(
        &self,
        user: UserId,
        page: Page,
        hidden: &Hidden,
    ) -> Result<(Listing<Notification>, usize), Unavailable> {
        let inboxes = self.store.read();
        let listed = |inbox: &Inbox| {
            let item = |(_, id)| inbox.get(id).filter(|it| !hidden.hides_in_feed(it.actor));
            (Listing::of(page, inbox.newest(page.after), item), unread(inbox, hidden))
        };
        Ok(inboxes.of(user).map(listed).unwrap_or_default())
    }

    async fn unread(&self, user: UserId, hidden: &Hidden) -> Result<usize, Unavailable> {
        Ok(self.store.read().of(user).map_or(0, |inbox| unread(inbox, hidden)))
    }
}

fn unread(inbox: &Inbox, hidden: &Hidden) -> usize {
    inbox.iter().filter(|it| !it.is_read && !hidden.hides_in_feed(it.actor)).take(UNREAD_MAX).count()
}

#[async_trait]
impl ReadModel for MemoryNotifications {
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
        let changes = advance.batch.changes(|event, at, _| Ok(Change::of(event, at, &self.ids)))?;
        self.store.write(advance, |inboxes| changes.into_iter().for_each(|change| inboxes.apply(change)))
    }
}
