//! `service.auto_scaling`: bounds, policies and scheduled actions.
//!
//! **Source:** ecs-semantics §7.

use std::sync::Arc;

use super::alarms::{STATISTICS, read_metric};
use super::keys::{
    AUTO_SCALING, CUSTOMIZED_METRIC, PREDICTIVE_SCALING, SCHEDULED_ACTION, STEP_ADJUSTMENT, STEP_SCALING,
    SUSPENDED_STATE, TARGET_TRACKING,
};
use super::metric_math::read_metric_math;
use super::reader::{Table, Value, Words, quoted};
use crate::model::alarm::Statistic;
use crate::model::scaling::{
    AdjustmentType, AutoScaling, DEFAULT_COOLDOWN, DEFAULT_SCHEDULING_BUFFER, MaxCapacityBreach, MetricPair,
    PredefinedMetric, PredictiveMode, PredictiveScaling, SCHEDULING_BUFFER_LIMIT, ScaleIn, ScheduledAction,
    StepAdjustment, StepProblem, StepScaling, SuspendedState, TargetTracking, TrackedMetric,
};
use crate::model::schedule::{Schedule, ScheduleError};

/// The word of a metric that a policy describes itself. *Ours:* Application Auto Scaling has a specification in the place of a name.
const CUSTOMIZED: &str = "CustomizedMetricSpecification";

#[derive(Clone, Copy)]
enum MetricWord {
    Predefined(PredefinedMetric),
    RequestCount,
    Customized,
}

const METRICS: Words<MetricWord> = Words {
    available: &[
        ("ECSServiceAverageCPUUtilization", MetricWord::Predefined(PredefinedMetric::AverageCpuUtilization)),
        ("ECSServiceAverageMemoryUtilization", MetricWord::Predefined(PredefinedMetric::AverageMemoryUtilization)),
        (
            "ECSServiceAverageCPUUtilizationHighResolution",
            MetricWord::Predefined(PredefinedMetric::AverageCpuUtilizationHighResolution),
        ),
        (
            "ECSServiceAverageMemoryUtilizationHighResolution",
            MetricWord::Predefined(PredefinedMetric::AverageMemoryUtilizationHighResolution),
        ),
        ("ALBRequestCountPerTarget", MetricWord::RequestCount),
        (CUSTOMIZED, MetricWord::Customized),
    ],
    planned: &[],
};

#[derive(Clone, Copy)]
enum PairWord {
    Cpu,
    Memory,
    RequestCount,
}

const METRIC_PAIRS: Words<PairWord> = Words {
    available: &[
        ("ECSServiceCPUUtilization", PairWord::Cpu),
        ("ECSServiceMemoryUtilization", PairWord::Memory),
        ("ALBRequestCount", PairWord::RequestCount),
    ],
    planned: &[],
};

