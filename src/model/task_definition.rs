//! What a task is made of: `family:revision`, its containers, its size.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::capacity::RequiredAttribute;
use super::container_order::ContainerDependency;
use super::document::Document;
use super::service::PlacementConstraint;
use super::units::{CpuUnits, Duration, MemoryMib};
use super::work::Work;
use super::written_form::is_default;

/// Where a task runs. **Source:** ecs-semantics §11.6 (`EXTERNAL` and `MANAGED_INSTANCES` are not offered).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    /// On a container instance, sharing its CPU by weight.
    #[default]
    Ec2,
    /// In a sandbox of its own, with a hard CPU quota and memory limit.
    Fargate,
}

impl LaunchType {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            LaunchType::Ec2 => "EC2",
            LaunchType::Fargate => "FARGATE",
        }
    }
}

impl fmt::Display for LaunchType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// ECS' network modes. **Source:** ecs-semantics §1.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The default on EC2.
    #[default]
    Bridge,
    /// Host ports are the container's.
    Host,
    /// The only mode of Fargate.
    Awsvpc,
    /// No port mappings.
    None,
}

/// The architecture that a size is priced for. Guests are the same on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CpuArchitecture {
    /// `X86_64`.
    #[default]
    X86_64,
    /// `ARM64`.
    Arm64,
}

impl CpuArchitecture {
    /// The value of the attribute `ecs.cpu-architecture`. **Source:** ecs-semantics §3.5.
    pub fn attribute_value(self) -> &'static str {
        match self {
            CpuArchitecture::X86_64 => "x86_64",
            CpuArchitecture::Arm64 => "arm64",
        }
    }
}

/// A reference to a task definition: `family` (its latest active revision) or `family:revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskDefinitionRef {
    /// The family.
    pub family: String,
    /// The revision, or the latest active one.
    pub revision: Option<u32>,
}

impl fmt::Display for TaskDefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}:{revision}", self.family),
            None => f.write_str(&self.family),
        }
    }
}

/// A registered task definition: immutable once it has its revision. **Source:** ecs-semantics §1.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskDefinition {
    /// The family: 1 to 255 of `[A-Za-z0-9_-]`.
    pub family: String,
    /// The revision, from 1. Zero until the control plane registers it.
    pub revision: u32,
    /// The task-level CPU: a hard quota. Required on Fargate.
    pub cpu: Option<CpuUnits>,
    /// The task-level memory: a hard limit. Required on Fargate.
    pub memory: Option<MemoryMib>,
    /// The network mode.
    pub network_mode: NetworkMode,
    /// The launch types that it must be valid for.
    pub requires_compatibilities: BTreeSet<LaunchType>,
    /// The architecture it is priced for on Fargate.
    pub cpu_architecture: CpuArchitecture,
    /// Ephemeral storage in GiB, 21 to 200; `None` is the 20 that are included. Fargate only.
    pub ephemeral_storage_gib: Option<u32>,
    /// The containers, in the file's order. Never empty; at least one is essential.
    pub containers: Vec<ContainerDefinition>,
    /// The volumes that the containers mount.
    pub volumes: Vec<Volume>,
    /// Tags, passed on to tasks by tag propagation.
    pub tags: BTreeMap<String, String>,
    /// What its instances must fulfil, beside what a service or a request asks: `memberOf` only. **Source:** ecs-semantics §4.3.
    pub placement_constraints: Vec<PlacementConstraint>,
    /// The architecture that its instance must have; `None`: guests are the same on all.
    pub required_architecture: Option<CpuArchitecture>,
    /// What its containers do in simulated time. *Ours.*
    pub work: Work,
    /// What else the caller said, kept and given back. *Ours.*
    #[serde(skip_serializing_if = "Document::is_empty")]
    pub document: Document,
}

/// The smallest Fargate size, for a task definition that names none. **Source:** ecs-semantics §8.1.
pub const FARGATE_CPU_DEFAULT: CpuUnits = CpuUnits(256);
/// The memory of that size. **Source:** ecs-semantics §8.1.
pub const FARGATE_MEMORY_DEFAULT: MemoryMib = MemoryMib(512);

/// What a task takes from an instance. **Source:** ecs-semantics §3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reservation {
    /// CPU units.
    pub cpu: CpuUnits,
    /// Memory.
    pub memory: MemoryMib,
    /// Host ports, each with its protocol.
    pub ports: BTreeSet<HostPort>,
    /// What most tasks do without.
    #[serde(default, skip_serializing_if = "is_default")]
    pub devices: Devices,
}

/// What a task takes from an instance that most tasks do without. **Source:** ecs-semantics §1.5, §4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Devices {
    /// GPUs, of all its containers.
    pub gpus: u32,
    /// Network interfaces: one in network mode `awsvpc`.
    pub network_interfaces: u32,
}

impl Devices {
    /// Nothing.
    pub const NONE: Devices = Devices { gpus: 0, network_interfaces: 0 };
}

