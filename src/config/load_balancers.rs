//! `[[target_group]]` and `load_balancers` of services: where load balancers route to.

use std::sync::Arc;

use super::container_lifecycle::period;
use super::document::{Context, Draft, Read};
use super::duration::format_duration;
use super::keys::{ADVANCED_CONFIGURATION, LOAD_BALANCER, TARGET_GROUP, TARGET_HEALTH_CHECK};
use super::reader::{Table, did_you_mean, quoted};
use super::settings::{DEFAULT_REGION, PeriodLimits};
use super::suggest::nearest;
use crate::model::service::ServiceSpec;
use crate::model::target_group::{LoadBalancer, TARGET_GROUPS_MAX, TargetGroup, TargetHealthCheck};
use crate::model::task_definition::TaskDefinition;

/// Reads the target groups. **Source:** Elastic Load Balancing API reference, CreateTargetGroup.
pub(super) fn read_target_groups<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, TargetGroup>> {
    let mut groups: Vec<Read<'a, TargetGroup>> = Vec::new();
    for at in root.tables("target_group", &TARGET_GROUP) {
        let (item, soundness) = at.watched(|| read_target_group(&at, context));
        if !item.name.is_empty() && groups.iter().any(|earlier| earlier.item.name == item.name) {
            at.reject("name", format!("target group \"{}\" is defined twice", item.name));
        }
        groups.push(Read { item, at, soundness });
    }
    groups
}

fn read_target_group(at: &Table<'_>, context: &Context<'_>) -> TargetGroup {
    let name = read_name(at).unwrap_or_default();
    let region = context.region.as_deref().unwrap_or(DEFAULT_REGION);
    TargetGroup {
        name: Arc::from(name),
        arn: TargetGroup::arn_of(region, name),
        deregistration_delay: period(at, "deregistration_delay", 0..=3600, context.period_limits)
            .unwrap_or(TargetGroup::DEREGISTRATION_DELAY),
        health_check: at
            .table("health_check", &TARGET_HEALTH_CHECK)
            .map(|table| read_check(&table, context.period_limits))
            .unwrap_or_default(),
    }
}

fn read_name<'a>(at: &Table<'a>) -> Option<&'a str> {
    let value = at.need("name")?;
    let name = value.string()?;
    let is_valid = (1..=32).contains(&name.len())
        && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_valid {
        let rule = "1 to 32 letters, digits and -, which is neither first nor last";
        value.reject(format!("the name {} of a target group is not valid: {rule}", quoted(name)));
    }
    is_valid.then_some(name)
}

fn read_check(at: &Table<'_>, limits: PeriodLimits) -> TargetHealthCheck {
    let default = TargetHealthCheck::default();
    let interval = period(at, "interval", 5..=300, limits);
    let timeout = period(at, "timeout", 2..=120, limits);
    let check = TargetHealthCheck {
        interval: interval.unwrap_or(default.interval),
        timeout: timeout.unwrap_or(default.timeout),
        healthy_threshold: at.u32("healthy_threshold", 2..=10).unwrap_or(default.healthy_threshold),
        unhealthy_threshold: at.u32("unhealthy_threshold", 2..=10).unwrap_or(default.unhealthy_threshold),
    };
    // One that can't be read has been told so.
    let is_read = |key, value: Option<_>| value.is_some() || !at.has(key);
    if is_read("interval", interval) && is_read("timeout", timeout) && check.timeout >= check.interval {
        let key = if at.has("timeout") { "timeout" } else { "interval" };
        let (timeout, interval) = (format_duration(check.timeout), format_duration(check.interval));
        at.reject(key, format!("the timeout {timeout} is not shorter than the interval {interval}"));
    }
    check
}

