//! Target tracking: the desired count of a service from its utilisation.
//!
//! The idea: a service of C running tasks at twice the target needs 2·C tasks. Each policy watches one metric with two
//! alarms, one quick (three periods above the target) and one slow (fifteen periods below nine tenths of it), so that a
//! service grows at once and shrinks with care. An alarm that stays in `ALARM` proposes a count every period; cooldowns
//! and bounds decide what becomes of it.
//!
//! The counts are taken from the *running* tasks and the last datapoint. While tasks are pending the same proposal
//! comes again and changes nothing, so that a slow start does not compound.
//!
//! Nothing here starts or stops a task: the outcome is a desired count and the reason for it. Step scaling, scheduled
//! and predictive scaling are not here.
//!
//! **Source:** ecs-semantics §7.1, §7.2.

use std::sync::Arc;

use super::metrics::{Datapoints, percent_text};
use crate::model::service::{AutoScaling, PredefinedMetric, ScaleIn, TargetTracking};
use crate::model::units::Timestamp;

/// Periods in a row above the target that bring a scale-out. **Source:** ecs-semantics §7.2.
pub const HIGH_ALARM_PERIODS: u32 = 3;

/// Periods in a row below nine tenths of the target that bring a scale-in. **Source:** ecs-semantics §7.2.
pub const LOW_ALARM_PERIODS: u32 = 15;

const _: () = assert!(HIGH_ALARM_PERIODS < LOW_ALARM_PERIODS, "growing is quicker than shrinking");

/// What a decision is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingInputs<'a> {
    /// The end of the metric period.
    pub now: Timestamp,
    /// The service's datapoints of the period.
    pub datapoints: &'a Datapoints,
    /// Its desired count.
    pub desired_count: u32,
    /// Its `RUNNING` tasks.
    pub running_count: u32,
    /// Whether a deployment is under way.
    pub deployment: DeploymentProgress,
}

/// Whether a service is being deployed. **Source:** ecs-semantics §7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentProgress {
    /// A rolling deployment is under way: nothing is scaled in.
    InProgress,
    /// One deployment, all of it there.
    Steady,
}

/// A change of the desired count. **Source:** ecs-semantics §7.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingActivity {
    /// The desired count to set; never the one that is set already.
    pub desired_count: u32,
    /// Up or down.
    pub direction: ScalingDirection,
    /// The metric of the policy that decided.
    pub metric: PredefinedMetric,
    /// AWS' description of the activity: what is done.
    pub description: String,
    /// AWS' cause of the activity: the alarm and the policy, with the numbers behind them.
    pub cause: String,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScalingDirection {
    /// More tasks.
    Out,
    /// Fewer tasks.
    In,
}

/// CloudWatch's alarm states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    /// The last period has no datapoint, or none has come yet.
    InsufficientData,
    /// The threshold holds.
    Ok,
    /// The threshold was broken for as many periods as it takes.
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

/// The two alarms of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyAlarms {
    /// The policy's metric.
    pub metric: PredefinedMetric,
    /// Above the target.
    pub high: AlarmState,
    /// Below nine tenths of the target.
    pub low: AlarmState,
}

/// A service's scalable target with its policies, alarms and cooldowns.
#[derive(Clone, Debug)]
pub struct ServiceScaler {
    resource_id: Arc<str>,
    min_capacity: u32,
    max_capacity: u32,
    policies: Vec<Policy>,
    scale_out_cooldown: Option<ScaleOutCooldown>,
    scale_in_cooldown_until: Option<Timestamp>,
    periods_without_tasks: u32,
}

/// A time in which only a larger scale-out is made.
#[derive(Clone, Copy, Debug)]
struct ScaleOutCooldown {
    until: Timestamp,
    /// The desired count before the scale-out that began it.
    desired_before: u32,
}

/// One policy and the state of its alarms.
#[derive(Clone, Copy, Debug)]
struct Policy {
    settings: TargetTracking,
    /// The datapoint of the last period.
    datapoint: Option<u64>,
    /// Periods in a row above the target.
    high_periods: u32,
    /// Periods in a row below nine tenths of the target.
    low_periods: u32,
}

