//! A batch as a few bulk statements: what it comes to for each notification, whatever is stored of that.

use super::super::change::Change;
use super::super::{Deed, NotificationId, TAKEN_BACK_MAX};
use events::{PostId, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What a batch comes to. Its parts are written in the order in which they stand here.
#[derive(Default)]
pub(super) struct Batch {
    /// From this batch on; whether that comes before its other changes makes no difference.
    pub(super) gone: Vec<UserId>,
    pub(super) published: BTreeMap<PostId, UserId>,
    pub(super) outcomes: BTreeMap<NotificationId, Outcome>,
    pub(super) deleted: BTreeSet<PostId>,
}

/// What becomes of a notification: it is first taken back, then there is a new one, or both.
#[derive(Default)]
pub(super) struct Outcome {
    /// If it is of this time or a later one.
    pub(super) taken_back: Option<Timestamp>,
    /// If there is none.
    pub(super) told: Option<Told>,
}

/// A notification that is new, if anybody is to hear of it.
pub(super) struct Told {
    pub(super) actor: UserId,
    pub(super) deed: Deed,
    pub(super) at: Timestamp,
}

impl Outcome {
    fn tell(&mut self, told: Told) {
        self.told.get_or_insert(told);
    }

    /// What comes later on one key is not earlier. So what is stored is taken back by the first that takes back, or by none;
    /// and what stays of this batch stays for good.
    fn take_back(&mut self, at: Timestamp) {
        if self.told.as_ref().is_some_and(|told| at.since(told.at) > TAKEN_BACK_MAX) {
            return;
        }
        self.told = None;
        let soon = i64::try_from(TAKEN_BACK_MAX.as_micros()).unwrap_or(i64::MAX);
        self.taken_back.get_or_insert(Timestamp(at.0.saturating_sub(soon)));
    }
}

impl Batch {
    pub(super) fn of(changes: Vec<Change>) -> Self {
        let mut batch = Self::default();
        for change in changes {
            match change {
                Change::Published { post, author } => {
                    batch.published.insert(post, author);
                }
                Change::Deleted { post } => {
                    batch.deleted.insert(post);
                }
                Change::Done { id, actor, deed, at } => {
                    batch.outcomes.entry(id).or_default().tell(Told { actor, deed, at });
                }
                Change::Undone { id, at, .. } => batch.outcomes.entry(id).or_default().take_back(at),
                Change::Gone { user } => batch.gone.push(user),
            }
        }
        batch
    }

    /// The posts whose authors are to hear of something and may be stored.
    pub(super) fn posts_of_others(&self) -> BTreeSet<PostId> {
        let told = self.outcomes.values().filter_map(|outcome| outcome.told.as_ref()?.deed.post());
        told.filter(|post| !self.published.contains_key(post)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{at, user};

    const ID: NotificationId = NotificationId([7; NotificationId::BYTES]);
    const DEED: Deed = Deed::Follow { followee: UserId(uuid::Uuid::from_u128(1)) };
    const SOON: i64 = TAKEN_BACK_MAX.as_secs() as i64;

    fn done(seconds: i64) -> Change {
        Change::Done { id: ID, actor: user(2), deed: DEED, at: at(seconds) }
    }

    fn undone(seconds: i64) -> Change {
        Change::Undone { id: ID, deed: DEED, at: at(seconds) }
    }

    /// From when on what is stored is taken back, and of when a new one is.
    fn outcome(changes: Vec<Change>) -> (Option<i64>, Option<i64>) {
        let batch = Batch::of(changes);
        let outcome = &batch.outcomes[&ID];
        (outcome.taken_back.map(Timestamp::seconds), outcome.told.as_ref().map(|told| told.at.seconds()))
    }

    #[test]
    fn what_comes_and_goes_is_merged_to_what_it_comes_to() {
        assert_eq!(outcome(vec![done(1), done(2)]), (None, Some(1)));
        assert_eq!(outcome(vec![done(1), undone(2)]), (Some(2 - SOON), None));
        assert_eq!(outcome(vec![undone(2), done(3)]), (Some(2 - SOON), Some(3)));
        assert_eq!(outcome(vec![done(1), undone(2), done(3), undone(4), done(5)]), (Some(2 - SOON), Some(5)));
    }

    #[test]
    fn what_is_undone_late_stays_whatever_comes_then() {
        let late = 2 + SOON;
        assert_eq!(outcome(vec![done(1), undone(late), done(late + 1), undone(late + 2)]), (None, Some(1)));
        assert_eq!(outcome(vec![undone(1), done(1), undone(late)]), (Some(1 - SOON), Some(1)));
    }
}
