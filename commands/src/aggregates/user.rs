//! An account.

use super::Fact;
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{Bio, BioChanged, Sealed, UserEvent, UserId};
use serde::{Deserialize, Serialize};

/// What the write side must know of an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum User {
    /// Nobody has registered under this id.
    #[default]
    Absent,
    /// The account can act.
    Active {
        /// Counts the changes of the password, so that a login cannot use a password that was changed meanwhile.
        credentials: u64,
    },
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
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = Fact<UserEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: UserCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        if *self == Self::Absent {
            return Err(Refusal::NotFound);
        }
        match command {
            UserCommand::ChangeBio { user, bio } => {
                sink.write(Fact(UserEvent::BioChanged(BioChanged { user, bio })), self).await;
            }
        }
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            UserEvent::Created(_) => *self = Self::Active { credentials: 1 },
            UserEvent::BioChanged(_) => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use cqrs_es::test::TestFramework;
    use events::{CipherKey, Digest, Email, PasswordHash, UserCreated, Username};
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