/// What a policy would like the desired count to be.
#[derive(Clone, Copy, Debug)]
struct Proposal {
    count: u32,
    policy: Policy,
    datapoint: u64,
}

impl Policy {
    fn observe(&mut self, datapoints: &Datapoints) {
        self.datapoint = match self.settings.metric {
            PredefinedMetric::AverageCpuUtilization => datapoints.cpu_millipercent,
            PredefinedMetric::AverageMemoryUtilization => datapoints.memory_millipercent,
        };
        let target = u128::from(self.settings.target_millipercent);
        let is_high = self.datapoint.is_some_and(|datapoint| u128::from(datapoint) > target);
        let is_low = self.datapoint.is_some_and(|datapoint| u128::from(datapoint) * 10 < target * 9);
        self.high_periods = if is_high { self.high_periods.saturating_add(1) } else { 0 };
        self.low_periods = if is_low { self.low_periods.saturating_add(1) } else { 0 };
    }

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
    fn proportional_count(&self, running_count: u32, datapoint: u64) -> u32 {
        let target = u128::from(self.settings.target_millipercent.max(1));
        let count = (u128::from(running_count) * u128::from(datapoint)).div_ceil(target);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// What the policy asks for while its high alarm is in `ALARM`: at least one task more than there are.
    fn propose_out(&self, running_count: u32) -> Option<Proposal> {
        let datapoint = self.datapoint.filter(|_| self.high_alarm() == AlarmState::Alarm)?;
        let count = self.proportional_count(running_count, datapoint).max(running_count.saturating_add(1));
        Some(Proposal { count, policy: *self, datapoint })
    }

    /// What the policy asks for while its low alarm is in `ALARM`; may be no fewer tasks than there are.
    ///
    /// Rounding up makes it safe: a smaller count than C comes out only when the metric of the tasks that remain,
    /// `metric × C / (C − 1)` with one task less, would not be above the target.
    fn propose_in(&self, running_count: u32) -> Option<Proposal> {
        let datapoint = self.datapoint.filter(|_| self.low_alarm() == AlarmState::Alarm)?;
        Some(Proposal { count: self.proportional_count(running_count, datapoint), policy: *self, datapoint })
    }
}

impl ServiceScaler {
    /// A scaler without history: its alarms have insufficient data.
    ///
    /// `resource_id` is `service/CLUSTER/SERVICE`. **Source:** ecs-semantics §7.1.
    pub fn new(resource_id: Arc<str>, auto_scaling: &AutoScaling) -> ServiceScaler {
        let policies = auto_scaling
            .target_tracking
            .iter()
            .map(|&settings| Policy { settings, datapoint: None, high_periods: 0, low_periods: 0 })
            .collect();
        ServiceScaler {
            resource_id,
            min_capacity: auto_scaling.min_capacity,
            max_capacity: auto_scaling.max_capacity,
            policies,
            scale_out_cooldown: None,
            scale_in_cooldown_until: None,
            periods_without_tasks: 0,
        }
    }

    /// The alarms of each policy after the last period, in the policies' order.
    pub fn alarms(&self) -> impl Iterator<Item = PolicyAlarms> {
        self.policies.iter().map(|policy| PolicyAlarms {
            metric: policy.settings.metric,
            high: policy.high_alarm(),
            low: policy.low_alarm(),
        })
    }

    /// Takes in the datapoints of a period and decides. To be called once at the end of each metric period.
    ///
    /// Out if any policy wants out, to the largest count that one asks for; in only if every policy that may scale in
    /// wants in, to the largest count too. A policy that wants out keeps the others from scaling in even when bounds or
    /// the cooldown let nothing come of it. **Source:** ecs-semantics §7.2.
    pub fn on_period(&mut self, inputs: ScalingInputs<'_>) -> Option<ScalingActivity> {
        for policy in &mut self.policies {
            policy.observe(inputs.datapoints);
        }
        self.periods_without_tasks =
            if inputs.running_count == 0 { self.periods_without_tasks.saturating_add(1) } else { 0 };

        let out = first_largest(self.policies.iter().filter_map(|policy| policy.propose_out(inputs.running_count)));
        match out {
            Some(proposal) => self.scale_out(inputs, proposal),
            None => self.scale_in(inputs),
        }
    }

