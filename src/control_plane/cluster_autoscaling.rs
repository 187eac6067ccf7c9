//! Managed scaling: how many instances an Auto Scaling group should have, and where to launch them.
//!
//! The idea: the group has N instances and the tasks need M. `CapacityProviderReservation = M / N × 100` counts whole
//! instances, not their fill: an instance with one small task is needed as much as a full one. Target tracking holds
//! the metric at `target_capacity`: at 100 the group has just what it needs, at 50 as many empty instances again. It
//! grows after one period, unless an instance is still warming up, and shrinks after fifteen. Which instances go then is
//! the group's business.
//!
//! Nothing here places a task, launches or terminates. The estimate for tasks that wait for capacity is a lower bound:
//! a group of equal tasks is packed by division, the groups do not see each other, and what they need is their maximum,
//! not their sum. What was estimated too low is seen again once the launched instances have warmed up.
//!
//! **Source:** ecs-semantics §6.2, §6.3, §6.4, §9.1.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metrics::percent_text;
use crate::model::capacity::{InstanceResources, ManagedScaling};
use crate::model::ids::ContainerInstanceId;
use crate::model::task_definition::Reservation;
use crate::model::units::Timestamp;

/// Periods in a row below the target that bring a scale-in. **Source:** ecs-semantics §6.4.
pub const LOW_ALARM_PERIODS: u32 = 15;

/// The first step from zero instances, whatever the target: target tracking takes a capacity of zero for one, and the
/// metric for 200 %. **Source:** ecs-semantics §6.3.
const FIRST_STEP_FROM_ZERO: u32 = 2;

/// The whole metric, 100 %, in thousandths of a percent.
const WHOLE: u64 = 100_000;

/// An instance of the group that is in service or coming up. Those that are going do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceState<'a> {
    /// Its identity.
    pub id: ContainerInstanceId,
    /// Its zone.
    pub availability_zone: &'a str,
    /// Whether a task holds resources of it.
    pub occupancy: Occupancy,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// What tasks can still take of it; for one that is coming up, all that its type has.
    pub remaining: &'a InstanceResources,
}

/// Whether an instance has tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// None.
    Empty,
    /// At least one that is not over, by whatever launch type it came. **Source:** ecs-semantics §6.4.
    Busy,
}

/// Tasks with identical requirements that wait for capacity of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisioningGroup<'a> {
    /// What each of them needs.
    pub reservation: &'a Reservation,
    /// How many there are.
    pub count: u32,
    /// Whether they may share an instance.
    pub sharing: InstanceSharing<'a>,
}

/// Whether tasks of one group may share an instance. **Source:** ecs-semantics §4.3, §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceSharing<'a> {
    /// They may.
    Shared,
    /// `distinctInstance`: an instance each, and none of those that have a task of the same group.
    Distinct {
        /// Instances that have one.
        taken: &'a BTreeSet<ContainerInstanceId>,
    },
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReservationInputs<'a> {
    /// The end of the metric period.
    pub now: Timestamp,
    /// The group's instances that are in service or coming up.
    pub instances: &'a [InstanceState<'a>],
    /// Tasks that wait for capacity of the provider. Tasks of launch type EC2 are not among them.
    pub provisioning: &'a [ProvisioningGroup<'a>],
    /// What an instance of the group's type has when it registers.
    pub fresh_instance: &'a InstanceResources,
    /// The group's desired capacity.
    pub desired: u32,
}

/// The metric, what it says and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedScalingResult {
    /// `CapacityProviderReservation` in thousandths of a percent, rounded down.
    pub reservation_millipercent: u64,
    /// M: the instances that running and waiting tasks need.
    pub needed: u32,
    /// N: the instances that are in service or coming up.
    pub present: u32,
    /// The desired capacity to set; `None` leaves it. Never the one that is set already.
    pub desired: Option<u32>,
    /// Why, for people: the metric, its target and what kept it from more.
    pub reason: String,
}

/// Managed scaling of one Auto Scaling group.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ManagedScaler {
    settings: ManagedScaling,
    min_size: u32,
    max_size: u32,
    /// Periods in a row below the target.
    low_periods: u32,
}

/// M, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// So many instances.
    Instances(u32),
    /// All waiting tasks are too large for the instance type: no number of instances would do.
    Unsatisfiable,
}

impl ManagedScaler {
    /// Takes over changed bounds of the group.
    pub fn set_bounds(&mut self, min_size: u32, max_size: u32) {
        (self.min_size, self.max_size) = (min_size, max_size);
    }

    /// A scaler without history.
    pub fn new(settings: ManagedScaling, min_size: u32, max_size: u32) -> ManagedScaler {
        ManagedScaler { settings, min_size, max_size, low_periods: 0 }
    }

