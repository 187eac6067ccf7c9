//! `[[capacity_provider]]` and `[[container_instance]]`: the capacity that EC2 tasks run on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auto_scaling_group::{
    read_credit_specification, read_group_rules, read_purchase_option, read_reserved_memory,
};
use super::document::{Context, Read};
use super::keys::{AUTO_SCALING_GROUP, CAPACITY_PROVIDER, CONTAINER_INSTANCE, MANAGED_SCALING};
use super::reader::{Entry, Soundness, Table, Value, Words, did_you_mean, quoted};
use super::suggest::nearest;
use super::tags::read_attributes;
use crate::model::auto_scaling_group::{ManagedDraining, ManagedTerminationProtection, ScaleInProtection};
use crate::model::capacity::{AutoScalingGroup, CapacityProvider, InstanceLaunch, InstanceType, ManagedScaling};
use crate::model::units::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScalingStatus {
    Enabled,
    Disabled,
}

const SCALING_STATUSES: Words<ScalingStatus> =
    Words { available: &[("ENABLED", ScalingStatus::Enabled), ("DISABLED", ScalingStatus::Disabled)], planned: &[] };

const TERMINATION_PROTECTIONS: Words<ManagedTerminationProtection> = Words {
    available: &[
        ("ENABLED", ManagedTerminationProtection::Enabled),
        ("DISABLED", ManagedTerminationProtection::Disabled),
    ],
    planned: &[],
};

const DRAININGS: Words<ManagedDraining> = Words {
    available: &[("ENABLED", ManagedDraining::Enabled), ("DISABLED", ManagedDraining::Disabled)],
    planned: &[],
};

/// Reads the capacity providers.
pub(super) fn read_providers<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, CapacityProvider>> {
    let mut providers: Vec<Read<'a, CapacityProvider>> = Vec::new();
    for at in root.tables("capacity_provider", &CAPACITY_PROVIDER) {
        let (item, soundness) = at.watched(|| read_provider(&at, context));
        if !item.name.is_empty() && providers.iter().any(|earlier| earlier.item.name == item.name) {
            at.reject("name", format!("capacity provider \"{}\" is defined twice", item.name));
        }
        providers.push(Read { item, at, soundness });
    }
    providers
}

fn read_provider(at: &Table<'_>, context: &Context<'_>) -> CapacityProvider {
    let name = at.name("name").unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    if let Some(prefix) = ["aws", "ecs", "fargate"].into_iter().find(|prefix| lower.starts_with(prefix)) {
        // Source: ecs-semantics §1.3.
        at.reject("name", format!("\"{name}\" begins with \"{prefix}\": the name of a capacity provider must not"));
    }
    let group = at.need("auto_scaling_group").and_then(|value| value.table(&AUTO_SCALING_GROUP));
    let provider = CapacityProvider {
        name: Arc::from(name),
        auto_scaling_group: read_group(group.as_ref(), context),
        managed_scaling: at.table("managed_scaling", &MANAGED_SCALING).and_then(|table| read_managed_scaling(&table)),
        managed_termination_protection: at
            .word("managed_termination_protection", &TERMINATION_PROTECTIONS)
            .unwrap_or_default(),
        managed_draining: at.word("managed_draining", &DRAININGS).unwrap_or_default(),
    };
    check_termination_protection(at, &provider);
    if let (Some(group), Err(rule)) = (&group, provider.check_reuse()) {
        group.reject("warm_pool", rule);
    }
    provider
}

/// **Source:** ecs-semantics §6.2.
fn check_termination_protection(at: &Table<'_>, provider: &CapacityProvider) {
    if provider.managed_termination_protection == ManagedTerminationProtection::Disabled {
        return;
    }
    if provider.managed_scaling.is_none() {
        at.reject_with_help(
            "managed_termination_protection",
            "managed termination protection needs managed scaling",
            Some("add managed_scaling = {}".to_owned()),
        );
    }
    if provider.auto_scaling_group.new_instances_protected == ScaleInProtection::Unprotected {
        at.reject_with_help(
            "managed_termination_protection",
            "managed termination protection needs a group whose new instances are protected from scale-in",
            Some("add new_instances_protected_from_scale_in = true to auto_scaling_group".to_owned()),
        );
    }
}

