//! Scaling policies as clients write them, and what they mean.
//!
//! Numbers with fractions become thousandths, which is how fine the control plane compares.
//!
//! **Source:** ecs-semantics §7.2, §7.3, §7.5; API reference, TargetTrackingScalingPolicyConfiguration,
//! StepScalingPolicyConfiguration, PredictiveScalingPolicyConfiguration.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{count_of, validation};
use crate::api::error::ApiError;
use crate::api::members::Members;
use crate::model::alarm::{MetricId, Statistic};
use crate::model::metric_math::{Expression, MathProblem, MetricMath, Query, ReturnData};
use crate::model::scaling::{
    AdjustmentType, DEFAULT_COOLDOWN, DEFAULT_SCHEDULING_BUFFER, MaxCapacityBreach, MetricPair, PredefinedMetric,
    PredictiveMode, PredictiveScaling, ScaleIn, ScalingPolicy, StepAdjustment, StepScaling, TargetTracking,
    TrackedMetric,
};
use crate::model::units::Duration;

const TRACKING: &str = "TargetTrackingScalingPolicyConfiguration";
const STEPS: &str = "StepScalingPolicyConfiguration";
const PREDICTIVE: &str = "PredictiveScalingPolicyConfiguration";
/// Steps of one policy at most. **Source:** Application Auto Scaling, "Quotas".
const STEPS_MAX: usize = 20;

const PREDEFINED: [PredefinedMetric; 4] = [
    PredefinedMetric::AverageCpuUtilization,
    PredefinedMetric::AverageMemoryUtilization,
    PredefinedMetric::AverageCpuUtilizationHighResolution,
    PredefinedMetric::AverageMemoryUtilizationHighResolution,
];
const STATISTICS: [(&str, Statistic); 5] = [
    ("Average", Statistic::Average),
    ("Minimum", Statistic::Minimum),
    ("Maximum", Statistic::Maximum),
    ("Sum", Statistic::Sum),
    ("SampleCount", Statistic::SampleCount),
];
const ADJUSTMENTS: [(&str, AdjustmentType); 3] = [
    ("ChangeInCapacity", AdjustmentType::ChangeInCapacity),
    ("PercentChangeInCapacity", AdjustmentType::PercentChangeInCapacity),
    ("ExactCapacity", AdjustmentType::ExactCapacity),
];

/// What PutScalingPolicy means, and what of it is given back.
///
/// # Errors
/// When its type and its configuration do not go together, or it breaks a rule.
pub(super) fn policy_of(input: Members<'_>) -> Result<(ScalingPolicy, Map<String, Value>), ApiError> {
    let kind = input.text("PolicyType").unwrap_or("StepScaling");
    let wanted = match kind {
        "TargetTrackingScaling" => TRACKING,
        "StepScaling" => STEPS,
        "PredictiveScaling" => PREDICTIVE,
        _ => return Err(validation(format!("{kind} is no type of a scaling policy"))),
    };
    let configuration = input
        .structure(wanted)
        .ok_or_else(|| validation(format!("{wanted} is required for the policy type {kind}")))?;
    let others = [TRACKING, STEPS, PREDICTIVE].into_iter().filter(|other| *other != wanted);
    if let Some(other) = others.into_iter().find(|other| input.has(other)) {
        return Err(validation(format!("{other} is not allowed for the policy type {kind}")));
    }
    let name: Arc<str> = input.required_text("PolicyName").into();
    let policy = match wanted {
        TRACKING => ScalingPolicy::TargetTracking(tracking_of(name, configuration)?),
        PREDICTIVE => ScalingPolicy::PredictiveScaling(predictive_of(name, configuration)?),
        _ => ScalingPolicy::StepScaling(steps_of(name, configuration)?),
    };
    let mut document = input.only(&[wanted]);
    document.insert("PolicyType".to_owned(), json!(kind));
    Ok((policy, document))
}

fn tracking_of(name: Arc<str>, input: Members<'_>) -> Result<TargetTracking, ApiError> {
    let target = input.value("TargetValue").and_then(thousandths).and_then(|target| u64::try_from(target).ok());
    let metric =
        match (input.structure("PredefinedMetricSpecification"), input.structure("CustomizedMetricSpecification")) {
            (Some(predefined), None) => predefined_of(predefined)?,
            (None, Some(customized)) => customized_of(customized)?,
            _ => {
                return Err(validation(
                    "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is required",
                ));
            }
        };
    Ok(TargetTracking {
        policy_name: Some(name),
        metric,
        target_thousandths: target.ok_or_else(|| validation("TargetValue must be greater than 0"))?,
        scale_out_cooldown: cooldown_of(input, "ScaleOutCooldown")?,
        scale_in_cooldown: cooldown_of(input, "ScaleInCooldown")?,
        scale_in: match input.flag("DisableScaleIn") {
            Some(true) => ScaleIn::Disabled,
            _ => ScaleIn::Enabled,
        },
    })
}

