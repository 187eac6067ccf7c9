//! Deferred cleanup: what becomes of the tasks of older deployments once a deployment has completed beside them.
//!
//! They go as the deployment's own tasks become healthy, within the service's bounds and with their protection, but they have two weeks
//! for it: then they are stopped whatever holds them.
//!
//! **Source:** ecs-semantics §5.7.

use std::sync::Arc;

use super::ControlPlane;
use super::state::{RolloutState, Service, ServiceStatus};
use crate::model::deployment::SourceCleanup;
use crate::model::ids::TaskId;
use crate::model::task::{DesiredStatus, StopCode};
use crate::model::units::{Duration, Timestamp};

/// How long deferred cleanup takes at most. **Source:** ecs-semantics §5.7.
const CLEAN_UP_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

impl Service {
    /// The primary deployment has completed: what older ones have left has its time from here on, where that is deferred.
    pub(super) fn defer_clean_up(&mut self, now: Timestamp) {
        let early = self.spec.deployment_configuration.early_success;
        let is_deferred = early.is_some_and(|early| early.source_cleanup == SourceCleanup::Deferred);
        let has_sources = is_deferred && self.older_placed_count() > 0;
        self.deployments[0].clean_up_until = has_sources.then(|| now + CLEAN_UP_MAX);
    }

    /// When the tasks of older deployments are stopped whatever holds them, while there are any.
    pub(super) fn clean_up_until(&self) -> Option<Timestamp> {
        if self.has_task_sets() {
            return None;
        }
        let is_completed = |primary: &&super::state::Deployment| primary.rollout_state == RolloutState::Completed;
        let primary = self.deployments.first().filter(is_completed)?;
        let is_kept = self.status == ServiceStatus::Active && self.older_placed_count() > 0;
        primary.clean_up_until.filter(|_| is_kept)
    }
}

impl ControlPlane {
    /// Stops the tasks of older deployments whose time is over, protected ones and those that the bounds keep among them.
    pub(super) fn clean_up_sources(&mut self, name: &Arc<str>) {
        let service = &self.state.services[name];
        if service.clean_up_until().is_none_or(|until| self.now < until) {
            return;
        }
        for index in 1..service.deployments.len() {
            let deployment = &self.state.services[name].deployments[index];
            let reason: Arc<str> = format!("Scaling activity initiated by (deployment {})", deployment.shown_id).into();
            let left: Vec<TaskId> = deployment.placed().collect();
            for task in &left {
                debug_assert_eq!(self.state.tasks[task].task.desired_status, DesiredStatus::Running);
                self.stop_task(*task, StopCode::ServiceSchedulerInitiated, &reason);
            }
            if !left.is_empty() {
                self.disturb(name);
                self.tasks_stopped(name, &left);
            }
        }
    }
}
