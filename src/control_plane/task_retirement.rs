//! Retirement of tasks on Fargate, because what they run on is being maintained.
//!
//! The word comes first, the end when the wait period is over. Then a task of a service gives way to another as the bounds let it, and goes
//! first where they leave no room; a standalone task is stopped, and nobody starts another. Protection from scale-in is no protection
//! from this. **Source:** ecs-semantics §2.4, §8.5.

use super::ControlPlane;
use super::state::ReplaceCause;
use super::timers::Wakeup;
use crate::model::ids::TaskId;
use crate::model::task::{DesiredStatus, StopCode};
use crate::model::task_definition::LaunchType;

/// The reason of a task that has retired. **Source:** ecs-semantics §2.4.
pub(super) const RETIRED: &str = "ECS is performing maintenance on the underlying infrastructure hosting the task";

impl ControlPlane {
    /// A task that is told twice retires when it was told first. **Source:** ecs-semantics §8.5.
    pub(super) fn task_retirement(&mut self, id: TaskId) {
        let wakeup = Wakeup::TaskRetires(id);
        let retires = self.state.tasks.get(&id).is_some_and(|record| {
            record.task.launch_type == LaunchType::Fargate && record.task.desired_status == DesiredStatus::Running
        });
        if retires && self.timers.deadline_of(&wakeup).is_none() {
            self.timers.set(self.now + self.settings.fargate_task_retirement_wait_period, wakeup);
        } else {
            self.state.ignored_events += 1;
        }
    }

    /// The wait period of a task is over. **Source:** ecs-semantics §8.5.
    pub(super) fn retire_task(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id) else { return };
        if record.task.service.is_some() {
            self.give_way(id, ReplaceCause::Retirement);
        } else {
            self.stop_task(id, StopCode::InfrastructureHealth, &RETIRED.into());
        }
    }
}