/// *Ours:* metrics of a client's own choice, one by one, are refused: pairs only.
fn predictive_of(name: Arc<str>, input: Members<'_>) -> Result<PredictiveScaling, ApiError> {
    let mut specifications = input.structures("MetricSpecifications");
    let (Some(specification), None) = (specifications.next(), specifications.next()) else {
        return Err(validation("MetricSpecifications must have exactly one item"));
    };
    let pair = specification
        .structure("PredefinedMetricPairSpecification")
        .ok_or_else(|| validation("Longshore forecasts by PredefinedMetricPairSpecification only"))?;
    let label = pair.text("ResourceLabel");
    let metric = match (pair.required_text("PredefinedMetricType"), label) {
        ("ECSServiceCPUUtilization", None) => MetricPair::CpuUtilization,
        ("ECSServiceMemoryUtilization", None) => MetricPair::MemoryUtilization,
        ("ALBRequestCount", Some(label)) => MetricPair::RequestCount { resource_label: Some(label.into()) },
        ("ALBRequestCount", None) => return Err(validation("ResourceLabel is required for ALBRequestCount")),
        (other, _) => return Err(validation(format!("{other} is no pair of metrics of an ECS service"))),
    };
    let target = specification.value("TargetValue").and_then(thousandths).and_then(|target| u64::try_from(target).ok());
    let buffer = count_of(input, "SchedulingBufferTime")?;
    let buffer_percent = count_of(input, "MaxCapacityBuffer")?;
    let max_capacity_breach = match (input.text("MaxCapacityBreachBehavior"), buffer_percent) {
        (Some("IncreaseMaxCapacity"), Some(buffer_percent)) => {
            MaxCapacityBreach::IncreaseMaxCapacity { buffer_percent }
        }
        (Some("IncreaseMaxCapacity"), None) => {
            return Err(validation("MaxCapacityBuffer is required for IncreaseMaxCapacity"));
        }
        (_, Some(_)) => return Err(validation("MaxCapacityBuffer is for IncreaseMaxCapacity only")),
        (_, None) => MaxCapacityBreach::HonorMaxCapacity,
    };
    Ok(PredictiveScaling {
        policy_name: name,
        metric,
        target_thousandths: target.ok_or_else(|| validation("TargetValue must be greater than 0"))?,
        mode: match input.text("Mode") {
            Some("ForecastAndScale") => PredictiveMode::ForecastAndScale,
            _ => PredictiveMode::ForecastOnly,
        },
        scheduling_buffer: buffer.map_or(DEFAULT_SCHEDULING_BUFFER, |seconds| Duration::from_secs(seconds.into())),
        max_capacity_breach,
    })
}

fn cooldown_of(input: Members<'_>, name: &str) -> Result<Duration, ApiError> {
    let seconds = count_of(input, name)?;
    Ok(seconds.map_or(DEFAULT_COOLDOWN, |seconds| Duration::from_secs(seconds.into())))
}

fn predefined_of(input: Members<'_>) -> Result<TrackedMetric, ApiError> {
    let wanted = input.required_text("PredefinedMetricType");
    let label = input.text("ResourceLabel");
    if wanted == "ALBRequestCountPerTarget" {
        let label = label.ok_or_else(|| validation(format!("ResourceLabel is required for {wanted}")))?;
        let parts: Vec<&str> = label.split('/').collect();
        let is_label =
            matches!(parts[..], ["app", _, _, "targetgroup", _, _]) && parts.iter().all(|part| !part.is_empty());
        if !is_label {
            return Err(validation(format!("ResourceLabel '{label}' is not app/LB/ID/targetgroup/TG/ID")));
        }
        return Ok(TrackedMetric::RequestCountPerTarget { resource_label: Some(label.into()) });
    }
    let Some(metric) = PREDEFINED.into_iter().find(|metric| metric.as_str() == wanted) else {
        return Err(validation(format!("{wanted} is no metric of an ECS service")));
    };
    match label {
        None => Ok(TrackedMetric::Predefined(metric)),
        Some(_) => Err(validation(format!("ResourceLabel is not allowed for {wanted}"))),
    }
}

