//! Sagas as operators ask for them, and how little of them is kept.

use super::*;
use crate::given::{Given, at, now, user};
use crate::sagas::{ENDED_MAX, HISTORY_MAX, StepPhase, Waiting};
use events::{
    Event, Key, PostId, SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompensationOrdered,
    SagaCompleted, SagaData, SagaEvent, SagaRetryOrdered, SagaStarted, Step, StepAdvanced, StepCompleted, StepRefused,
    StepRequested, StepRetried, StepUndone, UserKeyDestroyed,
};
use std::collections::BTreeMap;
use uuid::Uuid;

pub(in crate::sagas) const SAGA: SagaId = SagaId(Uuid::from_u128(1));
const FIRST: Step = Step::named("FIRST");
const LAST: Step = Step::named("LAST");
const ALL: Page = Page { limit: 10_000, after: None };

fn saga(n: u128) -> SagaId {
    SagaId(Uuid::from_u128(n))
}

pub(in crate::sagas) fn begin(sagas: &Given<MemorySagas>, saga: SagaId, process: &'static str, key: Key, seconds: i64) {
    let data = SagaData::new(process, &BTreeMap::<String, String>::new());
    sagas.tell(key, at(seconds), [Event::from(SagaStarted { saga, data })]);
}

/// What happens to a saga happens on the key that it is on.
pub(in crate::sagas) fn tell(sagas: &Given<MemorySagas>, seconds: i64, event: impl Into<SagaEvent>) {
    let event = event.into();
    let key = seen(sagas, event.saga()).map_or(Key::User(user(1)), |saga| saga.key);
    sagas.tell(key, at(seconds), [Event::Saga(event)]);
}

pub(in crate::sagas) fn requested(step: &Step, compensation: bool) -> SagaEvent {
    StepRequested { saga: SAGA, step: step.clone(), compensation, due: at(100) }.into()
}

pub(in crate::sagas) fn retried(step: &Step, compensation: bool, attempts: u32) -> SagaEvent {
    let (due, error) = (at(100), "no answer".to_owned());
    StepRetried { saga: SAGA, step: step.clone(), compensation, attempts, due, error }.into()
}

pub(in crate::sagas) fn completed(step: &Step) -> SagaEvent {
    StepCompleted { saga: SAGA, step: step.clone(), version: None }.into()
}

pub(in crate::sagas) fn undone(step: &Step) -> SagaEvent {
    StepUndone { saga: SAGA, step: step.clone() }.into()
}

fn compensating() -> SagaEvent {
    SagaCompensating { saga: SAGA, reason: "taken".to_owned() }.into()
}

fn failed() -> SagaEvent {
    SagaCompensationFailed { saga: SAGA, step: FIRST, error: "not found".to_owned() }.into()
}

/// A saga of user 1 on their own key.
fn begun() -> Given<MemorySagas> {
    let sagas = Given { actor: Some(user(1)), ..Given::default() };
    begin(&sagas, SAGA, "ERRAND", Key::User(user(1)), 1);
    sagas
}

fn seen(sagas: &MemorySagas, saga: SagaId) -> Option<SagaView> {
    now(sagas.saga(saga)).unwrap()
}

fn view(sagas: &MemorySagas) -> SagaView {
    seen(sagas, SAGA).unwrap()
}

fn summary(sagas: &MemorySagas) -> SagaSummary {
    SagaSummary::of(&view(sagas))
}

fn concerning(sagas: &MemorySagas, of: u128) -> Vec<SagaId> {
    now(sagas.concerning(user(of))).unwrap()
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn listed(sagas: &MemorySagas, filter: &SagaFilter) -> Vec<SagaId> {
    now(sagas.list(filter, ALL)).unwrap().items.into_iter().map(|saga| saga.id).collect()
}

#[test]
fn a_saga_runs_until_its_steps_are_done() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, retried(&FIRST, false, 1));
    tell(&sagas, 4, completed(&FIRST));
    tell(&sagas, 5, requested(&LAST, false));

    let seen = view(&sagas);
    assert_eq!((&*seen.process, seen.key, seen.actor), ("ERRAND", Key::User(user(1)), Some(user(1))));
    assert_eq!((seen.status, seen.started_at, seen.updated_at), (SagaStatus::Running, at(1), at(5)));
    let [first, last] = &seen.steps[..] else { panic!("two steps") };
    assert_eq!((&*first.name, first.phase, first.attempts), ("FIRST", StepPhase::Done, 1));
    assert_eq!((first.requested_at, first.error.as_deref()), (at(2), None));
    assert_eq!((&*last.name, last.phase), ("LAST", StepPhase::Open));

    tell(&sagas, 6, completed(&LAST));
    tell(&sagas, 6, SagaCompleted { saga: SAGA });
    tell(&sagas, 7, SagaRetryOrdered { saga: SAGA, by: None, reason: "too late".to_owned() });
    let seen = view(&sagas);
    assert_eq!((seen.status, seen.ended_at, seen.updated_at), (SagaStatus::Completed, Some(at(6)), at(6)));
}

