//! Why a task is where it is, or nowhere: answers to questions about placement, that change nothing.
//!
//! Everything is as of the moment of the question, asked of the code that places tasks. Of the past there is what a task's record
//! keeps: when its instance was chosen and the numbers that decided for it ([`PlacementDecision`](super::state::PlacementDecision)).
//! *Ours:* nothing more is kept, since what other instances were like then costs as much memory as there are tasks times instances.
//! For a task that is placed, where it would go today is worked out as if it were not there, and says so.
//!
//! **Source:** ecs-semantics §4.1, §4.2, §4.5, §5.1. ECS itself answers none of these questions.

mod capacity;
mod forecast;
mod placement_now;
mod service;
mod task;

use std::sync::Arc;

pub use capacity::{CapacityOutlook, CapacityWait, ComingInstance, FreshInstance};
pub use forecast::{CalendarHour, Floor, ForecastExplanation, ForecastRun};
pub use placement_now::{Choice, PlacementNow};
pub use service::{ServiceExplanation, ServiceReason};
pub use task::{TaskExplanation, TaskWait};

use super::ControlPlane;
use super::request_error::RequestError;
use super::state::ServiceStatus;
use crate::model::cluster::RunTaskSpec;
use crate::model::ids::TaskId;

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What waits, and for what.
    Waiting,
    /// Why a task is where it is.
    Task(TaskId),
    /// Why a service has not the tasks that it wants, and where its next one would go.
    Service(Arc<str>),
    /// Where the first task of such a call would go.
    RunTask(Box<RunTaskSpec>),
}

/// The answer to a [`Question`].
#[derive(Clone, Debug)]
pub enum Explanation {
    /// To [`Question::Waiting`].
    Waiting(Box<WaitingExplanation>),
    /// To [`Question::Task`].
    Task(Box<TaskExplanation>),
    /// To [`Question::Service`].
    Service(Box<ServiceExplanation>),
    /// To [`Question::RunTask`].
    RunTask(Box<PlacementNow>),
}

/// What waits in a cluster.
#[derive(Clone, Debug, Default)]
pub struct WaitingExplanation {
    /// Services that have not what they want, or have something to say of it.
    pub services: Vec<ServiceExplanation>,
    /// Standalone tasks that wait for capacity: one for each kind, see [`TaskExplanation::alike`].
    pub tasks: Vec<TaskExplanation>,
    /// Calls of RunTask that found no room and will be made again, with the number of tasks still wanted. Whoever makes them knows
    /// them, the control plane does not: they are the driver's to add.
    pub run_tasks: Vec<(u32, PlacementNow)>,
}

impl WaitingExplanation {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.tasks.is_empty() && self.run_tasks.is_empty()
    }
}

impl ControlPlane {
    /// Answers a question about placement. Looks at every instance: meant for people, not for every event.
    ///
    /// # Errors
    /// As the request that it is about would be refused: an unknown task, service or task definition, a size that Fargate needs.
    pub fn explain(&self, question: &Question) -> Result<Explanation, RequestError> {
        match question {
            Question::Waiting => Ok(Explanation::Waiting(Box::new(self.explain_waiting()))),
            Question::Task(task) => self.explain_task(*task).map(|found| Explanation::Task(Box::new(found))),
            Question::Service(name) => self.explain_service(name).map(|found| Explanation::Service(Box::new(found))),
            Question::RunTask(spec) => self.explain_run_task(spec).map(|found| Explanation::RunTask(Box::new(found))),
        }
    }

    fn explain_waiting(&self) -> WaitingExplanation {
        let active = self.state.services.values().filter(|service| service.status == ServiceStatus::Active);
        let explained =
            active.filter(|service| !service.has_what_it_wants()).map(|service| self.explain_known_service(service));
        let standalone = self.queues.values().flat_map(|queue| queue.standalone());
        WaitingExplanation {
            services: explained.filter(|service| !service.reasons.is_empty()).collect(),
            tasks: standalone.map(|task| self.explain_known_task(&self.state.tasks[&task])).collect(),
            run_tasks: Vec::new(),
        }
    }
}