    /// Computes the metric of a period and decides. To be called once at the end of each metric period.
    pub fn on_period(&mut self, inputs: ReservationInputs<'_>) -> ManagedScalingResult {
        let target = u64::from(self.settings.target_capacity.max(1));
        let present = count_u32(inputs.instances.len());
        let needed = match needed_instances(&inputs, &self.settings) {
            Need::Instances(needed) => needed,
            Need::Unsatisfiable => {
                self.low_periods = 0;
                return ManagedScalingResult {
                    reservation_millipercent: target * (WHOLE / 100),
                    needed: present,
                    present,
                    desired: None,
                    reason: "no waiting task fits the group's instance type".to_owned(),
                };
            }
        };
        // With no instance the quotient is not defined: 100 % when none is needed, 200 % when some are.
        let reservation_millipercent = match (needed, present) {
            (0, 0) => WHOLE,
            (_, 0) => 2 * WHOLE,
            (needed, present) => u64::from(needed) * WHOLE / u64::from(present),
        };
        let (is_high, is_low) = match (needed, present) {
            (0, 0) => (false, false),
            (_, 0) => (true, false),
            (needed, present) => {
                let (metric, threshold) = (u64::from(needed) * 100, target * u64::from(present));
                (metric > threshold, metric < threshold)
            }
        };
        self.low_periods = if is_low { self.low_periods.saturating_add(1) } else { 0 };
        let (desired, outcome) = if is_high {
            self.scale_out(&inputs, needed, present)
        } else if is_low {
            self.scale_in(&inputs, needed, present)
        } else {
            (None, "nothing to do".to_owned())
        };
        let reason = format!(
            "CapacityProviderReservation is {} ({needed} needed, {present} present) against a target of {target}%: \
             {outcome}",
            percent_text(reservation_millipercent),
        );
        ManagedScalingResult { reservation_millipercent, needed, present, desired, reason }
    }

    /// One period above the target: grow to what brings the metric to the target, within the step sizes.
    ///
    /// **Source:** ecs-semantics §6.2, §6.3, §6.4.
    fn scale_out(&self, inputs: &ReservationInputs<'_>, needed: u32, present: u32) -> (Option<u32>, String) {
        let warmup = self.settings.instance_warmup_period;
        let warming =
            inputs.instances.iter().filter(|instance| inputs.now.since(instance.launched_at) < warmup).count();
        if warming > 0 {
            return (None, format!("scale-out waits for {warming} of the instances to warm up"));
        }
        let wanted = if present == 0 {
            FIRST_STEP_FROM_ZERO
        } else {
            let step = self.instances_at_target(needed).saturating_sub(present);
            present.saturating_add(clamp_step(step, &self.settings))
        };
        let desired = wanted.min(self.max_size);
        if desired > inputs.desired {
            (Some(desired), format!("scale-out to {desired}"))
        } else if inputs.desired >= self.max_size {
            (None, format!("the group is at its maximum of {}", self.max_size))
        } else {
            (None, format!("the desired capacity is {} already", inputs.desired))
        }
    }

    /// Fifteen periods below the target: shrink towards it, a part of the way each period.
    ///
    /// At least one instance and less than half of them a period. *Ours:* ECS' "more than 1 instance and less than 50%"
    /// leaves nothing for small groups. The fifteen periods begin anew with every period that is not below the target,
    /// and a scale-out is one, so that there are always fifteen between a scale-out and a scale-in.
    /// **Source:** ecs-semantics §6.4.
    fn scale_in(&self, inputs: &ReservationInputs<'_>, needed: u32, present: u32) -> (Option<u32>, String) {
        let wanted = self.instances_at_target(needed).max(self.min_size);
        if wanted >= present {
            return (None, "no instance can go".to_owned());
        }
        if self.low_periods < LOW_ALARM_PERIODS {
            return (None, format!("scale-in after {LOW_ALARM_PERIODS} periods, this is number {}", self.low_periods));
        }
        let most = (present.saturating_sub(1) / 2).max(1);
        let desired = present - (present - wanted).min(most);
        if desired < inputs.desired {
            (Some(desired), format!("scale-in to {desired}"))
        } else {
            (None, format!("the desired capacity is {} already", inputs.desired))
        }
    }

    /// The number of instances with which the metric is at its target, rounded up.
    fn instances_at_target(&self, needed: u32) -> u32 {
        let target = u64::from(self.settings.target_capacity.max(1));
        u32::try_from((u64::from(needed) * 100).div_ceil(target)).unwrap_or(u32::MAX)
    }
}

