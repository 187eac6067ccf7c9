//! Targets: a service's tasks in the target groups of its load balancers.
//!
//! A task is registered when it reaches RUNNING and counts as healthy when every one of its target groups says so. One that is to stop
//! is DEACTIVATING first: it gets no more jobs, and stops when it has ended what it had begun or the deregistration delay is over.
//! What ends by itself, or with its instance, is deregistered without that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::{Action, Response, TaskHost};
use super::event::TargetHealthChange;
use super::request_error::RequestError;
use super::requests::Answer;
use super::state::{Deployment, ServiceStatus};
use super::timers::Wakeup;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::service::ServiceSpec;
use crate::model::target_group::{LoadBalancer, TARGET_GROUPS_MAX, TargetGroup, TargetStart, TargetState};
use crate::model::task::{DesiredStatus, HealthStatus, StopCode, Task, TaskStatus};
use crate::model::task_definition::TaskDefinition;
use crate::model::units::Duration;

/// A task in its target groups.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TaskTargets {
    /// Whether it is in them.
    pub registration: Registration,
    /// One a target group, in the order of the service's load balancers.
    pub targets: Vec<Target>,
}

/// Whether a task is in its target groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Registration {
    /// It will be when it runs.
    Awaited,
    /// It is.
    Registered,
    /// It is about to leave them.
    Draining,
}

/// A task in a target group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Target {
    /// The target group as it was when the task was started.
    pub group: Arc<TargetGroup>,
    /// The container, by its index in the task definition.
    pub container_index: usize,
    /// Its health as last reported.
    pub state: TargetState,
    /// The number of that report.
    pub number: u32,
}

impl TaskTargets {
    /// What the target groups together say: healthy when each of them does. **Source:** ecs-semantics §5.2.
    pub fn health(&self) -> HealthStatus {
        let is_in = |state: TargetState| move |target: &Target| target.state == state;
        if self.targets.iter().any(is_in(TargetState::Unhealthy)) {
            HealthStatus::Unhealthy
        } else if self.targets.iter().all(is_in(TargetState::Healthy)) {
            HealthStatus::Healthy
        } else {
            HealthStatus::Unknown
        }
    }

    /// The first target group whose checks fail.
    pub fn unhealthy_in(&self) -> Option<&Arc<TargetGroup>> {
        self.targets.iter().find(|target| target.state == TargetState::Unhealthy).map(|target| &target.group)
    }

    /// How long it may take to leave: as long as the slowest target group lets it.
    fn deregistration_delay(&self) -> Duration {
        self.targets.iter().map(|target| target.group.deregistration_delay).max().unwrap_or_default()
    }
}

/// What is still to be said of a service's targets.
#[derive(Clone, Debug, Default)]
pub(super) struct TargetNews {
    registered: BTreeMap<Arc<str>, u32>,
    deregistered: BTreeMap<Arc<str>, u32>,
    draining: BTreeMap<DeploymentId, u32>,
}

/// Whether a task that is stopped for such a reason leaves its target groups first. *Ours:* where AWS takes the capacity back, the task is
/// told to stop at once. **Source:** ecs-semantics §2.1, §8.4.
pub(super) fn drains_first(code: StopCode) -> bool {
    match code {
        StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated | StopCode::InfrastructureHealth => true,
        StopCode::TaskFailedToStart
        | StopCode::EssentialContainerExited
        | StopCode::SpotInterruption
        | StopCode::TerminationNotice => false,
    }
}

impl ControlPlane {
    pub(super) fn put_target_group(&mut self, group: TargetGroup) -> Answer {
        self.state.target_groups.insert(group.name.clone(), Arc::new(group));
        Ok(Response::Done)
    }

    pub(super) fn delete_target_group(&mut self, name: &str) -> Answer {
        self.state.target_groups.remove(name);
        Ok(Response::Done)
    }

    /// What a service's load balancers name must be there; `task` is what it is to run, where that is known.
    /// **Source:** ecs-semantics §1.7, §5.5. *Ours:* the texts.
    pub(super) fn check_load_balancers(
        &self,
        load_balancers: &[LoadBalancer],
        task: Option<&TaskDefinition>,
    ) -> Result<(), RequestError> {
        let refuse = |text: String| Err(RequestError::InvalidParameter(text));
        if load_balancers.len() > TARGET_GROUPS_MAX {
            return refuse(format!("a service can have at most {TARGET_GROUPS_MAX} target groups"));
        }
        for (index, one) in load_balancers.iter().enumerate() {
            let LoadBalancer { target_group, container_name, container_port, .. } = one;
            for (position, name) in one.target_groups().enumerate() {
                if !self.state.target_groups.contains_key(name) {
                    return refuse(format!("The target group {name} does not exist."));
                }
                let mut earlier = load_balancers[..index].iter().flat_map(LoadBalancer::target_groups);
                if earlier.any(|other| other == name) || position > 0 && name == target_group {
                    return refuse(format!("The target group {name} is named twice."));
                }
            }
            let Some(task) = task else { continue };
            let container = task.containers.iter().find(|container| *container.name == **container_name);
            let Some(container) = container else {
                return refuse(format!("The container {container_name} does not exist in the task definition."));
            };
            if !container.port_mappings.iter().any(|mapping| mapping.container_port == *container_port) {
                return refuse(format!(
                    "The container {container_name} did not have a container port {container_port} defined."
                ));
            }
        }
        Ok(())
    }

