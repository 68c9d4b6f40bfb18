//! What stands in the log, folded by the kit itself: it does not ask the code under test what came of it.

use super::ready::At;
use super::run::told;
use events::{
    ClaimEvent, Claimed, Event, FeedSlotEvent, Key, PostEvent, PostId, SagaEvent, SagaId, Step, UserEvent, UserId,
};
use journal::{DecodedCommit, Journal, Partition, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everybody and everything in a log.
pub(super) struct Ledger {
    readers: Vec<Reader>,
    commits: usize,
    pub(super) people: BTreeMap<UserId, Entry>,
    /// Whose keys are said to be destroyed.
    pub(super) unreadable: BTreeSet<UserId>,
    /// Who holds which address or name.
    pub(super) claims: BTreeMap<Key, Holder>,
    /// Which saga holds a place in whose feed for which draft.
    pub(super) places: BTreeMap<(UserId, PostId), SagaId>,
    pub(super) drafts: BTreeSet<PostId>,
    pub(super) sagas: BTreeMap<SagaId, Course>,
    /// What each has done to other keys.
    there: BTreeMap<SagaId, Counted>,
}

/// How often events happened, by name.
pub(super) type Counted = BTreeMap<&'static str, usize>;

/// An account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) email: Claimed,
    pub(super) username: Claimed,
    pub(super) disabled: bool,
}

/// Who holds a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) user: UserId,
    pub(super) version: u64,
    pub(super) confirmed: bool,
}

/// What a saga has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Steps and compensations, in the order in which they were requested.
    pub(super) requested: Vec<At>,
    /// Those that came to something.
    pub(super) came_to: Vec<At>,
    /// Those that something was told of.
    pub(super) told: Vec<At>,
    /// How it ended, each time that it did.
    pub(super) ends: Vec<&'static str>,
    /// A compensation was given up and not ordered again.
    pub(super) is_stuck: bool,
    /// What it wrote after its end.
    pub(super) after_its_end: Vec<&'static str>,
    /// What happened in its commits besides itself.
    pub(super) here: Counted,
}

impl Course {
    /// Whether it has come to its end.
    pub(super) fn has_ended(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Whether it was completed; `None` if it has not ended, or not in one way.
    pub(super) fn is_complete(&self) -> Option<bool> {
        match self.ends[..] {
            [end] => Some(end == "saga.completed"),
            _ => None,
        }
    }

    fn note(&mut self, event: &SagaEvent, name: &'static str) {
        if self.has_ended() {
            self.after_its_end.push(name);
        }
        self.told.extend(told(event));
        let at = |step: &Step, undo| At { step: step.clone(), undo };
        match event {
            SagaEvent::StepRequested(e) => self.requested.push(at(&e.step, e.compensation)),
            SagaEvent::StepCompleted(e) => self.came_to.push(at(&e.step, false)),
            SagaEvent::StepUndone(e) => self.came_to.push(at(&e.step, true)),
            SagaEvent::Completed(_) | SagaEvent::Compensated(_) => self.ends.push(name),
            SagaEvent::CompensationFailed(_) => self.is_stuck = true,
            SagaEvent::RetryOrdered(_) => self.is_stuck = false,
            _ => {}
        }
    }
}

impl Ledger {
    /// Before the first record.
    pub(super) async fn of(journal: &Arc<dyn Journal>) -> Self {
        let mut readers = Vec::new();
        for n in 0..journal.partitions() {
            readers.push(Reader::from_start(Arc::clone(journal), Partition(n)).await.expect("a sound log"));
        }
        Self {
            readers,
            commits: 0,
            people: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            claims: BTreeMap::new(),
            places: BTreeMap::new(),
            drafts: BTreeSet::new(),
            sagas: BTreeMap::new(),
            there: BTreeMap::new(),
        }
    }

    /// Folds what has landed since the last look.
    pub(super) async fn look(&mut self) {
        let mut landed = Vec::new();
        for reader in &mut self.readers {
            loop {
                let commits = reader.commits().await.expect("a sound log");
                if commits.is_empty() {
                    break;
                }
                landed.extend(commits);
            }
        }
        self.commits += landed.len();
        landed.iter().for_each(|decoded| self.fold(decoded));
    }

