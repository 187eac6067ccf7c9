//! What tables of the file say of one another: that what is named is defined, and that what is asked can be had.
//!
//! Nothing is derived from an item that has a mistake of its own, so that one slip is one message.

use std::borrow::Cow;

use super::capacity;
use super::document::{Asked, Draft, Read};
use super::keys::{
    AUTO_SCALING, CONTAINER_OVERRIDE, DEPLOYMENT_ALARMS, DEPLOYMENT_CONFIGURATION, DEPLOYMENT_HOOK, OVERRIDES,
    STEP_SCALING,
};
use super::load_balancers::check_load_balancers;
use super::reader::{Soundness, Table, did_you_mean, quoted};
use super::sizes::check_fargate_size;
use super::subnets::{check_network_configuration, check_subnets};
use super::suggest::nearest;
use super::task_definitions::fargate_problems;
use super::task_sets::TaskSetItem;
use crate::catalog::Catalog;
use crate::model::capacity::{
    CapacityProviderStrategyItem, FARGATE, FARGATE_SPOT, InstanceType, LaunchTarget, is_fargate, reserved_ports,
};
use crate::model::cluster::{ScheduledServiceUpdate, ScheduledStartTask};
use crate::model::deployment_hook::HookTarget;
use crate::model::fault::FaultKind;
use crate::model::service::{PLACEMENT_CONSTRAINTS_MAX, PlacementConstraint, PlacementStrategy, ServiceSpec};
use crate::model::target_group::LoadBalancer;
use crate::model::task::TaskOverrides;
use crate::model::task_definition::{LaunchType, TaskDefinition, TaskDefinitionRef};
use crate::model::task_overrides::OverrideError;
use crate::model::task_set::DeploymentController;
use crate::model::units::MemoryMib;

/// Resolves every reference.
pub(super) fn check_references(draft: &Draft<'_>, catalog: &Catalog) {
    check_strategy(draft, &draft.default_strategy);
    check_subnets(draft);
    for service in &draft.services {
        check_strategy(draft, &service.strategy);
        let at = &service.read.at;
        let spec = &service.read.item;
        let ask = Ask {
            at,
            task_definition: find_task_definition(draft, at, &spec.task_definition),
            target: &spec.launch_target,
            placement_strategy: &spec.placement_strategy,
            placement_constraints: &spec.placement_constraints,
            overrides: None,
        };
        if spec.deployment_controller != DeploymentController::External {
            check_ask(draft, catalog, &ask);
        }
        check_network_configuration(draft, at, ask.task_definition.map(|read| &read.item));
        check_hooks(draft, catalog, service);
        let runs = ask.task_definition.filter(|read| read.is_sound()).map(|read| &read.item);
        check_load_balancers(draft, at, spec, runs);
    }
    for set in &draft.task_sets {
        check_task_set(draft, catalog, set);
    }
    for run_task in &draft.run_tasks {
        check_strategy(draft, &run_task.strategy);
        let at = &run_task.read.at;
        let spec = &run_task.read.item.spec;
        let task_definition = find_task_definition(draft, at, &spec.task_definition);
        let ask = Ask {
            at,
            task_definition: task_definition.filter(|_| run_task.read.is_sound()),
            target: &spec.launch_target,
            placement_strategy: &spec.placement_strategy,
            placement_constraints: &spec.placement_constraints,
            overrides: Some(&spec.overrides),
        };
        check_ask(draft, catalog, &ask);
        check_network_configuration(draft, at, task_definition.map(|read| &read.item));
        if let Some(task_definition) = task_definition {
            let default = super::launch::strategy_items(&draft.default_strategy);
            let launch_type = match ground_of(ask.target, &default) {
                Ground::Fargate => LaunchType::Fargate,
                Ground::Ec2 | Ground::Providers(_) => LaunchType::Ec2,
            };
            let overrides = run_task.read.is_sound().then_some(&*spec.overrides);
            check_overrides(at, task_definition, overrides, launch_type, catalog);
        }
    }
    for start_task in &draft.start_tasks {
        check_start_task(draft, catalog, start_task);
    }
    for update in &draft.service_updates {
        check_update(draft, catalog, update);
    }
    check_loads(draft);
    check_alarms(draft);
    for service in &draft.services {
        check_policies(draft, service);
    }
    for read in &draft.faults {
        check_service_name(draft, &read.at);
        let kind = read.item.as_ref().map(|fault| &fault.kind);
        let of_fargate: &[&str] = match kind {
            Some(FaultKind::SpotInterruption { .. }) => &[FARGATE_SPOT],
            // One that can't be read is not to be told of more than once.
            Some(FaultKind::CapacityRefused { .. }) | None => &[FARGATE, FARGATE_SPOT],
            Some(_) => &[],
        };
        check_provider_name(draft, &read.at, "capacity_provider", of_fargate);
        if let Some(FaultKind::TaskCrash { task_definition: Some(reference), .. }) = kind {
            find_task_definition(draft, &read.at, reference);
        }
    }
    for read in &draft.instance_refreshes {
        check_provider_name(draft, &read.at, "capacity_provider", &[]);
    }
}

