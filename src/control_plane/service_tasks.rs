//! What a service makes of its tasks' lives: those that run, and those that are over.

use std::sync::Arc;

use super::ControlPlane;
use super::action::ServiceActionEvent;
use super::state::{BreakerStage, ClusterState, Deployment, ReplaceCause, TaskHealth};
use super::timers::Wakeup;
use crate::model::deployment::OnHealthyTask;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::task::{StopCode, Task};

impl ControlPlane {
    /// A task of a service has reached RUNNING: its deployment can start tasks, and its circuit breaker counts what becomes of them from
    /// here on, anew unless it never does. **Source:** ecs-semantics §5.6, §5.7.
    pub(super) fn service_task_ran(&mut self, name: &Arc<str>, task: TaskId) {
        let task = &self.state.tasks[&task].task;
        let deployment = task.deployment;
        if let Some(controller) = self.controllers.get_mut(name) {
            controller.throttle.task_ran();
        }
        let counts_anew = self.success_resets_breaker(name);
        if let Some(deployment) = self.deployment_mut(name, deployment)
            && deployment.breaker_stage == BreakerStage::Starting
        {
            deployment.breaker_stage = BreakerStage::Running;
            if counts_anew {
                deployment.failed_tasks = 0;
            }
        }
    }

    /// Whether a task that does well lets the circuit breaker count anew. **Source:** ecs-semantics §5.7, `resetOnHealthyTask`.
    pub(super) fn success_resets_breaker(&self, name: &Arc<str>) -> bool {
        let service = self.state.services.get(name);
        let breaker = service.and_then(|found| found.spec.deployment_configuration.circuit_breaker);
        breaker.is_none_or(|breaker| breaker.on_healthy_task == OnHealthyTask::Reset)
    }

    /// A task of a service is over. One that never ran, and that nobody stopped, slows the next start down.
    ///
    /// For the circuit breaker a task has failed that ended by itself and never counted as healthy. *Ours:* ECS looks at health checks
    /// alone once a task has run, so that a deployment of tasks that start and then exit never ends there.
    /// **Source:** ecs-semantics §5.6, §5.7.
    pub(super) fn service_task_over(&mut self, name: &Arc<str>, id: TaskId) {
        let record = &self.state.tasks[&id];
        let task = &record.task;
        let (created_at, deployment) = (task.created_at, task.deployment);
        let ended_by_itself =
            matches!(task.stop_code, Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited));
        let failed_to_start = ended_by_itself && task.started_at.is_none();
        // One that was unhealthy has counted when it became so.
        let failed =
            ended_by_itself && record.health == TaskHealth::Unproven && record.replace != Some(ReplaceCause::Unhealthy);
        if failed_to_start && let Some(controller) = self.controllers.get_mut(name) {
            let failure = controller.throttle.task_failed_to_start(self.now, created_at);
            self.timers.set(failure.may_start_at, Wakeup::Restart(name.clone()));
            if let Some(message) = failure.message {
                self.service_event(name, message);
                self.service_action(name, ServiceActionEvent::TaskStartImpaired, None, Default::default());
            }
        }
        if failed_to_start {
            self.note_failed_resolution(name, id);
        }
        if failed && let Some(deployment) = self.deployment_mut(name, deployment) {
            deployment.failed_tasks += 1;
        }
        let protected = self.state.services.get_mut(name).is_some_and(|service| service.protected.remove(&id));
        if protected {
            self.protection_ended(name);
        }
    }

    /// A deployment of a service that is known.
    pub(super) fn deployment_mut(
        &mut self,
        name: &Arc<str>,
        deployment: Option<DeploymentId>,
    ) -> Option<&mut Deployment> {
        let service = self.state.services.get_mut(name)?;
        service.deployments.iter_mut().find(|found| Some(found.id) == deployment)
    }
}

impl ClusterState {
    /// The deployment of a service's task, as long as the service has it.
    pub(super) fn deployment_of(&self, task: &Task) -> Option<&Deployment> {
        let service = self.services.get(task.service.as_ref()?)?;
        service.deployments.iter().find(|found| Some(found.id) == task.deployment)
    }
}
