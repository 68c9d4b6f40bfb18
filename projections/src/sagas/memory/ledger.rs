//! The data behind [`super::MemorySagas`]: the sagas, and those that are open by what is asked of them.

use crate::dated;
use crate::listing::Place;
use crate::sagas::change::{Change, Context};
use crate::sagas::history::Happened;
use crate::sagas::names::Names;
use crate::sagas::saga::{SagaStatus, SagaView};
use crate::sagas::{ENDED_MAX, concerned, outlives_them};
use events::{SagaEvent, SagaId, SagaStarted, Step, Timestamp, UserId};
use journal::Partition;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

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

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Happened { context, saga, event, plan } => {
                if let SagaEvent::Started(started) = &saga {
                    self.start(context, started, &plan);
                }
                self.happen(context, &saga, event);
            }
            Change::Gone { user } => self.part_from(user),
        }
    }

    fn happen(&mut self, context: Context, event: &SagaEvent, name: &'static str) {
        // Nothing happens to a saga that has ended, and one that was dropped is not known any more.
        let saga = self.sagas.get_mut(&event.saga()).filter(|saga| saga.status.is_open());
        let Some(saga) = saga else { return };
        let (before, at) = (saga.status, context.at);
        saga.history.push(Happened::of(event, name, at, context.position, &mut self.names));
        saga.apply(event, at, &mut self.names);
        if saga.status != before {
            let id = saga.id;
            self.turn(id, before);
            self.end(context.position.partition, id);
        }
    }

    /// The person is gone for good, and with them what they once had done.
    fn part_from(&mut self, user: UserId) {
        self.gone.insert(user);
        let past = of(&self.past, user).filter(|id| !outlives_them(&self.sagas[id].process));
        past.collect::<Vec<_>>().into_iter().for_each(|id| self.forget(id));
    }

    /// One that ended under this id is followed by another, and makes room for it.
    fn start(&mut self, context: Context, SagaStarted { saga: id, data }: &SagaStarted, plan: &[Step]) {
        match self.sagas.get(id) {
            Some(saga) if saga.status.is_open() => return,
            Some(_) => self.forget(*id),
            None => {}
        }
        let saga = SagaView::begun(context, *id, &data.process, plan, &mut self.names);
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
        let is_kept = outlives_them(&saga.process) || concerned(saga).all(|user| !self.gone.contains(&user));
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

fn of(sagas: &BTreeSet<(UserId, SagaId)>, user: UserId) -> impl Iterator<Item = SagaId> {
    sagas.range((user, SagaId(Uuid::nil()))..=(user, SagaId(Uuid::max()))).map(|(_, saga)| *saga)
}
