//! What of a comparison is not as its cluster file says, for people: what stays where it is, what is rounded up, what is assumed.

use std::collections::BTreeMap;

use super::Row;
use super::sizing::{TaskSize, written_size};
use super::variants::{Capacity, Movable, SPOT_TASK_LIFE, current_definitions, is_spot_interruption};
use crate::model::capacity::ManagedScaling;
use crate::model::cluster::ClusterSpec;

/// What is not as the file says, for people.
pub(super) fn notes(spec: &ClusterSpec, movable: &Movable, rows: &[Row]) -> Vec<String> {
    let mut notes = Vec::new();
    for service in &movable.staying_services {
        notes.push(format!(
            "service {service} is a DAEMON, which ECS has on EC2 only: on Fargate it stays on the file's own instances, which are paid \
             for there as well"
        ));
    }
    if movable.has_start_tasks {
        notes.push(
            "tasks of start_task stay on the instances that they name, which are paid for in every row".to_owned(),
        );
    }
    let sizes: BTreeMap<&str, (TaskSize, TaskSize)> = rows
        .iter()
        .find(|row| row.variant.capacity == Capacity::Fargate)
        .into_iter()
        .flat_map(|row| current_definitions(&row.variant.spec))
        .filter_map(|there| {
            let here = spec.task_definitions.iter().rfind(|here| here.family == there.family)?;
            Some((here.family.as_str(), (written_size(here), written_size(there))))
        })
        .collect();
    for (family, (here, there)) in sizes.iter().filter(|(_, (here, there))| here != there) {
        notes.push(format!(
            "task definition {family} reserves cpu {} and memory {}, which is {} and {} on Fargate",
            here.cpu, here.memory, there.cpu, there.memory
        ));
    }
    let is_on_spot = rows.iter().any(|row| row.variant.capacity == Capacity::FargateSpot);
    if is_on_spot && !spec.faults.iter().any(is_spot_interruption) {
        let hours = SPOT_TASK_LIFE.as_secs() / 3600;
        notes.push(format!(
            "on Fargate Spot each task is taken back once in {hours} hours on average, which is an assumption; a [[fault]] of kind \
             SPOT_INTERRUPTION takes its place"
        ));
    }
    if !spec.instance_refreshes.is_empty() {
        notes.push("instance refreshes are left out".to_owned());
    }
    let had = spec.capacity_providers.first().and_then(|provider| provider.managed_scaling);
    if had.unwrap_or_default() != ManagedScaling::default() {
        notes.push(format!(
            "EC2 keeps the file's target capacity of {} percent",
            had.unwrap_or_default().target_capacity
        ));
    }
    notes
}
