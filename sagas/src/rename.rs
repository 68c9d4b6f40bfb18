//! USER_RENAME: another address, another name, or both, and another bio with them if that is wanted as well.
//!
//! The new ones are claimed first, so that nobody has none meanwhile. With the last claim the account changes, in one
//! commit, and from there on there is no way back: the new claims are kept for good and the old ones given back. An account
//! that is no longer what it was when the saga began, by another rename or by its deletion, is not changed.

use commands::{Account, Action, ClaimCommand, Next, Own, Process, Refusal, Saga};
use events::{
    Bio, BioChanged, Claimed, Digest, Email, EmailChanged, Event, Key, SagaData, SagaEvent, SagaId, Sealed, Step,
    UserId, Username, UsernameChanged,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Reserves the new address.
pub const CLAIM_EMAIL: Step = Step::named("CLAIM_EMAIL");
/// Reserves the new name.
pub const CLAIM_USERNAME: Step = Step::named("CLAIM_USERNAME");
/// Keeps the new address for good.
pub const CONFIRM_EMAIL: Step = Step::named("CONFIRM_EMAIL");
/// Keeps the new name for good.
pub const CONFIRM_USERNAME: Step = Step::named("CONFIRM_USERNAME");
/// Gives the old address back.
pub const VACATE_EMAIL: Step = Step::named("VACATE_EMAIL");
/// Gives the old name back.
pub const VACATE_USERNAME: Step = Step::named("VACATE_USERNAME");

/// The process.
pub struct Rename;

/// What is to change; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RenameData {
    /// Whose.
    pub user: UserId,
    /// The address.
    pub email: Option<Change<Sealed<Email>>>,
    /// The name.
    pub username: Option<Change<Sealed<Username>>>,
    /// What the profile says; it changes with the others or not at all.
    pub bio: Option<NewBio>,
}

/// Another bio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewBio {
    /// `None` clears it.
    pub to: Option<Sealed<Bio>>,
}

/// From one address or name to another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change<T> {
    /// What the account had when the change was asked for.
    pub from: Claimed,
    /// What it is to have.
    pub to: T,
    /// The claim of that. The same claim as before is written differently: nothing needs to be claimed.
    pub claim: Digest,
}

impl<T> Change<T> {
    fn needs_claim(&self) -> bool {
        self.claim != self.from.claim
    }

    /// What the account has afterwards.
    fn claimed(&self, saga: &Saga, step: &Step) -> Claimed {
        match saga.step(step).and_then(|state| state.version) {
            Some(version) => Claimed { claim: self.claim, version },
            None => self.from,
        }
    }
}

impl From<RenameData> for SagaData {
    fn from(data: RenameData) -> Self {
        Self::new(Rename::NAME, &data)
    }
}

impl RenameData {
    /// What must be claimed, in the order in which it is.
    fn claims(&self) -> Vec<Step> {
        let email = self.email.as_ref().is_some_and(Change::needs_claim).then_some(CLAIM_EMAIL);
        let username = self.username.as_ref().is_some_and(Change::needs_claim).then_some(CLAIM_USERNAME);
        email.into_iter().chain(username).collect()
    }

    /// What remains when the account has changed.
    fn rest(&self) -> Vec<Step> {
        let claims = self.claims();
        let of = |claim: &Step, rest: [Step; 2]| claims.contains(claim).then_some(rest).into_iter().flatten();
        let email = of(&CLAIM_EMAIL, [CONFIRM_EMAIL, VACATE_EMAIL]);
        email.chain(of(&CLAIM_USERNAME, [CONFIRM_USERNAME, VACATE_USERNAME])).collect()
    }

    /// Whether the account is what it was when the change was asked for.
    fn is_of(&self, account: &Account) -> bool {
        self.email.as_ref().is_none_or(|change| change.from == account.email)
            && self.username.as_ref().is_none_or(|change| change.from == account.username)
    }

    fn changes(&self, saga: &Saga) -> Vec<Event> {
        let user = self.user;
        let email = self.email.as_ref().map(|change| {
            EmailChanged { user, email: change.to.clone(), claimed: change.claimed(saga, &CLAIM_EMAIL) }.into()
        });
        let username = self.username.as_ref().map(|change| {
            UsernameChanged { user, username: change.to.clone(), claimed: change.claimed(saga, &CLAIM_USERNAME) }.into()
        });
        let bio = self.bio.as_ref().map(|bio| BioChanged { user, bio: bio.to.clone() }.into());
        email.into_iter().chain(username).chain(bio).collect()
    }