/// A task set runs where it says, and is placed as its service says.
fn check_task_set(draft: &Draft<'_>, catalog: &Catalog, set: &Asked<'_, TaskSetItem>) {
    check_strategy(draft, &set.strategy);
    let at = &set.read.at;
    let spec = &set.read.item.spec;
    let service = draft.services.iter().find(|service| service.read.item.name == spec.service);
    let service = service.map(|service| &service.read.item);
    let ask = Ask {
        at,
        task_definition: find_task_definition(draft, at, &spec.task_definition),
        target: &spec.launch_target,
        placement_strategy: service.map(|service| &*service.placement_strategy).unwrap_or_default(),
        placement_constraints: service.map(|service| &*service.placement_constraints).unwrap_or_default(),
        overrides: None,
    };
    check_ask(draft, catalog, &ask);
}

/// A provider that is named must be defined, or be one of those that are there in any case.
fn check_provider_name(draft: &Draft<'_>, at: &Table<'_>, key: &'static str, given: &[&str]) {
    let Some(value) = at.get(key).filter(|value| value.is_string()) else { return };
    let name = value.string().unwrap_or_default();
    let known = || draft.capacity_providers.iter().map(|read| &*read.item.name);
    if !given.contains(&name) && !has_nameless(known()) && !known().any(|other| other == name) {
        let help = nearest(name, known()).map(did_you_mean);
        value.reject_with_help(format!("capacity provider {} is not defined in this file", quoted(name)), help);
    }
}

fn check_service_name(draft: &Draft<'_>, at: &Table<'_>) {
    let Some(value) = at.get("service").filter(|value| value.is_string()) else { return };
    let name = value.string().unwrap_or_default();
    let known = || draft.services.iter().map(|service| &*service.read.item.name);
    if !has_nameless(known()) && !known().any(|other| other == name) {
        let help = nearest(name, known()).map(did_you_mean);
        value.reject_with_help(format!("service {} is not defined in this file", quoted(name)), help);
    }
}

/// An alarm on one of the cluster's own metrics must name something that is measured: one that does not would never come to a state.
/// *Ours:* CloudWatch takes any name.
fn check_alarms(draft: &Draft<'_>) {
    for alarm in draft.alarms.iter().filter(|alarm| alarm.is_sound()) {
        let metric = &alarm.item.metric;
        if !metric.namespace.starts_with("AWS/ECS") && &*metric.namespace != "ECS/ContainerInsights" {
            continue;
        }
        let dimension = |name: &str| metric.dimensions.get(name).map(|value| &**value);
        match dimension("ClusterName") {
            None => alarm.at.reject("dimensions", format!("a metric of {} needs ClusterName", metric.namespace)),
            Some(name) if name != draft.cluster_name => alarm.at.reject(
                "dimensions",
                format!("this cluster is named {}, not {}", quoted(&draft.cluster_name), quoted(name)),
            ),
            Some(_) => {}
        }
        let services = || draft.services.iter().map(|service| &*service.read.item.name);
        if let Some(name) = dimension("ServiceName")
            && !has_nameless(services())
            && !services().any(|other| other == name)
        {
            let help = nearest(name, services()).map(did_you_mean);
            let message = format!("service {} is not defined in this file", quoted(name));
            alarm.at.reject_with_help("dimensions", message, help);
        }
    }
}

