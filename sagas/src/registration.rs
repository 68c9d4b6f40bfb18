//! USER_REGISTRATION: claim the address, claim the name, create the user, confirm both claims.
//!
//! A claim never lapses by time, so once both are reserved nothing can stand in the way any more: the user is created
//! in the commit that records the second one, and from there on there is no way back. If it comes to nothing, the key is
//! destroyed under which the log holds what was typed: there is no account that could be deleted.

use commands::{Action, ClaimCommand, Effect, Next, Own, Process, Refusal, Saga, User};
use events::{
    Digest, Email, Event, Key, PasswordHash, SagaData, SagaEvent, SagaId, Sealed, Step, StepCompleted, UserCreated,
    UserId, UserKeyDestroyed, Username,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Reserves the address.
pub const CLAIM_EMAIL: Step = Step::named("CLAIM_EMAIL");
/// Reserves the name.
pub const CLAIM_USERNAME: Step = Step::named("CLAIM_USERNAME");
/// Keeps the address for good.
pub const CONFIRM_EMAIL: Step = Step::named("CONFIRM_EMAIL");
/// Keeps the name for good.
pub const CONFIRM_USERNAME: Step = Step::named("CONFIRM_USERNAME");
/// Makes the key that all of it is sealed under: done before the saga begins, and only ever undone.
pub const CREATE_KEY: Step = Step::named("CREATE_KEY");

/// The process.
pub struct Registration;

/// Everything that the steps need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistrationData {
    /// The user to be.
    pub user: UserId,
    /// The address.
    pub email: Sealed<Email>,
    /// The name.
    pub username: Sealed<Username>,
    /// The hash of the password.
    pub password: Sealed<PasswordHash>,
    /// The claim of the address.
    pub email_claim: Digest,
    /// The claim of the name.
    pub username_claim: Digest,
}

impl From<RegistrationData> for SagaData {
    fn from(data: RegistrationData) -> Self {
        Self::new(Registration::NAME, &data)
    }
}

impl Process for Registration {
    const NAME: &'static str = "USER_REGISTRATION";
    const STEPS: &'static [Step] = &[CLAIM_EMAIL, CLAIM_USERNAME, CONFIRM_EMAIL, CONFIRM_USERNAME];
    const BEFORE: Option<Step> = Some(CREATE_KEY);
    type Data = RegistrationData;

    fn key(&self, data: &RegistrationData) -> Key {
        Key::User(data.user)
    }

    fn begin(&self, _: &RegistrationData, _: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        // Who is here was registered before, and so long ago that the saga is forgotten.
        Ok((own.user == User::Absent).then(Vec::new))
    }

    fn next(&self, saga: &Saga, _: &RegistrationData, event: &SagaEvent, _: &Own) -> Vec<Next> {
        match event {
            SagaEvent::Started(_) => vec![Next::Request(CLAIM_EMAIL)],
            SagaEvent::StepCompleted(StepCompleted { step, .. }) if *step == CLAIM_EMAIL => {
                vec![Next::Request(CLAIM_USERNAME)]
            }
            SagaEvent::StepCompleted(StepCompleted { step, .. }) if *step == CLAIM_USERNAME => {
                vec![Next::Request(CONFIRM_EMAIL), Next::Request(CONFIRM_USERNAME)]
            }
            SagaEvent::StepCompleted(_) if saga.done(&CONFIRM_EMAIL) && saga.done(&CONFIRM_USERNAME) => {
                vec![Next::Complete]
            }
            _ => Vec::new(),
        }
    }

    fn effects(&self, saga: &Saga, data: &RegistrationData, event: &SagaEvent, _: &Own) -> Vec<Event> {
        match event {
            SagaEvent::StepCompleted(StepCompleted { step, .. }) if *step == CLAIM_USERNAME => {
                let version = |step| {
                    let reserved = saga.step(step).and_then(|state| state.version);
                    reserved.expect("a reservation that took effect reports its version")
                };
                let data = data.clone();
                vec![
                    UserCreated {
                        user: data.user,
                        email: data.email,
                        username: data.username,
                        password: data.password,
                        email_claim: data.email_claim,
                        email_version: version(&CLAIM_EMAIL),
                        username_claim: data.username_claim,
                        username_version: version(&CLAIM_USERNAME),
                    }
                    .into(),
                ]
            }
            SagaEvent::StepUndone(undone) if undone.step == CREATE_KEY => {
                vec![UserKeyDestroyed { user: data.user }.into()]
            }
            _ => Vec::new(),
        }
    }

