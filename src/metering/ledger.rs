//! The meter's sums: exact integers over everything that has stopped, from which any bill is computed.
//!
//! Tasks that differ in nothing a bill is broken down by (service, task definition, tags) are one *group*; the ledger
//! holds sums for each group and not for each task, so its size follows what can be asked for and not how much ran.
//! Where it is asked how it was over time, or on which instance, each *slot* has sums of its own.
//! Nothing is rounded here except seconds.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::price::billed_seconds;
use super::stretch::{Host, StretchUsage};
use crate::model::id_table::InstanceTable;
use crate::model::ids::ContainerInstanceId;
use crate::model::task_definition::CpuArchitecture;
use crate::model::units::{Duration, Timestamp, VcpuNanos};
use crate::model::usage::{BilledPlacement, PurchaseOption, TaskIdentity, TaskUsage};

pub(super) const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Sums over finished tasks and the lives of instances.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Where each group is in `groups`.
    index_by_whom: BTreeMap<Whom, usize>,
    /// In the order in which they were first seen, which no amount may depend on.
    groups: Vec<Group>,
    /// Instances in the default slot, one of which each end of a task on EC2 looks for.
    instances: InstanceTable<Instance>,
    /// Those in other slots.
    slotted_instances: BTreeMap<InstanceKey, Instance>,
}

/// An instance, or what it was in a slot.
pub(super) type InstanceKey = (ContainerInstanceId, Slot);

/// What has sums of its own beside others of the same group, so that they can be told apart. What is not to be told apart is in the default one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// A day, by its number.
    pub day: u32,
    /// An instance, by its number and one; 0 is none.
    pub resource: u32,
}

/// Whom a group's use and cost are put down to, ordered by what a bill is broken down by.
#[derive(Clone, Debug)]
pub(super) struct Whom(pub Arc<TaskIdentity>, pub Slot);

/// The sums of one group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Of one of its tasks: its service, task definition and tags are those of all.
    pub identity: Arc<TaskIdentity>,
    /// Its slot.
    pub slot: Slot,
    /// What its tasks used on Fargate.
    pub used_on_fargate: Used,
    /// What its tasks used on EC2.
    pub used_on_ec2: Used,
    /// What its tasks are billed for on Fargate. A handful at most, each kind once.
    pub fargate: Vec<(FargateKind, FargateSum)>,
}

/// What was used, measured.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Used {
    /// By how many tasks.
    pub tasks: u64,
    pub vcpu_nanos: u128,
    pub mib_millis: u128,
    pub fuel: u128,
    /// The largest of any one task.
    pub memory_bytes_peak: u64,
}

/// A part of a task's paid interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskPart {
    /// 1 when the task is counted with this part, else 0.
    pub tasks: u64,
    /// The seconds that it is billed for on Fargate.
    pub billed_seconds: u64,
    /// Its length.
    pub nanos: u128,
    /// What was used in it.
    pub usage: StretchUsage,
}

/// What decides the rate of a Fargate task.
pub(super) type FargateKind = (CpuArchitecture, PurchaseOption);

/// Configured sizes times billed seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FargateSum {
    pub unit_seconds: u128,
    pub mib_seconds: u128,
    pub storage_gib_seconds: u128,
}

/// An EC2 instance's life and what was reserved on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Instance {
    /// Absent until a start is stated: tasks on it may be known before.
    pub host: Option<Arc<Host>>,
    /// Its starts by number: when it entered `running` and left it. Either may be stated first.
    pub runs: BTreeMap<u32, Run>,
    /// Seconds that are billed for stretches of its starts, if any is known.
    pub stretch_seconds: Option<u64>,
    /// What each group reserved on it, by the group's index.
    pub reserved: BTreeMap<usize, ReservedSum>,
    /// CPU work that surplus credits were charged for, by the charge's number.
    pub surplus: BTreeMap<u32, VcpuNanos>,
}

/// One of an instance's starts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    pub started_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    /// Whether its end has been noted for a ledger.
    pub is_kept: bool,
}

/// Reservations times the time they were held.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReservedSum {
    pub unit_nanos: u128,
    pub mib_nanos: u128,
}

impl Ledger {
    /// Adds a task's whole paid interval and what it used in it.
    pub fn add_task(&mut self, identity: &Arc<TaskIdentity>, interval: Duration, usage: &TaskUsage) {
        let part = TaskPart {
            tasks: 1,
            billed_seconds: billed_seconds(interval),
            nanos: interval.as_nanos(),
            usage: StretchUsage::of(usage),
        };
        let group_index = self.group_index(identity, Slot::default());
        let instance = match identity.placement {
            BilledPlacement::Ec2 { instance } => Some((instance, Slot::default())),
            BilledPlacement::Fargate { .. } => None,
        };
        self.add_part(group_index, identity, instance, &part);
    }