/// Reads `load_balancers` of a service. **Source:** ecs-semantics §1.7, §5.5.
pub(super) fn read_load_balancers(service: &Table<'_>) -> Vec<LoadBalancer> {
    let tables = service.tables("load_balancers", &LOAD_BALANCER);
    if tables.len() > TARGET_GROUPS_MAX {
        let count = tables.len();
        service.reject("load_balancers", format!("{count} target groups are too many: at most {TARGET_GROUPS_MAX}"));
    }
    let mut all: Vec<LoadBalancer> = Vec::new();
    for at in tables {
        let text = |key| at.need(key).and_then(|value| value.string()).unwrap_or_default();
        let (target_group, container_name) = (text("target_group"), text("container_name"));
        let port = at.need("container_port").and_then(|value| value.u32(1..=65_535));
        let advanced = at.table("advanced_configuration", &ADVANCED_CONFIGURATION);
        let alternate = advanced.as_ref().and_then(|table| table.need("alternate_target_group")?.string());
        let is_named = |name: &str| all.iter().flat_map(LoadBalancer::target_groups).any(|earlier| **earlier == *name);
        if !target_group.is_empty() && is_named(target_group) {
            at.reject("target_group", format!("target group \"{target_group}\" is named twice"));
        }
        if let (Some(table), Some(alternate)) = (&advanced, alternate)
            && (is_named(alternate) || alternate == target_group)
        {
            table.reject("alternate_target_group", format!("target group \"{alternate}\" is named twice"));
        }
        // One that could not be read keeps its place, so that its table is found by index.
        all.push(LoadBalancer {
            target_group: Arc::from(target_group),
            container_name: Arc::from(container_name),
            container_port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            alternate: alternate.map(Arc::from),
        });
    }
    all
}

/// What a service's load balancers name must be there: the target group in the file, container and port in what the service runs.
/// **Source:** ecs-semantics §5.5.
pub(super) fn check_load_balancers(
    draft: &Draft<'_>,
    at: &Table<'_>,
    spec: &ServiceSpec,
    definition: Option<&TaskDefinition>,
) {
    let groups = || draft.target_groups.iter().map(|read| &*read.item.name);
    for (table, one) in at.tables("load_balancers", &LOAD_BALANCER).iter().zip(&spec.load_balancers) {
        let check_group = |table: &Table<'_>, key: &'static str, name: &str| {
            if !name.is_empty() && !groups().any(|other| other == name || other.is_empty()) {
                let help = nearest(name, groups()).map(did_you_mean);
                let message = format!("target group {} is not defined in this file", quoted(name));
                table.reject_with_help(key, message, help);
            }
        };
        check_group(table, "target_group", &one.target_group);
        if let (Some(name), Some(advanced)) =
            (&one.alternate, table.table("advanced_configuration", &ADVANCED_CONFIGURATION))
        {
            check_group(&advanced, "alternate_target_group", name);
        }
        let Some(definition) = definition.filter(|_| !one.container_name.is_empty()) else { continue };
        let containers = || definition.containers.iter().map(|container| &*container.name);
        if containers().any(str::is_empty) {
            continue;
        }
        let Some(container) = definition.containers.iter().find(|found| *found.name == *one.container_name) else {
            let (family, name) = (&definition.family, quoted(&one.container_name));
            let help = nearest(&one.container_name, containers()).map(did_you_mean);
            table.reject_with_help(
                "container_name",
                format!("task definition \"{family}\" has no container {name}"),
                help,
            );
            continue;
        };
        let has_port = container.port_mappings.iter().any(|mapping| mapping.container_port == one.container_port);
        if one.container_port > 0 && !has_port {
            let (family, name, port) = (&definition.family, &container.name, one.container_port);
            table.reject(
                "container_port",
                format!("container \"{name}\" of task definition \"{family}\" maps no container_port {port}"),
            );
        }
    }
}

/// Jobs that name no container come by the load balancer: to the container that is its first target. *Ours.*
pub(super) fn direct_loads(draft: &mut Draft<'_>) {
    let services = &draft.services;
    for load in draft.loads.iter_mut().map(|read| &mut read.item).filter(|load| load.container.is_none()) {
        let service = services.iter().map(|service| &service.read.item).find(|service| service.name == load.service);
        let target = service.and_then(|service| service.load_balancers.first());
        load.container = target.map(|target| target.container_name.to_string());
    }
}
