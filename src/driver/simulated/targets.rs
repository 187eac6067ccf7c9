//! Tasks in the target groups of load balancers: their checks, and their leave.

use super::plane::{Happening, SimulatedPlane};
use super::task::{ContainerWork, Doing, SimulatedTask};
use crate::agent::{JobTaking, TargetMonitors};
use crate::control_plane::event::Event;
use crate::model::ids::TaskId;
use crate::model::routing::Routed;
use crate::model::units::Timestamp;

/// A task in its target groups.
#[derive(Debug)]
pub(super) enum SimulatedTargets {
    /// It is checked.
    Registered(TargetMonitors),
    /// It gets no more jobs.
    Draining,
}

impl SimulatedTask {
    /// What a container does about jobs. A modelled one that has none answers for as long as it runs.
    fn job_taking(&self, container_index: usize) -> JobTaking {
        let Some(container) = self.containers.get(container_index) else { return JobTaking::default() };
        let is_waiting = match container.work {
            ContainerWork::Modelled(_) => {
                container.job.is_none() && !matches!(container.doing, Doing::Nothing | Doing::Starting)
            }
            ContainerWork::Executed(_) | ContainerWork::Check(..) => container.doing == Doing::WaitingForJob,
        };
        JobTaking { asked: u64::from(container.asked), is_waiting }
    }

    /// Whether it works on a job.
    fn holds_job(&self) -> bool {
        self.containers.iter().any(|container| container.job.is_some())
    }
}

impl SimulatedPlane {
    /// A task runs: its targets are checked from here on.
    pub(super) fn watch_targets(&mut self, now: Timestamp, task: TaskId) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get(*slot as usize)) else { return };
        if state.start.targets.is_empty() {
            return;
        }
        let monitors = TargetMonitors::registered(now, &state.start.targets);
        self.targets.insert(task, SimulatedTargets::Registered(monitors));
        self.queue.add(now, Happening::Targets(task));
    }

    /// Makes the checks of a task that are due.
    pub(super) fn check_targets(&mut self, now: Timestamp, task: TaskId) {
        let Some(SimulatedTargets::Registered(monitors)) = self.targets.get_mut(&task) else { return };
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get(*slot as usize)) else { return };
        let changes = monitors.due(now, |index| state.job_taking(index));
        let routed = monitors.routed();
        self.queue.add(monitors.deadline(), Happening::Targets(task));
        if !changes.is_empty() {
            self.route(task, routed);
        }
        self.outbox.extend(changes.into_iter().map(|change| change.event(task)));
    }

    /// How a task stands with its load balancers from here on.
    pub(super) fn route(&mut self, task: TaskId, routed: Routed) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get(*slot as usize)) else { return };
        let Some((service, _)) = state.takes_jobs else { return };
        if self.services[service].route(task, state.start.deployment, routed) {
            self.services_to_serve.push(service);
        }
    }

    /// A task gets no more jobs, and says so when it has none.
    pub(super) fn deregister_targets(&mut self, task: TaskId) {
        let Some(targets) = self.targets.get_mut(&task) else { return };
        *targets = SimulatedTargets::Draining;
        self.route(task, Routed::Draining);
        self.say_if_drained(task);
    }

    /// A task may have ended its last job.
    pub(super) fn say_if_drained(&mut self, task: TaskId) {
        if self.targets.is_empty() || !matches!(self.targets.get(&task), Some(SimulatedTargets::Draining)) {
            return;
        }
        let state = self.slots.get(&task).and_then(|slot| self.tasks.get(*slot as usize));
        if state.is_some_and(|state| !state.holds_job()) {
            self.targets.remove(&task);
            self.outbox.push(Event::TargetsDrained { task });
        }
    }

    /// A task is over.
    pub(super) fn forget_targets(&mut self, task: TaskId, takes_jobs: Option<usize>) {
        if !self.targets.is_empty() {
            self.targets.remove(&task);
        }
        if let Some(service) = takes_jobs
            && self.services[service].forget(task)
        {
            self.services_to_serve.push(service);
        }
    }
}