    /// The key of the new claim and of the old one, and the old one.
    fn keys(&self, step: &Step) -> Option<(Key, Key, Claimed)> {
        if [CLAIM_EMAIL, CONFIRM_EMAIL, VACATE_EMAIL].contains(step) {
            self.email.as_ref().map(|c| (Key::Email(c.claim), Key::Email(c.from.claim), c.from))
        } else {
            self.username.as_ref().map(|c| (Key::Username(c.claim), Key::Username(c.from.claim), c.from))
        }
    }
}

/// Whether the account changes with this event: with the last claim, or at once if nothing needs to be claimed.
fn turns(saga: &Saga, data: &RenameData, event: &SagaEvent) -> bool {
    match event {
        SagaEvent::Started(_) => data.claims().is_empty(),
        SagaEvent::StepCompleted(done) => data.claims().last() == Some(&done.step) && saga.done(&done.step),
        _ => false,
    }
}

impl Process for Rename {
    const NAME: &'static str = "USER_RENAME";
    const STEPS: &'static [Step] =
        &[CLAIM_EMAIL, CLAIM_USERNAME, CONFIRM_EMAIL, VACATE_EMAIL, CONFIRM_USERNAME, VACATE_USERNAME];
    type Data = RenameData;

    fn key(&self, data: &RenameData) -> Key {
        Key::User(data.user)
    }

    fn begin(&self, data: &RenameData, _: &Value, own: &Own) -> Result<Option<Vec<Event>>, Refusal> {
        let account = own.user.active().ok_or(Refusal::NotFound)?;
        if !data.is_of(account) {
            return Err(Refusal::Stale);
        }
        Ok((data.email.is_some() || data.username.is_some()).then(Vec::new))
    }

    fn next(&self, saga: &Saga, data: &RenameData, event: &SagaEvent, own: &Own) -> Vec<Next> {
        if turns(saga, data, event) {
            return match own.user.active() {
                None => vec![Next::Undo(Refusal::NotFound)],
                Some(account) if !data.is_of(account) => vec![Next::Undo(Refusal::Stale)],
                Some(_) if data.rest().is_empty() => vec![Next::Complete],
                Some(_) => data.rest().into_iter().map(Next::Request).collect(),
            };
        }
        let claims = data.claims();
        match event {
            SagaEvent::Started(_) => claims.into_iter().take(1).map(Next::Request).collect(),
            SagaEvent::StepCompleted(done) if claims.contains(&done.step) => {
                claims.into_iter().skip_while(|step| *step != done.step).skip(1).take(1).map(Next::Request).collect()
            }
            SagaEvent::StepCompleted(_) if data.rest().iter().all(|step| saga.done(step)) => vec![Next::Complete],
            _ => Vec::new(),
        }
    }

    fn effects(&self, saga: &Saga, data: &RenameData, event: &SagaEvent, own: &Own) -> Vec<Event> {
        let may_change = own.user.active().is_some_and(|account| data.is_of(account));
        if may_change && turns(saga, data, event) { data.changes(saga) } else { Vec::new() }
    }

    fn action(&self, saga: SagaId, data: &RenameData, step: &Step, _: &Own) -> Action {
        let user = data.user;
        let (new, old, from) = data.keys(step).expect("a step is requested only of what is to change");
        if *step == CLAIM_EMAIL || *step == CLAIM_USERNAME {
            Action::Command(new, ClaimCommand::Reserve { saga, user }.into())
        } else if *step == CONFIRM_EMAIL || *step == CONFIRM_USERNAME {
            Action::Command(new, ClaimCommand::Confirm { saga }.into())
        } else {
            Action::Command(old, ClaimCommand::Vacate { saga, user, version: from.version }.into())
        }
    }

    fn compensation(&self, saga: SagaId, data: &RenameData, step: &Step) -> Option<Action> {
        let (new, ..) = data.keys(step)?;
        let reserves = *step == CLAIM_EMAIL || *step == CLAIM_USERNAME;
        reserves.then(|| Action::Command(new, ClaimCommand::Release { saga }.into()))
    }

    fn plan(&self, data: &RenameData) -> Vec<Step> {
        data.claims().into_iter().chain(data.rest()).collect()
    }

