//! What a metric's samples of a period come to, as CloudWatch keeps them: their count, sum, least and greatest.
//!
//! Values are integers in thousandths of the metric's unit: 50 % is 50,000.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::alarm::{MetricId, Statistic};
use super::units::Timestamp;

/// CloudWatch's statistic set. Never of no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct StatisticSet {
    /// How many samples.
    pub sample_count: u64,
    /// Their sum.
    pub sum: i128,
    /// The least.
    pub minimum: i64,
    /// The greatest.
    pub maximum: i64,
}

impl StatisticSet {
    /// Of one sample.
    pub fn of(value: i64) -> StatisticSet {
        StatisticSet { sample_count: 1, sum: i128::from(value), minimum: value, maximum: value }
    }

    /// Of one sample that counts something; beyond the range it is as good as the greatest number.
    pub fn of_count(count: u64) -> StatisticSet {
        StatisticSet::of(i64::try_from(count.saturating_mul(1000)).unwrap_or(i64::MAX))
    }

    /// Adds the samples of another.
    pub fn add(&mut self, other: &StatisticSet) {
        self.sample_count = self.sample_count.saturating_add(other.sample_count);
        self.sum = self.sum.saturating_add(other.sum);
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
    }

    /// One of its statistics. An average is rounded toward negative infinity, so that a metric is not above a threshold by rounding.
    pub fn statistic(&self, statistic: Statistic) -> i64 {
        let clamped = |value: i128| i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX });
        match statistic {
            Statistic::Average => clamped(self.sum.div_euclid(i128::from(self.sample_count.max(1)))),
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::Sum => clamped(self.sum),
            Statistic::SampleCount => i64::try_from(self.sample_count.saturating_mul(1000)).unwrap_or(i64::MAX),
        }
    }
}

/// How fine a metric's datapoints are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricResolution {
    /// One a metric period: 60 seconds.
    #[default]
    Standard,
    /// Several: each 20 seconds.
    High,
}

impl MetricResolution {
    /// Whether it is the finer one.
    pub fn is_high(self) -> bool {
        self == MetricResolution::High
    }
}

/// A datapoint of GetMetricStatistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MetricPoint {
    /// When its period begins.
    pub at: Timestamp,
    /// What its samples come to.
    pub samples: StatisticSet,
}

/// A metric whose values are written down beforehand, for demonstrations. *Ours.*
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricScript {
    /// The metric.
    pub metric: MetricId,
    /// Its values over time, in the order of time: each is put once a metric period until the next holds; `None` is missing data.
    pub steps: Vec<(Timestamp, Option<i64>)>,
}

impl MetricScript {
    /// The value that holds at a moment, if one does.
    pub fn value_at(&self, at: Timestamp) -> Option<i64> {
        self.steps.iter().rev().find(|(from, _)| *from <= at)?.1
    }
}

/// Thousandths as people read them: 72,500 is `72.5`.
pub fn thousandths_text(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs();
    let text = format!("{sign}{}.{:03}", magnitude / 1000, magnitude % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for MetricId {
    /// `AWS/ECS CPUUtilization {ClusterName=demo, ServiceName=web}`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dimensions: Vec<String> = self.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(f, "{} {} {{{}}}", self.namespace, self.name, dimensions.join(", "))
    }
}

impl MetricId {
    /// A metric from its names.
    pub fn new(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> MetricId {
        MetricId {
            namespace: namespace.into(),
            name: name.into(),
            dimensions: dimensions.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statistics of a few samples, and of the sums of two sets.
    #[test]
    fn statistics() {
        let mut set = StatisticSet::of(10_000);
        set.add(&StatisticSet::of(-5_000));
        set.add(&StatisticSet::of(2_000));
        let all = [Statistic::Average, Statistic::Minimum, Statistic::Maximum, Statistic::Sum, Statistic::SampleCount];
        assert_eq!(all.map(|statistic| set.statistic(statistic)), [2_333, -5_000, 10_000, 7_000, 3_000]);
    }

    /// Numbers lose the zeros that say nothing.
    #[test]
    fn writes_thousandths() {
        let texts = [0, 5, 50_000, 72_500, -1_250].map(thousandths_text);
        assert_eq!(texts, ["0", "0.005", "50", "72.5", "-1.25"]);
    }

    /// A value holds from its moment to the next, and nothing holds before the first.
    #[test]
    fn scripts_hold_their_values() {
        let steps = vec![(Timestamp(10), Some(1)), (Timestamp(20), None), (Timestamp(30), Some(3))];
        let script = MetricScript { metric: MetricId::default(), steps };
        assert_eq!(
            [9, 10, 19, 20, 30, 99].map(|at| script.value_at(Timestamp(at))),
            [None, Some(1), Some(1), None, Some(3), Some(3)]
        );
    }
}
