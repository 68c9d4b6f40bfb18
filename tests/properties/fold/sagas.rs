//! The sagas, each answered from the whole list of its events.

use crate::answers::{Answers, STATUSES, SagaAnswer};
use crate::history::{USER_DELETION, USERS, user};
use events::{Key, SagaEvent, SagaId, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// Something that happened to a saga.
pub(super) struct Happened<'a> {
    pub(super) key: Key,
    pub(super) at: Timestamp,
    pub(super) actor: Option<UserId>,
    pub(super) event: &'a SagaEvent,
    pub(super) name: &'static str,
}

/// `forgotten`: whose keys are destroyed.
pub(super) fn answers(sagas: &BTreeMap<SagaId, Vec<Happened<'_>>>, forgotten: &BTreeSet<UserId>, all: &mut Answers) {
    let (mut open, mut ended) = (Vec::new(), Vec::new());
    for (id, events) in sagas {
        let began = events.iter().rposition(|it| matches!(it.event, SagaEvent::Started(_))).unwrap();
        let (first, saga) = (&events[began], answer(&events[began..]));
        let concerned = concerned(first);
        let is_theirs = concerned.iter().any(|person| forgotten.contains(person));
        if saga.ended_at.is_none() {
            open.push((saga.started_at, *id, concerned));
        } else if saga.process != USER_DELETION && is_theirs {
            continue;
        } else {
            ended.push((saga.started_at, *id));
        }
        all.sagas.insert(*id, saga);
    }
    open.sort();
    ended.sort();
    all.open_sagas = open.iter().map(|(_, id, _)| *id).collect();
    all.ended_sagas = ended.into_iter().map(|(_, id)| id).collect();
    let at =
        |status: &str| all.open_sagas.iter().copied().filter(|id| all.sagas[id].status == status).collect::<Vec<_>>();
    all.sagas_by_status = STATUSES.map(|status| at(status.name())).into();
    let mut tallies = BTreeMap::<_, Vec<Timestamp>>::new();
    for saga in all.open_sagas.iter().map(|id| &all.sagas[id]) {
        tallies.entry((saga.process.clone(), saga.status.clone())).or_default().push(saga.started_at);
    }
    let tallies = tallies.into_iter();
    all.tallies = tallies.map(|((process, status), began)| (process, status, began.len(), Some(began[0]))).collect();
    for person in (0..USERS).map(user) {
        let theirs = open.iter().filter(|(_, _, concerned)| concerned.contains(&person)).map(|(_, id, _)| *id);
        all.concerning.insert(person, theirs.collect::<BTreeSet<_>>().into_iter().collect());
    }
}

fn concerned(first: &Happened<'_>) -> Vec<UserId> {
    let owner = match first.key {
        Key::User(owner) => Some(owner),
        _ => None,
    };
    owner.into_iter().chain(first.actor).collect()
}

fn answer(events: &[Happened<'_>]) -> SagaAnswer {
    let is_progress = |it: &&Happened<'_>| !matches!(it.name, "saga.step_retried" | "saga.retry_ordered");
    let mut saga = SagaAnswer {
        status: "RUNNING".to_owned(),
        started_at: events.first().unwrap().at,
        updated_at: events.last().unwrap().at,
        progressed_at: events.iter().rfind(is_progress).unwrap().at,
        history: events.iter().map(|it| (it.at, it.name.to_owned())).collect(),
        ..SagaAnswer::default()
    };
    // By step what came of its last attempt.
    let mut errors = BTreeMap::new();
    for Happened { at, event, .. } in events {
        match event {
            SagaEvent::StepRetried(e) => drop(errors.insert(e.step.to_string(), e.error.clone())),
            SagaEvent::CompensationFailed(e) => drop(errors.insert(e.step.to_string(), e.error.clone())),
            _ => {}
        }
        apply(&mut saga, event, *at);
    }
    let phases = saga.steps.iter().map(|(name, phase, attempts, ..)| (name.clone(), phase.as_str(), *attempts));
    let error = |name: &String, attempts: u32| (attempts > 0).then(|| errors[name].clone());
    let (waits, remains): (&[&str], &[&str]) = match saga.status.as_str() {
        "RUNNING" => (&["Open"], &["Open"]),
        "COMPENSATING" => (&["Undoing"], &["Open", "Done", "Refused", "Undoing"]),
        "COMPENSATION_FAILED" => (&[], &["Open", "Done", "Refused", "Undoing"]),
        _ => (&[], &[]),
    };
    let waiting = phases.clone().filter(|(_, phase, _)| waits.contains(phase));
    saga.waiting =
        waiting.map(|(name, phase, attempts)| (name.clone(), phase == "Undoing", error(&name, attempts))).collect();
    saga.remaining = phases.filter(|(_, phase, _)| remains.contains(phase)).map(|(name, ..)| name).collect();
    saga
}

fn apply(saga: &mut SagaAnswer, event: &SagaEvent, at: Timestamp) {
    match event {
        SagaEvent::Started(e) => saga.process = e.data.process.to_string(),
        SagaEvent::StepRequested(e) => {
            let phase = if e.compensation { "Undoing" } else { "Open" };
            if !saga.steps.iter().any(|(name, ..)| *name == *e.step.0) {
                saga.steps.push((e.step.to_string(), String::new(), 0, 0, at));
            }
            let step = step(saga, &e.step);
            (step.1, step.2, step.4) = (phase.to_owned(), 0, e.due);
        }
        SagaEvent::StepRetried(e) => {
            let step = step(saga, &e.step);
            (step.2, step.4) = (e.attempts, e.due);
        }
        SagaEvent::StepAdvanced(e) => {
            let step = step(saga, &e.step);
            (step.2, step.3, step.4) = (0, e.parts, e.due);
        }
        SagaEvent::StepCompleted(e) => step(saga, &e.step).1 = "Done".to_owned(),
        SagaEvent::StepRefused(e) => step(saga, &e.step).1 = "Refused".to_owned(),
        SagaEvent::StepUndone(e) => step(saga, &e.step).1 = "Undone".to_owned(),
        SagaEvent::Compensating(e) => {
            (saga.status, saga.reason) = ("COMPENSATING".to_owned(), Some(e.reason.clone()));
        }
        SagaEvent::CompensationFailed(e) => {
            (saga.status, saga.failure) = ("COMPENSATION_FAILED".to_owned(), Some(e.error.clone()));
        }
        SagaEvent::RetryOrdered(_) => (saga.status, saga.failure) = ("COMPENSATING".to_owned(), None),
        SagaEvent::CompensationOrdered(_) => {}
        SagaEvent::Completed(_) => (saga.status, saga.ended_at) = ("COMPLETED".to_owned(), Some(at)),
        SagaEvent::Compensated(_) => (saga.status, saga.ended_at) = ("COMPENSATED".to_owned(), Some(at)),
    }
}

fn step<'a>(saga: &'a mut SagaAnswer, step: &events::Step) -> &'a mut (String, String, u32, u32, Timestamp) {
    saga.steps.iter_mut().find(|(name, ..)| *name == *step.0).unwrap()
}
