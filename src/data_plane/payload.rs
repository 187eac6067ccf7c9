//! What the data plane was handed for a task, and tasks that have had no turn.
//!
//! Most of what a task is made of is used by the worker that runs it and by nobody else. It is therefore made there, when it has its
//! first turn, so that the worker finds it in its cache and gives it back to its own part of the allocator; whoever asks for the task
//! before has it made at once. Only a task that is ready to run comes this way: its images are there, and its containers start and
//! end together.

use std::sync::Arc;

use super::Shared;
use super::image::{Image, PinnedBy};
use super::kit::Kit;
use super::pool::Pool;
use super::task::Task;
use crate::agent::TaskAgent;
use crate::control_plane::action::TaskStart;
use crate::model::task_definition::ContainerDefinition;
use crate::model::units::Timestamp;

/// The images of a task's containers, in their order.
pub(super) type TaskImages = Arc<[Arc<Image>]>;

/// What a task is made from, and holds on to.
pub(super) struct Payload {
    pub(super) start: Arc<TaskStart>,
    pub(super) limits: TaskLimits,
    /// The images, if they were all there at once.
    pub(super) images: Option<TaskImages>,
    /// When it was handed over.
    pub(super) at: Timestamp,
}

/// What the place that a task runs in gives it.
pub(super) struct TaskLimits {
    pub(super) pool: Arc<Pool>,
    /// The part of its pool that it gets against others.
    pub(super) weight: u64,
    /// CPU work a period at most, in nanoseconds.
    pub(super) quota: Option<u64>,
    pub(super) memory_bytes: u64,
    /// What its own volumes hold at most.
    pub(super) storage_bytes: u64,
}

impl Payload {
    pub(super) fn new(start: &Arc<TaskStart>, limits: TaskLimits, shared: &Shared, at: Timestamp) -> Arc<Payload> {
        let ready =
            |container: &ContainerDefinition| shared.images.ready(&container.image, PinnedBy::of(start, container));
        let images = match start.task_definition.containers.as_slice() {
            // Most have one, and what is collected is first put elsewhere.
            [only] => ready(only).map(|image| Arc::from([image])),
            several => several.iter().map(ready).collect(),
        };
        Arc::new(Payload { start: start.clone(), limits, images, at })
    }

    /// Whether nothing has to come before its first turn.
    pub(super) fn is_ready(&self) -> bool {
        self.images.is_some() && !TaskAgent::is_needed_for(&self.start.task_definition)
    }
}

/// A task as the data plane knows it.
pub(super) enum Known {
    /// It is ready to run and has not had a turn.
    Newcomer(Arc<Payload>),
    /// It was made.
    Task(Arc<Task>),
}

impl Known {
    pub(super) fn start(&self) -> &TaskStart {
        match self {
            Known::Newcomer(payload) => &payload.start,
            Known::Task(task) => task.start(),
        }
    }

    /// The task, if it was made.
    pub(super) fn made(&self) -> Option<&Arc<Task>> {
        match self {
            Known::Newcomer(_) => None,
            Known::Task(task) => Some(task),
        }
    }

    /// The task, which is made if it was not.
    pub(super) fn make(&mut self, shared: &Shared, kit: &Arc<Kit>) -> Arc<Task> {
        match self {
            Known::Task(task) => task.clone(),
            Known::Newcomer(payload) => {
                let task = Task::new(payload, shared, kit);
                *self = Known::Task(task.clone());
                task
            }
        }
    }
}