#[test]
fn a_compensation_that_failed_goes_on_when_an_operator_orders_it() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, StepRefused { saga: SAGA, step: FIRST, reason: "taken".to_owned() });
    assert_eq!(view(&sagas).steps[0].phase, StepPhase::Refused);
    tell(&sagas, 3, compensating());
    tell(&sagas, 3, requested(&FIRST, true));
    let seen = view(&sagas);
    assert_eq!((seen.status, seen.reason.as_deref()), (SagaStatus::Compensating, Some("taken")));
    assert_eq!((seen.steps[0].phase, seen.steps[0].since), (StepPhase::Undoing, at(3)));
    tell(&sagas, 4, failed());
    let seen = view(&sagas);
    assert_eq!(seen.status, SagaStatus::CompensationFailed);
    assert_eq!((seen.reason.as_deref(), seen.failure.as_deref()), (Some("taken"), Some("not found")));
    assert_eq!((seen.steps[0].error.as_deref(), seen.ended_at), (Some("not found"), None));

    tell(&sagas, 5, SagaRetryOrdered { saga: SAGA, by: Some(user(7)), reason: "again".to_owned() });
    let seen = view(&sagas);
    assert_eq!((seen.status, seen.reason.as_deref()), (SagaStatus::Compensating, Some("taken")));
    assert_eq!(seen.failure, None);
    tell(&sagas, 6, undone(&FIRST));
    tell(&sagas, 6, SagaCompensated { saga: SAGA });
    assert_eq!((view(&sagas).status, view(&sagas).ended_at), (SagaStatus::Compensated, Some(at(6))));
}

#[test]
fn to_be_tried_again_is_not_to_get_on() {
    let sagas = begun();
    let times = || (view(&sagas).progressed_at, view(&sagas).updated_at);
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, retried(&FIRST, false, 1));
    tell(&sagas, 4, SagaRetryOrdered { saga: SAGA, by: None, reason: "again".to_owned() });
    assert_eq!(times(), (at(2), at(4)));
    tell(&sagas, 5, StepAdvanced { saga: SAGA, step: FIRST, parts: 1, progress: "1".to_owned(), due: at(5) });
    assert_eq!(times(), (at(5), at(5)));
}

#[test]
fn what_was_done_before_a_saga_began_can_be_undone_by_it() {
    let sagas = begun();
    tell(&sagas, 2, compensating());
    tell(&sagas, 2, requested(&FIRST, true));
    let [step] = &view(&sagas).steps[..] else { panic!("one step") };
    assert_eq!((&*step.name, step.phase, step.requested_at, step.since), ("FIRST", StepPhase::Undoing, at(2), at(2)));
    let Waiting { step, compensation, .. } = summary(&sagas).waiting.remove(0);
    assert_eq!((&*step, compensation), ("FIRST", true));
    tell(&sagas, 3, undone(&FIRST));
    assert_eq!((view(&sagas).steps[0].phase, summary(&sagas).remaining), (StepPhase::Undone, vec![]));
}

#[test]
fn a_step_of_many_parts_says_how_far_it_has_come() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, retried(&FIRST, false, 4));
    let progress = "768 erased".to_owned();
    tell(&sagas, 4, StepAdvanced { saga: SAGA, step: FIRST, parts: 3, progress, due: at(9) });
    let step = &view(&sagas).steps[0];
    assert_eq!((step.phase, step.attempts, step.parts, step.due), (StepPhase::Open, 0, 3, at(9)));
    assert_eq!(step.progress.as_deref(), Some("768 erased"));
}

