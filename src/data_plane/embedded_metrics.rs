//! Metrics in the output of guests, in CloudWatch's embedded metric format: a line that is a JSON object with `_aws.CloudWatchMetrics`.
//!
//! Samples are summed up by metric until the driver takes them, so that neither a guest that writes many lines nor one that makes up names costs
//! more than the limits here say. A line that is not of this form, or breaks a rule of it, is output and nothing more.
//!
//! **Source:** CloudWatch user guide, "Specification: Embedded metric format" (read 2026-11-26). *Ours:* samples are of the moment in which they are
//! written, whatever `_aws.Timestamp` says, a `StorageResolution` and a `Unit` must be one and are not kept, and a line has 8 KiB at most
//! (CloudWatch: 1 MB).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::control_plane::event::EmittedMetric;
use crate::model::alarm::MetricId;

/// The longest line that can have metrics.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Metrics that wait for the driver. *Ours:* bounds memory; those that come after are lost and counted.
const WAITING_MAX: usize = 1_000;
/// **Source:** the specification: metrics of a directive, values of a metric, dimensions of a set.
const METRICS_MAX: usize = 100;
const VALUES_MAX: usize = 100;
const DIMENSIONS_MAX: usize = 30;
/// The longest name of a dimension and the longest value of one. **Source:** the specification.
const DIMENSION_NAME_MAX: usize = 250;
const DIMENSION_VALUE_MAX: usize = 1024;

/// The units of a metric. **Source:** CloudWatch API reference, MetricDatum.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// What guests have said and nobody has taken yet. Copies are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct EmittedMetrics(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    by_metric: BTreeMap<MetricId, EmittedMetric>,
    lost: u64,
}

impl EmittedMetrics {
    /// Takes in a line of a guest, which may have metrics.
    fn take_line(&self, line: &[u8]) {
        if !line.windows(MARK.len()).any(|window| window == MARK) {
            return;
        }
        let Some(samples) = samples_of(line) else { return };
        let mut waiting = self.0.lock();
        for (metric, values) in samples {
            let has_room = waiting.by_metric.len() < WAITING_MAX || waiting.by_metric.contains_key(&metric);
            if !has_room {
                waiting.lost += u64::try_from(values.len()).unwrap_or(u64::MAX);
                continue;
            }
            let emitted = waiting.by_metric.entry(metric.clone()).or_insert_with(|| EmittedMetric::none_of(metric));
            values.into_iter().for_each(|value| emitted.add(value));
        }
    }

    /// What was said since the last call, a metric once.
    pub(super) fn take(&self) -> Vec<EmittedMetric> {
        std::mem::take(&mut self.0.lock().by_metric).into_values().collect()
    }

    /// Samples that there was no room for.
    pub(super) fn lost(&self) -> u64 {
        self.0.lock().lost
    }
}

/// What every line with metrics has in it.
const MARK: &[u8] = b"\"_aws\"";

/// Puts lines together that a guest writes in pieces, as far as they can have metrics.
#[derive(Debug, Default)]
pub(super) struct MetricLines {
    line: Vec<u8>,
    /// Whether the line has begun as one without metrics.
    is_other: bool,
}

impl MetricLines {
    /// Takes the next piece of output.
    pub(super) fn write(&mut self, bytes: &[u8], metrics: &EmittedMetrics) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            if self.line.is_empty() && !text.is_empty() && text[0] != b'{' {
                self.is_other = true;
            }
            if !self.is_other && self.line.len() + text.len() > LINE_BYTES_MAX {
                self.line = Vec::new();
                self.is_other = true;
            }
            if !self.is_other {
                self.line.extend_from_slice(text);
            }
            if text.len() < piece.len() {
                self.end(metrics);
            }
        }
    }

    /// The line has come to its end.
    pub(super) fn end(&mut self, metrics: &EmittedMetrics) {
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.is_other) && !line.is_empty() {
            metrics.take_line(&line);
        }
    }
}

