//! A task definition as clients write it, as the control planes have it, and as ECS answers it.
//!
//! What a control plane has a use for is translated; the whole of the request is kept beside it and comes back as it was, with what ECS
//! adds. Secrets and environment files name other services, and host volumes name folders of a machine that is not the client's: these
//! are kept and given back, and a container sees none of them (a host volume is an empty folder of its task).
//!
//! **Source:** ecs-semantics §1.4, §1.5, §8.1.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::members::Members;
use super::names::is_name;
use crate::catalog::Catalog;
use crate::config::{SizeError, check_fargate_size, parse_task_cpu, parse_task_memory};
use crate::model::cluster_query::ClusterQuery;
use crate::model::container_order::{ContainerDependency, DependencyCondition, dependency_problems};
use crate::model::health_command::{HealthCommand, Shell};
use crate::model::service::{PLACEMENT_CONSTRAINTS_MAX, PlacementConstraint};
use crate::model::task_definition::{
    ContainerDefinition, CpuArchitecture, HealthCheck, LaunchType, MountPoint, NO_GPUS_ON_FARGATE, NetworkMode,
    PortMapping, Protocol, RestartPolicy, TaskDefinition, VersionConsistency, Volume, VolumeAccess,
};
use crate::model::units::{CpuUnits, MemoryMib};

/// The least memory that a container may be given. **Source:** ecs-semantics §1.5.
const CONTAINER_MEMORY_MIN: u32 = 6;
/// The longest name of an image. **Source:** ecs-semantics §1.3.
const IMAGE_MAX: usize = 255;

/// Translates the members of RegisterTaskDefinition. The revision is not given yet, and the tags are not looked at.
///
/// # Errors
/// The rule that is broken.
pub fn read(input: Members<'_>, catalog: &Catalog) -> Result<TaskDefinition, ApiError> {
    let family = input.required_text("family");
    if family.is_empty() {
        return Err(ApiError::client("Family should not be null or empty."));
    }
    if !is_name(family) {
        return Err(ApiError::client(
            "Family contains invalid characters: up to 255 letters, numbers, underscores, and hyphens are allowed.",
        ));
    }
    let invalid = |error: SizeError| ApiError::client(error.to_string());
    let cpu = input.text("cpu").filter(|text| !text.is_empty()).map(parse_task_cpu).transpose().map_err(invalid)?;
    let memory = input.text("memory").filter(|text| !text.is_empty());
    let memory = memory.map(parse_task_memory).transpose().map_err(invalid)?;
    let mut definition = TaskDefinition {
        family: family.to_owned(),
        cpu,
        memory,
        network_mode: network_mode(input),
        requires_compatibilities: input.texts("requiresCompatibilities").filter_map(launch_type).collect(),
        ephemeral_storage_gib: input.structure("ephemeralStorage").and_then(|storage| storage.count("sizeInGiB")),
        ..TaskDefinition::default()
    };
    if let Some(platform) = input.structure("runtimePlatform") {
        let architecture = platform.text("cpuArchitecture").map(|name| match name {
            "ARM64" => CpuArchitecture::Arm64,
            _ => CpuArchitecture::X86_64,
        });
        definition.required_architecture = architecture;
        definition.cpu_architecture = architecture.unwrap_or_default();
    }
    definition.volumes = volumes(input)?;
    definition.placement_constraints = placement_constraints(input.structures("placementConstraints"))?;
    let constraints = &definition.placement_constraints;
    if constraints.len() > PLACEMENT_CONSTRAINTS_MAX || constraints.contains(&PlacementConstraint::DistinctInstance) {
        return Err(ApiError::client("Task definitions accept at most 10 placement constraints, of type memberOf."));
    }
    let containers: Result<Vec<_>, ApiError> =
        input.structures("containerDefinitions").map(|container| read_container(container, &definition)).collect();
    definition.containers = containers?;
    check(&definition, catalog)?;
    Ok(definition)
}

fn network_mode(input: Members<'_>) -> NetworkMode {
    match input.text("networkMode") {
        Some("host") => NetworkMode::Host,
        Some("awsvpc") => NetworkMode::Awsvpc,
        Some("none") => NetworkMode::None,
        _ => NetworkMode::Bridge,
    }
}

