//! The shape of a load over time: one rate, steps, a sine, spikes on top of any of them, or a trace that was recorded.
//!
//! Each becomes steps, so that whoever makes the jobs knows one shape only.

use std::path::Path;

use super::duration::parse_scaled;
use super::keys::{LOAD_SINE, LOAD_SPIKE, LOAD_STEP};
use super::paths::resolve_file;
use super::reader::{Table, Value, Words, quoted};
use crate::model::cluster::LoadStep;
use crate::model::units::{Duration, Timestamp};

/// Steps of a sine's period.
const SINE_STEPS: u64 = 288;
/// A thousandth of a job a second, in jobs in a thousand million seconds.
const MILLI: u64 = 1_000_000;

/// A load over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub(super) steps: Vec<LoadStep>,
    pub(super) period: Option<Duration>,
    pub(super) moments: Vec<Timestamp>,
}

/// What the rows of a trace are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rows {
    /// A moment and how many jobs came until the next row.
    #[default]
    Counts,
    /// The moment of one job.
    Arrivals,
}

const ROWS: Words<Rows> = Words { available: &[("counts", Rows::Counts), ("arrivals", Rows::Arrivals)], planned: &[] };

/// Reads a load's shape.
pub(super) fn read_shape(at: &Table<'_>, folder: &Path) -> Shape {
    let named: Vec<Value<'_>> =
        ["jobs_per_second", "steps", "sine", "trace"].into_iter().filter_map(|key| at.get(key)).collect();
    for key in ["scale", "stretch", "rows"].into_iter().filter(|key| at.has(key) && !at.has("trace")) {
        at.reject(key, format!("{key} is for a load with a trace"));
    }
    let (scale, stretch) = (at.get("scale"), at.get("stretch"));
    let thousandths = |value: Option<Value<'_>>| value.map_or(Some(1000), |value| value.thousandths());
    let (scale, stretch) = (thousandths(scale).unwrap_or(1000), thousandths(stretch).unwrap_or(1000));
    let rows = at.word("rows", &ROWS).unwrap_or_default();
    if named.is_empty() {
        at.reject_missing("jobs_per_second", "jobs_per_second, steps, sine or trace is missing");
    }
    if let [first, _, ..] = named.as_slice() {
        first.reject("jobs_per_second, steps, sine and trace exclude each other: write one of them");
        return Shape::default();
    }
    let rate = at.get("jobs_per_second").map(|rate| rate.thousandths().unwrap_or_default());
    let mut shape = Shape::default();
    if let Some(thousandths) = rate {
        shape.steps = vec![LoadStep { at: Timestamp::ZERO, jobs_per_gigasecond: thousandths.saturating_mul(MILLI) }];
    }
    if let Some(steps) = at.get("steps") {
        shape.steps = read_steps(&steps);
    }
    if let Some(sine) = at.table("sine", &LOAD_SINE) {
        shape = read_sine(&sine);
    }
    if let Some(trace) = at.get("trace") {
        shape = read_trace(&trace, folder, rows, scale, stretch).unwrap_or_default();
    }
    for spike in at.tables("spikes", &LOAD_SPIKE) {
        add_spike(&spike, &mut shape);
    }
    shape
}

fn read_steps(steps: &Value<'_>) -> Vec<LoadStep> {
    if steps.is_empty_list() {
        steps.reject("steps need at least one step");
    }
    let mut read: Vec<LoadStep> = Vec::new();
    for step in steps.tables(&LOAD_STEP) {
        let from = step.need("at").and_then(|value| value.duration());
        let rate = step.need("jobs_per_second").and_then(|value| value.thousandths());
        let (Some(from), Some(thousandths)) = (from, rate) else { continue };
        let from = Timestamp::ZERO + from;
        if read.last().is_some_and(|earlier| earlier.at >= from) {
            step.reject("at", "each step must begin later than the one before it");
        }
        read.push(LoadStep { at: from, jobs_per_gigasecond: thousandths.saturating_mul(MILLI) });
    }
    read
}