/// The metrics of a line with their values; `None` when it is none of this form. A directive that breaks a rule has none.
fn samples_of(line: &[u8]) -> Option<Vec<(MetricId, Vec<i64>)>> {
    let root: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let directives = root.get("_aws")?.get("CloudWatchMetrics")?.as_array()?;
    Some(directives.iter().filter_map(|directive| samples_of_directive(directive, &root)).flatten().collect())
}

fn samples_of_directive(directive: &Value, root: &Map<String, Value>) -> Option<Vec<(MetricId, Vec<i64>)>> {
    let namespace: Arc<str> = directive.get("Namespace")?.as_str().filter(|namespace| !namespace.is_empty())?.into();
    let sets = directive.get("Dimensions").map_or(Some(&[][..]), |sets| sets.as_array().map(Vec::as_slice))?;
    let sets = sets.iter().map(|set| dimensions_of(set, root)).collect::<Option<Vec<_>>>()?;
    // Without a set, the metric has no dimensions.
    let sets = if sets.is_empty() { vec![BTreeMap::new()] } else { sets };
    let metrics = directive.get("Metrics")?.as_array().filter(|metrics| metrics.len() <= METRICS_MAX)?;
    let mut samples = Vec::new();
    for metric in metrics {
        let name = metric.get("Name")?.as_str().filter(|name| !name.is_empty())?;
        let has_unit = metric.get("Unit").is_none_or(|unit| unit.as_str().is_some_and(|unit| UNITS.contains(&unit)));
        let resolution = metric.get("StorageResolution").map_or(Some(60), Value::as_u64);
        if !has_unit || !matches!(resolution, Some(1 | 60)) {
            return None;
        }
        let values = values_of(root.get(name)?)?;
        for dimensions in &sets {
            let (namespace, dimensions) = (namespace.clone(), dimensions.clone());
            samples.push((MetricId { namespace, name: name.into(), dimensions }, values.clone()));
        }
    }
    Some(samples)
}

/// The dimensions of a set, with the values that the line has for them.
fn dimensions_of(set: &Value, root: &Map<String, Value>) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
    let names = set.as_array().filter(|names| names.len() <= DIMENSIONS_MAX)?;
    let dimension = |name: &Value| {
        let name = name.as_str().filter(|name| (1..=DIMENSION_NAME_MAX).contains(&name.len()))?;
        let value = root.get(name)?.as_str().filter(|value| (1..=DIMENSION_VALUE_MAX).contains(&value.len()))?;
        Some((Arc::from(name), Arc::from(value)))
    };
    names.iter().map(dimension).collect()
}

/// A number, or some, in thousandths.
fn values_of(value: &Value) -> Option<Vec<i64>> {
    match value {
        Value::Array(values) if values.len() <= VALUES_MAX => values.iter().map(thousandths).collect(),
        value => Some(vec![thousandths(value)?]),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "its range is looked at before")]