const MODES: Words<PredictiveMode> = Words {
    available: &[
        ("ForecastOnly", PredictiveMode::ForecastOnly),
        ("ForecastAndScale", PredictiveMode::ForecastAndScale),
    ],
    planned: &[],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum BreachWord {
    Honor,
    Increase,
}

const BREACHES: Words<BreachWord> = Words {
    available: &[("HonorMaxCapacity", BreachWord::Honor), ("IncreaseMaxCapacity", BreachWord::Increase)],
    planned: &[],
};

const ADJUSTMENT_TYPES: Words<AdjustmentType> = Words {
    available: &[
        ("ChangeInCapacity", AdjustmentType::ChangeInCapacity),
        ("ExactCapacity", AdjustmentType::ExactCapacity),
        ("PercentChangeInCapacity", AdjustmentType::PercentChangeInCapacity),
    ],
    planned: &[],
};

const AGGREGATIONS: Words<Statistic> = Words {
    available: &[("Average", Statistic::Average), ("Minimum", Statistic::Minimum), ("Maximum", Statistic::Maximum)],
    planned: &[],
};

/// Reads `auto_scaling` of a service.
pub(super) fn read_auto_scaling(service: &Table<'_>) -> Option<AutoScaling> {
    let table = service.table("auto_scaling", &AUTO_SCALING)?;
    let capacity = |value: Value<'_>| value.u32(0..=u32::MAX);
    let min_capacity = table.need("min_capacity").and_then(capacity);
    let max_capacity = table.need("max_capacity").and_then(capacity);
    if let (Some(min), Some(max)) = (min_capacity, max_capacity)
        && min > max
    {
        table.reject("min_capacity", format!("min_capacity {min} is greater than max_capacity {max}"));
    }
    let target_tracking = read_all_tracking(&table);
    let step_scaling = read_all_steps(&table, &target_tracking);
    let predictive_scaling = read_all_predictive(&table, &target_tracking, &step_scaling);
    Some(AutoScaling {
        min_capacity: min_capacity.unwrap_or_default(),
        max_capacity: max_capacity.unwrap_or_default(),
        suspended_state: read_suspended_state(&table),
        target_tracking,
        step_scaling,
        predictive_scaling,
        scheduled_actions: read_scheduled_actions(&table),
    })
}

fn read_suspended_state(table: &Table<'_>) -> SuspendedState {
    let Some(state) = table.table("suspended_state", &SUSPENDED_STATE) else { return SuspendedState::default() };
    let is_suspended = |key| state.boolean(key).unwrap_or(false);
    SuspendedState {
        dynamic_scaling_in: is_suspended("dynamic_scaling_in_suspended"),
        dynamic_scaling_out: is_suspended("dynamic_scaling_out_suspended"),
        scheduled_scaling: is_suspended("scheduled_scaling_suspended"),
    }
}

fn read_all_tracking(table: &Table<'_>) -> Vec<TargetTracking> {
    let mut found: Vec<TargetTracking> = Vec::new();
    for policy in table.tables("target_tracking", &TARGET_TRACKING) {
        let Some(tracking) = read_target_tracking(&policy) else { continue };
        let is_custom = matches!(tracking.metric, TrackedMetric::Customized { .. });
        if !is_custom && found.iter().any(|earlier| earlier.metric.name() == tracking.metric.name()) {
            policy.reject("metric", format!("{} has a policy already: one for each metric", tracking.metric.name()));
        } else if found.iter().any(|earlier| earlier.name() == tracking.name()) {
            reject_name(&policy, tracking.name());
        }
        found.push(tracking);
    }
    found
}

fn reject_name(policy: &Table<'_>, name: &str) {
    policy.reject("policy_name", format!("policy {} is defined twice", quoted(name)));
}

/// **Source:** ecs-semantics §7.2.
fn read_target_tracking(policy: &Table<'_>) -> Option<TargetTracking> {
    let word = policy.need("metric").and_then(|value| value.word(&METRICS));
    let target = policy.need("target_value").and_then(|value| {
        let target = value.thousandths()?;
        if target == 0 {
            value.reject("target_value must be greater than 0");
        }
        Some(target)
    });
    let scale_out_cooldown = policy.duration("scale_out_cooldown").unwrap_or(DEFAULT_COOLDOWN);
    let scale_in_cooldown = policy.duration("scale_in_cooldown").unwrap_or(DEFAULT_COOLDOWN);
    let scale_in = match policy.boolean("disable_scale_in") {
        Some(true) => ScaleIn::Disabled,
        Some(false) | None => ScaleIn::Enabled,
    };
    let policy_name = policy.get("policy_name").and_then(|value| value.string()).map(Arc::from);
    let specification = policy.table("customized_metric_specification", &CUSTOMIZED_METRIC);
    let label = policy.get("resource_label").filter(|value| value.string().is_some());
    let metric = read_tracked_metric(policy, word?, specification, label);
    Some(TargetTracking {
        policy_name,
        metric: metric?,
        target_thousandths: target?,
        scale_out_cooldown,
        scale_in_cooldown,
        scale_in,
    })
}

fn read_tracked_metric(
    policy: &Table<'_>,
    word: MetricWord,
    specification: Option<Table<'_>>,
    label: Option<Value<'_>>,
) -> Option<TrackedMetric> {
    if let (Some(_), MetricWord::Predefined(_) | MetricWord::RequestCount) = (&specification, word) {
        policy.reject(
            "customized_metric_specification",
            format!("customized_metric_specification is for metric = \"{CUSTOMIZED}\""),
        );
    }
    if let (Some(label), MetricWord::Predefined(_) | MetricWord::Customized) = (&label, word) {
        label.reject("resource_label is for metric = \"ALBRequestCountPerTarget\"");
    }
    match word {
        MetricWord::Predefined(metric) => Some(TrackedMetric::Predefined(metric)),
        MetricWord::RequestCount => {
            Some(TrackedMetric::RequestCountPerTarget { resource_label: label.and_then(|label| read_label(&label)) })
        }
        MetricWord::Customized => {
            let Some(table) = specification else {
                policy.reject_missing(
                    "customized_metric_specification",
                    "`customized_metric_specification` is missing: it says which metric",
                );
                return None;
            };
            if table.has("metrics") {
                return read_metric_math(&table).map(|math| TrackedMetric::Math(Box::new(math)));
            }
            let metric = read_metric(&table);
            let statistic = table.need("statistic").and_then(|value| value.word(&STATISTICS));
            Some(TrackedMetric::Customized { metric: metric?, statistic: statistic? })
        }
    }
}

/// `app/LB/ID/targetgroup/TG/ID`. **Source:** ecs-semantics §7.2.
fn read_label(value: &Value<'_>) -> Option<Arc<str>> {
    let label = value.string()?;
    let parts: Vec<&str> = label.split('/').collect();
    let is_valid = parts.iter().all(|part| !part.is_empty()) && matches!(parts[..], ["app", _, _, "targetgroup", _, _]);
    if !is_valid {
        value.reject(format!(
            "resource_label {} is not valid: write it as in \"app/LB/ID/targetgroup/TG/ID\"",
            quoted(label)
        ));
    }
    Some(Arc::from(label))
}

fn read_all_steps(table: &Table<'_>, tracking: &[TargetTracking]) -> Vec<StepScaling> {
    let mut found: Vec<StepScaling> = Vec::new();
    for policy in table.tables("step_scaling", &STEP_SCALING) {
        let step_scaling = read_step_scaling(&policy);
        let name = &*step_scaling.policy_name;
        let is_taken = found.iter().any(|earlier| *earlier.policy_name == *name)
            || tracking.iter().any(|earlier| earlier.name() == name);
        if is_taken && !name.is_empty() {
            reject_name(&policy, name);
        }
        found.push(step_scaling);
    }
    found
}

/// **Source:** ecs-semantics §7.3.
fn read_step_scaling(policy: &Table<'_>) -> StepScaling {
    let text = |key| policy.need(key).and_then(|value| value.string()).unwrap_or_default();
    let (name, alarm) = (text("policy_name"), text("alarm"));
    let adjustment_type = policy.need("adjustment_type").and_then(|value| value.word(&ADJUSTMENT_TYPES));
    let tables = policy.tables("step_adjustments", &STEP_ADJUSTMENT);
    if !policy.has("step_adjustments") {
        policy.reject_missing("step_adjustments", "`step_adjustments` is missing");
    }
    let (steps, soundness) = policy.watched(|| -> Vec<StepAdjustment> {
        let read = |table: &Table<'_>| {
            let bound = |key| table.get(key).and_then(|value| value.signed_thousandths());
            let adjustment = table.need("scaling_adjustment").and_then(|value| value.i32());
            StepAdjustment {
                lower: bound("metric_interval_lower_bound"),
                upper: bound("metric_interval_upper_bound"),
                adjustment: adjustment.unwrap_or_default(),
            }
        };
        tables.iter().map(read).collect()
    });
    let step_scaling = StepScaling {
        policy_name: name.into(),
        alarm: alarm.into(),
        adjustment_type: adjustment_type.unwrap_or_default(),
        steps,
        min_adjustment_magnitude: policy.u32("min_adjustment_magnitude", 1..=u32::MAX),
        cooldown: policy.duration("cooldown").unwrap_or(DEFAULT_COOLDOWN),
        metric_aggregation_type: policy.word("metric_aggregation_type", &AGGREGATIONS).unwrap_or_default(),
    };
    // Steps that could not be read have been told so; nothing is said of how they go together.
    if policy.has("step_adjustments") && adjustment_type.is_some() && soundness == super::reader::Soundness::Sound {
        for (step, problem) in step_scaling.problems() {
            match step.and_then(|index| tables.get(index)) {
                Some(table) => table.reject_whole(problem.to_string()),
                None if problem == StepProblem::MagnitudeWithoutPercent => {
                    policy.reject("min_adjustment_magnitude", problem.to_string());
                }
                None => policy.reject("step_adjustments", problem.to_string()),
            }
        }
    }
    step_scaling
}

