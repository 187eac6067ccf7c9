//! Moments and days by the calendar, UTC: what a ledger that outlives a cluster is kept in.
//!
//! A cluster's own clock counts from its start, see [`super::units::Timestamp`]; that start makes one of the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::units::{Duration, Timestamp};

const NANOS_PER_DAY: u64 = 24 * 3600 * 1_000_000_000;

/// A moment by the calendar, in nanoseconds since 1970-01-01T00:00:00Z. The last is in the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The last moment.
    pub const MAX: UnixNanos = UnixNanos(u64::MAX);

    /// A calendar time; the first moment for one before it, the last for one beyond.
    pub fn of(time: jiff::Timestamp) -> UnixNanos {
        let nanos = time.as_nanosecond();
        UnixNanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }

    /// A moment of a cluster that started at `start`.
    pub fn at(start: UnixNanos, moment: Timestamp) -> UnixNanos {
        UnixNanos(start.0.saturating_add(moment.0))
    }

    /// The time between `earlier` and this moment, zero when `earlier` is later.
    pub fn since(self, earlier: UnixNanos) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The day that it is in.
    pub fn day(self) -> Day {
        Day(u32::try_from(self.0 / NANOS_PER_DAY).expect("the last moment's day is the 213,503rd"))
    }

    /// As a calendar time.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.0.into()).expect("the last moment is in the year 2554")
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

/// A day of the calendar, UTC, by its number: 1970-01-01 is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct Day(pub u32);

impl Day {
    /// Its first moment.
    pub fn start(self) -> UnixNanos {
        UnixNanos(u64::from(self.0).saturating_mul(NANOS_PER_DAY))
    }

    /// The first moment after it.
    pub fn end(self) -> UnixNanos {
        Day(self.0.saturating_add(1)).start()
    }

    /// Reads `2026-11-01`; `None` for anything else and for a day that a [`UnixNanos`] can't be in.
    pub fn parse(text: &str) -> Option<Day> {
        let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == "2026-11-01".len())?;
        let start = jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        let nanos = u64::try_from(start.as_nanosecond()).ok()?;
        Some(UnixNanos(nanos).day())
    }

    /// Its date.
    pub fn date(self) -> jiff::civil::Date {
        jiff::tz::Offset::UTC.to_datetime(self.start().timestamp()).date()
    }

    /// Its month, as in `2026-11`.
    pub fn month(self) -> String {
        let date = self.date();
        format!("{:04}-{:02}", date.year(), date.month())
    }

    /// The first day of its month, and the first of the next one.
    pub fn month_bounds(self) -> [Day; 2] {
        let date = self.date();
        let day = |date: jiff::civil::Date| Day::parse(&date.to_string()).unwrap_or(self);
        let next = date.last_of_month().tomorrow().unwrap_or(date);
        [day(date.first_of_month()), day(next)]
    }
}

impl fmt::Display for Day {
    /// As in `2026-11-01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day's bounds, its name and its month agree, over a leap day and the end of a year.
    #[test]
    fn days_have_names_and_months() {
        for (name, month, bounds) in [
            ("1970-01-01", "1970-01", ["1970-01-01", "1970-02-01"]),
            ("2028-02-29", "2028-02", ["2028-02-01", "2028-03-01"]),
            ("2026-12-31", "2026-12", ["2026-12-01", "2027-01-01"]),
        ] {
            let day = Day::parse(name).unwrap();
            assert_eq!(day.to_string(), name);
            assert_eq!(day.start().to_string(), format!("{name}T00:00:00Z"));
            assert_eq!((day.start().day(), UnixNanos(day.end().0 - 1).day()), (day, day));
            assert_eq!(day.month(), month);
            assert_eq!(day.month_bounds().map(|day| day.to_string()), bounds);
        }
        for wrong in ["", "2026-11", "2026-13-01", "2026-02-30", "2026-11-01T00:00:00Z", "1969-12-31", "9999-01-01"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
        assert_eq!(UnixNanos::MAX.day().end(), UnixNanos::MAX);
    }
}
