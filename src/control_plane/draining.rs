//! What ECS does with a container instance while it runs: draining, deregistration, the agent's contact, its health.
//!
//! A drained instance takes no tasks. Service tasks that have not started there stop at once; those that run are marked, and the
//! service's scheduler replaces them within its bounds, so that a drain with a lower and an upper bound of 100 % is stuck until
//! the bounds change. Standalone tasks go on. **Source:** ecs-semantics §3.2, §3.3.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Failure, Response};
use super::event::Deregistration;
use super::placement::{PlacementFailure, PlacementIndex, PlacementRequest};
use super::request_error::RequestError;
use super::state::ReplaceCause;
use crate::model::auto_scaling_group::{InstanceHealth, LifecycleState};
use crate::model::capacity::{AgentConnection, ContainerInstance, ContainerInstanceStatus, InstanceLaunch};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::{DesiredStatus, StopCode, TaskStatus};
use crate::model::task_list::TaskList;

/// Instances of one UpdateContainerInstancesState. **Source:** ecs-semantics §3.2.
const INSTANCES_AT_ONCE: usize = 10;

impl ControlPlane {
    /// **Source:** ecs-semantics §3.2.
    pub(super) fn update_container_instances_state(
        &mut self,
        instances: &[ContainerInstanceId],
        status: ContainerInstanceStatus,
    ) -> Result<Response, RequestError> {
        if !matches!(status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining) {
            return Err(RequestError::InvalidParameter("status must be ACTIVE or DRAINING".into()));
        }
        if instances.len() > INSTANCES_AT_ONCE {
            return Err(RequestError::InvalidParameter(format!(
                "at most {INSTANCES_AT_ONCE} container instances can be updated at once"
            )));
        }
        let mut changed = Vec::new();
        let mut failures = Vec::new();
        for &id in instances {
            match self.refusal_of_state(id, status) {
                Some(reason) => {
                    let detail = format!("container instance {}", self.ids.container_instance(id));
                    failures.push(Failure { instance: Some(id), reason, detail });
                }
                None => {
                    match status {
                        ContainerInstanceStatus::Draining => self.drain_instance(id),
                        _ => self.activate_instance(id),
                    }
                    changed.push(id);
                }
            }
        }
        Ok(Response::ContainerInstances { instances: changed, failures })
    }

