//! Values between Rust and PostgreSQL.

use crate::listing::Place;
use crate::read_model::Unavailable;
use crate::text::Text;
use events::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A time as PostgreSQL takes it. What lies beyond the years that both know is the first or the last moment of these.
pub(crate) type At = OffsetDateTime;

/// Before everything that is in a list, and behind it.
pub(crate) const FIRST: Place = (Timestamp(i64::MIN), Uuid::nil());
pub(crate) const LAST: Place = (Timestamp(i64::MAX), Uuid::max());

pub(crate) fn time(at: Timestamp) -> At {
    // The year 1 is the first that needs no era.
    const YEAR_ONE: Date = match Date::from_ordinal_date(1, 1) {
        Ok(date) => date,
        Err(_) => Date::MIN,
    };
    let (first, last) = (YEAR_ONE.midnight().assume_utc(), Date::MAX.midnight().assume_utc());
    let nearest = if at.0 < 0 { first } else { last };
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000).unwrap_or(nearest).clamp(first, last)
}

/// A number as PostgreSQL takes it. None of ours comes near its limit.
pub(crate) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A count or a number that is never below zero.
pub(crate) fn count<T: TryFrom<i64>>(row: &PgRow, name: &str) -> Result<T, Unavailable> {
    let stored: i64 = column(row, name)?;
    T::try_from(stored).map_err(|_| Unavailable(format!("PostgreSQL: {name} is {stored}")))
}

/// A column of a row.
pub(crate) fn column<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    name: &str,
) -> Result<T, Unavailable> {
    row.try_get(name).map_err(super::unavailable)
}

pub(crate) fn at(row: &PgRow, name: &str) -> Result<Timestamp, Unavailable> {
    column::<At>(row, name).map(Timestamp::from)
}

pub(crate) fn text(row: &PgRow, name: &str) -> Result<Text, Unavailable> {
    column::<&str>(row, name).map(Text::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_as_they_went() {
        for micros in [0, 1, -1, 1_700_000_000_123_456] {
            assert_eq!(Timestamp::from(time(Timestamp(micros))), Timestamp(micros));
        }
    }

    #[test]
    fn times_that_no_calendar_has_are_before_and_behind_all_others() {
        assert!(time(FIRST.0) < time(Timestamp(0)) && time(Timestamp(0)) < time(LAST.0));
        assert_eq!(time(FIRST.0).year(), 1);
    }
}
