//! Application Auto Scaling's settings of a service: bounds, policies, scheduled actions, and what is suspended.
//!
//! Plain data and the rules of its form. What follows from it is decided by the control plane.
//!
//! **Source:** ecs-semantics §7.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alarm::{MetricId, Statistic};
use super::metric::MetricResolution;
use super::metric_math::MetricMath;
use super::schedule::Schedule;
use super::units::{Duration, Timestamp};
use super::written_form::is_default;

/// The cooldown of a policy that names none. **Source:** ecs-semantics §7.2, §7.3.
pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(300);

/// A scalable target and its policies. **Source:** ecs-semantics §7.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoScaling {
    /// The least desired count.
    pub min_capacity: u32,
    /// The greatest desired count.
    pub max_capacity: u32,
    /// What does not take place for the time being.
    pub suspended_state: SuspendedState,
    /// Its target tracking policies.
    pub target_tracking: Vec<TargetTracking>,
    /// Its step scaling policies.
    pub step_scaling: Vec<StepScaling>,
    /// Its predictive scaling policies.
    #[serde(skip_serializing_if = "is_default")]
    pub predictive_scaling: Vec<PredictiveScaling>,
    /// Its scheduled actions.
    pub scheduled_actions: Vec<ScheduledAction>,
}

/// Processes of a scalable target that are suspended: each `false` by default. **Source:** ecs-semantics §7.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SuspendedState {
    /// Policies do not scale in.
    pub dynamic_scaling_in: bool,
    /// Policies do not scale out.
    pub dynamic_scaling_out: bool,
    /// Scheduled actions are left out.
    pub scheduled_scaling: bool,
}

/// A policy of any kind, as PutScalingPolicy takes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ScalingPolicy {
    /// `TargetTrackingScaling`.
    TargetTracking(TargetTracking),
    /// `StepScaling`.
    StepScaling(StepScaling),
    /// `PredictiveScaling`.
    PredictiveScaling(PredictiveScaling),
}

impl ScalingPolicy {
    /// Its name, unique at its target.
    pub fn name(&self) -> &str {
        match self {
            ScalingPolicy::TargetTracking(policy) => policy.name(),
            ScalingPolicy::StepScaling(policy) => &policy.policy_name,
            ScalingPolicy::PredictiveScaling(policy) => &policy.policy_name,
        }
    }
}

impl AutoScaling {
    /// All policies: of target tracking, of steps, and predictive ones.
    pub fn policies(&self) -> impl Iterator<Item = ScalingPolicy> {
        let tracking = self.target_tracking.iter().cloned().map(ScalingPolicy::TargetTracking);
        let stepping = self.step_scaling.iter().cloned().map(ScalingPolicy::StepScaling);
        let predictive = self.predictive_scaling.iter().cloned().map(ScalingPolicy::PredictiveScaling);
        tracking.chain(stepping).chain(predictive)
    }

    /// Puts a policy in the place of the one of its kind and name, or behind the others of its kind.
    pub fn put_policy(&mut self, policy: ScalingPolicy) {
        fn put<T>(policies: &mut Vec<T>, policy: T, name: fn(&T) -> &str) {
            match policies.iter_mut().find(|other| name(other) == name(&policy)) {
                Some(known) => *known = policy,
                None => policies.push(policy),
            }
        }
        match policy {
            ScalingPolicy::TargetTracking(policy) => put(&mut self.target_tracking, policy, TargetTracking::name),
            ScalingPolicy::StepScaling(policy) => put(&mut self.step_scaling, policy, |policy| &policy.policy_name),
            ScalingPolicy::PredictiveScaling(policy) => {
                put(&mut self.predictive_scaling, policy, |policy| &policy.policy_name);
            }
        }
    }
}

/// A target tracking policy. **Source:** ecs-semantics §7.2.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetTracking {
    /// Its name; `None` is the metric's.
    pub policy_name: Option<Arc<str>>,
    /// What is held at the target.
    pub metric: TrackedMetric,
    /// The target in thousandths of the metric's unit: 50 % is 50,000.
    pub target_thousandths: u64,
    /// Time after a scale-out in which only a larger one is made.
    pub scale_out_cooldown: Duration,
    /// Time after a scale-in in which no other is made.
    pub scale_in_cooldown: Duration,
    /// Whether this policy may scale in.
    pub scale_in: ScaleIn,
}