/// A mean with a wave on it, which is highest at `peak` in each period.
fn read_sine(at: &Table<'_>) -> Shape {
    let thousandths = |key: &'static str| at.need(key).and_then(|value| value.thousandths()).unwrap_or_default();
    let (mean, amplitude) = (thousandths("mean"), thousandths("amplitude"));
    if amplitude > mean {
        at.reject("amplitude", "amplitude is more than the mean: a rate is never below zero");
        return Shape::default();
    }
    let period = at.duration("period").unwrap_or(Duration::from_secs(24 * 3600));
    let peak = at.duration("peak").unwrap_or(period / 2);
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (period_nanos, peak_nanos) = (nanos(period), nanos(peak));
    if period_nanos < SINE_STEPS {
        at.reject("period", "a period is not zero");
        return Shape::default();
    }
    let step = |index: u64| {
        let begin = u64::try_from(u128::from(period_nanos) * u128::from(index) / u128::from(SINE_STEPS)).unwrap_or(0);
        // The middle of the step in 65,536 parts of a turn from the peak.
        let middle = u128::from(begin) + u128::from(period_nanos / SINE_STEPS / 2) + u128::from(period_nanos);
        let turned = (middle - u128::from(peak_nanos % period_nanos)) * 65_536 / u128::from(period_nanos) % 65_536;
        let wave = i128::from(amplitude) * i128::from(MILLI) * cosine(turned) / COSINE_ONE;
        let rate = i128::from(mean) * i128::from(MILLI) + wave;
        LoadStep { at: Timestamp(begin), jobs_per_gigasecond: u64::try_from(rate).unwrap_or(0) }
    };
    Shape { steps: (0..SINE_STEPS).map(step).collect(), period: Some(period), moments: Vec::new() }
}

/// What [`cosine`] calls one.
const COSINE_ONE: i128 = 1 << 40;

/// The cosine of so many 65,536ths of a turn, by its series, in integers.
fn cosine(turn: u128) -> i128 {
    // Half a turn on either side is enough: the cosine is even.
    let turn = i128::try_from(turn.min(65_536 - turn.min(65_536))).unwrap_or(0);
    // 2^40 times two pi.
    let angle = turn * 6_908_435_304_679 / 65_536;
    let square = angle * angle / COSINE_ONE;
    let (mut sum, mut term) = (COSINE_ONE, COSINE_ONE);
    for index in 1..16 {
        term = -term * square / COSINE_ONE / ((2 * index - 1) * (2 * index));
        sum += term;
    }
    sum
}

/// Puts a spike on top of what is there; on a load with a period it comes in each.
fn add_spike(at: &Table<'_>, shape: &mut Shape) {
    let from = at.need("at").and_then(|value| value.duration());
    let lasts = at.need("duration").and_then(|value| value.duration());
    let rate = at.need("jobs_per_second").and_then(|value| value.thousandths());
    let (Some(from), Some(lasts), Some(thousandths)) = (from, lasts, rate) else { return };
    if shape.steps.is_empty() {
        at.reject_whole("spikes need a load with a rate, and this one has none");
        return;
    }
    let (begin, end) = (Timestamp::ZERO + from, Timestamp::ZERO + from + lasts);
    if shape.period.is_some_and(|period| end > Timestamp::ZERO + period) {
        at.reject("at", "a spike ends within the period of its load");
    }
    for moment in [begin, end] {
        let index = shape.steps.partition_point(|step| step.at < moment);
        if shape.steps.get(index).is_none_or(|step| step.at != moment) {
            let before = index.checked_sub(1).map_or(0, |index| shape.steps[index].jobs_per_gigasecond);
            shape.steps.insert(index, LoadStep { at: moment, jobs_per_gigasecond: before });
        }
    }
    for step in shape.steps.iter_mut().filter(|step| (begin..end).contains(&step.at)) {
        step.jobs_per_gigasecond = step.jobs_per_gigasecond.saturating_add(thousandths.saturating_mul(MILLI));
    }
}

