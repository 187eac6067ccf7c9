//! The meter's sums: exact integers over everything that has stopped, from which any bill is computed.
//!
//! Tasks that differ in nothing a bill is broken down by (service, task definition, tags) are one *group*; the ledger
//! holds sums for each group and not for each task, so its size follows what can be asked for and not how much ran.
//! Nothing is rounded here except seconds.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::price::billed_seconds;
use crate::model::capacity::InstanceType;
use crate::model::ids::ContainerInstanceId;
use crate::model::task_definition::CpuArchitecture;
use crate::model::units::{Duration, Timestamp, VcpuNanos};
use crate::model::usage::{BilledPlacement, PurchaseOption, TaskIdentity, TaskUsage};

pub(super) const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Sums over finished tasks and the lives of instances.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Ledger {
    /// Where each group is in `groups`.
    index_by_whom: BTreeMap<Whom, usize>,
    /// In the order in which they were first seen, which no amount may depend on.
    groups: Vec<Group>,
    instances: BTreeMap<ContainerInstanceId, Instance>,
}

/// Whom a group's use and cost are put down to, ordered by what a bill is broken down by.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Whom(Arc<TaskIdentity>);

/// The sums of one group.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Group {
    /// Of one of its tasks: its service, task definition and tags are those of all.
    pub identity: Arc<TaskIdentity>,
    /// How many tasks.
    pub tasks: u64,
    /// What its tasks used on Fargate.
    pub used_on_fargate: Used,
    /// What its tasks used on EC2.
    pub used_on_ec2: Used,
    /// What its tasks are billed for on Fargate. A handful at most, each kind once.
    pub fargate: Vec<(FargateKind, FargateSum)>,
}

/// What was used, measured.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Used {
    pub vcpu_nanos: u128,
    pub mib_millis: u128,
    pub fuel: u128,
    /// The largest of any one task.
    pub memory_bytes_peak: u64,
}

/// What decides the rate of a Fargate task.
pub(super) type FargateKind = (CpuArchitecture, PurchaseOption);

/// Configured sizes times billed seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct FargateSum {
    pub unit_seconds: u128,
    pub mib_seconds: u128,
    pub storage_gib_seconds: u128,
}

/// An EC2 instance's life and what was reserved on it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Instance {
    /// Absent until a start is stated: tasks on it may be known before.
    pub started: Option<InstanceStart>,
    /// Its starts by number: when it entered `running` and left it. Either may be stated first.
    pub runs: BTreeMap<u32, Run>,
    /// What each group reserved on it, by the group's index.
    pub reserved: BTreeMap<usize, ReservedSum>,
    /// CPU work that surplus credits were charged for, by the charge's number.
    pub surplus: BTreeMap<u32, VcpuNanos>,
}

/// One of an instance's starts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Run {
    pub started_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
}

/// What the start of an instance says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct InstanceStart {
    pub instance_type: Arc<InstanceType>,
    pub purchase_option: PurchaseOption,
    pub capacity_provider: Option<Arc<str>>,
}

/// Reservations times the time they were held.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct ReservedSum {
    pub unit_nanos: u128,
    pub mib_nanos: u128,
}

impl Ledger {
    /// Adds a task's whole paid interval and what it used in it.
    pub fn add_task(&mut self, identity: &Arc<TaskIdentity>, interval: Duration, usage: &TaskUsage) {
        let group_index = self.group_index(identity);
        let group = &mut self.groups[group_index];
        group.tasks += 1;
        let (cpu, memory) = (u128::from(identity.cpu.0), u128::from(identity.memory.0));
        match identity.placement {
            BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib } => {
                group.used_on_fargate.add(usage);
                let seconds = u128::from(billed_seconds(interval));
                let sum = group.fargate_sum((architecture, purchase_option));
                sum.unit_seconds += cpu * seconds;
                sum.mib_seconds += memory * seconds;
                sum.storage_gib_seconds += u128::from(extra_storage_gib) * seconds;
            }
            BilledPlacement::Ec2 { instance } => {
                group.used_on_ec2.add(usage);
                let nanos = interval.as_nanos();
                let reserved = self.instances.entry(instance).or_default().reserved.entry(group_index).or_default();
                reserved.unit_nanos += cpu * nanos;
                reserved.mib_nanos += memory * nanos;
            }
        }
    }

    /// The instance, known from here on.
    pub fn instance_mut(&mut self, id: ContainerInstanceId) -> &mut Instance {
        self.instances.entry(id).or_default()
    }

    /// The instance, when a fact has named it.
    pub fn instance(&self, id: ContainerInstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// All instances, by id.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// All groups with their indices, ordered by service, task definition and tags: not by when they were first seen.
    pub fn groups(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.index_by_whom.values().map(|index| (*index, &self.groups[*index]))
    }

    fn group_index(&mut self, identity: &Arc<TaskIdentity>) -> usize {
        let next = self.groups.len();
        let index = *self.index_by_whom.entry(Whom(Arc::clone(identity))).or_insert(next);
        if index == next {
            self.groups.push(Group {
                identity: Arc::clone(identity),
                tasks: 0,
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
    fn add(&mut self, usage: &TaskUsage) {
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
        let seconds: Vec<u64> = runs.map(|(from, to)| billed_seconds(to.since(from))).collect();
        (!seconds.is_empty()).then(|| seconds.into_iter().fold(0, u64::saturating_add))
    }
}

impl Ord for Whom {
    fn cmp(&self, other: &Whom) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let (a, b) = (&self.0, &other.0);
        a.service
            .cmp(&b.service)
            .then_with(|| a.task_definition.family.cmp(&b.task_definition.family))
            .then_with(|| a.task_definition.revision.cmp(&b.task_definition.revision))
            .then_with(|| a.tags.cmp(&b.tags))
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
