//! `scheduling_strategy` and `availability_zone_rebalancing` of a service, and what they exclude.

use super::keys::DEPLOYMENT_CONFIGURATION;
use super::reader::{Table, Words};
use crate::model::capacity::{AVAILABILITY_ZONE, LaunchTarget};
use crate::model::service::{
    AvailabilityZoneRebalancing, PlacementConstraint, PlacementStrategy, SchedulingStrategy, ServiceSpec, SpreadField,
};
use crate::model::task_definition::LaunchType;

const SCHEDULING_STRATEGIES: Words<SchedulingStrategy> = Words {
    available: &[("REPLICA", SchedulingStrategy::Replica), ("DAEMON", SchedulingStrategy::Daemon)],
    planned: &[],
};

const REBALANCING: Words<AvailabilityZoneRebalancing> = Words {
    available: &[
        ("ENABLED", AvailabilityZoneRebalancing::Enabled),
        ("DISABLED", AvailabilityZoneRebalancing::Disabled),
    ],
    planned: &[],
};

/// Reads `scheduling_strategy`.
pub(super) fn read_scheduling_strategy(at: &Table<'_>) -> SchedulingStrategy {
    at.word("scheduling_strategy", &SCHEDULING_STRATEGIES).unwrap_or_default()
}

/// Reads `desired_count`: a daemon's is computed. **Source:** ecs-semantics §5.1.
pub(super) fn read_desired_count(at: &Table<'_>, strategy: SchedulingStrategy) -> u32 {
    let value = match strategy {
        SchedulingStrategy::Replica => at.need("desired_count"),
        SchedulingStrategy::Daemon => at.get("desired_count"),
    };
    if let (SchedulingStrategy::Daemon, Some(value)) = (strategy, &value) {
        value.reject(
            "a DAEMON service has no desired_count: it runs a task on each instance that meets its constraints",
        );
        return 0;
    }
    value.and_then(|value| value.u32(0..=u32::MAX)).unwrap_or_default()
}

/// What a service's scheduling strategy changes and excludes of the rest of it. **Source:** ecs-semantics §5.1, §5.10.
pub(super) fn apply_scheduling(at: &Table<'_>, spec: &mut ServiceSpec) {
    match spec.scheduling_strategy {
        SchedulingStrategy::Replica => read_rebalancing(at, spec),
        SchedulingStrategy::Daemon => apply_daemon(at, spec),
    }
}

fn apply_daemon(at: &Table<'_>, spec: &mut ServiceSpec) {
    spec.availability_zone_rebalancing = AvailabilityZoneRebalancing::Disabled;
    for (key, what) in [
        ("placement_strategy", "no placement_strategy"),
        ("auto_scaling", "no auto_scaling"),
        ("capacity_provider_strategy", "no capacity_provider_strategy: it runs on every instance of the cluster"),
        ("availability_zone_rebalancing", "no availability_zone_rebalancing"),
    ] {
        if at.has(key) {
            at.reject(key, format!("a DAEMON service has {what}"));
        }
    }
    match spec.launch_target {
        LaunchTarget::LaunchType(LaunchType::Fargate) => {
            at.reject("launch_type", "a DAEMON service runs on container instances: launch_type \"EC2\"");
        }
        // Ours: the cluster's default strategy is not for it.
        LaunchTarget::ClusterDefault => spec.launch_target = LaunchTarget::LaunchType(LaunchType::Ec2),
        LaunchTarget::LaunchType(LaunchType::Ec2) | LaunchTarget::Strategy(_) => {}
    }
    let configuration = at.table("deployment_configuration", &DEPLOYMENT_CONFIGURATION);
    let has = |key| configuration.as_ref().is_some_and(|table| table.has(key));
    if !has("minimum_healthy_percent") {
        spec.deployment_configuration.minimum_healthy_percent = 0;
    }
    if !has("maximum_percent") {
        spec.deployment_configuration.maximum_percent = 100;
    } else if spec.deployment_configuration.maximum_percent != 100
        && let Some(table) = &configuration
    {
        table.reject("maximum_percent", "the maximum_percent of a DAEMON service is 100");
    }
    if spec.deployment_configuration.strategy.moves_traffic()
        && let Some(table) = &configuration
    {
        table.reject("strategy", "a DAEMON service has one task on each instance: strategy \"ROLLING\"");
    }
}

/// Enabled where it can be; where it cannot, saying so is a mistake.
fn read_rebalancing(at: &Table<'_>, spec: &mut ServiceSpec) {
    let asked = at.word("availability_zone_rebalancing", &REBALANCING);
    spec.availability_zone_rebalancing = asked.unwrap_or_default();
    if asked != Some(AvailabilityZoneRebalancing::Enabled) {
        return;
    }
    let is_spread = match spec.placement_strategy.first() {
        None => true,
        Some(PlacementStrategy::Spread(SpreadField::Attribute(name))) => name == AVAILABILITY_ZONE,
        Some(_) => false,
    };
    let names_zone = spec.placement_constraints.iter().any(|constraint| match constraint {
        PlacementConstraint::MemberOf(query) => query.names_attribute(AVAILABILITY_ZONE),
        PlacementConstraint::DistinctInstance => false,
    });
    let problem = if !is_spread {
        Some("needs no placement_strategy, or one that begins with a spread over attribute:ecs.availability-zone")
    } else if names_zone {
        Some("does not go with a placement constraint on attribute:ecs.availability-zone")
    } else if spec.deployment_configuration.maximum_percent <= 100 {
        Some("needs a maximum_percent above 100, to start a task before it stops another")
    } else {
        None
    };
    if let Some(problem) = problem {
        at.reject("availability_zone_rebalancing", format!("availability_zone_rebalancing {problem}"));
    }
}
