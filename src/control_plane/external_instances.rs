//! Container instances that Longshore does not run: registered by a client, which then says what becomes of their tasks.
//!
//! A task that is placed on one waits in PENDING, and one that is asked to stop in STOPPING, until its agent submits more. Nobody is told
//! to start or stop it, its meter never runs, and faults of ours do not touch its instance.
//!
//! **Source:** ecs-semantics §2.1, §3.1, §3.2; what is *ours* is said where it is.

use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::attributes::check_custom_attributes;
use super::event::{ContainerStateChange, ContainerStateChanges, TaskStateChange, TaskStep};
use super::request_error::RequestError;
use super::requests::Answer;
use crate::model::capacity::{
    AGENT_VERSION, AgentConnection, ContainerInstance, ContainerInstanceStatus, InstanceLaunch,
};
use crate::model::cluster_query::Version;
use crate::model::external_instance::{
    AgentUpdateStatus, ContainerInstanceRegistration, SubmittedStateChange, SubmittedStatus,
};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::{GPU_IDS, Task, TaskStatus};
use crate::model::usage::TaskUsage;

const INSTANCE_NOT_FOUND: &str = "The referenced container instance was not found.";

impl ControlPlane {
    /// RegisterContainerInstance. An agent that comes back is the instance that it was, with its tasks: what it registered stays, and its
    /// version and its attributes are what it says this time. *Ours:* one that Longshore runs has an agent of its own, and nobody else
    /// registers it.
    pub(super) fn register_container_instance(&mut self, registration: ContainerInstanceRegistration) -> Answer {
        let Some(agent) = registration.launch.external.clone() else {
            return Err(RequestError::Client("a container instance is registered by its agent".into()));
        };
        check_custom_attributes(&registration.launch.attributes)?;
        if let Some(id) = &agent.ec2_instance_id {
            let is_ours =
                |instance: &ContainerInstance| !instance.is_external() && self.ids.ec2_instance(instance.id) == **id;
            if self.state.container_instances.values().any(is_ours) {
                return Err(RequestError::InvalidParameter(format!("Longshore runs {id} and its agent itself")));
            }
        }
        match self.registered_before(&registration) {
            Some(id) => self.register_again(id, registration),
            None => Ok(Response::Instance(self.register_external(registration))),
        }
    }

    /// The instance that a registration comes from, if it is registered: by its own word, or by what EC2 calls it.
    fn registered_before(&self, registration: &ContainerInstanceRegistration) -> Option<ContainerInstanceId> {
        let is_registered = |instance: &&ContainerInstance| {
            let status = instance.status;
            instance.is_external()
                && matches!(status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining)
        };
        let of = |launch: &InstanceLaunch| launch.external.as_ref().and_then(|agent| agent.ec2_instance_id.clone());
        let ec2_instance_id = of(&registration.launch);
        let named = registration.container_instance.and_then(|id| self.state.container_instances.get(&id));
        let named = named.filter(is_registered).map(|instance| instance.id);
        let mut registered = self.state.container_instances.values().rev().filter(is_registered);
        named.or_else(|| {
            let alike =
                registered.find(|instance| ec2_instance_id.is_some() && of(&instance.launch) == ec2_instance_id);
            alike.map(|instance| instance.id)
        })
    }

    fn register_external(&mut self, registration: ContainerInstanceRegistration) -> ContainerInstanceId {
        let id = self.new_instance_id();
        self.learn_subnet_of(&registration.launch);
        let registered = registration.registered();
        let instance = ContainerInstance {
            // What Longshore does not run has no CPU credits that it would count.
            cpu_credits: None,
            remaining: registered.clone(),
            registered,
            tags: Arc::new(registration.tags),
            document: registration.document,
            ..ContainerInstance::launched(id, Arc::new(registration.launch), self.now)
        };
        self.state.container_instances.insert(id, instance);
        self.enter_service(id);
        id
    }

    /// **Source:** amazon-ecs-agent `agent/api/ecsclient`, which names the text.
    fn register_again(&mut self, id: ContainerInstanceId, registration: ContainerInstanceRegistration) -> Answer {
        let shown = self.ids.container_instance(id);
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has found it");
        let (before, after) = (&instance.launch.instance_type.name, &registration.launch.instance_type.name);
        if before != after {
            return Err(RequestError::Client(format!(
                "Container instance type changes are not supported. Container instance {shown} was previously registered as {before}."
            )));
        }
        // Those that were put since stay.
        let mut launch = registration.launch;
        let of_before = instance.launch.attributes.clone();
        launch.attributes = of_before.into_iter().chain(std::mem::take(&mut launch.attributes)).collect();
        check_custom_attributes(&launch.attributes)?;
        if let (Some(after), Some(before)) = (&mut launch.external, &instance.launch.external) {
            Arc::make_mut(after).gpu_ids = before.gpu_ids.clone();
        }
        if instance.agent_update == Some(AgentUpdateStatus::Pending)
            && version_of(&launch) > version_of(&instance.launch)
        {
            instance.agent_update = Some(AgentUpdateStatus::Updated);
        }
        instance.launch = Arc::new(launch);
        if !registration.document.is_empty() {
            instance.document = registration.document;
        }
        instance.agent = AgentConnection::Connected;
        if instance.takes_tasks() {
            self.placement.insert_instance(instance);
        }
        self.instance_changed(id);
        self.room_appeared(id);
        Ok(Response::Instance(id))
    }

