//! USER_DELETION: the account is disabled in the commit that begins it; from there on there is only forward.
//!
//! What they wrote and did is deleted as far as it can be seen. Requests that were under way when the account was disabled
//! may still take effect for a while, so a second sweep begins after that while, and ends only at a place of the log up to
//! which nothing is left. Then the address and the name are given back. The key comes last, when every read model has
//! read all that was sealed with it: what no longer opens would otherwise look like a damaged log.

use commands::{Account, Action, ClaimCommand, Effect, Next, Own, Process, Refusal, Saga, User};
use events::{Event, Key, SagaData, SagaEvent, SagaId, Step, UserDisabled, UserId, UserKeyDestroyed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Deletes what can be seen of them.
pub const ERASE: Step = Step::named("ERASE");
/// Deletes what came after, until nothing is left.
pub const SWEEP: Step = Step::named("SWEEP");
/// Gives the address back.
pub const VACATE_EMAIL: Step = Step::named("VACATE_EMAIL");
/// Gives the name back.
pub const VACATE_USERNAME: Step = Step::named("VACATE_USERNAME");
/// Waits until every read model has read what was sealed.
pub const PASS_READ_MODELS: Step = Step::named("PASS_READ_MODELS");
/// Makes all that they ever typed unreadable.
pub const DESTROY_KEY: Step = Step::named("DESTROY_KEY");

/// The process.
pub struct Deletion {
    /// How long after the account was disabled a request of theirs may still be decided.
    pub stragglers: Duration,
}

/// What the steps need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeletionData {
    /// Who is deleted.
    pub user: UserId,
}

impl From<DeletionData> for SagaData {
    fn from(data: DeletionData) -> Self {
        Self::new(Deletion::NAME, &data)
    }
}

impl Process for Deletion {
    const NAME: &'static str = "USER_DELETION";
    const STEPS: &'static [Step] = &[ERASE, SWEEP, VACATE_EMAIL, VACATE_USERNAME, PASS_READ_MODELS, DESTROY_KEY];
    type Data = DeletionData;

    fn key(&self, data: &DeletionData) -> Key {
        Key::User(data.user)
    }

    fn begin(&self, data: &DeletionData, _: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        match own.user {
            User::Absent => Err(Refusal::NotFound),
            User::Disabled(_) => Ok(None),
            User::Active(_) => Ok(Some(vec![UserDisabled { user: data.user }.into()])),
        }
    }

    fn next(&self, saga: &Saga, _: &DeletionData, event: &SagaEvent, _: &Own) -> Vec<Next> {
        let done = match event {
            SagaEvent::Started(_) => return vec![Next::Request(ERASE)],
            SagaEvent::StepCompleted(completed) => &completed.step,
            _ => return Vec::new(),
        };
        let vacated = || saga.done(&VACATE_EMAIL) && saga.done(&VACATE_USERNAME);
        if *done == ERASE {
            vec![Next::Request(SWEEP)]
        } else if *done == SWEEP {
            vec![Next::Request(VACATE_EMAIL), Next::Request(VACATE_USERNAME)]
        } else if *done == PASS_READ_MODELS {
            vec![Next::Request(DESTROY_KEY)]
        } else if *done == DESTROY_KEY {
            vec![Next::Complete]
        } else if vacated() {
            vec![Next::Request(PASS_READ_MODELS)]
        } else {
            Vec::new()
        }
    }

    fn effects(&self, _: &Saga, data: &DeletionData, event: &SagaEvent, _: &Own) -> Vec<Event> {
        match event {
            SagaEvent::StepCompleted(done) if done.step == DESTROY_KEY => {
                vec![UserKeyDestroyed { user: data.user }.into()]
            }
            _ => Vec::new(),
        }
    }

    fn action(&self, saga: SagaId, data: &DeletionData, step: &Step, own: &Own) -> Action {
        let user = data.user;
        // A disabled account keeps what it had for good, so this is the same at every attempt.
        let vacate = |key: fn(events::Digest) -> Key, of: fn(&Account) -> events::Claimed| {
            let had = of(own.user.disabled().expect("the account was disabled as the saga began"));
            Action::Command(key(had.claim), ClaimCommand::Vacate { saga, user, version: had.version }.into())
        };
        if *step == ERASE {
            Action::Effect(Effect::Erase(user))
        } else if *step == SWEEP {
            Action::Effect(Effect::Sweep(user))
        } else if *step == VACATE_EMAIL {
            vacate(Key::Email, |account| account.email)
        } else if *step == VACATE_USERNAME {
            vacate(Key::Username, |account| account.username)
        } else if *step == PASS_READ_MODELS {
            Action::Effect(Effect::PassReadModels(user))
        } else {
            Action::Effect(Effect::DestroyKey(user))
        }
    }

    fn compensation(&self, _: SagaId, _: &DeletionData, _: &Step) -> Option<Action> {
        None
    }

    fn delay(&self, step: &Step) -> Duration {
        if *step == SWEEP { self.stragglers } else { Duration::ZERO }
    }

    /// The account is disabled from the first commit on.
    fn is_fulfilled(&self, _: &Saga) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{ADA, Stage};
    use commands::UserCommand;

    const DELETION: Deletion = Deletion { stragglers: Duration::from_secs(15) };

    fn data() -> SagaData {
        DeletionData { user: ADA }.into()
    }

    #[test]
    fn it_disables_at_once_and_destroys_the_key_last() {
        let mut stage = Stage::with_ada();
        let begun = stage.begin(&DELETION, data(), Value::Null).unwrap();
        assert_eq!(begun, ["saga.started", "user.disabled", "saga.step_requested"]);
        let change = UserCommand::ChangeBio { user: ADA, bio: None };
        assert_eq!(stage.ask(Key::User(ADA), change), Err(Refusal::NotFound));
        for (step, requests) in [(ERASE, 1), (SWEEP, 2), (VACATE_USERNAME, 0), (VACATE_EMAIL, 1), (PASS_READ_MODELS, 1)]
        {
            let (_, here) = stage.step(&DELETION, &data(), step.clone());
            assert_eq!(here.len(), 1 + requests, "{step}: {here:?}");
        }
        let (_, here) = stage.step(&DELETION, &data(), DESTROY_KEY);
        assert_eq!(here, ["saga.step_completed", "user.key_destroyed", "saga.completed"]);
        assert_eq!(stage.begin(&DELETION, data(), Value::Null), Ok(vec![]));
    }

    #[test]
    fn the_second_sweep_waits_for_stragglers() {
        assert_eq!(DELETION.delay(&SWEEP), Duration::from_secs(15));
        assert_eq!(DELETION.delay(&ERASE), Duration::ZERO);
    }

    #[test]
    fn who_was_never_here_is_not_deleted() {
        assert_eq!(Stage::empty().begin(&DELETION, data(), Value::Null), Err(Refusal::NotFound));
    }
}
