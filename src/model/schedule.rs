//! When scheduled actions take place: `at(...)`, `rate(...)` and `cron(...)` with time zones.
//!
//! A schedule is a function of calendar time: nothing here knows what time it is. The time zone database is the one that is built
//! in, so that the same schedule means the same moments on every host.
//!
//! **Source:** ecs-semantics §7.4.

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A schedule as it was written and as it was understood.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "WrittenSchedule", into = "WrittenSchedule")]
pub struct Schedule {
    expression: Arc<str>,
    zone_name: Option<Arc<str>>,
    zone: TimeZone,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Once, at a civil time of the zone.
    At(DateTime),
    /// Again and again, so many seconds apart.
    Rate { seconds: i64 },
    /// At the civil times of the zone that a pattern matches.
    Cron(Box<Cron>),
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither of the three forms.
    #[error("\"{0}\" is not a schedule: at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)")]
    Form(String),
    /// Not a time.
    #[error("\"{0}\" is not a time: write it as in at(2026-01-31T08:30:00)")]
    At(String),
    /// Not a rate.
    #[error("\"{0}\" is not a rate: a number from 1 up and minute, minutes, hour, hours, day or days")]
    Rate(String),
    /// One and a plural, or more and a singular.
    #[error("\"{0}\": write {1}")]
    Plural(String, String),
    /// Not six fields.
    #[error("\"{0}\" has {1} fields, not six: minutes hours day-of-month month day-of-week year")]
    Fields(String, usize),
    /// The two days contradict each other.
    #[error("\"{0}\": exactly one of day-of-month and day-of-week must be ?")]
    Days(String),
    /// A field is not understood.
    #[error("\"{0}\" is not a cron expression: {1}")]
    Cron(String, String),
    /// A zone that there is not.
    #[error("\"{0}\" is not a time zone of the IANA database")]
    Zone(String),
    /// Rates know no zones.
    #[error("a time zone is for at and cron only, not for a rate")]
    ZoneOfRate,
}

/// A schedule as people write it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WrittenSchedule {
    expression: Arc<str>,
    timezone: Option<Arc<str>>,
}

impl From<Schedule> for WrittenSchedule {
    fn from(schedule: Schedule) -> WrittenSchedule {
        WrittenSchedule { expression: schedule.expression, timezone: schedule.zone_name }
    }
}

impl TryFrom<WrittenSchedule> for Schedule {
    type Error = ScheduleError;
    fn try_from(written: WrittenSchedule) -> Result<Schedule, ScheduleError> {
        Schedule::parse(&written.expression, written.timezone.as_deref())
    }
}

impl Schedule {
    /// Reads a schedule. `zone` is a name of the IANA database; `None` is UTC.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
        let kind = parse_kind(expression.trim())?;
        let zone_of =
            |name: &str| TimeZoneDatabase::bundled().get(name).map_err(|_| ScheduleError::Zone(name.to_owned()));
        if zone.is_some() && matches!(kind, Kind::Rate { .. }) {
            return Err(ScheduleError::ZoneOfRate);
        }
        Ok(Schedule {
            expression: expression.trim().into(),
            zone_name: zone.map(Arc::from),
            zone: zone.map_or(Ok(TimeZone::UTC), zone_of)?,
            kind,
        })
    }

    /// Its next moment after `after`, at or after `from`. A rate counts from `from`: an action with a start time takes place then
    /// for the first time. `None`: never.
    pub fn next(&self, after: Timestamp, from: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::At(time) => {
                let at = self.zone.to_timestamp(*time).ok()?;
                (at > after && at >= from).then_some(at)
            }
            Kind::Rate { seconds } => {
                if after < from {
                    return Some(from);
                }
                let passed = after.duration_since(from).as_secs();
                let periods = passed / seconds + 1;
                from.checked_add(SignedDuration::from_secs(periods.checked_mul(*seconds)?)).ok()
            }
            Kind::Cron(cron) => {
                // One nanosecond before `from`, so that `from` itself can be the moment.
                let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN);
                let start = after.max(before).to_zoned(self.zone.clone());
                cron.find_next_occurrence(&start, false).ok().map(|found| found.timestamp())
            }
        }
    }

    /// The time zone's name; `None` is UTC.
    pub fn zone_name(&self) -> Option<&str> {
        self.zone_name.as_deref()
    }
}

