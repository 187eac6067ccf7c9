//! CreateTaskSet, UpdateTaskSet, DeleteTaskSet and UpdateServicePrimaryTaskSet, and what a deployment controller other than ECS leaves
//! to CreateService and UpdateService.
//!
//! **Source:** ecs-semantics §5.1, §5.8, §12.1; Amazon ECS developer guide, "third-party controller", and API reference, UpdateService.
//! Texts that are not *ours* are those that ECS' users have seen.

use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::event::{Deletion, NewDeployment, UpdateService};
use super::request_error::RequestError;
use super::requests::Answer;
use super::state::{
    Deployment, DeploymentStatus, PlacementRules, Registered, RolloutState, Service, ServiceStatus, TaskSetState,
};
use crate::model::capacity::LaunchTarget;
use crate::model::ids::DeploymentId;
use crate::model::service::{DeploymentConfiguration, SchedulingStrategy, ServiceSpec};
use crate::model::task_definition::TaskDefinitionRef;
use crate::model::task_set::{DeploymentController, Scale, TaskSetName, TaskSetSpec, TaskSetStatus};
use crate::model::traffic::{TrafficWeight, TrafficWeights};

/// Task sets of a service. **Source:** ECS' refusal of a sixth.
const TASK_SETS_MAX: usize = 5;
/// The longest client token. **Source:** ecs-semantics §1.3.
const CLIENT_TOKEN_MAX: usize = 36;

fn invalid<T>(text: impl Into<String>) -> Result<T, RequestError> {
    Err(RequestError::InvalidParameter(text.into()))
}

/// What a service of another controller can't be created with. **Source:** ecs-semantics §5.1, §5.8.
pub(super) fn check_controller(spec: &ServiceSpec) -> Result<(), RequestError> {
    let controller = spec.deployment_controller;
    if !controller.has_task_sets() {
        return Ok(());
    }
    let shown = controller.as_str();
    if spec.scheduling_strategy == SchedulingStrategy::Daemon {
        return invalid(format!(
            "the DAEMON scheduling strategy is not supported with the deployment controller {shown}"
        ));
    }
    if controller == DeploymentController::External && !spec.task_definition.family.is_empty() {
        return invalid("TaskDefinition must be blank.");
    }
    check_configuration(&spec.deployment_configuration, shown)
}

/// *Ours:* the text. **Source:** ecs-semantics §5.7, §5.8: these are of the ECS controller.
fn check_configuration(configuration: &DeploymentConfiguration, controller: &str) -> Result<(), RequestError> {
    let parts = [
        (configuration.strategy.moves_traffic(), "the deployment strategy"),
        (configuration.circuit_breaker.is_some(), "the deployment circuit breaker"),
        (configuration.alarms.is_some(), "deployment alarms"),
        (configuration.early_success.is_some(), "early success"),
        (configuration.bake_time.is_some(), "bakeTimeInMinutes"),
    ];
    match parts.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => invalid(format!("{what} can't be used with the deployment controller {controller}")),
        None => Ok(()),
    }
}

/// What UpdateService leaves alone of a service whose deployments are another's. **Source:** API reference, UpdateService.
fn check_update(service: &Service, update: &UpdateService) -> Result<(), RequestError> {
    let controller = service.spec.deployment_controller;
    let is_external = controller == DeploymentController::External;
    let article = if is_external { "an" } else { "a" };
    let instead = match is_external {
        true => "Create a task set instead.",
        false => "Use AWS CodeDeploy to trigger a new deployment.",
    };
    let shown = controller.as_str();
    if update.new_deployment == NewDeployment::Forced {
        return invalid(format!(
            "Cannot force a new deployment on services with {article} {shown} deployment controller. {instead}"
        ));
    }
    let parts = [
        (update.task_definition.is_some(), "task definition"),
        (update.capacity_provider_strategy.is_some(), "capacity provider strategy"),
        (update.load_balancers.as_ref().is_some_and(|others| *others != service.spec.load_balancers), "load balancers"),
        (update.deployment_configuration.is_some() && is_external, "deployment configuration"),
        (update.availability_zone_rebalancing.is_some() && is_external, "availability zone rebalancing"),
    ];
    if let Some((_, what)) = parts.into_iter().find(|(is_there, _)| *is_there) {
        return invalid(format!(
            "Unable to update {what} on services with {article} {shown} deployment controller. {instead}"
        ));
    }
    if let Some(configuration) = &update.deployment_configuration {
        check_configuration(configuration, shown)?;
    }
    let constraints = update.placement_constraints.as_deref().unwrap_or(&service.spec.placement_constraints);
    let rules_of = |set: &Deployment| PlacementRules::of(&set.task_definition, &[], constraints);
    service.deployments.iter().try_for_each(|set| rules_of(set).check())
}

