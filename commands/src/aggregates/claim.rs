//! The claim to an address or a name: uniqueness without a lock over two keys.
//!
//! A claim is taken for a saga, which later confirms or releases it. It never lapses by time: a saga always ends.

use super::Fact;
use crate::answer::Refusal;
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use events::{ClaimConfirmed, ClaimEvent, ClaimReleased, ClaimReserved, SagaId, UserId};
use serde::{Deserialize, Serialize};

/// Who has the address or the name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Counts the reservations so far.
    version: u64,
    holder: Option<Holder>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Holder {
    saga: SagaId,
    user: UserId,
    confirmed: bool,
}

/// What can be asked of a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimCommand {
    /// Takes it, if it is free.
    Reserve {
        /// For which saga.
        saga: SagaId,
        /// For whom.
        user: UserId,
    },
    /// Keeps it for good. Of a claim that is somebody else's by now it changes nothing: it was given back meanwhile.
    Confirm {
        /// Which saga took it.
        saga: SagaId,
    },
    /// Gives it back. Accepted also when there is nothing to give back: it may have overtaken its reservation.
    Release {
        /// Which saga took it, or wanted to.
        saga: SagaId,
    },
    /// Gives back what a person had for good. Of what they have no more it changes nothing.
    Vacate {
        /// Which saga says so.
        saga: SagaId,
        /// Who had it.
        user: UserId,
        /// Which reservation: they may have taken it again since.
        version: u64,
    },
}

impl Claim {
    /// The version of the newest reservation; 0 if there was none.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Who holds it, for good or for a saga.
    pub fn user(&self) -> Option<UserId> {
        self.holder.as_ref().map(|holder| holder.user)
    }
}

impl Aggregate for Claim {
    const TYPE: &'static str = "claim";
    type Command = ClaimCommand;
    type Event = Fact<ClaimEvent>;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: ClaimCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        let version = self.version;
        let event: ClaimEvent = match (command, &self.holder) {
            (ClaimCommand::Reserve { saga, user }, None) => ClaimReserved { saga, user, version: version + 1 }.into(),
            (ClaimCommand::Reserve { saga, .. }, Some(holder)) if holder.saga == saga => return Ok(()),
            (ClaimCommand::Reserve { .. }, Some(_)) => return Err(Refusal::Taken),
            (ClaimCommand::Confirm { saga }, Some(holder)) if holder.saga == saga => {
                if holder.confirmed {
                    return Ok(());
                }
                ClaimConfirmed { saga, user: holder.user, version }.into()
            }
            (ClaimCommand::Confirm { .. }, _) if version > 0 => return Ok(()),
            (ClaimCommand::Confirm { .. }, _) => return Err(Refusal::NotFound),
            (ClaimCommand::Release { saga }, holder) => {
                let held = holder.as_ref().filter(|holder| holder.saga == saga);
                ClaimReleased { saga, user: held.map(|holder| holder.user) }.into()
            }
            (ClaimCommand::Vacate { saga, user, version: of }, Some(holder))
                if (holder.user, version) == (user, of) =>
            {
                ClaimReleased { saga, user: Some(user) }.into()
            }
            (ClaimCommand::Vacate { .. }, _) => return Ok(()),
        };
        sink.write(Fact(event), self).await;
        Ok(())
    }

    fn apply(&mut self, Fact(event): Self::Event) {
        match event {
            ClaimEvent::Reserved(ClaimReserved { saga, user, version }) => {
                self.version = version;
                self.holder = Some(Holder { saga, user, confirmed: false });
            }
            ClaimEvent::Confirmed(_) => {
                if let Some(holder) = &mut self.holder {
                    holder.confirmed = true;
                }
            }
            ClaimEvent::Released(ClaimReleased { user: Some(_), .. }) => self.holder = None,
            ClaimEvent::Released(ClaimReleased { user: None, .. }) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::user::tests::user;
    use super::*;
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    fn framework() -> TestFramework<Claim> {
        TestFramework::with(())
    }

    fn saga(n: u128) -> SagaId {
        SagaId(Uuid::from_u128(n))
    }

    fn reserve(by: u128) -> ClaimCommand {
        ClaimCommand::Reserve { saga: saga(by), user: user(by) }
    }

    fn reserved(by: u128, version: u64) -> Fact<ClaimEvent> {
        Fact(ClaimReserved { saga: saga(by), user: user(by), version }.into())
    }

    fn confirmed(by: u128) -> Fact<ClaimEvent> {
        Fact(ClaimConfirmed { saga: saga(by), user: user(by), version: 1 }.into())
    }

    fn released(by: u128, held: bool) -> Fact<ClaimEvent> {
        Fact(ClaimReleased { saga: saga(by), user: held.then(|| user(by)) }.into())
    }

    #[test]
    fn what_is_free_is_taken_by_the_first_who_asks() {
        framework().given_no_previous_events().when(reserve(1)).then_expect_events(vec![reserved(1, 1)]);
        framework().given(vec![reserved(1, 1)]).when(reserve(2)).then_expect_error(Refusal::Taken);
        framework().given(vec![reserved(1, 1)]).when(reserve(1)).then_expect_events(vec![]);
    }

    #[test]
    fn what_is_released_can_be_taken_again_with_a_higher_version() {
        framework()
            .given(vec![reserved(1, 1), released(1, true)])
            .when(reserve(2))
            .then_expect_events(vec![reserved(2, 2)]);
    }

    #[test]
    fn what_a_person_has_for_good_is_vacated_once() {
        let vacate = |version| ClaimCommand::Vacate { saga: saga(9), user: user(1), version };
        let vacated = Fact(ClaimReleased { saga: saga(9), user: Some(user(1)) }.into());
        let held = || vec![reserved(1, 1), confirmed(1)];
        framework().given(held()).when(vacate(1)).then_expect_events(vec![vacated.clone()]);
        let again = held().into_iter().chain([vacated, reserved(1, 2)]).collect();
        framework().given(again).when(vacate(1)).then_expect_events(vec![]);
    }

    #[test]
    fn a_release_takes_nothing_from_another_saga() {
        let release = ClaimCommand::Release { saga: saga(2) };
        framework().given(vec![reserved(1, 1)]).when(release).then_expect_events(vec![released(2, false)]);
        framework().given(vec![reserved(1, 1), released(2, false)]).when(reserve(3)).then_expect_error(Refusal::Taken);
    }

    #[test]
    fn only_the_saga_that_took_it_confirms_it_and_too_late_it_changes_nothing() {
        let confirm = |by| ClaimCommand::Confirm { saga: saga(by) };
        framework().given(vec![reserved(1, 1)]).when(confirm(1)).then_expect_events(vec![confirmed(1)]);
        framework().given(vec![reserved(1, 1), confirmed(1)]).when(confirm(1)).then_expect_events(vec![]);
        framework().given(vec![reserved(1, 1)]).when(confirm(2)).then_expect_events(vec![]);
        framework().given_no_previous_events().when(confirm(1)).then_expect_error(Refusal::NotFound);
    }
}
