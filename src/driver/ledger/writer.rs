//! Writes the ledger of one cluster.
//!
//! A record that is written already is not written again, so that whoever replays a journal after a crash can append what it makes of it. For that, a
//! record is to be appended only when the events that it follows from are safe: then a replay makes the same records.
//!
//! What is appended outlives the process; [`LedgerWriter::sync`] makes it outlive a loss of power, and says so in the file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::day_file::DayFile;
use super::reader::{LedgerReadError, OpenStretches, Reading, bytes_of, days_in};
use super::{DAY_SUFFIX, LedgerCluster, OPEN_FILE, line};
use crate::metering::stretch::{LedgerRecord, Stretch};
use crate::model::calendar::Day;
use crate::model::usage::TaskIdentity;
use crate::store::{Disk, DiskFile};

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
    folder: Disk,
    cluster: LedgerCluster,
    /// Files of days that were written to since they were last synced, and the latest one.
    days: BTreeMap<Day, OpenDay>,
    cut: Vec<(PathBuf, u64)>,
}

/// A day's file that is written to.
#[derive(Debug)]
struct OpenDay {
    path: PathBuf,
    file: DiskFile,
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
        LedgerWriter::open_on(&Disk::Os(data_dir.to_owned()), cluster)
    }

    /// The same on any disk.
    ///
    /// # Errors
    /// As [`LedgerWriter::open`].
    pub fn open_on(data_dir: &Disk, cluster: LedgerCluster) -> Result<LedgerWriter, LedgerWriteError> {
        let folder = super::folder(data_dir).folder(&cluster.region).folder(&cluster.name);
        // The folders' own names are to last as well: region, ledger, data directory.
        let made = folder.make_folder().and_then(|()| folder.sync_upwards(4));
        made.map_err(|source| LedgerWriteError::File { path: folder.shown(""), source })?;
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
    /// When the disk says that it does not. Then any of what was appended since the last sync may be gone: to append it again is right.
    pub fn sync(&mut self) -> Result<(), LedgerWriteError> {
        let unsynced = self.days.iter_mut().filter(|(_, open)| !open.is_synced);
        let failed: Vec<(Day, PathBuf, io::Error)> =
            unsynced.filter_map(|(day, open)| Some((*day, open.path.clone(), open.sync().err()?))).collect();
        // What they have is read again when they are written to next.
        failed.iter().for_each(|(day, ..)| drop(self.days.remove(day)));
        if let Some((_, path, source)) = failed.into_iter().next() {
            return Err(LedgerWriteError::File { path, source });
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
        let failed = |source| LedgerWriteError::File { path: self.folder.shown(OPEN_FILE), source };
        let Some(first) = open.iter().map(LedgerRecord::day).min() else {
            return match self.folder.remove(OPEN_FILE) {
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
        self.folder.replace(OPEN_FILE, &buffer).map_err(failed)
    }

    /// The file of a day, opened and read if it is not yet.
    fn day(&mut self, day: Day) -> Result<&mut OpenDay, LedgerWriteError> {
        if !self.days.contains_key(&day) {
            let (open, cut) = OpenDay::open(&self.folder, &self.cluster, day)?;
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
        for (day, name) in days_in(&self.folder)? {
            if Some(day) < first {
                continue;
            }
            let bytes = bytes_of(&self.folder, &name)?;
            DayFile::read(&self.folder.shown(&name), &bytes, &mut |of, record| {
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
    /// Opens a day's file to go on with it. Says where its end was cut off, if that was not whole.
    fn open(folder: &Disk, cluster: &LedgerCluster, day: Day) -> Result<(OpenDay, Option<u64>), LedgerWriteError> {
        let name = format!("{day}{DAY_SUFFIX}");
        let path = folder.shown(&name);
        let failed = |source| LedgerWriteError::File { path: path.clone(), source };
        let bytes = match folder.read(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed)?,
        };
        let found = DayFile::read(&path, &bytes, &mut |_, _| {})?;
        let whole = found.as_ref().map_or(0, |says| says.length);
        let cut = (whole < bytes.len() as u64).then_some(whole);
        let says = match found {
            Some(says) => says,
            None => {
                // Its first line is never there by half.
                let mut header = Vec::new();
                let says = DayFile::new(cluster, day, &mut header);
                folder.replace(&name, &header).map_err(failed)?;
                says
            }
        };
        let mut file = folder.open_to_append(&name).map_err(failed)?;
        // Who made it may have failed to make its name last.
        folder.sync_folder().map_err(failed)?;
        if cut.is_some() && whole > 0 {
            // Were it not synced, what is cut off could come back between what is appended.
            file.cut(whole).and_then(|()| file.sync()).map_err(failed)?;
        }
        let whoms = Whoms::of(&says);
        Ok((OpenDay { path, file, says, whoms, buffer: Vec::new(), is_synced: false }, cut))
    }

    /// Takes a record to be written; `false` when it is there already.
    fn add(&mut self, cluster: &LedgerCluster, record: &LedgerRecord) -> bool {
        add(&mut self.says, &mut self.whoms, &mut self.buffer, cluster, record)
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.is_synced = false;
            self.file.append(&self.buffer)?;
            self.says.length += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes what was written last, and then the line that says so: what can't be read before such a line was damaged, and behind the
    /// last one it may be what the power's failure left.
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        let mark = line::synced(self.says.length);
        self.says.checksum = line::append(&mut self.buffer, &mark, self.says.checksum);
        self.write()?;
        self.file.sync()?;
        self.is_synced = true;
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
