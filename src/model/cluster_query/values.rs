//! Versions and moments: values that are compared by what they mean and not by their letters.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A version as in `1.14.5`: numbers, compared one by one. What is missing at the end counts as zero.
/// **Source:** ecs-semantics §4.4.
#[derive(Clone, Debug)]
pub struct Version(Vec<u64>);

impl Version {
    /// Reads a version; `None` when it is not numbers with points between them.
    pub fn parse(text: &str) -> Option<Version> {
        let number = |part: &str| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        };
        text.split('.').map(number).collect::<Option<Vec<u64>>>().map(Version)
    }

    fn significant(&self) -> &[u64] {
        let length = self.0.iter().rposition(|number| *number > 0).map_or(0, |last| last + 1);
        &self.0[..length]
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.significant() == other.significant()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.significant().cmp(other.significant())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// A moment of the calendar, to the second.
///
/// *Ours:* a date without a time is its first second, and a time without a zone is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Moment {
    unix_seconds: i64,
}

impl Moment {
    /// The moment of a calendar time.
    pub fn of(at: jiff::Timestamp) -> Moment {
        Moment { unix_seconds: at.as_second() - i64::from(at.subsec_nanosecond() < 0) }
    }

    /// Reads `2018-06-18T22:28:28+00:00`, the same with `Z`, without a zone, or the date alone; `None` otherwise.
    /// **Source:** ecs-semantics §4.4.
    pub fn parse(text: &str) -> Option<Moment> {
        // What a zone in brackets means would depend on the host's tables.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-+:.TZtz".contains(&byte));
        if !is_plain {
            return None;
        }
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Moment::of(at));
        }
        let local: jiff::civil::DateTime = text.parse().ok()?;
        let at = jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?;
        Some(Moment::of(at))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_second(self.unix_seconds).unwrap_or_default();
        write!(f, "{at}")
    }
}
