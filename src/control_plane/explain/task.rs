//! A task: what decided on its instance, what it waits for, and where it would go today.

use std::sync::Arc;

use super::capacity::CapacityWait;
use super::placement_now::PlacementNow;
use crate::control_plane::ControlPlane;
use crate::control_plane::placement::{PlacementRequest, RankNames, rank_names};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::{PlacementDecision, TaskHealth, TaskRecord};
use crate::control_plane::timers::Wakeup;
use crate::model::ids::TaskId;
use crate::model::target_group::TargetState;
use crate::model::task::{DesiredStatus, Task, TaskStatus};
use crate::model::task_definition::LaunchType;
use crate::model::units::Timestamp;

/// A task and why it is where it is.
#[derive(Clone, Debug)]
pub struct TaskExplanation {
    /// The task.
    pub task: Task,
    /// When and by what its instance was chosen, as recorded then; `None` on Fargate and for one that waits.
    pub decision: Option<PlacementDecision>,
    /// What the numbers of a decision by strategies count.
    pub names: RankNames,
    /// What it waits for; `None` when it runs and counts as healthy, or is over.
    pub waits_for: Option<TaskWait>,
    /// How many others wait for the same.
    pub alike: usize,
    /// Where it would go at this moment if it were not there; `None` once it is to stop, and for tasks that are listed with their
    /// service: there the service's next task says it.
    pub now: Option<PlacementNow>,
}

/// What keeps a task from running and counting.
#[derive(Clone, Debug)]
pub enum TaskWait {
    /// Room on an instance of its capacity provider. **Source:** ecs-semantics §2.1, §4.5.
    Capacity(Box<CapacityWait>),
    /// Its host, to have its images and to start its containers. **Source:** ecs-semantics §2.1.
    Start {
        /// Since when.
        since: Timestamp,
    },
    /// To count as healthy. **Source:** ecs-semantics §5.2.
    Health {
        /// When it will if it goes on; `None` where its health checks decide.
        at: Option<Timestamp>,
        /// Its targets that are not healthy, by the names of their target groups.
        targets: Vec<(Arc<str>, TargetState)>,
    },
    /// To leave its target groups, before it stops. **Source:** ecs-semantics §2.1.
    Deregistration {
        /// When it has waited for its last jobs long enough.
        until: Option<Timestamp>,
    },
    /// Its end. **Source:** ecs-semantics §2.1.
    Stop {
        /// Since when.
        since: Timestamp,
    },
}

impl ControlPlane {
    pub(super) fn explain_task(&self, task: TaskId) -> Result<TaskExplanation, RequestError> {
        let found = self.state.tasks.get(&task);
        let record =
            found.ok_or_else(|| RequestError::InvalidParameter("The referenced task was not found.".into()))?;
        Ok(self.explain_known_task(record))
    }

    /// A task with where it would go.
    pub(super) fn explain_known_task(&self, record: &TaskRecord) -> TaskExplanation {
        let is_to_run = record.task.desired_status == DesiredStatus::Running;
        let now = is_to_run.then(|| self.placement_without(&record.task, &record.placement_request()));
        TaskExplanation { now, ..self.explain_wait(record) }
    }

    /// A task without where it would go, which costs a look at every instance.
    pub(super) fn explain_wait(&self, record: &TaskRecord) -> TaskExplanation {
        let task = &record.task;
        let request = record.placement_request();
        let is_waiting = task.last_status == TaskStatus::Provisioning;
        let queue = task.capacity_provider.as_ref().and_then(|name| self.queues.get(name));
        TaskExplanation {
            decision: record.decision.clone(),
            names: rank_names(request.strategies, request.kind),
            waits_for: self.wait_of(record, &request),
            alike: queue.filter(|_| is_waiting).map_or(0, |queue| queue.count_alike(record) - 1),
            now: None,
            task: task.clone(),
        }
    }

    /// Where a task would go if it were not there.
    fn placement_without(&self, task: &Task, request: &PlacementRequest<'_>) -> PlacementNow {
        let choice = match (task.launch_type, task.container_instance.filter(|_| task.holds_resources())) {
            (LaunchType::Fargate, _) => self.choice_on_fargate(task.capacity_provider.as_ref()),
            (LaunchType::Ec2, None) => self.choice_of(&self.placement, request),
            (LaunchType::Ec2, Some(instance)) => {
                let mut without = self.placement.clone();
                without.release(instance, &task.group, &task.reservation);
                self.choice_of(&without, request)
            }
        };
        PlacementNow {
            task_definition: task.task_definition.clone(),
            group: task.group.clone(),
            launch_type: task.launch_type,
            capacity_provider: task.capacity_provider.clone(),
            reservation: Arc::clone(&task.reservation),
            choice,
        }
    }

    fn wait_of(&self, record: &TaskRecord, request: &PlacementRequest<'_>) -> Option<TaskWait> {
        let task = &record.task;
        match (task.desired_status, task.last_status) {
            (_, TaskStatus::Stopped) => None,
            (DesiredStatus::Stopped, TaskStatus::Deactivating) => {
                let until = self.timers.deadline_of(&Wakeup::TargetsDrained(task.id));
                Some(TaskWait::Deregistration { until })
            }
            (DesiredStatus::Stopped, _) => Some(TaskWait::Stop { since: task.stopping_at.unwrap_or(self.now) }),
            (DesiredStatus::Running, TaskStatus::Provisioning) => {
                let name = task.capacity_provider.as_ref().expect("only a provider's task waits");
                Some(TaskWait::Capacity(Box::new(self.capacity_wait(name, Some(task.id), request))))
            }
            (DesiredStatus::Running, TaskStatus::Running) => {
                let unproven = task.service.is_some() && record.health == TaskHealth::Unproven;
                let targets = || self.state.targets.get(&task.id).into_iter().flat_map(|found| &found.targets);
                unproven.then(|| TaskWait::Health {
                    at: self.timers.deadline_of(&Wakeup::TaskHealthy(task.id)),
                    targets: targets()
                        .filter(|target| target.state != TargetState::Healthy)
                        .map(|target| (target.group.name.clone(), target.state))
                        .collect(),
                })
            }
            (DesiredStatus::Running, _) => {
                Some(TaskWait::Start { since: task.connectivity_at.unwrap_or(task.created_at) })
            }
        }
    }
}
