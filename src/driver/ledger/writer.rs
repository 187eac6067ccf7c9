//! Writes the ledger of one cluster.
//!
//! A record that is written already is not written again, so that whoever replays a journal after a crash can append what it makes of it. For that, a
//! record is to be appended only when the events that it follows from are safe: then a replay makes the same records.
//!
//! What is appended outlives the process; [`LedgerWriter::sync`] makes it outlive a loss of power.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::day_file::DayFile;
use super::reader::{LedgerReadError, OpenStretches, Reading, bytes_of, days_in};
use super::{DAY_SUFFIX, LedgerCluster, OPEN_FILE, line};
use crate::metering::stretch::{LedgerRecord, Stretch};
use crate::model::calendar::Day;
use crate::model::usage::TaskIdentity;

/// A ledger could not be written.
#[derive(Debug, Error)]
pub enum LedgerWriteError {
    /// A file can't be written. What was appended before is there; what was to be appended can be appended again.
    #[error("cannot write the ledger {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is there already can't be read.
    #[error(transparent)]
    Read(#[from] LedgerReadError),
}

/// What became of records that were appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// How many were written.
    pub written: u64,
    /// How many were there already.
    pub known: u64,
}

/// The ledger of a cluster that is written.
#[derive(Debug)]
pub struct LedgerWriter {
    folder: PathBuf,
    cluster: LedgerCluster,
    /// Files of days that were written to since they were last synced, and the latest one.
    days: BTreeMap<Day, OpenDay>,
    cut: Vec<(PathBuf, u64)>,
}

/// A day's file that is written to.
#[derive(Debug)]
struct OpenDay {
    path: PathBuf,
    file: File,
    /// What it says, with what is in the buffer.
    says: DayFile,
    whoms: Whoms,
    /// What is to be written.
    buffer: Vec<u8>,
    is_synced: bool,
}

/// The numbers of what tasks ran for.
#[derive(Debug, Default)]
struct Whoms {
    numbers: BTreeMap<String, usize>,
    /// The last one: tasks of one kind come one after the other.
    last: Option<(Arc<TaskIdentity>, usize)>,
}

impl LedgerWriter {
    /// Opens the ledger of a cluster in a data directory. What a cluster of the same name that started at another time left without an
    /// end is closed at its last checkpoint: it will not go on.
    ///
    /// # Errors
    /// When it can't be made or what is there can't be read.
    pub fn open(data_dir: &Path, cluster: LedgerCluster) -> Result<LedgerWriter, LedgerWriteError> {
        let folder = super::folder(data_dir).join(&*cluster.region).join(&*cluster.name);
        make_folder(&folder).map_err(|source| LedgerWriteError::File { path: folder.clone(), source })?;
        let mut writer = LedgerWriter { folder, cluster, days: BTreeMap::new(), cut: Vec::new() };
        writer.close_what_was_left()?;
        Ok(writer)
    }

    /// Last lines that were not whole and have been cut off: the file, and where the line began.
    pub fn cut(&self) -> &[(PathBuf, u64)] {
        &self.cut
    }

    /// Writes records, but for those that are there already.
    ///
    /// # Errors
    /// When a file can't be written. Some of the records may be there then: to append them again is right.
    pub fn append(&mut self, records: &[LedgerRecord]) -> Result<Appended, LedgerWriteError> {
        let cluster = self.cluster.clone();
        self.append_of(&cluster, records)
    }

    fn append_of(&mut self, cluster: &LedgerCluster, records: &[LedgerRecord]) -> Result<Appended, LedgerWriteError> {
        let mut appended = Appended::default();
        for of_day in records.chunk_by(|a, b| a.day() == b.day()) {
            let day = of_day[0].day();
            let open = self.day(day)?;
            for record in of_day {
                if open.add(cluster, record) {
                    appended.written += 1;
                } else {
                    appended.known += 1;
                }
            }
            if let Err(source) = open.write() {
                let path = open.path.clone();
                // It is read again when it is written to next, and what was written by half is cut off then.
                self.days.remove(&day);
                return Err(LedgerWriteError::File { path, source });
            }
        }
        Ok(appended)
    }

    /// Makes everything that was appended outlive a loss of power.
    ///
    /// # Errors
    /// When the disk says that it does not.
    pub fn sync(&mut self) -> Result<(), LedgerWriteError> {
        for open in self.days.values_mut().filter(|open| !open.is_synced) {
            let synced = open.file.sync_data();
            synced.map_err(|source| LedgerWriteError::File { path: open.path.clone(), source })?;
            open.is_synced = true;
        }
        let latest = self.days.last_key_value().map(|(day, _)| *day);
        self.days.retain(|day, _| Some(*day) == latest);
        Ok(())
    }

