//! The data behind [`super::Sagas`]: the sagas, and those that are open by what is asked of them.

use super::history::{Happened, History};
use super::names::Names;
use super::saga::{SagaStatus, SagaView};
use crate::dated;
use crate::listing::Place;
use crate::read_model::Entry;
use events::{Key, SagaEvent, SagaId, SagaStarted, Step, Timestamp, UserId};
use journal::Partition;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// How many ended sagas of each process are kept for each partition: those that ended last.
///
/// With 64 partitions and four processes that is at most 65,536 of them. With the history of a usual course, which has six
/// to twelve events, one takes 1.5 to 3 KiB: some 150 MB once all of these places are taken.
pub const ENDED_MAX: usize = 256;

/// The process whose progress is asked for by whoever is gone.
const USER_DELETION: &str = "USER_DELETION";

#[derive(Default)]
pub(super) struct Ledger {
    sagas: HashMap<SagaId, SagaView>,
    /// By their beginning.
    pub(super) all: BTreeSet<Place>,
    /// The open ones, by their beginning.
    pub(super) tallied: BTreeMap<(Arc<str>, SagaStatus), BTreeSet<Place>>,
    /// The open ones, by whom they concern.
    concerning: BTreeSet<(UserId, SagaId)>,
    /// The ended ones, by whom they concerned.
    past: BTreeSet<(UserId, SagaId)>,
    /// The last ends, by when. Some are of sagas that began again since, or are kept no longer: so what is kept of others
    /// does not depend on when the end of a person was read, which stands in another partition.
    ends: BTreeMap<(Partition, Arc<str>), BTreeSet<Place>>,
    /// Whose key is destroyed.
    gone: HashSet<UserId>,
    names: Names,
}

/// What an event means here.
pub(super) enum Change<'a> {
    /// Something happened to a saga; with the whole plan of one that begins, if that is known.
    Happened { entry: Entry<'a>, saga: &'a SagaEvent, event: &'static str, plan: Vec<Step> },
    /// Somebody's key is destroyed.
    Gone { user: UserId },
}

impl Ledger {
    pub(super) fn get(&self, saga: SagaId) -> Option<&SagaView> {
        self.sagas.get(&saga)
    }

