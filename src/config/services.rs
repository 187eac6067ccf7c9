//! `[[service]]`: what is kept running, within which bounds, and how it scales.

use std::sync::Arc;

use super::document::{Asked, Read};
use super::keys::{AUTO_SCALING, DEPLOYMENT_CONFIGURATION, SERVICE, TARGET_TRACKING};
use super::launch::{SERVICE_TAG_SOURCES, read_launch, read_placement_constraints, read_placement_strategy};
use super::reader::{Table, Value, Words};
use super::scheduling::{apply_scheduling, read_desired_count, read_scheduling_strategy};
use super::tags::read_tags;
use crate::model::service::{
    AutoScaling, DeploymentConfiguration, PredefinedMetric, ScaleIn, ServiceSpec, TargetTracking,
};
use crate::model::task_definition::TaskDefinitionRef;
use crate::model::units::Duration;

/// The cooldown of a policy that names none. **Source:** ecs-semantics §7.2.
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(300);

const METRICS: Words<PredefinedMetric> = Words {
    available: &[
        ("ECSServiceAverageCPUUtilization", PredefinedMetric::AverageCpuUtilization),
        ("ECSServiceAverageMemoryUtilization", PredefinedMetric::AverageMemoryUtilization),
    ],
    planned: &[
        "ALBRequestCountPerTarget",
        "ECSServiceAverageCPUUtilizationHighResolution",
        "ECSServiceAverageMemoryUtilizationHighResolution",
    ],
};

/// Reads the services.
pub(super) fn read_services<'a>(root: &Table<'a>) -> Vec<Asked<'a, ServiceSpec>> {
    let mut services: Vec<Asked<'a, ServiceSpec>> = Vec::new();
    for at in root.tables("service", &SERVICE) {
        let service = read_service(at);
        let name = &service.read.item.name;
        if !name.is_empty() && services.iter().any(|earlier| earlier.read.item.name == *name) {
            service.read.at.reject("name", format!("service \"{name}\" is defined twice"));
        }
        services.push(service);
    }
    services
}

fn read_service(at: Table<'_>) -> Asked<'_, ServiceSpec> {
    let launch = read_launch(&at);
    let (item, soundness) = at.watched(|| {
        let name = at.name("name").unwrap_or_default();
        let task_definition = read_task_definition_ref(&at);
        let scheduling_strategy = read_scheduling_strategy(&at);
        let desired_count = read_desired_count(&at, scheduling_strategy);
        let mut spec = ServiceSpec {
            name: Arc::from(name),
            task_definition,
            desired_count,
            launch_target: launch.target,
            deployment_configuration: read_deployment_configuration(&at),
            placement_strategy: read_placement_strategy(&at),
            placement_constraints: read_placement_constraints(&at),
            scheduling_strategy,
            availability_zone_rebalancing: Default::default(),
            auto_scaling: at.table("auto_scaling", &AUTO_SCALING).map(|table| read_auto_scaling(&table)),
            tags: read_tags(&at),
            health_check_grace_period: Duration::ZERO,
            propagate_tags: at.word("propagate_tags", &SERVICE_TAG_SOURCES).unwrap_or_default(),
        };
        apply_scheduling(&at, &mut spec);
        spec
    });
    Asked { read: Read { item, at, soundness }, strategy: launch.items }
}

/// Reads `task_definition`: `family` or `family:revision`; an empty family when it cannot be read.
pub(super) fn read_task_definition_ref(at: &Table<'_>) -> TaskDefinitionRef {
    let read = || {
        let value = at.need("task_definition")?;
        let text = value.string()?;
        let Some((family, revision)) = text.split_once(':') else {
            return Some(TaskDefinitionRef { family: text.to_owned(), revision: None });
        };
        match revision.parse::<u32>() {
            Ok(revision) if revision > 0 => {
                Some(TaskDefinitionRef { family: family.to_owned(), revision: Some(revision) })
            }
            _ => {
                value.reject(format!("\"{revision}\" is not a revision: write FAMILY or FAMILY:NUMBER"));
                None
            }
        }
    };
    read().unwrap_or_else(|| TaskDefinitionRef { family: String::new(), revision: None })
}

/// **Source:** ecs-semantics §5.1, §5.2.
fn read_deployment_configuration(at: &Table<'_>) -> DeploymentConfiguration {
    let default = DeploymentConfiguration::default();
    let Some(table) = at.table("deployment_configuration", &DEPLOYMENT_CONFIGURATION) else { return default };
    let minimum = table.u32("minimum_healthy_percent", 0..=100);
    let maximum = table.u32("maximum_percent", 100..=u32::MAX);
    let configuration = DeploymentConfiguration {
        minimum_healthy_percent: minimum.unwrap_or(default.minimum_healthy_percent),
        maximum_percent: maximum.unwrap_or(default.maximum_percent),
        ..default
    };
    if configuration.minimum_healthy_percent == 100 && configuration.maximum_percent == 100 {
        table.reject(
            "maximum_percent",
            "maximum_percent and minimum_healthy_percent cannot both be 100, as this would block deployments",
        );
    }
    configuration
}

/// **Source:** ecs-semantics §7.1, §7.2.
fn read_auto_scaling(table: &Table<'_>) -> AutoScaling {
    let capacity = |value: Value<'_>| value.u32(0..=u32::MAX);
    let min_capacity = table.need("min_capacity").and_then(capacity);
    let max_capacity = table.need("max_capacity").and_then(capacity);
    if let (Some(min), Some(max)) = (min_capacity, max_capacity)
        && min > max
    {
        table.reject("min_capacity", format!("min_capacity {min} is greater than max_capacity {max}"));
    }
    let mut target_tracking: Vec<TargetTracking> = Vec::new();
    for policy in table.tables("target_tracking", &TARGET_TRACKING) {
        let Some(tracking) = read_target_tracking(&policy) else { continue };
        if target_tracking.iter().any(|earlier| earlier.metric == tracking.metric) {
            policy.reject("metric", format!("{} has a policy already: one for each metric", tracking.metric.as_str()));
        }
        target_tracking.push(tracking);
    }
    AutoScaling {
        min_capacity: min_capacity.unwrap_or_default(),
        max_capacity: max_capacity.unwrap_or_default(),
        target_tracking,
    }
}

fn read_target_tracking(policy: &Table<'_>) -> Option<TargetTracking> {
    let metric = policy.need("metric").and_then(|value| value.word(&METRICS));
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
    Some(TargetTracking {
        metric: metric?,
        target_millipercent: target?,
        scale_out_cooldown,
        scale_in_cooldown,
        scale_in,
    })
}
