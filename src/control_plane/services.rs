//! Services: the loop that holds desired against observed and acts on the difference.

use std::sync::Arc;

use super::ControlPlane;
use super::backoff::RestartThrottle;
use super::deployment::{Blocked, Bounds, PlanInputs, Tally, plan};
use super::service_events::Complaint;
use super::service_stops::Victims;
use super::state::{Deployment, DeploymentStatus, Registered, ServiceStatus, Steadiness};
use super::timers::Wakeup;
use crate::model::service::ServiceSpec;
use crate::model::settings::Settings;
use crate::model::units::Timestamp;

/// What a service is steered by, beside its public state.
#[derive(Debug)]
pub(super) struct ServiceController {
    pub throttle: RestartThrottle,
    /// The last complaint and when it was made.
    pub complaint: Option<(Complaint, Timestamp)>,
    /// When it was last worked out why no instance takes a task.
    pub explained_at: Option<Timestamp>,
}

impl ServiceController {
    pub(super) fn new(settings: &Settings) -> ServiceController {
        ServiceController {
            throttle: RestartThrottle::new(settings.restart_delay_first, settings.restart_delay_max),
            complaint: None,
            explained_at: None,
        }
    }
}

impl ControlPlane {
    /// The deployment of a service that is to run a task definition.
    pub(super) fn new_deployment(&mut self, spec: &ServiceSpec, registered: Registered) -> Deployment {
        let id = self.new_deployment_id();
        let revision = self.new_revision(spec, &registered.definition);
        Deployment::new(id, self.ids.deployment(id).into(), registered, revision, self.now)
    }

    /// Makes a deployment the primary one; those before it drain toward it. **Source:** ecs-semantics §5.3.
    pub(super) fn start_deployment(&mut self, name: &Arc<str>, registered: Registered) {
        let spec = self.state.services[name].spec.clone();
        let deployment = self.new_deployment(&spec, registered);
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        for older in &mut service.deployments {
            older.status = DeploymentStatus::Active;
            older.updated_at = now;
        }
        service.deployments.insert(0, deployment);
        self.reset_throttle(name);
        self.begin_rollout(name);
    }

    /// Another task definition resets the throttle at once. **Source:** ecs-semantics §5.6.
    pub(super) fn reset_throttle(&mut self, name: &Arc<str>) {
        if let Some(controller) = self.controllers.get_mut(name) {
            controller.throttle.reset();
            self.timers.cancel(Wakeup::Restart(name.clone()));
        }
    }

    /// Brings a service one settled step closer to what is desired. **Source:** ecs-semantics §5.3.
    pub(super) fn reconcile(&mut self, name: &Arc<str>) {
        let Some(service) = self.state.services.get(name) else { return };
        if service.status == ServiceStatus::Inactive {
            return;
        }
        self.judge_deployment(name);
        let service = &self.state.services[name];
        let tally = |deployment: &Deployment| Tally {
            starting: deployment.pending_count(),
            unproven: super::state::count(deployment.unproven.len()),
            healthy: deployment.healthy_count(),
        };
        let older: Vec<Tally> = service.deployments.iter().skip(1).map(tally).collect();
        let plan = plan(&PlanInputs {
            desired_count: service.spec.desired_count,
            bounds: Bounds::of(service.spec.desired_count, &service.spec.deployment_configuration),
            primary: tally(service.primary()),
            older: &older,
        });
        if plan.stop_primary > 0 {
            self.stop_some(name, 0, plan.stop_primary, Victims::LeastUsefulFirst);
        }
        for (index, stop) in plan.stop_older.iter().enumerate() {
            if stop.not_healthy > 0 {
                self.stop_some(name, index + 1, stop.not_healthy, Victims::NotHealthyOnly);
            }
            if stop.healthy > 0 {
                self.stop_some(name, index + 1, stop.healthy, Victims::HealthyOnly);
            }
        }
        if plan.start > 0 {
            self.start_some(name, plan.start);
        }
        if plan.blocked == Blocked::ByConfiguration {
            self.complain(
                name,
                Complaint::BlockedByBounds,
                "was unable to stop or start tasks during a deployment because of the service deployment \
                 configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            );
        }
        let stopped_any =
            plan.stop_primary > 0 || plan.stop_older.iter().any(|stop| stop.not_healthy + stop.healthy > 0);
        if stopped_any {
            // What was stopped may have made room under the upper bound.
            self.dirty.insert(name.clone());
        }
        self.conclude(name);
    }

    /// Whatever a service does, it is steady only when it has said so again. **Source:** ecs-semantics §5.7.
    pub(super) fn disturb(&mut self, name: &Arc<str>) {
        if let Some(service) = self.state.services.get_mut(name) {
            service.steadiness = Steadiness::Changing;
        }
    }

    /// Sets a desired count on behalf of a scaling policy.
    pub(super) fn scale_service(&mut self, name: &Arc<str>, desired_count: u32, cause: &str) {
        let Some(service) = self.state.services.get_mut(name) else { return };
        let before = service.spec.desired_count;
        service.spec.desired_count = desired_count;
        service.steadiness = Steadiness::Changing;
        self.service_event(name, &format!("desired count changed from {before} to {desired_count}: {cause}"));
        self.dirty.insert(name.clone());
    }

    /// Room has appeared on an instance: whoever waits for it looks again.
    pub(super) fn room_appeared(&mut self, instance: crate::model::ids::ContainerInstanceId) {
        let provider = self
            .state
            .container_instances
            .get(&instance)
            .and_then(|instance| instance.launch.capacity_provider.clone());
        if let Some(provider) = provider
            && self.state.capacity_providers.get(&provider).is_some_and(|found| !found.provisioning.is_empty())
        {
            self.freed.insert(provider);
        }
        self.dirty.append(&mut self.waiting);
    }
}
