//! What is known of a task's health, and what its service makes of it.
//!
//! A task without health checks counts as healthy when it has run for a while; one with them, be they its containers' or those of target
//! groups, when they pass. A service's task whose checks fail no longer counts and is to give way to another; a standalone task's health is shown and changes nothing.

use super::ControlPlane;
use super::state::{ReplaceCause, TaskHealth, TaskRecord};
use super::timers::Wakeup;
use crate::model::ids::TaskId;
use crate::model::task::{DesiredStatus, HealthStatus, Task, TaskStatus};

/// What the health checks of a task say; `None` when no essential container has one. **Source:** ecs-semantics §5.2.
///
/// Essential containers without a check have no say here, though ECS shows the task's health as UNKNOWN for them (§1.5.1): the task
/// could else never count.
fn checked_health(task: &Task) -> Option<HealthStatus> {
    let defined = task.task_definition.containers.iter().zip(&task.containers);
    let checked = defined.filter(|(defined, _)| defined.essential && defined.health_check.is_some());
    checked.map(|(_, container)| container.health).reduce(worse)
}

/// The worse of two.
fn worse(one: HealthStatus, other: HealthStatus) -> HealthStatus {
    match (one, other) {
        (HealthStatus::Unhealthy, _) | (_, HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
        (HealthStatus::Unknown, _) | (_, HealthStatus::Unknown) => HealthStatus::Unknown,
        (HealthStatus::Healthy, HealthStatus::Healthy) => HealthStatus::Healthy,
    }
}

fn runs(record: &TaskRecord) -> bool {
    record.task.desired_status == DesiredStatus::Running && record.task.last_status == TaskStatus::Running
}

impl ControlPlane {
    /// What the checks of a task's containers and its target groups say together; `None` when it has neither.
    /// **Source:** ecs-semantics §5.2.
    pub(super) fn known_health(&self, task: &Task) -> Option<HealthStatus> {
        checked_health(task).into_iter().chain(self.target_health_of(task)).reduce(worse)
    }

    /// A task has reached RUNNING: it counts as healthy after a while, or when its checks say so. **Source:** ecs-semantics §5.2.
    pub(super) fn watch_health(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id).filter(|record| runs(record)) else { return };
        match self.known_health(&record.task) {
            None => self.timers.set(self.now + self.settings.healthy_after, Wakeup::TaskHealthy(id)),
            Some(_) => self.look_at_health(id),
        }
    }

    /// The while is over after which a task without checks counts as healthy, or the grace period of one with them.
    /// **Source:** ecs-semantics §5.2, §5.4.
    pub(super) fn health_is_due(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id).filter(|record| runs(record)) else { return };
        match self.known_health(&record.task) {
            None => self.task_is_healthy(id),
            Some(_) => self.look_at_health(id),
        }
    }

    /// The health of a task's containers may have changed. Within the service's grace period checks that fail are left out of account.
    /// **Source:** ecs-semantics §5.2, §5.4.
    pub(super) fn look_at_health(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id).filter(|record| runs(record)) else { return };
        let Some(service) = record.task.service.as_ref().and_then(|name| self.state.services.get(name)) else { return };
        match self.known_health(&record.task) {
            None | Some(HealthStatus::Unknown) => {}
            Some(HealthStatus::Healthy) => self.task_is_healthy(id),
            Some(HealthStatus::Unhealthy) => {
                let started_at = record.task.started_at.unwrap_or(self.now);
                let grace_ends = started_at + service.spec.health_check_grace_period;
                if self.now < grace_ends {
                    self.timers.set(grace_ends, Wakeup::TaskHealthy(id));
                } else if !matches!(record.replace, Some(ReplaceCause::Unhealthy | ReplaceCause::Retirement)) {
                    // One that retires is replaced anyway, and does not stay for getting well again.
                    self.task_is_unhealthy(id);
                }
            }
        }
    }

    /// A task counts as healthy. One that was to give way for its health does so no longer.
    fn task_is_healthy(&mut self, id: TaskId) {
        let record = &self.state.tasks[&id];
        if record.health == TaskHealth::Healthy {
            return;
        }
        let (service, deployment) = (record.task.service.clone(), record.task.deployment);
        self.change_task(id, |record| {
            record.health = TaskHealth::Healthy;
            if record.replace == Some(ReplaceCause::Unhealthy) {
                record.replace = None;
            }
        });
        let Some(name) = service else { return };
        if self.success_resets_breaker(&name)
            && let Some(deployment) = self.deployment_mut(&name, deployment)
        {
            deployment.failed_tasks = 0;
        }
        self.dirty.insert(name);
    }

    /// A service's task fails its checks: it is to be replaced, and counts for the circuit breaker. **Source:** ecs-semantics §5.4, §5.7.
    fn task_is_unhealthy(&mut self, id: TaskId) {
        let task = &self.state.tasks[&id].task;
        let (service, deployment) = (task.service.clone(), task.deployment);
        self.change_task(id, |record| {
            record.health = TaskHealth::Unproven;
            record.replace = Some(ReplaceCause::Unhealthy);
        });
        let Some(name) = service else { return };
        if let Some(deployment) = self.deployment_mut(&name, deployment) {
            deployment.failed_tasks += 1;
        }
        let text = match self.failing_target_group(id) {
            Some(group) => self.unhealthy_target_text(id, group),
            None => format!("(task {}) failed container health checks.", self.ids.task(id)),
        };
        self.service_event(&name, &text);
        self.dirty.insert(name);
    }

    /// A service's task is to give way to another of its revision though nothing is wrong with it.
    /// **Source:** ecs-semantics §3.3, §5.10, §8.5.
    pub(super) fn give_way(&mut self, id: TaskId, cause: ReplaceCause) {
        let Some(record) = self.state.tasks.get(&id) else { return };
        if record.task.desired_status == DesiredStatus::Stopped {
            return;
        }
        let service = record.task.service.clone();
        self.change_task(id, |record| record.replace = Some(cause));
        self.dirty.extend(service);
    }
}
