//! What an Auto Scaling group does with its instances: the keys of `auto_scaling_group` beyond its size and type.

use std::sync::Arc;

use super::keys::{INSTANCE_MAINTENANCE_POLICY, INSTANCE_REUSE_POLICY, LIFECYCLE_HOOK, WARM_POOL};
use super::reader::{Table, Value, Words, quoted};
use crate::model::auto_scaling_group::{
    InstanceMaintenancePolicy, LifecycleActionResult, LifecycleHook, LifecycleTransition, ReuseOnScaleIn,
    ScaleInProtection, TerminationPolicy, WarmPool, WarmPoolState,
};
use crate::model::capacity::{AutoScalingGroup, InstanceType, SpotDraining};
use crate::model::cpu_credits::CreditSpecification;
use crate::model::units::{Duration, MemoryMib};
use crate::model::usage::PurchaseOption;

const TERMINATION_POLICIES: Words<TerminationPolicy> = Words {
    available: &[
        ("Default", TerminationPolicy::Default),
        ("OldestInstance", TerminationPolicy::OldestInstance),
        ("NewestInstance", TerminationPolicy::NewestInstance),
        ("OldestLaunchTemplate", TerminationPolicy::OldestLaunchTemplate),
        ("ClosestToNextInstanceHour", TerminationPolicy::ClosestToNextInstanceHour),
    ],
    planned: &["AllocationStrategy", "OldestLaunchConfiguration"],
};

const POOL_STATES: Words<WarmPoolState> = Words {
    available: &[
        ("Stopped", WarmPoolState::Stopped),
        ("Running", WarmPoolState::Running),
        ("Hibernated", WarmPoolState::Hibernated),
    ],
    planned: &[],
};

const TRANSITIONS: Words<LifecycleTransition> = Words {
    available: &[
        ("autoscaling:EC2_INSTANCE_LAUNCHING", LifecycleTransition::Launching),
        ("autoscaling:EC2_INSTANCE_TERMINATING", LifecycleTransition::Terminating),
    ],
    planned: &[],
};

const RESULTS: Words<LifecycleActionResult> = Words {
    available: &[("ABANDON", LifecycleActionResult::Abandon), ("CONTINUE", LifecycleActionResult::Continue)],
    planned: &[],
};

const PURCHASE_OPTIONS: Words<PurchaseOption> =
    Words { available: &[("ON_DEMAND", PurchaseOption::OnDemand), ("SPOT", PurchaseOption::Spot)], planned: &[] };

const CREDIT_SPECIFICATIONS: Words<CreditSpecification> = Words {
    available: &[("standard", CreditSpecification::Standard), ("unlimited", CreditSpecification::Unlimited)],
    planned: &[],
};

/// **Source:** ecs-semantics §9.2: hooks of a group.
const HOOKS_MAX: usize = 50;

/// Reads the keys beyond size, type and zones into a group. **Source:** ecs-semantics §9.
pub(super) fn read_group_rules(at: &Table<'_>, group: AutoScalingGroup) -> AutoScalingGroup {
    let is_protected = at.boolean("new_instances_protected_from_scale_in").unwrap_or(false);
    AutoScalingGroup {
        launch_template_version: at.u32("launch_template_version", 1..=u32::MAX).unwrap_or(1),
        purchase_option: read_purchase_option(at),
        spot_draining: match at.boolean("ecs_enable_spot_instance_draining") {
            Some(true) => SpotDraining::Enabled,
            _ => SpotDraining::Disabled,
        },
        reserved_memory: read_reserved_memory(at, &group.instance_type),
        credit_specification: read_credit_specification(at, &group.instance_type),
        termination_policies: read_termination_policies(at),
        new_instances_protected: match is_protected {
            true => ScaleInProtection::Protected,
            false => ScaleInProtection::Unprotected,
        },
        max_instance_lifetime: at.get("max_instance_lifetime").and_then(|value| read_lifetime(&value)),
        health_check_grace_period: at.duration("health_check_grace_period").unwrap_or(Duration::ZERO),
        default_instance_warmup: at.duration("default_instance_warmup"),
        lifecycle_hooks: read_hooks(at),
        instance_maintenance_policy: at
            .table("instance_maintenance_policy", &INSTANCE_MAINTENANCE_POLICY)
            .and_then(|table| read_maintenance_policy(&table)),
        warm_pool: at.table("warm_pool", &WARM_POOL).map(|table| read_warm_pool(&table)),
        warm_start_time: at.duration("warm_start_time"),
        ..group
    }
}

pub(super) fn read_purchase_option(at: &Table<'_>) -> PurchaseOption {
    at.word("purchase_option", &PURCHASE_OPTIONS).unwrap_or_default()
}

