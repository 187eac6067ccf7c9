//! Image digests: the first task of a deployment resolves them, and what becomes of the deployment when that fails.
//!
//! What an image's name stands for is the data plane's to find. A task that finds none ends before it starts: that is a failed attempt,
//! as long as no task of the deployment has had its images. After three of them the deployment goes on unpinned, each of its tasks with
//! the images as they are when it starts; with a circuit breaker it fails instead.
//!
//! **Source:** ecs-semantics §5.9.

use std::sync::Arc;

use super::ControlPlane;
use super::state::{ClusterState, Deployment};
use crate::model::ids::TaskId;
use crate::model::task::{CANNOT_PULL_CONTAINER, Task};
use crate::model::task_definition::VersionConsistency;

/// Failed attempts after which a deployment is not pinned. **Source:** ecs-semantics §5.9.
const ATTEMPTS_MAX: u32 = 3;

impl Deployment {
    /// Whether its tasks have the images as they are when they start.
    pub(super) fn is_unpinned(&self) -> bool {
        self.failed_resolutions >= ATTEMPTS_MAX
    }
}

impl ClusterState {
    /// Whether a task has the images that the first one of its deployment had.
    pub(super) fn version_consistency_of(&self, task: &Task) -> VersionConsistency {
        match self.deployment_of(task) {
            Some(deployment) if deployment.is_unpinned() => VersionConsistency::Disabled,
            _ => VersionConsistency::Enabled,
        }
    }
}

impl ControlPlane {
    /// A task of a service has failed to start: for want of an image whose digest is not known yet, that was an attempt to resolve it.
    pub(super) fn note_failed_resolution(&mut self, name: &Arc<str>, id: TaskId) {
        let task = &self.state.tasks[&id].task;
        let wants_image =
            task.stopped_reason.as_deref().is_some_and(|reason| reason.starts_with(CANNOT_PULL_CONTAINER));
        let containers = &task.task_definition.containers;
        let is_pinned = |index: usize| containers[index].version_consistency == VersionConsistency::Enabled;
        let pinned: Vec<usize> = (0..containers.len()).filter(|index| is_pinned(*index)).collect();
        let (deployment, created_at) = (task.deployment, task.created_at);
        let Some(service) = self.state.services.get_mut(name).filter(|_| wants_image) else { return };
        let Some(found) = service.deployments.iter_mut().find(|found| Some(found.id) == deployment) else { return };
        let known = service.image_digests.get(&found.revision.id);
        let is_known = |index: &usize| known.and_then(|known| known.get(*index)).is_some_and(Option::is_some);
        // Those that were under way at the same time are one attempt.
        let is_another = found.resolution_failed_at.is_none_or(|at| created_at >= at);
        if is_another && !pinned.iter().all(is_known) {
            found.failed_resolutions = found.failed_resolutions.saturating_add(1);
            found.resolution_failed_at = Some(self.now);
        }
    }
}
