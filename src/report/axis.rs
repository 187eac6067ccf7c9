//! How values are scaled and written: round numbers at the ticks, units that people read.

use crate::model::units::{Duration, Timestamp};

/// What a chart's integers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Numbers of things.
    Count,
    /// Thousandths of a percent.
    Percent,
    /// Nanoseconds.
    Time,
    /// Billionths of a dollar.
    Dollars,
    /// Thousandths of a metric's own unit.
    Number,
    /// Thousandths of one a second.
    PerSecond,
}

/// An axis and its ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its scale.
    pub scale: Scale,
    /// Where it has ticks: the first at its begin, and where values decide on it the last at its end.
    pub ticks: Vec<i64>,
}

/// How far along an axis a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps, from zero on.
    Linear {
        /// The value at its end.
        end: i64,
    },
    /// Equal factors: what a few milliseconds are most of the time and minutes in a bad one is to be read in both.
    Logarithmic {
        /// The value at its begin, above zero.
        begin: i64,
        /// The value at its end.
        end: i64,
    },
}

impl Scale {
    /// How far along a value is, of `length` in all. What is beyond an end is there.
    pub fn position(self, value: i64, length: i64) -> i64 {
        let (part, whole) = match self {
            Scale::Linear { end } => (value.clamp(0, end), end),
            Scale::Logarithmic { begin, end } => {
                (log2(value.clamp(begin, end)) - log2(begin), (log2(end) - log2(begin)).max(1))
            }
        };
        let rounded = (i128::from(part) * i128::from(length) * 2 + i128::from(whole)) / (i128::from(whole) * 2);
        i64::try_from(rounded).expect("it is no more than the length")
    }
}

/// The binary logarithm of a value above zero, in 4096ths.
fn log2(value: i64) -> i64 {
    let value = value.unsigned_abs().max(1);
    let whole = value.ilog2();
    // The mantissa, from one to two, in parts of 2^32; squaring it brings out a bit of the logarithm at a time.
    let mut mantissa = (u128::from(value) << 32) >> whole;
    let mut log = i64::from(whole);
    for _ in 0..12 {
        mantissa = (mantissa * mantissa) >> 32;
        log *= 2;
        if mantissa >> 33 != 0 {
            mantissa >>= 1;
            log += 1;
        }
    }
    log
}

/// The most steps of an axis of values.
const STEPS_MAX: i64 = 5;
/// The most steps of the axis of time.
const TIME_STEPS_MAX: u64 = 8;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What a clock's face and a calendar divide into, from a second on.
const TIME_STEPS: [i64; 23] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
];

/// The ends and ticks of axes of durations.
const DURATIONS: [i64; 40] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    30 * DAY,
    100 * DAY,
    1_000 * DAY,
    10_000 * DAY,
];
/// Those of them that are left where all are too many.
const COARSE_DURATIONS: [i64; 13] = [
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    SECOND,
    10 * SECOND,
    MINUTE,
    10 * MINUTE,
    HOUR,
    10 * HOUR,
    10 * DAY,
];
/// The most ticks of a logarithmic axis that names all of its steps.
const TICKS_MAX: usize = 7;

impl Axis {
    /// An axis for values, with round ticks around all of them.
    pub fn of_values(unit: Unit, values: impl Iterator<Item = i64> + Clone) -> Axis {
        let greatest = values.clone().max().unwrap_or_default().max(1);
        if unit == Unit::Time {
            return Axis::of_durations(values.filter(|value| *value > 0).min().unwrap_or(greatest), greatest);
        }
        let fits = |step: &i64| greatest.div_euclid(*step) + i64::from(greatest % *step != 0) <= STEPS_MAX;
        let step = match unit {
            Unit::Count | Unit::Number | Unit::Time | Unit::Dollars => round_steps(1).find(fits),
            Unit::Percent | Unit::PerSecond => round_steps(100).find(fits),
        };
        let step = step.unwrap_or(greatest);
        let steps = greatest.div_euclid(step) + i64::from(greatest % step != 0);
        let ticks: Vec<i64> = (0..=steps).map(|index| step.saturating_mul(index)).collect();
        Axis { scale: Scale::Linear { end: step.saturating_mul(steps) }, ticks }
    }

