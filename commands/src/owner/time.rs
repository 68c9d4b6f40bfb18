//! The time that a commit carries.

use super::limits::CLOCK_TOLERANCE;
use events::Timestamp;
use journal::{Rule, Rules};

/// The asker's time, as far as the owner's clock agrees, and never before the commit that precedes it.
pub(super) fn commit_time(asked: Timestamp, now: Timestamp, last: Timestamp, rules: Rules) -> Timestamp {
    let tolerance = i64::try_from(CLOCK_TOLERANCE.as_micros()).expect("a few seconds");
    let (earliest, latest) = (now.0.saturating_sub(tolerance), now.0.saturating_add(tolerance));
    let agreed =
        if rules.keep(Rule::ClampToTheOwnersClock) { Timestamp(asked.0.clamp(earliest, latest)) } else { asked };
    if rules.keep(Rule::TimeNeverGoesBack) { agreed.max(last) } else { agreed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
    const TOLERANCE: i64 = 5_000_000;

    fn time(asked: i64, last: i64) -> i64 {
        commit_time(Timestamp(asked), NOW, Timestamp(last), Rules::default()).0
    }

    #[test]
    fn a_time_near_the_owners_is_the_askers() {
        assert_eq!(time(NOW.0 - TOLERANCE, 0), NOW.0 - TOLERANCE);
        assert_eq!(time(NOW.0 + 1, 0), NOW.0 + 1);
    }

    #[test]
    fn a_clock_that_is_wrong_is_followed_as_far_as_the_tolerance() {
        assert_eq!(time(i64::MAX, 0), NOW.0 + TOLERANCE);
        assert_eq!(time(i64::MIN, 0), NOW.0 - TOLERANCE);
    }

    #[test]
    fn it_is_never_before_the_commit_that_precedes_it() {
        assert_eq!(time(NOW.0, NOW.0 + 7), NOW.0 + 7);
        assert_eq!(time(i64::MIN, NOW.0), NOW.0);
    }
}
