//! The details of EventBridge events: ECS' Task and ContainerInstance objects, service actions, deployment state changes.
//!
//! Member names are ECS'; a member that Longshore has nothing to say for is left out.
//!
//! **Source:** ecs-semantics §10.3, §11.6.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::control_plane::action::{DeploymentEvent, ServiceActionEvent, ServiceActionSubjects};
use crate::control_plane::state::ClusterState;
use crate::model::arn::ArnForm;
use crate::model::capacity::{AgentConnection, ContainerInstance, ContainerInstanceStatus, InstanceResources};
use crate::model::ids::DeploymentId;
use crate::model::task::{Task, TaskStatus};
use crate::model::task_definition::{LaunchType, Protocol};
use crate::model::units::Timestamp;

/// What is included on Fargate where a task definition names no other size, in GiB. **Source:** ecs-semantics §8.3.
const EPHEMERAL_STORAGE_GIB: u32 = 20;

/// The detail of `ECS Task State Change`: the Task object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct TaskDetail {
    pub attachments: Vec<NameValue>,
    pub attributes: Vec<NameValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_name: Option<String>,
    pub cluster_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_instance_arn: Option<String>,
    pub containers: Vec<ContainerDetail>,
    /// CPU units, a string as in ECS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    pub created_at: String,
    pub desired_status: &'static str,
    pub enable_execute_command: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<EphemeralStorageDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<String>,
    pub group: String,
    pub health_status: &'static str,
    pub last_status: &'static str,
    pub launch_type: &'static str,
    /// MiB, a string as in ECS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    pub overrides: OverridesDetail,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
    pub task_arn: String,
    pub task_definition_arn: String,
    pub updated_at: String,
    pub version: u64,
}

/// A container of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ContainerDetail {
    pub container_arn: String,
    /// CPU units, a string as in ECS.
    pub cpu: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpu_ids: Vec<String>,
    pub health_status: &'static str,
    pub image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    pub last_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<String>,
    pub name: String,
    pub network_interfaces: Vec<NameValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub task_arn: String,
}

/// Ephemeral storage of a Fargate task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the field is ECS' name")]
pub struct EphemeralStorageDetail {
    #[serde(rename = "sizeInGiB")]
    pub size_in_gib: u32,
}

/// What a request changed of the task definition. Every container is listed, as ECS does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct OverridesDetail {
    pub container_overrides: Vec<ContainerOverrideDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<EphemeralStorageDetail>,
}

/// Changes to one container.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ContainerOverrideDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<NameValue>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_requirements: Option<[ResourceRequirementDetail; 1]>,
}

/// How many of a resource a container is to have.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ResourceRequirementDetail {
    pub r#type: &'static str,
    pub value: String,
}

impl ResourceRequirementDetail {
    fn gpus(count: u32) -> [ResourceRequirementDetail; 1] {
        [ResourceRequirementDetail { r#type: "GPU", value: count.to_string() }]
    }
}

/// A name with its value, as attributes and variables have.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct NameValue {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct KeyValue {
    pub key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// The detail of `ECS Container Instance State Change`: the ContainerInstance object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ContainerInstanceDetail {
    pub agent_connected: bool,
    pub attachments: Vec<NameValue>,
    pub attributes: Vec<NameValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_name: Option<String>,
    pub cluster_arn: String,
    pub container_instance_arn: String,
    pub ec2_instance_id: String,
    pub pending_tasks_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<String>,
    pub registered_resources: Vec<ResourceDetail>,
    pub remaining_resources: Vec<ResourceDetail>,
    pub running_tasks_count: u32,
    pub status: &'static str,
    pub updated_at: String,
    pub version: u64,
}

/// A resource of a container instance: a number or a set of strings, by its type. **Source:** ecs-semantics §3.1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ResourceDetail {
    pub name: &'static str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integer_value: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_set_value: Option<Vec<String>>,
}

/// The detail of `ECS Service Action`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ServiceActionDetail {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capacity_provider_arns: Vec<String>,
    pub cluster_arn: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_instance_arns: Vec<String>,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<u32>,
    pub event_name: &'static str,
    pub event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_arns: Vec<String>,
}

/// The detail of `ECS Deployment State Change`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct DeploymentDetail {
    pub deployment_id: String,
    pub event_name: &'static str,
    pub event_type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub updated_at: String,
}

/// The state of a cluster at a moment, of which ECS' objects are made.
#[derive(Debug)]
pub struct Facts<'a> {
    pub(super) arns: &'a ArnForm,
    pub(super) started_at: jiff::Timestamp,
    pub(super) state: &'a ClusterState,
    pub(super) at: Timestamp,
}