/// Launch types that there are here; EXTERNAL instances are EC2's to a control plane.
fn launch_type(name: &str) -> Option<LaunchType> {
    match name {
        "EC2" | "EXTERNAL" => Some(LaunchType::Ec2),
        "FARGATE" => Some(LaunchType::Fargate),
        _ => None,
    }
}

fn volumes(input: Members<'_>) -> Result<Vec<Volume>, ApiError> {
    let mut seen = BTreeSet::new();
    let volumes = input.structures("volumes").map(|volume| {
        let name = volume.required_text("name");
        if !is_name(name) || !seen.insert(name.to_owned()) {
            return Err(ApiError::client(format!(
                "Invalid volume name '{name}': each volume needs a name of its own."
            )));
        }
        Ok(Volume { name: name.to_owned(), host_source_path: None })
    });
    volumes.collect()
}

/// Placement constraints of a request. **Source:** ecs-semantics §4.3.
///
/// # Errors
/// When an expression can't be read.
pub fn placement_constraints<'a>(
    list: impl Iterator<Item = Members<'a>>,
) -> Result<Vec<PlacementConstraint>, ApiError> {
    let constraints = list.map(|constraint| match constraint.text("type") {
        Some("distinctInstance") => Ok(PlacementConstraint::DistinctInstance),
        _ => {
            let expression = constraint.required_text("expression");
            let query = ClusterQuery::parse(expression).map_err(|error| {
                ApiError::invalid_parameter(format!(
                    "Invalid expression in placement constraint '{expression}': {error}"
                ))
            })?;
            Ok(PlacementConstraint::MemberOf(query.into()))
        }
    });
    constraints.collect()
}

fn read_container(container: Members<'_>, definition: &TaskDefinition) -> Result<ContainerDefinition, ApiError> {
    let name = container.required_text("name");
    let refused = |what: String| Err(ApiError::client(format!("Container '{name}': {what}")));
    if !is_name(name) {
        return Err(ApiError::client(format!("Invalid container name '{name}'.")));
    }
    let image = container.required_text("image");
    if image.is_empty() {
        return Err(ApiError::client("Container.image should not be null or empty."));
    }
    if image.split('@').next().is_some_and(|name| name.len() > IMAGE_MAX) {
        return refused("the name of its image is too long.".into());
    }
    let texts = |member: &str| container.texts(member).map(str::to_owned).collect::<Vec<_>>();
    let size = |member: &str| container.count(member).filter(|size| *size > 0).map(MemoryMib);
    let timeout = |member: &str| container.count(member).map(|seconds| Duration::from_secs(seconds.into()));
    let (memory, memory_reservation) = (size("memory"), size("memoryReservation"));
    if [memory, memory_reservation].into_iter().flatten().any(|size| size.0 < CONTAINER_MEMORY_MIN) {
        return refused(format!("the minimum amount of memory is {CONTAINER_MEMORY_MIN} MiB."));
    }
    if let (Some(hard), Some(soft)) = (memory, memory_reservation)
        && hard < soft
    {
        return refused("memory must be greater than memoryReservation.".into());
    }
    if container.integer("cpu").is_some_and(|cpu| cpu < 0) {
        return refused("cpu must not be negative.".into());
    }
    Ok(ContainerDefinition {
        name: name.to_owned(),
        image: image.to_owned(),
        entry_point: container.has("entryPoint").then(|| texts("entryPoint")).filter(|words| !words.is_empty()),
        command: texts("command"),
        environment: environment(container),
        cpu: CpuUnits(container.count("cpu").unwrap_or(0)),
        memory,
        memory_reservation,
        essential: container.flag("essential").unwrap_or(true),
        mount_points: mount_points(container, definition)?,
        port_mappings: port_mappings(container, definition)?,
        stop_timeout: timeout("stopTimeout"),
        health_check: container.structure("healthCheck").map(|check| health_check(name, check)).transpose()?,
        depends_on: container.structures("dependsOn").map(dependency).collect(),
        start_timeout: timeout("startTimeout"),
        restart_policy: container.structure("restartPolicy").and_then(restart_policy),
        gpus: gpus(container)?.unwrap_or_default(),
        version_consistency: match container.text("versionConsistency") {
            Some("disabled") => VersionConsistency::Disabled,
            _ => VersionConsistency::Enabled,
        },
        ..ContainerDefinition::default()
    })
}

