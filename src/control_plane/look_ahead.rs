//! Looks at what is going to change, so that it is in a processor's cache by then.
//!
//! Of a large cluster hardly anything is in a cache, and the end of a task reads a hundred lines all over memory, most of which are only found
//! by way of others. One after the other they take longer than all that is worked out from them; those of several tasks together take hardly
//! longer than those of one. So whoever knows which tasks are next to end, as a simulation does, has them looked at together beforehand.
//!
//! Nothing is decided here and nothing changes. What is returned has no meaning: it is there so that the looks are not left out.

use std::hint::black_box;

use super::ControlPlane;
use super::event::{TaskStateChange, TaskStep};
use super::state::TaskRecord;
use super::timers::Wakeup;
use crate::model::ids::{ContainerInstanceId, TaskId};

/// Changes whose tasks are looked at together.
pub(super) const LOOKED_AT_TOGETHER: usize = 16;

impl ControlPlane {
    /// Looks at what the first of several changes are going to change.
    pub(super) fn look_ahead_at_changes(&self, changes: &[TaskStateChange]) {
        let next = &changes[..changes.len().min(LOOKED_AT_TOGETHER)];
        let ends = next.iter().filter(|change| matches!(change.step, TaskStep::Stopped { .. })).count();
        let looks = next.iter().map(|change| self.look_ahead_at(change.task));
        black_box(looks.fold(self.look_ahead_at_forgotten(ends), |seen, look| seen ^ look));
    }

    /// Looks at what the end of a task is going to change.
    pub fn look_ahead_at(&self, id: TaskId) -> u64 {
        let Some(record) = self.state.tasks.get(&id) else { return 0 };
        let host = record.task.container_instance.map_or(0, |instance| self.look_at_host(instance, id));
        let deadline = self.timers.deadline_of(&Wakeup::TaskHealthy(id));
        deadline.map_or(0, |at| at.0) ^ self.measures.look_ahead_at(id) ^ record.look_at() ^ host
    }

    /// Looks at as many of the stopped tasks that are the next to be forgotten: each that ends has one of them forgotten, and its record
    /// used again.
    pub fn look_ahead_at_forgotten(&self, count: usize) -> u64 {
        if self.state.stopped_tasks.len() + count <= self.settings.stopped_task_limit {
            return 0;
        }
        let next = self.state.stopped_tasks.iter().take(count).filter_map(|(_, task)| self.state.tasks.get(task));
        next.fold(0, |seen, record| seen ^ record.look_at())
    }

    fn look_at_host(&self, id: ContainerInstanceId, task: TaskId) -> u64 {
        let is_listed = self.state.tasks_by_instance.get(&id).is_some_and(|tasks| tasks.contains(task));
        let identity = self.last_identities.on_instances.get(&id).map_or(0, |identity| identity.cpu.0);
        let of_instance = self.state.container_instances.get(&id).map_or(0, |instance| {
            let counts = instance.running_tasks_count ^ instance.pending_tasks_count ^ instance.remaining.cpu.0;
            u64::from(counts) ^ instance.version ^ u64::from(instance.empty_since.is_some())
        });
        u64::from(is_listed) ^ u64::from(identity) ^ of_instance ^ self.placement.look_ahead_at(id)
    }
}

impl TaskRecord {
    /// Looks at each line of it.
    fn look_at(&self) -> u64 {
        let task = &self.task;
        let mut seen = task.created_at.0 ^ task.usage.memory_mib_millis ^ task.usage.fuel.0 ^ task.version;
        for moment in [task.started_at, task.stopped_at, task.protected_until, task.pull_started_at] {
            seen ^= u64::from(moment.is_some());
        }
        for container in &task.containers {
            seen ^= container.last_status as u64
                ^ u64::from(container.image_digest.is_some())
                ^ u64::from(container.exit.reason.is_some());
        }
        seen ^ u64::from(task.reservation.cpu.0) ^ u64::from(self.decision.is_some()) ^ self.metered as u64
    }
}