    fn is_fulfilled(&self, saga: &Saga) -> bool {
        // The claims are reserved when the rest is requested.
        saga.steps.iter().any(|state| state.step != CLAIM_EMAIL && state.step != CLAIM_USERNAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{ADA, Stage, digest, sealed};
    use events::UserDisabled;

    fn name(to: &str, claim: u8) -> SagaData {
        let to = sealed(&Username::parse(to).unwrap());
        let username = Some(Change { from: Stage::had(2), to, claim: digest(claim) });
        RenameData { user: ADA, email: None, username, bio: None }.into()
    }

    fn both() -> SagaData {
        let email = sealed(&Email::parse("lovelace@example.com").unwrap());
        let username = sealed(&Username::parse("lovelace").unwrap());
        RenameData {
            user: ADA,
            email: Some(Change { from: Stage::had(1), to: email, claim: digest(3) }),
            username: Some(Change { from: Stage::had(2), to: username, claim: digest(4) }),
            bio: Some(NewBio { to: None }),
        }
        .into()
    }

    #[test]
    fn with_the_last_claim_the_account_changes_and_then_the_old_ones_are_given_back() {
        let mut stage = Stage::with_ada();
        assert_eq!(stage.begin(&Rename, both(), Value::Null).unwrap(), ["saga.started", "saga.step_requested"]);
        let (_, here) = stage.step(&Rename, &both(), CLAIM_EMAIL);
        assert_eq!(here, ["saga.step_completed", "saga.step_requested"]);
        let (_, here) = stage.step(&Rename, &both(), CLAIM_USERNAME);
        assert_eq!(here[..3], ["saga.step_completed", "user.email_changed", "user.username_changed"]);
        assert_eq!(here[3], "user.bio_changed");
        assert_eq!(here[4..], ["saga.step_requested"; 4]);
        for step in [CONFIRM_EMAIL, VACATE_EMAIL, CONFIRM_USERNAME] {
            assert_eq!(stage.step(&Rename, &both(), step).1, ["saga.step_completed"]);
        }
        let (_, here) = stage.step(&Rename, &both(), VACATE_USERNAME);
        assert_eq!(here, ["saga.step_completed", "saga.completed"]);
    }

    #[test]
    fn the_same_name_written_differently_needs_no_claim() {
        let mut stage = Stage::with_ada();
        let begun = stage.begin(&Rename, name("Ada", 2), Value::Null).unwrap();
        assert_eq!(begun, ["saga.started", "user.username_changed", "saga.completed"]);
    }

    #[test]
    fn an_account_that_has_changed_meanwhile_is_not_changed() {
        let mut stage = Stage::with_ada();
        stage.begin(&Rename, name("lovelace", 3), Value::Null).unwrap();
        let other = UsernameChanged {
            user: ADA,
            username: sealed(&Username::parse("byron").unwrap()),
            claimed: Claimed { claim: digest(9), version: 1 },
        };
        stage.happens(Key::User(ADA), vec![other.into()]);
        assert_eq!(stage.begin(&Rename, name("lovelace", 3), Value::Null), Ok(vec![]), "it has begun");
        let (_, here) = stage.step(&Rename, &name("lovelace", 3), CLAIM_USERNAME);
        assert_eq!(here, ["saga.step_completed", "saga.compensating", "saga.step_requested"]);
        assert_eq!(stage.undo(&Rename, &name("lovelace", 3), CLAIM_USERNAME).1[1], "saga.compensated");
    }

    #[test]
    fn who_is_being_deleted_keeps_their_name() {
        let mut stage = Stage::with_ada();
        stage.begin(&Rename, name("lovelace", 3), Value::Null).unwrap();
        stage.happens(Key::User(ADA), vec![UserDisabled { user: ADA }.into()]);
        let (_, here) = stage.step(&Rename, &name("lovelace", 3), CLAIM_USERNAME);
        assert_eq!(here, ["saga.step_completed", "saga.compensating", "saga.step_requested"]);
    }

    #[test]
    fn what_was_asked_of_another_name_is_refused() {
        let mut stage = Stage::with_ada();
        let to = sealed(&Username::parse("lovelace").unwrap());
        let from = Claimed { claim: digest(2), version: 9 };
        let username = Some(Change { from, to, claim: digest(3) });
        let data = RenameData { user: ADA, email: None, username, bio: None }.into();
        assert_eq!(stage.begin(&Rename, data, Value::Null), Err(Refusal::Stale));
    }
}
