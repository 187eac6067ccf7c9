//! How a deployment ends and a service becomes steady.

use std::sync::Arc;

use super::ControlPlane;
use super::service_autoscaling::DeploymentProgress;
use super::state::{Deployment, RolloutState, Service, ServiceStatus, Steadiness};

impl ControlPlane {
    /// Completes deployments, drops those that are over, and says when the service is steady.
    /// **Source:** ecs-semantics §5.7, §11.5.
    pub(super) fn conclude(&mut self, name: &Arc<str>) {
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let mut index = 0;
        service.deployments.retain(|deployment| {
            index += 1;
            index == 1 || deployment.placed_count() > 0 || !deployment.stopping.is_empty()
        });
        if service.status == ServiceStatus::Draining {
            if service
                .deployments
                .iter()
                .all(|deployment| deployment.placed_count() + super::state::count(deployment.stopping.len()) == 0)
            {
                service.status = ServiceStatus::Inactive;
                self.waiting.remove(name);
            }
            return;
        }
        let desired = service.spec.desired_count;
        let older_placed: u32 = service.deployments.iter().skip(1).map(Deployment::placed_count).sum();
        let primary = &mut service.deployments[0];
        let all_healthy = primary.healthy_count() == desired && primary.placed_count() == desired;
        let mut completed = None;
        if all_healthy && older_placed == 0 && primary.rollout_state == RolloutState::InProgress {
            primary.rollout_state = RolloutState::Completed;
            primary.updated_at = now;
            completed = Some(primary.shown_id.clone());
        }
        let steady = all_healthy && older_placed == 0;
        let became_steady = steady && service.steadiness == Steadiness::Changing;
        service.steadiness = if steady { Steadiness::Steady } else { Steadiness::Changing };
        if let Some(shown_id) = completed {
            self.service_event(name, &format!("(deployment {shown_id}) deployment completed."));
        }
        if became_steady {
            if let Some(controller) = self.controllers.get_mut(name) {
                controller.complaint = None;
                controller.explained_at = None;
            }
            self.service_event(name, "has reached a steady state.");
        }
    }

    /// Whether a deployment of the service is under way: it holds scale-in off. **Source:** ecs-semantics §7.2.
    pub(super) fn deployment_progress(service: &Service) -> DeploymentProgress {
        let under_way = service.deployments.len() > 1 || service.primary().rollout_state == RolloutState::InProgress;
        if under_way { DeploymentProgress::InProgress } else { DeploymentProgress::Steady }
    }
}
