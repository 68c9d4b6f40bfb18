//! What an operator can do about a saga that does not get on.

use super::{Desk, Saga, SagaStatus, StepPhase, StepState};
use crate::aggregates::Fact;
use crate::answer::Refusal;
use cqrs_es::event_sink::EventSink;
use events::{SagaCompensationOrdered, SagaEvent, SagaId, SagaRetryOrdered, StepRetried, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Why a step is tried again that nothing went wrong with; the operator's own reason stands beside it.
const ORDERED: &str = "ordered";

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Try at once what it waits for, also a compensation that was given up.
    Retry,
    /// Undo what was done. [`Refusal::NoWayBack`] if a step was begun that nothing undoes, or if it is being undone.
    Compensate,
}

impl Saga {
    /// Writes who ordered what, and what follows from it.
    pub(super) async fn order(
        &mut self,
        saga: SagaId,
        desk: &Desk,
        order: Order,
        (by, reason): (Option<UserId>, String),
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        if self.data.is_none() {
            return Err(Refusal::NotFound);
        }
        if matches!(self.status, SagaStatus::Completed | SagaStatus::Compensated) {
            return Err(Refusal::SagaEnded);
        }
        match order {
            Order::Retry => {
                let given_up = self.status == SagaStatus::CompensationFailed;
                sink.write(Fact(SagaRetryOrdered { saga, by, reason }.into()), self).await;
                for retried in self.retries(saga, given_up, desk.now) {
                    sink.write(Fact(retried), self).await;
                }
            }
            Order::Compensate => {
                let can_be_undone = |step| self.compensation(saga, &desk.processes, step).is_some();
                if self.status != SagaStatus::Running || !self.steps.iter().all(|state| can_be_undone(&state.step)) {
                    return Err(Refusal::NoWayBack);
                }
                let ordered = SagaCompensationOrdered { saga, by, reason: reason.clone() };
                sink.write(Fact(ordered.into()), self).await;
                self.turn_back(saga, desk, reason, sink).await;
            }
        }
        Ok(())
    }

