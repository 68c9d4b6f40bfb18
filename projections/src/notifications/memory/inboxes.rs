//! The data behind [`super::MemoryNotifications`]: what each is to hear of, and from where it is found again.

use crate::dated::Dated;
use crate::listing::Place;
use crate::notifications::change::Change;
use crate::notifications::{Deed, Notification, NotificationId, TAKEN_BACK_MAX};
use events::{PostId, Timestamp, UserId};
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Inboxes {
    inboxes: HashMap<UserId, Inbox>,
    /// By who did something: who is to hear of it.
    heard_by: HashMap<UserId, BTreeSet<(UserId, NotificationId)>>,
    posts: HashMap<PostId, Posted>,
    /// For good.
    gone: HashSet<UserId>,
}

/// What one person is to hear of.
#[derive(Default)]
pub(super) struct Inbox(Dated<(NotificationId, UserId, Deed)>);

/// A post that something can be done to.
struct Posted {
    author: UserId,
    /// What its author is to hear of it.
    heard: BTreeSet<NotificationId>,
}

impl Inbox {
    pub(super) fn newest(&self, after: Option<Place>) -> impl Iterator<Item = Place> {
        self.0.newest(after)
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Notification> {
        self.0.get(id).map(|(at, row)| shown(at, row))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Notification> {
        self.0.iter().map(|(_, at, row)| shown(at, row))
    }
}

fn shown(created_at: Timestamp, (id, actor, deed): &(NotificationId, UserId, Deed)) -> Notification {
    Notification { id: *id, actor: *actor, deed: *deed, is_read: false, created_at }
}

impl Inboxes {
    pub(super) fn of(&self, user: UserId) -> Option<&Inbox> {
        self.inboxes.get(&user)
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Published { post, author } => {
                self.posts.entry(post).or_insert_with(|| Posted { author, heard: BTreeSet::new() });
            }
            Change::Deleted { post } => {
                let Some(Posted { author, heard }) = self.posts.remove(&post) else { return };
                heard.into_iter().for_each(|id| self.take(author, id));
            }
            Change::Done { id, actor, deed, at } => self.tell(id, actor, deed, at),
            Change::Undone { id, deed, at } => self.take_back(id, deed, at),
            Change::Gone { user } => self.forget(user),
        }
    }

    /// Who is to hear of it; nobody of what is done to a post that is not there.
    fn hearer(&self, deed: Deed) -> Option<UserId> {
        match deed {
            Deed::Follow { followee } => Some(followee),
            Deed::Like { post } => self.posts.get(&post).map(|posted| posted.author),
        }
    }

    fn tell(&mut self, id: NotificationId, actor: UserId, deed: Deed, at: Timestamp) {
        let Some(hearer) = self.hearer(deed) else { return };
        if hearer == actor || self.gone.contains(&hearer) || self.gone.contains(&actor) {
            return;
        }
        if self.inboxes.entry(hearer).or_default().0.insert(id.padded(), at, (id, actor, deed)) {
            self.heard_by.entry(actor).or_default().insert((hearer, id));
            if let Some(posted) = deed.post().and_then(|post| self.posts.get_mut(&post)) {
                posted.heard.insert(id);
            }
        }
    }

    fn take_back(&mut self, id: NotificationId, deed: Deed, at: Timestamp) {
        let Some(hearer) = self.hearer(deed) else { return };
        let told = self.of(hearer).and_then(|inbox| inbox.get(id.padded()));
        if told.is_some_and(|told| at.since(told.created_at) <= TAKEN_BACK_MAX) {
            self.take(hearer, id);
        }
    }

    fn take(&mut self, hearer: UserId, id: NotificationId) {
        let Some(inbox) = self.inboxes.get_mut(&hearer) else { return };
        let Some(Notification { actor, deed, .. }) = inbox.get(id.padded()) else { return };
        inbox.0.remove(id.padded());
        if inbox.0.is_empty() {
            self.inboxes.remove(&hearer);
        }
        if let Some(heard_by) = self.heard_by.get_mut(&actor) {
            heard_by.remove(&(hearer, id));
            if heard_by.is_empty() {
                self.heard_by.remove(&actor);
            }
        }
        if let Some(posted) = deed.post().and_then(|post| self.posts.get_mut(&post)) {
            posted.heard.remove(&id);
        }
    }

    /// Costs as much as there is of and for the person.
    fn forget(&mut self, user: UserId) {
        self.gone.insert(user);
        let own = self.of(user).into_iter().flat_map(Inbox::iter).map(|it| (user, it.id));
        let by_them = self.heard_by.get(&user).into_iter().flatten().copied();
        for (hearer, id) in own.chain(by_them).collect::<Vec<_>>() {
            self.take(hearer, id);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.inboxes.is_empty() && self.heard_by.is_empty() && self.posts.is_empty()
    }
}
