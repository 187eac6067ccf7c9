//! Reads a ledger: the records of a range of time, each once, closed ones before open ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::day_file::DayFile;
use super::{DAY_SUFFIX, FORMAT, OPEN_FILE};
use crate::metering::stretch::{LedgerRecord, Span, Stretch};
use crate::model::calendar::{Day, UnixNanos};
use crate::store::Disk;

/// Why a ledger can't be read.
#[derive(Debug, Error)]
pub enum LedgerReadError {
    /// There is none.
    #[error("{} is no data directory: there is no ledger in it", path.display())]
    NoLedger {
        /// The data directory.
        path: PathBuf,
    },
    /// There is one, and nothing was ever written to it.
    #[error("the ledger in {} is empty: nothing has been used yet", path.display())]
    Empty {
        /// The data directory.
        path: PathBuf,
    },
    /// A file or folder can't be read.
    #[error("cannot read the ledger {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a ledger: its first line is not the header of one", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// Its format is not known here.
    #[error(
        "the ledger {} is written in format {found} by longshore {written_by}, and this is longshore {}, which reads format {FORMAT}: \
         use longshore {written_by}",
        path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The version of Longshore that wrote it.
        written_by: String,
    },
    /// A line is not as it was written.
    #[error("the ledger {} is corrupt at byte {offset} (line {line}): {problem}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
}

/// A cluster in a ledger.
#[derive(Clone, Debug)]
pub struct ClusterInLedger {
    /// Its name.
    pub name: Arc<str>,
    /// Its region.
    pub region: Arc<str>,
    folder: Disk,
}

/// What was found beside the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many records were told.
    pub records: u64,
    /// The first moment of them and the last, of all that the files of these days have.
    pub known: Option<Span>,
    /// The checkpoint up to which what has no end is counted, if there is such.
    pub open_until: Option<UnixNanos>,
    /// Last lines that are not whole: the file, and where the line begins.
    pub torn: Vec<(PathBuf, u64)>,
    /// The seeds of the cluster's starts, which decide how ids are shown.
    pub seeds: BTreeMap<UnixNanos, u64>,
}

/// A ledger that is read.
#[derive(Clone, Debug)]
pub struct LedgerReader {
    /// By name, then region.
    clusters: Vec<ClusterInLedger>,
}

impl LedgerReader {
    /// Finds the clusters in the ledger of a data directory.
    ///
    /// # Errors
    /// When there is no ledger, it is empty, or it can't be read.
    pub fn open(data_dir: &Path) -> Result<LedgerReader, LedgerReadError> {
        LedgerReader::open_on(&Disk::Os(data_dir.to_owned()))
    }

    /// The same on any disk.
    ///
    /// # Errors
    /// As [`LedgerReader::open`].
    pub fn open_on(data_dir: &Disk) -> Result<LedgerReader, LedgerReadError> {
        let folder = super::folder(data_dir);
        if !folder.is_there() {
            return Err(LedgerReadError::NoLedger { path: data_dir.shown("") });
        }
        let mut clusters = Vec::new();
        for region in folders_in(&folder)? {
            let in_region = folder.folder(&region);
            for name in folders_in(&in_region)? {
                let folder = in_region.folder(&name);
                clusters.push(ClusterInLedger { name: name.into(), region: region.as_str().into(), folder });
            }
        }
        clusters.sort_by_key(|cluster| (cluster.name.clone(), cluster.region.clone()));
        if clusters.is_empty() {
            return Err(LedgerReadError::Empty { path: data_dir.shown("") });
        }
        Ok(LedgerReader { clusters })
    }

    /// The clusters in it, by name, then region.
    pub fn clusters(&self) -> &[ClusterInLedger] {
        &self.clusters
    }
}

impl ClusterInLedger {
    /// Tells every record that has part in a range of time, each once, with the start of the cluster that it is of.
    ///
    /// # Errors
    /// When a file can't be read or is not as it was written.
    pub fn read(
        &self,
        range: Span,
        mut each: impl FnMut(UnixNanos, &LedgerRecord),
    ) -> Result<Reading, LedgerReadError> {
        let mut reading = Reading::default();
        let mut open = OpenStretches::of(&self.folder, &mut reading)?;
        let is_in_range = |day: Day| day.end() > range.from && day.start() < range.to;
        for (day, name) in days_in(&self.folder)? {
            if !is_in_range(day) {
                continue;
            }
            let (bytes, path) = (bytes_of(&self.folder, &name)?, self.folder.shown(&name));
            let file = DayFile::read(&path, &bytes, &mut |start, record| {
                open.close(start, record);
                reading.note(record);
                each(start, record);
            })?;
            reading.note_end(&path, &bytes, file.as_ref());
        }
        for (start, record) in open.stretches.values() {
            if is_in_range(record.day()) {
                reading.note(record);
                reading.open_until = reading.open_until.max(Some(record.to));
                each(*start, record);
            }
        }
        Ok(reading)
    }

