//! Tasks that their pool was told of and that have not had a turn.
//!
//! Most of what a task is made of is used by the worker that runs it and by nobody else. It is therefore made there, when it has its
//! first turn, so that the worker finds it in its cache and gives it back to its own part of the allocator; whoever asks for the task
//! before has it made at once. Only a task that is ready to run comes this way: its images are there, and its containers start and
//! end together.

use std::sync::Arc;

use super::Shared;
use super::image::{Image, PinnedBy};
use super::task::{Task, TaskLimits};
use crate::agent::TaskAgent;
use crate::control_plane::action::TaskStart;
use crate::model::units::Timestamp;

/// What a task will be made from.
pub(super) struct Newcomer {
    pub(super) start: Arc<TaskStart>,
    pub(super) limits: TaskLimits,
    pub(super) images: Vec<Arc<Image>>,
    pub(super) at: Timestamp,
}

impl Newcomer {
    /// `Err` gives the limits back when the task is not ready to run.
    pub(super) fn of(
        start: &Arc<TaskStart>,
        limits: TaskLimits,
        shared: &Shared,
        at: Timestamp,
    ) -> Result<Arc<Newcomer>, TaskLimits> {
        let definition = &start.task_definition;
        if TaskAgent::is_needed_for(definition) {
            return Err(limits);
        }
        let by = PinnedBy::of(start.deployment);
        let images = definition.containers.iter().map(|container| shared.images.ready(&container.image, by));
        match images.collect::<Option<Vec<_>>>() {
            Some(images) => Ok(Arc::new(Newcomer { start: start.clone(), limits, images, at })),
            None => Err(limits),
        }
    }
}

/// A task as the data plane knows it.
pub(super) enum Known {
    /// It has not had a turn.
    Newcomer(Arc<Newcomer>),
    /// It was made.
    Task(Arc<Task>),
}

impl Known {
    pub(super) fn start(&self) -> &TaskStart {
        match self {
            Known::Newcomer(newcomer) => &newcomer.start,
            Known::Task(task) => &task.start,
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
    pub(super) fn make(&mut self, shared: &Arc<Shared>) -> Arc<Task> {
        match self {
            Known::Task(task) => task.clone(),
            Known::Newcomer(newcomer) => {
                let task = Task::of_newcomer(newcomer, shared);
                *self = Known::Task(task.clone());
                task
            }
        }
    }
}