/// The GPUs of a container or an override, if it names any. Other resources are kept as they were sent and limit nothing.
pub fn gpus(container: Members<'_>) -> Result<Option<u32>, ApiError> {
    let mut gpus = None;
    for required in container.structures("resourceRequirements").filter(|found| found.text("type") == Some("GPU")) {
        let value = required.required_text("value");
        let count = value.parse().ok().filter(|count: &u32| *count > 0);
        let count =
            count.ok_or_else(|| ApiError::client(format!("Invalid value '{value}' for resource requirement GPU.")))?;
        gpus = Some(count);
    }
    Ok(gpus)
}

/// The variables of a container or an override.
pub fn environment(container: Members<'_>) -> BTreeMap<String, String> {
    let variables = container.structures("environment");
    let variables = variables.map(|variable| (variable.required_text("name"), variable.required_text("value")));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).filter(|(name, _)| !name.is_empty()).collect()
}

fn mount_points(container: Members<'_>, definition: &TaskDefinition) -> Result<Vec<MountPoint>, ApiError> {
    let points = container.structures("mountPoints").filter(|point| point.has("sourceVolume")).map(|point| {
        let source_volume = point.required_text("sourceVolume").to_owned();
        if !definition.volumes.iter().any(|volume| volume.name == source_volume) {
            return Err(ApiError::client(format!("Unknown volume '{source_volume}'.")));
        }
        let access =
            if point.flag("readOnly") == Some(true) { VolumeAccess::ReadOnly } else { VolumeAccess::ReadWrite };
        Ok(MountPoint { source_volume, container_path: point.required_text("containerPath").to_owned(), access })
    });
    points.collect()
}

fn port_mappings(container: Members<'_>, definition: &TaskDefinition) -> Result<Vec<PortMapping>, ApiError> {
    let mut mappings = Vec::new();
    for mapping in container.structures("portMappings") {
        // A range of ports takes no single port.
        let Some(container_port) = mapping.integer("containerPort") else { continue };
        let port =
            |number: i64| u16::try_from(number).map_err(|_| ApiError::client("Ports must be between 0 and 65535."));
        let container_port = port(container_port)?;
        let host_port = mapping.integer("hostPort").map(port).transpose()?;
        let host_port = match definition.network_mode {
            NetworkMode::None => {
                return Err(ApiError::client("When networkMode=none, port mappings are not allowed."));
            }
            NetworkMode::Bridge => host_port.unwrap_or(0),
            NetworkMode::Host | NetworkMode::Awsvpc => match host_port {
                Some(other) if other != 0 && other != container_port => {
                    return Err(ApiError::client(
                        "When networkMode=host or awsvpc, the host ports and container ports in port mappings must match.",
                    ));
                }
                _ => container_port,
            },
        };
        let protocol = if mapping.text("protocol") == Some("udp") { Protocol::Udp } else { Protocol::Tcp };
        mappings.push(PortMapping { container_port, host_port, protocol });
    }
    Ok(mappings)
}

/// A health check. A line that needs a shell is given to the image's: one that stands for an image with a shell has one.
fn health_check(container: &str, check: Members<'_>) -> Result<HealthCheck, ApiError> {
    let default = HealthCheck::default();
    let within = |member: &str, least: i64, most: i64| match check.integer(member) {
        Some(number) if !(least..=most).contains(&number) => Err(ApiError::client(format!(
            "Container '{container}': healthCheck.{member} must be between {least} and {most}."
        ))),
        _ => Ok(check.count(member)),
    };
    let seconds = |found: Option<u32>, default: Duration| found.map_or(default, |n| Duration::from_secs(n.into()));
    let command = HealthCommand::words(check.texts("command").map(str::to_owned).collect(), Shell::Unknown);
    Ok(HealthCheck {
        command: command.map_err(|error| ApiError::client(format!("Container '{container}': {error}")))?,
        interval: seconds(within("interval", 5, 300)?, default.interval),
        timeout: seconds(within("timeout", 2, 60)?, default.timeout),
        retries: within("retries", 1, 10)?.unwrap_or(default.retries),
        start_period: seconds(within("startPeriod", 0, 300)?, default.start_period),
    })
}

fn dependency(found: Members<'_>) -> ContainerDependency {
    let condition = match found.text("condition") {
        Some("COMPLETE") => DependencyCondition::Complete,
        Some("SUCCESS") => DependencyCondition::Success,
        Some("HEALTHY") => DependencyCondition::Healthy,
        _ => DependencyCondition::Start,
    };
    ContainerDependency { container_name: found.required_text("containerName").to_owned(), condition }
}

