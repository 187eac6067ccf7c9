//! Service auto scaling: the desired count of a service from what is measured.
//!
//! The idea: a service of C running tasks at twice the target needs 2·C tasks. Each target tracking policy ([`tracking`]) watches
//! one metric with two alarms, one quick (three periods above the target) and one slow (fifteen periods below nine tenths of
//! it), so that a service grows at once and shrinks with care. Step scaling policies ([`step`]) are called by alarms that the
//! user makes. A policy whose alarm stays in `ALARM` proposes a count every period; which proposal wins, and what cooldowns,
//! bounds, deployments and suspended processes leave of it, is decided here. Predictive scaling policies ([`predictive`]) look at hours
//! instead: each has its tasks there before it begins, and until the next nobody goes below them.
//!
//! The counts are taken from the *running* tasks and the last datapoint. While tasks are pending the same proposal
//! comes again and changes nothing, so that a slow start does not compound.
//!
//! Nothing here starts or stops a task or reads a metric: the inputs are numbers, the outcome is a desired count and the
//! reason for it.
//!
//! **Source:** ecs-semantics §7.1, §7.2, §7.3, §7.5.

pub mod predictive;
pub mod step;
pub mod tracking;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::ids::IdForm;
use crate::model::metric::thousandths_text;
use crate::model::scaling::{
    AutoScaling, PredictiveMode, ScaleIn, StepScaling, SuspendedState, TargetTracking, TrackedMetric,
};
use crate::model::units::{Duration, Timestamp};
use predictive::{ForecastState, Hour, HourForecast};
use tracking::{PolicyAlarms, TrackingState};

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct ScalingInputs<'a> {
    /// The end of the period.
    pub now: Timestamp,
    /// Which period it is the end of.
    pub ended: PeriodEnd,
    /// The scalable target: bounds, suspended processes, policies.
    pub settings: &'a AutoScaling,
    /// The datapoint of the period for each target tracking policy, in their order; `None` is missing data.
    pub readings: &'a [Option<i64>],
    /// Step scaling policies whose alarm is in `ALARM` and has a datapoint, in the order of the policies.
    pub calls: &'a [StepCall],
    /// Its desired count.
    pub desired_count: u32,
    /// Its `RUNNING` tasks.
    pub running_count: u32,
    /// Whether a deployment is under way.
    pub deployment: DeploymentProgress,
}

/// What forecasts are made from at the end of a metric period.
#[derive(Clone, Copy, Debug)]
pub struct ForecastInputs<'a> {
    /// The end of the period.
    pub now: Timestamp,
    /// The calendar time of the cluster's start.
    pub calendar_start: jiff::Timestamp,
    /// The scalable target.
    pub settings: &'a AutoScaling,
    /// The datapoint of the period for each predictive scaling policy, in their order.
    pub readings: &'a [Option<i64>],
    /// Its `RUNNING` tasks.
    pub running_count: u32,
}

/// A policy's forecast, as it can be asked for. **Source:** ecs-semantics §7.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyForecast<'a> {
    /// The policy.
    pub policy_name: &'a Arc<str>,
    /// The hour in which it was made; `None` when there is none yet.
    pub made_in: Option<Hour>,
    /// Its hours, the earliest first.
    pub hours: &'a [HourForecast],
    /// The first hour of which there is history.
    pub history_since: Option<Hour>,
}

/// What forecasts say of the hour that is, or is about to begin.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Outlook {
    /// The tasks that it needs: nobody scales in below. *Ours,* as with EC2 Auto Scaling: of several policies the largest count holds.
    floor: u32,
    /// The maximum in it.
    max_capacity: Option<u32>,
    /// The policy whose tasks are due, by its position.
    due: Option<(usize, u32)>,
}

/// Which period has ended, and so which policies have a datapoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodEnd {
    /// A metric period: everything is decided.
    Metric,
    /// A part of one: policies of a high resolution scale out. *Ours:* nothing is scaled in, which needs all policies to agree.
    HighResolution,
}

impl PeriodEnd {
    /// Whether a policy has a datapoint of its own at such an end.
    fn is_of(self, policy: &TargetTracking) -> bool {
        policy.metric.resolution().is_high() == (self == PeriodEnd::HighResolution)
    }
}