fn customized_of(input: Members<'_>) -> Result<TrackedMetric, ApiError> {
    if input.has("Metrics") {
        if ["MetricName", "Namespace", "Statistic", "Dimensions"].into_iter().any(|name| input.has(name)) {
            return Err(validation("Metrics does not go with MetricName, Namespace, Dimensions and Statistic"));
        }
        let queries: Result<Vec<_>, ApiError> = input.structures("Metrics").map(query_of).collect();
        let math = MetricMath::new(queries?).map_err(|problem: MathProblem| validation(problem.to_string()))?;
        return Ok(TrackedMetric::Math(Box::new(math)));
    }
    if input.text("MetricName").is_none() || input.text("Namespace").is_none() {
        return Err(validation("CustomizedMetricSpecification needs MetricName, Namespace and Statistic, or Metrics"));
    }
    let statistic = statistic_of(input.required_text("Statistic"))?;
    Ok(TrackedMetric::Customized { metric: metric_of(input), statistic })
}

fn query_of(input: Members<'_>) -> Result<(Arc<str>, Query, ReturnData), ApiError> {
    let id = input.required_text("Id");
    let query = match (input.text("Expression"), input.structure("MetricStat")) {
        (Some(expression), None) => Query::Expression(
            Expression::parse(expression).map_err(|problem: MathProblem| validation(problem.to_string()))?,
        ),
        (None, Some(found)) => {
            let metric = found.structure("Metric").map(metric_of).unwrap_or_default();
            if metric.name.is_empty() || metric.namespace.is_empty() {
                return Err(validation(format!("the metric of '{id}' needs MetricName and Namespace")));
            }
            Query::Metric { metric, statistic: statistic_of(found.required_text("Stat"))? }
        }
        _ => return Err(validation(format!("'{id}' needs either Expression or MetricStat"))),
    };
    // What returns nothing has to say so. Source: API reference, TargetTrackingMetricDataQuery.
    let data = if input.flag("ReturnData") == Some(false) { ReturnData::No } else { ReturnData::Yes };
    Ok((id.into(), query, data))
}

fn metric_of(input: Members<'_>) -> MetricId {
    let dimensions = input.structures("Dimensions");
    let dimensions = dimensions.map(|one| (one.required_text("Name").into(), one.required_text("Value").into()));
    MetricId {
        namespace: input.required_text("Namespace").into(),
        name: input.required_text("MetricName").into(),
        dimensions: dimensions.collect(),
    }
}

fn statistic_of(text: &str) -> Result<Statistic, ApiError> {
    let found = STATISTICS.into_iter().find(|(name, _)| *name == text);
    found
        .map(|(_, statistic)| statistic)
        .ok_or_else(|| validation(format!("'{text}' is no statistic: Average, Minimum, Maximum, SampleCount or Sum")))
}

/// **Source:** ecs-semantics §7.3.
fn steps_of(name: Arc<str>, input: Members<'_>) -> Result<StepScaling, ApiError> {
    let kind = input.text("AdjustmentType").ok_or_else(|| validation("AdjustmentType is required"))?;
    let adjustment_type = ADJUSTMENTS.into_iter().find(|(name, _)| *name == kind).map(|(_, kind)| kind);
    if input.list("StepAdjustments").len() > STEPS_MAX {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("a policy has {STEPS_MAX} step adjustments at most"),
        ));
    }
    let steps: Result<Vec<StepAdjustment>, ApiError> = input.structures("StepAdjustments").map(step_of).collect();
    let aggregation = input.text("MetricAggregationType").map(statistic_of).transpose()?;
    Ok(StepScaling {
        alarm: name.clone(),
        policy_name: name,
        adjustment_type: adjustment_type.unwrap_or_default(),
        steps: steps?,
        min_adjustment_magnitude: count_of(input, "MinAdjustmentMagnitude")?,
        cooldown: cooldown_of(input, "Cooldown")?,
        metric_aggregation_type: aggregation.unwrap_or_default(),
    })
}

fn step_of(input: Members<'_>) -> Result<StepAdjustment, ApiError> {
    let bound = |name: &str| match input.value(name) {
        None => Ok(None),
        Some(value) => {
            thousandths(value).map(Some).ok_or_else(|| validation(format!("{name} is out of range: {value}")))
        }
    };
    let adjustment = input.integer("ScalingAdjustment").and_then(|value| i32::try_from(value).ok());
    Ok(StepAdjustment {
        lower: bound("MetricIntervalLowerBound")?,
        upper: bound("MetricIntervalUpperBound")?,
        adjustment: adjustment.ok_or_else(|| validation("ScalingAdjustment is required"))?,
    })
}

/// A number in thousandths, rounded.
#[expect(clippy::cast_possible_truncation, reason = "its range is looked at before")]
fn thousandths(value: &Value) -> Option<i64> {
    let scaled = (value.as_f64()? * 1000.0).round();
    (scaled.abs() < 9e15).then_some(scaled as i64)
}

