//! `[[task_definition.container]]`: one container, its mount points and its ports.

use std::collections::BTreeMap;

use super::container_lifecycle::{
    check_dependencies, read_depends_on, read_environment_files, read_health_check, read_restart_policy, read_secrets,
};
use super::document::Context;
use super::keys::{CONTAINER, MOUNT_POINT, PORT_MAPPING, RESOURCE_REQUIREMENT, TableKeys};
use super::paths::{at_path, resolve_image};
use super::reader::{Table, Words, did_you_mean, or_list, quoted};
use super::suggest::nearest;
use super::tags::read_environment;
use super::task_definitions::LEAST_MEMORY;
use crate::model::health_command::Shell;
use crate::model::task_definition::{
    ContainerDefinition, HostPort, MountPoint, NetworkMode, PortMapping, Protocol, TaskDefinition, VersionConsistency,
    VolumeAccess,
};
use crate::model::units::{CpuUnits, MemoryMib};
use crate::model::work::Work;

const PROTOCOLS: Words<Protocol> = Words { available: &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)], planned: &[] };

const VERSION_CONSISTENCIES: Words<VersionConsistency> = Words {
    available: &[("enabled", VersionConsistency::Enabled), ("disabled", VersionConsistency::Disabled)],
    planned: &[],
};

const RESOURCE_TYPES: Words<()> =
    Words { available: &[("GPU", ())], planned: &["InferenceAccelerator", "NeuronDevice"] };

/// The most CPU that counts in a container's weight: 256 vCPU. **Source:** ecs-semantics §3.4.
pub(super) const MOST_CONTAINER_CPU: u32 = 262_144;

/// Reads the containers of a task definition whose other fields are read, and the tables that they come from.
pub(super) fn read_containers<'a>(
    at: &Table<'a>,
    task_definition: &TaskDefinition,
    context: &Context<'_>,
) -> (Vec<ContainerDefinition>, Vec<Table<'a>>) {
    let tables = at.need("container").map(|value| value.tables(&CONTAINER)).unwrap_or_default();
    let mut containers: Vec<ContainerDefinition> = Vec::new();
    let mut host_ports: BTreeMap<HostPort, String> = BTreeMap::new();
    for table in &tables {
        let container = read_container(table, task_definition, &mut host_ports, context);
        if !container.name.is_empty() && containers.iter().any(|earlier| earlier.name == container.name) {
            table.reject("name", format!("container \"{}\" is defined twice", container.name));
        }
        containers.push(container);
    }
    if tables.len() > 10 {
        // Source: ecs-semantics §1.7.
        at.reject("container", format!("{} containers are too many for a task definition: at most 10", tables.len()));
    }
    if at.has("container") && containers.is_empty() && at.get("container").is_some_and(|value| value.is_empty_list()) {
        at.reject("container", "a task definition needs at least one container");
    }
    if !containers.is_empty() && !containers.iter().any(|container| container.essential) {
        // Source: ecs-semantics §1.5.
        at.reject("container", "at least one container of a task definition must be essential");
    }
    check_dependencies(&containers, &tables);
    (containers, tables)
}

/// **Source:** ecs-semantics §1.5.
fn read_container(
    table: &Table<'_>,
    task_definition: &TaskDefinition,
    host_ports: &mut BTreeMap<HostPort, String>,
    context: &Context<'_>,
) -> ContainerDefinition {
    let name = table.name("name").unwrap_or_default().to_owned();
    let memory = read_memory(table, "memory");
    let memory_reservation = read_memory(table, "memory_reservation");
    if let (Some(memory), Some(reservation)) = (memory, memory_reservation)
        && memory <= reservation
    {
        table.reject(
            "memory_reservation",
            format!("memory_reservation {reservation} must be less than memory {memory}"),
        );
    }
    let environment = read_environment(table);
    // What is only modelled needs no image. Ours: ECS wants one.
    let image = match task_definition.work {
        Work::Modelled(_) => table.get("image"),
        Work::Executed => table.need("image"),
    };
    let image = image.and_then(|value| resolve_image(&value, context.folder, &context.images)).unwrap_or_default();
    let mapped = context.images.resolve(&image, &at_path);
    let shell = if mapped.is_ok_and(|mapped| mapped.has_shell()) { Shell::InImage } else { Shell::Nowhere };
    ContainerDefinition {
        secrets: read_secrets(table, &environment, context.folder),
        image,
        entry_point: table.strings("entry_point").filter(|arguments| !arguments.is_empty()),
        command: table.strings("command").unwrap_or_default(),
        environment,
        cpu: CpuUnits(table.u32("cpu", 0..=MOST_CONTAINER_CPU).unwrap_or_default()),
        memory,
        memory_reservation,
        essential: table.boolean("essential").unwrap_or(true),
        mount_points: read_mount_points(table, task_definition),
        port_mappings: read_port_mappings(table, &name, task_definition.network_mode, host_ports),
        stop_timeout: table.duration("stop_timeout"),
        health_check: read_health_check(table, shell, context.period_limits),
        depends_on: read_depends_on(table),
        start_timeout: table.duration("start_timeout"),
        restart_policy: read_restart_policy(table, context.period_limits),
        environment_files: read_environment_files(table, context.folder).unwrap_or_default(),
        gpus: read_gpus(table, &RESOURCE_REQUIREMENT).unwrap_or_default(),
        version_consistency: table.word("version_consistency", &VERSION_CONSISTENCIES).unwrap_or_default(),
        name,
    }
}

