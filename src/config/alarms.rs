//! `[[alarm]]` and `[[metric]]`: CloudWatch's alarms, and metrics whose values are written down beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::Read;
use super::keys::{ALARM, METRIC, METRIC_STEP};
use super::reader::{Table, Value, Words, quoted};
use crate::model::alarm::{Comparison, MetricAlarm, MetricId, MissingData, Statistic};
use crate::model::metric::MetricScript;
use crate::model::units::{Duration, Timestamp};

pub(super) const STATISTICS: Words<Statistic> = Words {
    available: &[
        ("Average", Statistic::Average),
        ("Minimum", Statistic::Minimum),
        ("Maximum", Statistic::Maximum),
        ("Sum", Statistic::Sum),
        ("SampleCount", Statistic::SampleCount),
    ],
    planned: &[],
};

const COMPARISONS: Words<Comparison> = Words {
    available: &[
        ("GreaterThanThreshold", Comparison::GreaterThan),
        ("GreaterThanOrEqualToThreshold", Comparison::GreaterThanOrEqual),
        ("LessThanThreshold", Comparison::LessThan),
        ("LessThanOrEqualToThreshold", Comparison::LessThanOrEqual),
    ],
    planned: &[],
};

const MISSING_DATA: Words<MissingData> = Words {
    available: &[
        ("missing", MissingData::Missing),
        ("ignore", MissingData::Ignore),
        ("breaching", MissingData::Breaching),
        ("notBreaching", MissingData::NotBreaching),
    ],
    planned: &[],
};

/// Reads `namespace`, `metric_name` and `dimensions` of a table that names a metric.
pub(super) fn read_metric(table: &Table<'_>) -> Option<MetricId> {
    let namespace = table.need("namespace").and_then(|value| read_word(&value));
    let name = table.need("metric_name").and_then(|value| read_word(&value));
    let mut dimensions: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for entry in table.get("dimensions").map(|value| value.entries()).unwrap_or_default() {
        if let Some(value) = entry.value.string() {
            dimensions.insert(entry.key.into(), value.into());
        }
    }
    Some(MetricId { namespace: namespace?, name: name?, dimensions })
}

fn read_word(value: &Value<'_>) -> Option<Arc<str>> {
    let text = value.string()?;
    if !(1..=255).contains(&text.chars().count()) {
        value.reject(format!("{} is not 1 to 255 characters long", quoted(text)));
        return None;
    }
    Some(text.into())
}

/// Reads the alarms. `metric_period` is the cluster's.
pub(super) fn read_alarms<'a>(root: &Table<'a>, metric_period: Duration) -> Vec<Read<'a, MetricAlarm>> {
    let mut found: Vec<Read<'a, MetricAlarm>> = Vec::new();
    for at in root.tables("alarm", &ALARM) {
        let (item, soundness) = at.watched(|| read_alarm(&at, metric_period));
        if !item.name.is_empty() && found.iter().any(|earlier| earlier.item.name == item.name) {
            at.reject("alarm_name", format!("alarm {} is defined twice", quoted(&item.name)));
        }
        found.push(Read { item, at, soundness });
    }
    found
}

/// **Source:** CloudWatch, PutMetricAlarm.
fn read_alarm(at: &Table<'_>, metric_period: Duration) -> MetricAlarm {
    let name = at.need("alarm_name").and_then(|value| read_word(&value)).unwrap_or_default();
    let metric = read_metric(at).unwrap_or_default();
    let period = at.get("period").and_then(|value| {
        let period = value.duration()?;
        if period.is_zero() || !period.as_nanos().is_multiple_of(metric_period.as_nanos().max(1)) {
            let shown = super::duration::format_duration(metric_period);
            value.reject(format!("period {} is not a multiple of metric_period {shown}", value.text()));
        }
        Some(period)
    });
    let evaluation_periods = at.need("evaluation_periods").and_then(|value| value.u32(1..=10_080)).unwrap_or(1);
    let datapoints_to_alarm = at.u32("datapoints_to_alarm", 1..=10_080).unwrap_or(evaluation_periods);
    if datapoints_to_alarm > evaluation_periods {
        at.reject(
            "datapoints_to_alarm",
            format!(
                "datapoints_to_alarm {datapoints_to_alarm} is greater than evaluation_periods {evaluation_periods}"
            ),
        );
    }
    let period = period.unwrap_or(metric_period);
    if period.saturating_mul(evaluation_periods) > Duration::from_secs(7 * 86_400) {
        at.reject("evaluation_periods", "an alarm must not look back more than seven days");
    }
    MetricAlarm {
        name,
        metric,
        statistic: at.word("statistic", &STATISTICS).unwrap_or_default(),
        period,
        evaluation_periods,
        datapoints_to_alarm,
        threshold: at.need("threshold").and_then(|value| value.signed_thousandths()).unwrap_or_default(),
        comparison: at.need("comparison_operator").and_then(|value| value.word(&COMPARISONS)).unwrap_or_default(),
        missing_data: at.word("treat_missing_data", &MISSING_DATA).unwrap_or_default(),
    }
}

/// Reads the metrics whose values are written down. *Ours.*
pub(super) fn read_metric_scripts(root: &Table<'_>) -> Vec<MetricScript> {
    let mut found: Vec<MetricScript> = Vec::new();
    for at in root.tables("metric", &METRIC) {
        let metric = read_metric(&at);
        if let Some(value) = at.get("namespace")
            && metric.as_ref().is_some_and(|metric| metric.namespace.starts_with("AWS/"))
        {
            value.reject("a namespace that begins with \"AWS/\" is one of AWS' own");
        }
        if metric.as_ref().is_some_and(|metric| found.iter().any(|earlier| earlier.metric == *metric)) {
            at.reject("metric_name", "this metric is defined twice");
        }
        let steps = read_steps(&at);
        found.push(MetricScript { metric: metric.unwrap_or_default(), steps });
    }
    found
}

fn read_steps(at: &Table<'_>) -> Vec<(Timestamp, Option<i64>)> {
    let mut steps: Vec<(Timestamp, Option<i64>)> = Vec::new();
    if !at.has("steps") {
        at.reject_missing("steps", "`steps` is missing");
    }
    for step in at.tables("steps", &METRIC_STEP) {
        let from = step.need("at").and_then(|value| value.duration());
        let value = step.get("value").map(|value| value.signed_thousandths());
        let (Some(from), None | Some(Some(_))) = (from, value) else { continue };
        let from = Timestamp::ZERO + from;
        if steps.last().is_some_and(|(earlier, _)| *earlier >= from) {
            step.reject("at", "each step must begin later than the one before it");
        }
        steps.push((from, value.flatten()));
    }
    steps
}
