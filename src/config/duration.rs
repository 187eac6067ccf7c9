//! Durations as people write them: `500ms`, `20s`, `1m 30s`, `1.5h`, `7d`. A number alone is refused, since it hides its unit.

use crate::model::units::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("a duration is empty: write a number and a unit, as in \"20s\"")]
    Empty,
    /// A number without a unit.
    #[error("\"{0}\" has no unit: write \"{0}s\" for seconds, \"{0}ms\" for milliseconds, \"{0}m\" for minutes")]
    NoUnit(String),
    /// A unit that there is not.
    #[error("\"{0}\" is not a unit of time: ns, us, ms, s, m, h or d")]
    UnknownUnit(String),
    /// Something where a number was expected.
    #[error("\"{0}\" is not a duration: write a number and a unit, as in \"20s\" or \"1m 30s\"")]
    NotANumber(String),
    /// Beyond the clock, which counts nanoseconds in 64 bits.
    #[error("\"{0}\" is longer than 584 years")]
    TooLong(String),
}

const UNITS: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];

/// Reads a duration: numbers, each with its unit, added up; spaces between them are free.
///
/// # Errors
/// What is wrong, with the text.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        rest = rest[number.len()..].trim_start();
        let unit = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        rest = rest[unit.len()..].trim_start();
        if !number.contains(|c: char| c.is_ascii_digit()) {
            return Err(DurationError::NotANumber(text.trim().to_owned()));
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit(number.to_owned()));
        }
        let Some(&(_, nanos_of_unit)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit(unit.to_owned()));
        };
        let part =
            parse_scaled(number, nanos_of_unit).ok_or_else(|| DurationError::NotANumber(text.trim().to_owned()))?;
        nanos = nanos.saturating_add(part);
    }
    match u64::try_from(nanos) {
        Ok(nanos) => Ok(Duration::from_nanos(nanos)),
        Err(_) => Err(DurationError::TooLong(text.trim().to_owned())),
    }
}

/// A duration as [`parse_duration`] reads it, in the largest units that are whole: `1m 30s`, `500ms`.
pub fn format_duration(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut parts = Vec::new();
    for unit in ["d", "h", "m", "s", "ms", "us", "ns"] {
        let Some(&(_, nanos_of_unit)) = UNITS.iter().find(|(name, _)| *name == unit) else { continue };
        if nanos >= nanos_of_unit {
            parts.push(format!("{}{unit}", nanos / nanos_of_unit));
            nanos %= nanos_of_unit;
        }
    }
    parts.join(" ")
}

/// `1.5` times `unit`, without a float; digits below one are cut off. `None`: not a decimal number.
pub(super) fn parse_scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let numerator: u128 = format!("{whole}{fraction}").parse().ok()?;
    let denominator = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(numerator.checked_mul(unit)? / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        let found = parse_duration(text).map(|duration| duration.as_nanos());
        assert_eq!(found.map_err(|error| error.to_string()), expected.map(u128::from).map_err(str::to_owned));
    }

    /// Claim: what people write is read exactly. Method: each unit, sums, fractions.
    #[test]
    fn reads_durations() {
        check("500ms", Ok(500_000_000));
        check("20s", Ok(20_000_000_000));
        check("1m 30s", Ok(90_000_000_000));
        check("1m30s", Ok(90_000_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check(".25s", Ok(250_000_000));
        check(" 2 min ", Ok(120_000_000_000));
        check("7d", Ok(604_800_000_000_000));
        check("0s", Ok(0));
        check("10µs", Ok(10_000));
    }

    /// Claim: what is not a duration is refused with a way out. Method: one of each kind.
    #[test]
    fn refuses_the_rest() {
        check("", Err("a duration is empty: write a number and a unit, as in \"20s\""));
        check(
            "20",
            Err("\"20\" has no unit: write \"20s\" for seconds, \"20ms\" for milliseconds, \"20m\" for minutes"),
        );
        check("5 parsecs", Err("\"parsecs\" is not a unit of time: ns, us, ms, s, m, h or d"));
        check("-5s", Err("\"-5s\" is not a duration: write a number and a unit, as in \"20s\" or \"1m 30s\""));
        check("1.2.3s", Err("\"1.2.3s\" is not a duration: write a number and a unit, as in \"20s\" or \"1m 30s\""));
        check("soon", Err("\"soon\" is not a duration: write a number and a unit, as in \"20s\" or \"1m 30s\""));
        check("999999999d", Err("\"999999999d\" is longer than 584 years"));
    }

    /// Claim: a formatted duration reads back as itself. Method: values with every unit.
    #[test]
    fn formats_what_it_reads() {
        for nanos in
            [0, 1, 1_500, 2_000_000, 90_000_000_000, 5_400_000_000_000, 604_800_000_000_000, 86_461_001_001_001]
        {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        assert_eq!(format_duration(Duration::from_millis(90_500)), "1m 30s 500ms");
    }
}
