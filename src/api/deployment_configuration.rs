//! How a service deploys: `deploymentConfiguration` and `monitoring`, as they are sent and answered.
//!
//! A Lambda function has no place in one process. A hook whose function is named like a family of task definitions is a task of its latest
//! revision, whose exit code and output say what the function's answer would; any other is a callback of the program that embeds the
//! server. *Ours.*
//!
//! **Source:** ecs-semantics §5.2, §5.7, §5.8.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::ApiError;
use super::members::Members;
use super::registry::Registry;
use crate::model::deployment::{
    BreakerThreshold, DeploymentAlarms, DeploymentCircuitBreaker, DeploymentStrategy, EarlySuccess, LifecycleStage,
    OnFailure, OnHealthyTask, SourceCleanup,
};
use crate::model::deployment_hook::{DeploymentHook, HOOK_TIMEOUT_DEFAULT, HookTarget, HookTimeoutAction};
use crate::model::metric::MetricResolution;
use crate::model::service::{DeploymentConfiguration, Monitoring, SchedulingStrategy};
use crate::model::task_definition::TaskDefinitionRef;

/// Every stage, to be found by its name.
const STAGES: [LifecycleStage; 11] = [
    LifecycleStage::ReconcileService,
    LifecycleStage::PreScaleUp,
    LifecycleStage::ScaleUp,
    LifecycleStage::PostScaleUp,
    LifecycleStage::TestTrafficShift,
    LifecycleStage::PostTestTrafficShift,
    LifecycleStage::PreProductionTrafficShift,
    LifecycleStage::ProductionTrafficShift,
    LifecycleStage::PostProductionTrafficShift,
    LifecycleStage::BakeTime,
    LifecycleStage::CleanUp,
];

/// What a service begins with that says nothing. **Source:** ecs-semantics §5.2.
pub(super) fn default_of(scheduling: SchedulingStrategy) -> DeploymentConfiguration {
    match scheduling {
        SchedulingStrategy::Replica => DeploymentConfiguration::default(),
        SchedulingStrategy::Daemon => DeploymentConfiguration {
            minimum_healthy_percent: 0,
            maximum_percent: 100,
            ..DeploymentConfiguration::default()
        },
    }
}

/// What a request makes of a configuration: members that it does not name stay.
///
/// # Errors
/// When a member is out of its range.
pub(super) fn read(
    sent: Members<'_>,
    before: &DeploymentConfiguration,
    registry: &Registry,
) -> Result<DeploymentConfiguration, ApiError> {
    let mut configuration = before.clone();
    let percent = |name: &str| match sent.integer(name) {
        None => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| ApiError::invalid_parameter(format!("{name} must not be negative."))),
    };
    if let Some(percent) = percent("minimumHealthyPercent")? {
        configuration.minimum_healthy_percent = percent;
    }
    if let Some(percent) = percent("maximumPercent")? {
        configuration.maximum_percent = percent;
    }
    if let Some(breaker) = sent.structure("deploymentCircuitBreaker") {
        configuration.circuit_breaker = circuit_breaker(breaker)?;
    }
    if let Some(alarms) = sent.structure("alarms") {
        let names: BTreeSet<Arc<str>> = alarms.texts("alarmNames").map(Arc::from).collect();
        let found = DeploymentAlarms { alarm_names: names, on_failure: on_failure(alarms) };
        configuration.alarms = (alarms.flag("enable") == Some(true)).then_some(found);
    }
    if let Some(minutes) = sent.count("bakeTimeInMinutes") {
        configuration.bake_time = Some(minutes_of(minutes));
    }
    if let Some(criteria) = sent.structure("earlySuccessCriteria") {
        configuration.early_success = early_success(criteria)?;
    }
    configuration.strategy = strategy(sent, configuration.strategy);
    if sent.has("lifecycleHooks") {
        let hooks: Result<Vec<_>, ApiError> =
            sent.structures("lifecycleHooks").map(|found| hook(found, registry)).collect();
        configuration.lifecycle_hooks = hooks?;
    }
    Ok(configuration)
}

fn minutes_of(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}

fn on_failure(found: Members<'_>) -> OnFailure {
    if found.flag("rollback") == Some(true) { OnFailure::Rollback } else { OnFailure::Stop }
}