impl TargetTracking {
    /// A policy with ECS' defaults.
    pub fn of(metric: TrackedMetric, target_thousandths: u64) -> TargetTracking {
        TargetTracking {
            policy_name: None,
            metric,
            target_thousandths,
            scale_out_cooldown: DEFAULT_COOLDOWN,
            scale_in_cooldown: DEFAULT_COOLDOWN,
            scale_in: ScaleIn::Enabled,
        }
    }

    /// The policy's name.
    pub fn name(&self) -> &str {
        self.policy_name.as_deref().unwrap_or_else(|| self.metric.name())
    }
}

/// Whether a policy removes tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleIn {
    /// It does.
    #[default]
    Enabled,
    /// `disable_scale_in = true`.
    Disabled,
}

/// What a target tracking policy holds at its target.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TrackedMetric {
    /// One of ECS' own.
    Predefined(PredefinedMetric),
    /// `ALBRequestCountPerTarget`: requests a task in a metric period. *Ours:* a request is a job that was done, and the label of
    /// the target group may be left out.
    RequestCountPerTarget {
        /// As in `app/LB/ID/targetgroup/TG/ID`.
        resource_label: Option<Arc<str>>,
    },
    /// `CustomizedMetricSpecification`. It must fall as the number of tasks grows.
    Customized {
        /// The metric.
        metric: MetricId,
        /// What is made of a period's samples.
        statistic: Statistic,
    },
    /// `CustomizedMetricSpecification` with `Metrics`: a number made of metrics.
    Math(Box<MetricMath>),
}

impl TrackedMetric {
    /// The wire value of a predefined metric, or the metric's own name.
    pub fn name(&self) -> &str {
        match self {
            TrackedMetric::Predefined(metric) => metric.as_str(),
            TrackedMetric::RequestCountPerTarget { .. } => "ALBRequestCountPerTarget",
            TrackedMetric::Customized { metric, .. } => &metric.name,
            TrackedMetric::Math(math) => math.result(),
        }
    }

    /// How often it has a datapoint.
    pub fn resolution(&self) -> MetricResolution {
        match self {
            TrackedMetric::Predefined(
                PredefinedMetric::AverageCpuUtilizationHighResolution
                | PredefinedMetric::AverageMemoryUtilizationHighResolution,
            ) => MetricResolution::High,
            _ => MetricResolution::Standard,
        }
    }

    /// The unit of its values, as it is written behind them.
    pub fn unit(&self) -> &'static str {
        match self {
            TrackedMetric::Predefined(_) => "%",
            TrackedMetric::RequestCountPerTarget { .. } | TrackedMetric::Customized { .. } | TrackedMetric::Math(_) => {
                ""
            }
        }
    }
}

/// The metrics of target tracking that need no load balancer. **Source:** ecs-semantics §7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PredefinedMetric {
    /// `ECSServiceAverageCPUUtilization`.
    AverageCpuUtilization,
    /// `ECSServiceAverageMemoryUtilization`.
    AverageMemoryUtilization,
    /// `ECSServiceAverageCPUUtilizationHighResolution`.
    AverageCpuUtilizationHighResolution,
    /// `ECSServiceAverageMemoryUtilizationHighResolution`.
    AverageMemoryUtilizationHighResolution,
}

impl PredefinedMetric {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            PredefinedMetric::AverageCpuUtilization => "ECSServiceAverageCPUUtilization",
            PredefinedMetric::AverageMemoryUtilization => "ECSServiceAverageMemoryUtilization",
            PredefinedMetric::AverageCpuUtilizationHighResolution => "ECSServiceAverageCPUUtilizationHighResolution",
            PredefinedMetric::AverageMemoryUtilizationHighResolution => {
                "ECSServiceAverageMemoryUtilizationHighResolution"
            }
        }
    }
}

/// A step scaling policy. **Source:** ecs-semantics §7.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepScaling {
    /// Its name.
    pub policy_name: Arc<str>,
    /// The alarm that calls it. *Ours:* CloudWatch's alarms name their policies; here a policy names its alarm.
    pub alarm: Arc<str>,
    /// What an adjustment is.
    pub adjustment_type: AdjustmentType,
    /// The steps, in any order.
    pub steps: Vec<StepAdjustment>,
    /// The smallest change of `PercentChangeInCapacity`.
    pub min_adjustment_magnitude: Option<u32>,
    /// Time after a change in which only a larger scale-out is made, or no scale-in.
    pub cooldown: Duration,
    /// What is made of the samples of the alarm's period.
    pub metric_aggregation_type: Statistic,
}

