//! A task in the target groups of a load balancer: its checks, and its leave.

use std::sync::Arc;

use super::super::Shared;
use super::super::jobs::Drained;
use super::{Phase, Task};
use crate::agent::TargetMonitors;
use crate::control_plane::event::Event;

impl Task {
    /// It runs: its targets are checked from here on.
    pub(super) fn watch_targets(self: &Arc<Task>, shared: &Shared) {
        if self.start().targets.is_empty() {
            return;
        }
        let (task, clock) = (Arc::downgrade(self), shared.clock.clone());
        let mut monitors = TargetMonitors::registered(clock.now(), &self.start().targets);
        shared.runtime.spawn(async move {
            loop {
                tokio::time::sleep(monitors.deadline().since(clock.now())).await;
                let Some(task) = task.upgrade() else { return };
                if !task.check_targets(&mut monitors) {
                    return;
                }
            }
        });
    }

    /// Makes the checks that are due. Says whether more are to come.
    fn check_targets(&self, monitors: &mut TargetMonitors) -> bool {
        let Some(shared) = self.kit.shared.upgrade() else { return false };
        // Under the lock: once it is deregistered nothing is said of it, and it is routed to no more.
        let state = self.state.lock();
        if state.is_deregistered || matches!(state.phase, Phase::Over) {
            return false;
        }
        let changes = monitors.due(shared.clock.now(), |index| {
            self.containers.get(index).map(|container| container.input.job_taking()).unwrap_or_default()
        });
        if changes.is_empty() {
            return true;
        }
        let routed = monitors.routed();
        self.containers_proper().iter().for_each(|container| container.input.route(routed));
        let task = self.start().task;
        shared.outbox.add_all(changes.into_iter().map(|change| change.event(task)));
        drop(state);
        shared.outbox.flush();
        true
    }

    /// It gets no more jobs, and says so when it has none.
    pub(in super::super) fn deregister(&self, shared: &Shared) {
        let mut state = self.state.lock();
        if state.is_deregistered || matches!(state.phase, Phase::Over) {
            return;
        }
        state.is_deregistered = true;
        let (task, outbox) = (self.start().task, shared.outbox.clone());
        let mut drained = Some(Drained(Box::new(move || {
            outbox.add(Event::TargetsDrained { task });
            outbox.flush();
        })));
        for container in self.containers_proper() {
            // One of them takes jobs; whoever holds one keeps what is to be done.
            if let Some(then) = drained.take() {
                drained = container.input.drain(then);
            }
        }
        drop(state);
        if let Some(Drained(then)) = drained {
            then();
        }
    }

    /// Those behind them are their checks.
    fn containers_proper(&self) -> &[Arc<super::Container>] {
        &self.containers[..self.start().task_definition.containers.len()]
    }
}