/// A host port and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HostPort {
    /// The port, never zero.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A transport protocol. An unknown name is TCP. **Source:** ecs-semantics §1.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// `tcp`.
    #[default]
    Tcp,
    /// `udp`.
    Udp,
}

/// What is said of a task that is to have GPUs on Fargate.
pub const NO_GPUS_ON_FARGATE: &str = "Fargate does not support GPU resource requirements.";

impl TaskDefinition {
    /// One of which nothing is known but its name, `family:revision`; `None` when that is none.
    pub fn named(name: &str) -> Option<TaskDefinition> {
        let (family, revision) = name.rsplit_once(':')?;
        let (family, revision) = (family.to_owned(), revision.parse().ok()?);
        Some(TaskDefinition { family, revision, ..TaskDefinition::default() })
    }

    /// Whether a container needs a GPU.
    pub fn wants_gpus(&self) -> bool {
        self.containers.iter().any(|container| container.gpus > 0)
    }

    /// Whether its containers have an order, health checks or restarts: without, they all start and stop together.
    pub fn has_container_lifecycles(&self) -> bool {
        self.containers.iter().any(|container| {
            !container.depends_on.is_empty() || container.health_check.is_some() || container.restart_policy.is_some()
        })
    }

    /// Its weight against the other tasks of its instance. **Source:** ecs-semantics §3.4.
    pub fn cpu_weight(&self) -> u64 {
        match self.cpu {
            Some(cpu) => u64::from(cpu.0),
            None => self.containers.iter().map(|container| u64::from(container.cpu_shares())).sum(),
        }
    }

    /// The container that takes the jobs of a load: the one that is named, or the first essential one.
    pub fn job_container(&self, named: Option<&str>) -> Option<usize> {
        match named {
            Some(name) => self.containers.iter().position(|container| container.name == name),
            None => self.containers.iter().position(|container| container.essential),
        }
    }

    /// The attributes that an instance must have. **Source:** ecs-semantics §4.1.
    pub fn required_attributes(&self) -> Vec<RequiredAttribute> {
        let architecture = self.required_architecture.map(CpuArchitecture::attribute_value);
        architecture
            .map(|value| RequiredAttribute { name: "ecs.cpu-architecture".into(), value: value.into() })
            .into_iter()
            .collect()
    }

    /// What placement subtracts for one task.
    ///
    /// The task-level sizes where they are given, else the sums over containers, in which a memory reservation counts
    /// before a memory limit. **Source:** ecs-semantics §3.1.
    pub fn reservation(&self) -> Reservation {
        let ports = self
            .containers
            .iter()
            .filter(|_| self.network_mode != NetworkMode::Awsvpc)
            .flat_map(|container| &container.port_mappings)
            .filter(|mapping| mapping.host_port > 0)
            .map(|mapping| HostPort { port: mapping.host_port, protocol: mapping.protocol })
            .collect();
        Reservation {
            cpu: self.cpu.unwrap_or_else(|| self.containers.iter().map(|container| container.cpu).sum()),
            memory: self.memory.unwrap_or_else(|| {
                self.containers
                    .iter()
                    .map(|container| container.memory_reservation.or(container.memory).unwrap_or_default())
                    .sum()
            }),
            ports,
            devices: Devices {
                gpus: self.containers.iter().map(|container| container.gpus).sum(),
                network_interfaces: u32::from(self.network_mode == NetworkMode::Awsvpc),
            },
        }
    }

    /// The denominator of the service's memory utilisation, per task. **Source:** ecs-semantics §7.6.
    pub fn memory_for_utilisation(&self) -> MemoryMib {
        self.reservation().memory
    }
}

impl fmt::Display for TaskDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.family, self.revision)
    }
}

/// One container of a task definition. **Source:** ecs-semantics §1.5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerDefinition {
    /// The name, unique within the task.
    pub name: String,
    /// A `.wasm` or `.wat` file or a Cargo package folder.
    pub image: String,
    /// The first arguments; `None` is the image's own (the module's file name without its extension).
    pub entry_point: Option<Vec<String>>,
    /// The arguments after the entry point.
    pub command: Vec<String>,
    /// The environment: exactly this and nothing of the host's.
    pub environment: BTreeMap<String, String>,
    /// CPU units: a share on EC2, zero counts as 2. **Source:** ecs-semantics §3.4.
    pub cpu: CpuUnits,
    /// The container's hard memory limit.
    pub memory: Option<MemoryMib>,
    /// The soft limit: what placement subtracts when it is given.
    pub memory_reservation: Option<MemoryMib>,
    /// Whether its end ends the task.
    pub essential: bool,
    /// What it sees of the task's volumes.
    pub mount_points: Vec<MountPoint>,
    /// The ports it wants.
    pub port_mappings: Vec<PortMapping>,
    /// The time between StopTask and the interruption; `None` is 30 s.
    pub stop_timeout: Option<Duration>,
    /// How its health is found out; without it the health stays unknown.
    pub health_check: Option<HealthCheck>,
    /// What of its task's containers must have happened before it starts.
    pub depends_on: Vec<ContainerDependency>,
    /// How long it may take to what others wait for, from its start; `None` is for ever.
    pub start_timeout: Option<Duration>,
    /// Whether it is started again when it ends.
    pub restart_policy: Option<RestartPolicy>,
    /// Variables whose values are in files.
    pub secrets: Vec<Secret>,
    /// Files of variables, in the order in which they are read.
    pub environment_files: Vec<String>,
    /// The GPUs that it has to itself: its resource requirement of type `GPU`.
    #[serde(skip_serializing_if = "is_default")]
    pub gpus: u32,
    /// Whether all tasks of a deployment have the module that the first one found under its image's name.
    #[serde(skip_serializing_if = "is_default")]
    pub version_consistency: VersionConsistency,
}