/// The alarms of step scaling policies.
fn check_policies(draft: &Draft<'_>, service: &Asked<'_, ServiceSpec>) {
    let alarms = || draft.alarms.iter().map(|alarm| &*alarm.item.name);
    let auto_scaling = service.read.at.table("auto_scaling", &AUTO_SCALING);
    let configuration = service.read.at.table("deployment_configuration", &DEPLOYMENT_CONFIGURATION);
    let watched = configuration.and_then(|table| table.table("alarms", &DEPLOYMENT_ALARMS)?.get("alarm_names"));
    if let Some(value) = watched
        && let Some(names) = value.strings()
        && !has_nameless(alarms())
    {
        for name in names.iter().filter(|name| !alarms().any(|other| other == name.as_str())) {
            let help = nearest(name, alarms()).map(did_you_mean);
            value.reject_with_help(format!("alarm {} is not defined in this file", quoted(name)), help);
        }
    }
    for policy in auto_scaling.map(|table| table.tables("step_scaling", &STEP_SCALING)).unwrap_or_default() {
        let Some(value) = policy.get("alarm").filter(|value| value.is_string()) else { continue };
        let name = value.string().unwrap_or_default();
        if !has_nameless(alarms()) && !alarms().any(|other| other == name) {
            let help = nearest(name, alarms()).map(did_you_mean);
            value.reject_with_help(format!("alarm {} is not defined in this file", quoted(name)), help);
        }
    }
}

/// The service is there, and can run what it is to run.
fn check_update(draft: &Draft<'_>, catalog: &Catalog, update: &Read<'_, ScheduledServiceUpdate>) {
    let at = &update.at;
    check_service_name(draft, at);
    let service = draft.services.iter().find(|service| service.read.item.name == update.item.service);
    let (Some(reference), Some(service)) = (&update.item.task_definition, service) else { return };
    let spec = &service.read.item;
    if spec.deployment_controller.has_task_sets() {
        let controller = spec.deployment_controller.as_str();
        at.reject("task_definition", format!("the deployment_controller \"{controller}\" changes it, not the service"));
        return;
    }
    let ask = Ask {
        at,
        task_definition: find_task_definition(draft, at, reference),
        target: &spec.launch_target,
        placement_strategy: &[],
        placement_constraints: &spec.placement_constraints,
        overrides: None,
    };
    check_ask(draft, catalog, &ask);
    if let Some(read) = ask.task_definition.filter(|read| read.is_sound() && has_other_ports(spec, &read.item)) {
        let family = &read.item.family;
        at.reject(
            "task_definition",
            format!("task definition \"{family}\" lacks a container or port of load_balancers"),
        );
    }
}

/// Whether a definition lacks what its service's load balancers name.
fn has_other_ports(spec: &ServiceSpec, definition: &TaskDefinition) -> bool {
    let has = |one: &LoadBalancer| {
        let named = definition.containers.iter().find(|container| *container.name == *one.container_name);
        named.is_some_and(|named| named.port_mappings.iter().any(|port| port.container_port == one.container_port))
    };
    !spec.load_balancers.iter().all(has)
}

/// A lifecycle hook runs as a task on Fargate. **Source:** ecs-semantics §5.8.
fn check_hooks(draft: &Draft<'_>, catalog: &Catalog, service: &Asked<'_, ServiceSpec>) {
    let configuration = service.read.at.table("deployment_configuration", &DEPLOYMENT_CONFIGURATION);
    let tables = configuration.map(|table| table.tables("lifecycle_hooks", &DEPLOYMENT_HOOK)).unwrap_or_default();
    for (at, hook) in tables.iter().zip(&service.read.item.deployment_configuration.lifecycle_hooks) {
        if let HookTarget::TaskDefinition(reference) = &hook.target {
            let task_definition = find_task_definition(draft, at, reference);
            let target = &LaunchTarget::LaunchType(LaunchType::Fargate);
            let ask = Ask {
                at,
                task_definition,
                target,
                placement_strategy: &[],
                placement_constraints: &[],
                overrides: None,
            };
            check_ask(draft, catalog, &ask);
        }
    }
}

