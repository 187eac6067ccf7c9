//! Which of the modules that a name has stood for a task has.
//!
//! The tasks of one deployment all have the module that its first one had, also when the name stands for another by then: what was tried is what
//! is scaled out and put in place of what failed. Another deployment begins with the module as it is then. A container whose `versionConsistency`
//! is disabled has the module as it is when its task starts, and so have the tasks of a deployment whose first ones found none too often. **Source:** ecs-semantics §5.9. *Ours:* so has a task without a deployment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Image, ImageError};
use crate::control_plane::action::TaskStart;
use crate::model::ids::DeploymentId;
use crate::model::task_definition::{ContainerDefinition, VersionConsistency};
use crate::model::units::{Duration, Timestamp};

/// How often it is looked whether a module has changed, for tasks without a deployment.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How many deployments of a name are kept in mind; of those with smaller ids, a task that starts later has the module as it is then.
const DEPLOYMENTS_MAX: usize = 64;

/// Told when an image is there or cannot be had.
pub(super) type Waiter = Box<dyn FnOnce(Result<Arc<Image>, ImageError>) + Send>;

/// Who has the same module for a name from beginning to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data_plane) enum PinnedBy {
    /// The tasks of a deployment.
    Deployment(DeploymentId),
    /// A task by itself.
    Task,
    /// All tasks of a simulation, which has to go the same way whatever becomes of files.
    Simulation,
}

impl PinnedBy {
    /// Of a container of a task.
    pub(in crate::data_plane) fn of(start: &TaskStart, container: &ContainerDefinition) -> PinnedBy {
        match (container.version_consistency, start.version_consistency, start.deployment) {
            (VersionConsistency::Enabled, VersionConsistency::Enabled, Some(deployment)) => {
                PinnedBy::Deployment(deployment)
            }
            _ => PinnedBy::Task,
        }
    }
}

/// What a name stands for, and has stood for.
#[derive(Default)]
pub(super) struct Named {
    latest: Option<Arc<Image>>,
    /// When it was looked last whether `latest` has changed.
    looked_at: Timestamp,
    by_deployment: BTreeMap<DeploymentId, Arc<Image>>,
    /// Those who wait for it to be made; `None` while nobody makes it.
    waiting: Option<Vec<(PinnedBy, Waiter)>>,
}

impl Named {
    /// The image, if it is there already.
    pub(super) fn ready(&mut self, by: PinnedBy, now: Timestamp) -> Option<Arc<Image>> {
        match by {
            PinnedBy::Simulation => self.latest.clone(),
            PinnedBy::Task if now < self.looked_at + LOOK_PERIOD => self.latest.clone(),
            PinnedBy::Task => self.unchanged(now),
            PinnedBy::Deployment(deployment) => match self.by_deployment.get(&deployment) {
                Some(image) => Some(image.clone()),
                None => {
                    let image = self.unchanged(now)?;
                    self.pin(deployment, &image);
                    Some(image)
                }
            },
        }
    }

    /// The latest image, when what it was made of is as it was.
    fn unchanged(&mut self, now: Timestamp) -> Option<Arc<Image>> {
        self.latest = self.latest.take().filter(|image| image.stamp.is_current());
        self.looked_at = now;
        self.latest.clone()
    }

    fn pin(&mut self, deployment: DeploymentId, image: &Arc<Image>) {
        self.by_deployment.insert(deployment, image.clone());
        while self.by_deployment.len() > DEPLOYMENTS_MAX {
            self.by_deployment.pop_first();
        }
    }

    /// Has somebody wait for it; says whether nobody makes it yet.
    pub(super) fn wait(&mut self, by: PinnedBy, waiter: Waiter) -> bool {
        let is_first = self.waiting.is_none();
        self.waiting.get_or_insert_default().push((by, waiter));
        is_first
    }

    /// Whether somebody waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.is_some()
    }

    /// It is there, or cannot be had. Returns who is to be told.
    pub(super) fn made(&mut self, made: &Result<Arc<Image>, ImageError>, now: Timestamp) -> Vec<Waiter> {
        let waiting = self.waiting.take().unwrap_or_default();
        self.latest = made.as_ref().ok().cloned();
        self.looked_at = now;
        for (by, _) in &waiting {
            if let (PinnedBy::Deployment(deployment), Ok(image)) = (by, made) {
                self.pin(*deployment, image);
            }
        }
        waiting.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// Nobody who waits is told any more.
    pub(super) fn give_up(&mut self) {
        self.waiting = None;
    }
}
