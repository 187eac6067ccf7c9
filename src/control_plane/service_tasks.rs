//! What a service makes of its tasks' lives: those that run, and those that are over.

use std::sync::Arc;

use super::ControlPlane;
use super::state::Deployment;
use super::timers::Wakeup;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::task::StopCode;

impl ControlPlane {
    /// A task of a service has reached RUNNING: its deployment can start tasks. **Source:** ecs-semantics §5.6, §5.7.
    pub(super) fn service_task_ran(&mut self, name: &Arc<str>, task: TaskId) {
        let task = &self.state.tasks[&task].task;
        let deployment = task.deployment;
        if let Some(controller) = self.controllers.get_mut(name) {
            controller.throttle.task_ran();
        }
        if let Some(deployment) = self.deployment_mut(name, deployment) {
            deployment.failed_tasks = 0;
        }
    }

    /// A task of a service is over. One that never ran, and that nobody stopped, slows the next start down.
    /// **Source:** ecs-semantics §5.6.
    pub(super) fn service_task_over(&mut self, name: &Arc<str>, id: TaskId) {
        let task = &self.state.tasks[&id].task;
        let (created_at, deployment) = (task.created_at, task.deployment);
        let failed = task.started_at.is_none()
            && matches!(task.stop_code, Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited));
        if failed && let Some(controller) = self.controllers.get_mut(name) {
            let failure = controller.throttle.task_failed_to_start(self.now, created_at);
            self.timers.set(failure.may_start_at, Wakeup::Restart(name.clone()));
            if let Some(message) = failure.message {
                self.service_event(name, message);
            }
        }
        if failed && let Some(deployment) = self.deployment_mut(name, deployment) {
            deployment.failed_tasks += 1;
        }
    }

    pub(super) fn deployment_mut(
        &mut self,
        name: &Arc<str>,
        deployment: Option<DeploymentId>,
    ) -> Option<&mut Deployment> {
        let service = self.state.services.get_mut(name)?;
        service.deployments.iter_mut().find(|found| Some(found.id) == deployment)
    }
}