/// Whether the tasks of a deployment have one and the same module under a name. **Source:** ecs-semantics §5.9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionConsistency {
    /// That of the first task.
    #[default]
    Enabled,
    /// Each task has the module as it is when it starts.
    Disabled,
}

/// A container's health check. **Source:** ecs-semantics §1.5.1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// `CMD` or `CMD-SHELL` and what follows it. Never empty.
    pub command: Vec<String>,
    /// Between two checks: 5 to 300 s.
    pub interval: Duration,
    /// Beyond which a check has failed: 2 to 60 s.
    pub timeout: Duration,
    /// Failures in a row that make the container unhealthy: 1 to 10.
    pub retries: u32,
    /// In which failures do not count: 0 to 300 s.
    pub start_period: Duration,
}

impl Default for HealthCheck {
    /// ECS' defaults. **Source:** ecs-semantics §1.5.1.
    fn default() -> HealthCheck {
        HealthCheck {
            command: Vec::new(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            retries: 3,
            start_period: Duration::ZERO,
        }
    }
}

impl Default for ContainerDefinition {
    /// ECS' defaults: essential, and nothing else. **Source:** ecs-semantics §1.5.
    fn default() -> ContainerDefinition {
        ContainerDefinition {
            name: String::new(),
            image: String::new(),
            entry_point: None,
            command: Vec::new(),
            environment: BTreeMap::new(),
            cpu: CpuUnits(0),
            memory: None,
            memory_reservation: None,
            essential: true,
            mount_points: Vec::new(),
            port_mappings: Vec::new(),
            stop_timeout: None,
            health_check: None,
            depends_on: Vec::new(),
            start_timeout: None,
            version_consistency: VersionConsistency::default(),
            restart_policy: None,
            secrets: Vec::new(),
            environment_files: Vec::new(),
            gpus: 0,
        }
    }
}

impl ContainerDefinition {
    /// The stop timeout of a container that names none. **Source:** ecs-semantics §1.5.
    pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

    /// The weight of this container against its neighbours. **Source:** ecs-semantics §3.4.
    pub fn cpu_shares(&self) -> u32 {
        self.cpu.0.clamp(2, 262_144)
    }
}

/// When a container that ends is started again. **Source:** ecs-semantics §1.5.2.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartPolicy {
    /// Exit codes that are final; up to 50.
    pub ignored_exit_codes: Vec<i32>,
    /// How long it must have run since its last start: 60 s to 1800 s.
    pub restart_attempt_period: Duration,
}

impl Default for RestartPolicy {
    /// ECS' defaults. **Source:** ecs-semantics §1.5.2.
    fn default() -> RestartPolicy {
        RestartPolicy { ignored_exit_codes: Vec::new(), restart_attempt_period: Duration::from_secs(300) }
    }
}

/// A variable whose value is read from a file when the task starts; the value is nowhere but with the guest.
/// **Source:** ecs-semantics §1.5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The variable.
    pub name: String,
    /// The file.
    pub value_from: String,
}

/// A volume of a task. **Source:** ecs-semantics §1.6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// The name that mount points refer to.
    pub name: String,
    /// A folder of the host; `None` is a fresh folder that lives as long as the task.
    pub host_source_path: Option<String>,
}

/// A volume as one container sees it. **Source:** ecs-semantics §1.5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MountPoint {
    /// The volume's name.
    pub source_volume: String,
    /// The folder that the guest sees.
    pub container_path: String,
    /// What the guest may do there.
    pub access: VolumeAccess,
}

/// What a guest may do with a mounted volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeAccess {
    /// `readOnly = false`, the default.
    #[default]
    ReadWrite,
    /// `readOnly = true`.
    ReadOnly,
}

/// A port of a container. **Source:** ecs-semantics §1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PortMapping {
    /// The container's port.
    pub container_port: u16,
    /// The host's port, zero for a dynamic one.
    pub host_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// Reads a task definition's name: what it is besides is not known then.
pub(super) fn definition_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<TaskDefinition>, D::Error> {
    let name = String::deserialize(deserializer)?;
    TaskDefinition::named(&name)
        .map(Arc::new)
        .ok_or_else(|| D::Error::custom(format!("{name:?} is no task definition")))
}
