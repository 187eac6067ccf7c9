//! A disk in memory that does what the worst of disks may do, reproducibly.
//!
//! What was not synced is lost, kept or torn at a crash, each 64 bytes of it by chance and in no order; so is what was made, renamed or
//! removed in a folder that was not synced. Any operation may fail, having done all of its work, a part of it or nothing. After a sync
//! that failed, what it was to sync may be gone from the cache too.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

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
pub struct SimulatedDisk(Arc<Mutex<State>>);

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

#[derive(Debug)]
struct State {
    chance: RandomStream,
    rates: FaultRates,
    operations: u64,
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
        SimulatedDisk(Arc::new(Mutex::new(State {
            chance: RandomStream::new(seed, Stream::Faults),
            rates: FaultRates::default(),
            operations: 0,
            crashed: false,
            files: Vec::new(),
            names: BTreeMap::new(),
            names_synced: BTreeMap::new(),
            changes: Vec::new(),
        })))
    }

    /// It fails like this from here on.
    pub fn fail(&self, rates: FaultRates) {
        self.0.lock().rates = rates;
    }

    /// How many operations that change something were asked for so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Whether the power has failed.
    pub fn has_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// The power fails, if it has not, and comes back: what is left is what the disk happened to have. It does not fail from here on.
    pub fn restart(&self) {
        let mut state = self.0.lock();
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
    }

    /// Changes one bit of a file, as a disk that forgets does.
    ///
    /// # Panics
    /// When the file has no such byte.
    pub fn flip_bit(&self, name: &str, offset: usize, bit: u32) {
        let mut state = self.0.lock();
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
        let state = self.0.lock();
        state.names.iter().map(|(name, file)| (name.clone(), state.files[*file].shown.len())).collect()
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.up()?;
        Ok(state.names.keys().cloned().collect())
    }

    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        state.up()?;
        let file = state.names.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(state.files[*file].shown.clone())
    }

    pub(super) fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let state = self.0.lock();
        state.up()?;
        let file = *state.names.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(SimulatedFile { disk: self.clone(), file })
    }

    pub(super) fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut made = 0;
        self.change(|state| {
            made = state.files.len();
            state.files.push(Content::default());
            state.change_folder(FolderChange::Make(name.to_owned(), made));
        })?;
        Ok(SimulatedFile { disk: self.clone(), file: made })
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| {
            if let Some(file) = state.names.get(from).copied() {
                state.change_folder(FolderChange::Rename(from.to_owned(), to.to_owned(), file));
            }
        })
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| state.change_folder(FolderChange::Remove(name.to_owned())))
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.change(|state| {
            state.changes.clear();
            state.names_synced = state.names.clone();
        })
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.0.lock();
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
        let mut state = self.disk.0.lock();
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

    pub(super) fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let state = &mut *state;
        let outcome = state.outcome()?;
        let file = &mut state.files[self.file];
        match outcome {
            Outcome::Done => {
                file.synced.clone_from(&file.shown);
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
        let unsynced = self.shown.len() - self.synced.len().min(self.shown.len());
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