#[test]
fn a_history_says_what_happened_when_and_who_ordered_it() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, retried(&FIRST, false, 1));
    tell(&sagas, 4, SagaCompensationOrdered { saga: SAGA, by: Some(user(7)), reason: "a test".to_owned() });
    let seen = view(&sagas);
    let events = seen.history.iter().map(|happened| (&*happened.event, happened.at)).collect::<Vec<_>>();
    let expected = [
        ("saga.started", at(1)),
        ("saga.step_requested", at(2)),
        ("saga.step_retried", at(3)),
        ("saga.compensation_ordered", at(4)),
    ];
    assert_eq!(events, expected);
    let [.., retried, ordered] = &seen.history.iter().collect::<Vec<_>>()[..] else { panic!("four events") };
    assert_eq!((retried.step.as_deref(), retried.detail.as_deref()), (Some("FIRST"), Some("no answer")));
    assert_eq!((ordered.by, ordered.detail.as_deref(), ordered.position.offset), (Some(user(7)), Some("a test"), 3));
}

#[test]
fn a_long_history_keeps_how_it_began_and_how_it_goes() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    let (events, half) = (HISTORY_MAX as i64 + 100, HISTORY_MAX / 2);
    (2..events).for_each(|n| tell(&sagas, n + 1, retried(&FIRST, false, 1)));
    let seen = view(&sagas);
    let times = seen.history.iter().map(|happened| happened.at).collect::<Vec<_>>();
    assert_eq!((times.len(), seen.history.left_out()), (HISTORY_MAX, 100));
    assert_eq!((times[0], times[half - 1]), (at(1), at(half as i64)));
    assert_eq!((times[half], times[HISTORY_MAX - 1]), (at(half as i64 + 101), at(events)));
}

#[test]
fn a_list_has_what_its_filter_names_oldest_first() {
    let sagas = Given::<MemorySagas>::default();
    for (n, process, seconds) in [(4, "ERRAND", 1), (3, "OTHER", 2), (2, "ERRAND", 3), (1, "ERRAND", 3)] {
        begin(&sagas, saga(n), process, Key::User(user(n)), seconds);
    }
    tell(&sagas, 4, SagaCompleted { saga: saga(4) });
    tell(&sagas, 4, compensating());

    let any = SagaFilter::default();
    assert_eq!(listed(&sagas, &any), [4, 3, 1, 2].map(saga));
    let open = SagaFilter { open: Some(true), ..any.clone() };
    assert_eq!(listed(&sagas, &open), [3, 1, 2].map(saga));
    assert_eq!(listed(&sagas, &SagaFilter { open: Some(false), ..any.clone() }), [saga(4)]);
    assert_eq!(listed(&sagas, &SagaFilter { older_than: Some(at(3)), ..open.clone() }), [saga(3)]);
    let process = || Some("ERRAND".to_owned());
    assert_eq!(listed(&sagas, &SagaFilter { process: process(), ..open.clone() }), [1, 2].map(saga));
    let running = SagaFilter { status: Some(SagaStatus::Running), ..any.clone() };
    assert_eq!(listed(&sagas, &running), [3, 2].map(saga));
    assert_eq!(listed(&sagas, &SagaFilter { process: process(), ..running }), [saga(2)]);
    for (status, expected) in [(SagaStatus::Compensating, vec![saga(1)]), (SagaStatus::Completed, vec![saga(4)])] {
        assert_eq!(listed(&sagas, &SagaFilter { status: Some(status), ..any.clone() }), expected);
    }
    assert!(listed(&sagas, &SagaFilter { status: Some(SagaStatus::Completed), ..open.clone() }).is_empty());

    let first = now(sagas.list(&open, Page { limit: 2, after: None })).unwrap();
    let second = now(sagas.list(&open, Page { limit: 2, after: first.next })).unwrap();
    assert_eq!((first.items.len(), second.items[0].id, second.next), (2, saga(2), None));
}

#[test]
fn a_summary_says_what_a_saga_waits_for() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, completed(&FIRST));
    tell(&sagas, 3, requested(&LAST, false));
    tell(&sagas, 4, retried(&LAST, false, 2));
    let (due, error) = (at(100), Some("no answer".into()));
    let waiting = Waiting { step: "LAST".into(), compensation: false, since: at(3), attempts: 2, error, due };
    assert_eq!((summary(&sagas).waiting, summary(&sagas).remaining), (vec![waiting], names(&["LAST"])));

    tell(&sagas, 5, compensating());
    assert_eq!(summary(&sagas).remaining, names(&["FIRST", "LAST"]), "all that was requested is to be undone");
    tell(&sagas, 5, requested(&LAST, true));
    assert_eq!(summary(&sagas).remaining, names(&["FIRST", "LAST"]));
    tell(&sagas, 6, undone(&LAST));
    tell(&sagas, 6, requested(&FIRST, true));
    let waiting = Waiting { step: "FIRST".into(), compensation: true, since: at(6), attempts: 0, error: None, due };
    assert_eq!((summary(&sagas).waiting, summary(&sagas).remaining), (vec![waiting], names(&["FIRST"])));
    assert_eq!(summary(&sagas).compensated, names(&["LAST"]));
    tell(&sagas, 7, failed());
    assert_eq!((summary(&sagas).waiting, summary(&sagas).remaining), (vec![], names(&["FIRST"])));
    assert_eq!(summary(&sagas).failure.as_deref(), Some("not found"));
}

