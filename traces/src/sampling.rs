//! Which traces are followed: a part of them, by their ids.

use uuid::Uuid;

/// The part of a trace's id that is taken for random: the last 56 bits, as OpenTelemetry's consistent probability sampling
/// says. A UUID has its version and variant elsewhere.
const RANDOM_BITS: u32 = 56;

/// See the module. By default everything is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sampling {
    /// Traces whose random bits are less are not followed.
    threshold: u64,
}

impl Sampling {
    /// This part of all traces, from 0 (none) to 1 (all of them); `None` if it is no such number.
    pub fn ratio(ratio: f64) -> Option<Self> {
        let all = (1_u64 << RANDOM_BITS) as f64;
        (0.0..=1.0).contains(&ratio).then_some(Self { threshold: ((1.0 - ratio) * all) as u64 })
    }

    /// Whether this trace is followed. One without an id never is.
    pub fn takes(self, trace: Uuid) -> bool {
        let random = trace.as_u128() as u64 & ((1 << RANDOM_BITS) - 1);
        random >= self.threshold && !trace.is_nil()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_are_followed_as_wanted_and_always_the_same() {
        for ratio in [0.0, 0.01, 0.5, 1.0] {
            let sampling = Sampling::ratio(ratio).unwrap();
            let ids: Vec<Uuid> = (0..20_000).map(|_| Uuid::new_v4()).collect();
            let taken = ids.iter().filter(|id| sampling.takes(**id)).count() as f64 / 20_000.0;
            assert!((taken - ratio).abs() < 0.02, "{taken} of {ratio}");
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampling::ratio(bad), None);
        }
        assert!(!Sampling::default().takes(Uuid::nil()));
    }
}
