//! The folders that a task's containers share.
//!
//! A volume is a folder of the host, or a fresh one that lives as long as the task. A guest reaches nothing outside the
//! folders that its mount points name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::task_definition::{ContainerDefinition, TaskDefinition, VolumeAccess};

/// A folder as one guest sees it.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) host: PathBuf,
    pub(super) guest: String,
    pub(super) access: VolumeAccess,
}

/// The folders of one task.
#[derive(Debug, Default)]
pub(super) struct TaskVolumes {
    by_name: BTreeMap<String, PathBuf>,
    /// The task's own folder, if one was made: removed when the task is over.
    scratch: Option<PathBuf>,
}

impl TaskVolumes {
    /// Finds or makes the volumes. `scratch` is the folder to make the task's own ones in.
    pub(super) fn prepare(definition: &TaskDefinition, scratch: &Path) -> Result<TaskVolumes, String> {
        let mut volumes = TaskVolumes::default();
        for (index, volume) in definition.volumes.iter().enumerate() {
            let folder = match &volume.host_source_path {
                Some(path) => host_folder(Path::new(path))
                    .map_err(|reason| format!("CannotCreateVolumeError: volume {}: {path}: {reason}", volume.name))?,
                None => {
                    let folder = scratch.join(index.to_string());
                    volumes.scratch = Some(scratch.to_path_buf());
                    std::fs::create_dir_all(&folder)
                        .map_err(|error| format!("CannotCreateVolumeError: volume {}: {error}", volume.name))?;
                    folder
                }
            };
            volumes.by_name.insert(volume.name.clone(), folder);
        }
        Ok(volumes)
    }

    /// What one container sees of them. Nothing of `forbidden` may be written through a volume.
    pub(super) fn mounts(
        &self,
        container: &ContainerDefinition,
        forbidden: Option<&Path>,
    ) -> Result<Vec<Mount>, String> {
        let mut mounts = Vec::with_capacity(container.mount_points.len());
        for point in &container.mount_points {
            let Some(host) = self.by_name.get(&point.source_volume) else {
                let volume = &point.source_volume;
                return Err(format!("CannotCreateContainerError: container {}: no volume {volume}", container.name));
            };
            // Machine code is loaded from the cache without a second look: no guest may write there.
            if point.access == VolumeAccess::ReadWrite
                && forbidden.is_some_and(|cache| host.starts_with(cache) || cache.starts_with(host))
            {
                return Err(format!(
                    "CannotCreateVolumeError: volume {}: {} holds the cache of compiled images, which no task may write",
                    point.source_volume,
                    host.display()
                ));
            }
            mounts.push(Mount { host: host.clone(), guest: point.container_path.clone(), access: point.access });
        }
        Ok(mounts)
    }

    /// The task's own folder, if it has one.
    pub(super) fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// The folder to remove when the task is over.
    pub(super) fn take_scratch(&mut self) -> Option<PathBuf> {
        self.scratch.take()
    }
}

fn host_folder(path: &Path) -> Result<PathBuf, String> {
    let folder = path.canonicalize().map_err(|error| error.to_string())?;
    if !folder.is_dir() {
        return Err("is not a folder".to_owned());
    }
    Ok(folder)
}
