//! `monitoring` of a service: how fine its utilisation is measured.
//!
//! **Source:** ecs-semantics §10.1; the shapes MonitoringConfiguration and MetricConfiguration of ECS' model.

use super::keys::{AUTO_SCALING, METRIC_CONFIGURATION, MONITORING, TARGET_TRACKING};
use super::reader::{Table, Words};
use crate::model::metric::MetricResolution;
use crate::model::scaling::AutoScaling;
use crate::model::service::Monitoring;

/// The two metrics that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Utilisation {
    Cpu,
    Memory,
}

const METRIC_NAMES: Words<Utilisation> = Words {
    available: &[("CPUUtilization", Utilisation::Cpu), ("MemoryUtilization", Utilisation::Memory)],
    planned: &[],
};

/// Metric configurations of a service at most. **Source:** the shape MetricConfigurationList.
const CONFIGURATIONS_MAX: usize = 5;

pub(super) fn read_monitoring(service: &Table<'_>) -> Monitoring {
    let mut found = Monitoring::default();
    let Some(table) = service.table("monitoring", &MONITORING) else { return found };
    let configurations = table.tables("metric_configurations", &METRIC_CONFIGURATION);
    if configurations.len() > CONFIGURATIONS_MAX {
        table.reject(
            "metric_configurations",
            format!("there can be {CONFIGURATIONS_MAX} metric configurations at most"),
        );
    }
    let (mut has_cpu, mut has_memory) = (false, false);
    for configuration in configurations {
        let resolution = configuration.need("resolution_seconds").and_then(|value| {
            let resolution = match value.u32(20..=60)? {
                20 => Some(MetricResolution::High),
                60 => Some(MetricResolution::Standard),
                _ => None,
            };
            if resolution.is_none() {
                value.reject(format!("resolution_seconds {} is not valid: 20 or 60", value.text()));
            }
            resolution
        });
        let names = configuration.need("metric_names").and_then(|value| {
            let names = value.list("a list of metric names")?;
            if names.is_empty() {
                value.reject("metric_names must name a metric");
            }
            Some(names)
        });
        for value in names.unwrap_or_default() {
            let (known, is_twice) = match value.word(&METRIC_NAMES) {
                Some(Utilisation::Cpu) => (&mut found.cpu, std::mem::replace(&mut has_cpu, true)),
                Some(Utilisation::Memory) => (&mut found.memory, std::mem::replace(&mut has_memory, true)),
                None => continue,
            };
            if is_twice {
                value.reject(format!("{} is configured twice", value.text()));
            }
            *known = resolution.unwrap_or_default();
        }
    }
    found
}

/// A policy that follows a metric of a high resolution needs that metric. *Ours:* ECS would leave it without data.
pub(super) fn check_resolutions(service: &Table<'_>, monitoring: Monitoring, auto_scaling: Option<&AutoScaling>) {
    let Some(table) = service.table("auto_scaling", &AUTO_SCALING).filter(|_| auto_scaling.is_some()) else { return };
    for policy in table.tables("target_tracking", &TARGET_TRACKING) {
        let Some(value) = policy.get("metric").filter(|value| value.is_string()) else { continue };
        let name = match value.string() {
            Some("ECSServiceAverageCPUUtilizationHighResolution") => "CPUUtilization",
            Some("ECSServiceAverageMemoryUtilizationHighResolution") => "MemoryUtilization",
            _ => continue,
        };
        if !monitoring.of(name).is_high() {
            value.reject(format!(
                "this metric needs the service's `monitoring` to have {name} at resolution_seconds 20"
            ));
        }
    }
}