/// An alarm calls a step scaling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCall {
    /// The policy, by its position.
    pub policy_index: usize,
    /// The metric's last datapoint, aggregated as the policy says.
    pub value: i64,
    /// The alarm's threshold.
    pub threshold: i64,
}

/// Whether a service is being deployed. **Source:** ecs-semantics §7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentProgress {
    /// A deployment is under way: nothing is scaled in.
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
    /// The policy that decided.
    pub policy_name: String,
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

/// What policies remember of a service: the alarms of target tracking, and cooldowns.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServiceScaler {
    resource_id: Arc<str>,
    ids: IdForm,
    tracking: Vec<TrackingState>,
    scale_out_cooldown: Option<ScaleOutCooldown>,
    scale_in_cooldown_until: Option<Timestamp>,
    periods_without_tasks: u32,
    #[serde(default)]
    predictive: Vec<ForecastState>,
    #[serde(default)]
    outlook: Outlook,
}

/// Which of a target tracking policy's two alarms. **Source:** ecs-semantics §7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmEnd {
    /// `AlarmHigh`: above the target.
    High,
    /// `AlarmLow`: below nine tenths of it.
    Low,
}

/// A time in which only a larger scale-out is made.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct ScaleOutCooldown {
    until: Timestamp,
    /// The desired count before the scale-out that began it.
    desired_before: u32,
}

/// What a policy would like the desired count to be.
#[derive(Clone, Copy, Debug)]
struct Proposal {
    count: u32,
    counted: Counted,
    by: Proposer,
    cooldown: Duration,
}

/// How a proposal comes to its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// From the running tasks up or down: in a cooldown, what was added is a part of it.
    FromRunning,
    /// `ExactCapacity`: by itself.
    Exactly,
}

/// The policy of a proposal, by its position.
#[derive(Clone, Copy, Debug)]
enum Proposer {
    Tracking(usize),
    Step(StepCall),
}

impl AlarmEnd {
    fn as_str(self) -> &'static str {
        match self {
            AlarmEnd::High => "AlarmHigh",
            AlarmEnd::Low => "AlarmLow",
        }
    }
}

impl ServiceScaler {
    /// A scaler without history: its alarms have insufficient data.
    ///
    /// `resource_id` is `service/CLUSTER/SERVICE`. **Source:** ecs-semantics §7.1.
    pub fn new(resource_id: Arc<str>, ids: IdForm, settings: &AutoScaling) -> ServiceScaler {
        let mut scaler = ServiceScaler {
            resource_id,
            ids,
            tracking: Vec::new(),
            scale_out_cooldown: None,
            scale_in_cooldown_until: None,
            periods_without_tasks: 0,
            predictive: Vec::new(),
            outlook: Outlook::default(),
        };
        scaler.take_over(settings);
        scaler
    }

    /// Takes over changed policies. One that is as it was keeps the periods that its alarms have counted; cooldowns go on.
    pub fn take_over(&mut self, settings: &AutoScaling) {
        let before = std::mem::take(&mut self.tracking);
        let state_of = |policy| {
            let same = before.iter().find(|state| state.is_of(policy));
            same.cloned().unwrap_or_else(|| TrackingState::new(policy))
        };
        self.tracking = settings.target_tracking.iter().map(state_of).collect();
        let mut before = std::mem::take(&mut self.predictive);
        // What was put anew is forecast anew, by the loads that are known.
        before.iter_mut().for_each(ForecastState::outdate);
        self.predictive = settings
            .predictive_scaling
            .iter()
            .map(|policy| {
                let same = before.iter().find(|state| state.is_of(policy));
                same.cloned().unwrap_or_else(|| ForecastState::new(policy))
            })
            .collect();
        self.outlook = Outlook::default();
    }