/// What an adjustment of a step means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum AdjustmentType {
    /// `ChangeInCapacity`: so many more, or fewer.
    #[default]
    ChangeInCapacity,
    /// `ExactCapacity`: so many.
    ExactCapacity,
    /// `PercentChangeInCapacity`: so many percent more, or fewer.
    PercentChangeInCapacity,
}

/// One step: for a metric within an interval, an adjustment. Bounds are offsets from the alarm's threshold in thousandths;
/// `None` is infinite. **Source:** ecs-semantics §7.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepAdjustment {
    /// `MetricIntervalLowerBound`.
    pub lower: Option<i64>,
    /// `MetricIntervalUpperBound`.
    pub upper: Option<i64>,
    /// `ScalingAdjustment`.
    pub adjustment: i32,
}

impl StepAdjustment {
    /// Whether a metric that is so far from the threshold falls into this step. From the threshold up the lower bound belongs to
    /// it and the upper does not; below it is the other way round. **Source:** ecs-semantics §7.3.
    pub fn holds(&self, offset: i64) -> bool {
        if offset >= 0 {
            self.lower.is_none_or(|lower| lower <= offset) && self.upper.is_none_or(|upper| offset < upper)
        } else {
            self.lower.is_none_or(|lower| lower < offset) && self.upper.is_none_or(|upper| offset <= upper)
        }
    }
}

/// A rule that a step scaling policy breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepProblem {
    /// There is no step.
    #[error("a step scaling policy needs at least one step adjustment")]
    NoSteps,
    /// Both bounds of a step are infinite.
    #[error("a step needs a lower or an upper bound")]
    NoBound,
    /// A step is empty.
    #[error("the lower bound of a step must be less than its upper bound")]
    Empty,
    /// Two steps have no lower bound.
    #[error("no more than one step may be without a lower bound")]
    TwoWithoutLower,
    /// Two steps have no upper bound.
    #[error("no more than one step may be without an upper bound")]
    TwoWithoutUpper,
    /// A metric could fall into two steps.
    #[error("the intervals of two steps overlap")]
    Overlap,
    /// A metric between two steps falls into none.
    #[error("there is a gap between the intervals of two steps")]
    Gap,
    /// Below the lowest step is nothing.
    #[error("where a step has a negative lower bound, one step must be without a lower bound")]
    NoLowest,
    /// Above the highest step is nothing.
    #[error("where a step has a positive upper bound, one step must be without an upper bound")]
    NoHighest,
    /// An exact capacity below zero.
    #[error("the adjustment of ExactCapacity must not be negative")]
    NegativeCapacity,
    /// A magnitude without percent.
    #[error("min_adjustment_magnitude is for PercentChangeInCapacity only")]
    MagnitudeWithoutPercent,
    /// A statistic that does not aggregate.
    #[error("metric_aggregation_type must be Average, Minimum or Maximum")]
    Aggregation,
}

impl StepScaling {
    /// Every rule of its form that it breaks, and the step that does, if it is one. **Source:** ecs-semantics §7.3.
    pub fn problems(&self) -> Vec<(Option<usize>, StepProblem)> {
        let mut problems = Vec::new();
        if self.steps.is_empty() {
            problems.push((None, StepProblem::NoSteps));
        }
        let magnitude_is_for_percent = self.adjustment_type == AdjustmentType::PercentChangeInCapacity;
        if self.min_adjustment_magnitude.is_some() && !magnitude_is_for_percent {
            problems.push((None, StepProblem::MagnitudeWithoutPercent));
        }
        if matches!(self.metric_aggregation_type, Statistic::Sum | Statistic::SampleCount) {
            problems.push((None, StepProblem::Aggregation));
        }
        for (index, step) in self.steps.iter().enumerate() {
            let mut broken = |problem| problems.push((Some(index), problem));
            match (step.lower, step.upper) {
                (None, None) => broken(StepProblem::NoBound),
                (Some(lower), Some(upper)) if lower >= upper => broken(StepProblem::Empty),
                _ => {}
            }
            if self.adjustment_type == AdjustmentType::ExactCapacity && step.adjustment < 0 {
                broken(StepProblem::NegativeCapacity);
            }
        }
        // How steps go together is a question only where each of them is one.
        if !problems.iter().any(|(_, problem)| matches!(problem, StepProblem::NoBound | StepProblem::Empty)) {
            problems.extend(interval_problems(&self.steps));
        }
        problems
    }
}

