//! What a task's containers need before the first of them starts: variables from files, volumes, and what each sees of them.

use std::path::Path;

use super::scratch::Scratch;
use super::variables::{self, Variables};
use super::volumes::{Mount, TaskVolumes};
use crate::control_plane::action::TaskStart;

/// What was made ready. What a failure leaves half made is here as well, so that it can be removed.
#[derive(Debug, Default)]
pub(super) struct Preparation {
    pub(super) volumes: TaskVolumes,
    /// What each container sees of the volumes; empty when there are none.
    pub(super) mounts: Vec<Vec<Mount>>,
    /// The variables of containers that have some in files; empty when none has.
    pub(super) variables: Vec<Option<Variables>>,
}

impl Preparation {
    /// Reads variables from their files, and makes the volumes. `name` is that of the task's own folder in `scratch`; nothing of
    /// `forbidden` may be written through a volume.
    ///
    /// # Errors
    /// The reason why the task cannot start.
    pub(super) fn make(
        &mut self,
        start: &TaskStart,
        scratch: &Scratch,
        name: &str,
        forbidden: Option<&Path>,
    ) -> Result<(), String> {
        if variables::are_needed(start) {
            self.variables = variables::read(start)?;
        }
        let definition = &start.task_definition;
        if definition.volumes.is_empty() {
            return Ok(());
        }
        self.volumes = TaskVolumes::prepare(definition, &scratch.of_task(name)?)?;
        let mounts = definition.containers.iter().map(|container| self.volumes.mounts(container, forbidden));
        self.mounts = mounts.collect::<Result<_, _>>()?;
        Ok(())
    }
}
