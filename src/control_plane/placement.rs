//! Placement: which container instance takes a task, and why none does.
//!
//! The pipeline is ECS': candidates are the active instances (of one capacity provider, when there is one), those
//! without the resources, the ports or the constraints drop out, strategies rank the rest, and the first is taken.
//! **Source:** ecs-semantics §4.1.
//!
//! Nothing here looks at all instances in turn. [`PlacementIndex`] keeps them in search trees by what they have left,
//! parted by capacity provider, by zone and by whatever else strategies spread over, so that the price of a
//! placement does not grow with the number of instances (`benches/placement.rs`). It grows with the number of
//! capacity providers and of values of the attributes that are spread over. What `memberOf` asks of instances alone parts them
//! too, so that it is asked once of each; so does whether an instance has the GPUs and the network interface that a task wants, and
//! tasks that want none do not see it. Four things may take a pass over the instances that have room: wanting a host port, a
//! query about the tasks on an instance, a random choice when only a few in a hundred have room, and, once for a service that has
//! grown, counting its tasks on each instance.
//!
//! Fargate tasks have no instance and do not come here.

mod assessment;
mod chain;
mod conditions;
mod decision;
mod failure;
mod forest;
mod partition;
mod search;
mod slot;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use assessment::{Assessment, Candidate, Position};
pub use decision::{RankNames, Ranks, rank_names};
pub use failure::{
    AGENT, ATTRIBUTE, DISTINCT_INSTANCE, EMPTY_CAPACITY_PROVIDER, INACTIVE, KnownReason, LOCATION, MEMBER_OF,
    NO_ACTIVE_INSTANCES, PlacementFailure, RESOURCE_CPU, RESOURCE_ENI, RESOURCE_FARGATE, RESOURCE_GPU, RESOURCE_MEMORY,
    RESOURCE_PORTS, Rule, RuleVerdict, read_reason,
};
use thiserror::Error;

use self::chain::{Chain, Criterion};
use self::conditions::{Conditions, GroupNames, LastingConditions};
use self::forest::SlotIndex;
use self::partition::{Limits, Partition};
use self::search::{Search, counts_tasks_on_instances};
use self::slot::{GroupIndex, Slot, Standing};
use super::action::Failure;
use crate::model::capacity::{ContainerInstance, InstanceLaunch, InstanceResources, RequiredAttribute};
use crate::model::cluster_query::Moment;
use crate::model::id_table::InstanceTable;
use crate::model::ids::{ContainerInstanceId, IdForm};
use crate::model::rng::RandomStream;
use crate::model::service::{PlacementConstraint, PlacementStrategy};
use crate::model::task_definition::{Devices, Reservation};
use crate::model::units::{CpuUnits, MemoryMib, Timestamp};

/// What a task wants of an instance.
#[derive(Clone, Copy, Debug)]
pub struct PlacementRequest<'a> {
    /// What it takes from the instance.
    pub reservation: &'a Reservation,
    /// Its group, whose tasks `spread` and `distinctInstance` count. **Source:** ecs-semantics §2.5.
    pub group: &'a Arc<str>,
    /// The provider whose instances are the candidates; `None` is all instances (launch type EC2).
    pub capacity_provider: Option<&'a Arc<str>>,
    /// How candidates are ranked, first strategy first.
    pub strategies: &'a [PlacementStrategy],
    /// What excludes candidates.
    pub constraints: &'a [PlacementConstraint],
    /// Attributes that it must have. **Source:** ecs-semantics §4.1.
    pub required_attributes: &'a [RequiredAttribute],
    /// The zones of its subnets, sorted; empty is any. A task's network interface is in the zone of its instance.
    /// **Source:** ecs-semantics §4.5.
    pub availability_zones: &'a [Arc<str>],
    /// What the task is, for the ranking when there is no strategy.
    pub kind: TaskKind,
}

/// What a task belongs to. **Source:** ecs-semantics §4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum TaskKind {
    /// A service. Without a strategy its tasks are spread over zones, then over instances.
    Service,
    /// RunTask. Without a strategy the choice is random.
    Standalone,
}

/// No instance takes the task; [`PlacementIndex::explain`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no container instance met all of the task's requirements")]
pub struct Unplaceable;

