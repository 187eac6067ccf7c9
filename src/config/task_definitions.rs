//! `[[task_definition]]`: the family, its size, its volumes, and the rules that tie its containers together.

use std::collections::BTreeSet;

use super::containers::read_containers;
use super::document::{Context, Read};
use super::keys::{EPHEMERAL_STORAGE, RUNTIME_PLATFORM, TASK_DEFINITION, VOLUME, VOLUME_HOST};
use super::launch::{LAUNCH_TYPES, read_definition_constraints};
use super::paths::resolve_folder;
use super::reader::{Table, Words};
use super::sizes::{fargate_size_problem, parse_task_cpu, parse_task_memory};
use super::tags::read_tags;
use super::work::read_work;
use crate::model::fargate_size::FargateSize;
use crate::model::task_definition::{CpuArchitecture, LaunchType, NetworkMode, TaskDefinition, Volume};
use crate::model::units::{CpuUnits, Duration, MemoryMib};

const NETWORK_MODES: Words<NetworkMode> = Words {
    available: &[
        ("bridge", NetworkMode::Bridge),
        ("host", NetworkMode::Host),
        ("awsvpc", NetworkMode::Awsvpc),
        ("none", NetworkMode::None),
    ],
    planned: &[],
};

const ARCHITECTURES: Words<CpuArchitecture> =
    Words { available: &[("X86_64", CpuArchitecture::X86_64), ("ARM64", CpuArchitecture::Arm64)], planned: &[] };

/// The least memory of a container or task. **Source:** ecs-semantics §1.5.
pub(super) const LEAST_MEMORY: MemoryMib = MemoryMib(6);

/// Reads the task definitions; several of one family are its revisions, in the file's order.
pub(super) fn read_task_definitions<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, TaskDefinition>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| read_task_definition(&at, context));
        Read { item, at, soundness }
    };
    root.tables("task_definition", &TASK_DEFINITION).into_iter().map(read).collect()
}

fn read_task_definition(at: &Table<'_>, context: &Context<'_>) -> TaskDefinition {
    let family = at.name("family").unwrap_or_default();
    let requires_compatibilities = read_compatibilities(at);
    let is_fargate = requires_compatibilities.contains(&LaunchType::Fargate);
    // Fargate has one network mode only, so that a file need not name it. Source: ecs-semantics §1.4.
    let default_mode = if is_fargate { NetworkMode::Awsvpc } else { NetworkMode::Bridge };
    let network_mode = at.word("network_mode", &NETWORK_MODES).unwrap_or(default_mode);
    let volumes = at.tables("volumes", &VOLUME);
    let platform = at.table("runtime_platform", &RUNTIME_PLATFORM);
    let storage = at.table("ephemeral_storage", &EPHEMERAL_STORAGE);
    let architecture = platform.and_then(|platform| platform.word("cpu_architecture", &ARCHITECTURES));
    let task_definition = TaskDefinition {
        family: family.to_owned(),
        cpu: read_cpu_within_limits(at, &requires_compatibilities),
        memory: read_memory(at),
        network_mode,
        cpu_architecture: architecture.unwrap_or_default(),
        required_architecture: architecture,
        placement_constraints: read_definition_constraints(at),
        ephemeral_storage_gib: storage.and_then(|storage| storage.need("size_in_gib")?.u32(21..=200)),
        volumes: read_volumes(&volumes, context),
        tags: read_tags(at),
        work: read_work(at, context),
        requires_compatibilities,
        ..TaskDefinition::default()
    };
    let (containers, tables) = read_containers(at, &task_definition, context);
    let task_definition = TaskDefinition { containers, ..task_definition };
    check_containers_fit(at, &task_definition, &tables);
    if is_fargate {
        for problem in fargate_problems(&task_definition, context.catalog.fargate_sizes()) {
            problem.report(at, &volumes, &tables);
        }
    } else {
        check_ec2_memory(at, &task_definition, &tables);
        if network_mode != NetworkMode::Awsvpc && task_definition.ephemeral_storage_gib.is_some() {
            // Source: ecs-semantics §1.4.
            at.reject("ephemeral_storage", "ephemeral_storage is for tasks on Fargate only");
        }
    }
    task_definition
}

fn read_compatibilities(at: &Table<'_>) -> BTreeSet<LaunchType> {
    let items = at.get("requires_compatibilities").and_then(|value| value.list("a list of strings"));
    items.unwrap_or_default().iter().filter_map(|item| item.word(&LAUNCH_TYPES)).collect()
}

/// **Source:** ecs-semantics §1.4; Fargate's own sizes are [`fargate_problems`]'.
pub(super) fn read_cpu(at: &Table<'_>) -> Option<CpuUnits> {
    let value = at.get("cpu")?;
    parse_task_cpu(value.string_or_integer()?).map_err(|error| value.reject(error.to_string())).ok()
}

/// Fargate's sizes are within these limits.
fn read_cpu_within_limits(at: &Table<'_>, requires_compatibilities: &BTreeSet<LaunchType>) -> Option<CpuUnits> {
    let cpu = read_cpu(at)?;
    if !requires_compatibilities.contains(&LaunchType::Fargate) && !(128..=196_608).contains(&cpu.0) {
        at.reject("cpu", format!("cpu {cpu} is not within the limits of a task's cpu: 128 to 196608"));
        return None;
    }
    Some(cpu)
}

