//! Capacity: instance types, container instances, Auto Scaling groups, capacity providers and strategies.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::auto_scaling_group::{
    InstanceHealth, InstanceMaintenancePolicy, LaunchTemplate, LifecycleHook, LifecycleState, ManagedDraining,
    ManagedTerminationProtection, ReuseOnScaleIn, ScaleInProtection, TerminationPolicy, WarmPool,
};
use super::cpu_credits::{Burst, CpuCredits, CreditSpecification};
use super::document::Document;
use super::external_instance::{AgentUpdateStatus, ExternalAgent};
use super::ids::{ContainerInstanceId, IdForm};
use super::task_definition::{CpuArchitecture, Devices, HostPort, LaunchType, Protocol};
use super::units::{CpuUnits, Duration, MemoryMib, Timestamp};
use super::usage::PurchaseOption;
use super::written_form::is_default;

/// An EC2 instance type, as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceType {
    /// The name, as in `m7i.large`.
    pub name: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Advertised memory.
    pub memory: MemoryMib,
    /// The architecture.
    pub architecture: CpuArchitecture,
    /// What it earns, for a burstable type.
    pub burst: Option<Burst>,
    /// What it has that only some tasks ask for.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: InstanceDevices,
}

impl InstanceType {
    /// The CPU units that an instance of this type registers: 1024 a vCPU. **Source:** ecs-semantics §3.1.
    pub fn cpu_units(&self) -> CpuUnits {
        CpuUnits(self.vcpus.saturating_mul(CpuUnits::PER_VCPU))
    }

    /// What an instance of this type registers whose agent holds so much memory back. *Ours:* nothing where that is more than there is;
    /// whoever names it is told before. **Source:** ecs-semantics §3.1.
    pub fn resources(&self, reserved_memory: MemoryMib) -> InstanceResources {
        InstanceResources {
            cpu: self.cpu_units(),
            memory: MemoryMib(self.memory.0.saturating_sub(reserved_memory.0)),
            ports: reserved_ports(),
            devices: self.devices,
        }
    }
}

/// What of an instance only some tasks ask for: GPUs, and network interfaces of their own. **Source:** ecs-semantics §4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceDevices {
    /// GPUs.
    pub gpus: u32,
    /// Interfaces for tasks of network mode `awsvpc`, one each: those of its type less its own, without trunking; `None` where that is
    /// not known, which holds no task off.
    pub network_interfaces: Option<u32>,
}

impl InstanceDevices {
    /// Whether it has what a task asks for.
    pub fn have(self, wanted: Devices) -> bool {
        wanted.gpus <= self.gpus && self.network_interfaces.is_none_or(|left| wanted.network_interfaces <= left)
    }

    /// What a task leaves of it, and nothing where it asks for more.
    #[must_use]
    pub fn without(self, taken: Devices) -> InstanceDevices {
        InstanceDevices {
            gpus: self.gpus.saturating_sub(taken.gpus),
            network_interfaces: self.network_interfaces.map(|left| left.saturating_sub(taken.network_interfaces)),
        }
    }

    /// What there is again when a task gives back what it took.
    #[must_use]
    pub fn with(self, given_back: Devices) -> InstanceDevices {
        InstanceDevices {
            gpus: self.gpus + given_back.gpus,
            network_interfaces: self.network_interfaces.map(|left| left + given_back.network_interfaces),
        }
    }

    /// How many tasks it has enough for.
    pub fn room_for(self, wanted: Devices) -> u32 {
        let by_gpus = self.gpus.checked_div(wanted.gpus).unwrap_or(u32::MAX);
        let by_interfaces =
            self.network_interfaces.and_then(|left| left.checked_div(wanted.network_interfaces)).unwrap_or(u32::MAX);
        by_gpus.min(by_interfaces)
    }
}