impl Service {
    fn task_set(&self, name: &TaskSetName) -> Result<&Deployment, RequestError> {
        let status_of = |set: &Deployment| set.task_set.as_ref().map(|set| set.status);
        let is_meant = |set: &&Deployment| match name {
            TaskSetName::Id(id) => set.id == *id && set.task_set.is_some(),
            TaskSetName::External(external_id) => {
                let of_set = set.task_set.as_ref().and_then(|set| set.external_id.as_ref());
                of_set == Some(external_id) && status_of(set) != Some(TaskSetStatus::Draining)
            }
        };
        self.deployments.iter().rev().find(is_meant).ok_or(RequestError::TaskSetNotFound)
    }
}

impl ControlPlane {
    /// What a service of CodeDeploy begins with: a task set of all its tasks. **Source:** ecs-semantics §5.8.
    pub(super) fn first_task_set(&mut self, spec: &ServiceSpec, registered: Registered) -> Deployment {
        let asked = TaskSetSpec { scale: Scale::ALL, ..TaskSetSpec::default() };
        let mut set = self.new_task_set(spec, registered, asked);
        if let Some(state) = &mut set.task_set {
            state.status = TaskSetStatus::Primary;
            state.started_by = Some(DeploymentController::CodeDeploy.as_str().into());
        }
        set
    }

    /// A task set of a service whose launch target is the set's.
    fn new_task_set(&mut self, spec: &ServiceSpec, registered: Registered, asked: TaskSetSpec) -> Deployment {
        let now = self.now;
        Deployment {
            status: DeploymentStatus::Active,
            rollout_state: RolloutState::Completed,
            task_set: Some(Box::new(TaskSetState {
                status: TaskSetStatus::Active,
                scale: asked.scale,
                stability_status: Default::default(),
                stability_status_at: now,
                started_by: None,
                external_id: asked.external_id,
                tags: asked.tags,
                client_token: asked.client_token,
                document: asked.document,
            })),
            ..self.new_deployment(spec, registered)
        }
    }

    /// Whatever else a controller leaves to UpdateService: how many tasks there are to be, and where. **Source:** ecs-semantics §5.5.
    pub(super) fn update_service_of_task_sets(&mut self, update: UpdateService) -> Answer {
        let name = update.service.clone();
        let service = &self.state.services[&name];
        check_update(service, &update)?;
        let target = service.spec.launch_target.clone();
        let before = self.change_spec(update, target);
        self.watch_high_resolution();
        let after = self.state.services[&name].spec.desired_count;
        if before != after {
            self.desired_count_updated(&name, after, None);
        }
        self.disturb(&name);
        self.dirty.insert(name.clone());
        let primary = self.state.services[&name].primary_if_any();
        Ok(primary.map_or(Response::Done, |set| Response::Service { deployment: set.id }))
    }

    /// The service is there, is ACTIVE and leaves its task sets to its client.
    fn externally_controlled(&self, name: &Arc<str>) -> Result<&Service, RequestError> {
        let found = self.state.services.get(name).filter(|service| service.status != ServiceStatus::Inactive);
        let service = found.ok_or(RequestError::ServiceNotFound)?;
        if service.status != ServiceStatus::Active {
            return Err(RequestError::ServiceNotActive);
        }
        if service.spec.deployment_controller != DeploymentController::External {
            return invalid(
                "Amazon ECS only supports task set management on services configured to use external deployment \
                 controllers.",
            );
        }
        Ok(service)
    }

    /// **Source:** ecs-semantics §1.3, §4.5, §5.8. *Ours:* a client token that is known answers with its task set, whatever else is asked.
    pub(super) fn create_task_set(&mut self, asked: TaskSetSpec) -> Answer {
        let name = asked.service.clone();
        let service = self.externally_controlled(&name)?;
        check_scale(asked.scale)?;
        if let Some(token) = &asked.client_token {
            if token.chars().count() > CLIENT_TOKEN_MAX {
                return invalid(format!("clientToken has at most {CLIENT_TOKEN_MAX} characters"));
            }
            let has_token = |set: &&Deployment| {
                let state = set.task_set.as_ref().filter(|state| state.status != TaskSetStatus::Draining);
                state.is_some_and(|state| state.client_token.as_ref() == Some(token))
            };
            if let Some(known) = service.deployments.iter().find(has_token) {
                return self.task_set_response(&name, known.id);
            }
        }
        if service.deployments.len() >= TASK_SETS_MAX {
            return invalid(format!(
                "{TASK_SETS_MAX} deployments exist on the service. Unable to create new TaskSet since this exceeds the \
                 maximum limit."
            ));
        }
        let registered = self.resolve(&asked.task_definition)?;
        let launch_target = self.effective_target(&asked.launch_target);
        let spec = ServiceSpec { launch_target, ..service.spec.clone() };
        spec.placement_rules(&registered.definition).check()?;
        self.check_target(&spec.launch_target, &registered.definition)?;
        let set = self.new_task_set(&spec, registered, asked);
        let id = set.id;
        let service = self.state.services.get_mut(&name).expect("it was found above");
        service.deployments.push(set);
        self.reset_throttle(&name);
        self.task_sets_changed(&name);
        self.task_set_response(&name, id)
    }