/// M: the instances that running and waiting tasks need.
///
/// While tasks wait that the instances have room for, as those that are coming up have, nothing more is needed and the
/// empty instances that they will fill count as busy. *Ours:* ECS' smallest step would launch once more for them.
/// **Source:** ecs-semantics §6.3.
fn needed_instances(inputs: &ReservationInputs<'_>, settings: &ManagedScaling) -> Need {
    let busy = inputs.instances.iter().filter(|instance| instance.occupancy == Occupancy::Busy).count();
    let mut is_waiting = false;
    let mut additional: Option<u32> = None;
    let mut filled = BTreeSet::new();
    for group in inputs.provisioning.iter().filter(|group| group.count > 0) {
        is_waiting = true;
        if let Some(estimate) = pack(group, inputs.instances, inputs.fresh_instance) {
            additional = Some(additional.unwrap_or(0).max(estimate.additional));
            filled.extend(estimate.filled);
        }
    }
    match additional {
        None if is_waiting => Need::Unsatisfiable,
        None | Some(0) => Need::Instances(count_u32(busy + filled.len())),
        Some(additional) => {
            Need::Instances(count_u32(inputs.instances.len()).saturating_add(clamp_step(additional, settings)))
        }
    }
}

/// Where the tasks of a group would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Packing {
    /// Empty instances that they would fill.
    filled: BTreeSet<ContainerInstanceId>,
    /// Further instances that they need.
    additional: u32,
}

/// Packs a group into the instances that have tasks, then into the empty ones, then into further ones.
///
/// `None` when a task does not fit an instance of the type at all: the group does not count.
fn pack(group: &ProvisioningGroup<'_>, instances: &[InstanceState<'_>], fresh: &InstanceResources) -> Option<Packing> {
    let per_instance = room_for(group, fresh);
    if per_instance == 0 {
        return None;
    }
    let mut packing = Packing::default();
    let mut left = group.count;
    for occupancy in [Occupancy::Busy, Occupancy::Empty] {
        for instance in instances.iter().filter(|instance| instance.occupancy == occupancy) {
            let is_taken = match group.sharing {
                InstanceSharing::Shared => false,
                InstanceSharing::Distinct { taken } => taken.contains(&instance.id),
            };
            let placed = if is_taken { 0 } else { room_for(group, instance.remaining).min(left) };
            if placed > 0 && occupancy == Occupancy::Empty {
                packing.filled.insert(instance.id);
            }
            left -= placed;
        }
    }
    packing.additional = left.div_ceil(per_instance);
    Some(packing)
}

/// How many tasks of a group fit into these resources. A host port can be taken once.
fn room_for(group: &ProvisioningGroup<'_>, resources: &InstanceResources) -> u32 {
    let Reservation { cpu, memory, ports, devices } = group.reservation;
    if !ports.is_disjoint(&resources.ports) {
        return 0;
    }
    // A task that needs none of a resource is not limited by it.
    let by_cpu = resources.cpu.0.checked_div(cpu.0).unwrap_or(u32::MAX);
    let by_memory = resources.memory.0.checked_div(memory.0).unwrap_or(u32::MAX);
    let one_each = !ports.is_empty() || matches!(group.sharing, InstanceSharing::Distinct { .. });
    by_cpu.min(by_memory).min(resources.devices.room_for(*devices)).min(if one_each { 1 } else { u32::MAX })
}

/// A number of instances to add within the step sizes; where they contradict each other the maximum holds.
fn clamp_step(step: u32, settings: &ManagedScaling) -> u32 {
    step.max(settings.minimum_scaling_step_size).min(settings.maximum_scaling_step_size)
}

/// The zones in which a group launches instances until it has what it desires: one entry a launch, in order.
///
/// Each goes to the zone with the fewest instances, among equals to the first in the group's list. An instance that was
/// lost is one that is missing: it is replaced by this too. `instances` are those in service or coming up.
/// **Source:** ecs-semantics §9.1.
pub fn asg_wants(desired: u32, instances: &[InstanceState<'_>], availability_zones: &[Arc<str>]) -> Vec<Arc<str>> {
    let missing = desired.saturating_sub(count_u32(instances.len()));
    let mut counts: Vec<usize> = availability_zones
        .iter()
        .map(|zone| instances.iter().filter(|instance| instance.availability_zone == &**zone).count())
        .collect();
    let mut launches = Vec::new();
    for _ in 0..missing {
        let Some((index, count)) = counts.iter_mut().enumerate().min_by_key(|(_, count)| **count) else { break };
        *count += 1;
        launches.push(Arc::clone(&availability_zones[index]));
    }
    launches
}

/// A number of things that never reaches the range of `u32`.
fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
