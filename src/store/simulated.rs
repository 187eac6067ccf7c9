//! A disk in memory that does what the worst of disks may do, reproducibly.
//!
//! What was not synced is lost, kept or torn at a crash, each 64 bytes of it by chance and in no order; so is what was made, renamed or
//! removed in a folder that was not synced. Any operation may fail, having done all of its work, a part of it or nothing. After a sync
//! that failed, what it was to sync may be gone from the cache too.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::model::rng::{RandomStream, Stream};

/// What is kept, lost or torn as one piece. Disks write 512 bytes and more at once; smaller pieces are worse.
const PIECE: usize = 64;

/// How often and how operations fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// So many in a thousand writes, syncs, renames, removals and creations fail.
    pub failing_per_mille: u64,
    /// The power fails at this operation, counted from one: it and all that follow fail until [`SimulatedDisk::restart`].
    pub crash_at: Option<u64>,
    /// Nothing can be written: the disk is full, or read-only.
    pub refuses_writes: Option<Refusal>,
    /// How slow it is.
    pub pace: Pace,
}

/// How long a disk takes for a sync. Whatever else it is asked for goes on meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// No time.
    #[default]
    Immediate,
    /// So long.
    Slow(Duration),
    /// As long as it is so: a sync is not over before that is changed.
    Held,
}

/// Why a disk takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ENOSPC`.
    Full,
    /// `EROFS`.
    ReadOnly,
}

impl Refusal {
    fn error(self) -> io::Error {
        io::Error::from(match self {
            Refusal::Full => io::ErrorKind::StorageFull,
            Refusal::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
        })
    }
}

/// A folder on a simulated disk. Copies are the same folder.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
    /// What the names of its files begin with: nothing, or the folder's own with a slash behind it.
    prefix: String,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// It fails otherwise than it did.
    changed: Condvar,
}

/// A file that is appended to.
#[derive(Debug)]
pub(crate) struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

#[derive(Debug)]
struct State {
    chance: RandomStream,
    rates: FaultRates,
    operations: u64,
    syncs: u64,
    crashed: bool,
    files: Vec<Content>,
    /// The folder as it is shown.
    names: BTreeMap<String, usize>,
    /// The folder as it is on the disk.
    names_synced: BTreeMap<String, usize>,
    /// What was done to it since.
    changes: Vec<FolderChange>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    shown: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Debug)]
enum FolderChange {
    Make(String, usize),
    /// From, to, and the file that has the name: whatever else of the folder is lost, it is this one.
    Rename(String, String, usize),
    Remove(String),
}

