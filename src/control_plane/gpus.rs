//! GPUs by id: which of its instance's each container of a task has to itself.
//!
//! What is in use is what the tasks on the instance have, so that nothing has to be given back: those of a task that is over are free, and
//! it is still known which they were.
//!
//! **Source:** ecs-semantics §4.1, §11.6.

use std::collections::BTreeSet;

use serde_json::json;

use super::ControlPlane;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::GPU_IDS;

impl ControlPlane {
    /// Gives the containers of a task that has come to an instance the GPUs that they are to have, the first that are free.
    ///
    /// # Panics
    /// When the instance has fewer than were reserved on it.
    pub(super) fn give_gpus(&mut self, id: TaskId, instance: ContainerInstanceId) {
        let on_instance = self.state.tasks_by_instance.get(&instance).into_iter().flatten();
        let containers = on_instance.flat_map(|task| &self.state.tasks[task].task.containers);
        let in_use: BTreeSet<&str> = containers.flat_map(|container| container.gpu_ids()).collect();
        let all = self.state.container_instances[&instance].gpu_ids(self.ids);
        let mut free = all.into_iter().filter(|gpu| !in_use.contains(&**gpu)).collect::<Vec<_>>().into_iter();
        let task = &mut self.state.tasks.get_mut(&id).expect("the caller has the task").task;
        for (defined, container) in task.task_definition.containers.iter().zip(&mut task.containers) {
            let wanted = usize::try_from(defined.gpus).unwrap_or(usize::MAX);
            if wanted > 0 {
                let given: Vec<String> = free.by_ref().take(wanted).collect();
                assert_eq!(given.len(), wanted, "instance {instance} has the GPUs that were reserved on it");
                container.document = container.document.with(GPU_IDS, json!(given));
            }
        }
    }
}