    /// The forecasts of the predictive scaling policies, in their order.
    pub fn forecasts(&self) -> impl Iterator<Item = PolicyForecast<'_>> {
        self.predictive.iter().map(|state| PolicyForecast {
            policy_name: state.policy_name(),
            made_in: state.made_in(),
            hours: state.forecast(),
            history_since: state.history_since(),
        })
    }

    /// Takes in the loads of a metric period, forecasts anew every six hours, and notes what is due for the hour that begins within a
    /// policy's buffer. To be called before [`ServiceScaler::on_period`]. **Source:** ecs-semantics §7.5.
    pub fn look_ahead(&mut self, inputs: ForecastInputs<'_>) {
        self.outlook.due = None;
        if self.predictive.is_empty() {
            return;
        }
        let hour_of = |at: Timestamp| -> Hour {
            let seconds = at.calendar(inputs.calendar_start).as_second();
            u64::try_from(seconds).unwrap_or(0) / 3_600
        };
        let measured = hour_of(Timestamp(inputs.now.0.saturating_sub(1)));
        let now = hour_of(inputs.now);
        let mut outlook = Outlook::default();
        let policies = &inputs.settings.predictive_scaling;
        for (index, (state, policy)) in self.predictive.iter_mut().zip(policies).enumerate() {
            let reading = inputs.readings.get(index).copied().flatten();
            let load = match (reading, inputs.running_count) {
                (_, 0) => Some(0),
                (reading, running) => {
                    let reading = reading.and_then(|reading| u64::try_from(reading).ok());
                    reading.map(|reading| reading.saturating_mul(running.into()))
                }
            };
            state.observe(measured, load);
            state.refresh(now, policy.target_thousandths);
            let hour = hour_of(inputs.now + policy.scheduling_buffer);
            let is_new = state.act_for(hour);
            let Some(capacity) = state.capacity_in(hour).filter(|_| policy.mode == PredictiveMode::ForecastAndScale)
            else {
                continue;
            };
            let max_capacity = policy.max_capacity_breach.max_capacity(capacity, inputs.settings.max_capacity);
            let capacity = capacity.min(max_capacity);
            outlook.floor = outlook.floor.max(capacity);
            outlook.max_capacity = outlook.max_capacity.max(Some(max_capacity));
            if is_new && outlook.due.is_none_or(|(_, count)| count < capacity) {
                outlook.due = Some((index, capacity));
            }
        }
        self.outlook = outlook;
    }

    /// The greatest desired count at the moment: the target's, or a forecast's.
    pub fn max_capacity(&self, settings: &AutoScaling) -> u32 {
        self.outlook.max_capacity.map_or(settings.max_capacity, |forecast| forecast.max(settings.max_capacity))
    }

    /// The tasks that a forecast has due, where they are more than there are. *Ours:* it waits for no cooldown and begins none.
    fn predicted_out(&mut self, inputs: &ScalingInputs<'_>) -> Option<ScalingActivity> {
        let (index, count) = self.outlook.due.take()?;
        if count <= inputs.desired_count || inputs.settings.suspended_state.dynamic_scaling_out {
            return None;
        }
        let policy_name = inputs.settings.predictive_scaling.get(index)?.policy_name.to_string();
        Some(ScalingActivity {
            desired_count: count,
            direction: ScalingDirection::Out,
            description: format!("Setting desired count to {count}."),
            cause: format!(
                "predictive scaling policy {policy_name} forecast a need of {count} tasks in the hour that begins"
            ),
            policy_name,
        })
    }

    /// The alarms of each target tracking policy after the last period, in the policies' order.
    pub fn alarms(&self) -> impl Iterator<Item = PolicyAlarms> {
        self.tracking.iter().map(TrackingState::alarms)
    }

    /// The name of an alarm of a policy, as Application Auto Scaling makes it: `TargetTracking-service/CLUSTER/SERVICE-AlarmHigh-UUID`.
    pub fn alarm_name(&self, policy: &str, end: AlarmEnd) -> String {
        let (resource_id, end) = (&self.resource_id, end.as_str());
        format!("TargetTracking-{resource_id}-{end}-{}", self.ids.alarm(&format!("{resource_id} {policy} {end}")))
    }

    /// Takes in the datapoints of a period and decides. To be called once at the end of each period.
    ///
    /// Out if any policy wants out, to the largest count that one asks for; in only if every target tracking policy that may
    /// scale in wants in, or a step scaling policy does, to the largest count too. A policy that wants out keeps the others from
    /// scaling in even when bounds or the cooldown let nothing come of it. **Source:** ecs-semantics §7.2. *Ours:* target
    /// tracking has no vote over a step scaling policy, whose alarm is the user's own word.
    pub fn on_period(&mut self, inputs: ScalingInputs<'_>) -> Option<ScalingActivity> {
        let predicted = self.predicted_out(&inputs);
        let measured = self.by_measure(inputs);
        match (predicted, measured) {
            (Some(predicted), Some(measured)) if measured.desired_count > predicted.desired_count => Some(measured),
            (predicted, measured) => predicted.or(measured),
        }
    }

    /// What target tracking and step scaling come to.
    fn by_measure(&mut self, inputs: ScalingInputs<'_>) -> Option<ScalingActivity> {
        let policies = &inputs.settings.target_tracking;
        for ((state, reading), policy) in self.tracking.iter_mut().zip(inputs.readings).zip(policies) {
            if inputs.ended.is_of(policy) {
                state.observe(*reading);
            }
        }
        self.periods_without_tasks =
            if inputs.running_count == 0 { self.periods_without_tasks.saturating_add(1) } else { 0 };

        let steps: Vec<(ScalingDirection, Proposal)> =
            inputs.calls.iter().filter_map(|call| propose_step(&inputs, *call)).collect();
        let steps_toward =
            |wanted| steps.iter().filter(move |(direction, _)| *direction == wanted).map(|(_, proposal)| *proposal);
        let tracked_out = self.tracking.iter().enumerate().filter_map(|(index, state)| {
            let policy = &policies[index];
            if inputs.ended == PeriodEnd::HighResolution && !inputs.ended.is_of(policy) {
                return None;
            }
            let count = state.propose_out(inputs.running_count)?;
            Some(Proposal {
                count,
                counted: Counted::FromRunning,
                by: Proposer::Tracking(index),
                cooldown: policy.scale_out_cooldown,
            })
        });
        match first_largest(tracked_out.chain(steps_toward(ScalingDirection::Out))) {
            Some(proposal) => self.scale_out(inputs, proposal),
            None if inputs.ended == PeriodEnd::HighResolution => None,
            None => {
                let tracked = self.tracked_in(&inputs);
                let proposal = first_largest(tracked.into_iter().chain(steps_toward(ScalingDirection::In)))?;
                self.scale_in(inputs, proposal)
            }
        }
    }

    /// What target tracking asks for when all of its policies that may scale in want in: the smallest reduction.
    fn tracked_in(&self, inputs: &ScalingInputs<'_>) -> Option<Proposal> {
        let policies = self.tracking.iter().zip(&inputs.settings.target_tracking).enumerate();
        let votes: Option<Vec<Proposal>> = policies
            .filter(|(_, (_, policy))| policy.scale_in == ScaleIn::Enabled)
            .map(|(index, (state, policy))| {
                let mut count = state.propose_in(inputs.running_count)?;
                if !matches!(policy.metric, TrackedMetric::Customized { .. } | TrackedMetric::Math(_)) {
                    // The last task stays: the utilisation of no tasks is missing data, so that nothing would bring it back.
                    // *Ours.*
                    count = count.max(1);
                }
                Some(Proposal {
                    count,
                    counted: Counted::FromRunning,
                    by: Proposer::Tracking(index),
                    cooldown: policy.scale_in_cooldown,
                })
            })
            .collect();
        let winner = first_largest(votes?.into_iter())?;
        let wants_less =
            winner.count < inputs.running_count || inputs.desired_count > self.max_capacity(inputs.settings);
        wants_less.then_some(winner)
    }

    fn scale_out(&mut self, inputs: ScalingInputs<'_>, proposal: Proposal) -> Option<ScalingActivity> {
        let ScalingInputs { now, settings, desired_count, running_count, .. } = inputs;
        if settings.suspended_state.dynamic_scaling_out {
            return None;
        }
        // Without running tasks a datapoint speaks of tasks that are gone; it takes a second one to add a task.
        if running_count == 0 && self.periods_without_tasks < 2 && matches!(proposal.by, Proposer::Tracking(_)) {
            return None;
        }
        let cooldown = self.scale_out_cooldown.filter(|cooldown| now < cooldown.until);
        let desired_before = cooldown.map_or(desired_count, |cooldown| cooldown.desired_before);
        let count = if desired_count < settings.min_capacity {
            // A count set by hand below the minimum goes to the minimum first.
            settings.min_capacity
        } else {
            // In the cooldown what was added is a part of the next step: after +2, a step of +3 adds one more.
            let step = proposal.count.saturating_sub(running_count);
            let count = match (cooldown, proposal.counted) {
                (Some(_), Counted::FromRunning) => proposal.count.min(desired_before.saturating_add(step)),
                (None, _) | (_, Counted::Exactly) => proposal.count,
            };
            count.min(self.max_capacity(settings))
        };
        if count <= desired_count {
            return None;
        }
        self.scale_out_cooldown = Some(ScaleOutCooldown { until: now + proposal.cooldown, desired_before });
        self.scale_in_cooldown_until = None;
        Some(self.activity(&inputs, count, ScalingDirection::Out, proposal))
    }

    fn scale_in(&mut self, inputs: ScalingInputs<'_>, proposal: Proposal) -> Option<ScalingActivity> {
        let ScalingInputs { now, settings, desired_count, deployment, .. } = inputs;
        let in_cooldown = self.scale_in_cooldown_until.is_some_and(|until| now < until);
        let SuspendedState { dynamic_scaling_in: is_suspended, .. } = settings.suspended_state;
        if deployment == DeploymentProgress::InProgress || in_cooldown || is_suspended {
            return None;
        }
        let max_capacity = self.max_capacity(settings);
        let count = if desired_count > max_capacity {
            // A count set by hand above the maximum goes to the maximum first.
            max_capacity
        } else {
            proposal.count.max(settings.min_capacity).max(self.outlook.floor)
        };
        if count >= desired_count {
            return None;
        }
        self.scale_in_cooldown_until = Some(now + proposal.cooldown);
        // What the last scale-out added is gone again and is no part of the next.
        self.scale_out_cooldown = None;
        Some(self.activity(&inputs, count, ScalingDirection::In, proposal))
    }

    fn activity(
        &self,
        inputs: &ScalingInputs<'_>,
        desired_count: u32,
        direction: ScalingDirection,
        proposal: Proposal,
    ) -> ScalingActivity {
        let (policy_name, alarm, numbers) = match proposal.by {
            Proposer::Tracking(index) => {
                let policy = &inputs.settings.target_tracking[index];
                let unit = policy.metric.unit();
                let end = match direction {
                    ScalingDirection::Out => AlarmEnd::High,
                    ScalingDirection::In => AlarmEnd::Low,
                };
                let datapoint = inputs.readings.get(index).copied().flatten().unwrap_or_default();
                let target = i64::try_from(policy.target_thousandths).unwrap_or(i64::MAX);
                let (value, target) = (thousandths_text(datapoint), thousandths_text(target));
                let numbers = format!("{value}{unit} against a target of {target}{unit}");
                (policy.name().to_owned(), self.alarm_name(policy.name(), end), numbers)
            }
            Proposer::Step(call) => {
                let policy: &StepScaling = &inputs.settings.step_scaling[call.policy_index];
                let (value, threshold) = (thousandths_text(call.value), thousandths_text(call.threshold));
                let numbers = format!("{value} against a threshold of {threshold}");
                (policy.policy_name.to_string(), policy.alarm.to_string(), numbers)
            }
        };
        ScalingActivity {
            desired_count,
            direction,
            description: format!("Setting desired count to {desired_count}."),
            cause: format!("monitor alarm {alarm} in state ALARM triggered policy {policy_name}: {numbers}"),
            policy_name,
        }
    }
}

