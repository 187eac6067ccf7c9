//! What the volumes of a task hold, against what it may hold: a guest's writes fill the host's disk.
//!
//! A task that has volumes of its own is looked at from time to time, in a thread where waiting is free, and is killed when they hold
//! more than its storage. Between two looks it can write what the disk takes in that time: the fuller they are, the shorter that is.
//! *Ours:* on Fargate the write fails, and the guest may cope.
//!
//! A file counts with the blocks that it has, so that holes are free; as a part of the space for inodes, with 16 KiB at least; and until
//! nobody has it open, for a name that was removed gives nothing back before.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use super::Shared;
use super::task::Task;
use crate::model::units::Duration;

/// What a task on Fargate has when it asks for nothing. **Source:** ecs-semantics §1.4.
const FARGATE_STORAGE_GIB: u64 = 20;
/// What one has on an instance. *Ours:* the root volume of an ECS-optimized image.
const INSTANCE_STORAGE_GIB: u64 = 30;
/// What a file takes at least: ext4 makes an inode for so many bytes of a disk.
const FILE_BYTES_MIN: u64 = 16 << 10;
/// The shortest and the longest time between two looks at a task.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// What a fast disk takes, in bytes a millisecond.
const DISK_BYTES_A_MILLI: u64 = 2 << 20;

/// The bytes that volumes of a task hold at most: what it asks for on Fargate, and a fixed size on an instance.
pub(super) fn limit_of_fargate(asked_gib: Option<u32>) -> u64 {
    asked_gib.map_or(FARGATE_STORAGE_GIB, u64::from) << 30
}

pub(super) const LIMIT_OF_INSTANCE: u64 = INSTANCE_STORAGE_GIB << 30;

/// Looks at a task's folder until the task is over, and ends the task when there is too much in it.
pub(super) fn watch(task: Weak<Task>, folder: PathBuf, limit: u64, shared: &Shared) {
    let clock = shared.clock.clone();
    shared.runtime.spawn(async move {
        let mut pause = PAUSES.0;
        loop {
            tokio::time::sleep(pause).await;
            if task.strong_count() == 0 {
                return;
            }
            let (began, looked_at) = (clock.now(), folder.clone());
            let look = tokio::task::spawn_blocking(move || held_bytes(&looked_at, limit));
            // What can't be looked at now is looked at again soon.
            let Ok(Ok(held)) = look.await else {
                pause = PAUSES.0;
                continue;
            };
            if held > limit {
                if let Some(task) = task.upgrade() {
                    task.exceeds_storage(limit);
                }
                return;
            }
            let until_full = Duration::from_millis((limit - held) / DISK_BYTES_A_MILLI / 2);
            // Looking is to cost little beside what is looked at.
            let took = clock.now().since(began);
            pause = until_full.clamp(PAUSES.0, PAUSES.1).max(took * 10);
        }
    });
}

/// What a folder holds, or something beyond `enough`: the rest is not counted then.
fn held_bytes(folder: &Path, enough: u64) -> io::Result<u64> {
    let mut held = Held::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            // It went away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // A path of this length is one that a guest has made step by step, and nothing is to be hidden behind it.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Ok(u64::MAX),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // One that goes away meanwhile holds nothing.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            }
            held.add(&found);
            if held.bytes > enough {
                return Ok(held.bytes);
            }
        }
    }
    held.add_removed(folder);
    Ok(held.bytes)
}

#[derive(Default)]
struct Held {
    bytes: u64,
    /// Files with several names that were seen by one.
    seen: BTreeSet<(u64, u64)>,
}

impl Held {
    fn add(&mut self, found: &Metadata) {
        let is_new = found.nlink() == 1 || found.is_dir() || self.seen.insert((found.dev(), found.ino()));
        if is_new {
            self.bytes = self.bytes.saturating_add(found.blocks().saturating_mul(512).max(FILE_BYTES_MIN));
        }
    }

    /// Files that this process has open, as its guests', and that have no name any more.
    fn add_removed(&mut self, folder: &Path) {
        let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
        for entry in open.flatten() {
            let is_removed = std::fs::read_link(entry.path()).is_ok_and(|target| {
                target.starts_with(folder) && target.as_os_str().as_encoded_bytes().ends_with(b" (deleted)")
            });
            if !is_removed {
                continue;
            }
            let Ok(found) = File::open(entry.path()).and_then(|file| file.metadata()) else { continue };
            if found.nlink() == 0 && self.seen.insert((found.dev(), found.ino())) {
                self.bytes = self.bytes.saturating_add(found.blocks().saturating_mul(512).max(FILE_BYTES_MIN));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Blocks count and holes do not, a file with two names once, many files by their number, and one without a name as long as it is open.
    #[test]
    fn what_a_folder_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let held = |enough| held_bytes(&path, enough).unwrap();
        assert_eq!(held(u64::MAX), 0);
        std::fs::create_dir(path.join("sub")).unwrap();
        let mut file = File::create(path.join("sub/file")).unwrap();
        file.write_all(&vec![1; 3 << 20]).unwrap();
        file.seek(SeekFrom::Start(1 << 40)).unwrap();
        file.write_all(b"behind a hole").unwrap();
        file.sync_all().unwrap();
        std::fs::hard_link(path.join("sub/file"), path.join("again")).unwrap();
        let with_file = held(u64::MAX);
        assert!((3 * MIB..4 * MIB).contains(&with_file), "{with_file}");
        for name in 0..64 {
            File::create(path.join(format!("empty-{name}"))).unwrap();
        }
        assert_eq!(held(u64::MAX), with_file + MIB);
        assert!(held(100_000) > 100_000);
        std::fs::remove_file(path.join("again")).unwrap();
        std::fs::remove_file(path.join("sub/file")).unwrap();
        let open = held(u64::MAX);
        assert!((4 * MIB..5 * MIB).contains(&open), "it is still open: {open}");
        drop(file);
        assert!(held(u64::MAX) < 2 * MIB);
    }

    /// A folder that is gone holds nothing, and one that lies so deep that its path is too long hides nothing.
    #[test]
    fn nothing_is_hidden_in_the_depth() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(held_bytes(&folder.path().join("gone"), u64::MAX).unwrap(), 0);
        let name = "d".repeat(250);
        let mut deepest = rustix::fd::OwnedFd::from(File::open(folder.path()).unwrap());
        for _ in 0..20 {
            rustix::fs::mkdirat(&deepest, &*name, rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::DIRECTORY;
            deepest = rustix::fs::openat(&deepest, &*name, flags, rustix::fs::Mode::empty()).unwrap();
        }
        assert_eq!(held_bytes(folder.path(), MIB).unwrap(), u64::MAX);
    }
}
