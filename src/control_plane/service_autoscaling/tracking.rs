//! One target tracking policy: its two alarms and the count that it proposes.
//!
//! **Source:** ecs-semantics §7.2.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::alarm::AlarmState;
use crate::model::scaling::{TargetTracking, TrackedMetric};

/// Periods in a row above the target that bring a scale-out. **Source:** ecs-semantics §7.2.
pub const HIGH_ALARM_PERIODS: u32 = 3;

/// Periods in a row below nine tenths of the target that bring a scale-in. **Source:** ecs-semantics §7.2.
pub const LOW_ALARM_PERIODS: u32 = 15;

const _: () = assert!(HIGH_ALARM_PERIODS < LOW_ALARM_PERIODS, "growing is quicker than shrinking");

/// The two alarms of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyAlarms {
    /// The policy.
    pub policy_name: Arc<str>,
    /// The datapoint of the last period in thousandths.
    pub datapoint: Option<i64>,
    /// Above the target.
    pub high: AlarmState,
    /// Below nine tenths of the target.
    pub low: AlarmState,
}

/// What a policy remembers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TrackingState {
    policy_name: Arc<str>,
    metric: TrackedMetric,
    target: i128,
    /// The datapoint of the last period.
    datapoint: Option<i64>,
    /// Periods in a row above the target.
    high_periods: u32,
    /// Periods in a row below nine tenths of the target.
    low_periods: u32,
}

impl TrackingState {
    pub(super) fn new(policy: &TargetTracking) -> TrackingState {
        TrackingState {
            policy_name: policy.name().into(),
            metric: policy.metric.clone(),
            target: i128::from(policy.target_thousandths),
            datapoint: None,
            high_periods: 0,
            low_periods: 0,
        }
    }

    /// Whether it belongs to this policy and to this metric and target of it.
    pub(super) fn is_of(&self, policy: &TargetTracking) -> bool {
        *self.policy_name == *policy.name()
            && self.metric == policy.metric
            && self.target == i128::from(policy.target_thousandths)
    }

    pub(super) fn alarms(&self) -> PolicyAlarms {
        PolicyAlarms {
            policy_name: self.policy_name.clone(),
            datapoint: self.datapoint,
            high: self.high_alarm(),
            low: self.low_alarm(),
        }
    }

    pub(super) fn observe(&mut self, datapoint: Option<i64>) {
        self.datapoint = datapoint;
        let is_high = datapoint.is_some_and(|value| i128::from(value) > self.target);
        let is_low = datapoint.is_some_and(|value| i128::from(value) * 10 < self.target * 9);
        self.high_periods = if is_high { self.high_periods.saturating_add(1) } else { 0 };
        self.low_periods = if is_low { self.low_periods.saturating_add(1) } else { 0 };
    }

    /// Missing data is INSUFFICIENT_DATA: no action either way.
    fn alarm_state(&self, periods_in_a_row: u32, periods_needed: u32) -> AlarmState {
        match self.datapoint {
            None => AlarmState::InsufficientData,
            Some(_) if periods_in_a_row >= periods_needed => AlarmState::Alarm,
            Some(_) => AlarmState::Ok,
        }
    }

    fn high_alarm(&self) -> AlarmState {
        self.alarm_state(self.high_periods, HIGH_ALARM_PERIODS)
    }

    fn low_alarm(&self) -> AlarmState {
        self.alarm_state(self.low_periods, LOW_ALARM_PERIODS)
    }

    /// `ceil(C × metric / target)`: the count that would bring the metric to the target.
    fn proportional_count(&self, running_count: u32, datapoint: i64) -> u32 {
        let work = u128::from(running_count) * u128::try_from(datapoint).unwrap_or_default();
        let target = u128::try_from(self.target).unwrap_or_default().max(1);
        u32::try_from(work.div_ceil(target)).unwrap_or(u32::MAX)
    }

    /// What the policy asks for while its high alarm is in `ALARM`: at least one task more than there are.
    pub(super) fn propose_out(&self, running_count: u32) -> Option<u32> {
        let datapoint = self.datapoint.filter(|_| self.high_alarm() == AlarmState::Alarm)?;
        Some(self.proportional_count(running_count, datapoint).max(running_count.saturating_add(1)))
    }

    /// What the policy asks for while its low alarm is in `ALARM`; may be no fewer tasks than there are.
    ///
    /// Rounding up makes it safe: a smaller count than C comes out only when the metric of the tasks that remain,
    /// `metric × C / (C − 1)` with one task less, would not be above the target.
    pub(super) fn propose_in(&self, running_count: u32) -> Option<u32> {
        let datapoint = self.datapoint.filter(|_| self.low_alarm() == AlarmState::Alarm)?;
        Some(self.proportional_count(running_count, datapoint))
    }
}