impl Facts<'_> {
    /// Calendar time of a moment, the last that can be written for one beyond it.
    pub(super) fn calendar(&self, at: Timestamp) -> jiff::Timestamp {
        at.calendar(self.started_at)
    }

    /// ISO 8601 in UTC with milliseconds.
    fn iso(&self, at: Timestamp) -> String {
        format!("{:.3}", self.calendar(at))
    }

    /// The zone of a task on Fargate.
    fn fargate_zone(&self, task: &Task) -> Option<&str> {
        let record = self.state.tasks.get(&task.id).filter(|_| task.launch_type == LaunchType::Fargate);
        record.and_then(|record| record.fargate_zone()).map(|zone| &**zone)
    }

    /// A task at the status that it has in `task`: moments and reasons of later statuses are left out.
    pub fn task(&self, task: &Task) -> TaskDetail {
        let definition = &task.task_definition;
        let on_fargate = task.launch_type == LaunchType::Fargate;
        let shown = |at: Option<Timestamp>| at.map(|at| self.iso(at));
        let from = |status: TaskStatus, at: Option<Timestamp>| shown(at.filter(|_| task.last_status >= status));
        let is_ending = task.stop_code.is_some();
        let placed = task.container_instance.filter(|_| task.last_status > TaskStatus::Provisioning);
        let instance = placed.and_then(|id| self.state.container_instances.get(&id));
        let connectivity_at = from(TaskStatus::Pending, task.connectivity_at);
        let attributes = on_fargate.then(|| NameValue {
            name: "ecs.cpu-architecture".into(),
            value: match definition.cpu_architecture {
                crate::model::task_definition::CpuArchitecture::X86_64 => "x86_64".into(),
                crate::model::task_definition::CpuArchitecture::Arm64 => "arm64".into(),
            },
        });
        TaskDetail {
            attachments: Vec::new(),
            attributes: attributes.into_iter().collect(),
            availability_zone: match instance {
                Some(instance) => Some(instance.launch.availability_zone.to_string()),
                None => self.fargate_zone(task).map(str::to_owned),
            },
            capacity_provider_name: task.capacity_provider.as_deref().map(str::to_owned),
            cluster_arn: self.arns.cluster(),
            connectivity: connectivity_at.as_ref().map(|_| "CONNECTED"),
            connectivity_at,
            container_instance_arn: instance.map(|instance| self.arns.container_instance(instance.id)),
            containers: self.containers(task),
            cpu: definition.cpu.map(|cpu| cpu.to_string()),
            created_at: self.iso(task.created_at),
            desired_status: task.desired_status.as_str(),
            enable_execute_command: false,
            ephemeral_storage: on_fargate.then(|| EphemeralStorageDetail {
                size_in_gib: definition.ephemeral_storage_gib.unwrap_or(EPHEMERAL_STORAGE_GIB),
            }),
            execution_stopped_at: shown(task.execution_stopped_at),
            group: task.group.to_string(),
            health_status: task.health_status().as_str(),
            last_status: task.last_status.as_str(),
            launch_type: task.launch_type.as_str(),
            memory: definition.memory.map(|memory| memory.to_string()),
            overrides: overrides(task),
            pull_started_at: shown(task.pull_started_at),
            pull_stopped_at: shown(task.pull_stopped_at),
            started_at: from(TaskStatus::Running, task.started_at),
            started_by: task.started_by.as_deref().map(str::to_owned),
            stop_code: task.stop_code.map(|code| code.as_str()),
            stopped_at: from(TaskStatus::Stopped, task.stopped_at),
            stopped_reason: task.stopped_reason.as_deref().filter(|_| is_ending).map(str::to_owned),
            stopping_at: from(TaskStatus::Stopping, task.stopping_at),
            tags: tags(&task.tags),
            task_arn: self.arns.task(task.id),
            task_definition_arn: self.arns.task_definition(definition),
            updated_at: self.iso(self.at),
            version: task.version,
        }
    }

    fn containers(&self, task: &Task) -> Vec<ContainerDetail> {
        let defined = task.task_definition.containers.iter().zip(&task.containers);
        defined
            .zip(0..)
            .map(|((definition, container), index)| ContainerDetail {
                container_arn: self.arns.container(task.id, index),
                cpu: definition.cpu.to_string(),
                exit_code: container.exit.exit_code,
                gpu_ids: container.gpu_ids().map(str::to_owned).collect(),
                health_status: container.health.as_str(),
                image: definition.image.clone(),
                image_digest: container.image_digest.map(String::from),
                last_status: container.last_status.as_str(),
                memory: definition.memory.map(|memory| memory.to_string()),
                memory_reservation: definition.memory_reservation.map(|memory| memory.to_string()),
                name: definition.name.clone(),
                network_interfaces: Vec::new(),
                reason: container.exit.reason.clone().filter(|reason| !reason.is_empty()),
                task_arn: self.arns.task(task.id),
            })
            .collect()
    }

    /// A container instance.
    pub fn container_instance(&self, instance: &ContainerInstance) -> ContainerInstanceDetail {
        let launch = &instance.launch;
        let built_in = ["ecs.availability-zone", "ecs.cpu-architecture", "ecs.instance-type", "ecs.os-type"];
        let built_in =
            built_in.into_iter().filter_map(|name| Some((name.to_owned(), launch.attribute(name)?.to_owned())));
        let custom = launch.attributes.clone().into_iter();
        let attributes = built_in.chain(custom).map(|(name, value)| NameValue { name, value }).collect();
        ContainerInstanceDetail {
            agent_connected: instance.agent == AgentConnection::Connected
                && matches!(instance.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining),
            attachments: Vec::new(),
            attributes,
            capacity_provider_name: launch.shown_capacity_provider().map(|name| name.to_string()),
            cluster_arn: self.arns.cluster(),
            container_instance_arn: self.arns.container_instance(instance.id),
            ec2_instance_id: instance.ec2_instance_id(self.arns.ids),
            pending_tasks_count: instance.pending_tasks_count,
            registered_at: instance.registered_at.map(|at| self.iso(at)),
            registered_resources: resources(&instance.registered, instance.gpu_ids(self.arns.ids)),
            remaining_resources: resources(&instance.remaining, self.free_gpus(instance)),
            running_tasks_count: instance.running_tasks_count,
            status: instance.status.as_str(),
            updated_at: self.iso(self.at),
            version: instance.version,
        }
    }

    /// The GPUs of an instance that no task there has.
    fn free_gpus(&self, instance: &ContainerInstance) -> Vec<String> {
        let mut free = instance.gpu_ids(self.arns.ids);
        let tasks = self.state.tasks_by_instance.get(&instance.id).into_iter().flatten().filter(|_| !free.is_empty());
        let containers = tasks.filter_map(|task| self.state.tasks.get(task)).flat_map(|record| &record.task.containers);
        let in_use: BTreeSet<&str> = containers.flat_map(|container| container.gpu_ids()).collect();
        free.retain(|gpu| !in_use.contains(&**gpu));
        free
    }

    /// **Source:** ecs-semantics §10.3.
    pub(super) fn service_action(
        &self,
        event: ServiceActionEvent,
        reason: Option<&str>,
        subjects: &ServiceActionSubjects,
    ) -> ServiceActionDetail {
        let (event_name, event_type) = event.name_and_type();
        let providers = subjects.capacity_providers.iter();
        let instances = subjects.container_instances.iter();
        ServiceActionDetail {
            capacity_provider_arns: providers.map(|name| self.arns.capacity_provider(name)).collect(),
            cluster_arn: self.arns.cluster(),
            container_instance_arns: instances.map(|id| self.arns.container_instance(*id)).collect(),
            created_at: self.iso(self.at),
            desired_count: subjects.desired_count,
            event_name,
            event_type,
            reason: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
            task_arns: subjects.tasks.iter().map(|id| self.arns.task(*id)).collect(),
        }
    }

    pub(super) fn deployment(
        &self,
        deployment: DeploymentId,
        event: DeploymentEvent,
        reason: &str,
    ) -> DeploymentDetail {
        let (event_name, event_type) = event.name_and_type();
        DeploymentDetail {
            deployment_id: self.arns.ids.deployment(deployment),
            event_name,
            event_type,
            reason: reason.to_owned(),
            updated_at: self.iso(self.at),
        }
    }
}

