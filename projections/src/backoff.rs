//! How long to wait before something is tried again.

use crate::runner::limits;
use std::time::Duration;

/// Doubling delays up to a limit; half of each is spread, so that partitions do not return all at once.
#[derive(Default)]
pub(crate) struct Backoff {
    /// How often it was tried.
    pub(crate) attempts: u32,
}

impl Backoff {
    /// The next delay. `chance` is any number that differs between those who wait.
    pub(crate) fn next(&mut self, chance: u64) -> Duration {
        let doubled = limits::RETRY_DELAY.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        let delay = doubled.min(limits::RETRY_DELAY_MAX);
        // Fibonacci hashing: close numbers end far apart. 53 bits are what a fraction holds.
        let spread = (chance.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1_u64 << 53) as f64;
        delay / 2 + (delay / 2).mul_f64(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_differ_between_those_who_wait() {
        let delays = |chance| {
            let mut backoff = Backoff::default();
            (0..64).map(|_| backoff.next(chance)).collect::<Vec<_>>()
        };
        let (one, other) = (delays(1), delays(2));
        assert!(one[0] >= limits::RETRY_DELAY / 2 && one[0] <= limits::RETRY_DELAY);
        assert!(one[63] >= limits::RETRY_DELAY_MAX / 2 && one[63] <= limits::RETRY_DELAY_MAX);
        assert_ne!(one, other);
    }
}
