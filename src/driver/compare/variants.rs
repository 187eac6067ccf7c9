//! What a cluster looks like on other capacity: the same services, standalone tasks, load and faults, elsewhere.
//!
//! Services and standalone tasks move; what ECS has on EC2 only (DAEMON services, tasks that are started on named instances) stays there,
//! which is said. On Fargate a task gets the cheapest size that holds what it reserves. On EC2 there is one Auto Scaling group of one
//! instance type with managed scaling, as wide as it has to be, which never takes an instance from its tasks; it begins with what
//! the desired counts need and shrinks to nothing when nothing runs.
//!
//! Tasks on Fargate Spot are taken back by chance: as the file says, else each once in two days on average.
//!
//! *Ours:* services that name no placement strategy are packed on EC2 by the resource that is scarcer there, which is how EC2 is run
//! where money counts. Instance refreshes are left out: they are about the file's own instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::measure::TaskUse;
use super::sizing::{TaskSize, fargate_size_of, written_size};
use crate::catalog::Catalog;
use crate::model::auto_scaling_group::{ManagedTerminationProtection, ScaleInProtection};
use crate::model::capacity::{
    AutoScalingGroup, CapacityProvider, CapacityProviderStrategyItem, FARGATE_SPOT, InstanceDevices, InstanceType,
    LaunchTarget, SpotDraining,
};
use crate::model::cluster::ClusterSpec;
use crate::model::fault::{Fault, FaultKind};
use crate::model::service::{
    AvailabilityZoneRebalancing, BinpackField, PlacementStrategy, SchedulingStrategy, ServiceSpec,
};
use crate::model::task_definition::{LaunchType, NetworkMode, TaskDefinition, TaskDefinitionRef};
use crate::model::units::Duration;
use crate::model::usage::PurchaseOption;

/// The name of the capacity provider on EC2 when the file has none.
const PROVIDER: &str = "compared";
/// The most instances of a group. **Source:** ecs-semantics §9.1.
const GROUP_MAX: u32 = 10_000;

/// After how long a task on Spot is taken back, on average. *Ours:* AWS publishes no figure.
pub const SPOT_TASK_LIFE: Duration = Duration::from_secs(48 * 3600);

/// A kind of capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// Fargate, on-demand.
    Fargate,
    /// Fargate Spot.
    FargateSpot,
    /// EC2 instances of a type, on-demand.
    Ec2(Arc<InstanceType>),
}

impl Capacity {
    /// What people call it: `Fargate`, `Fargate Spot`, `EC2 m7i.large`.
    pub fn name(&self) -> String {
        match self {
            Capacity::Fargate => "Fargate".to_owned(),
            Capacity::FargateSpot => "Fargate Spot".to_owned(),
            Capacity::Ec2(instance_type) => format!("EC2 {}", instance_type.name),
        }
    }
}

/// Which size tasks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// What the file says.
    AsWritten,
    /// What their like have used, see [`super::sizing`].
    RightSized,
}

/// A cluster elsewhere.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Where.
    pub capacity: Capacity,
    /// With which sizes.
    pub sizing: Sizing,
    /// The cluster.
    pub spec: ClusterSpec,
}

impl Variant {
    /// What people call it: `EC2 m7i.large`, `Fargate (right-sized)`.
    pub fn name(&self) -> String {
        let name = self.capacity.name();
        match self.sizing {
            Sizing::AsWritten => name,
            Sizing::RightSized => format!("{name} (right-sized)"),
        }
    }

    /// What a task reserves there, by family.
    pub fn task_sizes(&self) -> BTreeMap<String, TaskSize> {
        let sizes = current_definitions(&self.spec).map(|definition| {
            let reservation = definition.reservation();
            let size = TaskSize { cpu: reservation.cpu, memory: reservation.memory };
            (definition.family.clone(), size)
        });
        sizes.collect()
    }
}

/// What moves and what does not.
#[derive(Clone, Debug, Default)]
pub(super) struct Movable {
    /// Services that stay on EC2.
    pub(super) staying_services: Vec<Arc<str>>,
    /// Whether tasks are started on named instances.
    pub(super) has_start_tasks: bool,
}