    fn refusal_of_state(&self, id: ContainerInstanceId, status: ContainerInstanceStatus) -> Option<&'static str> {
        let Some(instance) = self.state.container_instances.get(&id) else { return Some("MISSING") };
        match instance.status {
            // Ours: its group has given it up already.
            ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining
                if instance.lifecycle == LifecycleState::TerminatingWait
                    && status == ContainerInstanceStatus::Active =>
            {
                Some("TERMINATING")
            }
            ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining => None,
            ContainerInstanceStatus::Registering => Some("REGISTERING"),
            ContainerInstanceStatus::Deregistering | ContainerInstanceStatus::Inactive => Some("INACTIVE"),
        }
    }

    /// **Source:** ecs-semantics §3.3.
    pub(super) fn drain_instance(&mut self, id: ContainerInstanceId) {
        let Some(instance) = self.state.container_instances.get_mut(&id) else { return };
        if instance.status != ContainerInstanceStatus::Active {
            return;
        }
        instance.status = ContainerInstanceStatus::Draining;
        self.placement.remove_instance(id);
        self.instance_changed(id);
        for task in self.tasks_to_run_on(id) {
            let record = &self.state.tasks[&task];
            // The service of a DAEMON's task takes it away when it is the last.
            if record.task.service.is_none() || self.state.is_daemon_task(task) {
                continue;
            }
            if record.task.last_status < TaskStatus::Running {
                let by = record.task.started_by.as_deref().unwrap_or_default();
                let reason: Arc<str> = format!("Scaling activity initiated by (deployment {by})").into();
                self.stop_task(task, StopCode::ServiceSchedulerInitiated, &reason);
            } else {
                self.give_way(task, ReplaceCause::InstanceDraining);
            }
        }
    }

    /// Takes tasks again; those that were to be replaced stay. **Source:** ecs-semantics §3.3.
    fn activate_instance(&mut self, id: ContainerInstanceId) {
        let Some(instance) = self.state.container_instances.get_mut(&id) else { return };
        if instance.status != ContainerInstanceStatus::Draining {
            return;
        }
        instance.status = ContainerInstanceStatus::Active;
        if instance.takes_tasks() {
            self.placement.insert_instance(instance);
        }
        self.instance_changed(id);
        for task in self.tasks_to_run_on(id) {
            self.change_task(task, |record| {
                record.replace = record.replace.filter(|cause| *cause != ReplaceCause::InstanceDraining);
            });
            self.dirty.extend(self.state.tasks[&task].task.service.clone());
        }
        self.room_appeared(id);
    }

    fn tasks_to_run_on(&self, id: ContainerInstanceId) -> Vec<TaskId> {
        let tasks = self.state.tasks_by_instance.get(&id).into_iter().flatten().copied();
        tasks.filter(|task| self.state.tasks[task].task.desired_status == DesiredStatus::Running).collect()
    }

    /// ECS forgets the instance; EC2 runs it, and bills it, until it is terminated. **Source:** ecs-semantics §2.4, §3.2.
    pub(super) fn deregister_container_instance(
        &mut self,
        id: ContainerInstanceId,
        deregistration: Deregistration,
    ) -> Result<Response, RequestError> {
        let found = self.state.container_instances.get(&id).filter(|instance| {
            matches!(instance.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining)
        });
        if found.is_none() {
            return Err(RequestError::InvalidParameter("The referenced container instance was not found.".into()));
        }
        let held: Vec<TaskId> = self.state.tasks_by_instance.get(&id).into_iter().flatten().copied().collect();
        if deregistration == Deregistration::WhenEmpty && !held.is_empty() {
            return Err(RequestError::InvalidParameter("Found running tasks on the instance.".into()));
        }
        self.placement.remove_instance(id);
        let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
        instance.status = ContainerInstanceStatus::Inactive;
        if instance.is_external() {
            // Nobody here runs it on.
            instance.lifecycle = LifecycleState::Terminated;
            instance.terminated_at = Some(self.now);
        }
        self.instance_changed(id);
        let reason: Arc<str> = "Container instance deregistration forced by user".into();
        for task in held {
            // Ours: the rule book leaves the code open. The user ended it.
            self.change_task(task, |record| {
                let task = &mut record.task;
                if task.desired_status == DesiredStatus::Running {
                    task.desired_status = DesiredStatus::Stopped;
                    task.stop_code = Some(StopCode::UserInitiated);
                    task.stopped_reason = Some(reason.clone());
                }
            });
            // The data plane is not asked to stop it: it is an orphan, and ends with the instance.
            self.task_over(task);
        }
        Ok(Response::Done)
    }

    /// The cluster ends: instances that others run are none of it any more, nor are their tasks, for whose end nobody would wait. *Ours.*
    pub(super) fn forget_external_instances(&mut self) {
        let live = self.state.live_instances().filter(|instance| instance.is_external());
        let ids: Vec<ContainerInstanceId> = live.map(|instance| instance.id).collect();
        for id in ids {
            let _ = self.deregister_container_instance(id, Deregistration::Forced);
        }
    }

    /// The latest instance that was launched like this and is not given up yet. Attributes may have been put since.
    /// **Source:** ecs-semantics §3.3. *Ours:* what managed draining does for a group's instance.
    pub(super) fn retire_instance_by_hand(&mut self, launch: &InstanceLaunch) -> Result<Response, RequestError> {
        let is_meant = |instance: &&ContainerInstance| {
            let attributes = launch.attributes.clone();
            let as_launched = InstanceLaunch { attributes, ..InstanceLaunch::clone(&instance.launch) };
            launch.capacity_provider.is_none()
                && !instance.is_external()
                && instance.lifecycle < LifecycleState::TerminatingWait
                && as_launched == *launch
        };
        let found = self.state.container_instances.values().rev().find(is_meant);
        let Some(id) = found.map(|instance| instance.id) else {
            return Err(RequestError::InvalidParameter("The referenced container instance was not found.".into()));
        };
        if self.state.tasks_by_instance.get(&id).is_none_or(TaskList::is_empty) {
            self.terminate_instance(id);
            return Ok(Response::Instance(id));
        }
        let until = self.now + self.settings.managed_draining_timeout;
        let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
        instance.lifecycle = LifecycleState::TerminatingWait;
        self.state.waits.entry(id).or_default().drained_until = Some(until);
        self.drain_instance(id);
        self.wake_for_instance(id);
        Ok(Response::Instance(id))
    }

    /// Without contact nothing is placed; a flap is no failure. **Source:** ecs-semantics §3.2.
    pub(super) fn agent_disconnected(&mut self, id: ContainerInstanceId) {
        let Some(instance) = self.live_instance(id) else { return };
        if instance.agent == AgentConnection::Connected {
            instance.agent = AgentConnection::Disconnected;
            self.placement.remove_instance(id);
            self.instance_changed(id);
        }
    }

    /// **Source:** ecs-semantics §3.2.
    pub(super) fn agent_connected(&mut self, id: ContainerInstanceId) {
        let Some(instance) = self.live_instance(id) else { return };
        if instance.agent == AgentConnection::Disconnected {
            instance.agent = AgentConnection::Connected;
            if instance.takes_tasks() {
                let instance = &self.state.container_instances[&id];
                self.placement.insert_instance(instance);
            }
            self.instance_changed(id);
            self.room_appeared(id);
        }
    }

    /// Why no instance takes a task, those among them whose agents have no contact. **Source:** ecs-semantics §4.5.
    pub(super) fn why_no_room(&self, index: &PlacementIndex, request: &PlacementRequest<'_>) -> PlacementFailure {
        let silent = self.state.container_instances.values().filter(|instance| {
            instance.status == ContainerInstanceStatus::Active && instance.agent == AgentConnection::Disconnected
        });
        index.explain(request, silent)
    }

    /// **Source:** ecs-semantics §3.2, §9.1: an impaired instance is replaced by its group.
    pub(super) fn instance_health(&mut self, id: ContainerInstanceId, health: InstanceHealth) {
        let Some(instance) = self.live_instance(id) else { return };
        if instance.registered_at.is_none() || instance.health == health {
            self.state.ignored_events += 1;
            return;
        }
        instance.health = health;
        let provider = instance.launch.capacity_provider.clone();
        self.groups_to_keep.extend(provider);
        self.instance_changed(id);
    }
}