    /// Adds a part of a task's paid interval to a group; on EC2, to what that reserved on an instance.
    pub fn add_part(
        &mut self,
        group_index: usize,
        identity: &TaskIdentity,
        instance: Option<InstanceKey>,
        part: &TaskPart,
    ) {
        let group = &mut self.groups[group_index];
        let (cpu, memory) = (u128::from(identity.cpu.0), u128::from(identity.memory.0));
        match (identity.placement, instance) {
            (BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib }, _) => {
                group.used_on_fargate.add(part);
                let seconds = u128::from(part.billed_seconds);
                let sum = group.fargate_sum((architecture, purchase_option));
                sum.unit_seconds += cpu * seconds;
                sum.mib_seconds += memory * seconds;
                sum.storage_gib_seconds += u128::from(extra_storage_gib) * seconds;
            }
            (BilledPlacement::Ec2 { .. }, Some(instance)) => {
                group.used_on_ec2.add(part);
                let reserved = self.instance_mut(instance).reserved.entry(group_index).or_default();
                reserved.unit_nanos += cpu * part.nanos;
                reserved.mib_nanos += memory * part.nanos;
            }
            (BilledPlacement::Ec2 { .. }, None) => unreachable!("a task on EC2 is on an instance"),
        }
    }

    /// All groups, in the order in which they were first seen.
    pub fn groups_as_seen(&self) -> &[Group] {
        &self.groups
    }

    /// Puts back a group. Its index is the number of those that were put back before.
    pub fn put_back(&mut self, group: Group) {
        self.index_by_whom.insert(Whom(Arc::clone(&group.identity), group.slot), self.groups.len());
        self.groups.push(group);
    }

    /// The instance, known from here on.
    pub fn instance_mut(&mut self, key: InstanceKey) -> &mut Instance {
        let (id, slot) = key;
        match slot == Slot::default() {
            true => self.instances.get_or_default(id),
            false => self.slotted_instances.entry(key).or_default(),
        }
    }

    /// The instance, when a fact has named it.
    pub fn instance(&self, id: ContainerInstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// Looks at what a task on an instance is going to change: see [`super::meter::Meter::look_ahead_at`].
    pub fn look_ahead_at(&self, id: ContainerInstanceId) -> u64 {
        let sums = self.instance(id).and_then(|instance| instance.reserved.first_key_value());
        sums.map_or(0, |(group, sum)| *group as u64 ^ u64::from(sum.unit_nanos > 0))
    }

    /// All instances: those in the default slot, then the others, each kind by id.
    pub fn instances(&self) -> impl Iterator<Item = (Slot, &Instance)> {
        let unslotted = self.instances.values().map(|instance| (Slot::default(), instance));
        unslotted.chain(self.slotted_instances.iter().map(|((_, slot), instance)| (*slot, instance)))
    }

    /// All instances of a ledger without slots, by id.
    pub fn instances_by_id(&self) -> impl Iterator<Item = (ContainerInstanceId, &Instance)> {
        self.instances.iter()
    }

    /// All groups with their indices, ordered by service, task definition, tags and slot: not by when they were first seen.
    pub fn groups(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.index_by_whom.values().map(|index| (*index, &self.groups[*index]))
    }

    /// The index of the group that a task is in, known from here on.
    pub fn group_index(&mut self, identity: &Arc<TaskIdentity>, slot: Slot) -> usize {
        let next = self.groups.len();
        let index = *self.index_by_whom.entry(Whom(Arc::clone(identity), slot)).or_insert(next);
        if index == next {
            self.groups.push(Group {
                identity: Arc::clone(identity),
                slot,
                used_on_fargate: Used::default(),
                used_on_ec2: Used::default(),
                fargate: Vec::new(),
            });
        }
        index
    }
}

impl Group {
    fn fargate_sum(&mut self, kind: FargateKind) -> &mut FargateSum {
        let position = self.fargate.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.fargate.push((kind, FargateSum::default()));
            self.fargate.len() - 1
        });
        &mut self.fargate[position].1
    }
}

impl Used {
    fn add(&mut self, part: &TaskPart) {
        let usage = &part.usage;
        self.tasks += part.tasks;
        self.vcpu_nanos += u128::from(usage.vcpu.0);
        self.mib_millis += u128::from(usage.memory_mib_millis);
        self.fuel += u128::from(usage.fuel.0);
        self.memory_bytes_peak = self.memory_bytes_peak.max(usage.memory_bytes_peak);
    }
}

impl Instance {
    /// Whether it has started and not stopped.
    pub fn is_running(&self) -> bool {
        self.runs.values().any(|run| run.started_at.is_some() && run.stopped_at.is_none())
    }

    /// The seconds it is billed for up to `now`, each start by itself; `None` while none is known. **Source:** ecs-semantics §8.3.
    pub fn billed_seconds(&self, now: Timestamp) -> Option<u64> {
        let runs = self.runs.values().filter_map(|run| Some((run.started_at?, run.stopped_at.unwrap_or(now))));
        let seconds = runs.map(|(from, to)| billed_seconds(to.since(from)));
        seconds.chain(self.stretch_seconds).reduce(u64::saturating_add)
    }
}

impl Ord for Whom {
    fn cmp(&self, other: &Whom) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return self.1.cmp(&other.1);
        }
        let (a, b) = (&self.0, &other.0);
        a.service
            .cmp(&b.service)
            .then_with(|| a.task_definition.family.cmp(&b.task_definition.family))
            .then_with(|| a.task_definition.revision.cmp(&b.task_definition.revision))
            .then_with(|| a.tags.cmp(&b.tags))
            .then_with(|| self.1.cmp(&other.1))
    }
}

impl PartialOrd for Whom {
    fn partial_cmp(&self, other: &Whom) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Whom {
    fn eq(&self, other: &Whom) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Whom {}
