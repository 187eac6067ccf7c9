//! CreateService, UpdateService and DeleteService: what starts a deployment, and what only changes how the service is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::auto_scaling_requests::check_settings;
use super::event::{Deletion, NewDeployment, UpdateService};
use super::request_error::RequestError;
use super::requests::Answer;
use super::services::ServiceController;
use super::state::{Deployment, Registered, Service, ServiceStatus, Steadiness};
use crate::model::capacity::LaunchTarget;
use crate::model::deployment::BreakerThreshold;
use crate::model::service::{DeploymentConfiguration, ServiceSpec};
use crate::model::task_set::DeploymentController;

impl ControlPlane {
    /// **Source:** ecs-semantics §5.5.
    pub(super) fn create_service(&mut self, mut spec: ServiceSpec) -> Answer {
        if let Some(response) = self.created_before(&spec)? {
            return Ok(response);
        }
        let name = spec.name.clone();
        let created_from = spec.client_token.is_some().then(|| Arc::new(spec.clone()));
        match self.state.services.get(&name).map(|service| service.status) {
            Some(ServiceStatus::Active) => {
                return Err(RequestError::InvalidParameter("Creation of service was not idempotent.".into()));
            }
            Some(ServiceStatus::Draining) => {
                return Err(RequestError::InvalidParameter("Unable to Start a service that is still Draining.".into()));
            }
            Some(ServiceStatus::Inactive) | None => {}
        }
        check_configuration(&spec.deployment_configuration)?;
        spec.auto_scaling.as_ref().map_or(Ok(()), check_settings)?;
        super::task_set_requests::check_controller(&spec)?;
        spec.launch_target = self.target_of_service(&spec);
        super::daemon::check_scheduling(&mut spec)?;
        self.check_load_balancers_of(&spec)?;
        let first = self.first_deployment(&spec)?;
        let id = first.as_ref().map(|first| first.id);
        let is_rolled_out = !spec.deployment_controller.has_task_sets();
        let controller = ServiceController::new(&self.settings);
        let auto_scaling = spec.auto_scaling.clone();
        self.controllers.insert(name.clone(), controller);
        self.note_scheduling(&spec);
        let departed = self.state.services.remove(&name).map(Service::departing).unwrap_or_default();
        self.state.services.insert(
            name.clone(),
            Service {
                departed,
                group: format!("service:{name}").into(),
                spec,
                status: ServiceStatus::Active,
                deployments: first.into_iter().collect(),
                created_at: self.now,
                events: Default::default(),
                steadiness: Steadiness::Changing,
                service_deployments: Default::default(),
                image_digests: Default::default(),
                rollback_target: None,
                traffic: Default::default(),
                protected: Default::default(),
                created_from,
                deleted_task_sets: Default::default(),
            },
        );
        self.measures.begin_service(&name);
        self.watch_high_resolution();
        if auto_scaling.is_some() {
            self.set_auto_scaling(&name, auto_scaling)?;
        }
        if is_rolled_out {
            self.begin_rollout(&name);
        }
        self.dirty.insert(name);
        Ok(id.map_or(Response::Done, |deployment| Response::Service { deployment }))
    }

    /// What a service begins with, which may be nothing.
    fn first_deployment(&mut self, spec: &ServiceSpec) -> Result<Option<Deployment>, RequestError> {
        if spec.deployment_controller == DeploymentController::External {
            return Ok(None);
        }
        let registered = self.resolve(&spec.task_definition)?;
        spec.placement_rules(&registered.definition).check()?;
        self.check_target(&spec.launch_target, &registered.definition)?;
        Ok(Some(match spec.deployment_controller {
            DeploymentController::CodeDeploy => self.first_task_set(spec, registered),
            DeploymentController::Ecs | DeploymentController::External => self.new_deployment(spec, registered),
        }))
    }

    /// A changed task definition, other target groups, a document that calls for it and force start a deployment; nothing else that can be changed does.
    /// **Source:** ecs-semantics §5.5.
    pub(super) fn update_service(&mut self, update: UpdateService) -> Answer {
        let service = self.state.services.get(&update.service).ok_or(RequestError::ServiceNotFound)?;
        if service.status != ServiceStatus::Active {
            return Err(RequestError::ServiceNotActive);
        }
        update.deployment_configuration.as_ref().map_or(Ok(()), check_configuration)?;
        if service.has_task_sets() {
            return self.update_service_of_task_sets(update);
        }
        let current = service.primary().task_definition.clone();
        let target = match &update.capacity_provider_strategy {
            Some(items) if items.is_empty() => LaunchTarget::LaunchType(service.launch_type()),
            Some(items) => LaunchTarget::Strategy(items.clone()),
            None => service.spec.launch_target.clone(),
        };
        let wanted = update.task_definition.as_ref().map(|reference| self.resolve(reference)).transpose()?;
        self.check_target(&target, wanted.as_ref().map_or(&current, |wanted| &wanted.definition))?;
        super::daemon::check_update(service, &update)?;
        super::constraints::check_update(service, &update, wanted.as_ref())?;
        let (others, is_rebalanced) = match &update.load_balancers {
            Some(others) => (&**others, *others != service.spec.load_balancers),
            None => (&*service.spec.load_balancers, false),
        };
        if is_rebalanced || wanted.is_some() && !others.is_empty() {
            self.check_load_balancers(others, Some(wanted.as_ref().map_or(&current, |wanted| &wanted.definition)))?;
        }
        let changed = wanted.filter(|wanted| {
            wanted.definition.revision != current.revision || wanted.definition.family != current.family
        });
        let next = match (changed, update.new_deployment) {
            (Some(registered), _) => Some(registered),
            (None, how) if is_rebalanced || how != NewDeployment::WhenChanged => {
                // What it runs may have become INACTIVE since. Ours: it was not asked to go anywhere else.
                let reservation = service.primary().reservation.clone();
                Some(Registered { definition: current, reservation })
            }
            (None, _) => None,
        };
        let name = update.service.clone();
        let before = self.change_spec(update, target);
        self.watch_high_resolution();
        let after = self.state.services[&name].spec.desired_count;
        if before != after {
            self.desired_count_updated(&name, after, None);
        }
        if let Some(registered) = next {
            self.start_deployment(&name, registered);
        }
        let deployment = self.state.services[&name].primary().id;
        self.dirty.insert(name);
        Ok(Response::Service { deployment })
    }

