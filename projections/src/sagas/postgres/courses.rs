//! The sagas of a batch, taken along by its events.

use super::rows;
use crate::sagas::SagaView;
use crate::sagas::change::Change;
use crate::sagas::history::Happened;
use crate::sagas::names::Names;
use events::{SagaEvent, SagaId};
use journal::Partition;
use sqlx::{Error, PgConnection};
use std::collections::{BTreeMap, BTreeSet};

/// In the order of their ids.
pub(super) struct Courses {
    pub(super) sagas: BTreeMap<SagaId, Course>,
    /// Which have ended in which partition, as they were then.
    pub(super) ends: Vec<End>,
    names: Names,
}

/// A saga, without the events that are stored of it.
pub(super) struct Course {
    pub(super) view: SagaView,
    /// So many events of it are stored.
    pub(super) events_before: u64,
    pub(super) events: Vec<Happened>,
    /// It takes the place of what is stored under this id.
    pub(super) begins: bool,
}

impl Course {
    pub(super) fn events_count(&self) -> u64 {
        self.events_before + self.events.len() as u64
    }
}

/// The end of a saga.
pub(super) struct End {
    pub(super) partition: Partition,
    pub(super) process: String,
    pub(super) at: events::Timestamp,
    pub(super) saga: SagaId,
}

impl Courses {
    /// Those that these changes are about.
    pub(super) async fn load(transaction: &mut PgConnection, changes: &[Change]) -> Result<Self, Error> {
        let about = |change: &Change| match change {
            Change::Happened { saga, .. } => Some(saga.saga().0),
            Change::Gone { .. } => None,
        };
        let ids = changes.iter().filter_map(about).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        let mut names = Names::default();
        let stored = rows::load(transaction, &ids, &mut names).await?.into_iter();
        let course = |(view, events_before)| Course { view, events_before, events: Vec::new(), begins: false };
        let sagas = stored.map(|stored| (stored.0.id, course(stored))).collect();
        Ok(Self { sagas, ends: Vec::new(), names })
    }

    pub(super) fn take_along(&mut self, change: Change) {
        let Change::Happened { context, saga: event, event: name, plan } = change else { return };
        let id = event.saga();
        let is_open = |course: &&mut Course| course.view.status.is_open();
        if let SagaEvent::Started(started) = &event
            && self.sagas.get_mut(&id).filter(is_open).is_none()
        {
            let view = SagaView::begun(context, id, &started.data.process, &plan, &mut self.names);
            self.sagas.insert(id, Course { view, events_before: 0, events: Vec::new(), begins: true });
        }
        // Nothing happens to a saga that has ended, and one that was dropped is not known any more.
        let Some(course) = self.sagas.get_mut(&id).filter(is_open) else { return };
        let (at, position) = (context.at, context.position);
        course.events.push(Happened::of(&event, name, at, position, &mut self.names));
        course.view.apply(&event, at, &mut self.names);
        if let Some(at) = course.view.ended_at {
            let process = course.view.process.to_string();
            self.ends.push(End { partition: position.partition, process, at, saga: id });
        }
    }

    pub(super) async fn write(self, transaction: &mut PgConnection) -> Result<(), Error> {
        let changed = self.sagas.values().filter(|course| !course.events.is_empty()).collect::<Vec<_>>();
        if changed.is_empty() {
            return Ok(());
        }
        rows::write(transaction, &changed).await?;
        if self.ends.is_empty() {
            return Ok(());
        }
        rows::end(transaction, &self.ends).await
    }
}