fn restart_policy(policy: Members<'_>) -> Option<RestartPolicy> {
    let default = RestartPolicy::default();
    let codes = policy.list("ignoredExitCodes").iter().filter_map(Value::as_i64);
    let period = policy.count("restartAttemptPeriod").map(|seconds| Duration::from_secs(seconds.into()));
    let policy_of = || RestartPolicy {
        ignored_exit_codes: codes.filter_map(|code| i32::try_from(code).ok()).collect(),
        restart_attempt_period: period.unwrap_or(default.restart_attempt_period),
    };
    (policy.flag("enabled") == Some(true)).then(policy_of)
}

/// The rules between members. **Source:** ecs-semantics §1.4, §1.5, §8.1, §11.2.
fn check(definition: &TaskDefinition, catalog: &Catalog) -> Result<(), ApiError> {
    let containers = &definition.containers;
    if containers.is_empty() {
        return Err(ApiError::client("Container list cannot be empty."));
    }
    let names: BTreeSet<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    if names.len() < containers.len() {
        return Err(ApiError::client("Container names must be unique within a task definition."));
    }
    if !containers.iter().any(|container| container.essential) {
        return Err(ApiError::client("At least one container must be marked as essential."));
    }
    if let Some(problem) = dependency_problems(containers).into_iter().next() {
        return Err(ApiError::client(problem.message));
    }
    if let Some(cpu) = definition.cpu {
        let sum: u32 = containers.iter().map(|container| container.cpu.0).fold(0, u32::saturating_add);
        if sum > cpu.0 {
            return Err(ApiError::client(format!(
                "The sum of the cpu of the containers ({sum}) is greater than the cpu of the task ({}).",
                cpu.0
            )));
        }
    }
    if let Some(memory) = definition.memory {
        let reserved = |container: &ContainerDefinition| container.memory_reservation.or(container.memory);
        if let Some(above) = containers.iter().find(|container| reserved(container).is_some_and(|size| size > memory)) {
            return Err(ApiError::client(format!(
                "Container '{}' wants more memory than the task has: {} MiB.",
                above.name, memory.0
            )));
        }
    }
    if definition.requires_compatibilities.contains(&LaunchType::Fargate) {
        return check_fargate(definition, catalog);
    }
    let has_size = |container: &ContainerDefinition| container.memory.or(container.memory_reservation).is_some();
    if definition.memory.is_none()
        && let Some(without) = containers.iter().find(|container| !has_size(container))
    {
        return Err(ApiError::client(format!(
            "Invalid setting for container '{}'. At least one of 'memory' or 'memoryReservation' must be specified.",
            without.name
        )));
    }
    Ok(())
}

/// **Source:** ecs-semantics §8.1, §11.2.
fn check_fargate(definition: &TaskDefinition, catalog: &Catalog) -> Result<(), ApiError> {
    if definition.network_mode != NetworkMode::Awsvpc {
        return Err(ApiError::client("Fargate only supports network mode 'awsvpc'."));
    }
    let missing =
        |member: &str| ApiError::client(format!("Fargate requires that '{member}' be defined at the task level."));
    let cpu = definition.cpu.ok_or_else(|| missing("cpu"))?;
    let memory = definition.memory.ok_or_else(|| missing("memory"))?;
    check_fargate_size(cpu, memory, catalog)
        .map_err(|_| ApiError::client("No Fargate configuration exists for given values."))?;
    if definition.wants_gpus() {
        return Err(ApiError::client(NO_GPUS_ON_FARGATE));
    }
    if definition.ephemeral_storage_gib.is_some_and(|size| !(21..=200).contains(&size)) {
        return Err(ApiError::client("ephemeralStorage.sizeInGiB must be between 21 and 200."));
    }
    Ok(())
}

/// The launch types that a task definition may be run with. **Source:** ecs-semantics §1.4.
pub fn compatibilities(definition: &TaskDefinition, catalog: &Catalog) -> Vec<&'static str> {
    let mut found = Vec::new();
    if definition.network_mode != NetworkMode::Awsvpc {
        found.push("EXTERNAL");
    }
    found.push("EC2");
    if check_fargate(definition, catalog).is_ok() {
        found.push("FARGATE");
    }
    found
}

