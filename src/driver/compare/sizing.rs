//! Sizes of tasks: the Fargate size that holds one, and the size that a task needs by what its like have used.
//!
//! *Ours:* a task needs the 99th percentile of the CPU that tasks of its definition used in a minute, and the most memory that any of
//! them ever held, each with a fifth on top, and no more CPU than its containers have threads. What a smaller size does to the load is
//! not worked out here: it is simulated.

use super::measure::TaskUse;
use super::variants::current_definitions;
use crate::catalog::Catalog;
use crate::metering::price::FargateRate;
use crate::model::cluster::ClusterSpec;
use crate::model::task_definition::TaskDefinition;
use crate::model::units::{CpuUnits, MemoryMib};
use crate::model::usage::PurchaseOption;

/// What is put on top of what was used, in percent. *Ours.*
pub const HEADROOM_PERCENT: u64 = 20;

/// The step of memory sizes on EC2, where any would do. *Ours:* so that they read well.
const MEMORY_STEP_MIB: u64 = 32;
/// The least CPU that is advised.
const CPU_MIN: u64 = 64;

/// CPU and memory of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskSize {
    /// CPU units.
    pub cpu: CpuUnits,
    /// Memory.
    pub memory: MemoryMib,
}

/// Which size the tasks of a definition need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeAdvice {
    /// The family.
    pub family: String,
    /// What a task reserves as written.
    pub written: TaskSize,
    /// The Fargate size that holds that; `None` when none does.
    pub written_on_fargate: Option<TaskSize>,
    /// The 99th percentile of the CPU units that a task used in a minute.
    pub cpu_units_p99: u32,
    /// The most memory that a task held.
    pub memory_mib_peak: u64,
    /// What a task needs.
    pub needed: TaskSize,
    /// The Fargate size that holds that.
    pub needed_on_fargate: Option<TaskSize>,
}

impl SizeAdvice {
    /// Whether tasks need another size than they have, on EC2 or on Fargate.
    pub fn changes_anything(&self) -> bool {
        self.needed != self.written
    }
}

/// The least that a task of a definition takes: its reservation, and the hard limit of each of its containers.
pub(super) fn written_size(definition: &TaskDefinition) -> TaskSize {
    let reservation = definition.reservation();
    let limit = definition.containers.iter().filter_map(|container| container.memory).max();
    TaskSize { cpu: reservation.cpu, memory: reservation.memory.max(limit.unwrap_or_default()) }
}

/// The cheapest size of Fargate that holds so much; `None` when none does. **Source:** ecs-semantics §8.1, §8.2.
pub(super) fn fargate_size(needed: TaskSize, rate: FargateRate, catalog: &Catalog) -> Option<TaskSize> {
    let sizes = catalog.fargate_sizes().iter().filter(|size| size.cpu >= needed.cpu).filter_map(|size| {
        let memory = *size.memory.iter().find(|memory| **memory >= needed.memory)?;
        Some(TaskSize { cpu: size.cpu, memory })
    });
    sizes.min_by_key(|size| {
        let price = i128::from(size.cpu.0) * i128::from(rate.vcpu_hour.0)
            + i128::from(size.memory.0) * i128::from(rate.gb_hour.0);
        (price, *size)
    })
}

/// The Fargate size of a definition's tasks in a region.
pub(super) fn fargate_size_of(
    definition: &TaskDefinition,
    needed: TaskSize,
    region: &str,
    catalog: &Catalog,
) -> Option<TaskSize> {
    let rate = catalog.price_book(region)?.fargate_rate(PurchaseOption::OnDemand, definition.cpu_architecture);
    fargate_size(needed, rate, catalog)
}

/// Which size each definition's tasks need, where any of them ran.
pub(super) fn advise(spec: &ClusterSpec, used: &TaskUse, catalog: &Catalog) -> Vec<SizeAdvice> {
    let advice = current_definitions(spec).filter_map(|definition| {
        let family = used.families.get(&definition.family)?;
        let written = written_size(definition);
        let (cpu_units_p99, peak) = (family.cpu_units_permille(990)?, family.memory_mib_peak());
        let with_headroom = |amount: u64| amount.saturating_mul(100 + HEADROOM_PERCENT).div_ceil(100);
        let containers = u64::try_from(definition.containers.len()).unwrap_or(u64::MAX);
        let cpu = with_headroom(cpu_units_p99.into()).min(containers * u64::from(CpuUnits::PER_VCPU)).max(CPU_MIN);
        let memory = with_headroom(peak).next_multiple_of(MEMORY_STEP_MIB).max(MEMORY_STEP_MIB);
        let narrow = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX);
        let needed = TaskSize { cpu: CpuUnits(narrow(cpu)), memory: MemoryMib(narrow(memory)) };
        let on_fargate = |size| fargate_size_of(definition, size, &spec.region, catalog);
        Some(SizeAdvice {
            family: definition.family.clone(),
            written,
            written_on_fargate: on_fargate(written),
            cpu_units_p99,
            memory_mib_peak: peak,
            needed,
            needed_on_fargate: on_fargate(needed),
        })
    });
    advice.collect()
}

/// The cluster with its tasks of the sizes that they need.
pub(super) fn resize(spec: &ClusterSpec, advice: &[SizeAdvice]) -> ClusterSpec {
    let mut spec = spec.clone();
    for definition in &mut spec.task_definitions {
        if let Some(advice) = advice.iter().find(|advice| advice.family == definition.family) {
            set_size(definition, advice.needed);
        }
    }
    spec
}

/// Gives a definition another size: a limit where it had one, and else shares; its containers keep their parts.
pub(super) fn set_size(definition: &mut TaskDefinition, size: TaskSize) {
    let before: u64 = definition.containers.iter().map(|container| u64::from(container.cpu.0)).sum();
    let is_shares = definition.cpu.is_none();
    if !is_shares {
        definition.cpu = Some(size.cpu);
    }
    if before > 0 && (is_shares || before > u64::from(size.cpu.0)) {
        for container in &mut definition.containers {
            let part = u64::from(container.cpu.0) * u64::from(size.cpu.0) / before;
            container.cpu = CpuUnits(u32::try_from(part).unwrap_or(u32::MAX));
        }
    } else if is_shares && let Some(container) = definition.containers.iter_mut().find(|container| container.essential)
    {
        container.cpu = size.cpu;
    }
    definition.memory = Some(size.memory);
    for container in &mut definition.containers {
        container.memory = container.memory.map(|limit| limit.min(size.memory));
        container.memory_reservation = container.memory_reservation.map(|soft| soft.min(size.memory));
    }
}