fn read_all_predictive(
    table: &Table<'_>,
    tracking: &[TargetTracking],
    steps: &[StepScaling],
) -> Vec<PredictiveScaling> {
    let mut found: Vec<PredictiveScaling> = Vec::new();
    for policy in table.tables("predictive_scaling", &PREDICTIVE_SCALING) {
        let Some(predictive) = read_predictive(&policy) else { continue };
        let name = &*predictive.policy_name;
        let is_taken = found.iter().any(|earlier| *earlier.policy_name == *name)
            || steps.iter().any(|earlier| *earlier.policy_name == *name)
            || tracking.iter().any(|earlier| earlier.name() == name);
        if is_taken {
            reject_name(&policy, name);
        }
        found.push(predictive);
    }
    found
}

/// **Source:** ecs-semantics §7.5.
fn read_predictive(policy: &Table<'_>) -> Option<PredictiveScaling> {
    let policy_name = policy.need("policy_name").and_then(|value| value.string());
    let pair = policy.need("metric_pair").and_then(|value| value.word(&METRIC_PAIRS));
    let target = policy.need("target_value").and_then(|value| {
        let target = value.thousandths()?;
        if target == 0 {
            value.reject("target_value must be greater than 0");
        }
        Some(target)
    });
    let label = policy.get("resource_label").filter(|value| value.string().is_some());
    if let (Some(label), Some(PairWord::Cpu | PairWord::Memory)) = (&label, pair) {
        label.reject("resource_label is for metric_pair = \"ALBRequestCount\"");
    }
    let mode = policy.word("mode", &MODES).unwrap_or_default();
    let scheduling_buffer = policy.get("scheduling_buffer_time").and_then(|value| {
        let buffer = value.duration()?;
        if buffer >= SCHEDULING_BUFFER_LIMIT {
            value.reject("scheduling_buffer_time must be less than 1h");
        }
        Some(buffer)
    });
    let breach = policy.word("max_capacity_breach_behavior", &BREACHES).unwrap_or(BreachWord::Honor);
    let buffer_percent = policy.u32("max_capacity_buffer", 0..=100);
    let max_capacity_breach = match breach {
        BreachWord::Honor => {
            if policy.has("max_capacity_buffer") {
                policy.reject(
                    "max_capacity_buffer",
                    "max_capacity_buffer is for max_capacity_breach_behavior = \"IncreaseMaxCapacity\"",
                );
            }
            MaxCapacityBreach::HonorMaxCapacity
        }
        BreachWord::Increase => {
            if !policy.has("max_capacity_buffer") {
                policy.reject_missing(
                    "max_capacity_buffer",
                    "`max_capacity_buffer` is missing: IncreaseMaxCapacity needs it",
                );
            }
            MaxCapacityBreach::IncreaseMaxCapacity { buffer_percent: buffer_percent.unwrap_or_default() }
        }
    };
    let metric = match pair? {
        PairWord::Cpu => MetricPair::CpuUtilization,
        PairWord::Memory => MetricPair::MemoryUtilization,
        PairWord::RequestCount => {
            MetricPair::RequestCount { resource_label: label.and_then(|label| read_label(&label)) }
        }
    };
    Some(PredictiveScaling {
        policy_name: policy_name?.into(),
        metric,
        target_thousandths: target?,
        mode,
        scheduling_buffer: scheduling_buffer.unwrap_or(DEFAULT_SCHEDULING_BUFFER),
        max_capacity_breach,
    })
}

