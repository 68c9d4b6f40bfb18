//! Which generation of the signing key signs at what time, and which ones are still good: decided from values alone.
//!
//! What is kept of a generation is its number and the time from which it signs; its seed is derived from the root. A
//! generation verifies as soon as it is known, so that nobody refuses what a node with a faster clock has signed.

use crate::Timestamp;
use std::time::Duration;

/// As many generations are kept; older ones verify nothing any more.
pub const SIGNING_KEYS_MAX: usize = 32;
/// How far the clocks of nodes may be apart.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// One generation of the key that signs access tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SigningKey {
    /// Counted from 0.
    pub generation: u32,
    /// When it takes over from the one before.
    pub signs_from: Timestamp,
}

/// The generations that are kept, oldest first: at least one, numbered without gaps, none taking over before another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningKeys(Vec<SigningKey>);

/// Why there can be no further generation yet, or no such set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SigningError {
    /// The oldest generation that is kept may still have good tokens; no more than [`SIGNING_KEYS_MAX`] are kept.
    #[error("there are {SIGNING_KEYS_MAX} signing keys whose tokens may still be good: wait until the oldest are not")]
    TooMany,
    /// What was stored is not what was written.
    #[error("the signing keys are not numbered and dated one after the other")]
    Disordered,
}

impl Default for SigningKeys {
    /// Generation 0, which signs from the beginning of time.
    fn default() -> Self {
        Self(vec![SigningKey { generation: 0, signs_from: Timestamp::default() }])
    }
}

impl SigningKeys {
    /// The set of these generations, as it was stored.
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, SigningError> {
        let in_order = |pair: &[SigningKey]| {
            pair[0].generation.checked_add(1) == Some(pair[1].generation) && pair[0].signs_from <= pair[1].signs_from
        };
        let whole = (1..=SIGNING_KEYS_MAX).contains(&keys.len()) && keys.windows(2).all(in_order);
        if whole { Ok(Self(keys)) } else { Err(SigningError::Disordered) }
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> &[SigningKey] {
        &self.0
    }

    /// The one that signs at `now`.
    pub fn signing_at(&self, now: Timestamp) -> SigningKey {
        *self.0.iter().rfind(|key| key.signs_from <= now).unwrap_or(&self.0[0])
    }

    /// Whether tokens of this generation may be good at `now`, if they are good for `life`.
    pub fn is_good(&self, generation: u32, now: Timestamp, life: Duration) -> bool {
        let Some(at) = self.0.iter().position(|key| key.generation == generation) else { return false };
        // The last token was signed when the next one took over, by the slowest clock.
        self.0.get(at + 1).is_none_or(|next| now < next.signs_from.plus(life).plus(CLOCK_SKEW_MAX))
    }

    /// The set with one more generation, which takes over at `signs_from`, or when the last one does if that is later.
    /// Forgets what is neither good at `now` nor fits in.
    pub fn rotated(&self, signs_from: Timestamp, now: Timestamp, life: Duration) -> Result<Self, SigningError> {
        let last = self.0[self.0.len() - 1];
        let generation = last.generation.checked_add(1).ok_or(SigningError::TooMany)?;
        let mut keys = self.0.clone();
        if keys.len() == SIGNING_KEYS_MAX {
            if self.is_good(keys[0].generation, now, life) {
                return Err(SigningError::TooMany);
            }
            keys.remove(0);
        }
        keys.push(SigningKey { generation, signs_from: signs_from.max(last.signs_from) });
        Ok(Self(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_generation_signs_from_its_time_on_and_no_earlier() {
        let keys = SigningKeys::default().rotated(at(100), at(70), LIFE).unwrap();
        assert_eq!(keys.signing_at(at(99)).generation, 0);
        assert_eq!(keys.signing_at(at(100)).generation, 1);
        assert!(keys.is_good(1, at(0), LIFE), "it verifies as soon as it is known");
    }

    #[test]
    fn the_former_one_verifies_until_its_last_token_has_expired_by_every_clock() {
        let keys = SigningKeys::default().rotated(at(100), at(70), LIFE).unwrap();
        let last = 100 + LIFE.as_secs() + CLOCK_SKEW_MAX.as_secs();
        assert!(keys.is_good(0, at(last - 1), LIFE));
        assert!(!keys.is_good(0, at(last), LIFE));
        assert!(keys.is_good(1, at(last * 1_000), LIFE));
        assert!(!keys.is_good(2, at(0), LIFE), "nobody has heard of it");
    }

    #[test]
    fn a_rotation_never_takes_over_before_the_one_before_it() {
        let keys =
            SigningKeys::default().rotated(at(100), at(70), LIFE).unwrap().rotated(at(50), at(50), LIFE).unwrap();
        assert_eq!(keys.all()[2].signs_from, at(100));
        assert_eq!(keys.signing_at(at(100)).generation, 2);
    }

    #[test]
    fn what_is_kept_is_bounded_and_nothing_good_is_forgotten() {
        let mut keys = SigningKeys::default();
        for n in 1..SIGNING_KEYS_MAX as u64 {
            keys = keys.rotated(at(n), at(n), LIFE).unwrap();
        }
        assert_eq!(keys.rotated(at(100), at(100), LIFE), Err(SigningError::TooMany));
        let later = at(10_000);
        keys = keys.rotated(later, later, LIFE).unwrap();
        assert_eq!((keys.all().len(), keys.all()[0].generation), (SIGNING_KEYS_MAX, 1));
        assert_eq!(SigningKeys::new(keys.all().to_vec()), Ok(keys));
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        let key = |generation, seconds| SigningKey { generation, signs_from: at(seconds) };
        for keys in [vec![], vec![key(0, 0), key(2, 1)], vec![key(0, 1), key(1, 0)], vec![key(0, 0); 2]] {
            assert_eq!(SigningKeys::new(keys), Err(SigningError::Disordered));
        }
    }
}