    /// **Source:** ecs-semantics §5.8.
    pub(super) fn update_task_set(&mut self, name: &Arc<str>, task_set: &TaskSetName, scale: Scale) -> Answer {
        check_scale(scale)?;
        let id = self.live_task_set(name, task_set)?;
        self.change_task_set(name, id, |state| state.scale = scale);
        self.task_sets_changed(name);
        self.task_set_response(name, id)
    }

    /// DRAINING until its tasks are over, then gone. **Source:** ecs-semantics §5.8. *Ours:* the texts, that a PRIMARY one can be deleted,
    /// and that its tasks are protected no longer.
    pub(super) fn delete_task_set(&mut self, name: &Arc<str>, task_set: &TaskSetName, deletion: Deletion) -> Answer {
        let service = self.externally_controlled(name)?;
        let set = service.task_set(task_set)?;
        let id = set.id;
        if deletion == Deletion::WhenScaledToZero && set.computed_desired_count(service.spec.desired_count) > 0 {
            return invalid("The task set cannot be deleted while it is scaled above 0.");
        }
        let service = self.state.services.get_mut(name).expect("it has just been found");
        service.remember_task_sets(|set| set.id == id);
        self.drain_task_set(name, id);
        self.task_sets_changed(name);
        self.task_set_response(name, id)
    }

    /// The one that was PRIMARY is ACTIVE; what the service shows of itself is the new one's. **Source:** ecs-semantics §5.8; developer
    /// guide, "third-party controller".
    pub(super) fn update_primary_task_set(&mut self, name: &Arc<str>, task_set: &TaskSetName) -> Answer {
        let id = self.live_task_set(name, task_set)?;
        let service = &self.state.services[name];
        let before = service.primary_if_any().map(|set| set.id);
        if before != Some(id) {
            if let Some(before) = before {
                self.change_task_set(name, before, |state| state.status = TaskSetStatus::Active);
            }
            self.change_task_set(name, id, |state| state.status = TaskSetStatus::Primary);
            let production = [(id, TrafficWeight::ALL)].into();
            self.direct_traffic(name, TrafficWeights { production, test: None });
            let service = self.state.services.get_mut(name).expect("it was found above");
            if let Some(primary) = service.primary_if_any() {
                let definition = &primary.task_definition;
                let (family, revision) = (definition.family.clone(), Some(definition.revision));
                let target: LaunchTarget = primary.revision.launch_target.clone();
                service.spec.task_definition = TaskDefinitionRef { family, revision };
                service.spec.launch_target = target;
            }
            self.service_event(name, &format!("(taskSet {}) is the primary task set.", self.ids.deployment(id)));
        }
        self.task_set_response(name, id)
    }

    /// Begins the end of all task sets of a service that is deleted. **Source:** ecs-semantics §5.5.
    pub(super) fn drain_task_sets(&mut self, name: &Arc<str>) {
        let ids: Vec<DeploymentId> = self.state.services[name].deployments.iter().map(|set| set.id).collect();
        for id in ids {
            self.drain_task_set(name, id);
        }
    }

    fn drain_task_set(&mut self, name: &Arc<str>, id: DeploymentId) {
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let is_of_set = |task: &&crate::model::ids::TaskId| self.state.tasks[task].task.deployment == Some(id);
        let protected: Vec<_> = service.protected.iter().filter(is_of_set).copied().collect();
        let was_primary = service.primary_if_any().is_some_and(|set| set.id == id);
        for task in protected {
            service.protected.remove(&task);
            if let Some(record) = self.state.tasks.get_mut(&task) {
                record.task.protected_until = None;
            }
        }
        self.protection_ended(name);
        self.change_task_set(name, id, |state| state.status = TaskSetStatus::Draining);
        if was_primary {
            self.direct_traffic(name, TrafficWeights::default());
        }
    }

    /// A task set that is not deleted.
    fn live_task_set(&self, name: &Arc<str>, task_set: &TaskSetName) -> Result<DeploymentId, RequestError> {
        let set = self.externally_controlled(name)?.task_set(task_set)?;
        if set.task_set.as_ref().is_some_and(|state| state.status == TaskSetStatus::Draining) {
            return invalid("The task set is DRAINING.");
        }
        Ok(set.id)
    }

    fn change_task_set(&mut self, name: &Arc<str>, id: DeploymentId, change: impl FnOnce(&mut TaskSetState)) {
        let now = self.now;
        if let Some(set) = self.deployment_mut(name, Some(id))
            && let Some(state) = &mut set.task_set
        {
            change(state);
            set.updated_at = now;
        }
    }

    fn task_sets_changed(&mut self, name: &Arc<str>) {
        self.disturb(name);
        self.dirty.insert(name.clone());
    }

    fn task_set_response(&self, name: &Arc<str>, id: DeploymentId) -> Answer {
        let service = &self.state.services[name];
        let set = service.deployments.iter().find(|set| set.id == id);
        let described = set.and_then(|set| service.describe(set)).ok_or(RequestError::TaskSetNotFound)?;
        Ok(Response::TaskSet(Box::new(described)))
    }
}

fn check_scale(scale: Scale) -> Result<(), RequestError> {
    if scale > Scale::ALL {
        return invalid("the value of a scale is from 0 to 100 percent");
    }
    Ok(())
}