    /// A logarithmic axis from one round time to another.
    fn of_durations(least: i64, greatest: i64) -> Axis {
        let from = DURATIONS.partition_point(|time| *time <= least).saturating_sub(1);
        let to = DURATIONS.partition_point(|time| *time < greatest).min(DURATIONS.len() - 1).max(from + 1);
        let scale = Scale::Logarithmic { begin: DURATIONS[from], end: DURATIONS[to] };
        let fine = DURATIONS[from..=to].to_vec();
        let ticks = if fine.len() <= TICKS_MAX {
            fine
        } else {
            fine.into_iter().filter(|time| COARSE_DURATIONS.contains(time)).collect()
        };
        Axis { scale, ticks }
    }

    /// The ticks of time up to `until`.
    pub fn of_time(until: Timestamp) -> Axis {
        let until = i64::try_from(until.0).unwrap_or(i64::MAX).max(1);
        let short = [SECOND / 10, SECOND / 5, SECOND / 2];
        let steps_of = |step: i64| until.div_euclid(step).unsigned_abs();
        let step = short.into_iter().chain(TIME_STEPS).find(|step| steps_of(*step) <= TIME_STEPS_MAX);
        let step = step.unwrap_or_else(|| (until / DAY / 8 + 1).saturating_mul(DAY));
        Axis { scale: Scale::Linear { end: until }, ticks: (0..=until / step).map(|index| index * step).collect() }
    }
}

/// One, two and five times powers of ten, from `least` on.
fn round_steps(least: i64) -> impl Iterator<Item = i64> {
    let powers = std::iter::successors(Some(least), |power| power.checked_mul(10));
    powers.flat_map(|power| [1, 2, 5].into_iter().filter_map(move |times| power.checked_mul(times)))
}

impl Unit {
    /// A value as people read it, with its unit.
    pub fn text(self, value: i64) -> String {
        match self {
            Unit::Count => grouped(value),
            Unit::Percent => format!("{} %", decimal(value, 1_000, 1)),
            Unit::Number => decimal(value, 1_000, 3),
            Unit::PerSecond => format!("{}/s", decimal(value, 1_000, 1)),
            Unit::Dollars => dollars(value),
            Unit::Time => time(value),
        }
    }
}