/// What an EC2 instance is launched from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceLaunch {
    /// The type.
    pub instance_type: Arc<InstanceType>,
    /// The availability zone.
    pub availability_zone: Arc<str>,
    /// Time from launch to `running`, when it begins to be paid for and registers with the cluster.
    pub boot_time: Duration,
    /// Custom attributes. One without a value has an empty one.
    pub attributes: BTreeMap<String, String>,
    /// The capacity provider that launches it; `None` for an instance registered by hand.
    pub capacity_provider: Option<Arc<str>>,
    /// How it is paid for. A Spot instance can be taken back.
    pub purchase_option: PurchaseOption,
    /// `ECS_ENABLE_SPOT_INSTANCE_DRAINING` of its agent.
    pub spot_draining: SpotDraining,
    /// `ECS_RESERVED_MEMORY` of its agent: so much less than its type has is registered. **Source:** ecs-semantics §3.1.
    #[serde(skip_serializing_if = "is_default")]
    pub reserved_memory: MemoryMib,
    /// What happens when a burstable instance has spent its CPU credits; `None` is the type's default.
    pub credit_specification: Option<CreditSpecification>,
    /// The version of the launch template that it comes from; 0 for an instance registered by hand.
    pub launch_template_version: u32,
    /// What the cluster file calls it, for an instance registered by hand. ECS has no such names.
    pub name: Option<Arc<str>>,
    /// The Amazon machine image; `None` is one for the architecture.
    pub image_id: Option<Arc<str>>,
    /// The VPC, where it is known.
    pub vpc_id: Option<Arc<str>>,
    /// The subnet, where it is known.
    pub subnet_id: Option<Arc<str>>,
    /// Its agent, for an instance that Longshore does not run: nobody launches it here, and it is what was registered of it.
    #[serde(skip_serializing_if = "is_default")]
    pub external: Option<Arc<ExternalAgent>>,
}

/// What an agent does on a Spot interruption notice. **Source:** ecs-semantics §3.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SpotDraining {
    /// Nothing: the tasks go with the instance. ECS' default.
    #[default]
    Disabled,
    /// It sets its instance DRAINING.
    Enabled,
}

/// The version of the agent that every instance reports. *Ours:* the pools have no agent; it is that of the rule book's time.
pub const AGENT_VERSION: &str = "1.100.0";

/// The attribute of the zone, which every instance has. **Source:** ecs-semantics §3.5.
pub const AVAILABILITY_ZONE: &str = "ecs.availability-zone";

/// Markers without a value for what every instance can do. **Source:** ecs-semantics §3.5. *Ours:* the list: what the pools do.
pub const CAPABILITIES: &[&str] = &[
    "com.amazonaws.ecs.capability.docker-remote-api.1.44",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.env-files.s3",
    "ecs.capability.task-cpu-mem-limit",
];

/// TCP ports that are taken on every instance. **Source:** ecs-semantics §3.1.
pub const RESERVED_PORTS: [u16; 5] = [22, 2375, 2376, 51_678, 51_679];

/// The most host ports that can be taken on an instance, those taken from the start included. **Source:** ecs-semantics §1.7.
pub const PORTS_MAX: usize = 100;

/// Custom attributes of an instance at most. **Source:** ecs-semantics §1.7.
pub const CUSTOM_ATTRIBUTES_MAX: usize = 10;

/// The names of built-in attributes that are no capability markers. **Source:** ecs-semantics §3.5.
pub const BUILT_IN_ATTRIBUTES: &[&str] = &[
    "ecs.ami-id",
    AVAILABILITY_ZONE,
    "ecs.instance-type",
    "ecs.os-type",
    "ecs.os-family",
    "ecs.cpu-architecture",
    "ecs.vpc-id",
    "ecs.subnet-id",
];

impl InstanceLaunch {
    /// The capacity provider that it is shown with: a group by itself is none.
    pub fn shown_capacity_provider(&self) -> Option<&Arc<str>> {
        self.capacity_provider.as_ref().filter(|name| !is_group_by_itself(name))
    }