fn overrides(task: &Task) -> OverridesDetail {
    let containers = task.task_definition.containers.iter().map(|definition| {
        let changes = task.overrides.containers.get(&definition.name);
        let environment = changes.map(|changes| changes.environment.clone()).unwrap_or_default();
        ContainerOverrideDetail {
            command: changes.and_then(|changes| changes.command.clone()),
            environment: environment.into_iter().map(|(name, value)| NameValue { name, value }).collect(),
            name: definition.name.clone(),
            cpu: changes.and_then(|changes| changes.cpu).map(|cpu| cpu.0),
            memory: changes.and_then(|changes| changes.memory).map(|memory| memory.0),
            memory_reservation: changes.and_then(|changes| changes.memory_reservation).map(|memory| memory.0),
            resource_requirements: changes.and_then(|changes| changes.gpus).map(ResourceRequirementDetail::gpus),
        }
    });
    let size_in_gib = task.overrides.ephemeral_storage_gib;
    OverridesDetail {
        container_overrides: containers.collect(),
        cpu: task.overrides.cpu.map(|cpu| cpu.to_string()),
        memory: task.overrides.memory.map(|memory| memory.to_string()),
        ephemeral_storage: size_in_gib.map(|size_in_gib| EphemeralStorageDetail { size_in_gib }),
    }
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<KeyValue> {
    tags.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
}

/// **Source:** ecs-semantics §3.1.
fn resources(resources: &InstanceResources, gpus: Vec<String>) -> Vec<ResourceDetail> {
    let number =
        |name, value| ResourceDetail { name, kind: "INTEGER", integer_value: Some(value), string_set_value: None };
    let ports = |name, protocol: Protocol| ResourceDetail {
        name,
        kind: "STRINGSET",
        integer_value: None,
        string_set_value: Some(
            resources.ports.iter().filter(|port| port.protocol == protocol).map(|port| port.port.to_string()).collect(),
        ),
    };
    let mut listed = vec![
        number("CPU", resources.cpu.0),
        number("MEMORY", resources.memory.0),
        ports("PORTS", Protocol::Tcp),
        ports("PORTS_UDP", Protocol::Udp),
    ];
    if !gpus.is_empty() {
        let (name, kind) = ("GPU", "STRINGSET");
        listed.push(ResourceDetail { name, kind, integer_value: None, string_set_value: Some(gpus) });
    }
    listed
}