/// **Source:** ecs-semantics §7.4.
fn read_scheduled_actions(table: &Table<'_>) -> Vec<ScheduledAction> {
    let mut found: Vec<ScheduledAction> = Vec::new();
    for action in table.tables("scheduled_actions", &SCHEDULED_ACTION) {
        let name = action.need("scheduled_action_name").and_then(|value| value.string());
        let time = |key| action.get(key).and_then(|value| value.utc());
        let (start_time, end_time) = (time("start_time"), time("end_time"));
        let (min_capacity, max_capacity) =
            (action.u32("min_capacity", 0..=u32::MAX), action.u32("max_capacity", 0..=u32::MAX));
        if !action.has("min_capacity") && !action.has("max_capacity") {
            action.reject_missing("min_capacity", "min_capacity or max_capacity is missing");
        }
        if let (Some(min), Some(max)) = (min_capacity, max_capacity)
            && min > max
        {
            action.reject("min_capacity", format!("min_capacity {min} is greater than max_capacity {max}"));
        }
        if let (Some(start), Some(end)) = (start_time, end_time)
            && start >= end
        {
            action.reject("end_time", "end_time must be after start_time");
        }
        let schedule = read_schedule(&action);
        let (Some(name), Some(schedule)) = (name, schedule) else { continue };
        if found.iter().any(|earlier| *earlier.name == *name) {
            action.reject("scheduled_action_name", format!("scheduled action {} is defined twice", quoted(name)));
        }
        found.push(ScheduledAction { name: name.into(), schedule, start_time, end_time, min_capacity, max_capacity });
    }
    found
}

fn read_schedule(action: &Table<'_>) -> Option<Schedule> {
    let zone = action.get("timezone").and_then(|value| value.string());
    let text = action.need("schedule").and_then(|value| value.string())?;
    match Schedule::parse(text, zone) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            let key = match error {
                ScheduleError::Zone(_) | ScheduleError::ZoneOfRate => "timezone",
                _ => "schedule",
            };
            action.reject(key, error.to_string());
            None
        }
    }
}