/// What of a cluster moves; why nothing does.
pub(super) fn movable(spec: &ClusterSpec) -> Result<Movable, String> {
    let (moving, staying): (Vec<&ServiceSpec>, Vec<&ServiceSpec>) =
        spec.services.iter().partition(|service| moves(service));
    if moving.is_empty() && spec.run_tasks.is_empty() {
        let why = match (staying.is_empty(), spec.start_tasks.is_empty()) {
            (true, true) => "the cluster has no service and no run_task",
            (false, _) => "DAEMON services run on EC2 only, and the cluster has no other service and no run_task",
            (true, false) => "start_task names its instances, and the cluster has no service and no run_task",
        };
        return Err(why.to_owned());
    }
    let staying_services = staying.into_iter().map(|service| service.name.clone()).collect();
    Ok(Movable { staying_services, has_start_tasks: !spec.start_tasks.is_empty() })
}

/// **Source:** ecs-semantics §5.1: DAEMON is not supported on Fargate.
fn moves(service: &ServiceSpec) -> bool {
    service.scheduling_strategy == SchedulingStrategy::Replica
}

/// The services that move.
pub(super) fn moving_services(spec: &ClusterSpec) -> impl Iterator<Item = &ServiceSpec> {
    spec.services.iter().filter(|service| moves(service))
}

/// The task definitions of what moves, in the file's order.
pub(super) fn movable_definitions(spec: &ClusterSpec) -> impl Iterator<Item = &TaskDefinition> {
    let services = moving_services(spec).map(|service| &service.task_definition);
    let task_sets = spec.task_sets.iter().map(|set| &set.task_definition);
    let references =
        services.chain(task_sets).chain(spec.run_tasks.iter().map(|run_task| &run_task.spec.task_definition));
    let families: BTreeSet<&str> = references.map(|reference| reference.family.as_str()).collect();
    spec.task_definitions.iter().filter(move |definition| families.contains(definition.family.as_str()))
}

/// Of those the last revision of each family.
pub(super) fn current_definitions(spec: &ClusterSpec) -> impl Iterator<Item = &TaskDefinition> {
    let last: BTreeMap<&str, &TaskDefinition> =
        movable_definitions(spec).map(|definition| (definition.family.as_str(), definition)).collect();
    last.into_values()
}

/// The definition that a reference means.
pub(super) fn definition<'a>(spec: &'a ClusterSpec, reference: &TaskDefinitionRef) -> Option<&'a TaskDefinition> {
    let mut revisions = spec.task_definitions.iter().filter(|definition| definition.family == reference.family);
    match reference.revision {
        None => revisions.next_back(),
        Some(revision) => revisions.nth(usize::try_from(revision).ok()?.checked_sub(1)?),
    }
}

/// What DAEMON services take of every instance.
pub(super) fn taken_by_daemons(spec: &ClusterSpec) -> TaskSize {
    let daemons = spec.services.iter().filter(|service| !moves(service));
    let sizes =
        daemons.filter_map(|service| definition(spec, &service.task_definition)).map(TaskDefinition::reservation);
    sizes.fold(TaskSize { cpu: Default::default(), memory: Default::default() }, |sum, reservation| TaskSize {
        cpu: sum.cpu + reservation.cpu,
        memory: sum.memory + reservation.memory,
    })
}

/// How many instances of a type hold so many tasks of each definition, in thousandths: the greater of what their CPU and their memory
/// take. `None` when a task is too large for one.
pub(super) fn instances_milli<'a>(
    instance_type: &InstanceType,
    taken: TaskSize,
    tasks: impl Iterator<Item = (&'a TaskDefinition, u64)>,
) -> Option<u64> {
    let cpu = instance_type.cpu_units().0.checked_sub(taken.cpu.0)?;
    let memory = instance_type.memory.0.checked_sub(taken.memory.0)?;
    let (mut by_cpu, mut by_memory) = (0, 0);
    for (definition, count_milli) in tasks {
        let reservation = definition.reservation();
        let part = |whole: u32, one: u32| match one {
            0 => Some(0),
            _ => (one <= whole).then(|| count_milli.div_ceil(u64::from(whole / one))),
        };
        by_cpu += part(cpu, reservation.cpu.0)?;
        by_memory += part(memory, reservation.memory.0)?;
    }
    Some(by_cpu.max(by_memory))
}