    /// UpdateContainerAgent. Its agent's next registration says how that went. **Source:** ecs-semantics §11.4, §11.6. *Ours:* the latest
    /// version is that of the instances that Longshore runs.
    pub(super) fn update_container_agent(&mut self, id: ContainerInstanceId) -> Answer {
        let found = self.state.container_instances.get_mut(&id).filter(|instance| {
            matches!(instance.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining)
        });
        let instance = found.ok_or_else(|| RequestError::InvalidParameter(INSTANCE_NOT_FOUND.into()))?;
        let version = version_of(&instance.launch).ok_or(RequestError::MissingVersion)?;
        if version >= Version::parse(AGENT_VERSION).expect("the agent's version is one") {
            return Err(RequestError::NoUpdateAvailable);
        }
        if instance.agent_update == Some(AgentUpdateStatus::Pending) {
            return Err(RequestError::UpdateInProgress);
        }
        instance.agent_update = Some(AgentUpdateStatus::Pending);
        self.instance_changed(id);
        Ok(Response::Instance(id))
    }

    /// Whether a task is on an instance that Longshore does not run.
    pub(super) fn is_run_elsewhere(&self, task: &Task) -> bool {
        let host = task.container_instance.and_then(|id| self.state.container_instances.get(&id));
        host.is_some_and(ContainerInstance::is_external)
    }

    /// SubmitTaskStateChange and SubmitContainerStateChange: the same as a report of the data plane. What comes late or twice is
    /// acknowledged like the rest. *Ours:* of tasks that Longshore runs nobody else says anything.
    pub(super) fn submit_state_change(&mut self, submitted: SubmittedStateChange) -> Answer {
        let id = submitted.task;
        let record = self.state.tasks.get(&id);
        let record =
            record.ok_or_else(|| RequestError::InvalidParameter("The referenced task was not found.".to_owned()))?;
        let task = &record.task;
        if !self.is_run_elsewhere(task) {
            return Err(RequestError::InvalidParameter("Longshore runs the referenced task itself".into()));
        }
        let index_of = |name: &str| task.task_definition.containers.iter().position(|container| container.name == name);
        let mut containers = ContainerStateChanges::new();
        for container in &submitted.containers {
            let index = index_of(&container.name).ok_or_else(|| {
                RequestError::InvalidParameter(format!("The task has no container named {}.", container.name))
            })?;
            containers.push(ContainerStateChange {
                container_index: index,
                status: container.status,
                exit: container.exit.clone(),
                ..ContainerStateChange::default()
            });
        }
        if task.last_status == TaskStatus::Stopped {
            return Ok(Response::Done);
        }
        let step = match submitted.status {
            None => TaskStep::ContainersChanged,
            Some(SubmittedStatus::Pending) => TaskStep::Pulling,
            Some(SubmittedStatus::Running) => TaskStep::Running,
            Some(SubmittedStatus::Stopped) => {
                TaskStep::Stopped { usage: TaskUsage::default(), failed_to_start: failed_start(task, &submitted) }
            }
        };
        self.keep_what_was_said(id, &containers, &submitted);
        let (pull_started_at, pull_stopped_at) = (submitted.pull_started_at, submitted.pull_stopped_at);
        self.task_state_change(TaskStateChange { task: id, step, pull_started_at, pull_stopped_at, containers });
        Ok(Response::Done)
    }

    /// What a report of the data plane has no place for.
    fn keep_what_was_said(
        &mut self,
        id: TaskId,
        containers: &[ContainerStateChange],
        submitted: &SubmittedStateChange,
    ) {
        let now = self.now;
        self.change_task(id, |record| {
            let task = &mut record.task;
            for (change, said) in containers.iter().zip(&submitted.containers) {
                if !said.document.is_empty() {
                    let known = &mut task.containers[change.container_index].document;
                    *known = match known.member(GPU_IDS) {
                        Some(given) => said.document.with(GPU_IDS, given.clone()),
                        None => said.document.clone(),
                    };
                }
            }
            let execution_stopped_at = submitted.execution_stopped_at.map(|at| at.clamp(task.created_at, now));
            task.execution_stopped_at = task.execution_stopped_at.or(execution_stopped_at);
            if submitted.status == Some(SubmittedStatus::Stopped) && task.stopped_reason.is_none() {
                task.stopped_reason = submitted.reason.clone();
            }
        });
    }
}

/// Why a task that ends has never run, if it has not: no container of it has an exit code. **Source:** ecs-semantics §2.4.
fn failed_start(task: &Task, submitted: &SubmittedStateChange) -> Option<String> {
    let known = task.containers.iter().map(|container| &container.exit);
    let mut exits = known.chain(submitted.containers.iter().map(|container| &container.exit));
    if task.started_at.is_some() || exits.clone().any(|exit| exit.exit_code.is_some()) {
        return None;
    }
    let of_task = submitted.reason.as_deref().map(str::to_owned);
    of_task.or_else(|| exits.find_map(|exit| exit.reason.clone())).or_else(|| Some("Task failed to start".to_owned()))
}

fn version_of(launch: &InstanceLaunch) -> Option<Version> {
    launch.agent_version().and_then(Version::parse)
}
