//! A task's life: statuses in order, desired against last, why it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::Document;
use super::ids::{ContainerInstanceId, DeploymentId, TaskId};
use super::image_reference::ImageDigest;
use super::task_definition::{LaunchType, Reservation, TaskDefinition};
use super::units::{CpuUnits, MemoryMib, Timestamp, VcpuNanos};
use super::usage::TaskUsage;
use super::written_form::is_default;

/// ECS' task statuses in the order that a task passes them; it never goes back. **Source:** ecs-semantics §2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// Waits for capacity of its capacity provider, or for pre-launch work.
    #[default]
    Provisioning,
    /// Placed, not started.
    Pending,
    /// Its images are pulled and its containers created.
    Activating,
    /// All its containers have started.
    Running,
    /// Being taken out of load balancers.
    Deactivating,
    /// Asked to stop; its containers have their stop timeout.
    Stopping,
    /// Its resources are being released.
    Deprovisioning,
    /// Over.
    Stopped,
}

impl TaskStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskStatus::Provisioning => "PROVISIONING",
            TaskStatus::Pending => "PENDING",
            TaskStatus::Activating => "ACTIVATING",
            TaskStatus::Running => "RUNNING",
            TaskStatus::Deactivating => "DEACTIVATING",
            TaskStatus::Stopping => "STOPPING",
            TaskStatus::Deprovisioning => "DEPROVISIONING",
            TaskStatus::Stopped => "STOPPED",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a task should be. **Source:** ecs-semantics §2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DesiredStatus {
    /// `RUNNING`.
    #[default]
    Running,
    /// `STOPPED`.
    Stopped,
}

impl DesiredStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            DesiredStatus::Running => "RUNNING",
            DesiredStatus::Stopped => "STOPPED",
        }
    }
}

/// Why a task ended, for programs. **Source:** ecs-semantics §2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopCode {
    /// It never ran.
    TaskFailedToStart,
    /// An essential container ended.
    EssentialContainerExited,
    /// StopTask.
    UserInitiated,
    /// Scale-in, or a deployment replaced it.
    ServiceSchedulerInitiated,
    /// Spot capacity was reclaimed.
    SpotInterruption,
    /// Its instance ended.
    TerminationNotice,
    /// Its infrastructure failed.
    InfrastructureHealth,
}

impl StopCode {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            StopCode::TaskFailedToStart => "TaskFailedToStart",
            StopCode::EssentialContainerExited => "EssentialContainerExited",
            StopCode::UserInitiated => "UserInitiated",
            StopCode::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
            StopCode::SpotInterruption => "SpotInterruption",
            StopCode::TerminationNotice => "TerminationNotice",
            StopCode::InfrastructureHealth => "InfrastructureHealth",
        }
    }
}

/// The statuses that the data plane reports of a container. **Source:** ecs-semantics §2.1, §2.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerStatus {
    /// Not started.
    #[default]
    Pending,
    /// Started.
    Running,
    /// Ended.
    Stopped,
}

impl ContainerStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerStatus::Pending => "PENDING",
            ContainerStatus::Running => "RUNNING",
            ContainerStatus::Stopped => "STOPPED",
        }
    }
}

/// The health of a container or a task. **Source:** ecs-semantics §1.5.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthStatus {
    /// Not known: no check is defined, or none has had a result yet.
    #[default]
    Unknown,
    /// The last check passed.
    Healthy,
    /// As many checks in a row failed as the definition allows.
    Unhealthy,
}

impl HealthStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Unknown => "UNKNOWN",
            HealthStatus::Healthy => "HEALTHY",
            HealthStatus::Unhealthy => "UNHEALTHY",
        }
    }
}

/// How a container ended. **Source:** ecs-semantics §2.4, §12.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerExit {
    /// The guest's exit code; 134 for a trap, 137 for an interruption or the memory limit. `None`: it never ran.
    #[serde(skip_serializing_if = "is_default")]
    pub exit_code: Option<i32>,
    /// What to add to it, as in `OutOfMemoryError: Container killed due to memory usage`.
    #[serde(skip_serializing_if = "is_default")]
    pub reason: Option<String>,
}