#[test]
fn of_a_saga_with_a_plan_all_remains_that_is_not_done() {
    let plan: Plan = Arc::new(|data| match &*data.process {
        "ERRAND" => vec![FIRST, LAST],
        _ => Vec::new(),
    });
    let sagas = Given { model: MemorySagas::planned(plan), ..Given::default() };
    begin(&sagas, SAGA, "ERRAND", Key::User(user(1)), 1);
    assert_eq!(summary(&sagas).remaining, names(&["FIRST", "LAST"]));
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, completed(&FIRST));
    tell(&sagas, 3, requested(&Step::named("MORE"), false));
    assert_eq!(summary(&sagas).remaining, names(&["LAST", "MORE"]));
    tell(&sagas, 4, compensating());
    assert_eq!(summary(&sagas).remaining, names(&["FIRST", "MORE"]), "what was never requested need not be undone");
    begin(&sagas, saga(2), "ERRAND", Key::User(user(1)), 1);
    assert!(Arc::ptr_eq(&view(&sagas).plan, &seen(&sagas, saga(2)).unwrap().plan), "equal plans are one");
    begin(&sagas, saga(3), "OTHER", Key::User(user(1)), 1);
    assert!(seen(&sagas, saga(3)).unwrap().plan.is_empty());
}

#[test]
fn nothing_remains_of_a_saga_that_has_ended() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, SagaCompleted { saga: SAGA });
    assert!(summary(&sagas).remaining.is_empty());
}

#[test]
fn open_sagas_are_tallied_by_process_and_status() {
    let sagas = Given::<MemorySagas>::default();
    for (n, process, seconds) in [(1, "ERRAND", 1), (2, "ERRAND", 2), (3, "ERRAND", 3), (4, "OTHER", 4)] {
        begin(&sagas, saga(n), process, Key::User(user(n)), seconds);
    }
    tell(&sagas, 5, compensating());
    tell(&sagas, 6, failed());
    tell(&sagas, 6, SagaCompleted { saga: saga(4) });
    let tally = |status, count, seconds| Tally { process: "ERRAND".into(), status, count, oldest: Some(at(seconds)) };
    let expected = [tally(SagaStatus::Running, 2, 2), tally(SagaStatus::CompensationFailed, 1, 1)];
    assert_eq!(now(sagas.tallies()).unwrap(), expected);
}

#[test]
fn an_open_saga_concerns_whose_key_it_is_on_and_who_began_it() {
    let sagas = Given { actor: Some(user(1)), ..Given::<MemorySagas>::default() };
    begin(&sagas, saga(1), "ERRAND", Key::User(user(1)), 1);
    begin(&sagas, saga(2), "ERRAND", Key::Post(PostId(Uuid::from_u128(2))), 1);
    begin(&sagas, saga(3), "ERRAND", Key::User(user(2)), 1);
    assert_eq!(concerning(&sagas, 1), [1, 2, 3].map(saga));
    assert_eq!(concerning(&sagas, 2), [saga(3)]);
    tell(&sagas, 2, compensating());
    tell(&sagas, 2, failed());
    tell(&sagas, 2, SagaCompleted { saga: saga(3) });
    assert_eq!(concerning(&sagas, 1), [1, 2].map(saga));
    assert!(concerning(&sagas, 2).is_empty());
}

#[test]
fn of_those_that_ended_the_last_of_each_process_are_kept() {
    let sagas = Given::<MemorySagas>::default();
    begin(&sagas, SAGA, "ERRAND", Key::User(user(1)), 1);
    begin(&sagas, saga(2), "OTHER", Key::User(user(1)), 1);
    tell(&sagas, 2, SagaCompleted { saga: saga(2) });
    let count = ENDED_MAX as u128 + 2;
    for n in 10..10 + count {
        begin(&sagas, saga(n), "ERRAND", Key::User(user(1)), 1);
        tell(&sagas, 2 + i64::try_from(n).unwrap(), SagaCompleted { saga: saga(n) });
    }
    assert_eq!([1, 2, 10, 11, 12].map(|n| seen(&sagas, saga(n)).is_some()), [true, true, false, false, true]);
    assert_eq!(listed(&sagas, &SagaFilter::default()).len(), ENDED_MAX + 2);
    tell(&sagas, 9_999, SagaRetryOrdered { saga: saga(10), by: None, reason: "too late".to_owned() });
    assert_eq!(seen(&sagas, saga(10)), None);
}