/// A cluster on a kind of capacity; why it can't be there. `on_fargate` is what its tasks did on Fargate, where that is known.
pub(super) fn variant(
    spec: &ClusterSpec,
    capacity: &Capacity,
    sizing: Sizing,
    on_fargate: Option<&TaskUse>,
) -> Result<Variant, String> {
    let spec = match capacity {
        Capacity::Fargate => to_fargate(spec, &LaunchTarget::LaunchType(LaunchType::Fargate))?,
        Capacity::FargateSpot => {
            let mut spec = to_fargate(spec, &strategy_of(FARGATE_SPOT.into()))?;
            spec.faults.extend(on_fargate.and_then(|seen| interruptions(&spec, seen.mean_tasks_milli())));
            spec
        }
        Capacity::Ec2(instance_type) => to_ec2(spec, instance_type),
    };
    Ok(Variant { capacity: capacity.clone(), sizing, spec })
}

fn strategy_of(capacity_provider: Arc<str>) -> LaunchTarget {
    LaunchTarget::Strategy(vec![CapacityProviderStrategyItem { capacity_provider, weight: 1, base: 0 }])
}

/// Whether a fault takes Spot capacity back.
pub(super) fn is_spot_interruption(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::SpotInterruption { .. })
}

/// Spot tasks that are taken back, one after the other, by chance; none where the file has such faults of its own.
fn interruptions(spec: &ClusterSpec, mean_tasks_milli: u64) -> Option<Fault> {
    if spec.faults.iter().any(is_spot_interruption) {
        return None;
    }
    let nanos = SPOT_TASK_LIFE.as_nanos() * 1000;
    let between = u64::try_from(nanos.checked_div(u128::from(mean_tasks_milli))?).ok()?;
    let capacity_provider = Some(FARGATE_SPOT.into());
    Some(Fault {
        at: Duration::ZERO,
        mean_time_between: Some(Duration::from_nanos(between)),
        kind: FaultKind::SpotInterruption { service: None, capacity_provider, count: Some(1) },
    })
}

fn to_fargate(base: &ClusterSpec, target: &LaunchTarget) -> Result<ClusterSpec, String> {
    let catalog = Catalog::embedded();
    let mut spec = base.clone();
    let moving: BTreeSet<String> = movable_definitions(base).map(|definition| definition.family.clone()).collect();
    for definition in spec.task_definitions.iter_mut().filter(|definition| moving.contains(&definition.family)) {
        definition_to_fargate(definition, &base.region, &catalog)?;
    }
    for service in spec.services.iter_mut().filter(|service| moves(service)) {
        service.launch_target = target.clone();
        service.placement_strategy.clear();
        service.placement_constraints.clear();
    }
    for task_set in &mut spec.task_sets {
        task_set.launch_target = target.clone();
    }
    for run_task in &mut spec.run_tasks {
        run_task.spec.launch_target = target.clone();
        run_task.spec.placement_strategy.clear();
        run_task.spec.placement_constraints.clear();
    }
    spec.default_strategy.clear();
    spec.instance_refreshes.clear();
    // The file's own instances are there for what stays on them only.
    if spec.services.iter().all(moves) {
        spec.capacity_providers.clear();
        if spec.start_tasks.is_empty() {
            spec.container_instances.clear();
        }
    }
    Ok(spec)
}

/// **Source:** ecs-semantics §8.1, §8.5.
fn definition_to_fargate(definition: &mut TaskDefinition, region: &str, catalog: &Catalog) -> Result<(), String> {
    let family = &definition.family;
    if let Some(volume) = definition.volumes.iter().find(|volume| volume.host_source_path.is_some()) {
        let volume = &volume.name;
        return Err(format!(
            "volume {volume} of task definition {family} is a folder of the host, which tasks on Fargate do not see"
        ));
    }
    if definition.containers.iter().any(|container| container.gpus > 0) {
        return Err(format!("task definition {family} needs GPUs, which Fargate has not"));
    }
    let written = written_size(definition);
    let Some(size) = fargate_size_of(definition, written, region, catalog) else {
        let TaskSize { cpu, memory } = written;
        return Err(format!(
            "task definition {family} needs cpu {cpu} and memory {memory}, which no size of Fargate has"
        ));
    };
    // It holds what its containers say, so that these stay as they are.
    definition.cpu = Some(size.cpu);
    definition.memory = Some(size.memory);
    definition.network_mode = NetworkMode::Awsvpc;
    definition.requires_compatibilities = BTreeSet::from([LaunchType::Fargate]);
    definition.placement_constraints.clear();
    Ok(())
}