    /// The same of a service as it is to be created.
    pub(super) fn check_load_balancers_of(&self, spec: &ServiceSpec) -> Result<(), RequestError> {
        if spec.load_balancers.is_empty() {
            return Ok(());
        }
        let definition = self.resolve(&spec.task_definition).ok().map(|registered| registered.definition);
        self.check_load_balancers(&spec.load_balancers, definition.as_deref())
    }

    /// The target group of each load balancer of a service's next revision: the alternate one where a deployment moves traffic and what it moves
    /// it away from is in the other. **Source:** ecs-semantics §5.8.
    pub(super) fn next_target_groups(&self, spec: &ServiceSpec) -> Vec<Arc<str>> {
        let service = self.state.services.get(&spec.name).filter(|service| service.status == ServiceStatus::Active);
        let moves_traffic = spec.deployment_configuration.strategy.moves_traffic();
        let serving = service.filter(|_| moves_traffic).and_then(|service| {
            let serves = |found: &&Deployment| service.traffic.production.contains_key(&found.id);
            service.deployments.iter().find(serves).or_else(|| service.primary_if_any())
        });
        let is_taken = |group: &Arc<str>| serving.is_some_and(|found| found.revision.target_groups.contains(group));
        let next = |one: &LoadBalancer| match &one.alternate {
            Some(alternate) if is_taken(&one.target_group) => alternate.clone(),
            _ => one.target_group.clone(),
        };
        spec.load_balancers.iter().map(next).collect()
    }

    /// The targets that a task is to be from when it runs, which are those of its deployment's revision. *Ours:* none where an agent of others
    /// runs it, which takes no jobs.
    pub(super) fn targets_of_start(&mut self, id: TaskId, host: TaskHost) -> Vec<TargetStart> {
        if self.state.target_groups.is_empty() {
            return Vec::new();
        }
        let task = &self.state.tasks[&id].task;
        let Some(revision) = self.state.deployment_of(task).map(|found| &found.revision) else { return Vec::new() };
        if revision.load_balancers.is_empty() {
            return Vec::new();
        }
        if let TaskHost::Ec2(instance) = host
            && self.state.container_instances.get(&instance).is_some_and(|instance| instance.is_external())
        {
            return Vec::new();
        }
        let containers = &task.task_definition.containers;
        let target = |(one, target_group): (&LoadBalancer, &Arc<str>)| {
            let group = self.state.target_groups.get(target_group)?.clone();
            let container_index = containers.iter().position(|container| *container.name == *one.container_name)?;
            Some(Target { group, container_index, state: TargetState::Initial, number: 0 })
        };
        let targets: Vec<Target> =
            revision.load_balancers.iter().zip(&revision.target_groups).filter_map(target).collect();
        if targets.is_empty() {
            return Vec::new();
        }
        let start = |target: &Target| TargetStart {
            target_group: target.group.name.clone(),
            container_index: target.container_index,
            health_check: target.group.health_check,
        };
        let starts = targets.iter().map(start).collect();
        self.state.targets.insert(id, TaskTargets { registration: Registration::Awaited, targets });
        starts
    }

    /// A task has reached RUNNING: it is registered in its target groups.
    pub(super) fn register_targets(&mut self, id: TaskId) {
        if self.state.targets.is_empty() {
            return;
        }
        let Some(found) = self.state.targets.get_mut(&id) else { return };
        let task = &self.state.tasks[&id].task;
        // One that ends with its instance may say that it runs when it is to stop already.
        if found.registration != Registration::Awaited || task.desired_status == DesiredStatus::Stopped {
            return;
        }
        found.registration = Registration::Registered;
        let Some(service) = task.service.clone() else { return };
        let news = self.target_news.entry(service).or_default();
        for target in &found.targets {
            *news.registered.entry(target.group.arn.clone()).or_default() += 1;
        }
    }

    /// A task is in its target groups no longer, if it was.
    pub(super) fn deregister_targets(&mut self, id: TaskId) {
        if self.state.targets.is_empty() {
            return;
        }
        let Some(found) = self.state.targets.remove(&id) else { return };
        if found.registration == Registration::Draining {
            self.timers.cancel(Wakeup::TargetsDrained(id));
        }
        let service = self.state.tasks.get(&id).and_then(|record| record.task.service.clone());
        let Some(service) = service.filter(|_| found.registration != Registration::Awaited) else { return };
        let news = self.target_news.entry(service).or_default();
        for target in &found.targets {
            *news.deregistered.entry(target.group.arn.clone()).or_default() += 1;
        }
    }

