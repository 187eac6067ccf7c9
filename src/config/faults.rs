//! `[[fault]]` and `[[instance_refresh]]`: what happens to the capacity and to tasks while the cluster runs.

use std::sync::Arc;

use super::capacity::{find_instance_type, read_id, read_zone};
use super::document::{Context, Read};
use super::keys::{FAULT, INSTANCE_REFRESH, REFRESH_PREFERENCES};
use super::reader::{Table, Words};
use super::services::read_task_definition_ref;
use crate::model::auto_scaling_group::{
    AutoRollback, InstanceRefreshSpec, LaunchTemplate, ProtectedInstances, RefreshPreferences, SkipMatching,
    StandbyInstances,
};
use crate::model::capacity::CapacityProvider;
use crate::model::cluster::ScheduledInstanceRefresh;
use crate::model::fault::{Fault, FaultKind};
use crate::model::units::{Duration, MemoryMib};

#[derive(Clone, Copy)]
enum Kind {
    InstanceFailure,
    InstanceImpaired,
    AzOutage,
    SpotInterruption,
    CapacityRefused,
    SlowBoot,
    AgentDisconnected,
    TaskCrash,
    TaskRetirement,
    Drain,
}

const KINDS: Words<Kind> = Words {
    available: &[
        ("INSTANCE_FAILURE", Kind::InstanceFailure),
        ("INSTANCE_IMPAIRED", Kind::InstanceImpaired),
        ("AZ_OUTAGE", Kind::AzOutage),
        ("SPOT_INTERRUPTION", Kind::SpotInterruption),
        ("CAPACITY_REFUSED", Kind::CapacityRefused),
        ("SLOW_BOOT", Kind::SlowBoot),
        ("AGENT_DISCONNECTED", Kind::AgentDisconnected),
        ("TASK_CRASH", Kind::TaskCrash),
        ("TASK_RETIREMENT", Kind::TaskRetirement),
        ("DRAIN", Kind::Drain),
    ],
    planned: &[],
};

const PROTECTED_INSTANCES: Words<ProtectedInstances> = Words {
    available: &[
        ("Wait", ProtectedInstances::Wait),
        ("Ignore", ProtectedInstances::Ignore),
        ("Refresh", ProtectedInstances::Refresh),
    ],
    planned: &[],
};

const STANDBY_INSTANCES: Words<StandbyInstances> = Words {
    available: &[
        ("Wait", StandbyInstances::Wait),
        ("Ignore", StandbyInstances::Ignore),
        ("Terminate", StandbyInstances::Terminate),
    ],
    planned: &[],
};

/// The keys that some kinds have and others have not.
const KEYS_BY_KIND: [&str; 8] = [
    "capacity_provider",
    "service",
    "task_definition",
    "count",
    "duration",
    "boot_time",
    "availability_zone",
    "exit_code",
];

/// Reads the faults.
pub(super) fn read_faults<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, Option<Fault>>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| read_fault(&at, context));
        Read { item, at, soundness }
    };
    root.tables("fault", &FAULT).into_iter().map(read).collect()
}

fn read_fault(at: &Table<'_>, context: &Context<'_>) -> Option<Fault> {
    let mean_time_between = at.duration("mean_time_between");
    let moment = match at.has("mean_time_between") {
        true => at.get("at").map_or(Some(Duration::ZERO), |value| value.duration()),
        false => at.need("at").and_then(|value| value.duration()),
    };
    if mean_time_between.is_some_and(|mean| mean < Duration::from_secs(1)) {
        at.reject("mean_time_between", "mean_time_between is at least 1s");
    }
    let value = at.need("kind");
    let capacity_provider = at.get("capacity_provider").and_then(|value| value.string()).map(Arc::from);
    let service = at.get("service").and_then(|value| value.string()).map(Arc::from);
    let availability_zone = at.get("availability_zone").and_then(|value| read_zone(&value, context));
    let count = at.u32("count", 1..=u32::MAX);
    let (duration, boot_time) = (at.duration("duration"), at.duration("boot_time"));
    let task_definition = at.has("task_definition").then(|| read_task_definition_ref(at));
    let exit_code = at.get("exit_code").and_then(|value| value.i32()).unwrap_or(1);
    let value = value?;
    let (kind, name) = (value.word(&KINDS)?, value.string()?);
    let needed = |key: &'static str, value: Option<Duration>| {
        if !at.has(key) {
            at.reject_missing(key, format!("a fault of kind {name} needs {key}"));
        }
        value.unwrap_or(Duration::ZERO)
    };
    let allowed: &[&str] = match kind {
        Kind::InstanceFailure | Kind::InstanceImpaired | Kind::Drain => &["capacity_provider", "count"],
        Kind::AzOutage => &["availability_zone", "duration"],
        Kind::SpotInterruption => &["capacity_provider", "service", "count"],
        Kind::CapacityRefused => &["capacity_provider", "duration"],
        Kind::SlowBoot => &["capacity_provider", "duration", "boot_time"],
        Kind::AgentDisconnected => &["capacity_provider", "count", "duration"],
        Kind::TaskRetirement => &["service", "count"],
        Kind::TaskCrash => &["service", "task_definition", "count", "exit_code"],
    };
    for key in KEYS_BY_KIND {
        if at.has(key) && !allowed.contains(&key) {
            at.reject(key, format!("a fault of kind {name} has no {key}"));
        }
    }
    let one = count.unwrap_or(1);
    let kind = match kind {
        Kind::InstanceFailure => FaultKind::InstanceFailure { capacity_provider, count: one },
        Kind::InstanceImpaired => FaultKind::InstanceImpaired { capacity_provider, count: one },
        Kind::AzOutage => {
            let duration = needed("duration", duration);
            if !at.has("availability_zone") {
                at.reject_missing("availability_zone", format!("a fault of kind {name} needs availability_zone"));
            }
            FaultKind::AvailabilityZoneOutage { availability_zone: availability_zone?, duration }
        }
        Kind::SpotInterruption => FaultKind::SpotInterruption { service, capacity_provider, count },
        Kind::CapacityRefused => {
            FaultKind::CapacityRefused { capacity_provider, duration: needed("duration", duration) }
        }
        Kind::SlowBoot => FaultKind::SlowBoot {
            capacity_provider,
            duration: needed("duration", duration),
            boot_time: needed("boot_time", boot_time),
        },
        Kind::AgentDisconnected => {
            FaultKind::AgentDisconnected { capacity_provider, count: one, duration: needed("duration", duration) }
        }
        Kind::TaskCrash => FaultKind::TaskCrash { service, task_definition, count: one, exit_code },
        Kind::TaskRetirement => FaultKind::TaskRetirement { service, count },
        Kind::Drain => FaultKind::Drain { capacity_provider, count: one },
    };
    Some(Fault { at: moment?, mean_time_between, kind })
}

