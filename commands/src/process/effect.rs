//! What a step can do outside the log, as a port: the owner of a partition knows neither read models nor keys.

use super::Outcome;
use events::{SagaId, UserId};
use std::pin::Pin;

/// Something that a step does outside the log. Done again, it changes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Deletes what a person has left behind, as far as it can be seen by now, a part at a time.
    Erase(UserId),
    /// The same, until nothing is left at an end of the log that was told after the effect began, with nothing parked
    /// and no saga open that may still concern the person.
    Sweep(UserId),
    /// Waits until every live generation of every read model has passed all that stands in the log.
    PassReadModels(UserId),
    /// Makes the person's key unreadable for ever.
    DestroyKey(UserId),
}

impl Effect {
    /// Whether it takes long only because it waits for others to get on.
    pub fn waits(self) -> bool {
        match self {
            Self::Sweep(_) | Self::PassReadModels(_) => true,
            Self::Erase(_) | Self::DestroyKey(_) => false,
        }
    }
}

/// What comes of an effect.
pub type EffectFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Carries effects out.
///
/// [`Outcome::Done`] says that all of the effect is durable, [`Outcome::Progress`] that a part is and that the owner
/// shall ask again, at once. Anything else is tried again later with back-off: nothing undoes an effect. Asked twice, also
/// at the same time, it does no harm. The owner drops a future that takes longer than
/// [`EFFECT_TIMEOUT`](crate::limits::EFFECT_TIMEOUT).
pub trait Effects: Send + Sync {
    /// Carries one out, or a part of it.
    fn carry_out(&self, saga: SagaId, effect: Effect) -> EffectFuture;
}

/// For owners whose sagas have no effects: each is tried again for ever.
pub struct NoEffects;

impl Effects for NoEffects {
    fn carry_out(&self, _: SagaId, effect: Effect) -> EffectFuture {
        Box::pin(async move { Outcome::Unknown(format!("nobody here can carry out {effect:?}")) })
    }
}
