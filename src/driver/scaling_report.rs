//! The part of a report on what is scaled, alarmed and measured.

use std::collections::BTreeMap;

use serde::Serialize;

use super::report::{Decimal, decimal, iso};
use super::snapshot::Snapshot;
use crate::control_plane::scalable_target::ScalableTarget;
use crate::control_plane::service_autoscaling::AlarmEnd;
use crate::control_plane::state::Alarm;
use crate::model::alarm::{MetricId, Statistic};
use crate::model::metric::thousandths_text;

/// A scalable target.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Application Auto Scaling's names")]
pub struct ScalableTargetReport {
    pub resource_id: String,
    pub min_capacity: u32,
    pub max_capacity: u32,
    pub suspended_state: SuspendedStateReport,
    pub policies: Vec<PolicyReport>,
    pub scheduled_actions: Vec<ScheduledActionReport>,
    /// Oldest first.
    pub activities: Vec<ActivityReport>,
}

/// What is suspended.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Application Auto Scaling's names")]
pub struct SuspendedStateReport {
    pub dynamic_scaling_in_suspended: bool,
    pub dynamic_scaling_out_suspended: bool,
    pub scheduled_scaling_suspended: bool,
}

/// A policy and its alarms.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PolicyReport {
    pub policy_name: String,
    pub policy_type: &'static str,
    /// The last datapoint of a target tracking policy; null when it was missing.
    pub datapoint: Option<Decimal>,
    /// The states of the alarms, by name.
    pub alarms: BTreeMap<String, &'static str>,
}

/// A scheduled action.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Application Auto Scaling's names")]
pub struct ScheduledActionReport {
    pub scheduled_action_name: String,
    pub schedule: String,
    pub timezone: Option<String>,
    pub min_capacity: Option<u32>,
    pub max_capacity: Option<u32>,
    /// Null when it does not take place any more.
    pub next_at: Option<String>,
}

/// A scaling activity.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Application Auto Scaling's names")]
pub struct ActivityReport {
    pub activity_id: u64,
    pub description: String,
    pub cause: String,
    pub start_time: String,
    pub end_time: Option<String>,
    pub status_code: &'static str,
    pub status_message: String,
}

/// An alarm.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are CloudWatch's names")]
pub struct AlarmReport {
    pub alarm_name: String,
    pub metric: MetricNameReport,
    pub threshold: Decimal,
    pub state_value: &'static str,
    pub state_reason: String,
    pub state_updated_at: String,
}

/// A metric's names.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are CloudWatch's names")]
pub struct MetricNameReport {
    pub namespace: String,
    pub metric_name: String,
    pub dimensions: BTreeMap<String, String>,
}

/// A metric and its last datapoint.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are CloudWatch's names")]
pub struct MetricReport {
    pub metric: MetricNameReport,
    pub timestamp: String,
    pub sample_count: u64,
    pub average: Decimal,
    pub minimum: Decimal,
    pub maximum: Decimal,
    pub sum: Decimal,
}

fn thousandths(value: i64) -> Decimal {
    decimal(thousandths_text(value))
}

fn names(metric: &MetricId) -> MetricNameReport {
    MetricNameReport {
        namespace: metric.namespace.to_string(),
        metric_name: metric.name.to_string(),
        dimensions: metric.dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
    }
}

pub(super) fn target_report(snapshot: &Snapshot, target: &ScalableTarget) -> ScalableTargetReport {
    let settings = &target.settings;
    let suspended = settings.suspended_state;
    let tracking = target.scaler.alarms().map(|alarms| PolicyReport {
        policy_name: alarms.policy_name.to_string(),
        policy_type: "TargetTrackingScaling",
        datapoint: alarms.datapoint.map(thousandths),
        alarms: BTreeMap::from([
            (target.scaler.alarm_name(&alarms.policy_name, AlarmEnd::High), alarms.high.as_str()),
            (target.scaler.alarm_name(&alarms.policy_name, AlarmEnd::Low), alarms.low.as_str()),
        ]),
    });
    let steps = settings.step_scaling.iter().map(|policy| {
        let alarm = snapshot.state.alarms.get(&policy.alarm);
        PolicyReport {
            policy_name: policy.policy_name.to_string(),
            policy_type: "StepScaling",
            datapoint: None,
            alarms: alarm.map(|alarm| (policy.alarm.to_string(), alarm.state.as_str())).into_iter().collect(),
        }
    });
    let forecasts = target.scaler.forecasts().map(|forecast| PolicyReport {
        policy_name: forecast.policy_name.to_string(),
        policy_type: "PredictiveScaling",
        datapoint: None,
        alarms: BTreeMap::new(),
    });
    let actions = settings.scheduled_actions.iter().map(|action| ScheduledActionReport {
        scheduled_action_name: action.name.to_string(),
        schedule: action.schedule.to_string(),
        timezone: action.schedule.zone_name().map(str::to_owned),
        min_capacity: action.min_capacity,
        max_capacity: action.max_capacity,
        next_at: target.next_actions.get(&action.name).map(|at| iso(snapshot, *at)),
    });
    let activities = target.activities.iter().map(|activity| ActivityReport {
        activity_id: activity.id,
        description: activity.description.to_string(),
        cause: activity.cause.to_string(),
        start_time: iso(snapshot, activity.started_at),
        end_time: activity.ended_at.map(|at| iso(snapshot, at)),
        status_code: activity.status.as_str(),
        status_message: activity.status_message.to_string(),
    });
    ScalableTargetReport {
        resource_id: target.resource_id.to_string(),
        min_capacity: settings.min_capacity,
        max_capacity: settings.max_capacity,
        suspended_state: SuspendedStateReport {
            dynamic_scaling_in_suspended: suspended.dynamic_scaling_in,
            dynamic_scaling_out_suspended: suspended.dynamic_scaling_out,
            scheduled_scaling_suspended: suspended.scheduled_scaling,
        },
        policies: tracking.chain(steps).chain(forecasts).collect(),
        scheduled_actions: actions.collect(),
        activities: activities.collect(),
    }
}

pub(super) fn alarm_report(snapshot: &Snapshot, alarm: &Alarm) -> AlarmReport {
    AlarmReport {
        alarm_name: alarm.spec.name.to_string(),
        metric: names(&alarm.spec.metric),
        threshold: thousandths(alarm.spec.threshold),
        state_value: alarm.state.as_str(),
        state_reason: alarm.reason.to_string(),
        state_updated_at: iso(snapshot, alarm.since),
    }
}

pub(super) fn metric_reports(snapshot: &Snapshot) -> Vec<MetricReport> {
    let metrics = &snapshot.state.metrics;
    let report = |metric: &MetricId| {
        let point = metrics.last(metric)?;
        let statistic = |what| thousandths(point.samples.statistic(what));
        Some(MetricReport {
            metric: names(metric),
            timestamp: iso(snapshot, point.at),
            sample_count: point.samples.sample_count,
            average: statistic(Statistic::Average),
            minimum: statistic(Statistic::Minimum),
            maximum: statistic(Statistic::Maximum),
            sum: statistic(Statistic::Sum),
        })
    };
    metrics.list(None).filter_map(report).collect()
}