#[test]
fn a_saga_that_begins_again_takes_the_place_of_the_one_that_ended() {
    let sagas = begun();
    tell(&sagas, 2, requested(&FIRST, false));
    tell(&sagas, 3, SagaCompleted { saga: SAGA });
    begin(&sagas, SAGA, "ERRAND", Key::User(user(1)), 4);
    let seen = view(&sagas);
    assert_eq!((seen.status, seen.started_at, seen.ended_at), (SagaStatus::Running, at(4), None));
    assert_eq!((seen.steps.len(), seen.history.iter().count()), (0, 1));
    assert_eq!(listed(&sagas, &SagaFilter::default()), [SAGA]);
    assert_eq!(concerning(&sagas, 1), [SAGA]);
    // The end of the former one is forgotten without the present one.
    for n in 10..10 + ENDED_MAX as u128 {
        begin(&sagas, saga(n), "ERRAND", Key::User(user(2)), 5);
        tell(&sagas, i64::try_from(n).unwrap(), SagaCompleted { saga: saga(n) });
    }
    assert_eq!(view(&sagas).started_at, at(4));
    tell(&sagas, 9_999, SagaCompleted { saga: SAGA });
    begin(&sagas, SAGA, "ERRAND", Key::User(user(1)), 10_000);
    assert_eq!(listed(&sagas, &SagaFilter { open: Some(true), ..SagaFilter::default() }), [SAGA]);
}

fn destroy_key(sagas: &Given<MemorySagas>, user: UserId) {
    sagas.tell(Key::User(user), at(50), [Event::from(UserKeyDestroyed { user })]);
}

#[test]
fn of_whoever_is_gone_for_good_no_saga_is_kept_that_has_ended_but_their_deletion() {
    for first in [true, false] {
        let mut sagas = Given { actor: Some(user(1)), ..Given::<MemorySagas>::default() };
        if first {
            destroy_key(&sagas, user(1));
        }
        begin(&sagas, saga(1), "ERRAND", Key::Post(PostId(Uuid::from_u128(2))), 1);
        begin(&sagas, saga(2), "USER_DELETION", Key::User(user(1)), 1);
        begin(&sagas, saga(3), "ERRAND", Key::User(user(1)), 1);
        begin(&sagas, saga(4), "OTHER", Key::User(user(1)), 1);
        sagas.actor = Some(user(2));
        begin(&sagas, saga(5), "ERRAND", Key::User(user(2)), 1);
        begin(&sagas, saga(6), "ERRAND", Key::User(user(1)), 1);
        for n in [1, 2, 4, 5, 6] {
            tell(&sagas, 2, SagaCompleted { saga: saga(n) });
        }
        destroy_key(&sagas, user(1));
        assert_eq!(listed(&sagas, &SagaFilter::default()), [2, 3, 5].map(saga), "the third is still open");
        tell(&sagas, 60, SagaCompleted { saga: saga(3) });
        assert_eq!(listed(&sagas, &SagaFilter::default()), [2, 5].map(saga));
        assert!(concerning(&sagas, 1).is_empty());
        begin(&sagas, saga(1), "ERRAND", Key::User(user(1)), 70);
        assert_eq!(listed(&sagas, &SagaFilter::default()), [2, 5, 1].map(saga), "it has begun again");
    }
}

#[test]
fn what_is_kept_of_others_does_not_depend_on_when_somebody_went() {
    let kept = |first: bool| {
        let sagas = Given::<MemorySagas>::default();
        if first {
            destroy_key(&sagas, user(1));
        }
        for n in 0..2 * ENDED_MAX as u128 {
            begin(&sagas, saga(n), "ERRAND", Key::User(user(n % 2)), 1);
            tell(&sagas, 2 + i64::try_from(n).unwrap(), SagaCompleted { saga: saga(n) });
        }
        destroy_key(&sagas, user(1));
        listed(&sagas, &SagaFilter::default())
    };
    assert_eq!(kept(true).len(), ENDED_MAX / 2);
    assert_eq!(kept(true), kept(false));
}