/// A recorded load: `scale` times as many jobs, in `stretch` times the time, both in thousandths. The first row is at the start.
fn read_trace(value: &Value<'_>, folder: &Path, rows: Rows, scale: u64, stretch: u64) -> Option<Shape> {
    let path = resolve_file(value, folder)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| value.reject(format!("cannot read {}: {error}", quoted(&path))))
        .ok()?;
    let mut read: Vec<(u64, u64)> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut columns = line.split(',').map(str::trim);
        let moment = columns.next().and_then(moment_of);
        let count = match rows {
            Rows::Counts => columns.next().and_then(|count| parse_scaled(count, 1000)),
            Rows::Arrivals => Some(1000),
        };
        let row = moment.zip(count.and_then(|count| u64::try_from(count).ok()));
        match row {
            Some((moment, _)) if read.last().is_some_and(|(earlier, _)| *earlier > moment) => {
                value.reject(format!("{path}:{}: the rows of a trace are in the order of time", index + 1));
                return None;
            }
            Some(row) => read.push(row),
            // A header.
            None if index == 0 => {}
            None => {
                let what = match rows {
                    Rows::Counts => "a moment and a number of jobs",
                    Rows::Arrivals => "a moment",
                };
                value.reject(format!("{path}:{}: {} is not {what}", index + 1, quoted(line)));
                return None;
            }
        }
    }
    let Some(&(first, _)) = read.first() else {
        value.reject(format!("{} holds no rows", quoted(&path)));
        return None;
    };
    let stretched = |moment: u64| {
        let nanos = u128::from(moment - first) * u128::from(stretch) / 1000;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    };
    if rows == Rows::Arrivals {
        if scale != 1000 {
            value.reject("a trace of single arrivals can be stretched, and not scaled");
        }
        let moments = read.iter().map(|(moment, _)| Timestamp(stretched(*moment))).collect();
        return Some(Shape { moments, ..Shape::default() });
    }
    let [.., (before_last, _), (last, _)] = read.as_slice() else {
        value.reject(format!("{} holds one row: a count lasts until the next one", quoted(&path)));
        return None;
    };
    // The last count lasts as long as the one before it.
    let end = last + (last - before_last);
    let mut steps: Vec<LoadStep> = Vec::new();
    for (index, (moment, count)) in read.iter().enumerate() {
        let next = read.get(index + 1).map_or(end, |(next, _)| *next);
        let (from, until) = (stretched(*moment), stretched(next));
        // Thousandths of a job, by thousandths, in so many nanoseconds.
        let jobs = u128::from(*count) * u128::from(scale) * 1_000_000_000_000;
        let rate = jobs.checked_div(u128::from(until - from)).unwrap_or(0);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        if until > from && steps.last().is_none_or(|step| step.jobs_per_gigasecond != rate) {
            steps.push(LoadStep { at: Timestamp(from), jobs_per_gigasecond: rate });
        }
    }
    steps.push(LoadStep { at: Timestamp(stretched(end)), jobs_per_gigasecond: 0 });
    Some(Shape { steps, ..Shape::default() })
}

/// A moment in nanoseconds since some beginning: seconds, or a time of the calendar.
fn moment_of(text: &str) -> Option<u64> {
    if let Some(nanos) = parse_scaled(text, 1_000_000_000) {
        return u64::try_from(nanos).ok();
    }
    let time: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(zoned.timestamp().as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The series is exact to nine digits all around.
    #[test]
    fn cosines() {
        for (turn, expected) in [(0, 1_000), (16_384, 0), (32_768, -1_000), (49_152, 0), (8_192, 707), (57_344, 707)] {
            let found = cosine(turn);
            assert!((found * 1000 / COSINE_ONE - expected).abs() <= 1, "{turn}: {found}");
        }
    }
}