    /// The value of an attribute, built in or custom; an empty one for a marker. **Source:** ecs-semantics §3.5.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match (self.external.as_ref().and_then(|agent| agent.attributes.get(name)), name) {
            (Some(reported), _) => Some(reported),
            (None, name) => self.known_attribute(name),
        }
    }

    fn known_attribute(&self, name: &str) -> Option<&str> {
        match name {
            AVAILABILITY_ZONE => Some(&self.availability_zone),
            "ecs.instance-type" => Some(&self.instance_type.name),
            "ecs.os-type" => Some("linux"),
            "ecs.os-family" => Some("LINUX"),
            "ecs.cpu-architecture" => Some(self.instance_type.architecture.attribute_value()),
            "ecs.ami-id" => Some(self.image_id.as_deref().unwrap_or(match self.instance_type.architecture {
                CpuArchitecture::X86_64 => "ami-00000000000000086",
                CpuArchitecture::Arm64 => "ami-00000000000000064",
            })),
            "ecs.vpc-id" => self.vpc_id.as_deref(),
            "ecs.subnet-id" => self.subnet_id.as_deref(),
            // What the agent of another's instance can do is what it says.
            marker if CAPABILITIES.contains(&marker) => self.external.is_none().then_some(""),
            custom => self.attributes.get(custom).map(String::as_str),
        }
    }

    /// All its attributes with their values, by name.
    pub fn all_attributes(&self) -> BTreeMap<&str, &str> {
        let names = BUILT_IN_ATTRIBUTES.iter().chain(CAPABILITIES).copied();
        let reported = self.external.iter().flat_map(|agent| agent.attributes.keys()).map(String::as_str);
        names
            .chain(reported)
            .chain(self.attributes.keys().map(String::as_str))
            .filter_map(|name| Some((name, self.attribute(name)?)))
            .collect()
    }
}

impl InstanceLaunch {
    /// The version of its agent, where it is known.
    pub fn agent_version(&self) -> Option<&str> {
        match &self.external {
            Some(agent) => agent.agent_version.as_deref(),
            None => Some(AGENT_VERSION),
        }
    }
}

/// An attribute that an instance must have for a task to run there. **Source:** ecs-semantics §4.1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RequiredAttribute {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Cow<'static, str>,
}

impl RequiredAttribute {
    /// Whether an instance has it.
    pub fn is_had_by(&self, launch: &InstanceLaunch) -> bool {
        launch.attribute(&self.name) == Some(&*self.value)
    }
}

/// ECS' statuses of a container instance, and EC2's before and after them. **Source:** ecs-semantics §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerInstanceStatus {
    /// Launched, not registered yet (EC2 `pending`).
    Registering,
    /// Takes tasks.
    Active,
    /// Takes no new tasks.
    Draining,
    /// Asked to terminate (EC2 `shutting-down`).
    Deregistering,
    /// Gone.
    Inactive,
}

impl ContainerInstanceStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerInstanceStatus::Registering => "REGISTERING",
            ContainerInstanceStatus::Active => "ACTIVE",
            ContainerInstanceStatus::Draining => "DRAINING",
            ContainerInstanceStatus::Deregistering => "DEREGISTERING",
            ContainerInstanceStatus::Inactive => "INACTIVE",
        }
    }
}

/// An EC2 instance and its registration with the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ContainerInstance {
    /// Its identity.
    pub id: ContainerInstanceId,
    /// What it was launched from, with the custom attributes that it has by this moment.
    pub launch: Arc<InstanceLaunch>,
    /// Its status.
    pub status: ContainerInstanceStatus,
    /// Fixed at registration.
    pub registered: InstanceResources,
    /// Registered less what tasks reserve; ports are those in use.
    pub remaining: InstanceResources,
    /// Tasks whose desired status is RUNNING.
    pub running_tasks_count: u32,
    /// Tasks whose last status is PENDING.
    pub pending_tasks_count: u32,
    /// Its state in its Auto Scaling group.
    pub lifecycle: LifecycleState,
    /// Whether its agent has contact: without it takes no tasks.
    pub agent: AgentConnection,
    /// Its health.
    pub health: InstanceHealth,
    /// Whether scale-in leaves it alone.
    pub protection: ScaleInProtection,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// Since when it is paid for; `None` while it is not (EC2 `running`).
    pub running_since: Option<Timestamp>,
    /// How often it has entered `running`: a warm pool's instance does so twice. Each start is metered by itself.
    pub start_count: u32,
    /// When a Spot instance is taken back, once that has been announced.
    pub reclaimed_at: Option<Timestamp>,
    /// When it registered.
    pub registered_at: Option<Timestamp>,
    /// Since when it has held no task.
    pub empty_since: Option<Timestamp>,
    /// When it ended.
    pub terminated_at: Option<Timestamp>,
    /// Its CPU credits, if its type is burstable.
    pub cpu_credits: Option<CpuCredits>,
    /// Counts changes of its status and of the tasks on it. **Source:** ecs-semantics §3.2.
    pub version: u64,
    /// How far the update of its agent is, once one was asked for. **Source:** ecs-semantics §11.6.
    pub agent_update: Option<AgentUpdateStatus>,
    /// Its tags.
    pub tags: Arc<BTreeMap<String, String>>,
    /// What else was said when it registered. *Ours.*
    pub document: Document,
}