impl FolderChange {
    /// A name in the folder that it is of.
    fn path(&self) -> &str {
        match self {
            FolderChange::Make(path, _) | FolderChange::Rename(path, ..) | FolderChange::Remove(path) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            FolderChange::Make(name, file) => {
                names.insert(name.clone(), *file);
            }
            FolderChange::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            FolderChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

/// How far an operation that fails has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    FailsUndone(io::ErrorKind),
    FailsDone(io::ErrorKind),
}

impl SimulatedDisk {
    /// An empty folder on a disk that does not fail.
    pub fn new(seed: u64) -> SimulatedDisk {
        let state = State {
            chance: RandomStream::new(seed, Stream::Faults),
            rates: FaultRates::default(),
            operations: 0,
            syncs: 0,
            crashed: false,
            files: Vec::new(),
            names: BTreeMap::new(),
            names_synced: BTreeMap::new(),
            changes: Vec::new(),
        };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
        SimulatedDisk { shared: Arc::new(shared), prefix: String::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// A folder in it.
    pub(super) fn folder(&self, name: &str) -> SimulatedDisk {
        SimulatedDisk { shared: self.shared.clone(), prefix: format!("{}{name}/", self.prefix) }
    }

    pub(super) fn shown(&self) -> PathBuf {
        PathBuf::from(format!("simulated/{}", self.prefix))
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// It fails like this from here on.
    pub fn fail(&self, rates: FaultRates) {
        self.state().rates = rates;
        self.shared.changed.notify_all();
    }

    /// How many operations that change something were asked for so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// How many syncs of files have succeeded so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Whether the power has failed.
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// The power fails, if it has not, and comes back: what is left is what the disk happened to have. It does not fail from here on.
    pub fn restart(&self) {
        let mut state = self.state();
        let state = &mut *state;
        let mut names = std::mem::take(&mut state.names_synced);
        for change in std::mem::take(&mut state.changes) {
            if state.chance.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        for file in &mut state.files {
            file.crash(&mut state.chance);
        }
        state.names = names.clone();
        state.names_synced = names;
        state.rates = FaultRates::default();
        state.crashed = false;
        self.shared.changed.notify_all();
    }

    /// Changes one bit of a file, as a disk that forgets does.
    ///
    /// # Panics
    /// When the file has no such byte.
    pub fn flip_bit(&self, name: &str, offset: usize, bit: u32) {
        let mut state = self.state();
        let file = state.names[name];
        let Content { shown, synced } = &mut state.files[file];
        for bytes in [shown, synced] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// The names of its files and their sizes.
    pub fn sizes(&self) -> BTreeMap<String, usize> {
        let state = self.state();
        state.names.iter().map(|(name, file)| (name.clone(), state.files[*file].shown.len())).collect()
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.up()?;
        let names = state.names.keys().filter_map(|path| path.strip_prefix(&self.prefix));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    pub(super) fn folders(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.up()?;
        let names = state.names.keys().filter_map(|path| path.strip_prefix(&self.prefix)?.split_once('/'));
        let mut names: Vec<String> = names.map(|(folder, _)| folder.to_owned()).collect();
        names.dedup();
        Ok(names)
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.state().names.keys().any(|path| path.starts_with(&self.prefix))
    }

    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.up()?;
        let file = state.names.get(&self.path(name)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(state.files[*file].shown.clone())
    }

    pub(super) fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let state = self.state();
        state.up()?;
        let file = *state.names.get(&self.path(name)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(SimulatedFile { disk: self.clone(), file })
    }

    pub(super) fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut made = 0;
        self.change(|state| {
            made = state.files.len();
            state.files.push(Content::default());
            state.change_folder(FolderChange::Make(self.path(name), made));
        })?;
        Ok(SimulatedFile { disk: self.clone(), file: made })
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| {
            let (from, to) = (self.path(from), self.path(to));
            if let Some(file) = state.names.get(&from).copied() {
                state.change_folder(FolderChange::Rename(from, to, file));
            }
        })
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| state.change_folder(FolderChange::Remove(self.path(name))))
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.change(|state| {
            let is_here = |path: &str| path.strip_prefix(&self.prefix).is_some_and(|name| !name.contains('/'));
            state.changes.retain(|change| !is_here(change.path()));
            state.names_synced.retain(|path, _| !is_here(path));
            let here = state.names.iter().filter(|(path, _)| is_here(path));
            state.names_synced.extend(here.map(|(path, file)| (path.clone(), *file)));
        })
    }

    /// The disk once the time of a sync is over.
    fn at_its_pace(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if let Pace::Slow(takes) = state.rates.pace {
            MutexGuard::unlocked(&mut state, || std::thread::sleep(takes));
        }
        while state.rates.pace == Pace::Held && !state.crashed {
            self.shared.changed.wait(&mut state);
        }
        state
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.state();
        match state.outcome()? {
            Outcome::Done => change(&mut state),
            Outcome::FailsUndone(kind) => return Err(kind.into()),
            Outcome::FailsDone(kind) => {
                change(&mut state);
                return Err(kind.into());
            }
        }
        Ok(())
    }
}

impl SimulatedFile {
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let (written, result) = match state.outcome()? {
            Outcome::Done => (bytes.len(), Ok(())),
            Outcome::FailsDone(kind) => (bytes.len(), Err(kind.into())),
            Outcome::FailsUndone(kind) => {
                let part = state.chance.below(bytes.len() as u64 + 1);
                (usize::try_from(part).unwrap_or(0), Err(kind.into()))
            }
        };
        state.files[self.file].shown.extend_from_slice(&bytes[..written]);
        result
    }

    /// Cuts off what is behind so many bytes.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.change(|state| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            state.files[self.file].shown.truncate(length);
        })
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.at_its_pace();
        let state = &mut *state;
        let outcome = state.outcome()?;
        let file = &mut state.files[self.file];
        match outcome {
            Outcome::Done => {
                file.synced.clone_from(&file.shown);
                state.syncs += 1;
                Ok(())
            }
            Outcome::FailsDone(kind) => {
                file.synced.clone_from(&file.shown);
                Err(kind.into())
            }
            Outcome::FailsUndone(kind) => {
                if !state.crashed {
                    // The pages that could not be written are dropped, or not.
                    file.crash(&mut state.chance);
                }
                Err(kind.into())
            }
        }
    }
}

impl Content {
    /// Keeps what was synced, and of the rest whatever chance says.
    fn crash(&mut self, chance: &mut RandomStream) {
        if self.shown.len() < self.synced.len() {
            // What was cut off may come back, as a whole or not at all.
            if chance.below(2) == 0 {
                self.synced.truncate(self.shown.len());
            }
            self.shown.clone_from(&self.synced);
            return;
        }
        let unsynced = self.shown.len() - self.synced.len();
        let kept = usize::try_from(chance.below(unsynced as u64 + 1)).unwrap_or(0);
        let mut left = self.synced.clone();
        left.resize(self.synced.len() + kept, 0);
        let everything = chance.below(3) == 0;
        for start in (self.synced.len()..left.len()).step_by(PIECE) {
            let end = (start + PIECE).min(left.len());
            if everything || chance.below(4) != 0 {
                left[start..end].copy_from_slice(&self.shown[start..end]);
            }
        }
        self.shown.clone_from(&left);
        self.synced = left;
    }
}

impl State {
    fn up(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("the power has failed")) } else { Ok(()) }
    }

    fn change_folder(&mut self, change: FolderChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    /// What becomes of the operation that is asked for.
    fn outcome(&mut self) -> io::Result<Outcome> {
        self.up()?;
        self.operations += 1;
        if self.rates.crash_at.is_some_and(|at| self.operations >= at) {
            self.crashed = true;
            return Ok(Outcome::FailsUndone(io::ErrorKind::Other));
        }
        if let Some(refusal) = self.rates.refuses_writes {
            return Ok(Outcome::FailsUndone(refusal.error().kind()));
        }
        if self.chance.below(1000) >= self.rates.failing_per_mille {
            return Ok(Outcome::Done);
        }
        let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::Other];
        let kind = kinds[usize::try_from(self.chance.below(3)).unwrap_or(0)];
        Ok(if self.chance.below(3) == 0 { Outcome::FailsDone(kind) } else { Outcome::FailsUndone(kind) })
    }
}
