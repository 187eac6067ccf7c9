//! Which instance types are tried: of each kind (burstable, compute, general purpose, memory) the one on which the tasks cost least, by
//! the price of the instances that hold as many as there were on average. Those that cost more than twice the cheapest are not tried, nor
//! burstable ones whose baseline is less than what the tasks use.
//!
//! *Ours:* the families are the current ones and the generation before them, without disks, accelerators or more network. Types below
//! 4 GiB are left out: an operating system and the agent, which nothing here simulates, take a part of them that counts.

use std::sync::Arc;

use super::measure::TaskUse;
use super::sizing::TaskSize;
use super::variants::{
    current_definitions, definition, instances_milli, movable_definitions, moving_services, taken_by_daemons,
};
use crate::catalog::Catalog;
use crate::model::capacity::InstanceType;
use crate::model::cluster::ClusterSpec;
use crate::model::cpu_credits::Burst;
use crate::model::task_definition::{CpuArchitecture, TaskDefinition};
use crate::model::units::{CpuUnits, MemoryMib, VcpuNanos};

/// The most types that are tried.
pub(super) const MOST: usize = 4;

/// Families by kind, for x86 and for ARM.
const KINDS: [(&[&str], &[&str]); MOST] = [
    (&["t3", "t3a"], &["t4g"]),
    (&["c7i", "c7i-flex", "c7a", "c8i", "c8i-flex"], &["c7g", "c8g"]),
    (&["m7i", "m7i-flex", "m7a", "m8i", "m8i-flex"], &["m7g", "m8g"]),
    (&["r7i", "r7a", "r8i", "r8i-flex"], &["r7g", "r8g"]),
];

/// Price lists round: types whose costs differ by less than this, in nano-dollars an hour, cost the same, and the smaller is taken.
const PRICE_STEP: i128 = 100_000;

/// The least memory of a type.
const MEMORY_MIN: MemoryMib = MemoryMib(4096);

/// The types to try, cheapest first; why there are none.
pub(super) fn choose(
    spec: &ClusterSpec,
    seen: Option<&TaskUse>,
    catalog: &Catalog,
) -> Result<Vec<Arc<InstanceType>>, String> {
    let architecture = architecture(spec)?;
    let taken = taken_by_daemons(spec);
    let tasks: Vec<(&TaskDefinition, u64)> = match seen {
        Some(seen) => current_definitions(spec)
            .map(|definition| (definition, seen.mean_count_milli(&definition.family)))
            .collect(),
        None => started(spec),
    };
    let used = seen.map(TaskUse::mean_cpu_units).unwrap_or_default();
    let mut best: Vec<(i128, u32, Arc<InstanceType>)> = KINDS
        .iter()
        .filter_map(|(x86, arm)| {
            let families = match architecture {
                CpuArchitecture::X86_64 => x86,
                CpuArchitecture::Arm64 => arm,
            };
            let of_kind = catalog.instance_type_names().filter_map(|name| {
                let (family, _) = name.split_once('.')?;
                let instance_type = families.contains(&family).then(|| catalog.instance_type(name))??;
                let hourly = catalog.ec2_rate(&spec.region, name)?;
                let fits = instances_milli(&instance_type, taken, tasks.iter().copied())?;
                let instances = fits.div_ceil(1000).max(1);
                let baseline = |burst: Burst| cpu_units(burst.baseline_per_second()).saturating_mul(instances);
                let sustained = instance_type.burst.map_or(u64::MAX, baseline);
                let cost = i128::from(instances) * i128::from(hourly.0) / PRICE_STEP;
                (instance_type.memory >= MEMORY_MIN && used <= sustained).then_some((
                    cost,
                    instance_type.vcpus,
                    instance_type,
                ))
            });
            of_kind.min_by(|a, b| (a.0, a.1, &a.2.name).cmp(&(b.0, b.1, &b.2.name)))
        })
        .collect();
    best.sort_by(|a, b| (a.0, &a.2.name).cmp(&(b.0, &b.2.name)));
    let Some(cheapest) = best.first().map(|(cost, ..)| *cost) else {
        return Err(too_large(&tasks, taken, architecture));
    };
    Ok(best.into_iter().filter(|(cost, ..)| *cost <= 2 * cheapest).map(|(.., instance_type)| instance_type).collect())
}

/// Work of a second as CPU units.
fn cpu_units(of_a_second: VcpuNanos) -> u64 {
    of_a_second.0.saturating_mul(u64::from(CpuUnits::PER_VCPU)) / 1_000_000_000
}

/// The tasks that services begin with.
fn started(spec: &ClusterSpec) -> Vec<(&TaskDefinition, u64)> {
    let services = moving_services(spec).map(|service| (&service.task_definition, service.desired_count));
    let run_tasks = spec.run_tasks.iter().map(|run_task| (&run_task.spec.task_definition, run_task.spec.count));
    services
        .chain(run_tasks)
        .filter_map(|(reference, count)| Some((definition(spec, reference)?, u64::from(count) * 1000)))
        .collect()
}

/// The one that tasks must have, else the one that they are priced for.
fn architecture(spec: &ClusterSpec) -> Result<CpuArchitecture, String> {
    let mut required: Option<(&str, CpuArchitecture)> = None;
    for definition in movable_definitions(spec) {
        let Some(architecture) = definition.required_architecture else { continue };
        match required {
            Some((other, known)) if known != architecture => {
                return Err(format!(
                    "task definitions {other} and {} need instances of different architectures, and one type has one",
                    definition.family
                ));
            }
            _ => required = Some((&definition.family, architecture)),
        }
    }
    let priced = || movable_definitions(spec).map(|definition| definition.cpu_architecture).min();
    Ok(required.map(|(_, architecture)| architecture).or_else(priced).unwrap_or_default())
}

fn too_large(tasks: &[(&TaskDefinition, u64)], taken: TaskSize, architecture: CpuArchitecture) -> String {
    let largest = tasks.iter().max_by_key(|(definition, _)| {
        let reservation = definition.reservation();
        (u64::from(reservation.cpu.0) << 32).max(u64::from(reservation.memory.0) << 22)
    });
    let Some((definition, _)) = largest else { return "there are no tasks".to_owned() };
    let reservation = definition.reservation();
    format!(
        "no general, compute or memory type ({}) with a price in the region holds a task of {} (cpu {}, memory {}){}",
        architecture.attribute_value(),
        definition.family,
        reservation.cpu,
        reservation.memory,
        if taken.cpu.0 > 0 || taken.memory.0 > 0 { " beside the DAEMON services" } else { "" },
    )
}