fn interval_problems(steps: &[StepAdjustment]) -> Vec<(Option<usize>, StepProblem)> {
    let mut problems = Vec::new();
    let without_lower: Vec<usize> = (0..steps.len()).filter(|index| steps[*index].lower.is_none()).collect();
    let without_upper: Vec<usize> = (0..steps.len()).filter(|index| steps[*index].upper.is_none()).collect();
    problems.extend(without_lower.iter().skip(1).map(|index| (Some(*index), StepProblem::TwoWithoutLower)));
    problems.extend(without_upper.iter().skip(1).map(|index| (Some(*index), StepProblem::TwoWithoutUpper)));
    if !problems.is_empty() {
        // Which of the two is the one too many is for the author to say; nothing more follows from them.
        return problems;
    }
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|index| (steps[*index].lower.unwrap_or(i64::MIN), steps[*index].upper.unwrap_or(i64::MAX)));
    for pair in order.windows(2) {
        let (below, above) = (&steps[pair[0]], &steps[pair[1]]);
        match (below.upper, above.lower) {
            (Some(upper), Some(lower)) if upper < lower => problems.push((Some(pair[1]), StepProblem::Gap)),
            (Some(upper), Some(lower)) if upper == lower => {}
            _ => problems.push((Some(pair[1]), StepProblem::Overlap)),
        }
    }
    if without_lower.is_empty() && steps.iter().any(|step| step.lower.is_some_and(|lower| lower < 0)) {
        problems.push((None, StepProblem::NoLowest));
    }
    if without_upper.is_empty() && steps.iter().any(|step| step.upper.is_some_and(|upper| upper > 0)) {
        problems.push((None, StepProblem::NoHighest));
    }
    problems
}

/// A predictive scaling policy. **Source:** ecs-semantics §7.5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PredictiveScaling {
    /// Its name.
    pub policy_name: Arc<str>,
    /// What is forecast and what is held at the target.
    pub metric: MetricPair,
    /// The target in thousandths of the metric's unit.
    pub target_thousandths: u64,
    /// Whether it acts on its forecasts.
    pub mode: PredictiveMode,
    /// How long before an hour its tasks are started: less than an hour.
    pub scheduling_buffer: Duration,
    /// What becomes of a forecast above the target's maximum.
    pub max_capacity_breach: MaxCapacityBreach,
}

/// `SchedulingBufferTime` of a policy that names none. **Source:** ecs-semantics §7.5.
pub const DEFAULT_SCHEDULING_BUFFER: Duration = Duration::from_secs(300);
/// What `SchedulingBufferTime` is less than. **Source:** ecs-semantics §7.5.
pub const SCHEDULING_BUFFER_LIMIT: Duration = Duration::from_secs(3_600);

/// `PredefinedMetricPairSpecification`: a load and the metric that goes with it. **Source:** API reference,
/// PredictiveScalingPredefinedMetricPairSpecification.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MetricPair {
    /// `ECSServiceCPUUtilization`.
    CpuUtilization,
    /// `ECSServiceMemoryUtilization`.
    MemoryUtilization,
    /// `ALBRequestCount`: requests, and requests a task in a metric period.
    RequestCount {
        /// As in `app/LB/ID/targetgroup/TG/ID`.
        resource_label: Option<Arc<str>>,
    },
}