/// What a service and standalone tasks have in common.
struct Ask<'d, 'a> {
    at: &'d Table<'a>,
    task_definition: Option<&'d Read<'a, TaskDefinition>>,
    target: &'d LaunchTarget,
    placement_strategy: &'d [PlacementStrategy],
    placement_constraints: &'d [PlacementConstraint],
    /// What it changes of the task definition, where it can.
    overrides: Option<&'d TaskOverrides>,
}

impl Ask<'_, '_> {
    /// A definition as the tasks run it; `None` where overrides break a rule, which is complained of elsewhere.
    fn as_run<'t>(&self, definition: &'t TaskDefinition, launch_type: LaunchType) -> Option<Cow<'t, TaskDefinition>> {
        let resized = self.overrides.map_or(Ok(None), |overrides| overrides.resized(definition, launch_type));
        resized.ok().map(|resized| resized.map_or(Cow::Borrowed(definition), Cow::Owned))
    }
}

/// Where the tasks of an ask run.
enum Ground<'d> {
    Fargate,
    /// On any instance of the file.
    Ec2,
    /// On the instances of providers.
    Providers(&'d [CapacityProviderStrategyItem]),
}

/// The instances are named, and what runs there is known. **Source:** ecs-semantics §4.5.
fn check_start_task(draft: &Draft<'_>, catalog: &Catalog, start_task: &Read<'_, ScheduledStartTask>) {
    let at = &start_task.at;
    let spec = &start_task.item.spec;
    let task_definition = find_task_definition(draft, at, &spec.task_definition);
    check_network_configuration(draft, at, task_definition.map(|read| &read.item));
    if let Some(task_definition) = task_definition {
        let overrides = start_task.is_sound().then_some(&*spec.overrides);
        check_overrides(at, task_definition, overrides, LaunchType::Ec2, catalog);
    }
    let known =
        || draft.container_instances.iter().flat_map(|read| &read.item).filter_map(|launch| launch.name.as_deref());
    for item in at.get("container_instances").and_then(|value| value.list("a list of strings")).unwrap_or_default() {
        let Some(name) = item.string() else { continue };
        if !known().any(|other| other == name) {
            let message = format!("no container_instance of this file is named {}", quoted(name));
            item.reject_with_help(message, nearest(name, known()).map(did_you_mean));
        }
    }
}

/// **Source:** ecs-semantics §4.1: a task has at most ten constraints, its definition's among them.
fn check_constraints(ask: &Ask<'_, '_>) {
    let of_definition = ask.task_definition.map_or(0, |read| read.item.placement_constraints.len());
    let (own, together) = (ask.placement_constraints.len(), ask.placement_constraints.len() + of_definition);
    if own <= PLACEMENT_CONSTRAINTS_MAX
        && of_definition <= PLACEMENT_CONSTRAINTS_MAX
        && together > PLACEMENT_CONSTRAINTS_MAX
    {
        ask.at.reject(
            "placement_constraints",
            format!("{together} constraints are too many: at most 10, with the {of_definition} of the task definition"),
        );
    }
}

fn check_ask(draft: &Draft<'_>, catalog: &Catalog, ask: &Ask<'_, '_>) {
    check_constraints(ask);
    let default: Vec<CapacityProviderStrategyItem> = super::launch::strategy_items(&draft.default_strategy);
    match ground_of(ask.target, &default) {
        Ground::Fargate => check_on_fargate(catalog, ask),
        Ground::Ec2 => check_on_ec2(draft, ask, None),
        Ground::Providers(items) => check_on_ec2(draft, ask, Some(items)),
    }
}