/// **Source:** ecs-semantics §9.1: min ≤ desired ≤ max, desired is min when it is not given.
fn read_group(group: Option<&Table<'_>>, context: &Context<'_>) -> AutoScalingGroup {
    let Some(group) = group else {
        return AutoScalingGroup {
            instance_type: unknown_type(),
            boot_time: context.boot_time,
            ..AutoScalingGroup::default()
        };
    };
    let size = |value: Value<'_>| value.u32(0..=u32::MAX);
    let min_size = group.need("min_size").and_then(size);
    let max_size = group.need("max_size").and_then(size);
    let desired_capacity = group.get("desired_capacity").and_then(size);
    if let (Some(min), Some(max)) = (min_size, max_size)
        && min > max
    {
        group.reject("min_size", format!("min_size {min} is greater than max_size {max}"));
    } else if let (Some(min), Some(max), Some(desired)) = (min_size, max_size, desired_capacity)
        && !(min..=max).contains(&desired)
    {
        group.reject(
            "desired_capacity",
            format!("desired_capacity {desired} is not between min_size {min} and max_size {max}"),
        );
    }
    let sized = AutoScalingGroup {
        instance_type: read_instance_type(group, context),
        min_size: min_size.unwrap_or_default(),
        max_size: max_size.unwrap_or_default(),
        desired_capacity,
        availability_zones: read_zones(group, context),
        boot_time: group.duration("boot_time").unwrap_or(context.boot_time),
        attributes: read_attributes(group),
        image_id: read_id(group, "image_id", "ami-"),
        vpc_id: read_id(group, "vpc_id", "vpc-"),
        subnets: read_subnets(group),
        ..AutoScalingGroup::default()
    };
    read_group_rules(group, sized)
}

/// The subnet of each zone.
fn read_subnets(group: &Table<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let entries = group.get("subnets").map(|value| value.entries()).unwrap_or_default();
    let subnet = |entry: Entry<'_>| Some((Arc::from(entry.key), read_id_of(&entry.value, "subnet-")?));
    entries.into_iter().filter_map(subnet).collect()
}

/// An id of EC2's, as in `ami-0123abcd`.
pub(super) fn read_id(at: &Table<'_>, key: &'static str, prefix: &str) -> Option<Arc<str>> {
    read_id_of(&at.get(key)?, prefix)
}

fn read_id_of(value: &Value<'_>, prefix: &str) -> Option<Arc<str>> {
    let id = value.string()?;
    let digits = id.strip_prefix(prefix).unwrap_or_default();
    let is_valid = (1..=17).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_valid {
        value.reject(format!("{} is not an id: {prefix} and up to 17 letters and digits", quoted(id)));
    }
    is_valid.then(|| Arc::from(id))
}

/// **Source:** ecs-semantics §6.2. *Ours:* a table without a status turns managed scaling on, as ECS' console does.
fn read_managed_scaling(table: &Table<'_>) -> Option<ManagedScaling> {
    let default = ManagedScaling::default();
    let status = table.word("status", &SCALING_STATUSES).unwrap_or(ScalingStatus::Enabled);
    let step = |key, default| table.u32(key, 1..=10_000).unwrap_or(default);
    let scaling = ManagedScaling {
        target_capacity: table.u32("target_capacity", 1..=100).unwrap_or(default.target_capacity),
        minimum_scaling_step_size: step("minimum_scaling_step_size", default.minimum_scaling_step_size),
        maximum_scaling_step_size: step("maximum_scaling_step_size", default.maximum_scaling_step_size),
        instance_warmup_period: read_warmup(table).unwrap_or(default.instance_warmup_period),
    };
    if scaling.minimum_scaling_step_size > scaling.maximum_scaling_step_size {
        table.reject(
            "minimum_scaling_step_size",
            format!(
                "minimum_scaling_step_size {} is greater than maximum_scaling_step_size {}",
                scaling.minimum_scaling_step_size, scaling.maximum_scaling_step_size
            ),
        );
    }
    (status == ScalingStatus::Enabled).then_some(scaling)
}

fn read_warmup(table: &Table<'_>) -> Option<Duration> {
    let value = table.get("instance_warmup_period")?;
    let warmup = value.duration()?;
    let is_valid = warmup <= Duration::from_secs(10_000);
    if !is_valid {
        value.reject(format!("instance_warmup_period {} is not within the limits: 0s to 10000s", value.text()));
    }
    is_valid.then_some(warmup)
}

