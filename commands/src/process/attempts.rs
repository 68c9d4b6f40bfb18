//! How often and under which ids a step is tried.

use events::{CommandId, SagaId, Step};
use std::time::Duration;

/// How often a step is tried without an answer before the saga gives up and undoes what was done.
pub(super) const STEP_ATTEMPTS_MAX: u32 = 8;
/// How often a compensation is tried before one that is refused, or fails, must be looked at by a person: a quarter of an
/// hour or so.
pub(super) const COMPENSATION_ATTEMPTS_MAX: u32 = 20;
/// The wait after the first attempt; doubled with each further one.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The longest wait between two attempts: some are tried for ever, and each attempt is a commit.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// None before the first attempt; then doubles with each, and differs between sagas by up to a half, so that they do
/// not come back all at once. The jitter is taken from the saga's id: deciding has no randomness of its own.
pub(crate) fn retry_delay(saga: SagaId, attempts: u32) -> Duration {
    if attempts == 0 {
        return Duration::ZERO;
    }
    let delay = RETRY_DELAY.saturating_mul(1 << (attempts - 1).min(16)).min(RETRY_DELAY_MAX);
    let spread = u32::try_from(saga.0.as_u128() % 1_000).expect("below 1,000");
    delay + delay / 2_000 * spread
}

/// The id of the command that carries out a step or its compensation: independent of the attempt, so that however often
/// it is sent it takes effect once.
pub fn step_command_id(saga: SagaId, step: &Step, compensation: bool) -> CommandId {
    derived(&[b"step", saga.0.as_bytes(), step.0.as_bytes(), &[u8::from(compensation)]])
}

/// The id of the command that tells the saga what came of an attempt, after so many parts of the step.
pub(crate) fn outcome_command_id(
    saga: SagaId,
    step: &Step,
    compensation: bool,
    (parts, attempts): (u32, u32),
) -> CommandId {
    let (part, attempt) = (parts.to_be_bytes(), attempts.to_be_bytes());
    derived(&[b"outcome", saga.0.as_bytes(), step.0.as_bytes(), &[u8::from(compensation)], &part, &attempt])
}

fn derived(parts: &[&[u8]]) -> CommandId {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let bytes: [u8; 16] = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    CommandId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