/// MiB: an agent that is to hold back more than there is does not register. **Source:** ecs-semantics §3.1.
pub(super) fn read_reserved_memory(at: &Table<'_>, instance_type: &InstanceType) -> MemoryMib {
    let reserved = MemoryMib(at.u32("ecs_reserved_memory", 0..=u32::MAX).unwrap_or_default());
    // Of a type that could not be read nothing is known.
    if reserved > instance_type.memory && !instance_type.name.is_empty() {
        at.reject(
            "ecs_reserved_memory",
            format!(
                "ecs_reserved_memory {reserved} is more than the {} MiB of instance type \"{}\": it would not register",
                instance_type.memory, instance_type.name
            ),
        );
    }
    reserved
}

/// **Source:** EC2 user guide, burstable performance instances: only these have credits.
pub(super) fn read_credit_specification(at: &Table<'_>, instance_type: &InstanceType) -> Option<CreditSpecification> {
    let specification = at.word("credit_specification", &CREDIT_SPECIFICATIONS)?;
    // Of a type that could not be read nothing is known.
    if instance_type.burst.is_none() && !instance_type.name.is_empty() {
        at.reject(
            "credit_specification",
            format!("instance type \"{}\" earns no CPU credits: only t2, t3, t3a and t4g do", instance_type.name),
        );
    }
    Some(specification)
}

fn read_termination_policies(at: &Table<'_>) -> Vec<TerminationPolicy> {
    let items = at.get("termination_policies").and_then(|value| value.list("a list of strings")).unwrap_or_default();
    items.iter().filter_map(|item| item.word(&TERMINATION_POLICIES)).collect()
}

/// **Source:** ecs-semantics §9.1: none, or a day at least.
fn read_lifetime(value: &Value<'_>) -> Option<Duration> {
    let lifetime = value.duration()?;
    if lifetime.is_zero() {
        return None;
    }
    if lifetime < Duration::from_secs(86_400) {
        value.reject(format!("max_instance_lifetime {} is shorter than 1d", value.text()));
    }
    Some(lifetime)
}

/// **Source:** ecs-semantics §9.2.
fn read_hooks(at: &Table<'_>) -> Vec<LifecycleHook> {
    let tables = at.tables("lifecycle_hooks", &LIFECYCLE_HOOK);
    if tables.len() > HOOKS_MAX {
        at.reject("lifecycle_hooks", format!("a group has at most {HOOKS_MAX} lifecycle hooks"));
    }
    let mut hooks: Vec<LifecycleHook> = Vec::new();
    for table in tables {
        let name = table.name("name").unwrap_or_default();
        if !name.is_empty() && hooks.iter().any(|hook| &*hook.name == name) {
            table.reject("name", format!("lifecycle hook {} is defined twice", quoted(name)));
        }
        let transition = table.need("lifecycle_transition").and_then(|value| value.word(&TRANSITIONS));
        let heartbeat_timeout = table.get("heartbeat_timeout").and_then(|value| {
            let timeout = value.duration()?;
            if !(Duration::from_secs(30)..=Duration::from_secs(7200)).contains(&timeout) {
                value.reject(format!("heartbeat_timeout {} is not within the limits: 30s to 7200s", value.text()));
            }
            Some(timeout)
        });
        hooks.push(LifecycleHook {
            name: Arc::from(name),
            transition: transition.unwrap_or(LifecycleTransition::Launching),
            heartbeat_timeout: heartbeat_timeout.unwrap_or(Duration::from_secs(3600)),
            default_result: table.word("default_result", &RESULTS).unwrap_or_default(),
        });
    }
    hooks
}

/// **Source:** ecs-semantics §9.4.
fn read_maintenance_policy(at: &Table<'_>) -> Option<InstanceMaintenancePolicy> {
    let min = at.need("min_healthy_percentage").and_then(|value| value.u32(0..=100));
    let max = at.need("max_healthy_percentage").and_then(|value| value.u32(100..=200));
    let (min, max) = (min?, max?);
    if max - min > 100 {
        at.reject(
            "max_healthy_percentage",
            format!("max_healthy_percentage {max} is more than 100 above min_healthy_percentage {min}"),
        );
    }
    Some(InstanceMaintenancePolicy { min_healthy_percentage: min, max_healthy_percentage: max })
}

/// **Source:** ecs-semantics §9.5.
fn read_warm_pool(at: &Table<'_>) -> WarmPool {
    WarmPool {
        min_size: at.u32("min_size", 0..=u32::MAX).unwrap_or(0),
        max_group_prepared_capacity: at.u32("max_group_prepared_capacity", 0..=u32::MAX),
        pool_state: at.word("pool_state", &POOL_STATES).unwrap_or_default(),
        reuse: match at.table("instance_reuse_policy", &INSTANCE_REUSE_POLICY) {
            Some(policy) if policy.boolean("reuse_on_scale_in") == Some(true) => ReuseOnScaleIn::Yes,
            _ => ReuseOnScaleIn::No,
        },
    }
}
