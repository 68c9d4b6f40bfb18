//! How long a kit runs and what chance it takes: from the environment, printed, so that a run can be had again.

use crate::simulation::dice::Dice;
use std::time::{SystemTime, UNIX_EPOCH};

/// A number from the environment, or this one.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The seed of a run: `TIDINGS_FAULT_SEED`, or another one each time.
pub fn seed() -> (u64, Dice) {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs());
    let seed = number("TIDINGS_FAULT_SEED", now);
    (seed, Dice::new(seed))
}