/// A registered task definition's members as ECS answers them: as they were sent, with what it adds to containers.
pub fn show(document: &Map<String, Value>, definition: &TaskDefinition) -> Map<String, Value> {
    let mut shown = document.clone();
    if let Some(cpu) = definition.cpu {
        shown.insert("cpu".into(), json!(cpu.0.to_string()));
    }
    if let Some(memory) = definition.memory {
        shown.insert("memory".into(), json!(memory.0.to_string()));
    }
    for list in ["volumes", "placementConstraints"] {
        shown.entry(list).or_insert_with(|| json!([]));
    }
    if let Some(Value::Array(containers)) = shown.get_mut("containerDefinitions") {
        for (container, defined) in containers.iter_mut().zip(&definition.containers) {
            if let Value::Object(container) = container {
                show_container(container, defined);
            }
        }
    }
    shown
}

/// **Source:** the outputs that the AWS CLI's manual shows.
fn show_container(container: &mut Map<String, Value>, defined: &ContainerDefinition) {
    container.entry("cpu").or_insert(json!(defined.cpu.0));
    container.entry("essential").or_insert(json!(true));
    for list in ["environment", "mountPoints", "portMappings", "volumesFrom", "systemControls"] {
        container.entry(list).or_insert_with(|| json!([]));
    }
    let Some(Value::Array(mappings)) = container.get_mut("portMappings") else { return };
    let single =
        mappings.iter_mut().filter_map(Value::as_object_mut).filter(|found| found.contains_key("containerPort"));
    for (mapping, defined) in single.zip(&defined.port_mappings) {
        mapping.entry("hostPort").or_insert(json!(defined.host_port));
        mapping.entry("protocol").or_insert(json!("tcp"));
    }
}

/// A task definition of a cluster file, as RegisterTaskDefinition would have had it.
pub fn write(definition: &TaskDefinition) -> Map<String, Value> {
    let containers = definition.containers.iter().map(write_container);
    let mode = match definition.network_mode {
        NetworkMode::Bridge => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::Awsvpc => "awsvpc",
        NetworkMode::None => "none",
    };
    let compatibilities: Vec<&str> = definition.requires_compatibilities.iter().map(|found| found.as_str()).collect();
    let mut document = Map::new();
    document.insert("family".into(), json!(definition.family));
    document.insert("networkMode".into(), json!(mode));
    document.insert("containerDefinitions".into(), containers.collect());
    if !compatibilities.is_empty() {
        document.insert("requiresCompatibilities".into(), json!(compatibilities));
    }
    if !definition.volumes.is_empty() {
        let volumes = definition.volumes.iter().map(|volume| json!({"name": volume.name}));
        document.insert("volumes".into(), volumes.collect());
    }
    if let Some(size) = definition.ephemeral_storage_gib {
        document.insert("ephemeralStorage".into(), json!({"sizeInGiB": size}));
    }
    document
}

fn write_container(container: &ContainerDefinition) -> Value {
    let environment = container.environment.iter().map(|(name, value)| json!({"name": name, "value": value}));
    let mappings = container.port_mappings.iter().map(|mapping| {
        let protocol = if mapping.protocol == Protocol::Udp { "udp" } else { "tcp" };
        json!({"containerPort": mapping.container_port, "hostPort": mapping.host_port, "protocol": protocol})
    });
    let mut written = json!({
        "name": container.name,
        "image": container.image,
        "cpu": container.cpu.0,
        "essential": container.essential,
        "environment": environment.collect::<Value>(),
        "portMappings": mappings.collect::<Value>(),
    });
    let sizes = [("memory", container.memory), ("memoryReservation", container.memory_reservation)];
    for (name, size) in sizes {
        if let Some(size) = size {
            written[name] = json!(size.0);
        }
    }
    if !container.command.is_empty() {
        written["command"] = json!(container.command);
    }
    if let Some(entry_point) = &container.entry_point {
        written["entryPoint"] = json!(entry_point);
    }
    if let Some(check) = &container.health_check {
        written["healthCheck"] = json!({
            "command": check.command,
            "interval": check.interval.as_secs(),
            "timeout": check.timeout.as_secs(),
            "retries": check.retries,
            "startPeriod": check.start_period.as_secs(),
        });
    }
    let dependencies = container
        .depends_on
        .iter()
        .map(|found| json!({"containerName": found.container_name, "condition": found.condition.as_str()}));
    if !container.depends_on.is_empty() {
        written["dependsOn"] = dependencies.collect();
    }
    written
}