    /// How many valid commits there are.
    pub(super) fn commits(&self) -> usize {
        self.commits
    }

    /// Sagas that have not come to their end.
    pub(super) fn open(&self) -> impl Iterator<Item = SagaId> {
        self.sagas.iter().filter(|(_, course)| !course.has_ended() && !course.is_stuck).map(|(saga, _)| *saga)
    }

    /// What a saga's steps did to other keys.
    pub(super) fn there(&self, saga: SagaId) -> Counted {
        self.there.get(&saga).cloned().unwrap_or_default()
    }

    fn fold(&mut self, DecodedCommit { key, commit, .. }: &DecodedCommit) {
        let on_its_own_key = commit.events.iter().find_map(|event| match event {
            Event::Saga(event) => Some(event.saga()),
            _ => None,
        });
        for event in &commit.events {
            let name = event.wire_name().0;
            match (event, on_its_own_key) {
                (Event::Saga(event), _) => self.sagas.entry(event.saga()).or_default().note(event, name),
                (_, Some(saga)) => *self.sagas.entry(saga).or_default().here.entry(name).or_default() += 1,
                // What a saga does elsewhere has the saga for its cause; what else happens counts for nobody.
                _ => {
                    let saga = SagaId(commit.causation.unwrap_or_default());
                    *self.there.entry(saga).or_default().entry(name).or_default() += 1;
                }
            }
            self.happens(key, event);
        }
    }

    fn happens(&mut self, key: &Key, event: &Event) {
        match event {
            Event::User(event) => self.happens_to_user(event),
            Event::Claim(ClaimEvent::Reserved(e)) => {
                self.claims.insert(*key, Holder { user: e.user, version: e.version, confirmed: false });
            }
            Event::Claim(ClaimEvent::Confirmed(_)) => {
                if let Some(holder) = self.claims.get_mut(key) {
                    holder.confirmed = true;
                }
            }
            Event::Claim(ClaimEvent::Released(e)) if e.user.is_some() => {
                self.claims.remove(key);
            }
            Event::FeedSlot(FeedSlotEvent::Reserved(e)) => {
                self.places.insert((e.user, e.post), e.saga);
            }
            Event::FeedSlot(FeedSlotEvent::Committed(e)) => self.give_back(e.user, e.post, e.saga),
            Event::FeedSlot(FeedSlotEvent::Released(e)) => self.give_back(e.user, e.post, e.saga),
            Event::Post(PostEvent::Drafted(e)) => {
                self.drafts.insert(e.post);
            }
            Event::Post(PostEvent::DraftPublished(e)) => {
                self.drafts.remove(&e.post);
            }
            Event::Post(PostEvent::DraftDropped(e)) => {
                self.drafts.remove(&e.post);
            }
            _ => {}
        }
    }

    fn give_back(&mut self, user: UserId, post: PostId, saga: SagaId) {
        if self.places.get(&(user, post)) == Some(&saga) {
            self.places.remove(&(user, post));
        }
    }

    fn happens_to_user(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Created(e) => {
                let email = Claimed { claim: e.email_claim, version: e.email_version };
                let username = Claimed { claim: e.username_claim, version: e.username_version };
                self.people.insert(e.user, Entry { email, username, disabled: false });
            }
            UserEvent::KeyDestroyed(e) => {
                self.unreadable.insert(e.user);
            }
            UserEvent::EmailChanged(e) => self.change(e.user, |entry| entry.email = e.claimed),
            UserEvent::UsernameChanged(e) => self.change(e.user, |entry| entry.username = e.claimed),
            UserEvent::Disabled(e) => self.change(e.user, |entry| entry.disabled = true),
            UserEvent::BioChanged(_) | UserEvent::PasswordChanged(_) | UserEvent::RoleChanged(_) => {}
        }
    }

    fn change(&mut self, user: UserId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.people.get_mut(&user) {
            change(entry);
        }
    }
}