fn circuit_breaker(found: Members<'_>) -> Result<Option<DeploymentCircuitBreaker>, ApiError> {
    if found.flag("enable") != Some(true) {
        return Ok(None);
    }
    let mut breaker = DeploymentCircuitBreaker { on_failure: on_failure(found), ..DeploymentCircuitBreaker::default() };
    if found.flag("resetOnHealthyTask") == Some(false) {
        breaker.on_healthy_task = OnHealthyTask::KeepCounting;
    }
    if let Some(threshold) = found.structure("thresholdConfiguration") {
        let value = threshold.count("value").unwrap_or(50);
        breaker.threshold = match threshold.text("type") {
            Some("COUNT") => BreakerThreshold::Count(value),
            Some("UNBOUNDED_PERCENT") => BreakerThreshold::UnboundedPercent(value),
            _ => BreakerThreshold::BoundedPercent(value),
        };
    }
    Ok(Some(breaker))
}

fn early_success(found: Members<'_>) -> Result<Option<EarlySuccess>, ApiError> {
    if found.flag("enable") != Some(true) {
        return Ok(None);
    }
    let healthy_percent = found.count("healthyPercent").filter(|percent| *percent <= 100).ok_or_else(|| {
        ApiError::invalid_parameter("earlySuccessCriteria needs a healthyPercent of 0 to 100 once it is enabled.")
    })?;
    let source_cleanup = match found.text("sourceServiceRevisionCleanup") {
        Some("DEFERRED") => SourceCleanup::Deferred,
        _ => SourceCleanup::Blocking,
    };
    Ok(Some(EarlySuccess { healthy_percent, source_cleanup }))
}

fn strategy(sent: Members<'_>, before: DeploymentStrategy) -> DeploymentStrategy {
    let mut found = match sent.text("strategy") {
        Some("BLUE_GREEN") => DeploymentStrategy::BlueGreen,
        Some("LINEAR") => DeploymentStrategy::LINEAR,
        Some("CANARY") => DeploymentStrategy::CANARY,
        Some(_) => DeploymentStrategy::Rolling,
        None => before,
    };
    match &mut found {
        DeploymentStrategy::Linear { step_millipercent, step_bake_time } => {
            if let Some(linear) = sent.structure("linearConfiguration") {
                *step_millipercent = millipercent(linear, "stepPercent").unwrap_or(*step_millipercent);
                *step_bake_time = linear.count("stepBakeTimeInMinutes").map_or(*step_bake_time, minutes_of);
            }
        }
        DeploymentStrategy::Canary { canary_millipercent, canary_bake_time } => {
            if let Some(canary) = sent.structure("canaryConfiguration") {
                *canary_millipercent = millipercent(canary, "canaryPercent").unwrap_or(*canary_millipercent);
                *canary_bake_time = canary.count("canaryBakeTimeInMinutes").map_or(*canary_bake_time, minutes_of);
            }
        }
        DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => {}
    }
    found
}

/// Percents have a decimal place.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within bounds")]
fn millipercent(found: Members<'_>, name: &str) -> Option<u32> {
    let percent = found.value(name)?.as_f64().filter(|percent| (0.0..=100.0).contains(percent))?;
    Some((percent * 1000.0).round() as u32)
}

fn hook(found: Members<'_>, registry: &Registry) -> Result<DeploymentHook, ApiError> {
    let stages =
        found.texts("lifecycleStages").filter_map(|name| STAGES.into_iter().find(|stage| stage.as_str() == name));
    let target = match found.text("targetType") {
        Some("PAUSE") => HookTarget::Pause,
        _ => {
            let arn = found.text("hookTargetArn").filter(|arn| !arn.is_empty()).ok_or_else(|| {
                ApiError::invalid_parameter("A lifecycle hook needs a hookTargetArn, or the target type PAUSE.")
            })?;
            let function = arn.rsplit(':').next().unwrap_or(arn);
            let family = TaskDefinitionRef { family: function.to_owned(), revision: None };
            match registry.task_definition(&family) {
                Some(_) => HookTarget::TaskDefinition(family),
                None => HookTarget::Callback(arn.into()),
            }
        }
    };
    let timeout = found.structure("timeoutConfiguration");
    let minutes = timeout.and_then(|timeout| timeout.count("timeoutInMinutes"));
    let on_timeout = match timeout.and_then(|timeout| timeout.text("action")) {
        Some("CONTINUE") => HookTimeoutAction::Continue,
        _ => HookTimeoutAction::Rollback,
    };
    Ok(DeploymentHook {
        target,
        stages: stages.collect(),
        details: found.value("hookDetails").map(|details| details.to_string().into()),
        timeout: minutes.map_or(HOOK_TIMEOUT_DEFAULT, minutes_of),
        on_timeout,
    })
}

