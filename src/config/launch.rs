//! Where tasks run, as services, standalone tasks and the cluster's default say it: launch types, capacity provider
//! strategies, placement.
//!
//! Whether a strategy's providers exist is decided in [`super::references`].

use std::sync::Arc;

use super::document::Read;
use super::keys::{PLACEMENT_CONSTRAINT, PLACEMENT_STRATEGY, STRATEGY_ITEM};
use super::reader::{Table, Words};
use crate::model::capacity::{CapacityProviderStrategyItem, LaunchTarget};
use crate::model::cluster_query::ClusterQuery;
use crate::model::service::{
    BinpackField, PLACEMENT_CONSTRAINTS_MAX, PLACEMENT_STRATEGIES_MAX, PlacementConstraint, PlacementStrategy,
    PropagateTags, SpreadField,
};
use crate::model::task_definition::LaunchType;

/// ECS' launch types. **Source:** ecs-semantics §11.6.
pub(super) const LAUNCH_TYPES: Words<LaunchType> = Words {
    available: &[("EC2", LaunchType::Ec2), ("FARGATE", LaunchType::Fargate)],
    planned: &["EXTERNAL", "MANAGED_INSTANCES"],
};

#[derive(Clone, Copy)]
enum StrategyType {
    Binpack,
    Spread,
    Random,
}

const STRATEGY_TYPES: Words<StrategyType> = Words {
    available: &[
        ("binpack", StrategyType::Binpack),
        ("spread", StrategyType::Spread),
        ("random", StrategyType::Random),
    ],
    planned: &[],
};

#[derive(Clone, Copy)]
enum ConstraintType {
    DistinctInstance,
    MemberOf,
}

const CONSTRAINT_TYPES: Words<ConstraintType> = Words {
    available: &[("distinctInstance", ConstraintType::DistinctInstance), ("memberOf", ConstraintType::MemberOf)],
    planned: &[],
};

/// Where tasks are to run, and the items of the strategy if there is one.
pub(super) struct Launch<'a> {
    pub(super) target: LaunchTarget,
    pub(super) items: Vec<Read<'a, CapacityProviderStrategyItem>>,
}

/// Reads `launch_type` or `capacity_provider_strategy`. **Source:** ecs-semantics §4.5.
pub(super) fn read_launch<'a>(table: &Table<'a>) -> Launch<'a> {
    if table.has("launch_type") && table.has("capacity_provider_strategy") {
        table.reject("launch_type", "launch_type and capacity_provider_strategy exclude each other: write one of them");
    }
    let launch_type = table.word("launch_type", &LAUNCH_TYPES);
    let items = read_strategy(table, "capacity_provider_strategy");
    let target = match launch_type {
        Some(launch_type) => LaunchTarget::LaunchType(launch_type),
        None if items.is_empty() => LaunchTarget::ClusterDefault,
        None => LaunchTarget::Strategy(strategy_items(&items)),
    };
    Launch { target, items }
}