pub(super) fn read_memory(at: &Table<'_>) -> Option<MemoryMib> {
    let value = at.get("memory")?;
    let memory = parse_task_memory(value.string_or_integer()?).map_err(|error| value.reject(error.to_string())).ok()?;
    if memory < LEAST_MEMORY {
        value.reject(format!("memory {memory} is too little: at least {LEAST_MEMORY} MiB"));
        return None;
    }
    Some(memory)
}

fn read_volumes(tables: &[Table<'_>], context: &Context<'_>) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    for at in tables {
        let name = at.name("name").unwrap_or_default();
        if !name.is_empty() && volumes.iter().any(|earlier| earlier.name == name) {
            at.reject("name", format!("volume \"{name}\" is defined twice"));
        }
        let source_path = at.table("host", &VOLUME_HOST).and_then(|host| host.get("source_path"));
        let host_source_path = source_path.and_then(|value| resolve_folder(&value, context.folder));
        volumes.push(Volume { name: name.to_owned(), host_source_path });
    }
    volumes
}

/// The containers' sizes against the task's. **Source:** ecs-semantics §1.5, §3.4, §8.1.
fn check_containers_fit(at: &Table<'_>, task_definition: &TaskDefinition, tables: &[Table<'_>]) {
    let containers = &task_definition.containers;
    if let Some(cpu) = task_definition.cpu {
        let sum: CpuUnits = containers.iter().map(|container| container.cpu).sum();
        if sum > cpu {
            at.reject("cpu", format!("the cpu of the containers adds up to {sum}, more than the task's {cpu}"));
        }
    }
    let Some(memory) = task_definition.memory else { return };
    for (container, table) in containers.iter().zip(tables) {
        if let Some(limit) = container.memory
            && limit > memory
        {
            table.reject("memory", format!("memory {limit} is more than the task's {memory}"));
        }
    }
    let reserved: MemoryMib = containers.iter().filter_map(|container| container.memory_reservation).sum();
    if reserved > memory {
        at.reject(
            "memory",
            format!("the memory_reservation of the containers adds up to {reserved}, more than the task's {memory}"),
        );
    }
}

/// On EC2 something must say how much memory a task takes. **Source:** ecs-semantics §1.5.
fn check_ec2_memory(at: &Table<'_>, task_definition: &TaskDefinition, tables: &[Table<'_>]) {
    if at.has("memory") {
        return;
    }
    for (container, table) in task_definition.containers.iter().zip(tables) {
        if !table.has("memory") && !table.has("memory_reservation") {
            table.reject(
                "memory",
                format!(
                    "container \"{}\" needs memory or memory_reservation, since its task definition has no memory",
                    container.name
                ),
            );
        }
    }
}

/// Why a task definition cannot run on Fargate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FargateProblem {
    place: Place,
    key: &'static str,
    /// The rule.
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Task,
    Volume(usize),
    Container(usize),
}

impl FargateProblem {
    fn report(&self, at: &Table<'_>, volumes: &[Table<'_>], containers: &[Table<'_>]) {
        let table = match self.place {
            Place::Task => Some(at),
            Place::Volume(index) => volumes.get(index),
            Place::Container(index) => containers.get(index),
        };
        // What was written but could not be read has its own message.
        let is_unread = self.message.starts_with("Fargate requires") && at.has(self.key);
        if let Some(table) = table.filter(|_| !is_unread) {
            table.reject(self.key, self.message.clone());
        }
    }
}

/// All that keeps a task definition off Fargate. **Source:** ecs-semantics §1.4, §1.5, §1.6, §8.1.
pub(super) fn fargate_problems(task_definition: &TaskDefinition, sizes: &[FargateSize]) -> Vec<FargateProblem> {
    let mut problems = Vec::new();
    if task_definition.network_mode != NetworkMode::Awsvpc {
        problems.push(FargateProblem {
            place: Place::Task,
            key: "network_mode",
            message: "Fargate supports network mode \"awsvpc\" only".to_owned(),
        });
    }
    if let Some((key, message)) = fargate_size_problem(sizes, task_definition.cpu, task_definition.memory) {
        problems.push(FargateProblem { place: Place::Task, key, message });
    }
    for (index, volume) in task_definition.volumes.iter().enumerate() {
        if volume.host_source_path.is_some() {
            problems.push(FargateProblem {
                place: Place::Volume(index),
                key: "host",
                message: format!("volume \"{}\" has a source_path, and tasks on Fargate see no host", volume.name),
            });
        }
    }
    for (index, container) in task_definition.containers.iter().enumerate() {
        problems.extend(timeout_problem(index, "stop_timeout", container.stop_timeout));
        problems.extend(timeout_problem(index, "start_timeout", container.start_timeout));
        if container.gpus > 0 {
            problems.push(FargateProblem {
                place: Place::Container(index),
                key: "resource_requirements",
                message: "Fargate has no GPUs".to_owned(),
            });
        }
    }
    problems
}

fn timeout_problem(index: usize, key: &'static str, timeout: Option<Duration>) -> Option<FargateProblem> {
    let timeout = timeout?;
    let is_valid = (Duration::from_secs(2)..=Duration::from_secs(120)).contains(&timeout);
    (!is_valid).then(|| FargateProblem {
        place: Place::Container(index),
        key,
        message: format!("{key} {} is not valid on Fargate: 2s to 120s", super::duration::format_duration(timeout)),
    })
}