/// **Source:** ecs-semantics §4.5.
fn ground_of<'d>(target: &'d LaunchTarget, default: &'d [CapacityProviderStrategyItem]) -> Ground<'d> {
    match target {
        LaunchTarget::LaunchType(LaunchType::Fargate) => Ground::Fargate,
        LaunchTarget::LaunchType(LaunchType::Ec2) => Ground::Ec2,
        LaunchTarget::ClusterDefault if default.is_empty() => Ground::Ec2,
        LaunchTarget::ClusterDefault => ground_of_strategy(default),
        LaunchTarget::Strategy(items) => ground_of_strategy(items),
    }
}

fn ground_of_strategy(items: &[CapacityProviderStrategyItem]) -> Ground<'_> {
    if items.iter().any(|item| is_fargate(&item.capacity_provider)) {
        Ground::Fargate
    } else {
        Ground::Providers(items)
    }
}

/// **Source:** ecs-semantics §4.1, §8.1.
fn check_on_fargate(catalog: &Catalog, ask: &Ask<'_, '_>) {
    if !ask.placement_strategy.is_empty() {
        ask.at.reject("placement_strategy", "placement strategies are not supported on Fargate");
    }
    if !ask.placement_constraints.is_empty() {
        ask.at.reject("placement_constraints", "placement constraints are not supported on Fargate");
    }
    // A definition that requires Fargate has been checked for it where it stands.
    let checked_here = |read: &&Read<'_, TaskDefinition>| {
        read.is_sound() && !read.item.requires_compatibilities.contains(&LaunchType::Fargate)
    };
    let Some(task_definition) = ask.task_definition.filter(checked_here) else { return };
    let Some(as_run) = ask.as_run(&task_definition.item, LaunchType::Fargate) else { return };
    if let Some(problem) = fargate_problems(&as_run, catalog.fargate_sizes()).first() {
        ask.at.reject_with_help(
            "task_definition",
            format!(
                "task definition \"{}\" does not support launch type FARGATE: {}",
                task_definition.item.family, problem.message
            ),
            Some(
                "add requires_compatibilities = [\"FARGATE\"] to the task definition to have all of it checked"
                    .to_owned(),
            ),
        );
    }
}

/// A task must fit on an empty instance of some kind that the file has.
///
/// *Ours:* ECS accepts such a task and says `RESOURCE:CPU` each time that it tries. An instance registers somewhat less memory
/// than its type has; this compares with what the type has, less what its agent reserves, so that it only refuses what can never run.
fn check_on_ec2(draft: &Draft<'_>, ask: &Ask<'_, '_>, strategy: Option<&[CapacityProviderStrategyItem]>) {
    let Some(task_definition) = ask.task_definition.filter(|read| read.is_sound()) else { return };
    if capacity::soundness(&draft.capacity_providers, &draft.container_instances) == Soundness::Flawed {
        return;
    }
    let is_meant = |name: &str| strategy.is_none_or(|items| items.iter().any(|item| *item.capacity_provider == *name));
    let groups = draft.capacity_providers.iter().map(|read| &read.item).filter(|provider| is_meant(&provider.name));
    let by_hand = draft.container_instances.iter().flat_map(|read| &read.item).filter(|_| strategy.is_none());
    let types: Vec<(&InstanceType, MemoryMib)> = groups
        .map(|provider| &provider.auto_scaling_group)
        .filter(|group| group.max_size > 0)
        .map(|group| (&*group.instance_type, group.reserved_memory))
        .chain(by_hand.map(|launch| (&*launch.instance_type, launch.reserved_memory)))
        .collect();
    let Some(as_run) = ask.as_run(&task_definition.item, LaunchType::Ec2) else { return };
    let reservation = as_run.reservation();
    let fits = |(instance_type, reserved): &(&InstanceType, MemoryMib)| {
        let memory = instance_type.resources(*reserved).memory;
        reservation.cpu <= instance_type.cpu_units() && reservation.memory <= memory
    };
    let reserved = reserved_ports();
    if let Some(port) = reservation.ports.intersection(&reserved).next() {
        let family = &task_definition.item.family;
        let message = format!("host port {} of \"{family}\" is taken on every container instance", port.port);
        let taken: Vec<String> = reserved.iter().map(|port| port.port.to_string()).collect();
        ask.at.reject_with_help("task_definition", message, Some(format!("taken are {}", taken.join(", "))));
        return;
    }
    if types.iter().any(fits) {
        return;
    }
    match strategy {
        // A strategy of providers that are not defined has been told so.
        Some(_) if types.is_empty() && !draft.capacity_providers.iter().any(|read| is_meant(&read.item.name)) => {}
        None if types.is_empty() => ask.at.reject_with_help(
            "task_definition",
            "its tasks run on EC2, and this file has no capacity provider or container instance",
            Some("add [[capacity_provider]] or [[container_instance]], or launch_type = \"FARGATE\"".to_owned()),
        ),
        _ => {
            let kinds = match strategy {
                Some(_) => "no capacity provider of its strategy",
                None => "no capacity provider or container instance in this file",
            };
            ask.at.reject(
                "task_definition",
                format!(
                    "{kinds} can hold a task of \"{}\", which takes cpu {} and memory {}",
                    task_definition.item.family, reservation.cpu, reservation.memory
                ),
            );
        }
    }
}

