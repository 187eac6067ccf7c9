//! `[service.deployment_configuration]`: bounds, and what fails a deployment or lets it succeed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::keys::{
    BREAKER_THRESHOLD, DEPLOYMENT_ALARMS, DEPLOYMENT_CIRCUIT_BREAKER, DEPLOYMENT_CONFIGURATION, EARLY_SUCCESS,
};
use super::reader::{Table, Words};
use super::traffic::{minutes, read_hooks, read_strategy};
use crate::model::deployment::{
    BreakerThreshold, DeploymentAlarms, DeploymentCircuitBreaker, EarlySuccess, OnFailure, OnHealthyTask, SourceCleanup,
};
use crate::model::service::DeploymentConfiguration;

#[derive(Clone, Copy)]
enum ThresholdType {
    BoundedPercent,
    UnboundedPercent,
    Count,
}

const THRESHOLD_TYPES: Words<ThresholdType> = Words {
    available: &[
        ("BOUNDED_PERCENT", ThresholdType::BoundedPercent),
        ("UNBOUNDED_PERCENT", ThresholdType::UnboundedPercent),
        ("COUNT", ThresholdType::Count),
    ],
    planned: &[],
};

const CLEANUPS: Words<SourceCleanup> =
    Words { available: &[("BLOCKING", SourceCleanup::Blocking), ("DEFERRED", SourceCleanup::Deferred)], planned: &[] };

/// Reads `deployment_configuration`. **Source:** ecs-semantics §5.1, §5.2, §5.7.
pub(super) fn read_deployment_configuration(at: &Table<'_>) -> DeploymentConfiguration {
    let default = DeploymentConfiguration::default();
    let Some(table) = at.table("deployment_configuration", &DEPLOYMENT_CONFIGURATION) else { return default };
    let minimum = table.u32("minimum_healthy_percent", 0..=100);
    let maximum = table.u32("maximum_percent", 100..=u32::MAX);
    let minimum_healthy_percent = minimum.unwrap_or(default.minimum_healthy_percent);
    let maximum_percent = maximum.unwrap_or(default.maximum_percent);
    let strategy = read_strategy(&table);
    if minimum_healthy_percent == 100 && maximum_percent == 100 && !strategy.moves_traffic() {
        table.reject(
            "maximum_percent",
            "maximum_percent and minimum_healthy_percent cannot both be 100, as this would block deployments",
        );
    }
    DeploymentConfiguration {
        minimum_healthy_percent,
        maximum_percent,
        strategy,
        circuit_breaker: read_circuit_breaker(&table),
        alarms: read_alarms(&table),
        bake_time: table.get("bake_time_in_minutes").and_then(|value| minutes(&value)),
        early_success: read_early_success(&table, minimum_healthy_percent),
        lifecycle_hooks: read_hooks(&table, strategy),
    }
}

/// ECS requires `enable` of each of these. **Source:** ecs-semantics §5.7.
fn is_enabled(table: &Table<'_>) -> bool {
    table.need("enable").and_then(|value| value.boolean()).unwrap_or_default()
}

fn on_failure(table: &Table<'_>) -> OnFailure {
    if table.boolean("rollback") == Some(true) { OnFailure::Rollback } else { OnFailure::Stop }
}

fn read_circuit_breaker(at: &Table<'_>) -> Option<DeploymentCircuitBreaker> {
    let table = at.table("deployment_circuit_breaker", &DEPLOYMENT_CIRCUIT_BREAKER)?;
    let is_enabled = is_enabled(&table);
    let default = DeploymentCircuitBreaker::default();
    let breaker = DeploymentCircuitBreaker {
        on_failure: on_failure(&table),
        threshold: read_threshold(&table).unwrap_or(default.threshold),
        on_healthy_task: match table.boolean("reset_on_healthy_task") {
            Some(false) => OnHealthyTask::KeepCounting,
            Some(true) | None => OnHealthyTask::Reset,
        },
    };
    is_enabled.then_some(breaker)
}

fn read_threshold(at: &Table<'_>) -> Option<BreakerThreshold> {
    let table = at.table("threshold_configuration", &BREAKER_THRESHOLD)?;
    let threshold_type = table.need("type").and_then(|value| value.word(&THRESHOLD_TYPES));
    let most = match threshold_type {
        Some(ThresholdType::Count) => u32::MAX,
        Some(ThresholdType::BoundedPercent | ThresholdType::UnboundedPercent) | None => 100,
    };
    let value = table.need("value").and_then(|value| value.u32(1..=most))?;
    Some(match threshold_type? {
        ThresholdType::BoundedPercent => BreakerThreshold::BoundedPercent(value),
        ThresholdType::UnboundedPercent => BreakerThreshold::UnboundedPercent(value),
        ThresholdType::Count => BreakerThreshold::Count(value),
    })
}

/// Whether the alarms are defined is decided in [`super::references`].
fn read_alarms(at: &Table<'_>) -> Option<DeploymentAlarms> {
    let table = at.table("alarms", &DEPLOYMENT_ALARMS)?;
    let is_enabled = is_enabled(&table);
    let names = table.need("alarm_names").and_then(|value| value.strings()).unwrap_or_default();
    let alarm_names: BTreeSet<Arc<str>> = names.into_iter().map(Arc::from).collect();
    let alarms = DeploymentAlarms { alarm_names, on_failure: on_failure(&table) };
    is_enabled.then_some(alarms)
}

fn read_early_success(at: &Table<'_>, minimum_healthy_percent: u32) -> Option<EarlySuccess> {
    let table = at.table("early_success_criteria", &EARLY_SUCCESS)?;
    let is_enabled = is_enabled(&table);
    let healthy_percent = table.need("healthy_percent").and_then(|value| value.u32(0..=100));
    if let Some(percent) = healthy_percent
        && percent < minimum_healthy_percent
    {
        table.reject(
            "healthy_percent",
            format!("healthy_percent {percent} is below minimum_healthy_percent {minimum_healthy_percent}"),
        );
    }
    let cleanup = table.need("source_service_revision_cleanup").and_then(|value| value.word(&CLEANUPS));
    let early = EarlySuccess { healthy_percent: healthy_percent?, source_cleanup: cleanup? };
    is_enabled.then_some(early)
}
