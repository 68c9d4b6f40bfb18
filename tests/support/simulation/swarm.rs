//! What differs from seed to seed: how large the world is, what breaks in it and how often.
//!
//! A world in which everything breaks a little is always the same world. Here whole kinds of faults are absent from a
//! seed, and others come thick (swarm testing, Groce et al. 2012), so that what only shows in a rare mixture shows.

use super::effects::EffectRates;
use super::log::LogFaults;
use super::network::NetworkFaults;
use super::reading::StoreRates;
use super::{Dice, Fault};
use commands::MAILBOX_MAX;
use std::collections::BTreeSet;
use std::time::Duration;

/// What the seed decides before the world begins.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Partitions of the log.
    pub partitions: u32,
    /// Clients that ask for one thing after another.
    pub clients: usize,
    /// Registrations that compete for names.
    pub registrations: usize,
    /// People who publish without an account.
    pub nobodies: usize,
    /// People who delete their account.
    pub leavers: usize,
    /// Orders that an operator gives.
    pub orders: usize,
    /// Somebody publishes more at one time than anybody may.
    pub burst: bool,
    /// How many posts, users and so on the clients choose from; few are hot.
    pub choice: usize,
    /// Requests that may wait for an owner.
    pub mailbox_max: usize,
    /// What the log does.
    pub log: LogFaults,
    /// What the network does.
    pub network: NetworkFaults,
    /// What the stores of the read models do.
    pub stores: StoreRates,
    /// What becomes of what sagas do outside the log.
    pub effects: EffectRates,
    /// One client in so many has a clock that is wrong; 0 for none.
    pub wrong_clock_one_in: usize,
    /// One request in so many is given up at the first sign of doubt; 0 for none.
    pub give_up_one_in: usize,
    /// Between two strikes, in microseconds.
    strikes: (u64, u64),
    absent: BTreeSet<Fault>,
}

/// What strikes from outside, and may be absent from a seed.
const STRIKES: [Fault; 9] = [
    Fault::OwnerCrash,
    Fault::OwnerPause,
    Fault::TwoOwners,
    Fault::ClockJump,
    Fault::HandOver,
    Fault::Revoked,
    Fault::HandBack,
    Fault::LogUnavailable,
    Fault::LogFull,
];

impl Swarm {
    /// The world of this seed. Its dice are its own, so that what a seed decides here leaves the rest alone.
    pub fn new(seed: u64) -> Self {
        let dice = Dice::new(seed ^ 0x5eed_0f5e_ed5e_ed00);
        // A third of the seeds go without a fault, a third have four times as much of it.
        let rate = |one_in: usize| [0, one_in, one_in, (one_in / 4).max(1)][dice.below(4)];
        let pace = *dice.one_of(&[1, 2, 4]);
        // It makes everybody wait.
        let away = (!dice.once_in(4)).then_some(Fault::OwnerAway);
        Self {
            partitions: *dice.one_of(&[1, 2, 3, 3, 5]),
            clients: *dice.one_of(&[4, 12, 12, 24]),
            registrations: *dice.one_of(&[4, 16, 16, 24]),
            nobodies: dice.below(3),
            leavers: *dice.one_of(&[0, 1, 1, 3]),
            orders: *dice.one_of(&[0, 8, 12]),
            burst: dice.once_in(10),
            choice: *dice.one_of(&[2, 8, usize::MAX, usize::MAX]),
            mailbox_max: *dice.one_of(&[4, 16, MAILBOX_MAX]),
            log: LogFaults {
                lost_one_in: rate(250),
                receipt_lost_one_in: rate(250),
                slow_one_in: rate(60),
                slow_look_one_in: rate(40),
            },
            network: NetworkFaults {
                lost_one_in: rate(60),
                doubled_one_in: rate(25),
                delayed_one_in: rate(40),
                stale_one_in: rate(8),
            },
            stores: StoreRates {
                unavailable_one_in: rate(25),
                answer_lost_one_in: rate(40),
                rejected_one_in: rate(150),
            },
            effects: EffectRates { failed_one_in: rate(16), slow_one_in: rate(16), answer_lost_one_in: rate(16) },
            wrong_clock_one_in: rate(8),
            give_up_one_in: rate(12),
            strikes: (5_000 * pace, 250_000 * pace),
            absent: STRIKES.into_iter().filter(|_| dice.once_in(4)).chain(away).collect(),
        }
    }

    /// Whether this happens in the seed at all.
    pub fn has(&self, fault: Fault) -> bool {
        !self.absent.contains(&fault)
    }

    /// How long until the next strike.
    pub fn calm(&self, dice: &Dice) -> Duration {
        dice.micros(self.strikes.0, self.strikes.1)
    }
}