/// **Source:** ecs-semantics §6.1: known providers, all of one family.
fn check_strategy(draft: &Draft<'_>, items: &[Read<'_, CapacityProviderStrategyItem>]) {
    let known = || draft.capacity_providers.iter().map(|read| &*read.item.name).chain([FARGATE, FARGATE_SPOT]);
    for read in items {
        let name = &*read.item.capacity_provider;
        if !name.is_empty() && !has_nameless(known()) && !known().any(|other| other == name) {
            let help = nearest(name, known()).map(did_you_mean);
            read.at.reject_with_help(
                "capacity_provider",
                format!("capacity provider {} is not defined in this file", quoted(name)),
                help,
            );
        }
    }
    let Some(first) = items.first() else { return };
    let is_other = |read: &&Read<'_, CapacityProviderStrategyItem>| {
        is_fargate(&read.item.capacity_provider) != is_fargate(&first.item.capacity_provider)
    };
    if let Some(other) = items.iter().find(is_other) {
        other.at.reject(
            "capacity_provider",
            "a strategy cannot mix Fargate with capacity providers of Auto Scaling groups",
        );
    }
}

fn find_task_definition<'d, 'a>(
    draft: &'d Draft<'a>,
    at: &Table<'_>,
    reference: &TaskDefinitionRef,
) -> Option<&'d Read<'a, TaskDefinition>> {
    let found = resolve(draft, reference);
    let families = || draft.task_definitions.iter().map(|read| read.item.family.as_str());
    if found.is_some() || reference.family.is_empty() || has_nameless(families()) {
        return found;
    }
    let revisions = families().filter(|family| *family == reference.family).count();
    match reference.revision {
        Some(revision) if revisions > 0 => at.reject(
            "task_definition",
            format!(
                "task definition \"{}\" has no revision {revision}: this file defines {revisions} of it",
                reference.family
            ),
        ),
        _ => at.reject_with_help(
            "task_definition",
            format!("task definition {} is not defined in this file", quoted(&reference.family)),
            nearest(&reference.family, families()).map(did_you_mean),
        ),
    }
    None
}

/// The task definition of a reference: the n-th of its family is its revision n, and the last is what the family alone means.
fn resolve<'d, 'a>(draft: &'d Draft<'a>, reference: &TaskDefinitionRef) -> Option<&'d Read<'a, TaskDefinition>> {
    let mut revisions = draft.task_definitions.iter().filter(|read| read.item.family == reference.family);
    match reference.revision {
        Some(revision) => revisions.nth(usize::try_from(revision.checked_sub(1)?).ok()?),
        None => revisions.next_back(),
    }
}

/// Whether one of the things that could be meant has a name that could not be read: then nothing is known to be undefined.
fn has_nameless<'n>(mut names: impl Iterator<Item = &'n str>) -> bool {
    names.any(str::is_empty)
}