    /// Takes over what an update changes and returns the desired count of before.
    pub(super) fn change_spec(&mut self, update: UpdateService, target: LaunchTarget) -> u32 {
        let service = self.state.services.get_mut(&update.service).expect("the caller has the service");
        let spec = &mut service.spec;
        let before = spec.desired_count;
        spec.launch_target = target;
        spec.desired_count = update.desired_count.unwrap_or(before);
        if let Some(configuration) = update.deployment_configuration {
            spec.deployment_configuration = configuration;
        }
        if let Some(strategy) = update.placement_strategy {
            spec.placement_strategy = strategy;
        }
        if let Some(constraints) = update.placement_constraints {
            spec.placement_constraints = constraints;
        }
        if let Some(rebalancing) = update.availability_zone_rebalancing {
            spec.availability_zone_rebalancing = rebalancing;
        }
        if let Some(period) = update.health_check_grace_period {
            spec.health_check_grace_period = period;
        }
        if let Some(source) = update.propagate_tags {
            spec.propagate_tags = source;
        }
        if let Some(managed) = update.ecs_managed_tags {
            spec.ecs_managed_tags = managed;
        }
        if let Some(monitoring) = update.monitoring {
            spec.monitoring = monitoring;
        }
        if let Some(load_balancers) = update.load_balancers {
            spec.load_balancers = load_balancers;
        }
        if let Some(document) = update.document {
            spec.document = document;
        }
        before
    }

    /// Tags start no deployment. **Source:** ecs-semantics §5.5.
    pub(super) fn set_service_tags(&mut self, name: &Arc<str>, tags: BTreeMap<String, String>) -> Answer {
        let found = self.state.services.get_mut(name).filter(|service| service.status != ServiceStatus::Inactive);
        found.ok_or(RequestError::ServiceNotFound)?.spec.tags = tags;
        Ok(Response::Done)
    }

    /// ACTIVE, then DRAINING until all its tasks are STOPPING or STOPPED, then INACTIVE. **Source:** ecs-semantics §5.5.
    pub(super) fn delete_service(&mut self, name: &Arc<str>, deletion: Deletion) -> Answer {
        let found = self.state.services.get_mut(name).filter(|service| service.status != ServiceStatus::Inactive);
        let service = found.ok_or(RequestError::ServiceNotFound)?;
        if service.status == ServiceStatus::Active {
            if deletion == Deletion::WhenScaledToZero && service.spec.desired_count > 0 {
                return Err(RequestError::InvalidParameter(
                    "The service cannot be stopped while it is scaled above 0.".into(),
                ));
            }
            service.remember_task_sets(|_| true);
            service.status = ServiceStatus::Draining;
            service.spec.desired_count = 0;
            // Ours: protection is from scale-in, not from the service's own end.
            let protected = std::mem::take(&mut service.protected);
            let now = self.now;
            if let Some(record) = service.current_service_deployment_mut() {
                record.stop(now, &"The service was deleted.".into());
            }
            for task in protected {
                if let Some(record) = self.state.tasks.get_mut(&task) {
                    record.task.protected_until = None;
                }
            }
            self.end_shift(name, Default::default());
            if self.state.services[name].has_task_sets() {
                self.drain_task_sets(name);
            }
            self.forget_target(name);
            self.dirty.insert(name.clone());
        }
        Ok(Response::Done)
    }
}

/// What a deployment needs to come to an end, and ranges. *Ours:* the texts, and that bounds end at 100: ECS' are in no document.
/// **Source:** ecs-semantics §5.2, §5.7.
fn check_configuration(configuration: &DeploymentConfiguration) -> Result<(), RequestError> {
    let refuse = |text: &str| Err(RequestError::InvalidParameter(text.into()));
    if configuration.minimum_healthy_percent > 100 || configuration.maximum_percent < 100 {
        return refuse("minimumHealthyPercent must be at most 100 and maximumPercent at least 100");
    }
    if let Some(breaker) = configuration.circuit_breaker {
        match breaker.threshold {
            BreakerThreshold::BoundedPercent(percent) | BreakerThreshold::UnboundedPercent(percent)
                if !(1..=100).contains(&percent) =>
            {
                return refuse("the circuit breaker's threshold must be from 1 to 100 percent");
            }
            BreakerThreshold::Count(0) => return refuse("the circuit breaker's threshold must be at least 1"),
            _ => {}
        }
    }
    if configuration.alarms.as_ref().is_some_and(|alarms| alarms.alarm_names.is_empty()) {
        return refuse("deployment alarms need the name of an alarm");
    }
    if let Some(early) = configuration.early_success
        && !(configuration.minimum_healthy_percent..=100).contains(&early.healthy_percent)
    {
        return refuse("early success' healthyPercent must be from minimumHealthyPercent to 100");
    }
    super::traffic_rules::check(configuration)
}