/// Reads the instance refreshes. What one does not say of its launch template is the group's.
pub(super) fn read_instance_refreshes<'a>(
    root: &Table<'a>,
    context: &Context<'_>,
    providers: &[Read<'a, CapacityProvider>],
) -> Vec<Read<'a, ScheduledInstanceRefresh>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| read_instance_refresh(&at, context, providers));
        Read { item, at, soundness }
    };
    root.tables("instance_refresh", &INSTANCE_REFRESH).into_iter().map(read).collect()
}

/// **Source:** ecs-semantics §9.4.
fn read_instance_refresh(
    at: &Table<'_>,
    context: &Context<'_>,
    providers: &[Read<'_, CapacityProvider>],
) -> ScheduledInstanceRefresh {
    let name = at.need("capacity_provider").and_then(|value| value.string()).unwrap_or_default();
    let group = providers.iter().map(|read| &read.item).find(|provider| &*provider.name == name);
    let before = group.map(|provider| provider.auto_scaling_group.launch_template()).unwrap_or_default();
    let version = at.u32("launch_template_version", 1..=u32::MAX);
    let image_id = read_id(at, "image_id", "ami-");
    let instance_type = at.get("instance_type").and_then(|value| find_instance_type(&value, context));
    if version.is_none() {
        for key in ["image_id", "instance_type"] {
            if at.has(key) {
                at.reject(key, format!("{key} is another launch template: write launch_template_version as well"));
            }
        }
    }
    let launch_template = version.map(|version| LaunchTemplate {
        version,
        image_id: image_id.or(before.image_id),
        instance_type: instance_type.unwrap_or(before.instance_type),
    });
    let reserved = group.map_or(MemoryMib(0), |provider| provider.auto_scaling_group.reserved_memory);
    if let (Some(template), true) = (&launch_template, at.has("instance_type"))
        && reserved > template.instance_type.memory
        && !template.instance_type.name.is_empty()
    {
        // Source: ecs-semantics §3.1.
        let (has, name) = (template.instance_type.memory, &template.instance_type.name);
        let rule = format!(
            "\"{name}\" has {has} MiB, and the group's ecs_reserved_memory is {reserved}: it would not register"
        );
        at.reject("instance_type", rule);
    }
    let table = at.table("preferences", &REFRESH_PREFERENCES);
    let preferences = table.as_ref().map(read_preferences).unwrap_or_default();
    if let (Some(table), Err(rule)) = (&table, preferences.check(launch_template.as_ref())) {
        let key = REFRESH_PREFERENCES
            .keys
            .iter()
            .find(|key| rule.starts_with(**key))
            .copied()
            .unwrap_or("min_healthy_percentage");
        table.reject(key, rule);
    }
    ScheduledInstanceRefresh {
        at: at.duration("at").unwrap_or(Duration::ZERO),
        spec: InstanceRefreshSpec { capacity_provider: Arc::from(name), launch_template, preferences },
    }
}

fn read_preferences(at: &Table<'_>) -> RefreshPreferences {
    let percentages = at.get("checkpoint_percentages").and_then(|value| value.list("a list of numbers"));
    RefreshPreferences {
        min_healthy_percentage: at.u32("min_healthy_percentage", 0..=100),
        max_healthy_percentage: at.u32("max_healthy_percentage", 100..=200),
        instance_warmup: at.duration("instance_warmup"),
        checkpoint_percentages: percentages
            .unwrap_or_default()
            .iter()
            .filter_map(|percentage| percentage.u32(1..=100))
            .collect(),
        checkpoint_delay: at.duration("checkpoint_delay"),
        skip_matching: match at.boolean("skip_matching") {
            Some(true) => SkipMatching::Yes,
            _ => SkipMatching::No,
        },
        auto_rollback: match at.boolean("auto_rollback") {
            Some(true) => AutoRollback::Yes,
            _ => AutoRollback::No,
        },
        scale_in_protected_instances: at.word("scale_in_protected_instances", &PROTECTED_INSTANCES).unwrap_or_default(),
        standby_instances: at.word("standby_instances", &STANDBY_INSTANCES).unwrap_or_default(),
        bake_time: at.duration("bake_time").unwrap_or(Duration::ZERO),
    }
}
