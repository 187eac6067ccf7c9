//! What the data plane was handed for a task, and tasks that have had no turn.
//!
//! Most of what a task is made of is used by the worker that runs it and by nobody else. It is therefore made there, when it has its
//! first turn, so that the worker finds it in its cache and gives it back to its own part of the allocator; whoever asks for the task
//! before has it made at once. Only a task that is ready to run comes this way: its images are there, and its containers start and
//! end together.

use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Shared;
use super::image::{Image, PinnedBy};
use super::kit::Kit;
use super::pool::Pool;
use super::stdio::{CapturedLogs, KeptOutput};
use super::task::Task;
use crate::agent::TaskAgent;
use crate::control_plane::action::TaskStart;
use crate::model::task_definition::ContainerDefinition;
use crate::model::units::Timestamp;

/// The images of a task's containers, in their order.
pub(super) type TaskImages = Arc<[Arc<Image>]>;

/// The output of a task's containers, in their order.
pub(super) type TaskOutputs = SmallVec<[KeptOutput; 1]>;

/// What a task is made from, and holds on to.
pub(super) struct Payload {
    pub(super) start: Arc<TaskStart>,
    pub(super) limits: TaskLimits,
    /// The images, if they were all there at once.
    pub(super) images: Option<TaskImages>,
    /// When it was handed over.
    pub(super) at: Timestamp,
    standing: Mutex<Standing>,
}

/// Where a payload's task stands.
enum Standing {
    NotMade,
    Made(Arc<Task>),
    /// Over, with the output of its containers until somebody takes it.
    Over(TaskOutputs),
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
            |container: &ContainerDefinition| shared.images.ready(&container.image, PinnedBy::of(start, container), at);
        let images = match start.task_definition.containers.as_slice() {
            // Most have one, and what is collected is first put elsewhere.
            [only] => ready(only).map(|image| Arc::from([image])),
            several => several.iter().map(ready).collect(),
        };
        Arc::new(Payload { start: start.clone(), limits, images, at, standing: Mutex::new(Standing::NotMade) })
    }

    /// The task, which is made if it was not. `None`: it is over.
    pub(super) fn task(self: &Arc<Payload>, shared: &Shared, kit: &Arc<Kit>) -> Option<Arc<Task>> {
        let mut standing = self.standing.lock();
        match &*standing {
            Standing::Made(task) => Some(task.clone()),
            Standing::Over(_) => None,
            Standing::NotMade => {
                let task = Task::new(self, shared, kit);
                *standing = Standing::Made(task.clone());
                Some(task)
            }
        }
    }

    /// The task, if it was made and is not over.
    pub(super) fn made(&self) -> Option<Arc<Task>> {
        match &*self.standing.lock() {
            Standing::Made(task) => Some(task.clone()),
            Standing::NotMade | Standing::Over(_) => None,
        }
    }

    /// The task is over, and nobody finds it here any more, but for the output of its containers, which is in one place or the other for
    /// whoever looks.
    pub(super) fn end(&self, outputs: TaskOutputs) {
        let task = std::mem::replace(&mut *self.standing.lock(), Standing::Over(outputs));
        // It goes without the lock.
        drop(task);
    }

    /// The last output of a container.
    pub(super) fn captured(&self, container_index: usize) -> Option<CapturedLogs> {
        let standing = self.standing.lock();
        match &*standing {
            Standing::Made(task) => Some(task.containers.get(container_index)?.output.captured()),
            Standing::Over(outputs) => Some(outputs.get(container_index)?.captured()),
            Standing::NotMade => {
                self.start.task_definition.containers.get(container_index).map(|_| CapturedLogs::default())
            }
        }
    }

    /// The output of a task that is over.
    pub(super) fn take_outputs(&self) -> TaskOutputs {
        match &mut *self.standing.lock() {
            Standing::Over(outputs) => std::mem::take(outputs),
            Standing::NotMade | Standing::Made(_) => TaskOutputs::new(),
        }
    }

    /// Whether nothing has to come before its first turn.
    pub(super) fn is_ready(&self) -> bool {
        self.images.is_some() && !TaskAgent::is_needed_for(&self.start.task_definition)
    }
}