/// `12,345`
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value in parts of `one`, rounded half up to so many decimals, without zeros that say nothing.
fn decimal(value: i64, one: u64, decimals: u32) -> String {
    let scale = 10_u128.pow(decimals);
    let scaled = (u128::from(value.unsigned_abs()) * scale * 2 + u128::from(one)) / (u128::from(one) * 2);
    let whole = grouped(i64::try_from(scaled / scale).unwrap_or(i64::MAX));
    let rest = format!("{:0width$}", scaled % scale, width = usize::try_from(decimals).unwrap_or(0));
    let rest = if decimals == 0 { "" } else { rest.trim_end_matches('0') };
    let sign = if value < 0 { "-" } else { "" };
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// `$1,234.50`, and as many more decimals as a small amount needs.
fn dollars(nanos: i64) -> String {
    let decimals = match nanos.unsigned_abs() {
        0..1_000_000 => 6,
        1_000_000..1_000_000_000 => 4,
        _ => 2,
    };
    let text = decimal(nanos, 1_000_000_000, decimals);
    let (sign, text) = text.strip_prefix('-').map_or(("", &*text), |text| ("-", text));
    match text.split_once('.') {
        Some((_, rest)) if rest.len() >= 2 => format!("{sign}${text}"),
        Some(_) => format!("{sign}${text}0"),
        None => format!("{sign}${text}.00"),
    }
}

/// `250 µs`, `1.5 s`, `2 m 30 s`, `6 h`, `1 d 12 h`
fn time(nanos: i64) -> String {
    let pair = |large: i64, large_name: &str, small: i64, small_name: &str| {
        let (whole, rest) = (nanos / large, nanos % large / small);
        if rest == 0 { format!("{whole} {large_name}") } else { format!("{whole} {large_name} {rest} {small_name}") }
    };
    match nanos {
        0 => "0".into(),
        ..1_000_000 => format!("{} µs", decimal(nanos, 1_000, 0)),
        1_000_000..SECOND => format!("{} ms", decimal(nanos, 1_000_000, if nanos < 10_000_000 { 1 } else { 0 })),
        SECOND..MINUTE => format!("{} s", decimal(nanos, 1_000_000_000, 2)),
        MINUTE..HOUR => pair(MINUTE, "m", SECOND, "s"),
        HOUR..DAY => pair(HOUR, "h", MINUTE, "m"),
        _ => pair(DAY, "d", HOUR, "h"),
    }
}

/// A time as text.
pub fn duration(time: Duration) -> String {
    Unit::Time.text(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, greatest: i64, ticks: &[&str]) {
        let axis = Axis::of_values(unit, [0, greatest].into_iter());
        let texts: Vec<String> = axis.ticks.iter().map(|tick| unit.text(*tick)).collect();
        assert_eq!(texts, ticks);
        assert!(matches!(axis.scale, Scale::Linear { end } if end >= greatest), "{axis:?} ends before {greatest}");
    }

    /// Ticks are round, reach the greatest value, and say their unit.
    #[test]
    fn ticks_are_round() {
        check(Unit::Count, 0, &["0", "1"]);
        check(Unit::Count, 3, &["0", "1", "2", "3"]);
        check(Unit::Count, 23, &["0", "5", "10", "15", "20", "25"]);
        check(Unit::Count, 9_999, &["0", "2,000", "4,000", "6,000", "8,000", "10,000"]);
        check(Unit::Percent, 62_000, &["0 %", "20 %", "40 %", "60 %", "80 %"]);
        check(Unit::Dollars, 1_700_000_000, &["$0.00", "$0.50", "$1.00", "$1.50", "$2.00"]);
        check(Unit::Dollars, 3_100_000, &["$0.00", "$0.001", "$0.002", "$0.003", "$0.004"]);
        check(Unit::PerSecond, 14_900, &["0/s", "5/s", "10/s", "15/s"]);
    }

    /// Durations have a logarithmic axis, whose ticks are all steps or every third.
    #[test]
    fn durations_are_scaled_by_factors() {
        let ticks = |durations: &[i64]| {
            let axis = Axis::of_values(Unit::Time, durations.iter().copied());
            let Scale::Logarithmic { begin, end } = axis.scale else { panic!("{axis:?}") };
            assert!(durations.iter().all(|duration| (begin..=end).contains(duration)), "{axis:?}");
            axis.ticks.iter().map(|tick| Unit::Time.text(*tick)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(ticks(&[23_000_000, 450_000_000]), "20 ms, 50 ms, 100 ms, 200 ms, 500 ms");
        assert_eq!(ticks(&[SECOND]), "1 s, 2 s");
        assert_eq!(ticks(&[3_000_000, 100 * SECOND]), "10 ms, 100 ms, 1 s, 10 s, 1 m");
        assert_eq!(ticks(&[]), "1 µs, 2 µs");
    }

    /// Equal factors are equal steps, to the pixel.
    #[test]
    fn logarithms_are_even() {
        let scale = Scale::Logarithmic { begin: 1_000_000, end: 1_000_000_000 };
        let at =
            [0, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, i64::MAX].map(|value| scale.position(value, 3_000));
        assert_eq!(at, [0, 0, 1_000, 2_000, 3_000, 3_000]);
    }

    /// Ticks of time follow the clock and the calendar.
    #[test]
    fn time_has_its_own_ticks() {
        let ticks = |seconds: u64| {
            let axis = Axis::of_time(Timestamp::ZERO + Duration::from_secs(seconds));
            axis.ticks.iter().map(|tick| Unit::Time.text(*tick)).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(ticks(20), "0, 5 s, 10 s, 15 s, 20 s");
        assert_eq!(ticks(24 * 3600), "0, 3 h, 6 h, 9 h, 12 h, 15 h, 18 h, 21 h, 1 d");
        assert_eq!(ticks(7 * 24 * 3600), "0, 1 d, 2 d, 3 d, 4 d, 5 d, 6 d, 7 d");
        assert_eq!(ticks(3 * 3600), "0, 30 m, 1 h, 1 h 30 m, 2 h, 2 h 30 m, 3 h");
    }

    /// Amounts are rounded for the eye, half up.
    #[test]
    fn values_are_written() {
        assert_eq!(Unit::Dollars.text(12_345_678_901), "$12.35");
        assert_eq!(Unit::Dollars.text(-500_000), "-$0.0005");
        assert_eq!(Unit::Percent.text(45_678), "45.7 %");
        assert_eq!(Unit::Time.text(2_345_678), "2.3 ms");
        assert_eq!(Unit::Time.text(26 * HOUR), "1 d 2 h");
        assert_eq!(grouped(-1_234_567), "-1,234,567");
    }
}