/// What a step scaling policy that is called asks for, and in which direction that is; nothing where its step changes nothing.
///
/// *Ours:* the basis is the running count, as with target tracking; an exact capacity is held against the desired count.
fn propose_step(inputs: &ScalingInputs<'_>, call: StepCall) -> Option<(ScalingDirection, Proposal)> {
    let policy = inputs.settings.step_scaling.get(call.policy_index)?;
    let (count, counted) = match step::adjust(policy, inputs.running_count, call.value.saturating_sub(call.threshold))?
    {
        step::Adjusted::Relative(count) => (count, Counted::FromRunning),
        step::Adjusted::Exact(count) => (count, Counted::Exactly),
    };
    let basis = match counted {
        Counted::FromRunning => inputs.running_count,
        Counted::Exactly => inputs.desired_count,
    };
    let direction = match count.cmp(&basis) {
        std::cmp::Ordering::Greater => ScalingDirection::Out,
        std::cmp::Ordering::Less => ScalingDirection::In,
        std::cmp::Ordering::Equal => return None,
    };
    Some((direction, Proposal { count, counted, by: Proposer::Step(call), cooldown: policy.cooldown }))
}

/// The proposal of the largest count; among equals that of the first policy.
fn first_largest(proposals: impl Iterator<Item = Proposal>) -> Option<Proposal> {
    proposals.reduce(|best, next| if next.count > best.count { next } else { best })
}

#[cfg(test)]
mod tests;
