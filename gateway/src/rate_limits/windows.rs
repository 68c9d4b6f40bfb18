//! Who has taken how much of what, in the minute that began with their first request.
//!
//! A fixed window rather than a bucket that refills: it is one number and one time, so that it is exact under concurrency
//! and can be one atomic script on a shared store, and it can say to the second when all of it is there again. Its price:
//! around the end of a window somebody may take twice the limit within a minute.
//!
//! All that one request takes at one time belongs to one subject, and a subject's windows are behind one lock: taking all
//! of it or nothing is one step. The memory is bounded. When it is full, what is over goes first; then what is furthest
//! from its limit, since forgetting it gives away the least: whoever floods us with addresses loses their own windows
//! and not those of the ones who guess passwords.

use super::class::Class;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// How long a window is.
pub(crate) const WINDOW_S: u32 = 60;
const WINDOW_MS: u64 = WINDOW_S as u64 * 1_000;
/// What one request takes from at one time.
pub(crate) const CHARGES_MAX: usize = 2;
const SHARDS: usize = 64;
/// Windows that one shard remembers: what its table holds without growing beyond 16,384 places. All of them take some
/// 50 MiB, for 900,000 windows.
const SHARD_WINDOWS_MAX: usize = 14_336;
/// What is forgotten at one time, so that looking for the emptiest is done rarely.
const FORGOTTEN: usize = SHARD_WINDOWS_MAX / 8;

/// What is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Charge {
    pub(crate) class: Class,
    /// How much a window holds; 1 or more.
    pub(crate) limit: u32,
    pub(crate) cost: u32,
}

/// How somebody stands after a charge, or where it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    pub(crate) charge: Charge,
    pub(crate) left: u32,
    /// When all of it is there again, in milliseconds since 1970.
    pub(crate) ends_ms: u64,
}

/// What was taken, of which subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    subject: u128,
    standings: [Option<Standing>; CHARGES_MAX],
}

/// See the module.
pub(crate) struct Windows {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Default)]
struct Shard(HashMap<(Class, u128), Window>);

#[derive(Clone, Copy)]
struct Window {
    ends_ms: u64,
    used: u32,
    limit: u32,
}

impl Standing {
    /// Whole seconds from `now_ms` until all of it is there again.
    pub(crate) fn seconds_left(&self, now_ms: u64) -> u32 {
        u32::try_from(self.ends_ms.saturating_sub(now_ms).div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// The one that leaves less; of two the one that lasts longer.
    pub(crate) fn tighter(self, other: Self) -> Self {
        let order = |standing: &Self| (standing.left, u64::MAX - standing.ends_ms);
        if order(&other) < order(&self) { other } else { self }
    }
}

impl Taken {
    /// At most [`CHARGES_MAX`].
    #[cfg(feature = "servers")]
    pub(super) fn new(subject: u128, all: impl Iterator<Item = Standing>) -> Self {
        let mut standings = [None; CHARGES_MAX];
        standings.iter_mut().zip(all).for_each(|(standing, taken)| *standing = Some(taken));
        Self { subject, standings }
    }

    #[cfg(feature = "servers")]
    pub(super) fn subject(&self) -> u128 {
        self.subject
    }

    pub(crate) fn standings(&self) -> impl Iterator<Item = Standing> {
        self.standings.into_iter().flatten()
    }
}

impl Windows {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// Takes all of it; or, if one of the limits would be passed, nothing: then that one is the error.
    ///
    /// At most [`CHARGES_MAX`], each of another class. What costs more than there is ever takes all there is.
    pub(crate) fn take(&self, subject: u128, charges: &[Charge], now_ms: u64) -> Result<Taken, Standing> {
        let mut taken = Taken { subject, standings: [None; CHARGES_MAX] };
        let mut shard = self.shard(subject).lock();
        let mut refused: Option<Standing> = None;
        for (standing, charge) in taken.standings.iter_mut().zip(charges) {
            match shard.window(subject, *charge, now_ms).after(*charge) {
                Ok(after) => *standing = Some(after),
                Err(no) => refused = Some(refused.map_or(no, |first| first.tighter(no))),
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        for standing in taken.standings.into_iter().flatten() {
            shard.note(subject, standing, now_ms);
        }
        Ok(taken)
    }

    /// Where somebody stands who takes nothing; the error is that of a charge that would be refused now.
    pub(crate) fn look(&self, subject: u128, charge: Charge, now_ms: u64) -> Result<Standing, Standing> {
        self.shard(subject).lock().window(subject, charge, now_ms).after(charge)
    }

    /// Gives back what was taken, where the window is still the same one.
    pub(crate) fn give_back(&self, taken: &Taken) {
        let mut shard = self.shard(taken.subject).lock();
        for Standing { charge, ends_ms, .. } in taken.standings() {
            if let Some(window) = shard.0.get_mut(&(charge.class, taken.subject))
                && window.ends_ms == ends_ms
            {
                window.used = window.used.saturating_sub(charge.cost);
            }
        }
    }

    fn shard(&self, subject: u128) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(subject);
        // The map's own hash has other keys, so the bits taken here say nothing about the place in it.
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }
}

impl Shard {
    /// The window as it is now; a new one if there is none, or it is over, or all was given back.
    fn window(&self, subject: u128, charge: Charge, now_ms: u64) -> Window {
        let known = self.0.get(&(charge.class, subject)).filter(|window| window.ends_ms > now_ms && window.used > 0);
        known.copied().unwrap_or(Window { ends_ms: now_ms + WINDOW_MS, used: 0, limit: charge.limit })
    }

    fn note(&mut self, subject: u128, standing: Standing, now_ms: u64) {
        let Standing { charge, left, ends_ms } = standing;
        let window = Window { ends_ms, used: charge.limit - left, limit: charge.limit };
        if let Some(known) = self.0.get_mut(&(charge.class, subject)) {
            *known = window;
            return;
        }
        if self.0.len() >= SHARD_WINDOWS_MAX {
            self.make_room(now_ms);
        }
        self.0.insert((charge.class, subject), window);
    }

    fn make_room(&mut self, now_ms: u64) {
        self.0.retain(|_, window| window.ends_ms > now_ms);
        let Some(excess) = (self.0.len() + FORGOTTEN).checked_sub(SHARD_WINDOWS_MAX) else { return };
        let mut fullness = self.0.values().map(Window::fullness).collect::<Vec<_>>();
        let (fewer, threshold, _) = fullness.select_nth_unstable(excess.min(self.0.len() - 1));
        let threshold = *threshold;
        let mut as_full = excess - fewer.iter().filter(|fullness| **fullness < threshold).count();
        self.0.retain(|_, window| match window.fullness().cmp(&threshold) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal if as_full > 0 => {
                as_full -= 1;
                false
            }
            _ => true,
        });
        metrics::counter!("tidings_rate_limit_windows_forgotten_total").increment(excess as u64);
    }
}

impl Window {
    fn after(self, charge: Charge) -> Result<Standing, Standing> {
        // A limit that was lowered by a restart meets no window: they are not kept.
        let left = charge.limit.saturating_sub(self.used);
        let cost = charge.cost.min(charge.limit);
        let charge = Charge { cost, ..charge };
        match left.checked_sub(cost) {
            Some(left) => Ok(Standing { charge, left, ends_ms: self.ends_ms }),
            None => Err(Standing { charge, left, ends_ms: self.ends_ms }),
        }
    }

    /// Which part of the limit is used, in millionths.
    fn fullness(&self) -> u64 {
        u64::from(self.used) * 1_000_000 / u64::from(self.limit.max(1))
    }
}

#[cfg(test)]
mod tests;
