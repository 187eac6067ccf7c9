//! CloudWatch's metrics and alarms: what is measured, over what, and when it is too much.
//!
//! Numbers are integers in thousandths of the metric's unit, so that the same data decides the same on every host.
//!
//! **Source:** ecs-semantics §5.7, §7.2, §7.3, §10.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::units::Duration;

/// A metric's identity: namespace, name, and the dimensions that tell its series apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricId {
    /// As in `AWS/ECS`.
    pub namespace: Arc<str>,
    /// As in `CPUUtilization`.
    pub name: Arc<str>,
    /// As in `ClusterName=default, ServiceName=web`.
    pub dimensions: BTreeMap<Arc<str>, Arc<str>>,
}

/// What is made of the samples of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Statistic {
    /// `Average`.
    #[default]
    Average,
    /// `Minimum`.
    Minimum,
    /// `Maximum`.
    Maximum,
    /// `Sum`.
    Sum,
    /// `SampleCount`.
    SampleCount,
}

/// How a datapoint is held against a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `GreaterThanThreshold`.
    #[default]
    GreaterThan,
    /// `GreaterThanOrEqualToThreshold`.
    GreaterThanOrEqual,
    /// `LessThanThreshold`.
    LessThan,
    /// `LessThanOrEqualToThreshold`.
    LessThanOrEqual,
}

/// What a period without a datapoint counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingData {
    /// `missing`, CloudWatch's default: nothing is known.
    #[default]
    Missing,
    /// `notBreaching`.
    NotBreaching,
    /// `breaching`.
    Breaching,
    /// `ignore`: the alarm stays as it is.
    Ignore,
}

/// An alarm on one metric.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetricAlarm {
    /// Its name, unique in the cluster.
    pub name: Arc<str>,
    /// What it watches.
    pub metric: MetricId,
    /// What is made of a period's samples.
    pub statistic: Statistic,
    /// The length of a period: a multiple of the cluster's metric period.
    pub period: Duration,
    /// How many periods are looked at.
    pub evaluation_periods: u32,
    /// How many of them have to breach.
    pub datapoints_to_alarm: u32,
    /// In thousandths of the metric's unit.
    pub threshold: i64,
    /// How a datapoint is held against the threshold.
    pub comparison: Comparison,
    /// What a period without a datapoint counts as.
    pub missing_data: MissingData,
}

/// CloudWatch's states of an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// `INSUFFICIENT_DATA`: new, or nothing is known.
    #[default]
    InsufficientData,
    /// `OK`.
    Ok,
    /// `ALARM`.
    Alarm,
}

impl AlarmState {
    /// CloudWatch's wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            AlarmState::InsufficientData => "INSUFFICIENT_DATA",
            AlarmState::Ok => "OK",
            AlarmState::Alarm => "ALARM",
        }
    }
}