/// Every instance that may take tasks, what it has left, and how many tasks of each group it holds.
///
/// The caller says what it does: [`reserve`](PlacementIndex::reserve) for a task that was placed,
/// [`release`](PlacementIndex::release) when it has ended. An instance that was removed stays known for as long as it
/// holds tasks, so that it can be inserted again with them; until then they count for nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct PlacementIndex {
    slots: Vec<Slot>,
    vacant: Vec<SlotIndex>,
    slot_by_id: InstanceTable<SlotIndex>,
    groups: BTreeMap<Arc<str>, Group>,
    group_count: u64,
    partitions: Vec<Partition>,
    placement_count: u64,
    limits: Limits,
    names: GroupNames,
    calendar: Calendar,
}

/// How an instance's id and times are shown to queries.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Calendar {
    /// The form of ids.
    pub ids: IdForm,
    /// The calendar time of the cluster's start.
    #[serde(with = "crate::model::written_form::calendar_moment")]
    pub start: jiff::Timestamp,
}

impl Default for Calendar {
    fn default() -> Calendar {
        Calendar { ids: IdForm { seed: 0 }, start: jiff::Timestamp::UNIX_EPOCH }
    }
}

impl Calendar {
    fn moment(&self, at: Timestamp) -> Option<Moment> {
        let elapsed = jiff::SignedDuration::from_nanos(i64::try_from(at.0).ok()?);
        self.start.checked_add(elapsed).ok().map(Moment::of)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Group {
    index: GroupIndex,
    /// Never zero.
    task_count: u32,
}

impl PlacementIndex {
    /// An index without instances.
    pub fn new(calendar: Calendar) -> PlacementIndex {
        PlacementIndex { calendar, ..PlacementIndex::default() }
    }

    /// Takes in an active instance, or what has changed of one: its resources and attributes. Tasks that were
    /// reserved on it stay counted; what they take must be missing from `instance.remaining`.
    pub fn insert_instance(&mut self, instance: &ContainerInstance) {
        self.set_aside(instance.id);
        let taken_in = Slot { standing: Standing::Active, ..Slot::of(instance, &self.calendar) };
        let slot = match self.slot_by_id.get(&instance.id) {
            Some(slot) => {
                let held = &mut self.slots[*slot as usize];
                *held = Slot { tasks: std::mem::take(&mut held.tasks), ..taken_in };
                *slot
            }
            None => {
                let slot = match self.vacant.pop() {
                    Some(slot) => {
                        self.slots[slot as usize] = taken_in;
                        slot
                    }
                    None => {
                        self.slots.push(taken_in);
                        SlotIndex::try_from(self.slots.len() - 1).expect("instances are counted in 32 bits")
                    }
                };
                self.slot_by_id.insert(instance.id, slot);
                slot
            }
        };
        for partition in &mut self.partitions {
            partition.insert(slot, &self.slots[slot as usize]);
        }
    }

    /// Places no more tasks on an instance. One that is not known is ignored.
    pub fn remove_instance(&mut self, instance: ContainerInstanceId) {
        self.set_aside(instance);
        self.vacate_if_done(instance);
        self.partitions.retain(|partition| !partition.is_overgrown());
    }

    /// Takes what a task needs from an instance and counts the task in its group. An instance that is not known is
    /// ignored.
    ///
    /// # Panics
    /// When the instance has less left than the task needs, or one of its ports is in use.
    pub fn reserve(&mut self, instance: ContainerInstanceId, group: &Arc<str>, reservation: &Reservation) {
        let Some(slot) = self.slot_by_id.get(&instance).copied() else {
            return;
        };
        let held = &mut self.slots[slot as usize];
        let (cpu, memory) = (held.remaining.cpu.0, held.remaining.memory.0);
        assert!(
            cpu >= reservation.cpu.0
                && memory >= reservation.memory.0
                && held.has_ports(reservation)
                && held.remaining.devices.have(reservation.devices),
            "instance {instance} has what is reserved on it"
        );
        held.remaining.cpu = CpuUnits(cpu - reservation.cpu.0);
        held.remaining.memory = MemoryMib(memory - reservation.memory.0);
        held.remaining.ports.extend(&reservation.ports);
        held.remaining.devices = held.remaining.devices.without(reservation.devices);
        let index = match self.groups.get_mut(group) {
            Some(known) => {
                known.task_count += 1;
                known.index
            }
            None => {
                let index = GroupIndex(self.group_count);
                self.group_count += 1;
                self.groups.insert(Arc::clone(group), Group { index, task_count: 1 });
                self.names.insert(index, Arc::clone(group));
                index
            }
        };
        held.count_task_in(index);
        if held.is_active() {
            for partition in &mut self.partitions {
                partition.reserve(slot, held, index);
            }
        }
    }

    /// Gives back what a task took from an instance. An instance that is not known is ignored.
    ///
    /// # Panics
    /// When the instance holds no task of the group.
    pub fn release(&mut self, instance: ContainerInstanceId, group: &Arc<str>, reservation: &Reservation) {
        let Some(slot) = self.slot_by_id.get(&instance).copied() else {
            return;
        };
        let held = &mut self.slots[slot as usize];
        held.remaining.cpu = held.remaining.cpu + reservation.cpu;
        held.remaining.memory = held.remaining.memory + reservation.memory;
        for port in &reservation.ports {
            held.remaining.ports.remove(port);
        }
        held.remaining.devices = held.remaining.devices.with(reservation.devices);
        let known = self.groups.get_mut(group).expect("only a task that was reserved is released");
        let index = known.index;
        known.task_count -= 1;
        let is_last = known.task_count == 0;
        held.count_task_out(index);
        if held.is_active() {
            for partition in &mut self.partitions {
                partition.release(slot, held, index);
            }
        }
        if is_last {
            self.groups.remove(group);
            self.names.remove(&index);
            for partition in &mut self.partitions {
                partition.forget_group(index);
            }
        }
        self.vacate_if_done(instance);
    }

    /// What an instance has left: one that takes tasks, or one that was removed and still holds some.
    pub fn remaining(&self, instance: ContainerInstanceId) -> Option<&InstanceResources> {
        let slot = self.slot_by_id.get(&instance)?;
        Some(&self.slots[*slot as usize].remaining)
    }

    /// Looks at what changes when a task of an instance is over: see [`super::look_ahead`].
    pub(super) fn look_ahead_at(&self, instance: ContainerInstanceId) -> u64 {
        let Some(slot) = self.slot_by_id.get(&instance).copied() else { return 0 };
        let held = self.slot(slot);
        let counted = held.tasks.first().map_or(0, |(_, count)| *count);
        let own = u64::from(held.remaining.cpu.0 ^ counted) ^ held.standing as u64;
        self.partitions.iter().fold(own, |seen, partition| seen ^ partition.look_ahead_at(slot))
    }

    /// Chooses the instance for a task and reserves nothing.
    ///
    /// # Errors
    /// When no candidate takes the task. That costs no more than a choice: the reasons are [`PlacementIndex::explain`]'s.
    ///
    /// **Source:** ecs-semantics §4.1, §4.2. *Ours:* the last ties go to the fullest instance, then to the oldest.
    pub fn place(
        &mut self,
        request: &PlacementRequest<'_>,
        rng: &mut RandomStream,
    ) -> Result<ContainerInstanceId, Unplaceable> {
        let chain = Chain::new(request.strategies, request.kind);
        let (slot, _) = self.choose(request, (&chain, &Conditions::of(request)), rng)?;
        Ok(self.slot(slot).id)
    }

    /// The same, with what the choice went by: [`PlacementIndex::ranks`] before the task is reserved.
    ///
    /// # Errors
    /// As [`PlacementIndex::place`].
    pub fn place_by_ranks(
        &mut self,
        request: &PlacementRequest<'_>,
        rng: &mut RandomStream,
    ) -> Result<(ContainerInstanceId, Ranks), Unplaceable> {
        let chain = Chain::new(request.strategies, request.kind);
        let (slot, partition) = self.choose(request, (&chain, &Conditions::of(request)), rng)?;
        let ranks = self.ranks_in(Some(&self.partitions[partition]), (&chain, chain.strategies()), slot, request);
        Ok((self.slot(slot).id, ranks.collect()))
    }

    /// An instance's slot for a task, and the partition in which it was found.
    fn choose(
        &mut self,
        request: &PlacementRequest<'_>,
        (chain, conditions): (&Chain<'_>, &Conditions<'_>),
        rng: &mut RandomStream,
    ) -> Result<(SlotIndex, usize), Unplaceable> {
        self.placement_count += 1;
        let group = self.group(request.group);
        let index = self.partition_by(&chain.attributes, conditions, request.reservation.devices);
        let partition = &mut self.partitions[index];
        partition.used_at = self.placement_count;
        let counted = group.filter(|_| counts_tasks_on_instances(chain, request));
        let has_view =
            counted.is_some_and(|group| partition.prepare_view(group, chain.order, &self.slots, self.placement_count));
        if !has_view {
            partition.prepare_order(chain.order, &self.slots, self.placement_count);
        }
        let mut search = Search::new(&self.slots, partition, request, chain, group, (conditions, &self.names));
        let chosen = search.choose(rng);
        let walked = search.walked;
        if let Some(group) = group.filter(|_| walked > 0) {
            self.partitions[index].note_walk(group, walked);
        }
        chosen.map(|slot| (slot, index)).ok_or(Unplaceable)
    }

    /// Says of each candidate why it does not take a task, and of `silent` instances, which would be candidates if their agents had
    /// contact: a pass over all of them.
    ///
    /// **Source:** ecs-semantics §4.5.
    pub fn explain<'a>(
        &self,
        request: &PlacementRequest<'_>,
        silent: impl IntoIterator<Item = &'a ContainerInstance>,
    ) -> PlacementFailure {
        let active = self.slot_by_id.values().map(|slot| self.slot(*slot)).filter(|held| held.is_active());
        let silent = silent.into_iter().map(|instance| self.seen(instance));
        let mut candidates: Vec<Cow<'_, Slot>> = active.map(Cow::Borrowed).chain(silent).collect();
        candidates.retain(|held| {
            request.capacity_provider.is_none_or(|wanted| held.launch.capacity_provider.as_ref() == Some(wanted))
        });
        candidates.sort_by_key(|held| held.id);
        failure::explain(candidates.iter().map(Cow::as_ref), request, self.group(request.group), &self.names)
    }

    /// Why an instance that takes tasks does not take this one. **Source:** ecs-semantics §4.5.
    pub fn refusal(&self, instance: ContainerInstanceId, request: &PlacementRequest<'_>) -> Option<Failure> {
        let held = self.slot(self.active(instance)?);
        failure::refusal(held, request, self.group(request.group), &self.names)
    }

    /// Whether an instance takes tasks, has the required attributes and fulfils the queries, its room apart.
    pub fn is_eligible(&self, instance: ContainerInstanceId, request: &PlacementRequest<'_>) -> bool {
        let conditions = Conditions::of(request);
        self.active(instance)
            .map(|slot| self.slot(slot))
            .is_some_and(|held| LastingConditions::of(&conditions).are_met(held) && conditions.pass(held, &self.names))
    }

    /// How many such tasks an instance has room for, its conditions apart. *Ours:* wanting a host port or an instance each is one at
    /// most.
    pub fn room_for(&self, instance: ContainerInstanceId, request: &PlacementRequest<'_>) -> u32 {
        let Some(held) = self.active(instance).map(|slot| self.slot(slot)) else { return 0 };
        if failure::refusal(held, request, self.group(request.group), &self.names).is_some() {
            return 0;
        }
        let (left, needed) = (&held.remaining, request.reservation);
        if is_distinct(request.constraints) || !needed.ports.is_empty() {
            return 1;
        }
        let of = |left: u32, needed: u32| left.checked_div(needed).unwrap_or(u32::MAX);
        of(left.cpu.0, needed.cpu.0).min(of(left.memory.0, needed.memory.0)).min(left.devices.room_for(needed.devices))
    }

    /// What the choice of an instance went by: its numbers in the order of the strategies, before the task is reserved.
    pub fn ranks(&self, instance: ContainerInstanceId, request: &PlacementRequest<'_>) -> Vec<u32> {
        let chain = Chain::new(request.strategies, request.kind);
        self.ranks_by(&chain, chain.strategies(), instance, request)
    }

    /// An instance's numbers by some of a chain's criteria; none for one that takes no tasks.
    fn ranks_by(
        &self,
        chain: &Chain<'_>,
        criteria: &[Criterion],
        instance: ContainerInstanceId,
        request: &PlacementRequest<'_>,
    ) -> Vec<u32> {
        let conditions = Conditions::of(request);
        let known =
            |partition: &&Partition| partition.attributes == chain.attributes && partition.conditions.are(&conditions);
        let Some(slot) = self.active(instance) else { return Vec::new() };
        self.ranks_in(self.partitions.iter().find(known), (chain, criteria), slot, request).collect()
    }

    /// The same of one that does, with the partition for such a chain, if there is one.
    fn ranks_in<'a>(
        &'a self,
        partition: Option<&'a Partition>,
        (chain, criteria): (&'a Chain<'_>, &'a [Criterion]),
        slot: SlotIndex,
        request: &PlacementRequest<'_>,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let (held, group) = (self.slot(slot), self.group(request.group));
        let in_bucket = move |group: GroupIndex, attribute: usize| match partition {
            Some(partition) => partition.tasks_in_bucket(group, attribute, partition.cell_of(slot)),
            // Nobody has asked this way before.
            None => {
                let name = chain.attributes[attribute];
                let same = self
                    .slots
                    .iter()
                    .filter(|other| other.is_active() && other.attribute(name) == held.attribute(name));
                same.map(|other| other.task_count(group)).sum()
            }
        };
        let rank = move |criterion: &Criterion| match criterion {
            Criterion::TasksInBucket(attribute) => group.map_or(0, |group| in_bucket(group, *attribute)),
            Criterion::TasksOnInstance => group.map_or(0, |group| held.task_count(group)),
            Criterion::Cpu => held.remaining.cpu.0,
            Criterion::Memory => held.remaining.memory.0,
        };
        criteria.iter().map(rank)
    }

    /// An instance as the rules see it, whether it takes tasks or not.
    fn seen(&self, instance: &ContainerInstance) -> Cow<'_, Slot> {
        let known = self.slot_by_id.get(&instance.id).map(|slot| self.slot(*slot));
        match known.filter(|held| held.is_active()) {
            Some(active) => Cow::Borrowed(active),
            None => {
                let mut held = Slot::of(instance, &self.calendar);
                if let Some(known) = known {
                    held.tasks.clone_from(&known.tasks);
                    held.remaining.clone_from(&known.remaining);
                }
                Cow::Owned(held)
            }
        }
    }

