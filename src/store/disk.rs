//! All that the store and the ledger beside it ask of a disk: folders with files that are made, appended to, synced, renamed, read and removed.
//!
//! There are two of them, and no third: the operating system's, and one in memory that fails where a test says so ([`super::simulated`]).
//! A name is plain, without a folder. What was appended outlives a loss of power once the file was synced, and a file that was made,
//! renamed or removed once the folder was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::simulated::{SimulatedDisk, SimulatedFile};

/// A folder on some disk. Copies are the same folder.
#[derive(Clone, Debug)]
pub enum Disk {
    /// Of the operating system.
    Os(PathBuf),
    /// In memory.
    Simulated(SimulatedDisk),
}

/// A file that is appended to.
#[derive(Debug)]
pub(crate) enum DiskFile {
    Os(File),
    Simulated(SimulatedFile),
}

/// A folder that is this process' own while this lives.
#[derive(Debug)]
pub(super) enum DiskLock {
    /// The lock is the file's, and goes with it, however the process ends.
    Os(#[expect(dead_code, reason = "it is held, not read")] File),
    Simulated,
}

/// The file that is locked.
const LOCK: &str = "lock";

impl Disk {
    /// A folder in it, which need not be there.
    pub(crate) fn folder(&self, name: &str) -> Disk {
        match self {
            Disk::Os(folder) => Disk::Os(folder.join(name)),
            Disk::Simulated(disk) => Disk::Simulated(disk.folder(name)),
        }
    }

    /// How the folder is called in messages, or a file in it.
    pub(crate) fn shown(&self, name: &str) -> PathBuf {
        let folder = match self {
            Disk::Os(folder) => folder.clone(),
            Disk::Simulated(disk) => disk.shown(),
        };
        if name.is_empty() { folder } else { folder.join(name) }
    }

