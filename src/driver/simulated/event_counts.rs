//! How much a control plane has been told: what the speed of a simulation is counted in.
//!
//! A call of `ControlPlane::apply` may bring many facts at once, as a sample of usage does for each task that runs. Here a call is
//! counted as one, and what it brings by its own number.

use crate::control_plane::event::Event;

/// Events by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Calls of `ControlPlane::apply`.
    pub calls: u64,
    /// Steps of tasks: started, a container changed, over.
    pub task_state_changes: u64,
    /// What single tasks had used, however many came with one call.
    pub usage_samples: u64,
    /// Deadlines of the control plane's own, those of one moment being one.
    pub deadlines: u64,
    /// Everything else: requests, instances, jobs that were done.
    pub others: u64,
}

impl EventCounts {
    pub(super) fn add(&mut self, event: &Event) {
        let many = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.calls += 1;
        match event {
            Event::TaskStateChange(_) => self.task_state_changes += 1,
            Event::TaskStateChanges(changes) => self.task_state_changes += many(changes.len()),
            Event::Usage { samples } => self.usage_samples += many(samples.len()),
            Event::DeadlineReached => self.deadlines += 1,
            _ => self.others += 1,
        }
    }

    /// All facts that were taken in, each of which is an event of the cluster's.
    pub fn all(&self) -> u64 {
        self.task_state_changes + self.usage_samples + self.deadlines + self.others
    }

    /// What has come since an earlier count.
    pub fn since(&self, earlier: &EventCounts) -> EventCounts {
        EventCounts {
            calls: self.calls - earlier.calls,
            task_state_changes: self.task_state_changes - earlier.task_state_changes,
            usage_samples: self.usage_samples - earlier.usage_samples,
            deadlines: self.deadlines - earlier.deadlines,
            others: self.others - earlier.others,
        }
    }
}