    /// A task that runs is to stop. Says whether it is DEACTIVATING first; one that is not is deregistered at once.
    /// **Source:** ecs-semantics §2.1. *Ours:* it is not where the deregistration delay is zero, which leaves nothing to wait for.
    pub(super) fn leaves_targets_first(&mut self, id: TaskId, code: StopCode) -> bool {
        let Some(found) = self.state.targets.get_mut(&id) else { return false };
        let delay = found.deregistration_delay();
        let task = &self.state.tasks[&id].task;
        let runs = found.registration == Registration::Registered && task.last_status == TaskStatus::Running;
        if !runs || !drains_first(code) || delay.is_zero() {
            self.deregister_targets(id);
            return false;
        }
        found.registration = Registration::Draining;
        found.targets.iter_mut().for_each(|target| target.state = TargetState::Draining);
        if let (Some(service), Some(deployment)) = (task.service.clone(), task.deployment) {
            *self.target_news.entry(service).or_default().draining.entry(deployment).or_default() += 1;
        }
        self.timers.set(self.now + delay, Wakeup::TargetsDrained(id));
        true
    }

    /// A task has ended what it had begun: it stops. **Source:** ecs-semantics §2.1.
    pub(super) fn targets_drained(&mut self, id: TaskId) {
        if self.is_deactivating(id) {
            self.deregister_targets(id);
            self.begin_stopping(id);
            // One that is deleted may have waited for this.
            self.dirty.extend(self.state.tasks[&id].task.service.clone());
        } else {
            self.state.ignored_events += 1;
        }
    }

    /// A task has had the deregistration delay for it: it stops, if its instance has not taken it along. **Source:** ecs-semantics §2.1.
    pub(super) fn deregistration_delay_over(&mut self, id: TaskId) {
        if self.is_deactivating(id) {
            self.targets_drained(id);
        }
    }

    fn is_deactivating(&self, id: TaskId) -> bool {
        self.state.tasks.get(&id).is_some_and(|record| record.task.last_status == TaskStatus::Deactivating)
    }

    /// Takes in what the data plane says of a target. **Source:** ecs-semantics §5.2, §5.4.
    pub(super) fn target_health(&mut self, change: &TargetHealthChange) {
        let found =
            self.state.targets.get_mut(&change.task).filter(|found| found.registration != Registration::Draining);
        let target = found.and_then(|found| {
            let registration = found.registration;
            let is_meant =
                |target: &&mut Target| target.group.name == change.target_group && target.number < change.number;
            Some((registration, found.targets.iter_mut().find(is_meant)?))
        });
        match target.filter(|_| matches!(change.state, TargetState::Healthy | TargetState::Unhealthy)) {
            Some((registration, target)) => {
                target.state = change.state;
                target.number = change.number;
                // What comes before the word that the task runs is looked at then.
                if registration == Registration::Registered {
                    self.look_at_health(change.task);
                }
            }
            None => self.state.ignored_events += 1,
        }
    }

    /// The health that a task's target groups report; `None` for one that is in none.
    pub(super) fn target_health_of(&self, task: &Task) -> Option<HealthStatus> {
        if self.state.targets.is_empty() {
            return None;
        }
        self.state.targets.get(&task.id).map(TaskTargets::health)
    }

    /// The target group whose checks a task fails.
    pub(super) fn failing_target_group(&self, id: TaskId) -> Option<&Arc<TargetGroup>> {
        self.state.targets.get(&id)?.unhealthy_in()
    }

    /// That a target fails its checks, as a service event says it. **Source:** ecs-semantics §5.11. *Ours:* `target-group` in place of `elb`,
    /// as in the other events, and no instance on Fargate.
    pub(super) fn unhealthy_target_text(&self, id: TaskId, group: &TargetGroup) -> String {
        let mut text = format!("(task {}) ", self.ids.task(id));
        if let Some(instance) = self.state.tasks[&id].task.container_instance {
            let _ = write!(text, "(instance {}) ", self.ids.ec2_instance(instance));
        }
        let (_, reason) = TargetState::Unhealthy.reason().expect("an unhealthy target has a reason");
        let _ = write!(text, "is unhealthy in (target-group {}) due to (reason {reason})", group.arn);
        text
    }

    /// Asks the data plane to give a task no more jobs.
    pub(super) fn drain_targets(&mut self, id: TaskId) {
        self.actions.push(Action::DeregisterTargets { task: id });
    }

    /// Says what has come to pass with targets: one event a service and target group for all that an event leads to.
    /// **Source:** ecs-semantics §5.11.
    pub(super) fn tell_of_targets(&mut self) {
        while let Some((service, news)) = self.target_news.pop_first() {
            for (arn, count) in &news.registered {
                self.service_event_of(&service, format_args!("registered {count} targets in (target-group {arn})"));
            }
            for (deployment, count) in &news.draining {
                let task_set = self.ids.deployment(*deployment);
                self.task_set_event(
                    &service,
                    &task_set,
                    format_args!("has begun draining connections on {count} tasks."),
                );
            }
            for (arn, count) in &news.deregistered {
                self.service_event_of(&service, format_args!("deregistered {count} targets in (target-group {arn})"));
            }
        }
    }
}