/// The containers are the task definition's, and the sizes, where they could be read, such as its tasks may have.
/// **Source:** ecs-semantics §2.5.
fn check_overrides(
    at: &Table<'_>,
    task_definition: &Read<'_, TaskDefinition>,
    overrides: Option<&TaskOverrides>,
    launch_type: LaunchType,
    catalog: &Catalog,
) {
    let Some(of_task) = at.table("overrides", &OVERRIDES) else { return };
    let containers = of_task.tables("container", &CONTAINER_OVERRIDE);
    for table in &containers {
        check_container(table, "name", &task_definition.item);
    }
    let definition = &task_definition.item;
    let Some(overrides) = overrides.filter(|_| task_definition.is_sound()) else { return };
    let Err(error) = overrides.resized(definition, launch_type) else { return };
    let of_container = |name: &str| {
        let is_named = |table: &&Table<'_>| table.get("name").and_then(|value| value.string()) == Some(name);
        containers.iter().find(is_named)
    };
    let with_gpus = || containers.iter().find(|table| table.has("resource_requirements"));
    let (table, key) = match &error {
        // That was said above.
        OverrideError::UnknownContainer(_) => return,
        OverrideError::FargateSize => (Some(&of_task), if of_task.has("memory") { "memory" } else { "cpu" }),
        OverrideError::TaskCpu(_) => (Some(&of_task), "cpu"),
        OverrideError::Reservation { container, .. } => (of_container(container), "memory_reservation"),
        OverrideError::TooLittleMemory { container, .. } | OverrideError::TooMuchMemory { container, .. } => {
            (of_container(container), "memory")
        }
        OverrideError::Sum { what, .. } => (Some(&of_task), if *what == "cpu" { "cpu" } else { "memory" }),
        OverrideError::EphemeralStorage => (Some(&of_task), "ephemeral_storage"),
        OverrideError::Gpus => (with_gpus(), "resource_requirements"),
    };
    let sizes = (overrides.cpu.or(definition.cpu), overrides.memory.or(definition.memory));
    let message = match (&error, sizes) {
        (OverrideError::FargateSize, (Some(cpu), Some(memory))) => check_fargate_size(cpu, memory, catalog).err(),
        _ => None,
    };
    let message = message.unwrap_or_else(|| in_words_of_files(&error.to_string()));
    match table {
        Some(table) if table.has(key) => table.reject(key, message),
        Some(table) => table.reject_whole(message),
        None => of_task.reject_whole(message),
    }
}

/// A rule's text with the names that files have for what it is about.
fn in_words_of_files(rule: &str) -> String {
    rule.replace("memoryReservation", "memory_reservation").replace("ephemeralStorage", "ephemeral_storage")
}

fn check_container(at: &Table<'_>, key: &'static str, task_definition: &TaskDefinition) {
    let Some(value) = at.get(key).filter(|value| value.is_string()) else { return };
    let name = value.string().unwrap_or_default();
    let known = || task_definition.containers.iter().map(|container| container.name.as_str());
    if !has_nameless(known()) && !known().any(|other| other == name) {
        value.reject_with_help(
            format!("task definition \"{}\" has no container {}", task_definition.family, quoted(name)),
            nearest(name, known()).map(did_you_mean),
        );
    }
}

fn check_loads(draft: &Draft<'_>) {
    for load in &draft.loads {
        let name = &*load.item.service;
        if name.is_empty() {
            continue;
        }
        let services = || draft.services.iter().map(|service| &service.read.item);
        let Some(service) = services().find(|service| *service.name == *name) else {
            if !has_nameless(services().map(|service| &*service.name)) {
                let help = nearest(name, services().map(|service| &*service.name)).map(did_you_mean);
                let message = format!("service {} is not defined in this file", quoted(name));
                load.at.reject_with_help("service", message, help);
            }
            continue;
        };
        // A reference that leads nowhere has been told so at the service.
        let of_sets = draft.task_sets.iter().map(|set| &set.read.item.spec).filter(|set| set.service == service.name);
        let references = std::iter::once(&service.task_definition).chain(of_sets.map(|set| &set.task_definition));
        // One that lacks the container is enough: it is told once.
        if let Some(task_definition) = references.filter_map(|reference| resolve(draft, reference)).next() {
            check_container(&load.at, "container", &task_definition.item);
        }
    }
}
