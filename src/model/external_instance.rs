//! Container instances that Longshore does not run: a client registers them and plays their agent.
//!
//! They take part in placement like any other. What they are made of is what their agent says; nobody launches, meters or bills them
//! here, and what becomes of their tasks is what their agent submits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capacity::{InstanceDevices, InstanceLaunch, InstanceResources, reserved_ports};
use super::document::Document;
use super::ids::{ContainerInstanceId, TaskId};
use super::task::{ContainerExit, ContainerStatus, TaskStatus};
use super::task_definition::HostPort;
use super::units::{CpuUnits, MemoryMib, Timestamp};
use super::written_form::is_default;

/// The agent of an instance that Longshore does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalAgent {
    /// How EC2 calls the instance; `None`: it has no identity document.
    pub ec2_instance_id: Option<Arc<str>>,
    /// `versionInfo.agentVersion`.
    pub agent_version: Option<Arc<str>>,
    /// `versionInfo.agentHash`.
    pub agent_hash: Option<Arc<str>>,
    /// `versionInfo.dockerVersion`.
    pub docker_version: Option<Arc<str>>,
    /// The attributes of ECS' own names that it reports, `ecs.` and `com.amazonaws.`: they count before what is known of the instance's type.
    pub attributes: BTreeMap<String, String>,
    /// The ids of the GPUs that it registered, if it did.
    #[serde(skip_serializing_if = "is_default")]
    pub gpu_ids: BTreeSet<String>,
}

/// The parameters of RegisterContainerInstance. **Source:** ecs-semantics §3.1, §11.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerInstanceRegistration {
    /// The instance that its agent was before, when it knows.
    #[serde(skip_serializing_if = "is_default")]
    pub container_instance: Option<ContainerInstanceId>,
    /// Its type, its zone, its custom attributes and its agent.
    pub launch: InstanceLaunch,
    /// `totalResources`; `None` is what its type has.
    #[serde(skip_serializing_if = "is_default")]
    pub resources: Option<TotalResources>,
    /// Tags.
    #[serde(skip_serializing_if = "is_default")]
    pub tags: BTreeMap<String, String>,
    /// What else was said. *Ours.*
    #[serde(skip_serializing_if = "Document::is_empty")]
    pub document: Document,
}

impl ContainerInstanceRegistration {
    /// What it registers: a set that is not given is ECS' default. **Source:** ecs-semantics §3.1.
    pub fn registered(&self) -> InstanceResources {
        match &self.resources {
            Some(given) => InstanceResources {
                cpu: given.cpu,
                memory: given.memory,
                ports: given.ports.clone().unwrap_or_else(reserved_ports),
                devices: InstanceDevices { gpus: given.gpus, ..self.launch.instance_type.devices },
            },
            None => self.launch.instance_type.resources(self.launch.reserved_memory),
        }
    }
}

/// What an agent says that its instance has. **Source:** ecs-semantics §3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TotalResources {
    /// `CPU`.
    pub cpu: CpuUnits,
    /// `MEMORY`.
    pub memory: MemoryMib,
    /// `PORTS` and `PORTS_UDP`: those that are taken from the start; `None` are ECS' own.
    pub ports: Option<BTreeSet<HostPort>>,
    /// `GPU`: how many.
    #[serde(skip_serializing_if = "is_default")]
    pub gpus: u32,
}

/// How far an agent's update is. **Source:** ecs-semantics §11.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentUpdateStatus {
    /// Asked for. Its agent says no more until it registers anew.
    Pending,
    /// It has registered with a later version.
    Updated,
}

impl AgentUpdateStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentUpdateStatus::Pending => "PENDING",
            AgentUpdateStatus::Updated => "UPDATED",
        }
    }
}

/// The parameters of SubmitTaskStateChange and SubmitContainerStateChange: what an agent says of a task.
/// **Source:** ecs-semantics §2.1, §2.2, §11.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmittedStateChange {
    /// The task, which is on an instance that Longshore does not run.
    pub task: TaskId,
    /// Its status; `None` leaves it: only containers changed. An agent says PENDING, RUNNING and STOPPED.
    #[serde(skip_serializing_if = "is_default")]
    pub status: Option<SubmittedStatus>,
    /// Why it is so.
    #[serde(skip_serializing_if = "is_default")]
    pub reason: Option<Arc<str>>,
    /// What is said of its containers.
    #[serde(skip_serializing_if = "is_default")]
    pub containers: Vec<SubmittedContainer>,
    /// When its images began to be pulled.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_started_at: Option<Timestamp>,
    /// When its images were there.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_stopped_at: Option<Timestamp>,
    /// When its first essential container ended.
    #[serde(skip_serializing_if = "is_default")]
    pub execution_stopped_at: Option<Timestamp>,
}

/// What an agent says that a task is. **Source:** ecs-semantics §2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubmittedStatus {
    /// Its images are pulled and its containers created.
    Pending,
    /// All its containers have started.
    Running,
    /// All its containers have ended.
    Stopped,
}

impl SubmittedStatus {
    /// What an agent's word means; `None` for one that says nothing of it, as its own steps between (`MANIFEST_PULLED`, `CREATED`).
    pub fn parse(word: &str) -> Option<SubmittedStatus> {
        match word {
            _ if word == TaskStatus::Pending.as_str() => Some(SubmittedStatus::Pending),
            _ if word == TaskStatus::Running.as_str() => Some(SubmittedStatus::Running),
            _ if word == TaskStatus::Stopped.as_str() => Some(SubmittedStatus::Stopped),
            _ => None,
        }
    }
}

/// What an agent says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmittedContainer {
    /// Its name in the task definition.
    pub name: String,
    /// Its status; PENDING for the agent's own steps before RUNNING.
    pub status: ContainerStatus,
    /// Its exit code and the reason.
    #[serde(skip_serializing_if = "is_default")]
    pub exit: ContainerExit,
    /// What else is said of it: `runtimeId`, `networkBindings`, `imageDigest`. Empty leaves what was said before.
    #[serde(skip_serializing_if = "Document::is_empty")]
    pub document: Document,
}