/// What the reason of a task begins with whose image is not there. **Source:** ecs-semantics §2.4.
pub const CANNOT_PULL_CONTAINER: &str = "CannotPullContainerError: ";

/// What the reason of a container that could not be started begins with. **Source:** ecs-semantics §2.3, §2.4.
pub const CANNOT_START_CONTAINER: &str = "CannotStartContainerError: ";

impl ContainerExit {
    /// Whether the container has never run.
    pub fn is_failed_start(&self) -> bool {
        let reason = self.reason.as_deref();
        reason.is_some_and(|reason| self.exit_code.is_none() || reason.starts_with(CANNOT_START_CONTAINER))
    }
}

/// One container of a task. Its definition has the same index in the task definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Container {
    /// Its last status.
    pub last_status: ContainerStatus,
    /// How it ended; all `None` until then.
    pub exit: ContainerExit,
    /// Its health as last reported.
    pub health: HealthStatus,
    /// How many times its restart policy has started it again.
    pub restart_count: u32,
    /// What few containers have: the GPUs that it was given, and what else the agent of another's instance says of it. *Ours.*
    pub document: Document,
    /// The digest of its image, once that is there. **Source:** ecs-semantics §5.9.
    pub image_digest: Option<ImageDigest>,
}

/// The member of a container's document that has the ids of its GPUs. **Source:** ecs-semantics §11.6.
pub const GPU_IDS: &str = "gpuIds";

impl Container {
    /// The ids of the GPUs that it has to itself, or had.
    pub fn gpu_ids(&self) -> impl Iterator<Item = &str> {
        let ids = self.document.member(GPU_IDS).and_then(Value::as_array);
        ids.into_iter().flatten().filter_map(Value::as_str)
    }
}

/// What a request changes of the task definition for its tasks. **Source:** ecs-semantics §2.5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskOverrides {
    /// By container name.
    pub containers: BTreeMap<String, ContainerOverride>,
    /// Replaces the task-level CPU.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Option<CpuUnits>,
    /// Replaces the task-level memory.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Option<MemoryMib>,
    /// Replaces the ephemeral storage, in GiB: 21 to 200. Fargate only.
    #[serde(skip_serializing_if = "is_default")]
    pub ephemeral_storage_gib: Option<u32>,
    /// A limit on the CPU work of one task: beyond it the task is ended with exit code 137. Ours, not ECS': a budget
    /// for code that is not trusted.
    pub vcpu_budget: Option<VcpuNanos>,
}

/// Changes to one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerOverride {
    /// Replaces the command.
    pub command: Option<Vec<String>>,
    /// Added to the environment, by key.
    pub environment: BTreeMap<String, String>,
    /// Replaces the files of variables.
    pub environment_files: Option<Vec<String>>,
    /// Replaces the CPU units.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Option<CpuUnits>,
    /// Replaces the hard memory limit.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Option<MemoryMib>,
    /// Replaces the soft limit.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_reservation: Option<MemoryMib>,
    /// Replaces the number of GPUs.
    #[serde(skip_serializing_if = "is_default")]
    pub gpus: Option<u32>,
}