/// Whether the agent of a container instance has contact. **Source:** ecs-semantics §3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum AgentConnection {
    /// It has.
    #[default]
    Connected,
    /// It has not: nothing is placed there.
    Disconnected,
}

impl ContainerInstance {
    /// Whether Longshore does not run it: a client plays its agent.
    pub fn is_external(&self) -> bool {
        self.launch.external.is_some()
    }

    /// What EC2 calls it; empty for one that EC2 does not know.
    pub fn ec2_instance_id(&self, ids: IdForm) -> String {
        match &self.launch.external {
            Some(agent) => agent.ec2_instance_id.as_deref().unwrap_or_default().to_owned(),
            None => ids.ec2_instance(self.id),
        }
    }

    /// Its GPUs: what its agent calls them, or ids of our own.
    pub fn gpu_ids(&self, ids: IdForm) -> Vec<String> {
        match &self.launch.external {
            Some(agent) if !agent.gpu_ids.is_empty() => agent.gpu_ids.iter().cloned().collect(),
            _ => (0..self.registered.devices.gpus).map(|index| ids.gpu(self.id, index)).collect(),
        }
    }

    /// Whether tasks may be placed on it: it is ACTIVE and its agent has contact. **Source:** ecs-semantics §3.2.
    pub fn takes_tasks(&self) -> bool {
        self.status == ContainerInstanceStatus::Active && self.agent == AgentConnection::Connected
    }

    /// Whether ECS goes on listing it as it was when EC2 ends it: it has registered and its agent, which would deregister it, has no
    /// contact. **Source:** ecs-semantics §3.2.
    pub fn outlasts_termination(&self) -> bool {
        let is_registered = matches!(self.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining);
        is_registered && self.agent == AgentConnection::Disconnected
    }

    /// An instance that was launched at `now` and has not registered yet.
    pub fn launched(id: ContainerInstanceId, launch: Arc<InstanceLaunch>, now: Timestamp) -> ContainerInstance {
        let registered = launch.instance_type.resources(launch.reserved_memory);
        let vcpus = launch.instance_type.vcpus;
        let cpu_credits =
            launch.instance_type.burst.map(|burst| CpuCredits::new(burst, vcpus, launch.credit_specification));
        ContainerInstance {
            id,
            launch,
            cpu_credits,
            status: ContainerInstanceStatus::Registering,
            remaining: registered.clone(),
            registered,
            running_tasks_count: 0,
            pending_tasks_count: 0,
            lifecycle: LifecycleState::Pending,
            agent: AgentConnection::Connected,
            health: InstanceHealth::Initializing,
            protection: ScaleInProtection::Unprotected,
            launched_at: now,
            running_since: None,
            start_count: 0,
            reclaimed_at: None,
            registered_at: None,
            empty_since: None,
            terminated_at: None,
            version: 0,
            agent_update: None,
            tags: Arc::default(),
            document: Document::default(),
        }
    }
}

/// The host ports in use on an instance without tasks. **Source:** ecs-semantics §3.1.
pub fn reserved_ports() -> BTreeSet<HostPort> {
    RESERVED_PORTS.map(|port| HostPort { port, protocol: Protocol::Tcp }).into()
}

/// Resources of a container instance. **Source:** ecs-semantics §3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct InstanceResources {
    /// CPU units.
    pub cpu: CpuUnits,
    /// Memory.
    pub memory: MemoryMib,
    /// Host ports in use: this set grows as tasks claim ports.
    pub ports: BTreeSet<HostPort>,
    /// What only some tasks ask for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub devices: InstanceDevices,
}