/// **Source:** ecs-semantics §1.5.
pub(super) fn read_gpus(table: &Table<'_>, keys: &'static TableKeys) -> Option<u32> {
    let mut gpus = None;
    for at in table.tables("resource_requirements", keys) {
        let kind = at.need("type").and_then(|value| value.word(&RESOURCE_TYPES));
        let count = at.need("value").and_then(|value| {
            let text = value.string_or_integer()?;
            let count = text.parse().ok().filter(|count| *count > 0);
            if count.is_none() {
                value.reject(format!("{} is no number of GPUs: a whole number from 1 on", quoted(text)));
            }
            count
        });
        if let (Some(()), Some(count)) = (kind, count)
            && gpus.replace(count).is_some()
        {
            at.reject_whole("GPUs are required twice for this container");
        }
    }
    gpus
}

pub(super) fn read_memory(table: &Table<'_>, key: &'static str) -> Option<MemoryMib> {
    let value = table.get(key)?;
    let memory = MemoryMib(value.u32(0..=u32::MAX)?);
    if memory < LEAST_MEMORY {
        value.reject(format!("{key} {memory} is too little: at least {LEAST_MEMORY} MiB"));
        return None;
    }
    Some(memory)
}

fn read_mount_points(table: &Table<'_>, task_definition: &TaskDefinition) -> Vec<MountPoint> {
    let mut mount_points: Vec<MountPoint> = Vec::new();
    for at in table.tables("mount_points", &MOUNT_POINT) {
        let volume = at.need("source_volume").and_then(|value| {
            let name = value.string()?;
            let known = task_definition.volumes.iter().map(|volume| volume.name.as_str());
            if !known.clone().any(|known| known == name) {
                let help = nearest(name, known.clone()).map(did_you_mean).or_else(|| {
                    let list = or_list(known.clone().map(|name| format!("\"{name}\"")));
                    known.clone().next().map_or_else(
                        || Some(format!("add volumes = [{{ name = \"{name}\" }}] to the task definition")),
                        |_| Some(format!("its volumes are {list}")),
                    )
                });
                value.reject_with_help(format!("volume \"{name}\" is not defined in this task definition"), help);
            }
            Some(name)
        });
        let path = at.need("container_path").and_then(|value| {
            let path = value.string()?;
            if !path.starts_with('/') {
                value.reject(format!("container_path \"{path}\" must be absolute"));
            }
            if mount_points.iter().any(|earlier| earlier.container_path == path) {
                value.reject(format!("container_path \"{path}\" is mounted twice"));
            }
            Some(path)
        });
        let access = match at.boolean("read_only") {
            Some(true) => VolumeAccess::ReadOnly,
            Some(false) | None => VolumeAccess::ReadWrite,
        };
        if let (Some(volume), Some(path)) = (volume, path) {
            mount_points.push(MountPoint { source_volume: volume.to_owned(), container_path: path.to_owned(), access });
        }
    }
    mount_points
}

/// Reads ports by the rules of the network mode. **Source:** ecs-semantics §1.4, §1.5.
///
/// *Ours:* a protocol that is neither is an error, where ECS takes it for TCP: in a file it is a slip.
fn read_port_mappings(
    table: &Table<'_>,
    container: &str,
    network_mode: NetworkMode,
    host_ports: &mut BTreeMap<HostPort, String>,
) -> Vec<PortMapping> {
    let items = table.tables("port_mappings", &PORT_MAPPING);
    if items.len() > 100 {
        table.reject("port_mappings", format!("{} port mappings are too many: at most 100", items.len()));
    }
    if network_mode == NetworkMode::None && !items.is_empty() {
        table.reject("port_mappings", "network mode \"none\" forbids port mappings");
    }
    let mut mappings: Vec<PortMapping> = Vec::new();
    for at in items {
        let port = |value: super::reader::Value<'_>, least| {
            value.u32(least..=65_535).and_then(|port| u16::try_from(port).ok())
        };
        let container_port = at.need("container_port").and_then(|value| port(value, 1));
        let host_port = at.get("host_port").and_then(|value| port(value, 0));
        let protocol = at.word("protocol", &PROTOCOLS).unwrap_or_default();
        let Some(container_port) = container_port else { continue };
        if mappings.iter().any(|earlier| earlier.container_port == container_port) {
            // Covers the same port on two protocols, which ECS names.
            at.reject("container_port", format!("container port {container_port} is mapped twice"));
        }
        let host_port = match (network_mode, host_port) {
            (NetworkMode::Bridge | NetworkMode::None, host_port) => host_port.unwrap_or(0),
            (NetworkMode::Host | NetworkMode::Awsvpc, None) => container_port,
            (NetworkMode::Host | NetworkMode::Awsvpc, Some(host_port)) => {
                if host_port != container_port {
                    let mode = if network_mode == NetworkMode::Host { "host" } else { "awsvpc" };
                    at.reject(
                        "host_port",
                        format!(
                            "host_port {host_port} must be container_port {container_port} or left out in network mode \
                             \"{mode}\""
                        ),
                    );
                }
                container_port
            }
        };
        if host_port > 0
            && let Some(other) = host_ports.insert(HostPort { port: host_port, protocol }, container.to_owned())
        {
            at.reject("host_port", format!("host port {host_port} is taken by container \"{other}\" of this task"));
        }
        mappings.push(PortMapping { container_port, host_port, protocol });
    }
    mappings
}