    /// One more attempt, at once, of everything that was tried and waits to be tried again. What has a time for its first
    /// attempt keeps it. What was given up had its last outcome told, so the next one counts as another attempt.
    fn retries(&self, saga: SagaId, given_up: bool, now: Timestamp) -> Vec<SagaEvent> {
        let told = u32::from(given_up);
        let retry = |state: &StepState| StepRetried {
            saga,
            step: state.step.clone(),
            compensation: state.phase == StepPhase::Undoing,
            attempts: state.attempts + told,
            due: now,
            error: ORDERED.to_owned(),
        };
        let open: Vec<_> = self.open_steps().map(|(step, ..)| step).collect();
        let waiting = self.steps.iter().filter(|state| open.contains(&&state.step) && state.attempts > 0);
        waiting.map(|state| retry(state).into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempts::{COMPENSATION_ATTEMPTS_MAX, retry_delay};
    use super::super::saga::Desk;
    use super::super::{Action, Next, Outcome, Own, Process, Processes, SagaCommand};
    use super::ORDERED;
    use super::*;
    use crate::aggregates::ClaimCommand;
    use cqrs_es::test::TestFramework;
    use events::{
        Digest, Event, Key, SagaCompensated, SagaCompensating, SagaCompensationFailed, SagaCompleted, SagaData,
        SagaStarted, Step, StepCompleted, StepRefused, StepRequested, StepUndone,
    };
    use serde_json::Value;
    use uuid::Uuid;

    const FIRST: Step = Step::named("FIRST");
    const LAST: Step = Step::named("LAST");
    const SAGA: SagaId = SagaId(Uuid::from_u128(1));
    const OPERATOR: UserId = UserId(Uuid::from_u128(2));
    const NOW: Timestamp = Timestamp(1_000_000);

    /// Two steps, of which nothing undoes the last one.
    struct Errand;

    impl Process for Errand {
        const NAME: &'static str = "ERRAND";
        const STEPS: &'static [Step] = &[FIRST, LAST];
        type Data = ErrandData;

        fn key(&self, _: &ErrandData) -> Key {
            Key::User(OPERATOR)
        }

        fn begin(&self, _: &ErrandData, _: &Value, _: &Own) -> Result<Option<Vec<Event>>, Refusal> {
            Ok(Some(Vec::new()))
        }

        fn next(&self, _: &Saga, _: &ErrandData, event: &SagaEvent, _: &Own) -> Vec<Next> {
            match event {
                SagaEvent::Started(_) => vec![Next::Request(FIRST)],
                SagaEvent::StepCompleted(done) if done.step == FIRST => vec![Next::Request(LAST)],
                SagaEvent::StepCompleted(_) => vec![Next::Complete],
                _ => Vec::new(),
            }
        }

        fn effects(&self, _: &Saga, _: &ErrandData, _: &SagaEvent, _: &Own) -> Vec<Event> {
            Vec::new()
        }

        fn action(&self, id: SagaId, _: &ErrandData, _: &Step, _: &Own) -> Action {
            Action::Command(Key::Email(Digest::default()), ClaimCommand::Confirm { saga: id }.into())
        }

        fn compensation(&self, id: SagaId, _: &ErrandData, step: &Step) -> Option<Action> {
            let undo = Action::Command(Key::Email(Digest::default()), ClaimCommand::Release { saga: id }.into());
            (*step == FIRST).then_some(undo)
        }
    }

    #[derive(Serialize, Deserialize)]
    struct ErrandData {}

    fn framework() -> TestFramework<Saga> {
        TestFramework::with(Desk { processes: Processes::default().with(Errand), own: Own::default(), now: NOW })
    }

    fn fact(event: impl Into<SagaEvent>) -> Fact<SagaEvent> {
        Fact(event.into())
    }

    fn requested(step: Step, compensation: bool) -> Fact<SagaEvent> {
        fact(StepRequested { saga: SAGA, step, compensation, due: NOW })
    }

    fn retried(step: Step, compensation: bool, attempts: u32) -> Fact<SagaEvent> {
        fact(StepRetried { saga: SAGA, step, compensation, attempts, due: NOW, error: why() })
    }

    fn at_once(step: Step, compensation: bool, attempts: u32) -> Fact<SagaEvent> {
        let error = ORDERED.to_owned();
        fact(StepRetried { saga: SAGA, step, compensation, attempts, due: NOW, error })
    }

    fn why() -> String {
        "it hung".to_owned()
    }

    fn order(order: Order) -> SagaCommand {
        SagaCommand::Order { saga: SAGA, order, by: Some(OPERATOR), reason: why() }
    }

    fn retry_ordered() -> Fact<SagaEvent> {
        fact(SagaRetryOrdered { saga: SAGA, by: Some(OPERATOR), reason: why() })
    }

    fn begun() -> Vec<Fact<SagaEvent>> {
        let data = SagaData::new(Errand::NAME, &ErrandData {});
        vec![fact(SagaStarted { saga: SAGA, data }), requested(FIRST, false)]
    }

    fn past_the_first() -> Vec<Fact<SagaEvent>> {
        let mut given = begun();
        given.extend([fact(StepCompleted { saga: SAGA, step: FIRST, version: None }), requested(LAST, false)]);
        given
    }

    fn given_up() -> Vec<Fact<SagaEvent>> {
        let mut given = begun();
        given.extend([
            fact(StepRefused { saga: SAGA, step: FIRST, reason: "taken".to_owned() }),
            fact(SagaCompensating { saga: SAGA, reason: "taken".to_owned() }),
            requested(FIRST, true),
            retried(FIRST, true, COMPENSATION_ATTEMPTS_MAX - 1),
            fact(SagaCompensationFailed { saga: SAGA, step: FIRST, error: "not found".to_owned() }),
        ]);
        given
    }

    #[test]
    fn what_waits_for_its_next_attempt_is_tried_at_once() {
        let mut given = begun();
        given.push(retried(FIRST, false, 5));
        let expected = vec![retry_ordered(), at_once(FIRST, false, 5)];
        framework().given(given).when(order(Order::Retry)).then_expect_events(expected);
    }

    #[test]
    fn what_was_not_tried_yet_keeps_its_time() {
        framework().given(begun()).when(order(Order::Retry)).then_expect_events(vec![retry_ordered()]);
    }

    #[test]
    fn a_compensation_that_fails_is_given_up_after_so_many_attempts_and_one_without_an_answer_is_not() {
        let given = |attempts| {
            let mut given = begun();
            given.extend([
                fact(SagaCompensating { saga: SAGA, reason: "taken".to_owned() }),
                requested(FIRST, true),
                retried(FIRST, true, attempts),
            ]);
            given
        };
        let record = |outcome| SagaCommand::Record { saga: SAGA, step: FIRST, compensation: true, outcome };
        let error = || "oh".to_owned();
        let failed = fact(SagaCompensationFailed { saga: SAGA, step: FIRST, error: error() });
        let last = COMPENSATION_ATTEMPTS_MAX - 1;
        framework().given(given(last)).when(record(Outcome::Failed(error()))).then_expect_events(vec![failed]);
        let again = |attempts| {
            let due = NOW.plus(retry_delay(SAGA, attempts));
            fact(StepRetried { saga: SAGA, step: FIRST, compensation: true, attempts, due, error: error() })
        };
        let unknown = record(Outcome::Unknown(error()));
        framework().given(given(last)).when(unknown).then_expect_events(vec![again(COMPENSATION_ATTEMPTS_MAX)]);
        framework().given(given(1)).when(record(Outcome::Failed(error()))).then_expect_events(vec![again(2)]);
    }

    #[test]
    fn a_compensation_that_was_given_up_is_one_more_attempt_and_can_succeed() {
        let mut given = given_up();
        let expected = vec![retry_ordered(), at_once(FIRST, true, COMPENSATION_ATTEMPTS_MAX)];
        framework().given(given.clone()).when(order(Order::Retry)).then_expect_events(expected.clone());
        given.extend(expected);
        let done = Outcome::Done { version: None };
        let record = SagaCommand::Record { saga: SAGA, step: FIRST, compensation: true, outcome: done };
        let undone = vec![fact(StepUndone { saga: SAGA, step: FIRST }), fact(SagaCompensated { saga: SAGA })];
        framework().given(given).when(record).then_expect_events(undone);
    }

    #[test]
    fn what_can_be_undone_is_undone_on_order() {
        framework().given(begun()).when(order(Order::Compensate)).then_expect_events(vec![
            fact(SagaCompensationOrdered { saga: SAGA, by: Some(OPERATOR), reason: why() }),
            fact(SagaCompensating { saga: SAGA, reason: why() }),
            requested(FIRST, true),
        ]);
    }

    #[test]
    fn past_the_point_of_no_return_nothing_is_undone() {
        for given in [past_the_first(), given_up()] {
            framework().given(given).when(order(Order::Compensate)).then_expect_error(Refusal::NoWayBack);
        }
    }

    #[test]
    fn there_is_nothing_to_order_of_a_saga_that_has_ended_or_never_began() {
        let mut ended = past_the_first();
        ended.extend([
            fact(StepCompleted { saga: SAGA, step: LAST, version: None }),
            fact(SagaCompleted { saga: SAGA }),
        ]);
        for wanted in [Order::Retry, Order::Compensate] {
            framework().given(ended.clone()).when(order(wanted)).then_expect_error(Refusal::SagaEnded);
            framework().given_no_previous_events().when(order(wanted)).then_expect_error(Refusal::NotFound);
        }
    }
}