fn to_ec2(base: &ClusterSpec, instance_type: &Arc<InstanceType>) -> ClusterSpec {
    let mut spec = base.clone();
    let provider = provider_of(base, instance_type);
    let target = strategy_of(provider.name.clone());
    let packing = packing(base, instance_type);
    for definition in &mut spec.task_definitions {
        definition.requires_compatibilities = BTreeSet::from([LaunchType::Ec2]);
        definition.ephemeral_storage_gib = None;
    }
    for service in spec.services.iter_mut().filter(|service| moves(service)) {
        service.launch_target = target.clone();
        if service.placement_strategy.is_empty() {
            service.placement_strategy.push(PlacementStrategy::Binpack(packing));
            service.availability_zone_rebalancing = AvailabilityZoneRebalancing::Disabled;
        }
    }
    for task_set in &mut spec.task_sets {
        task_set.launch_target = target.clone();
    }
    for run_task in &mut spec.run_tasks {
        run_task.spec.launch_target = target.clone();
        if run_task.spec.placement_strategy.is_empty() {
            run_task.spec.placement_strategy.push(PlacementStrategy::Binpack(packing));
        }
    }
    spec.default_strategy.clear();
    spec.instance_refreshes.clear();
    spec.capacity_providers = vec![provider];
    if spec.start_tasks.is_empty() {
        spec.container_instances.clear();
    }
    spec
}

/// The resource of which the tasks take more.
fn packing(spec: &ClusterSpec, instance_type: &InstanceType) -> BinpackField {
    let (mut cpu, mut memory) = (0u64, 0u64);
    for reservation in current_definitions(spec).map(TaskDefinition::reservation) {
        cpu += u64::from(reservation.cpu.0);
        memory += u64::from(reservation.memory.0);
    }
    let units = u64::from(instance_type.cpu_units().0);
    if cpu * u64::from(instance_type.memory.0) >= memory * units { BinpackField::Cpu } else { BinpackField::Memory }
}

/// The group of instances: as the first one of the file where it has one, but for its type, its bounds and its scale-in.
fn provider_of(spec: &ClusterSpec, instance_type: &Arc<InstanceType>) -> CapacityProvider {
    let model = spec.capacity_providers.first();
    let zones = ['a', 'b', 'c'].map(|letter| format!("{}{letter}", spec.region).into()).to_vec();
    let group = model.map(|model| &model.auto_scaling_group);
    let started: u64 = {
        let counts = moving_services(spec).filter_map(|service| {
            Some((definition(spec, &service.task_definition)?, u64::from(service.desired_count) * 1000))
        });
        instances_milli(instance_type, taken_by_daemons(spec), counts).unwrap_or_default().div_ceil(1000)
    };
    // *Ours:* tasks do not run out of network interfaces, as with trunking: a Fargate definition that moves keeps its network mode.
    let devices = InstanceDevices { network_interfaces: None, ..instance_type.devices };
    let trunked = InstanceType { devices, ..InstanceType::clone(instance_type) };
    CapacityProvider {
        name: model.map_or_else(|| PROVIDER.into(), |model| model.name.clone()),
        auto_scaling_group: AutoScalingGroup {
            instance_type: Arc::new(trunked),
            min_size: 0,
            max_size: GROUP_MAX,
            desired_capacity: Some(u32::try_from(started).unwrap_or(GROUP_MAX).min(GROUP_MAX)),
            availability_zones: group.map_or(zones, |group| group.availability_zones.clone()),
            boot_time: group.map_or(spec.settings.boot_time, |group| group.boot_time),
            attributes: group.map(|group| group.attributes.clone()).unwrap_or_default(),
            launch_template_version: 1,
            purchase_option: PurchaseOption::OnDemand,
            spot_draining: SpotDraining::Disabled,
            new_instances_protected: ScaleInProtection::Protected,
            ..AutoScalingGroup::default()
        },
        managed_scaling: Some(model.and_then(|model| model.managed_scaling).unwrap_or_default()),
        managed_termination_protection: ManagedTerminationProtection::Enabled,
        ..CapacityProvider::default()
    }
}
