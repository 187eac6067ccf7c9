//! Where tasks are to run and how they are placed, as RunTask, CreateService and CreateTaskSet have it in common.
//!
//! **Source:** ecs-semantics §4.2, §4.5, §6.1.

use serde_json::{Value, json};

use super::error::ApiError;
use super::members::Members;
use super::region::{LiveCluster, Region};
use crate::model::capacity::{CapacityProviderStrategyItem, LaunchTarget};
use crate::model::service::{BinpackField, EcsManagedTags, PlacementStrategy, PropagateTags, SpreadField};
use crate::model::task_definition::LaunchType;

/// The launch type or the strategy of a request.
///
/// # Errors
/// When it names both, or a provider that is not the cluster's.
pub(super) fn launch_target(region: &Region, live: &LiveCluster, input: Members<'_>) -> Result<LaunchTarget, ApiError> {
    let strategy = cluster_strategy(region, live, input)?;
    let launch_type = match input.text("launchType") {
        None => None,
        Some("FARGATE") => Some(LaunchType::Fargate),
        // EXTERNAL instances are container instances like others.
        Some("EC2" | "EXTERNAL") => Some(LaunchType::Ec2),
        Some(other) => {
            return Err(ApiError::new(
                "UnsupportedFeatureException",
                format!("The launch type {other} is not supported."),
            ));
        }
    };
    match (launch_type, strategy.is_empty()) {
        (Some(_), false) => Err(ApiError::invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )),
        (Some(launch_type), true) => Ok(LaunchTarget::LaunchType(launch_type)),
        (None, false) => Ok(LaunchTarget::Strategy(strategy)),
        (None, true) => Ok(LaunchTarget::ClusterDefault),
    }
}

/// The strategy of a request, over providers of the cluster. **Source:** ecs-semantics §6.1.
///
/// # Errors
/// When one of them is not associated with it.
pub(super) fn cluster_strategy(
    region: &Region,
    live: &LiveCluster,
    input: Members<'_>,
) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
    let strategy = strategy_of(input, "capacityProviderStrategy");
    let registry = region.registry();
    let associated = registry.clusters.get(&live.arns.cluster).map_or(&[] as &[_], |row| &row.capacity_providers);
    match strategy.iter().find(|item| !associated.contains(&item.capacity_provider)) {
        None => Ok(strategy),
        Some(_) => Err(ApiError::invalid_parameter(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. \
             Associate the capacity provider with the cluster and try again.",
        )),
    }
}

/// A strategy over capacity providers; empty where none is sent.
pub(super) fn strategy_of(input: Members<'_>, member: &str) -> Vec<CapacityProviderStrategyItem> {
    let items = input.structures(member).map(|item| CapacityProviderStrategyItem {
        capacity_provider: super::names::last_part(item.required_text("capacityProvider")).into(),
        weight: item.count("weight").unwrap_or(0),
        base: item.count("base").unwrap_or(0),
    });
    items.collect()
}

/// A strategy as it is answered.
pub(super) fn show_strategy(strategy: &[CapacityProviderStrategyItem]) -> Value {
    let items = strategy
        .iter()
        .map(|item| json!({"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}));
    items.collect()
}

/// Ranking of instances.
///
/// # Errors
/// When a strategy names a field that it does not have.
pub(super) fn placement_strategy(input: Members<'_>) -> Result<Vec<PlacementStrategy>, ApiError> {
    let strategies = input.structures("placementStrategy").map(|strategy| {
        let field = strategy.text("field").unwrap_or_default();
        match (strategy.required_text("type"), field.to_ascii_lowercase().as_str()) {
            ("random", _) => Ok(PlacementStrategy::Random),
            ("binpack", "cpu") => Ok(PlacementStrategy::Binpack(BinpackField::Cpu)),
            ("binpack", "memory") => Ok(PlacementStrategy::Binpack(BinpackField::Memory)),
            ("spread", "instanceid" | "host") => Ok(PlacementStrategy::Spread(SpreadField::InstanceId)),
            ("spread", attribute) if attribute.starts_with("attribute:") => {
                Ok(PlacementStrategy::Spread(SpreadField::Attribute(field["attribute:".len()..].to_owned())))
            }
            (kind, _) => {
                Err(ApiError::invalid_parameter(format!("Invalid field '{field}' for placement strategy {kind}.")))
            }
        }
    });
    strategies.collect()
}

/// A ranking as it is answered.
pub(super) fn show_placement_strategy(strategies: &[PlacementStrategy]) -> Value {
    let shown = strategies.iter().map(|strategy| match strategy {
        PlacementStrategy::Random => json!({"type": "random"}),
        PlacementStrategy::Binpack(BinpackField::Cpu) => json!({"type": "binpack", "field": "CPU"}),
        PlacementStrategy::Binpack(BinpackField::Memory) => json!({"type": "binpack", "field": "MEMORY"}),
        PlacementStrategy::Spread(SpreadField::InstanceId) => json!({"type": "spread", "field": "instanceId"}),
        PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
            json!({"type": "spread", "field": format!("attribute:{name}")})
        }
    });
    shown.collect()
}

/// Whether tasks get the tags that ECS manages; `None` where nothing is said.
pub(super) fn ecs_managed_tags(input: Members<'_>) -> Option<EcsManagedTags> {
    input
        .flag("enableECSManagedTags")
        .map(|wanted| if wanted { EcsManagedTags::Enabled } else { EcsManagedTags::Disabled })
}

/// Whose tags tasks get.
pub(super) fn propagate_tags(input: Members<'_>) -> PropagateTags {
    match input.text("propagateTags") {
        Some("TASK_DEFINITION") => PropagateTags::TaskDefinition,
        Some("SERVICE") => PropagateTags::Service,
        _ => PropagateTags::None,
    }
}

/// Whether a `clientToken`, where there is one, is of printable ASCII and not longer than this.
///
/// # Errors
/// When it is not. **Source:** ecs-semantics §1.3.
pub(super) fn check_client_token(input: Members<'_>, length_max: usize) -> Result<(), ApiError> {
    let is_token =
        |token: &str| (1..=length_max).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if input.text("clientToken").is_none_or(is_token) {
        return Ok(());
    }
    let rule = format!("clientToken must be 1 to {length_max} printable ASCII characters without blanks.");
    Err(ApiError::invalid_parameter(rule))
}
