//! What was used: the facts that utilisation, scaling and the bill are computed from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capacity::InstanceType;
use super::ids::{ContainerInstanceId, TaskId};
use super::task_definition::{CpuArchitecture, TaskDefinition, definition_by_name};
use super::units::{CpuUnits, Duration, Fuel, MemoryMib, Timestamp, VcpuNanos};
use super::written_form::{by_name, is_default};

/// What one task has used since it began, over all its containers. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskUsage {
    /// Fuel burnt by guests.
    #[serde(skip_serializing_if = "is_default")]
    pub fuel: Fuel,
    /// CPU time that the task's host calls took.
    #[serde(skip_serializing_if = "is_default")]
    pub host_call_time: Duration,
    /// CPU time of the threads that worked for the task, guest and host calls together.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_time: Duration,
    /// CPU work in the cluster's basis: what quotas, utilisation and "used" are counted in.
    #[serde(skip_serializing_if = "is_default")]
    pub vcpu: VcpuNanos,
    /// The most memory held at once, in bytes: linear memories, tables and host buffers.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_bytes_peak: u64,
    /// Memory held at the moment, in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_bytes: u64,
    /// Memory held over time, in MiB-milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_mib_millis: u64,
}

/// A task's usage at a moment, as the data plane reports it from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UsageSample {
    /// The task.
    pub task: TaskId,
    /// Its usage so far.
    pub usage: TaskUsage,
}

/// CPU work that was promised to tasks while they had use for it, and what they got of it. Only ever grows.
///
/// What a quota holds back is no shortfall: it was never promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What quotas, and the vCPUs of busy instances, promised while there was demand.
    pub wanted: VcpuNanos,
    /// What was delivered of that.
    pub delivered: VcpuNanos,
}

/// How a Fargate task's or an instance's capacity is priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseOption {
    /// On-demand.
    #[default]
    OnDemand,
    /// Spot.
    Spot,
}

/// A fact for the meter: who, when, how much. The control plane states each one exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MeteringFact {
    /// A task's paid interval began: its first image pull.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// When.
        at: Timestamp,
        /// Who it is for and what it is.
        identity: Arc<TaskIdentity>,
    },
    /// A task's paid interval ended. A task that never pulled has no `TaskStarted` and no `TaskStopped`.
    TaskStopped {
        /// The task.
        task: TaskId,
        /// When.
        at: Timestamp,
        /// Everything that it used.
        usage: TaskUsage,
    },
    /// An EC2 instance entered `running`: it is paid for from here on, busy or idle.
    InstanceStarted {
        /// The instance.
        instance: ContainerInstanceId,
        /// Its how manieth start this is, from 1: each is billed by itself. **Source:** ecs-semantics §8.3.
        start: u32,
        /// On-demand or Spot.
        purchase_option: PurchaseOption,
        /// When.
        at: Timestamp,
        /// Its type.
        instance_type: Arc<InstanceType>,
        /// Its availability zone.
        availability_zone: Arc<str>,
        /// Its capacity provider, if it has one.
        capacity_provider: Option<Arc<str>>,
    },
    /// Surplus CPU credits of an instance are charged for. **Source:** EC2 user guide, burstable instances in unlimited mode.
    SurplusCreditsCharged {
        /// The instance.
        instance: ContainerInstanceId,
        /// Its how manieth charge this is, from 1.
        charge: u32,
        /// When.
        at: Timestamp,
        /// CPU work beyond what the instance earned.
        surplus: VcpuNanos,
    },
    /// An EC2 instance left `running`.
    InstanceStopped {
        /// The instance.
        instance: ContainerInstanceId,
        /// Which of its starts this ends.
        start: u32,
        /// When.
        at: Timestamp,
    },
}

/// Whom a task's use and cost are put down to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskIdentity {
    /// The service, for a service's task.
    pub service: Option<Arc<str>>,
    /// The task definition.
    #[serde(serialize_with = "by_name", deserialize_with = "definition_by_name")]
    pub task_definition: Arc<TaskDefinition>,
    /// The tags that the task was given.
    pub tags: BTreeMap<String, String>,
    /// Where it runs and so how it is paid for.
    pub placement: BilledPlacement,
    /// CPU units that it reserves.
    pub cpu: CpuUnits,
    /// Memory that it reserves.
    pub memory: MemoryMib,
}

/// Where a task runs, for its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BilledPlacement {
    /// Fargate bills the task's configured size.
    Fargate {
        /// On-demand or Spot.
        purchase_option: PurchaseOption,
        /// The architecture.
        architecture: CpuArchitecture,
        /// Ephemeral storage in GiB beyond the 20 that are included.
        extra_storage_gib: u32,
    },
    /// EC2 bills the instance; the task has a part of its cost.
    Ec2 {
        /// The instance.
        instance: ContainerInstanceId,
    },
}