    /// The open ones of a process and a status, where these matter, oldest first.
    pub(super) fn open(
        &self,
        process: Option<&str>,
        status: Option<SagaStatus>,
        after: Option<Place>,
    ) -> impl Iterator<Item = Place> + use<'_> {
        let orders = self.tallied.iter().filter(|((of, at), _)| {
            process.is_none_or(|process| *process == **of) && status.is_none_or(|status| status == *at)
        });
        dated::oldest_of(orders.map(|(_, order)| order).collect(), after)
    }

    pub(super) fn concerning(&self, user: UserId) -> impl Iterator<Item = SagaId> {
        of(&self.concerning, user)
    }

    pub(super) fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::Happened { entry, saga, event, plan } => {
                if let SagaEvent::Started(started) = saga {
                    self.start(&entry, started, &plan);
                }
                self.happen(&entry, saga, event);
            }
            Change::Gone { user } => self.part_from(user),
        }
    }

    fn happen(&mut self, entry: &Entry<'_>, event: &SagaEvent, name: &'static str) {
        // Nothing happens to a saga that has ended, and one that was dropped is not known any more.
        let saga = self.sagas.get_mut(&event.saga()).filter(|saga| saga.status.is_open());
        let Some(saga) = saga else { return };
        let (before, at) = (saga.status, entry.commit.time);
        saga.history.push(Happened::of(event, name, at, entry.position, &mut self.names));
        saga.apply(event, at, &mut self.names);
        if saga.status != before {
            let id = saga.id;
            self.turn(id, before);
            self.end(entry.position.partition, id);
        }
    }

    /// The person is gone for good, and with them what they once had done.
    fn part_from(&mut self, user: UserId) {
        self.gone.insert(user);
        let past = of(&self.past, user).filter(|id| self.sagas[id].process.as_ref() != USER_DELETION);
        past.collect::<Vec<_>>().into_iter().for_each(|id| self.forget(id));
    }

    /// One that ended under this id is followed by another, and makes room for it.
    fn start(&mut self, entry: &Entry<'_>, SagaStarted { saga: id, data }: &SagaStarted, plan: &[Step]) {
        match self.sagas.get(id) {
            Some(saga) if saga.status.is_open() => return,
            Some(_) => self.forget(*id),
            None => {}
        }
        let saga = SagaView {
            id: *id,
            process: self.names.shared(&data.process),
            key: entry.key,
            actor: entry.commit.actor,
            status: SagaStatus::Running,
            reason: None,
            failure: None,
            started_at: entry.commit.time,
            updated_at: entry.commit.time,
            progressed_at: entry.commit.time,
            ended_at: None,
            plan: self.names.plan(plan),
            steps: Vec::new(),
            history: History::default(),
        };
        self.all.insert(begun(&saga));
        self.tallied.entry((Arc::clone(&saga.process), saga.status)).or_default().insert(begun(&saga));
        self.concerning.extend(concerned(&saga).map(|user| (user, saga.id)));
        self.sagas.insert(*id, saga);
    }

    /// A saga has another status than before.
    fn turn(&mut self, id: SagaId, before: SagaStatus) {
        let saga = &self.sagas[&id];
        let tallied = (Arc::clone(&saga.process), before);
        if let Some(sagas) = self.tallied.get_mut(&tallied) {
            sagas.remove(&begun(saga));
            if sagas.is_empty() {
                self.tallied.remove(&tallied);
            }
        }
        if saga.status.is_open() {
            self.tallied.entry((Arc::clone(&saga.process), saga.status)).or_default().insert(begun(saga));
        }
    }

    fn end(&mut self, partition: Partition, id: SagaId) {
        let saga = &self.sagas[&id];
        let Some(at) = saga.ended_at else { return };
        for user in concerned(saga) {
            self.concerning.remove(&(user, id));
            self.past.insert((user, id));
        }
        let is_kept = &*saga.process == USER_DELETION || concerned(saga).all(|user| !self.gone.contains(&user));
        let ends = self.ends.entry((partition, Arc::clone(&saga.process))).or_default();
        ends.insert((at, id.0));
        let oldest = if ends.len() > ENDED_MAX { ends.pop_first() } else { None };
        if !is_kept {
            self.forget(id);
        }
        if let Some((at, oldest)) = oldest {
            self.forget_end(SagaId(oldest), at);
        }
    }

    /// Forgets a saga if that was its last end.
    fn forget_end(&mut self, id: SagaId, at: Timestamp) {
        if self.sagas.get(&id).is_some_and(|saga| saga.ended_at == Some(at)) {
            self.forget(id);
        }
    }

    /// Forgets a saga that has ended.
    fn forget(&mut self, id: SagaId) {
        let Some(saga) = self.sagas.remove(&id) else { return };
        self.all.remove(&begun(&saga));
        concerned(&saga).for_each(|user| {
            self.past.remove(&(user, id));
        });
    }
}

fn begun(saga: &SagaView) -> Place {
    (saga.started_at, saga.id.0)
}

fn concerned(saga: &SagaView) -> impl Iterator<Item = UserId> + use<> {
    let owner = match saga.key {
        Key::User(user) => Some(user),
        Key::Post(_) | Key::Email(_) | Key::Username(_) => None,
    };
    owner.into_iter().chain(saga.actor)
}

fn of(sagas: &BTreeSet<(UserId, SagaId)>, user: UserId) -> impl Iterator<Item = SagaId> {
    sagas.range((user, SagaId(Uuid::nil()))..=(user, SagaId(Uuid::max()))).map(|(_, saga)| *saga)
}