    fn scale_out(&mut self, inputs: ScalingInputs<'_>, proposal: Proposal) -> Option<ScalingActivity> {
        let ScalingInputs { now, desired_count, running_count, .. } = inputs;
        // Without running tasks a datapoint speaks of tasks that are gone; it takes a second one to add a task.
        if running_count == 0 && self.periods_without_tasks < 2 {
            return None;
        }
        let cooldown = self.scale_out_cooldown.filter(|cooldown| now < cooldown.until);
        let desired_before = cooldown.map_or(desired_count, |cooldown| cooldown.desired_before);
        let count = if desired_count < self.min_capacity {
            // A count set by hand below the minimum goes to the minimum first.
            self.min_capacity
        } else {
            // In the cooldown what was added is a part of the next step: after +2, a step of +3 adds one more.
            let step = proposal.count.saturating_sub(running_count);
            let count = match cooldown {
                Some(_) => proposal.count.min(desired_before.saturating_add(step)),
                None => proposal.count,
            };
            count.min(self.max_capacity)
        };
        if count <= desired_count {
            return None;
        }
        self.scale_out_cooldown =
            Some(ScaleOutCooldown { until: now + proposal.policy.settings.scale_out_cooldown, desired_before });
        self.scale_in_cooldown_until = None;
        Some(self.activity(count, ScalingDirection::Out, proposal))
    }

    fn scale_in(&mut self, inputs: ScalingInputs<'_>) -> Option<ScalingActivity> {
        let ScalingInputs { now, desired_count, running_count, deployment, .. } = inputs;
        if deployment == DeploymentProgress::InProgress || self.scale_in_cooldown_until.is_some_and(|until| now < until)
        {
            return None;
        }
        let proposals: Option<Vec<Proposal>> = self
            .policies
            .iter()
            .filter(|policy| policy.settings.scale_in == ScaleIn::Enabled)
            .map(|policy| policy.propose_in(running_count))
            .collect();
        let proposal = first_largest(proposals?.into_iter())?;
        let count = if desired_count > self.max_capacity {
            // A count set by hand above the maximum goes to the maximum first.
            self.max_capacity
        } else if proposal.count < running_count {
            // The last task stays: the utilisation of no tasks is missing data, so that nothing would bring it back.
            // *Ours.*
            proposal.count.max(self.min_capacity).max(1)
        } else {
            return None;
        };
        if count >= desired_count {
            return None;
        }
        self.scale_in_cooldown_until = Some(now + proposal.policy.settings.scale_in_cooldown);
        // What the last scale-out added is gone again and is no part of the next.
        self.scale_out_cooldown = None;
        Some(self.activity(count, ScalingDirection::In, proposal))
    }

    fn activity(&self, desired_count: u32, direction: ScalingDirection, proposal: Proposal) -> ScalingActivity {
        let Proposal { policy, datapoint, .. } = proposal;
        let metric = policy.settings.metric;
        let alarm = match direction {
            ScalingDirection::Out => "AlarmHigh",
            ScalingDirection::In => "AlarmLow",
        };
        ScalingActivity {
            desired_count,
            direction,
            metric,
            description: format!("Setting desired count to {desired_count}."),
            cause: format!(
                "monitor alarm TargetTracking-{}-{alarm} in state ALARM triggered policy {}: {} against a target of {}",
                self.resource_id,
                metric.as_str(),
                percent_text(datapoint),
                percent_text(policy.settings.target_millipercent),
            ),
        }
    }
}

/// The proposal of the largest count; among equals that of the first policy.
fn first_largest(proposals: impl Iterator<Item = Proposal>) -> Option<Proposal> {
    proposals.reduce(|best, next| if next.count > best.count { next } else { best })
}

#[cfg(test)]
mod tests;
