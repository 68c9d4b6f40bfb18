//! An account.

use super::Fact;
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{
    Bio, BioChanged, Claimed, PasswordChanged, PasswordHash, Role, RoleChanged, Sealed, UserCreated, UserEvent, UserId,
};
use serde::{Deserialize, Serialize};

/// What the write side must know of an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum User {
    /// Nobody has registered under this id.
    #[default]
    Absent,
    /// The account can act.
    Active(Account),
    /// It is being deleted, or has been: it can do nothing any more, for good.
    Disabled(Account),
}

/// What an account has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Counts the changes of the password, so that a login cannot use a password that was changed meanwhile.
    pub credentials: u64,
    /// Under what its address is claimed.
    pub email: Claimed,
    /// Under what its name is claimed.
    pub username: Claimed,
    /// What it may do besides using the service.
    pub role: Role,
}

impl User {
    /// The account, if it can act.
    pub fn active(&self) -> Option<&Account> {
        match self {
            Self::Active(account) => Some(account),
            Self::Absent | Self::Disabled(_) => None,
        }
    }

    /// The account, if it is being deleted or has been.
    pub fn disabled(&self) -> Option<&Account> {
        match self {
            Self::Disabled(account) => Some(account),
            Self::Absent | Self::Active(_) => None,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Account)) {
        if let Self::Active(account) = self {
            change(account);
        }
    }
}

/// What can be asked of an account. Registration is a saga and creates the account itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserCommand {
    /// Sets or clears the bio.
    ChangeBio {
        /// Whose.
        user: UserId,
        /// The new bio; `None` clears it.
        bio: Option<Sealed<Bio>>,
    },
    /// Sets another password, with which all sessions end. [`Refusal::StaleCredentials`] if it was changed meanwhile.
    ChangePassword {
        /// Whose.
        user: UserId,
        /// The hash of the new password.
        password: Sealed<PasswordHash>,
        /// The version of the credentials that were checked.
        credentials: u64,
    },
    /// Changes what the person may do besides using the service; to what it is already it changes nothing.
    ChangeRole {
        /// Whose.
        user: UserId,
        /// The new role.
        role: Role,
        /// Which operator says so; `None` for whoever holds the installation's admin token.
        by: Option<UserId>,
        /// Why.
        reason: String,
    },
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = Fact<UserEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: UserCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        let account = self.active().ok_or(Refusal::NotFound)?;
        match command {
            UserCommand::ChangeBio { user, bio } => {
                sink.write(Fact(UserEvent::BioChanged(BioChanged { user, bio })), self).await;
            }
            UserCommand::ChangePassword { credentials, .. } if credentials != account.credentials => {
                return Err(Refusal::StaleCredentials);
            }
            UserCommand::ChangePassword { user, password, .. } => {
                sink.write(Fact(PasswordChanged { user, password }.into()), self).await;
            }
            UserCommand::ChangeRole { role, .. } if role == account.role => {}
            UserCommand::ChangeRole { user, role, by, reason } => {
                sink.write(Fact(RoleChanged { user, role, by, reason }.into()), self).await;
            }
        }
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            UserEvent::Created(created) => *self = Self::Active(Account::of(&created)),
            UserEvent::BioChanged(_) | UserEvent::KeyDestroyed(_) => {}
            UserEvent::EmailChanged(changed) => self.change(|account| account.email = changed.claimed),
            UserEvent::UsernameChanged(changed) => self.change(|account| account.username = changed.claimed),
            UserEvent::PasswordChanged(_) => self.change(|account| account.credentials += 1),
            UserEvent::RoleChanged(changed) => self.change(|account| account.role = changed.role),
            UserEvent::Disabled(_) => {
                if let Self::Active(account) = self {
                    *self = Self::Disabled(*account);
                }
            }
        }
    }
}

impl Account {
    fn of(created: &UserCreated) -> Self {
        Self {
            credentials: 1,
            email: Claimed { claim: created.email_claim, version: created.email_version },
            username: Claimed { claim: created.username_claim, version: created.username_version },
            role: Role::User,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use cqrs_es::test::TestFramework;
    use events::{CipherKey, Digest, Email, PasswordHash, UserDisabled, Username};
    use uuid::Uuid;

    pub(in crate::aggregates) fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn key() -> CipherKey {
        CipherKey::new(user(1).into(), &[1; 32])
    }

    pub(in crate::aggregates) fn created() -> Fact<UserEvent> {
        Fact(UserEvent::Created(UserCreated {
            user: user(1),
            email: Sealed::seal(&Email::parse("ada@example.com").unwrap(), &key()),
            username: Sealed::seal(&Username::parse("ada").unwrap(), &key()),
            password: Sealed::seal(&PasswordHash::new("$argon2id$".to_owned()), &key()),
            email_claim: Digest::default(),
            email_version: 1,
            username_claim: Digest::default(),
            username_version: 1,
        }))
    }

    pub(in crate::aggregates) fn account() -> Account {
        let claimed = Claimed { claim: Digest::default(), version: 1 };
        Account { credentials: 1, email: claimed, username: claimed, role: Role::User }
    }

    fn operator() -> UserCommand {
        UserCommand::ChangeRole { user: user(1), role: Role::Operator, by: None, reason: "the first one".to_owned() }
    }

    fn role_changed() -> Fact<UserEvent> {
        let reason = "the first one".to_owned();
        Fact(RoleChanged { user: user(1), role: Role::Operator, by: None, reason }.into())
    }

    #[test]
    fn a_role_changes_once() {
        let framework = || TestFramework::<User>::with(());
        framework().given(vec![created()]).when(operator()).then_expect_events(vec![role_changed()]);
        framework().given(vec![created(), role_changed()]).when(operator()).then_expect_events(vec![]);
    }

    #[test]
    fn who_is_being_deleted_can_do_nothing_any_more() {
        let disabled = Fact(UserDisabled { user: user(1) }.into());
        TestFramework::<User>::with(())
            .given(vec![created(), disabled])
            .when(operator())
            .then_expect_error(Refusal::NotFound);
    }

    #[test]
    fn a_password_that_was_checked_against_another_one_changes_nothing() {
        let password = || Sealed::seal(&PasswordHash::new("$argon2id$".to_owned()), &key());
        let (password, other) = (password(), password());
        let change = |password, credentials| UserCommand::ChangePassword { user: user(1), password, credentials };
        let changed = Fact(PasswordChanged { user: user(1), password: password.clone() }.into());
        let framework = || TestFramework::<User>::with(());
        framework().given(vec![created()]).when(change(password, 1)).then_expect_events(vec![changed.clone()]);
        framework().given(vec![created(), changed]).when(change(other, 1)).then_expect_error(Refusal::StaleCredentials);
    }

    #[test]
    fn a_bio_can_be_changed() {
        let bio = Some(Sealed::seal(&Bio::parse("mathematician").unwrap(), &key()));
        TestFramework::<User>::with(())
            .given(vec![created()])
            .when(UserCommand::ChangeBio { user: user(1), bio: bio.clone() })
            .then_expect_events(vec![Fact(UserEvent::BioChanged(BioChanged { user: user(1), bio }))]);
    }

    #[test]
    fn who_does_not_exist_has_no_bio() {
        TestFramework::<User>::with(())
            .given_no_previous_events()
            .when(UserCommand::ChangeBio { user: user(1), bio: None })
            .then_expect_error(Refusal::NotFound);
    }
}