fn thousandths(value: &Value) -> Option<i64> {
    let scaled = (value.as_f64()? * 1000.0).round();
    (scaled.abs() < 9e15).then_some(scaled as i64)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: &Expect) {
        let (metrics, mut lines) = (EmittedMetrics::default(), MetricLines::default());
        pieces.iter().for_each(|piece| lines.write(piece.as_bytes(), &metrics));
        lines.end(&metrics);
        let mut shown = String::new();
        for EmittedMetric { metric, sample_count, sum, minimum, maximum } in metrics.take() {
            let MetricId { namespace, name, dimensions } = metric;
            let _ = writeln!(
                shown,
                "{namespace} {name} {dimensions:?}: {sample_count} sum {sum} from {minimum} to {maximum}"
            );
        }
        expected.assert_eq(&shown);
    }

    const LINE: &str = r#"{"_aws":{"Timestamp":1574109732004,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["Kind"],["Kind","Place"]],"Metrics":[{"Name":"Took","Unit":"Milliseconds","StorageResolution":60},{"Name":"Orders"}]}]},"Kind":"book","Place":"here","Took":[10,2.5],"Orders":1,"other":{"x":1}}"#;

    /// Each metric has its samples under each set of dimensions, in whatever pieces the line comes, and lines of the same metric are summed up.
    #[test]
    fn metrics_of_a_line() {
        let whole = expect![[r#"
            Shop Orders {"Kind": "book"}: 1 sum 1000 from 1000 to 1000
            Shop Orders {"Kind": "book", "Place": "here"}: 1 sum 1000 from 1000 to 1000
            Shop Took {"Kind": "book"}: 2 sum 12500 from 2500 to 10000
            Shop Took {"Kind": "book", "Place": "here"}: 2 sum 12500 from 2500 to 10000
        "#]];
        check(&["hello\n", LINE, "\n"], &whole);
        // Without its end, and beside lines that look like it.
        check(&["{\n{}\n{\"_aws\":1}\nnot \"_aws\"\n", &LINE[..50], &LINE[50..]], &whole);
        let twice = r#"{"_aws":{"CloudWatchMetrics":[{"Namespace":"N","Metrics":[{"Name":"a"}]}]},"a":-1.5}"#;
        check(
            &[twice, "\n", twice, "\n"],
            &expect![[r#"
            N a {}: 2 sum -3000 from -1500 to -1500
        "#]],
        );
    }

    /// What breaks a rule of the form has no metrics: a value or a dimension that is missing or of another kind, too many of something, too
    /// long a line.
    #[test]
    fn lines_that_have_none() {
        let line = |directive: &str, rest: &str| format!(r#"{{"_aws":{{"CloudWatchMetrics":[{directive}]}}{rest}}}"#);
        let metric = |rest: &str| line(r#"{"Namespace":"N","Dimensions":[["d"]],"Metrics":[{"Name":"a"}]}"#, rest);
        let values = |count: usize| vec!["1"; count].join(",");
        for wrong in [
            metric(r#","d":"x""#),
            metric(r#","a":1"#),
            metric(r#","d":1,"a":1"#),
            metric(r#","d":"","a":1"#),
            metric(r#","d":"x","a":"1""#),
            metric(r#","d":"x","a":1e30"#),
            metric(&format!(r#","d":"x","a":[{}]"#, values(101))),
            metric(&format!(r#","d":"{}","a":1"#, "x".repeat(1025))),
            metric(&format!(r#","d":"x","a":1,"long":"{}""#, "x".repeat(LINE_BYTES_MAX))),
            line(r#"{"Namespace":"","Metrics":[{"Name":"a"}]}"#, r#","a":1"#),
            line(r#"{"Metrics":[{"Name":"a"}]}"#, r#","a":1"#),
            line(r#"{"Namespace":"N"}"#, ""),
            line(r#"{"Namespace":"N","Metrics":[{"Name":"a","Unit":"Furlongs"}]}"#, r#","a":1"#),
            line(r#"{"Namespace":"N","Metrics":[{"Name":"a","Unit":1}]}"#, r#","a":1"#),
            line(r#"{"Namespace":"N","Metrics":[{"Name":"a","StorageResolution":30}]}"#, r#","a":1"#),
            "[".repeat(5000) + "\"_aws\"",
            "{\"_aws\":".repeat(900),
        ] {
            check(&[&wrong, "\n"], &expect![""]);
        }
        let right = metric(&format!(r#","d":"x","a":[{}]"#, values(100)));
        check(
            &[&right],
            &expect![[r#"
            N a {"d": "x"}: 100 sum 100000 from 1000 to 1000
        "#]],
        );
    }

    /// A guest that makes up names fills no memory, and what is lost is counted.
    #[test]
    fn names_are_bounded() {
        let (metrics, mut lines) = (EmittedMetrics::default(), MetricLines::default());
        for number in 0..WAITING_MAX + 7 {
            let line = format!(
                r#"{{"_aws":{{"CloudWatchMetrics":[{{"Namespace":"N","Metrics":[{{"Name":"m{number}"}}]}}]}},"m{number}":1}}"#
            );
            lines.write(format!("{line}\n").as_bytes(), &metrics);
        }
        assert_eq!((metrics.take().len(), metrics.lost()), (WAITING_MAX, 7));
    }
}