    /// Whether the folder is there.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Disk::Os(folder) => folder.is_dir(),
            Disk::Simulated(disk) => !disk.is_empty(),
        }
    }

    /// The names of the folders in it, in order.
    pub(crate) fn folders(&self) -> io::Result<Vec<String>> {
        let mut names = match self {
            Disk::Os(folder) => {
                let mut names = Vec::new();
                for entry in std::fs::read_dir(folder)? {
                    let entry = entry?;
                    if entry.path().is_dir() {
                        names.extend(entry.file_name().into_string());
                    }
                }
                names
            }
            Disk::Simulated(disk) => disk.folders()?,
        };
        names.sort();
        Ok(names)
    }

    /// Makes the folder and those above it outlive a loss of power, as far up as so many.
    pub(crate) fn sync_upwards(&self, folders: usize) -> io::Result<()> {
        match self {
            Disk::Os(folder) => {
                let folders = folder.ancestors().take(folders).filter(|folder| folder.is_dir());
                folders.map(File::open).try_for_each(|folder| folder?.sync_all())
            }
            // It has folders only where files are in them.
            Disk::Simulated(_) => Ok(()),
        }
    }

    /// Opens a file to be appended to, and makes an empty one if it is not there.
    pub(crate) fn open_to_append(&self, name: &str) -> io::Result<DiskFile> {
        match self {
            Disk::Os(folder) => {
                let mut options = for_owner();
                options.append(true).create(true).open(folder.join(name)).map(DiskFile::Os)
            }
            Disk::Simulated(disk) => match disk.open(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(name).map(DiskFile::Simulated),
                opened => opened.map(DiskFile::Simulated),
            },
        }
    }

    /// Puts a file in another's place, so that there is one or the other at any moment, also when the power fails.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}.new");
        let mut file = self.create(&unfinished)?;
        file.append(bytes)?;
        file.sync()?;
        self.rename(&unfinished, name)?;
        self.sync_folder()
    }

    /// Makes the folder, for its owner alone, if it is not there.
    pub(crate) fn make_folder(&self) -> io::Result<()> {
        let Disk::Os(folder) = self else { return Ok(()) };
        if folder.is_dir() {
            return Ok(());
        }
        let made: Vec<&Path> = folder.ancestors().take_while(|path| !path.is_dir()).collect();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        // Their names are to last as well.
        made.into_iter().filter_map(Path::parent).try_for_each(|parent| {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Disk::Os(parent.to_owned()).sync_folder()
        })
    }

    /// Makes the folder this process' own; `None` when it is another's.
    pub(super) fn lock(&self) -> io::Result<Option<DiskLock>> {
        let folder = match self {
            Disk::Os(folder) => folder,
            Disk::Simulated(_) => return Ok(Some(DiskLock::Simulated)),
        };
        let file = for_owner().create(true).truncate(false).open(folder.join(LOCK))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(DiskLock::Os(file))),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of its files, in order. The lock is none of them.
    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        let mut names = match self {
            Disk::Os(folder) => {
                let mut names = Vec::new();
                for entry in std::fs::read_dir(folder)? {
                    // A name that is no text is none of ours.
                    names.extend(entry?.file_name().into_string());
                }
                names
            }
            Disk::Simulated(disk) => disk.list()?,
        };
        names.retain(|name| name != LOCK);
        names.sort();
        Ok(names)
    }

    /// All of a file.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        match self {
            Disk::Os(folder) => {
                let mut bytes = Vec::new();
                File::open(folder.join(name))?.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Disk::Simulated(disk) => disk.read(name),
        }
    }

    /// The beginning of a file, up to so many bytes, and how long it is.
    pub(super) fn read_beginning(&self, name: &str, most: usize) -> io::Result<(Vec<u8>, u64)> {
        match self {
            Disk::Os(folder) => {
                let file = File::open(folder.join(name))?;
                let length = file.metadata()?.len();
                let mut bytes = Vec::new();
                file.take(most as u64).read_to_end(&mut bytes)?;
                Ok((bytes, length))
            }
            Disk::Simulated(disk) => {
                let mut bytes = disk.read(name)?;
                let length = bytes.len() as u64;
                bytes.truncate(most);
                Ok((bytes, length))
            }
        }
    }

    /// Makes an empty file, for its owner alone, or empties the one that is there.
    pub(crate) fn create(&self, name: &str) -> io::Result<DiskFile> {
        match self {
            Disk::Os(folder) => Ok(DiskFile::Os(for_owner().create(true).truncate(true).open(folder.join(name))?)),
            Disk::Simulated(disk) => disk.create(name).map(DiskFile::Simulated),
        }
    }

    /// Syncs a file that this process did not write.
    pub(super) fn sync(&self, name: &str) -> io::Result<()> {
        match self {
            Disk::Os(folder) => File::open(folder.join(name))?.sync_all(),
            Disk::Simulated(disk) => disk.open(name)?.sync(),
        }
    }

    /// Gives a file another name, in place of the one that has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        match self {
            Disk::Os(folder) => std::fs::rename(folder.join(from), folder.join(to)),
            Disk::Simulated(disk) => disk.rename(from, to),
        }
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match self {
            Disk::Os(folder) => std::fs::remove_file(folder.join(name)),
            Disk::Simulated(disk) => disk.remove(name),
        }
    }

    /// Makes what was made, renamed and removed outlive a loss of power.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        match self {
            Disk::Os(folder) => File::open(folder)?.sync_all(),
            Disk::Simulated(disk) => disk.sync_folder(),
        }
    }
}

impl DiskFile {
    /// Appends bytes. After an error any part of them may be in the file.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            DiskFile::Os(file) => file.write_all(bytes),
            DiskFile::Simulated(file) => file.append(bytes),
        }
    }

    /// Cuts off what is behind so many bytes. It outlives a loss of power once it is synced.
    pub(crate) fn cut(&mut self, length: u64) -> io::Result<()> {
        match self {
            DiskFile::Os(file) => file.set_len(length),
            DiskFile::Simulated(file) => file.cut(length),
        }
    }

    /// Makes what was appended outlive a loss of power. After an error nobody knows what does.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        match self {
            DiskFile::Os(file) => file.sync_data(),
            DiskFile::Simulated(file) => file.sync(),
        }
    }
}

/// How files are opened that are written: readable by nobody else, since environment variables of containers are in them.
fn for_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