    /// Says what runs, in place of what was said before: [`crate::metering::meter::Meter::open_records`] of this moment, when everything
    /// that was closed before is appended. None of nothing. It outlives a loss of power.
    ///
    /// # Errors
    /// When the file can't be written: what was said before stands then.
    pub fn checkpoint(&mut self, open: &[LedgerRecord]) -> Result<(), LedgerWriteError> {
        let path = self.folder.join(OPEN_FILE);
        let failed = |source| LedgerWriteError::File { path: path.clone(), source };
        let Some(first) = open.iter().map(LedgerRecord::day).min() else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        };
        let mut buffer = Vec::new();
        let mut says = DayFile::new(&self.cluster, first, &mut buffer);
        let mut whoms = Whoms::default();
        for record in open {
            add(&mut says, &mut whoms, &mut buffer, &self.cluster, record);
        }
        replace(&path, &buffer).map_err(failed)
    }

    /// The file of a day, opened and read if it is not yet.
    fn day(&mut self, day: Day) -> Result<&mut OpenDay, LedgerWriteError> {
        if !self.days.contains_key(&day) {
            let path = self.folder.join(format!("{day}{DAY_SUFFIX}"));
            let (open, cut) = OpenDay::open(path, &self.cluster, day)?;
            self.cut.extend(cut.map(|offset| (open.path.clone(), offset)));
            self.days.insert(day, open);
        }
        Ok(self.days.get_mut(&day).expect("it has just been opened"))
    }

    fn close_what_was_left(&mut self) -> Result<(), LedgerWriteError> {
        let mut reading = Reading::default();
        let mut open = OpenStretches::of(&self.folder, &mut reading)?;
        let Some((start, seed)) = reading.seeds.first_key_value().map(|(start, seed)| (*start, *seed)) else {
            return Ok(());
        };
        if start == self.cluster.started_at {
            return Ok(());
        }
        let first = open.stretches.values().map(|(_, record)| record.day()).min();
        let mut last_seq = 0;
        for (day, path) in days_in(&self.folder)? {
            if Some(day) < first {
                continue;
            }
            DayFile::read(&path, &bytes_of(&path)?, &mut |of, record| {
                open.close(of, record);
                if of == start {
                    last_seq = last_seq.max(record.seq);
                }
            })?;
        }
        let mut left: Vec<LedgerRecord> = open.stretches.into_values().map(|(_, record)| record).collect();
        left.sort_by_key(LedgerRecord::day);
        for (seq, record) in (last_seq + 1..).zip(&mut left) {
            record.seq = seq;
        }
        let cluster = LedgerCluster { started_at: start, seed, ..self.cluster.clone() };
        self.append_of(&cluster, &left)?;
        self.sync()?;
        self.checkpoint(&[])
    }
}

impl OpenDay {
    /// Opens a day's file to go on with it. Says where a last line began that was not whole.
    fn open(path: PathBuf, cluster: &LedgerCluster, day: Day) -> Result<(OpenDay, Option<u64>), LedgerWriteError> {
        let failed = |source| LedgerWriteError::File { path: path.clone(), source };
        let is_there = path.exists();
        let bytes = if is_there { bytes_of(&path)? } else { Vec::new() };
        let says = DayFile::read(&path, &bytes, &mut |_, _| {})?;
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(failed)?;
        let whole = says.as_ref().map_or(0, |says| says.length);
        let cut = (whole < bytes.len() as u64).then_some(whole);
        if cut.is_some() {
            file.set_len(whole).map_err(failed)?;
        }
        if !is_there {
            path.parent().map_or(Ok(()), sync_folder).map_err(failed)?;
        }
        let mut buffer = Vec::new();
        let says = says.unwrap_or_else(|| DayFile::new(cluster, day, &mut buffer));
        let whoms = Whoms::of(&says);
        Ok((OpenDay { path, file, says, whoms, buffer, is_synced: false }, cut))
    }

    /// Takes a record to be written; `false` when it is there already.
    fn add(&mut self, cluster: &LedgerCluster, record: &LedgerRecord) -> bool {
        add(&mut self.says, &mut self.whoms, &mut self.buffer, cluster, record)
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.is_synced = false;
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Adds a record, and what it refers to, to what a file says; `false` when it is there already.
fn add(
    says: &mut DayFile,
    whoms: &mut Whoms,
    buffer: &mut Vec<u8>,
    cluster: &LedgerCluster,
    record: &LedgerRecord,
) -> bool {
    if says.start.map(|(start, _)| start) != Some(cluster.started_at) {
        says.checksum = line::append(buffer, &line::start(cluster), says.checksum);
        says.begin_start(cluster.started_at, cluster.seed);
        *whoms = Whoms::default();
    }
    if record.seq <= says.last_seq {
        return false;
    }
    says.last_seq = record.seq;
    let whom = match &record.used {
        Stretch::Task { identity, .. } => whoms.number(identity, |text, number| {
            says.checksum = line::append(buffer, &format!("whom {number} {text}"), says.checksum);
        }),
        Stretch::Instance { instance, host, .. } | Stretch::Surplus { instance, host, .. } => {
            if says.known.hosts.insert(*instance, Arc::clone(host)).is_none() {
                let text = format!("host {instance} {}", line::host(host));
                says.checksum = line::append(buffer, &text, says.checksum);
            }
            0
        }
    };
    says.checksum = line::append(buffer, &line::record(record, says.day, whom), says.checksum);
    true
}

impl Whoms {
    fn of(says: &DayFile) -> Whoms {
        let known = says.known.whoms.iter().enumerate();
        Whoms { numbers: known.map(|(number, identity)| (line::whom(identity), number)).collect(), last: None }
    }

    /// The number of what a task ran for; `say` is told of one that is new.
    fn number(&mut self, identity: &Arc<TaskIdentity>, say: impl FnOnce(&str, usize)) -> usize {
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, identity)) {
            return *number;
        }
        let text = line::whom(identity);
        let next = self.numbers.len();
        let number = self.numbers.get(&text).copied().unwrap_or_else(|| {
            say(&text, next);
            self.numbers.insert(text, next);
            next
        });
        self.last = Some((Arc::clone(identity), number));
        number
    }
}

/// Makes a folder and those above it, for the owner alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    // The folders' own names are to last as well: region, ledger, data directory.
    folder.ancestors().take(4).filter(|folder| folder.is_dir()).try_for_each(sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts a file in another's place, so that there is one or the other at any moment.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}
