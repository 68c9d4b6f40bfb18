//! The sagas, each answered from the whole list of its events.

use crate::answers::{Answers, SagaAnswer};
use crate::history::{USERS, user};
use events::{Key, SagaEvent, SagaId, Timestamp};
use std::collections::BTreeMap;

/// When what happened to a saga, and its wire name.
pub(super) type Happened<'a> = (Timestamp, &'a SagaEvent, &'static str);

pub(super) fn answers(sagas: &BTreeMap<SagaId, (Key, Vec<Happened<'_>>)>, all: &mut Answers) {
    all.sagas = sagas.iter().map(|(id, (_, events))| (*id, answer(events))).collect();
    let mut open = all.sagas.iter().filter(|(_, saga)| saga.ended_at.is_none()).collect::<Vec<_>>();
    open.sort_by_key(|(id, saga)| (saga.started_at, **id));
    all.open_sagas = open.iter().map(|(id, _)| **id).collect();
    let mut tallies = BTreeMap::<_, Vec<Timestamp>>::new();
    for (_, saga) in &open {
        tallies.entry((saga.process.clone(), saga.status.clone())).or_default().push(saga.started_at);
    }
    let tallies = tallies.into_iter();
    all.tallies = tallies.map(|((process, status), began)| (process, status, began.len(), Some(began[0]))).collect();
    for person in (0..USERS).map(user) {
        let theirs = open.iter().map(|(id, _)| **id).filter(|id| sagas[id].0 == Key::User(person));
        let mut theirs = theirs.collect::<Vec<_>>();
        theirs.sort();
        all.concerning.insert(person, theirs);
    }
}

fn answer(events: &[Happened<'_>]) -> SagaAnswer {
    let mut saga = SagaAnswer {
        status: "RUNNING".to_owned(),
        started_at: events.first().unwrap().0,
        updated_at: events.last().unwrap().0,
        history: events.iter().map(|(at, _, name)| (*at, *name)).collect(),
        ..SagaAnswer::default()
    };
    for (at, event, _) in events {
        match event {
            SagaEvent::Started(e) => saga.process = e.data.process.to_string(),
            SagaEvent::StepRequested(e) if !e.compensation => {
                saga.steps.push((e.step.to_string(), "Open".to_owned(), 0, 0, e.due));
            }
            SagaEvent::StepRequested(e) => {
                let step = step(&mut saga, &e.step);
                (step.1, step.2, step.4) = ("Undoing".to_owned(), 0, e.due);
            }
            SagaEvent::StepRetried(e) => {
                let step = step(&mut saga, &e.step);
                (step.2, step.4) = (e.attempts, e.due);
            }
            SagaEvent::StepAdvanced(e) => {
                let step = step(&mut saga, &e.step);
                (step.2, step.3, step.4) = (0, e.parts, e.due);
            }
            SagaEvent::StepCompleted(e) => step(&mut saga, &e.step).1 = "Done".to_owned(),
            SagaEvent::StepRefused(e) => step(&mut saga, &e.step).1 = "Refused".to_owned(),
            SagaEvent::StepUndone(e) => step(&mut saga, &e.step).1 = "Undone".to_owned(),
            SagaEvent::Compensating(e) => stands(&mut saga, "COMPENSATING", Some(&e.reason)),
            SagaEvent::CompensationFailed(e) => stands(&mut saga, "COMPENSATION_FAILED", Some(&e.error)),
            SagaEvent::RetryOrdered(_) => stands(&mut saga, "COMPENSATING", None),
            SagaEvent::CompensationOrdered(_) => {}
            SagaEvent::Completed(_) => {
                stands(&mut saga, "COMPLETED", None);
                saga.ended_at = Some(*at);
            }
            SagaEvent::Compensated(_) => {
                stands(&mut saga, "COMPENSATED", None);
                saga.ended_at = Some(*at);
            }
        }
    }
    saga
}

fn step<'a>(saga: &'a mut SagaAnswer, step: &events::Step) -> &'a mut (String, String, u32, u32, Timestamp) {
    saga.steps.iter_mut().find(|(name, ..)| *name == *step.0).unwrap()
}

fn stands(saga: &mut SagaAnswer, status: &str, reason: Option<&String>) {
    saga.status = status.to_owned();
    saga.reason = reason.cloned().or(saga.reason.take());
}