    /// The days of which there is something.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn days(&self) -> Result<Vec<Day>, LedgerReadError> {
        Ok(days_in(&self.folder)?.into_iter().map(|(day, _)| day).collect())
    }
}

impl Reading {
    fn note(&mut self, record: &LedgerRecord) {
        self.records += 1;
        let known = self.known.get_or_insert(Span { from: record.from, to: record.to });
        known.from = known.from.min(record.from);
        known.to = known.to.max(record.to);
    }

    fn note_end(&mut self, path: &Path, bytes: &[u8], file: Option<&DayFile>) {
        let whole = file.map_or(0, |file| file.length);
        if whole < bytes.len() as u64 {
            self.torn.push((path.to_owned(), whole));
        }
        self.seeds.extend(file.and_then(|file| file.start));
    }
}

/// What tells an open stretch from others: what it is of, and its begin.
pub(super) type OpenKey = (OpenOf, UnixNanos);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OpenOf {
    Task(u64),
    Instance(u64, u32),
}

fn key_of(record: &LedgerRecord) -> Option<OpenKey> {
    let of = match &record.used {
        Stretch::Task { task, .. } => OpenOf::Task(task.0),
        Stretch::Instance { instance, start, .. } => OpenOf::Instance(instance.0, *start),
        Stretch::Surplus { .. } => return None,
    };
    Some((of, record.from))
}

/// What ran at the last checkpoint and is not known to be closed.
#[derive(Debug, Default)]
pub(super) struct OpenStretches {
    pub stretches: BTreeMap<OpenKey, (UnixNanos, LedgerRecord)>,
    start: Option<UnixNanos>,
    first_seq: u64,
}

impl OpenStretches {
    pub fn of(folder: &Disk, reading: &mut Reading) -> Result<OpenStretches, LedgerReadError> {
        let path = folder.shown(OPEN_FILE);
        let mut open = OpenStretches::default();
        let bytes = match folder.read(OPEN_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(open),
            read => read.map_err(|source| LedgerReadError::File { path: path.clone(), source })?,
        };
        let file = DayFile::read(&path, &bytes, &mut |start, record| {
            if let Some(key) = key_of(record) {
                if open.start.is_none() {
                    (open.start, open.first_seq) = (Some(start), record.seq);
                }
                open.stretches.insert(key, (start, record.clone()));
            }
        })?;
        reading.note_end(&path, &bytes, file.as_ref());
        Ok(open)
    }

    /// A closed stretch stands in for the open one that it was.
    pub fn close(&mut self, start: UnixNanos, record: &LedgerRecord) {
        // What was closed before the checkpoint is not in it.
        if self.start == Some(start)
            && record.seq >= self.first_seq
            && let Some(key) = key_of(record)
        {
            self.stretches.remove(&key);
        }
    }
}

/// The names of the files of days in a cluster's folder, by day.
pub(super) fn days_in(folder: &Disk) -> Result<Vec<(Day, String)>, LedgerReadError> {
    let names = folder.list().map_err(|source| LedgerReadError::File { path: folder.shown(""), source })?;
    let day_of = |name: String| Some((name.strip_suffix(DAY_SUFFIX).and_then(Day::parse)?, name));
    let mut days: Vec<(Day, String)> = names.into_iter().filter_map(day_of).collect();
    days.sort();
    Ok(days)
}

fn folders_in(folder: &Disk) -> Result<Vec<String>, LedgerReadError> {
    folder.folders().map_err(|source| LedgerReadError::File { path: folder.shown(""), source })
}

pub(super) fn bytes_of(folder: &Disk, name: &str) -> Result<Vec<u8>, LedgerReadError> {
    folder.read(name).map_err(|source| LedgerReadError::File { path: folder.shown(name), source })
}
