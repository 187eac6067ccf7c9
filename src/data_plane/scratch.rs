//! The folder in which tasks have volumes of their own: made with the first of them, private to this user, removed at the end.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder above those of the tasks.
#[derive(Debug)]
pub(super) struct Scratch {
    parent: Option<PathBuf>,
    root: OnceLock<Result<PathBuf, String>>,
}

impl Scratch {
    /// Makes nothing yet. `parent` is where the folder will be, the system's temporary one if it is `None`.
    pub(super) fn new(parent: Option<PathBuf>) -> Scratch {
        Scratch { parent, root: OnceLock::new() }
    }

    /// Where a task's own folder is to be.
    pub(super) fn of_task(&self, task: &str) -> Result<PathBuf, String> {
        let root = self.root.get_or_init(|| {
            make_private_folder(self.parent.as_deref()).map_err(|error| format!("CannotCreateVolumeError: {error}"))
        });
        Ok(root.as_ref().map_err(Clone::clone)?.join(task))
    }

    /// Removes everything.
    pub(super) fn remove(&self) {
        if let Some(Ok(root)) = self.root.get() {
            // What is left is in the system's temporary folder.
            let _ = std::fs::remove_dir_all(root);
        }
    }
}

/// A fresh folder that only this user can enter, in `parent` or the system's temporary folder.
fn make_private_folder(parent: Option<&Path>) -> std::io::Result<PathBuf> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
    std::fs::create_dir_all(&parent)?;
    let mut number = 0u32;
    loop {
        let folder = parent.join(format!("longshore-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return folder.canonicalize(),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}