    fn slot(&self, slot: SlotIndex) -> &Slot {
        &self.slots[slot as usize]
    }

    /// The slot of an instance that takes tasks.
    fn active(&self, instance: ContainerInstanceId) -> Option<SlotIndex> {
        let slot = self.slot_by_id.get(&instance)?;
        self.slot(*slot).is_active().then_some(*slot)
    }

    /// The number of a group that has a task somewhere.
    fn group(&self, group: &Arc<str>) -> Option<GroupIndex> {
        self.groups.get(group).map(|known| known.index)
    }

    /// The partition by some attributes, conditions and devices, built if need be.
    fn partition_by(&mut self, attributes: &[&str], conditions: &Conditions<'_>, devices: Devices) -> usize {
        let is_wanted = |partition: &Partition| {
            partition.attributes == attributes && partition.devices == devices && partition.conditions.are(conditions)
        };
        let known = self.partitions.iter().position(is_wanted);
        if let Some(known) = known {
            return known;
        }
        if self.partitions.len() >= self.limits.partitions_max {
            let idle = self.partitions.iter().enumerate().min_by_key(|(_, partition)| partition.used_at);
            let (idle, _) = idle.expect("there are as many partitions as may be");
            self.partitions.swap_remove(idle);
        }
        self.partitions.push(Partition::new(attributes, (conditions, devices), &self.slots, self.limits));
        self.partitions.len() - 1
    }

