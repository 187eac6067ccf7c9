//! `run --watch`: notices that the cluster file was saved.
//!
//! Looks at the file a few times a second; no service of the operating system is needed for one file. A change counts once the content
//! is the same in two looks, so that a file that is being written is left alone until it is whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::model::units::Timestamp;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// A file that is watched.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    looked_at: Timestamp,
    modified: Option<SystemTime>,
    /// What was last found or reported.
    known: Vec<u8>,
    /// What differs from it, found in the last look.
    changing: Option<Vec<u8>>,
}

impl FileWatch {
    /// Watches from the content that the file has.
    pub(super) fn new(path: &Path) -> FileWatch {
        FileWatch {
            path: path.to_owned(),
            looked_at: Timestamp::ZERO,
            modified: modified(path),
            known: std::fs::read(path).unwrap_or_default(),
            changing: None,
        }
    }

    /// Whether the file was saved with another content since the last time that this was said.
    pub(super) fn was_saved(&mut self, now: Timestamp) -> bool {
        if now.since(self.looked_at) < PERIOD {
            return false;
        }
        self.looked_at = now;
        let modified = modified(&self.path);
        if modified == self.modified && self.changing.is_none() {
            return false;
        }
        self.modified = modified;
        // A file that is gone is on its way: editors put a new one in the place of the old.
        let Ok(content) = std::fs::read(&self.path) else { return false };
        if content == self.known {
            self.changing = None;
            return false;
        }
        if self.changing.as_ref() == Some(&content) {
            self.changing = None;
            self.known = content;
            return true;
        }
        self.changing = Some(content);
        false
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change counts once it has settled, a half-written file does not, and the same content again is none.
    #[test]
    fn changes_count_when_they_have_settled() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("cluster.toml");
        // Times of modification are set, so that two writes in one tick of the file system differ.
        let write = |text: &str, second: u64| {
            std::fs::write(&path, text).expect("the folder is writable");
            let file = std::fs::File::options().write(true).open(&path).expect("it was written");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).expect("it is ours");
        };
        write("one", 1);
        let mut watch = FileWatch::new(&path);
        let mut looks = 0;
        let mut look = |watch: &mut FileWatch| {
            looks += 1;
            watch.was_saved(Timestamp::ZERO + PERIOD * looks)
        };
        assert!(!look(&mut watch));
        write("tw", 2);
        assert!(!look(&mut watch), "it may not be whole");
        write("two", 3);
        assert!(!look(&mut watch), "it was not");
        assert!(look(&mut watch));
        assert!(!look(&mut watch), "said once");
        write("two", 4);
        assert!(!look(&mut watch), "nothing has changed");
        std::fs::remove_file(&path).expect("it was there");
        assert!(!look(&mut watch));
        write("three", 5);
        assert!(!look(&mut watch));
        assert!(look(&mut watch));
    }
}
