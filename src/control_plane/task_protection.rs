//! Task scale-in protection: tasks that neither a scale-in nor a deployment stops until their time is over.
//!
//! It does not shield from StopTask, from the loss of an instance, from draining or from failed health checks.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Response, TaskFailure};
use super::event::TaskProtection;
use super::request_error::RequestError;
use super::requests::Answer;
use super::timers::Wakeup;
use crate::model::ids::TaskId;
use crate::model::task::{DesiredStatus, TaskStatus};
use crate::model::units::{Duration, Timestamp};

/// Tasks of one request. **Source:** ecs-semantics §2.6.
const TASKS_MAX: usize = 10;
/// The shortest and the longest protection. **Source:** ecs-semantics §2.6.
const EXPIRES_WITHIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(2880 * 60));

impl ControlPlane {
    /// Protects tasks or lets them go; asking again sets the time anew. **Source:** ecs-semantics §2.6.
    pub(super) fn update_task_protection(&mut self, tasks: &[TaskId], protection: TaskProtection) -> Answer {
        let refuse = |text: &str| Err(RequestError::InvalidParameter(text.into()));
        if tasks.is_empty() || tasks.len() > TASKS_MAX {
            return refuse("a request protects from 1 to 10 tasks");
        }
        let until = match protection {
            TaskProtection::Disabled => None,
            TaskProtection::Enabled { expires_in: Some(time) }
                if time < EXPIRES_WITHIN.0 || time > EXPIRES_WITHIN.1 =>
            {
                return refuse("expiresInMinutes must be from 1 to 2880");
            }
            TaskProtection::Enabled { expires_in } => {
                Some(self.now + expires_in.unwrap_or(self.settings.task_protection))
            }
        };
        let mut protected = Vec::new();
        let mut failures = Vec::new();
        for task in tasks {
            match self.protect_task(*task, until) {
                Ok(()) => protected.push((*task, until)),
                Err((reason, detail)) => failures.push(TaskFailure { task: *task, reason, detail }),
            }
        }
        Ok(Response::TaskProtection { protected, failures })
    }

    fn protect_task(&mut self, id: TaskId, until: Option<Timestamp>) -> Result<(), (&'static str, &'static str)> {
        let now = self.now;
        let record = self.state.tasks.get(&id).filter(|record| record.task.last_status != TaskStatus::Stopped);
        let task = &record.ok_or(("MISSING", "The task was not found."))?.task;
        let name = task.service.clone().ok_or(("TASK_NOT_VALID", "The task is not part of a service."))?;
        if task.desired_status == DesiredStatus::Stopped {
            return Err(("TASK_NOT_VALID", "The task is stopping."));
        }
        let service = self.state.services.get(&name).ok_or(("MISSING", "The service was not found."))?;
        if until.is_some() {
            let others = service.protected.iter().filter(|other| **other != id);
            let held = others.filter(|other| self.state.tasks[other].task.is_protected(now)).count();
            if super::state::count(held) >= service.spec.desired_count {
                return Err((
                    "DEPLOYMENT_BLOCKED",
                    "More tasks would be protected than the service is to have, which blocks deployments and scale-in.",
                ));
            }
        }
        let record = self.state.tasks.get_mut(&id).expect("it was found above");
        record.task.protected_until = until;
        let service = self.state.services.get_mut(&name).expect("it was found above");
        match until {
            Some(_) => service.protected.insert(id),
            None => service.protected.remove(&id),
        };
        self.protection_ended(&name);
        Ok(())
    }

    /// Lets go of tasks whose protection is over, and waits for the next: the service may stop what it could not.
    /// **Source:** ecs-semantics §2.6.
    pub(super) fn protection_ended(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(service) = self.state.services.get_mut(name) else { return };
        let until_of = |task: &TaskId| self.state.tasks.get(task).and_then(|record| record.task.protected_until);
        service.protected.retain(|task| until_of(task).is_some_and(|until| now < until));
        match service.protected.iter().filter_map(until_of).min() {
            Some(next) => self.timers.set(next, Wakeup::ProtectionEnds(name.clone())),
            None => self.timers.cancel(Wakeup::ProtectionEnds(name.clone())),
        }
        self.dirty.insert(name.clone());
    }
}