    /// Takes an instance that takes tasks out of all partitions.
    fn set_aside(&mut self, instance: ContainerInstanceId) {
        if let Some(slot) = self.active(instance) {
            for partition in &mut self.partitions {
                partition.remove(slot, &self.slots[slot as usize]);
            }
            self.slots[slot as usize].standing = Standing::SetAside;
        }
    }

    /// Forgets an instance that takes no tasks and holds none.
    fn vacate_if_done(&mut self, instance: ContainerInstanceId) {
        let Some(slot) = self.slot_by_id.get(&instance).copied() else {
            return;
        };
        let held = &mut self.slots[slot as usize];
        if held.standing == Standing::SetAside && held.tasks.is_empty() {
            held.standing = Standing::Vacant;
            self.slot_by_id.remove(&instance);
            self.vacant.push(slot);
        }
    }
}

/// Whether an instance that is not there yet would have the required attributes and fulfil the queries, without a task on it.
pub(super) fn would_meet(launch: &Arc<InstanceLaunch>, request: &PlacementRequest<'_>) -> bool {
    let held = Slot::fresh(launch, InstanceResources::default());
    let conditions = Conditions::of(request);
    LastingConditions::of(&conditions).are_met(&held) && conditions.pass(&held, &GroupNames::new())
}

/// Whether each task of the group is to have an instance of its own. **Source:** ecs-semantics §4.3.
fn is_distinct(constraints: &[PlacementConstraint]) -> bool {
    constraints.contains(&PlacementConstraint::DistinctInstance)
}