/// A configuration as it is answered.
pub(super) fn show(configuration: &DeploymentConfiguration) -> Value {
    let breaker = configuration.circuit_breaker.unwrap_or_default();
    let alarms = configuration.alarms.clone().unwrap_or_default();
    let mut shown = json!({
        "minimumHealthyPercent": configuration.minimum_healthy_percent,
        "maximumPercent": configuration.maximum_percent,
        "strategy": configuration.strategy.as_str(),
        "deploymentCircuitBreaker": {
            "enable": configuration.circuit_breaker.is_some(),
            "rollback": breaker.on_failure == OnFailure::Rollback,
        },
        "alarms": {
            "alarmNames": alarms.alarm_names,
            "enable": configuration.alarms.is_some(),
            "rollback": alarms.on_failure == OnFailure::Rollback,
        },
        "bakeTimeInMinutes": configuration.bake_time.map(|time| time.as_secs() / 60),
    });
    if configuration.circuit_breaker.is_some_and(|breaker| {
        breaker != DeploymentCircuitBreaker { on_failure: breaker.on_failure, ..DeploymentCircuitBreaker::default() }
    }) {
        let value = match breaker.threshold {
            BreakerThreshold::BoundedPercent(value)
            | BreakerThreshold::UnboundedPercent(value)
            | BreakerThreshold::Count(value) => value,
        };
        shown["deploymentCircuitBreaker"]["resetOnHealthyTask"] =
            json!(breaker.on_healthy_task == OnHealthyTask::Reset);
        shown["deploymentCircuitBreaker"]["thresholdConfiguration"] =
            json!({"type": breaker.threshold.type_str(), "value": value});
    }
    let percent = |millipercent: u32| f64::from(millipercent) / 1000.0;
    match configuration.strategy {
        DeploymentStrategy::Linear { step_millipercent, step_bake_time } => {
            shown["linearConfiguration"] = json!({
                "stepPercent": percent(step_millipercent),
                "stepBakeTimeInMinutes": step_bake_time.as_secs() / 60
            });
        }
        DeploymentStrategy::Canary { canary_millipercent, canary_bake_time } => {
            shown["canaryConfiguration"] = json!({
                "canaryPercent": percent(canary_millipercent),
                "canaryBakeTimeInMinutes": canary_bake_time.as_secs() / 60
            });
        }
        DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => {}
    }
    if let Some(early) = configuration.early_success {
        let cleanup = if early.source_cleanup == SourceCleanup::Deferred { "DEFERRED" } else { "BLOCKING" };
        shown["earlySuccessCriteria"] = json!({
            "enable": true,
            "healthyPercent": early.healthy_percent,
            "sourceServiceRevisionCleanup": cleanup
        });
    }
    if !configuration.lifecycle_hooks.is_empty() {
        shown["lifecycleHooks"] = configuration.lifecycle_hooks.iter().map(show_hook).collect();
    }
    shown
}

/// The function that a hook names; none where it pauses.
pub(super) fn target_arn(target: &HookTarget) -> Option<String> {
    match target {
        HookTarget::TaskDefinition(reference) => Some(format!("arn:aws:lambda:::function:{}", reference.family)),
        HookTarget::Callback(arn) => Some(arn.to_string()),
        HookTarget::Pause => None,
    }
}

fn show_hook(hook: &DeploymentHook) -> Value {
    let stages: Vec<&str> = hook.stages.iter().map(|stage| stage.as_str()).collect();
    let details = hook.details.as_deref().and_then(|details| serde_json::from_str::<Value>(details).ok());
    let action = if hook.on_timeout == HookTimeoutAction::Continue { "CONTINUE" } else { "ROLLBACK" };
    json!({
        "targetType": hook.target.type_str(),
        "hookTargetArn": target_arn(&hook.target),
        "lifecycleStages": stages,
        "hookDetails": details,
        "timeoutConfiguration": {"timeoutInMinutes": hook.timeout.as_secs() / 60, "action": action}
    })
}

/// How fine a service's metrics are. **Source:** ecs-semantics §10.1.
///
/// # Errors
/// When a resolution is asked for that there is not.
pub(super) fn read_monitoring(sent: Members<'_>) -> Result<Monitoring, ApiError> {
    let mut monitoring = Monitoring::default();
    for found in sent.structures("metricConfigurations") {
        let resolution = match found.integer("resolutionSeconds") {
            Some(20) => MetricResolution::High,
            Some(60) => MetricResolution::Standard,
            other => {
                let other = other.unwrap_or_default();
                return Err(ApiError::invalid_parameter(format!("resolutionSeconds is 20 or 60, not {other}.")));
            }
        };
        for name in found.texts("metricNames") {
            match name {
                "CPUUtilization" => monitoring.cpu = resolution,
                "MemoryUtilization" => monitoring.memory = resolution,
                other => return Err(ApiError::invalid_parameter(format!("Unknown metric '{other}' in monitoring."))),
            }
        }
    }
    Ok(monitoring)
}
