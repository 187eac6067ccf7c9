//! Whether a module has changed since it was read: by times and sizes of files, without reading them again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder in which Cargo puts what it makes.
const TARGET_FOLDER: &str = "target";
/// Folders in folders that are looked through.
const DEPTH_MAX: u32 = 8;

/// A module's file as it was, or a Cargo package's: all its files but what Cargo makes. What a package takes from elsewhere is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    newest: Option<SystemTime>,
    files: u64,
    bytes: u64,
}

impl Stamp {
    /// Of a module's file or the folder of a package, as it is.
    pub(super) fn of(path: &Path) -> Stamp {
        let mut stamp = Stamp { path: path.to_owned(), newest: None, files: 0, bytes: 0 };
        stamp.add(path, DEPTH_MAX);
        stamp
    }

    /// Whether it is as it was.
    pub(super) fn is_current(&self) -> bool {
        Stamp::of(&self.path) == *self
    }

    fn add(&mut self, path: &Path, depth: u32) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if metadata.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| depth > 0 && entry.file_name() != TARGET_FOLDER) {
                self.add(&entry.path(), depth - 1);
            }
            return;
        }
        self.newest = self.newest.max(metadata.modified().ok());
        self.files += 1;
        self.bytes = self.bytes.saturating_add(metadata.len());
    }
}