/// An Auto Scaling group. **Source:** ecs-semantics §9.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoScalingGroup {
    /// The type of its instances.
    pub instance_type: Arc<InstanceType>,
    /// The fewest instances.
    pub min_size: u32,
    /// The most instances.
    pub max_size: u32,
    /// The count it starts with; `None` is the minimum.
    pub desired_capacity: Option<u32>,
    /// The zones it balances over. Never empty.
    pub availability_zones: Vec<Arc<str>>,
    /// Time from launch to `running`.
    pub boot_time: Duration,
    /// Custom attributes of its instances.
    pub attributes: BTreeMap<String, String>,
    /// The version of the launch template that it starts with.
    pub launch_template_version: u32,
    /// How its instances are paid for.
    pub purchase_option: PurchaseOption,
    /// `ECS_ENABLE_SPOT_INSTANCE_DRAINING` of its instances' agents.
    pub spot_draining: SpotDraining,
    /// `ECS_RESERVED_MEMORY` of its instances' agents.
    #[serde(skip_serializing_if = "is_default")]
    pub reserved_memory: MemoryMib,
    /// What happens when its burstable instances have spent their CPU credits; `None` is the type's default.
    pub credit_specification: Option<CreditSpecification>,
    /// Which instances go first; empty is `Default`.
    pub termination_policies: Vec<TerminationPolicy>,
    /// Whether scale-in leaves an instance alone from its launch on.
    pub new_instances_protected: ScaleInProtection,
    /// After which age an instance is replaced; `None`: never.
    pub max_instance_lifetime: Option<Duration>,
    /// How long after it came into service an instance's health is not looked at.
    pub health_check_grace_period: Duration,
    /// How long an instance warms up after it came into service: scale-in waits for that, and refreshes that do not say otherwise.
    pub default_instance_warmup: Option<Duration>,
    /// Its lifecycle hooks.
    pub lifecycle_hooks: Vec<LifecycleHook>,
    /// Bounds for whatever replaces instances.
    pub instance_maintenance_policy: Option<InstanceMaintenancePolicy>,
    /// Instances kept ready.
    pub warm_pool: Option<WarmPool>,
    /// Time from the start of a warm pool's instance to `running`; `None` is a third of the boot time.
    pub warm_start_time: Option<Duration>,
    /// The machine image of its instances; `None` is one for the architecture.
    pub image_id: Option<Arc<str>>,
    /// Their VPC, where it is known.
    pub vpc_id: Option<Arc<str>>,
    /// Their subnets by zone, where they are known.
    pub subnets: BTreeMap<Arc<str>, Arc<str>>,
}

/// The name by which a control plane knows a group that no capacity provider is over. No capacity provider can be called so. *Ours.*
pub fn group_by_itself(group: &str) -> Arc<str> {
    format!("{GROUPS_BY_THEMSELVES}{group}").into()
}

/// Whether it is the name of a group that no capacity provider is over.
pub fn is_group_by_itself(name: &str) -> bool {
    name.starts_with(GROUPS_BY_THEMSELVES)
}

/// What the names of groups begin with that no capacity provider is over: providers' names have no slash.
const GROUPS_BY_THEMSELVES: &str = "auto-scaling-group/";

impl AutoScalingGroup {
    /// What an instance of the group in a zone is launched from.
    pub fn launch_in(&self, zone: &Arc<str>, capacity_provider: &Arc<str>) -> InstanceLaunch {
        InstanceLaunch {
            instance_type: self.instance_type.clone(),
            availability_zone: zone.clone(),
            boot_time: self.boot_time,
            attributes: self.attributes.clone(),
            capacity_provider: Some(capacity_provider.clone()),
            name: None,
            image_id: self.image_id.clone(),
            vpc_id: self.vpc_id.clone(),
            subnet_id: self.subnets.get(zone).cloned(),
            purchase_option: self.purchase_option,
            spot_draining: self.spot_draining,
            reserved_memory: self.reserved_memory,
            credit_specification: self.credit_specification,
            launch_template_version: self.launch_template().version,
            external: None,
        }
    }