/// Thousandths as a number.
#[expect(clippy::cast_precision_loss, reason = "what was read has fewer digits than that")]
pub(super) fn number(thousandths: i64) -> Value {
    json!(thousandths as f64 / 1000.0)
}

/// A policy that a cluster file has made, as a client would have written it.
pub(super) fn document_of(policy: &ScalingPolicy) -> Map<String, Value> {
    let (kind, name, configuration) = match policy {
        ScalingPolicy::TargetTracking(policy) => ("TargetTrackingScaling", TRACKING, show_tracking(policy)),
        ScalingPolicy::StepScaling(policy) => ("StepScaling", STEPS, show_steps(policy)),
        ScalingPolicy::PredictiveScaling(policy) => ("PredictiveScaling", PREDICTIVE, show_predictive(policy)),
    };
    Map::from_iter([("PolicyType".to_owned(), json!(kind)), (name.to_owned(), configuration)])
}

fn show_tracking(policy: &TargetTracking) -> Value {
    let mut shown = json!({
        "TargetValue": number(i64::try_from(policy.target_thousandths).unwrap_or(i64::MAX)),
        "ScaleOutCooldown": policy.scale_out_cooldown.as_secs(),
        "ScaleInCooldown": policy.scale_in_cooldown.as_secs(),
        "DisableScaleIn": policy.scale_in == ScaleIn::Disabled,
    });
    let (name, specification) = match &policy.metric {
        TrackedMetric::Predefined(metric) => {
            ("PredefinedMetricSpecification", json!({"PredefinedMetricType": metric.as_str()}))
        }
        TrackedMetric::RequestCountPerTarget { resource_label } => (
            "PredefinedMetricSpecification",
            json!({"PredefinedMetricType": policy.metric.name(), "ResourceLabel": resource_label}),
        ),
        TrackedMetric::Customized { metric, statistic } => {
            let mut shown = show_metric(metric);
            shown["Statistic"] = json!(statistic);
            ("CustomizedMetricSpecification", shown)
        }
        // Expressions are kept as they were understood, and not as they were written.
        TrackedMetric::Math(_) => ("CustomizedMetricSpecification", json!({})),
    };
    shown[name] = specification;
    shown
}

fn show_predictive(policy: &PredictiveScaling) -> Value {
    let (behavior, buffer) = match policy.max_capacity_breach {
        MaxCapacityBreach::HonorMaxCapacity => ("HonorMaxCapacity", None),
        MaxCapacityBreach::IncreaseMaxCapacity { buffer_percent } => ("IncreaseMaxCapacity", Some(buffer_percent)),
    };
    json!({
        "MetricSpecifications": [show_pair(policy)],
        "Mode": policy.mode.as_str(),
        "SchedulingBufferTime": policy.scheduling_buffer.as_secs(),
        "MaxCapacityBreachBehavior": behavior,
        "MaxCapacityBuffer": buffer,
    })
}

/// The one metric specification of a predictive policy.
pub(super) fn show_pair(policy: &PredictiveScaling) -> Value {
    let label = match &policy.metric {
        MetricPair::RequestCount { resource_label } => resource_label.as_deref(),
        MetricPair::CpuUtilization | MetricPair::MemoryUtilization => None,
    };
    json!({
        "TargetValue": number(i64::try_from(policy.target_thousandths).unwrap_or(i64::MAX)),
        "PredefinedMetricPairSpecification": {"PredefinedMetricType": policy.metric.as_str(), "ResourceLabel": label},
    })
}

fn show_metric(metric: &MetricId) -> Value {
    let dimensions = metric.dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value}));
    json!({
        "MetricName": metric.name,
        "Namespace": metric.namespace,
        "Dimensions": dimensions.collect::<Vec<_>>(),
    })
}

fn show_steps(policy: &StepScaling) -> Value {
    let steps = policy.steps.iter().map(|step| {
        json!({
            "MetricIntervalLowerBound": step.lower.map(number),
            "MetricIntervalUpperBound": step.upper.map(number),
            "ScalingAdjustment": step.adjustment,
        })
    });
    let kind = ADJUSTMENTS.into_iter().find(|(_, kind)| *kind == policy.adjustment_type);
    json!({
        "AdjustmentType": kind.map(|(name, _)| name),
        "StepAdjustments": steps.collect::<Vec<_>>(),
        "MinAdjustmentMagnitude": policy.min_adjustment_magnitude,
        "Cooldown": policy.cooldown.as_secs(),
        "MetricAggregationType": json!(policy.metric_aggregation_type),
    })
}