/// Reads the instances that are registered by hand: `count` of each.
pub(super) fn read_instances<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, Vec<InstanceLaunch>>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| {
            let count = at.u32("count", 1..=10_000).unwrap_or(1);
            let zone = at.get("availability_zone").and_then(|value| read_zone(&value, context));
            let instance_type = read_instance_type(&at, context);
            let launch = InstanceLaunch {
                credit_specification: read_credit_specification(&at, &instance_type),
                reserved_memory: read_reserved_memory(&at, &instance_type),
                instance_type,
                availability_zone: zone.unwrap_or_else(|| context.zone('a')),
                boot_time: at.duration("boot_time").unwrap_or(context.boot_time),
                attributes: read_attributes(&at),
                purchase_option: read_purchase_option(&at),
                name: at.has("name").then(|| at.name("name")).flatten().map(Arc::from),
                image_id: read_id(&at, "image_id", "ami-"),
                vpc_id: read_id(&at, "vpc_id", "vpc-"),
                subnet_id: read_id(&at, "subnet_id", "subnet-"),
                ..InstanceLaunch::default()
            };
            if count > 1 && launch.name.is_some() {
                at.reject("name", format!("a name is for one instance, and count is {count}"));
            }
            (0..count).map(|_| launch.clone()).collect()
        });
        Read { item, at, soundness }
    };
    let instances: Vec<Read<'a, Vec<InstanceLaunch>>> =
        root.tables("container_instance", &CONTAINER_INSTANCE).into_iter().map(read).collect();
    let name_of = |read: &Read<'_, Vec<InstanceLaunch>>| read.item.first().and_then(|launch| launch.name.clone());
    for (index, instance) in instances.iter().enumerate() {
        if let Some(name) = name_of(instance)
            && instances[..index].iter().any(|earlier| name_of(earlier).as_ref() == Some(&name))
        {
            instance.at.reject("name", format!("container instance \"{name}\" is defined twice"));
        }
    }
    instances
}

fn read_instance_type(at: &Table<'_>, context: &Context<'_>) -> Arc<InstanceType> {
    at.need("instance_type").and_then(|value| find_instance_type(&value, context)).unwrap_or_else(unknown_type)
}

pub(super) fn find_instance_type(value: &Value<'_>, context: &Context<'_>) -> Option<Arc<InstanceType>> {
    let name = value.string()?;
    let Some(instance_type) = context.catalog.instance_type(name) else {
        let help = nearest(name, context.catalog.instance_type_names()).map(did_you_mean);
        value.reject_with_help(format!("instance type {} is not in the catalog", quoted(name)), help);
        return None;
    };
    if let Some(region) = &context.region
        && context.catalog.ec2_rate(region, name).is_none()
    {
        value.reject(format!("instance type \"{name}\" has no price in region \"{region}\""));
        return None;
    }
    Some(instance_type)
}

/// Stands for a type that could not be read; nothing is derived from it.
fn unknown_type() -> Arc<InstanceType> {
    Arc::default()
}

/// The zones of a group: three of the region where the file names none.
fn read_zones(group: &Table<'_>, context: &Context<'_>) -> Vec<Arc<str>> {
    let Some(value) = group.get("availability_zones") else {
        return ['a', 'b', 'c'].map(|letter| context.zone(letter)).to_vec();
    };
    let Some(items) = value.list("a list of strings") else { return Vec::new() };
    if items.is_empty() {
        value.reject("a group needs at least one availability zone");
    }
    let mut zones: Vec<Arc<str>> = Vec::new();
    for item in items {
        let Some(zone) = read_zone(&item, context) else { continue };
        if zones.contains(&zone) {
            item.reject(format!("availability zone \"{zone}\" is given twice"));
        }
        zones.push(zone);
    }
    zones
}

/// A zone is the region's name and a letter.
pub(super) fn read_zone(value: &Value<'_>, context: &Context<'_>) -> Option<Arc<str>> {
    let zone = value.string()?;
    if let Some(region) = &context.region {
        let letter = zone.strip_prefix(region.as_str()).unwrap_or_default();
        if !matches!(letter.as_bytes(), [b'a'..=b'z']) {
            value.reject_with_help(
                format!("\"{zone}\" is not an availability zone of region \"{region}\""),
                Some(format!("write the region and a letter, as in \"{region}a\"")),
            );
            return None;
        }
    }
    Some(Arc::from(zone))
}

/// Whether everything about the EC2 capacity of the file could be read.
pub(super) fn soundness(
    providers: &[Read<'_, CapacityProvider>],
    instances: &[Read<'_, Vec<InstanceLaunch>>],
) -> Soundness {
    if providers.iter().all(Read::is_sound) && instances.iter().all(Read::is_sound) {
        Soundness::Sound
    } else {
        Soundness::Flawed
    }
}