    /// What it launches its instances from at its creation.
    pub fn launch_template(&self) -> LaunchTemplate {
        LaunchTemplate {
            version: self.launch_template_version.max(1),
            image_id: self.image_id.clone(),
            instance_type: self.instance_type.clone(),
        }
    }
}

/// Managed scaling of a capacity provider. **Source:** ecs-semantics §6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagedScaling {
    /// CapacityProviderReservation to hold, 1 to 100.
    pub target_capacity: u32,
    /// The smallest scale-out.
    pub minimum_scaling_step_size: u32,
    /// The largest scale-out.
    pub maximum_scaling_step_size: u32,
    /// How long an instance blocks further scale-out after its launch.
    pub instance_warmup_period: Duration,
}

impl Default for ManagedScaling {
    /// ECS' defaults. **Source:** ecs-semantics §6.2.
    fn default() -> ManagedScaling {
        ManagedScaling {
            target_capacity: 100,
            minimum_scaling_step_size: 1,
            maximum_scaling_step_size: 10_000,
            instance_warmup_period: Duration::from_secs(300),
        }
    }
}

/// A capacity provider over an Auto Scaling group. `FARGATE` and `FARGATE_SPOT` always exist and are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapacityProvider {
    /// Its name.
    pub name: Arc<str>,
    /// Its group.
    pub auto_scaling_group: AutoScalingGroup,
    /// Managed scaling; `None` leaves the group at its desired capacity.
    pub managed_scaling: Option<ManagedScaling>,
    /// Whether instances with tasks are kept from scale-in.
    pub managed_termination_protection: ManagedTerminationProtection,
    /// Whether an instance that is to go waits for its tasks.
    pub managed_draining: ManagedDraining,
}

impl CapacityProvider {
    /// Instances that come back from a warm pool have been registered before, which managed scaling does not allow for.
    /// **Source:** ecs-semantics §6.4.
    ///
    /// # Errors
    /// The rule, when it is broken.
    pub fn check_reuse(&self) -> Result<(), &'static str> {
        let reuses = self.auto_scaling_group.warm_pool.is_some_and(|pool| pool.reuse == ReuseOnScaleIn::Yes);
        match self.managed_scaling {
            Some(_) if reuses => Err("reuse_on_scale_in is not possible with managed scaling"),
            _ => Ok(()),
        }
    }
}

/// The provider of on-demand Fargate capacity.
pub const FARGATE: &str = "FARGATE";
/// The provider of Spot Fargate capacity.
pub const FARGATE_SPOT: &str = "FARGATE_SPOT";

/// Whether a capacity provider is one of Fargate's.
pub fn is_fargate(provider: &str) -> bool {
    provider == FARGATE || provider == FARGATE_SPOT
}

/// The launch type that a capacity provider stands for.
pub fn launch_type_of(provider: &str) -> LaunchType {
    if is_fargate(provider) { LaunchType::Fargate } else { LaunchType::Ec2 }
}

/// One item of a capacity provider strategy. **Source:** ecs-semantics §6.1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityProviderStrategyItem {
    /// The provider's name.
    pub capacity_provider: Arc<str>,
    /// Its part of what is beyond the base, 0 to 1000.
    pub weight: u32,
    /// How many tasks it gets first, 0 to 100,000.
    pub base: u32,
}

/// How a service or a request says where its tasks run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchTarget {
    /// The cluster's default strategy, and EC2 when it has none. **Source:** ecs-semantics §4.5.
    #[default]
    ClusterDefault,
    /// A launch type.
    LaunchType(LaunchType),
    /// A strategy over providers of one family. Never empty.
    Strategy(Vec<CapacityProviderStrategyItem>),
}

impl LaunchTarget {
    /// The launch type that it comes to; `None` where it is left to the cluster.
    pub fn launch_type(&self) -> Option<LaunchType> {
        match self {
            LaunchTarget::LaunchType(launch_type) => Some(*launch_type),
            LaunchTarget::Strategy(items) => {
                let on_fargate = items.iter().any(|item| is_fargate(&item.capacity_provider));
                Some(if on_fargate { LaunchType::Fargate } else { LaunchType::Ec2 })
            }
            LaunchTarget::ClusterDefault => None,
        }
    }
}
