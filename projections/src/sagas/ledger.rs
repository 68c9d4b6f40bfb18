//! The data behind [`super::Sagas`]: the sagas, and those that are open by what is asked of them.

use super::history::{Happened, History};
use super::names::Names;
use super::saga::{SagaStatus, SagaView};
use crate::listing::Place;
use crate::read_model::Entry;
use events::{Key, SagaEvent, SagaId, SagaStarted, UserId};
use journal::Partition;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// How many ended sagas of each process are kept for each partition: those that ended last.
pub const ENDED_MAX: usize = 1_000;

#[derive(Default)]
pub(super) struct Ledger {
    sagas: HashMap<SagaId, SagaView>,
    /// By their beginning.
    pub(super) all: BTreeSet<Place>,
    pub(super) open: BTreeSet<Place>,
    /// The open ones, by their beginning.
    pub(super) tallied: BTreeMap<(Arc<str>, SagaStatus), BTreeSet<Place>>,
    /// The open ones, by whom they concern.
    concerning: BTreeSet<(UserId, SagaId)>,
    /// By their end.
    ended: BTreeMap<(Partition, Arc<str>), BTreeSet<Place>>,
    names: Names,
}

impl Ledger {
    pub(super) fn get(&self, saga: SagaId) -> Option<&SagaView> {
        self.sagas.get(&saga)
    }

    pub(super) fn concerning(&self, user: UserId) -> impl Iterator<Item = SagaId> {
        let all = (user, SagaId(Uuid::nil()))..=(user, SagaId(Uuid::max()));
        self.concerning.range(all).map(|(_, saga)| *saga)
    }

    pub(super) fn apply(&mut self, partition: Partition, entry: &Entry<'_>, event: &SagaEvent, name: &'static str) {
        if let SagaEvent::Started(started) = event {
            self.start(entry, started);
        }
        // Nothing happens to a saga that has ended, and one that was dropped is not known any more.
        let saga = self.sagas.get_mut(&event.saga()).filter(|saga| saga.status.is_open());
        let Some(saga) = saga else { return };
        let (before, at) = (saga.status, entry.commit.time);
        saga.history.push(Happened::of(event, name, at, entry.position, &mut self.names));
        saga.apply(event, at, &mut self.names);
        if saga.status != before {
            let id = saga.id;
            self.turn(partition, id, before);
        }
    }

    fn start(&mut self, entry: &Entry<'_>, SagaStarted { saga: id, data }: &SagaStarted) {
        if self.sagas.contains_key(id) {
            return;
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
            steps: Vec::new(),
            history: History::default(),
        };
        self.all.insert(begun(&saga));
        self.open.insert(begun(&saga));
        self.tallied.entry((Arc::clone(&saga.process), saga.status)).or_default().insert(begun(&saga));
        self.concerning.extend(concerned(&saga).map(|user| (user, saga.id)));
        self.sagas.insert(*id, saga);
    }

    /// A saga has another status than before.
    fn turn(&mut self, partition: Partition, id: SagaId, before: SagaStatus) {
        let saga = &self.sagas[&id];
        let (process, place) = (&saga.process, begun(saga));
        let tallied = (Arc::clone(process), before);
        if let Some(sagas) = self.tallied.get_mut(&tallied) {
            sagas.remove(&place);
            if sagas.is_empty() {
                self.tallied.remove(&tallied);
            }
        }
        if saga.status.is_open() {
            self.tallied.entry((Arc::clone(process), saga.status)).or_default().insert(place);
            return;
        }
        self.open.remove(&place);
        concerned(saga).for_each(|user| {
            self.concerning.remove(&(user, id));
        });
        let ended = self.ended.entry((partition, Arc::clone(process))).or_default();
        ended.insert((saga.updated_at, id.0));
        if ended.len() > ENDED_MAX
            && let Some((_, oldest)) = ended.pop_first()
            && let Some(dropped) = self.sagas.remove(&SagaId(oldest))
        {
            self.all.remove(&begun(&dropped));
        }
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