pub(super) fn strategy_items(items: &[Read<'_, CapacityProviderStrategyItem>]) -> Vec<CapacityProviderStrategyItem> {
    items.iter().map(|read| read.item.clone()).collect()
}

/// Reads a capacity provider strategy.
///
/// *Ours:* a strategy of one provider needs a weight as well. ECS' default weight is 0, and a provider of weight 0 takes no
/// task beyond its base. **Source:** ecs-semantics §6.1.
pub(super) fn read_strategy<'a>(table: &Table<'a>, key: &'static str) -> Vec<Read<'a, CapacityProviderStrategyItem>> {
    let tables = table.tables(key, &STRATEGY_ITEM);
    if tables.len() > 20 {
        table.reject(key, format!("{} providers are too many for a strategy: at most 20", tables.len()));
    }
    let mut items: Vec<Read<'a, CapacityProviderStrategyItem>> = Vec::new();
    let mut base_of: Option<String> = None;
    for at in tables {
        let (read, soundness) = at.watched(|| {
            let provider = at.need("capacity_provider").and_then(|value| value.string());
            let weight = at.u32("weight", 0..=1000).unwrap_or(0);
            let base = at.u32("base", 0..=100_000).unwrap_or(0);
            (provider, weight, base)
        });
        let (provider, weight, base) = read;
        let provider = provider.unwrap_or_default();
        if items.iter().any(|earlier| !provider.is_empty() && *earlier.item.capacity_provider == *provider) {
            at.reject("capacity_provider", format!("capacity provider \"{provider}\" is in this strategy twice"));
        }
        if base > 0 {
            match &base_of {
                Some(first) => at.reject("base", format!("only one provider may have a base, and \"{first}\" has one")),
                None => base_of = Some(provider.to_owned()),
            }
        }
        let item = CapacityProviderStrategyItem { capacity_provider: provider.into(), weight, base };
        items.push(Read { item, at, soundness });
    }
    let is_sound = items.iter().all(Read::is_sound);
    if !items.is_empty() && is_sound && items.iter().all(|read| read.item.weight == 0) {
        table.reject_with_help(
            key,
            "at least one provider of a strategy needs a weight greater than 0",
            Some("add weight = 1".to_owned()),
        );
    }
    if items.is_empty()
        && table.get(key).is_some_and(|value| value.is_empty_list())
        && key == "capacity_provider_strategy"
    {
        table.reject(key, "a strategy names at least one capacity provider");
    }
    items
}

/// Reads `placement_strategy`: up to five. **Source:** ecs-semantics §4.1, §4.2.
pub(super) fn read_placement_strategy(table: &Table<'_>) -> Vec<PlacementStrategy> {
    let items = table.tables("placement_strategy", &PLACEMENT_STRATEGY);
    if items.len() > PLACEMENT_STRATEGIES_MAX {
        table.reject(
            "placement_strategy",
            format!("{} placement strategies are too many: at most {PLACEMENT_STRATEGIES_MAX}", items.len()),
        );
    }
    items.iter().filter_map(read_one_strategy).collect()
}

fn read_one_strategy(item: &Table<'_>) -> Option<PlacementStrategy> {
    let strategy_type = item.need("type").and_then(|value| value.word(&STRATEGY_TYPES))?;
    if matches!(strategy_type, StrategyType::Random) {
        if item.has("field") {
            item.reject("field", "the random strategy takes no field");
        }
        return Some(PlacementStrategy::Random);
    }
    let value = item.need("field")?;
    let field = value.string()?;
    match strategy_type {
        // ECS' own examples write these in either case. Source: ecs-semantics §4.2.
        StrategyType::Binpack if field.eq_ignore_ascii_case("cpu") => {
            Some(PlacementStrategy::Binpack(BinpackField::Cpu))
        }
        StrategyType::Binpack if field.eq_ignore_ascii_case("memory") => {
            Some(PlacementStrategy::Binpack(BinpackField::Memory))
        }
        StrategyType::Binpack => {
            value.reject(format!("\"{field}\" is not a field of binpack: \"cpu\" or \"memory\""));
            None
        }
        StrategyType::Spread if field == "instanceId" || field == "host" => {
            Some(PlacementStrategy::Spread(SpreadField::InstanceId))
        }
        StrategyType::Spread => match field.strip_prefix("attribute:") {
            Some(name) if !name.is_empty() => Some(PlacementStrategy::Spread(SpreadField::Attribute(name.to_owned()))),
            _ => {
                value.reject(format!(
                    "\"{field}\" is not a field of spread: \"instanceId\", \"host\" or \"attribute:NAME\", \
                     as in \"attribute:ecs.availability-zone\""
                ));
                None
            }
        },
        StrategyType::Random => Some(PlacementStrategy::Random),
    }
}

/// Reads `placement_constraints`: up to ten. **Source:** ecs-semantics §4.1, §4.3.
pub(super) fn read_placement_constraints(table: &Table<'_>) -> Vec<PlacementConstraint> {
    let items = table.tables("placement_constraints", &PLACEMENT_CONSTRAINT);
    if items.len() > PLACEMENT_CONSTRAINTS_MAX {
        table.reject("placement_constraints", format!("{} constraints are too many: at most 10", items.len()));
    }
    items.iter().filter_map(read_one_constraint).collect()
}

/// Reads the constraints of a task definition: `memberOf` only. **Source:** ecs-semantics §4.3.
pub(super) fn read_definition_constraints(table: &Table<'_>) -> Vec<PlacementConstraint> {
    for item in table.tables("placement_constraints", &PLACEMENT_CONSTRAINT) {
        if item.get("type").is_some_and(|value| value.text() == "\"distinctInstance\"") {
            item.reject("type", "distinctInstance is for services and run_task: a task definition takes memberOf only");
        }
    }
    read_placement_constraints(table)
}

fn read_one_constraint(item: &Table<'_>) -> Option<PlacementConstraint> {
    match item.need("type").and_then(|value| value.word(&CONSTRAINT_TYPES))? {
        ConstraintType::DistinctInstance => {
            if item.has("expression") {
                item.reject("expression", "distinctInstance takes no expression");
            }
            Some(PlacementConstraint::DistinctInstance)
        }
        ConstraintType::MemberOf => {
            let value = item.need("expression")?;
            match ClusterQuery::parse(value.string()?) {
                Ok(query) => Some(PlacementConstraint::MemberOf(Arc::new(query))),
                Err(error) => {
                    value.reject_within(error.span, error.message, error.help);
                    None
                }
            }
        }
    }
}

/// Whose tags a service's tasks get. **Source:** ecs-semantics §2.5.
pub(super) const SERVICE_TAG_SOURCES: Words<PropagateTags> = Words {
    available: &[
        ("NONE", PropagateTags::None),
        ("SERVICE", PropagateTags::Service),
        ("TASK_DEFINITION", PropagateTags::TaskDefinition),
    ],
    planned: &[],
};

/// Whose tags standalone tasks get: there is no service to take them from. **Source:** ecs-semantics §2.5.
pub(super) const TASK_TAG_SOURCES: Words<PropagateTags> = Words {
    available: &[("NONE", PropagateTags::None), ("TASK_DEFINITION", PropagateTags::TaskDefinition)],
    planned: &[],
};