/// A task. **Source:** ecs-semantics §2.
///
/// It lies in memory as it is written here, and what each sample of its usage looks at comes first: of a million tasks nothing is in a
/// processor's cache, so that what counts is how many lines of it are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[repr(C)]
pub struct Task {
    /// Its identity.
    pub id: TaskId,
    /// What it has used, as last reported.
    pub usage: TaskUsage,
    /// What it reserves of its instance.
    pub reservation: Arc<Reservation>,
    /// Its instance on EC2, once placed.
    pub container_instance: Option<ContainerInstanceId>,
    /// What it should be.
    pub desired_status: DesiredStatus,
    /// What it was last.
    pub last_status: TaskStatus,
    /// What it runs: what was registered, with the sizes that its overrides give in place of those.
    pub task_definition: Arc<TaskDefinition>,
    /// Changes to the task definition.
    pub overrides: Arc<TaskOverrides>,
    /// Its group: `family:NAME` or `service:NAME` or the caller's.
    pub group: Arc<str>,
    /// The caller's tag, or the deployment's id for a service's task.
    pub started_by: Option<Arc<str>>,
    /// Where it runs.
    pub launch_type: LaunchType,
    /// The capacity provider that it runs on, if by a strategy.
    pub capacity_provider: Option<Arc<str>>,
    /// Its service, for a service's task.
    pub service: Option<Arc<str>>,
    /// Its deployment, for a service's task.
    pub deployment: Option<DeploymentId>,
    /// Why it ended or is ending, for programs.
    pub stop_code: Option<StopCode>,
    /// Why it ended or is ending, for people.
    pub stopped_reason: Option<Arc<str>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its images began to be pulled: the paid interval begins.
    pub pull_started_at: Option<Timestamp>,
    /// When its images were there.
    pub pull_stopped_at: Option<Timestamp>,
    /// When all its containers had started.
    pub started_at: Option<Timestamp>,
    /// When the data plane took it over. **Source:** ecs-semantics §2.1.
    pub connectivity_at: Option<Timestamp>,
    /// When its first essential container ended, or it was asked to stop before. **Source:** ecs-semantics §2.1.
    pub execution_stopped_at: Option<Timestamp>,
    /// When it was asked to stop.
    pub stopping_at: Option<Timestamp>,
    /// When it was over: the paid interval ends.
    pub stopped_at: Option<Timestamp>,
    /// Its containers, in the task definition's order.
    pub containers: Vec<Container>,
    /// Its tags.
    pub tags: Arc<BTreeMap<String, String>>,
    /// What else was said by who asked for it: RunTask's or StartTask's, or its service's at its start. *Ours.*
    pub document: Document,
    /// Until when it is protected from scale-in. **Source:** ecs-semantics §2.6.
    pub protected_until: Option<Timestamp>,
    /// Counts state changes.
    pub version: u64,
}

impl Task {
    /// Whether an essential container has ended, which ends the task. **Source:** ecs-semantics §2.2.
    pub fn has_lost_an_essential_container(&self) -> bool {
        let defined = self.task_definition.containers.iter();
        defined
            .zip(&self.containers)
            .any(|(defined, container)| defined.essential && container.last_status == ContainerStatus::Stopped)
    }

    /// Why an essential container of it could not start, if that is why it never ran. **Source:** ecs-semantics §2.3, §2.4.
    pub fn failed_start(&self) -> Option<&str> {
        if self.started_at.is_some() {
            return None;
        }
        let defined = self.task_definition.containers.iter().zip(&self.containers);
        let lost = defined.filter(|(defined, _)| defined.essential).map(|(_, container)| &container.exit);
        lost.filter(|exit| exit.is_failed_start()).find_map(|exit| exit.reason.as_deref())
    }

    /// The worst that is known of its essential containers: one that is unhealthy makes it so, and else one of which nothing is
    /// known leaves it unknown. **Source:** ecs-semantics §1.5.1.
    pub fn health_status(&self) -> HealthStatus {
        let defined = self.task_definition.containers.iter().zip(&self.containers);
        let essential = defined.filter(|(defined, _)| defined.essential).map(|(_, container)| container.health);
        essential.fold(HealthStatus::Healthy, |worst, health| match (worst, health) {
            (HealthStatus::Unhealthy, _) | (_, HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
            (HealthStatus::Unknown, _) | (_, HealthStatus::Unknown) => HealthStatus::Unknown,
            (HealthStatus::Healthy, HealthStatus::Healthy) => HealthStatus::Healthy,
        })
    }

    /// Whether scale-in and deployments leave it alone. **Source:** ecs-semantics §2.6.
    pub fn is_protected(&self, now: Timestamp) -> bool {
        self.protected_until.is_some_and(|until| now < until)
    }

    /// Whether it holds resources of its instance: it does from its placement until it is over.
    /// **Source:** ecs-semantics §3.1.
    pub fn holds_resources(&self) -> bool {
        self.container_instance.is_some() && self.last_status != TaskStatus::Stopped
    }
}
