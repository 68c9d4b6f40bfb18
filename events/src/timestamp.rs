//! Time as the log tells it: microseconds since 1970 in UTC, written with a fixed width so that text sorts as time does.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use time::{Date, Month, OffsetDateTime, Time};

/// Microseconds since the epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

/// Where digits stand (0), and what stands between them. Read and written by hand: every commit has a time, and a
/// format interpreted anew each time was a twelfth of decoding one.
const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// The text is not a time as this log writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a time of the form 2026-11-23T01:02:03.123456Z")]
pub struct NotATime;

impl Timestamp {
    /// The wall clock.
    pub fn now() -> Self {
        Self::from(OffsetDateTime::now_utc())
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `duration`; stops at the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        Self(i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).map_err(|_| fmt::Error)?;
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second, micros) = time.to_hms_micro();
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", u8::from(month))
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let text = text.as_bytes();
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        if text.len() != SHAPE.len() || !text.iter().zip(SHAPE).all(fits) {
            return Err(NotATime);
        }
        let number = |from: usize, to: usize| text[from..to].iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
        let small = |from: usize| u8::try_from(number(from, from + 2)).expect("two digits");
        let year = i32::try_from(number(0, 4)).expect("four digits");
        let date = Month::try_from(small(5)).and_then(|month| Date::from_calendar_date(year, month, small(8)));
        let time = Time::from_hms_micro(small(11), small(14), small(17), number(20, 26));
        match (date, time) {
            (Ok(date), Ok(time)) => Ok(OffsetDateTime::new_utc(date, time).into()),
            _ => Err(NotATime),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::parsed::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_a_fixed_width_and_parses_back() {
        for micros in [0, 1, 999_999, 1_700_000_000_000_000, 1_700_000_000_120_000] {
            let text = Timestamp(micros).to_string();
            assert_eq!(text.len(), "2026-11-23T01:02:03.123456Z".len());
            assert_eq!(text.parse(), Ok(Timestamp(micros)));
        }
        assert_eq!(Timestamp(1_700_000_000_120_000).to_string(), "2023-11-14T22:13:20.120000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let time = "2024-02-29T23:59:59.999999Z";
        assert!(time.parse::<Timestamp>().is_ok());
        for (at, byte) in
            [(3, "x"), (5, "2"), (8, "3"), (11, "3"), (14, "6"), (19, ","), (26, "+"), (26, "ZZ"), (26, "")]
        {
            let text = format!("{}{byte}{}", &time[..at], &time[(at + 1)..]);
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
        assert_eq!("2023-02-29T23:59:59.999999Z".parse::<Timestamp>(), Err(NotATime));
    }
}