impl fmt::Display for Schedule {
    /// The expression as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}

fn parse_kind(text: &str) -> Result<Kind, ScheduleError> {
    let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(time) = inside("at") {
        return DateTime::from_str(time)
            .ok()
            .filter(|_| time.len() == "yyyy-mm-ddThh:mm:ss".len() && time.contains('T'))
            .map(Kind::At)
            .ok_or_else(|| ScheduleError::At(text.to_owned()));
    }
    if let Some(rate) = inside("rate") {
        return parse_rate(text, rate);
    }
    if let Some(fields) = inside("cron") {
        return parse_cron(text, fields);
    }
    Err(ScheduleError::Form(text.to_owned()))
}

fn parse_rate(text: &str, rate: &str) -> Result<Kind, ScheduleError> {
    let unreadable = || ScheduleError::Rate(text.to_owned());
    let (value, unit) = rate.trim().split_once(' ').ok_or_else(unreadable)?;
    let value: i64 = value.parse().ok().filter(|value| *value > 0).ok_or_else(unreadable)?;
    let unit = unit.trim();
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    let seconds = match singular {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(unreadable()),
    };
    if (value == 1) != (unit == singular) {
        let unit = if value == 1 { singular.to_owned() } else { format!("{singular}s") };
        return Err(ScheduleError::Plural(text.to_owned(), format!("rate({value} {unit})")));
    }
    Ok(Kind::Rate { seconds: value.checked_mul(seconds).ok_or_else(unreadable)? })
}

/// Six fields in AWS' dialect: days of the week count from Sunday as 1, and one of the two days is `?`.
fn parse_cron(text: &str, fields: &str) -> Result<Kind, ScheduleError> {
    let parts: Vec<&str> = fields.split_whitespace().collect();
    let [_, _, day_of_month, _, day_of_week, _] = parts[..] else {
        return Err(ScheduleError::Fields(text.to_owned(), parts.len()));
    };
    if (day_of_month == "?") == (day_of_week == "?") {
        return Err(ScheduleError::Days(text.to_owned()));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(true)
        .sloppy_ranges(true)
        .build();
    let cron = parser.parse(&format!("0 {}", parts.join(" "))).map_err(|error| {
        let message = error.to_string();
        let message = message.split_once(": ").map_or(message.as_str(), |(_, rule)| rule);
        ScheduleError::Cron(text.to_owned(), message.trim_end_matches('.').to_owned())
    })?;
    Ok(Kind::Cron(Box::new(cron)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, zone: Option<&str>, from: &str, expected: &[&str]) {
        let schedule = Schedule::parse(expression, zone).unwrap();
        let from: Timestamp = from.parse().unwrap();
        let mut after = from.checked_sub(SignedDuration::from_nanos(1)).unwrap();
        let mut found = Vec::new();
        for _ in 0..expected.len() {
            let Some(next) = schedule.next(after, from) else { break };
            found.push(next.to_string());
            after = next;
        }
        assert_eq!(found, expected, "{expression}");
    }

    #[track_caller]
    fn refuse(expression: &str, zone: Option<&str>, expected: &str) {
        assert_eq!(Schedule::parse(expression, zone).unwrap_err().to_string(), expected);
    }

    /// ecs-semantics §7.4: one moment, in UTC or in a zone, and then never again.
    #[test]
    fn at_takes_place_once() {
        let schedule = Schedule::parse("at(2026-03-01T08:30:00)", None).unwrap();
        let moment: Timestamp = "2026-03-01T08:30:00Z".parse().unwrap();
        assert_eq!(schedule.next(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH), Some(moment));
        assert_eq!(schedule.next(moment, Timestamp::UNIX_EPOCH), None);
        check("at(2026-07-01T08:30:00)", Some("Europe/Berlin"), "2026-01-01T00:00:00Z", &["2026-07-01T06:30:00Z"]);
    }

    /// ecs-semantics §7.4: a rate counts from its start; days are 24 hours.
    #[test]
    fn rates_count_from_their_start() {
        let expected = ["2026-01-01T00:00:30Z", "2026-01-01T00:05:30Z", "2026-01-01T00:10:30Z"];
        check("rate(5 minutes)", None, "2026-01-01T00:00:30Z", &expected);
        check("rate(1 day)", None, "2026-01-01T12:00:00Z", &["2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"]);
        check("rate(2 hours)", None, "2026-01-01T12:00:00Z", &["2026-01-01T12:00:00Z", "2026-01-01T14:00:00Z"]);
    }

    /// ecs-semantics §7.4: AWS' own samples, each sign once.
    #[test]
    fn cron_has_all_signs() {
        let from = "2026-01-01T00:00:00Z";
        check("cron(0 10 * * ? *)", None, from, &["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"]);
        check("cron(15 12 * * ? *)", None, from, &["2026-01-01T12:15:00Z"]);
        check(
            "cron(0 18 ? * MON-FRI *)",
            None,
            from,
            &["2026-01-01T18:00:00Z", "2026-01-02T18:00:00Z", "2026-01-05T18:00:00Z"],
        );
        check("cron(0 8 1 * ? *)", None, from, &["2026-01-01T08:00:00Z", "2026-02-01T08:00:00Z"]);
        check("cron(0/15 * * * ? *)", None, from, &["2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z"]);
        check(
            "cron(0,30 9 L * ? *)",
            None,
            from,
            &["2026-01-31T09:00:00Z", "2026-01-31T09:30:00Z", "2026-02-28T09:00:00Z"],
        );
        // The 15th of February 2026 is a Sunday: the nearest weekday is the 16th.
        check("cron(0 9 15W 2 ? *)", None, from, &["2026-02-16T09:00:00Z"]);
        // Monday is 2: the first Monday of a month, and the last Friday, which is 6.
        check("cron(0 9 ? * 2#1 *)", None, from, &["2026-01-05T09:00:00Z", "2026-02-02T09:00:00Z"]);
        check("cron(0 9 ? * 6L *)", None, from, &["2026-01-30T09:00:00Z", "2026-02-27T09:00:00Z"]);
        check("cron(0 0 1 1 ? 2028-2030)", None, from, &["2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]);
        check("cron(0 0 1 1 ? 2020)", None, from, &[]);
    }

    /// ecs-semantics §7.4: civil time of the zone, across the change to summer time.
    #[test]
    fn cron_follows_the_zone() {
        let expected = ["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z"];
        check("cron(0 8 * * ? *)", Some("Europe/Berlin"), "2026-03-28T00:00:00Z", &expected);
        check("cron(30 23 ? * SUN *)", Some("America/New_York"), "2026-01-01T00:00:00Z", &["2026-01-05T04:30:00Z"]);
    }

    /// A mistake is said with the way out.
    #[test]
    fn refuses_the_rest() {
        refuse(
            "every day",
            None,
            "\"every day\" is not a schedule: at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)",
        );
        refuse("at(tomorrow)", None, "\"at(tomorrow)\" is not a time: write it as in at(2026-01-31T08:30:00)");
        refuse(
            "at(2026-02-30T00:00:00)",
            None,
            "\"at(2026-02-30T00:00:00)\" is not a time: write it as in at(2026-01-31T08:30:00)",
        );
        refuse(
            "rate(0 minutes)",
            None,
            "\"rate(0 minutes)\" is not a rate: a number from 1 up and minute, minutes, hour, hours, day or days",
        );
        refuse("rate(1 minutes)", None, "\"rate(1 minutes)\": write rate(1 minute)");
        refuse("rate(5 hour)", None, "\"rate(5 hour)\": write rate(5 hours)");
        refuse("rate(5 hours)", Some("UTC"), "a time zone is for at and cron only, not for a rate");
        refuse(
            "cron(0 10 * * ?)",
            None,
            "\"cron(0 10 * * ?)\" has 5 fields, not six: minutes hours day-of-month month day-of-week year",
        );
        refuse(
            "cron(0 10 * * * *)",
            None,
            "\"cron(0 10 * * * *)\": exactly one of day-of-month and day-of-week must be ?",
        );
        refuse(
            "cron(0 10 ? * ? *)",
            None,
            "\"cron(0 10 ? * ? *)\": exactly one of day-of-month and day-of-week must be ?",
        );
        refuse(
            "cron(0 10 * * ? *)",
            Some("Europe/Atlantis"),
            "\"Europe/Atlantis\" is not a time zone of the IANA database",
        );
        assert!(matches!(Schedule::parse("cron(61 10 * * ? *)", None), Err(ScheduleError::Cron(..))));
        assert!(matches!(Schedule::parse("cron(0 10 * FOO ? *)", None), Err(ScheduleError::Cron(..))));
    }
}