impl MetricPair {
    /// The wire value.
    pub fn as_str(&self) -> &'static str {
        match self {
            MetricPair::CpuUtilization => "ECSServiceCPUUtilization",
            MetricPair::MemoryUtilization => "ECSServiceMemoryUtilization",
            MetricPair::RequestCount { .. } => "ALBRequestCount",
        }
    }

    /// The metric that is held at the target.
    pub fn scaling_metric(&self) -> TrackedMetric {
        match self {
            MetricPair::CpuUtilization => TrackedMetric::Predefined(PredefinedMetric::AverageCpuUtilization),
            MetricPair::MemoryUtilization => TrackedMetric::Predefined(PredefinedMetric::AverageMemoryUtilization),
            MetricPair::RequestCount { resource_label } => {
                TrackedMetric::RequestCountPerTarget { resource_label: resource_label.clone() }
            }
        }
    }
}

/// Whether a predictive policy scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum PredictiveMode {
    /// `ForecastOnly`: its forecasts can be looked at.
    #[default]
    ForecastOnly,
    /// `ForecastAndScale`.
    ForecastAndScale,
}

impl PredictiveMode {
    /// The wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            PredictiveMode::ForecastOnly => "ForecastOnly",
            PredictiveMode::ForecastAndScale => "ForecastAndScale",
        }
    }
}

/// `MaxCapacityBreachBehavior`, and the buffer that goes with the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum MaxCapacityBreach {
    /// `HonorMaxCapacity`: no more than the maximum.
    #[default]
    HonorMaxCapacity,
    /// `IncreaseMaxCapacity`: for such an hour the maximum is the forecast and so many percent of it, `MaxCapacityBuffer`.
    IncreaseMaxCapacity {
        /// 0 to 100.
        buffer_percent: u32,
    },
}

impl MaxCapacityBreach {
    /// The greatest desired count in an hour of such a forecast.
    pub fn max_capacity(self, forecast: u32, max_capacity: u32) -> u32 {
        match self {
            MaxCapacityBreach::HonorMaxCapacity => max_capacity,
            MaxCapacityBreach::IncreaseMaxCapacity { buffer_percent } => {
                let wanted = (u64::from(forecast) * u64::from(100 + buffer_percent)).div_ceil(100);
                max_capacity.max(u32::try_from(wanted).unwrap_or(u32::MAX))
            }
        }
    }
}

/// An action at given times: other bounds for the scalable target. **Source:** ecs-semantics §7.4.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledAction {
    /// Its name, unique at its target.
    pub name: Arc<str>,
    /// When.
    pub schedule: Schedule,
    /// Nothing takes place before.
    #[serde(with = "super::written_form::calendar_time")]
    pub start_time: Option<jiff::Timestamp>,
    /// Nothing takes place after.
    #[serde(with = "super::written_form::calendar_time")]
    pub end_time: Option<jiff::Timestamp>,
    /// The target's least desired count from then on.
    pub min_capacity: Option<u32>,
    /// The target's greatest desired count from then on.
    pub max_capacity: Option<u32>,
}

/// Statuses of a scaling activity. **Source:** ecs-semantics §7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ActivityStatus {
    /// `Pending`: decided and not begun. Longshore begins at once, so that nobody sees it.
    Pending,
    /// `InProgress`: the desired count is set and the tasks are not there yet.
    InProgress,
    /// `Successful`: as many tasks run as were desired.
    Successful,
    /// `Overridden`: a newer activity, or somebody by hand, set another count.
    Overridden,
    /// `Unfulfilled`: the tasks did not come, or not all of them went, in a long time.
    Unfulfilled,
    /// `Failed`: the target was deregistered meanwhile, or a scheduled action contradicts its bounds.
    Failed,
}

impl ActivityStatus {
    /// The wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            ActivityStatus::Pending => "Pending",
            ActivityStatus::InProgress => "InProgress",
            ActivityStatus::Successful => "Successful",
            ActivityStatus::Overridden => "Overridden",
            ActivityStatus::Unfulfilled => "Unfulfilled",
            ActivityStatus::Failed => "Failed",
        }
    }
}

/// A change of a service's desired count, as DescribeScalingActivities has it. **Source:** ecs-semantics §7.1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ActivityRecord {
    /// Counted from 1 at its target.
    pub id: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// How far it is.
    pub status: ActivityStatus,
    /// AWS' text of how far it is.
    pub status_message: Arc<str>,
    /// The desired count before.
    pub from: u32,
    /// The desired count after.
    pub to: u32,
    /// What was done.
    pub description: Arc<str>,
    /// Why: the alarm and the policy, or the scheduled action.
    pub cause: Arc<str>,
}

#[cfg(test)]
mod tests;