    fn action(&self, id: SagaId, data: &RegistrationData, step: &Step, _: &Own) -> Action {
        let claim = if *step == CLAIM_EMAIL || *step == CLAIM_USERNAME {
            ClaimCommand::Reserve { saga: id, user: data.user }
        } else {
            ClaimCommand::Confirm { saga: id }
        };
        Action::Command(target(data, step), claim.into())
    }

    fn compensation(&self, id: SagaId, data: &RegistrationData, step: &Step) -> Option<Action> {
        if *step == CREATE_KEY {
            return Some(Action::Effect(Effect::DestroyKey(data.user)));
        }
        let reserves = *step == CLAIM_EMAIL || *step == CLAIM_USERNAME;
        reserves.then(|| Action::Command(target(data, step), ClaimCommand::Release { saga: id }.into()))
    }
}

fn target(data: &RegistrationData, step: &Step) -> Key {
    if *step == CLAIM_EMAIL || *step == CONFIRM_EMAIL {
        Key::Email(data.email_claim)
    } else {
        Key::Username(data.username_claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes;
    use commands::{Desk, Fact, Outcome, SagaCommand};
    use cqrs_es::test::TestFramework;
    use events::{
        CipherKey, SagaCompensated, SagaCompensating, SagaCompleted, SagaStarted, StepRefused, StepRequested,
        StepRetried, StepUndone, Timestamp,
    };
    use std::time::Duration;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn saga() -> SagaId {
        SagaId(Uuid::from_u128(1_000))
    }

    fn registration() -> SagaData {
        let user = UserId(Uuid::from_u128(1));
        let key = CipherKey::new(user.into(), &[1; 32]);
        let data = RegistrationData {
            user,
            email: Sealed::seal(&Email::parse("ada@example.com").unwrap(), &key),
            username: Sealed::seal(&Username::parse("ada").unwrap(), &key),
            password: Sealed::seal(&PasswordHash::new("$argon2id$".to_owned()), &key),
            email_claim: Digest([1; 32]),
            username_claim: Digest([2; 32]),
        };
        data.into()
    }

    fn started() -> Fact<SagaEvent> {
        thread_local! { static DATA: SagaData = registration(); }
        Fact(SagaStarted { saga: saga(), data: DATA.with(SagaData::clone) }.into())
    }

    fn requested(step: Step, compensation: bool, due: Timestamp) -> Fact<SagaEvent> {
        Fact(StepRequested { saga: saga(), step, compensation, due }.into())
    }

    fn completed(step: Step) -> Fact<SagaEvent> {
        Fact(StepCompleted { saga: saga(), step, version: Some(1) }.into())
    }

    fn refused(step: Step) -> Vec<Fact<SagaEvent>> {
        let reason = "taken".to_owned();
        vec![
            Fact(StepRefused { saga: saga(), step, reason: reason.clone() }.into()),
            Fact(SagaCompensating { saga: saga(), reason }.into()),
        ]
    }

    fn record(step: Step, compensation: bool, outcome: Outcome) -> SagaCommand {
        SagaCommand::Record { saga: saga(), step, compensation, outcome }
    }

    const DONE: Outcome = Outcome::Done { version: Some(1) };

    fn taken() -> Outcome {
        Outcome::Refused("taken".to_owned())
    }

    /// Everything up to the second claim's request.
    fn email_claimed() -> Vec<Fact<SagaEvent>> {
        vec![
            started(),
            requested(CLAIM_EMAIL, false, NOW),
            completed(CLAIM_EMAIL),
            requested(CLAIM_USERNAME, false, NOW),
        ]
    }

    fn framework() -> TestFramework<Saga> {
        TestFramework::with(Desk { processes: processes(Duration::ZERO), own: Own::default(), now: NOW })
    }

    #[test]
    fn it_begins_with_the_address() {
        let Fact(SagaEvent::Started(SagaStarted { data, .. })) = started() else { unreachable!() };
        framework()
            .given_no_previous_events()
            .when(SagaCommand::Start { saga: saga(), data, with: Value::Null })
            .then_expect_events(vec![started(), requested(CLAIM_EMAIL, false, NOW)]);
    }

    #[test]
    fn begun_twice_it_goes_on_as_it_was() {
        framework()
            .given(email_claimed())
            .when(SagaCommand::Start { saga: saga(), data: registration(), with: Value::Null })
            .then_expect_events(vec![]);
    }

    #[test]
    fn after_the_address_comes_the_name_and_after_both_there_is_a_user() {
        framework().given(email_claimed()).when(record(CLAIM_USERNAME, false, DONE)).then_expect_events(vec![
            completed(CLAIM_USERNAME),
            requested(CONFIRM_EMAIL, false, NOW),
            requested(CONFIRM_USERNAME, false, NOW),
        ]);
        let mut saga = Saga::default();
        for Fact(event) in email_claimed().into_iter().chain([completed(CLAIM_USERNAME)]) {
            cqrs_es::Aggregate::apply(&mut saga, Fact(event));
        }
        let Fact(event) = completed(CLAIM_USERNAME);
        let data = registration().read().unwrap();
        assert!(matches!(
            Registration.effects(&saga, &data, &event, &Own::default())[..],
            [Event::User(events::UserEvent::Created(_))]
        ));
    }

    #[test]
    fn it_is_complete_when_both_claims_are_confirmed() {
        let mut given = email_claimed();
        given.extend([
            completed(CLAIM_USERNAME),
            requested(CONFIRM_EMAIL, false, NOW),
            requested(CONFIRM_USERNAME, false, NOW),
            completed(CONFIRM_USERNAME),
        ]);
        let complete = Fact(SagaCompleted { saga: saga() }.into());
        framework()
            .given(given)
            .when(record(CONFIRM_EMAIL, false, DONE))
            .then_expect_events(vec![completed(CONFIRM_EMAIL), complete]);
    }

    fn undone(step: Step) -> Fact<SagaEvent> {
        Fact(StepUndone { saga: saga(), step }.into())
    }

    fn compensated() -> Fact<SagaEvent> {
        Fact(SagaCompensated { saga: saga() }.into())
    }

    #[test]
    fn a_refused_step_is_undone_lest_a_second_delivery_takes_effect() {
        let mut expected = refused(CLAIM_EMAIL);
        expected.push(requested(CLAIM_EMAIL, true, NOW));
        let given = vec![started(), requested(CLAIM_EMAIL, false, NOW)];
        framework().given(given.clone()).when(record(CLAIM_EMAIL, false, taken())).then_expect_events(expected.clone());
        framework()
            .given(given.into_iter().chain(expected).collect())
            .when(record(CLAIM_EMAIL, true, DONE))
            .then_expect_events(vec![undone(CLAIM_EMAIL), requested(CREATE_KEY, true, NOW)]);
    }

    #[test]
    fn a_taken_name_gives_the_address_back_and_then_what_was_typed_becomes_unreadable() {
        let mut given = email_claimed();
        given.extend(refused(CLAIM_USERNAME));
        given.push(requested(CLAIM_USERNAME, true, NOW));
        let back = requested(CLAIM_EMAIL, true, NOW);
        framework()
            .given(given.clone())
            .when(record(CLAIM_USERNAME, true, DONE))
            .then_expect_events(vec![undone(CLAIM_USERNAME), back.clone()]);
        given.extend([undone(CLAIM_USERNAME), back]);
        let unreadable = requested(CREATE_KEY, true, NOW);
        framework()
            .given(given.clone())
            .when(record(CLAIM_EMAIL, true, DONE))
            .then_expect_events(vec![undone(CLAIM_EMAIL), unreadable.clone()]);
        given.extend([undone(CLAIM_EMAIL), unreadable]);
        framework()
            .given(given)
            .when(record(CREATE_KEY, true, Outcome::Done { version: None }))
            .then_expect_events(vec![undone(CREATE_KEY), compensated()]);
    }

    #[test]
    fn no_answer_is_tried_again_and_in_the_end_undone_as_if_it_had_taken_effect() {
        let mut given = email_claimed();
        for attempts in 1..8 {
            let due = Timestamp(i64::from(attempts));
            let error = "no answer".to_owned();
            let retried = StepRetried { saga: saga(), step: CLAIM_USERNAME, compensation: false, attempts, due, error };
            given.push(Fact(retried.into()));
        }
        let compensating = SagaCompensating { saga: saga(), reason: "no answer".to_owned() };
        framework()
            .given(given)
            .when(record(CLAIM_USERNAME, false, Outcome::Unknown("no answer".to_owned())))
            .then_expect_events(vec![Fact(compensating.into()), requested(CLAIM_USERNAME, true, NOW)]);
    }

    #[test]
    fn an_outcome_that_is_told_twice_changes_nothing() {
        framework().given(email_claimed()).when(record(CLAIM_EMAIL, false, DONE)).then_expect_events(vec![]);
    }
}
