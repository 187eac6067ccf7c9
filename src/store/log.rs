//! The log on its disk: opened with every checksum checked, added to by one batch and one sync at a time, shortened from its front.
//!
//! It has no thread and waits for nothing but the disk. A write or a sync that fails leaves nobody knowing what is in the file, so the file
//! is given up: the next batch goes to another one, whose header says where the valid part of the one before ends. For the same reason
//! a file that was there before is read, and never written again.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::error::{Cut, OpenError};
use super::segment::{self, Header, NewRecord, StoredRecord};
use super::snapshot_file::{self, Coverage, Label, SnapshotFile, Unreadable};
use super::{Position, StreamName};

/// The log of a folder.
#[derive(Debug)]
pub(super) struct Log {
    disk: Disk,
    segment_bytes: u64,
    /// The one that is written to.
    open: Option<(DiskFile, u64)>,
    /// Oldest first; the last one may be open.
    segments: VecDeque<Segment>,
    durable: Position,
    streams: BTreeMap<StreamName, StreamFiles>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    name: String,
    first: Position,
    bytes: u64,
    /// The last record of each stream in it.
    last: BTreeMap<StreamName, Position>,
}

/// What stands for a stream's records beside the log.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamFiles {
    /// Up to here the log is not needed.
    pub(super) covered: Position,
    /// Files that stand for that, in their order.
    pub(super) files: Vec<StreamFile>,
    /// Its last record.
    pub(super) last: Position,
    /// How many bytes of records were found that no file stands for.
    pub(super) found_bytes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct StreamFile {
    pub(super) name: String,
    pub(super) coverage: Coverage,
    pub(super) to: Position,
    pub(super) bytes: u64,
}

/// What was found when a log was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) cut: Option<Cut>,
    /// Files that nothing needs any more.
    pub(super) superseded: Vec<String>,
}

fn segment_name(first: Position) -> String {
    format!("log-{:020}", first.0)
}

/// The endings of files that were never finished.
const UNFINISHED: &str = ".new";

impl Log {
    /// Opens what is in the folder, or begins.
    pub(super) fn open(disk: Disk, segment_bytes: u64) -> Result<Opened, OpenError> {
        let opened = Log::read_only(disk, segment_bytes)?;
        let log = &opened.log;
        // Whether what was read is on the disk or in a cache is unknown, and somebody is going to be told of it.
        if let Some(last) = log.segments.back() {
            log.disk.sync(&last.name).map_err(|source| log.disk_error("sync", &last.name, source))?;
        }
        // Files that nothing needs any more: one that can't be removed at this moment does no harm.
        for name in &opened.superseded {
            let _ = log.disk.remove(name);
        }
        Ok(opened)
    }

    /// Reads what is in the folder, and leaves it as it is.
    pub(super) fn read_only(disk: Disk, segment_bytes: u64) -> Result<Opened, OpenError> {
        let mut log = Log::of(disk, segment_bytes);
        let names = log.disk.list().map_err(|source| log.disk_error("list", "", source))?;
        let (mut superseded, mut segments) = (Vec::new(), Vec::new());
        for name in names {
            if name.ends_with(UNFINISHED) {
                superseded.push(name);
            } else if snapshot_file::is_name(&name) {
                let label = read_label_of(&log.disk, &name)?;
                log.add_file(name, label);
            } else if name.strip_prefix("log-").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                segments.push(name);
            }
        }
        superseded.extend(log.choose_files()?);
        let cut = log.scan(&segments)?;
        Ok(Opened { log, cut, superseded })
    }

    fn of(disk: Disk, segment_bytes: u64) -> Log {
        Log {
            disk,
            segment_bytes,
            open: None,
            segments: VecDeque::new(),
            durable: Position::START,
            streams: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    fn disk_error(&self, what: &'static str, name: &str, source: io::Error) -> OpenError {
        OpenError::Disk { what, path: self.disk.shown(name), source }
    }

    fn damaged(&self, name: &str, offset: usize, problem: String) -> OpenError {
        OpenError::Damaged { path: self.disk.shown(name), offset: offset as u64, problem }
    }

    fn add_file(&mut self, name: String, label: Label) {
        let file = StreamFile { name, coverage: label.coverage, to: label.to, bytes: label.length };
        self.streams.entry(label.stream).or_default().files.push(file);
    }

    /// Keeps of each stream's files those that stand for the most; returns the others.
    fn choose_files(&mut self) -> Result<Vec<String>, OpenError> {
        let mut superseded = Vec::new();
        let mut broken = None;
        for (stream, found) in &mut self.streams {
            let mut files = std::mem::take(&mut found.files);
            files.sort_by_key(|file| file.to);
            let is_whole = |file: &StreamFile| file.coverage == Coverage::Everything;
            if let Some(newest) = files.iter().rposition(is_whole) {
                found.covered = files[newest].to;
                found.files.push(files.swap_remove(newest));
                superseded.extend(files.into_iter().map(|file| file.name));
                continue;
            }
            // Parts follow one another. From the last one back, since one that failed to be installed may reach beyond its successor.
            let mut from = files.last().map(|file| file.to).unwrap_or_default();
            found.covered = from;
            while from > Position::START {
                let Some(index) = files.iter().rposition(|file| file.to == from) else {
                    let next = found.files.last().or(files.last()).map(|file| file.name.clone());
                    broken = Some((next.unwrap_or_default(), stream.clone(), from));
                    break;
                };
                let file = files.remove(index);
                from = match file.coverage {
                    Coverage::Behind(from) => from,
                    Coverage::Everything => Position::START,
                };
                found.files.push(file);
            }
            found.files.reverse();
            superseded.extend(files.into_iter().map(|file| file.name));
        }
        match broken {
            Some((name, stream, up_to)) => {
                let problem = format!("the part of stream {stream} up to record {} is missing before it", up_to.0);
                Err(self.damaged(&name, 0, problem))
            }
            None => Ok(superseded),
        }
    }

    /// Reads all segments and checks them. Returns what the last one has behind its last whole batch.
    fn scan(&mut self, names: &[String]) -> Result<Option<Cut>, OpenError> {
        let mut cut = None;
        let mut headers = Vec::new();
        for name in names {
            let (beginning, _) = self
                .disk
                .read_beginning(name, segment::HEADER_LENGTH)
                .map_err(|source| self.disk_error("read", name, source))?;
            match segment::read_header(&beginning) {
                Header::First(first) => headers.push((name, first)),
                Header::OtherFormat(format) => {
                    return Err(OpenError::Format { path: self.disk.shown(name), format, known: segment::FORMAT });
                }
                Header::Damaged => {
                    return Err(self.damaged(name, 0, "its header is wrong".into()));
                }
            }
        }
        let covered = self.streams.values().map(|stream| stream.covered).max().unwrap_or_default();
        match headers.first() {
            Some((_, first)) => self.durable = Position(first.0.saturating_sub(1)),
            None if covered > Position::START => {
                let name = segment_name(Position(1));
                return Err(self.damaged(&name, 0, "there are snapshots and no log".into()));
            }
            None => return Ok(cut),
        }
        for (index, (name, first)) in headers.iter().enumerate() {
            if *first != self.durable.next() {
                let problem = format!("records {} to {} are missing before it", self.durable.next().0, first.0 - 1);
                return Err(self.damaged(name, 0, problem));
            }
            let next = headers.get(index + 1).map(|(_, next)| *next);
            let torn = self.scan_segment(name, *first, next)?;
            cut = cut.or(torn);
        }
        if self.durable < covered {
            let (name, _) = headers.last().expect("there is one, as was seen above");
            let problem = format!("it ends at record {}, and there is a snapshot of {}", self.durable.0, covered.0);
            return Err(self.damaged(name, 0, problem));
        }
        if let Some(cut) = &mut cut {
            cut.position = self.durable.next();
        }
        Ok(cut)
    }

    /// Reads one segment up to where the next one begins. Returns what the last one has behind its last whole batch.
    fn scan_segment(&mut self, name: &str, first: Position, next: Option<Position>) -> Result<Option<Cut>, OpenError> {
        let bytes = self.disk.read(name).map_err(|source| self.disk_error("read", name, source))?;
        let mut last = BTreeMap::new();
        let mut offset = segment::HEADER_LENGTH;
        while next.is_none_or(|next| self.durable.next() < next) {
            let expected = self.durable.next();
            let Some(batch) = segment::batch_at(&bytes, offset).filter(|batch| batch.first == expected) else { break };
            for record in batch.records() {
                let record = record.ok_or_else(|| self.damaged(name, offset, "a record can't be read".into()))?;
                self.check_chain(name, offset, &record, &mut last)?;
            }
            self.durable = Position(self.durable.0 + u64::from(batch.count));
            offset = batch.end;
        }
        let stopped_at = self.durable.next();
        self.segments.push_back(Segment { name: name.to_owned(), first, bytes: bytes.len() as u64, last });
        match next {
            Some(next) if stopped_at < next => {
                let verb = if offset == bytes.len() { "are missing behind it" } else { "can't be read" };
                let problem = format!("records {} to {} {verb}", stopped_at.0, next.0 - 1);
                return Err(self.damaged(name, offset, problem));
            }
            Some(next) if stopped_at > next => {
                return Err(self.damaged(name, offset, format!("record {} is in two files", next.0)));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        if let Some(evidence) = segment::evidence_behind(&bytes, offset, stopped_at) {
            let problem = format!(
                "record {} can't be read, and was on the disk before record {} was written",
                stopped_at.0, evidence.first.0
            );
            return Err(self.damaged(name, offset, problem));
        }
        let left = bytes.len() - offset;
        let path = self.disk.shown(name);
        Ok((left > 0).then_some(Cut { path, offset: offset as u64, bytes: left as u64, position: stopped_at }))
    }

    /// Holds a record against the one of its stream before it.
    fn check_chain(
        &mut self,
        name: &str,
        offset: usize,
        record: &StoredRecord<'_>,
        last: &mut BTreeMap<StreamName, Position>,
    ) -> Result<(), OpenError> {
        let stream = StreamName::new(&record.stream)
            .ok_or_else(|| self.damaged(name, offset, format!("{:?} is no stream's name", record.stream)))?;
        let known = self.streams.entry(stream.clone()).or_default();
        let follows = if known.last > Position::START {
            record.before == known.last
        } else {
            // What it follows may be in a segment that was dropped.
            record.before <= known.covered || record.position <= known.covered
        };
        if !follows {
            let problem =
                format!("stream {stream} lacks its record {} before record {}", record.before.0, record.position.0);
            return Err(self.damaged(name, offset, problem));
        }
        known.last = record.position;
        if record.position > known.covered {
            known.found_bytes += record.bytes.len() as u64;
        }
        last.insert(stream, record.position);
        Ok(())
    }

    pub(super) fn durable(&self) -> Position {
        self.durable
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn streams(&self) -> &BTreeMap<StreamName, StreamFiles> {
        &self.streams
    }

    /// How many bytes its segments have.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// A stream for whose sake the oldest segment is there, and could be dropped otherwise.
    pub(super) fn pinned_by(&self) -> Option<&StreamName> {
        let oldest = self.segments.front().filter(|_| self.segments.len() > 1)?;
        oldest.last.iter().find(|(stream, last)| self.streams[stream].covered < **last).map(|(stream, _)| stream)
    }

    /// Writes records behind the last one and syncs them: all of them are durable after it, or none as far as anybody knows.
    /// Asked again with the same records it goes on where it failed.
    pub(super) fn commit(&mut self, records: &[NewRecord]) -> io::Result<()> {
        let first = self.durable.next();
        if self.open.as_ref().is_none_or(|(_, bytes)| *bytes >= self.segment_bytes) {
            self.begin_segment(first)?;
        }
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let mut last_stream = None;
        for record in records {
            segment::write_record(&mut body, record, last_stream);
            last_stream = Some(&record.stream);
        }
        let count = u32::try_from(records.len()).expect("a batch is bounded");
        let mut batch = Vec::with_capacity(body.len() + 64);
        segment::write_batch(&mut batch, first, self.durable, count, &body);
        self.scratch = body;
        let (file, bytes) = self.open.as_mut().expect("it was begun above");
        let written = file.append(&batch).and_then(|()| file.sync());
        *bytes += batch.len() as u64;
        let total = *bytes;
        if let Err(error) = written {
            self.open = None;
            return Err(error);
        }
        let segment = self.segments.back_mut().expect("the open one is the last");
        segment.bytes = total;
        for (record, position) in records.iter().zip(first.0..) {
            segment.last.insert(record.stream.clone(), Position(position));
            self.streams.entry(record.stream.clone()).or_default().last = Position(position);
        }
        self.durable = Position(self.durable.0 + u64::from(count));
        Ok(())
    }

    fn begin_segment(&mut self, first: Position) -> io::Result<()> {
        self.open = None;
        let name = segment_name(first);
        // One that was begun here before and given up has nothing in it.
        self.segments.retain(|segment| segment.first < first);
        // One of an earlier process is as it was until the very moment that this one takes its place.
        let unfinished = format!("{name}{UNFINISHED}");
        let mut file = self.disk.create(&unfinished)?;
        file.append(&segment::header(first))?;
        file.sync()?;
        self.disk.rename(&unfinished, &name)?;
        self.disk.sync_folder()?;
        let bytes = segment::HEADER_LENGTH as u64;
        self.open = Some((file, bytes));
        self.segments.push_back(Segment { name, first, bytes, last: BTreeMap::new() });
        Ok(())
    }

    /// Says at the log's end that all of it was durable: whatever can't be read after this was damaged.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if self.open.is_some() { self.commit(&[]) } else { Ok(()) }
    }

    /// Takes note of a file that stands for a stream's records, and drops what nobody needs any more.
    pub(super) fn install(&mut self, stream: &StreamName, file: StreamFile) -> io::Result<()> {
        let known = self.streams.entry(stream.clone()).or_default();
        let mut superseded = match file.coverage {
            // Two were under way at once, and the later one came first.
            Coverage::Everything if file.to < known.covered => vec![file],
            Coverage::Everything => {
                known.covered = file.to;
                std::mem::replace(&mut known.files, vec![file])
            }
            Coverage::Behind(_) => {
                known.covered = known.covered.max(file.to);
                known.files.push(file);
                Vec::new()
            }
        };
        // One of the same position has taken the other's place under its name.
        superseded.retain(|old| known.files.iter().all(|kept| kept.name != old.name));
        for file in superseded {
            // One that stays is left out when the folder is opened again.
            let _ = self.disk.remove(&file.name);
        }
        self.drop_covered()
    }

    /// Removes segments from the front, one after the other: never one before an older one is gone.
    fn drop_covered(&mut self) -> io::Result<()> {
        while self.segments.len() > 1 && self.pinned_by().is_none() {
            let name = &self.segments[0].name;
            match self.disk.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.disk.sync_folder()?;
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Reads the records of a stream that no file stands for, in their order, up to a position.
    pub(super) fn read(
        &self,
        stream: &StreamName,
        up_to: Position,
        mut take: impl FnMut(Position, &[u8]),
    ) -> Result<(), OpenError> {
        let covered = self.streams.get(stream).map(|known| known.covered).unwrap_or_default();
        let name: Arc<str> = stream.as_str().into();
        for (index, found) in self.segments.iter().enumerate() {
            if found.last.get(stream).is_none_or(|last| *last <= covered) {
                continue;
            }
            let next = self.segments.get(index + 1).map(|next| next.first);
            let end = next.map_or(up_to.next(), |next| next.min(up_to.next()));
            let bytes = self.disk.read(&found.name).map_err(|source| self.disk_error("read", &found.name, source))?;
            let (mut offset, mut position) = (segment::HEADER_LENGTH, found.first);
            while position < end {
                let unreadable = || self.damaged(&found.name, offset, format!("record {} can't be read", position.0));
                let batch = segment::batch_at(&bytes, offset).filter(|batch| batch.first == position);
                let batch = batch.ok_or_else(unreadable)?;
                for record in batch.records() {
                    let record = record.ok_or_else(unreadable)?;
                    if record.stream == name && record.position > covered && record.position <= up_to {
                        take(record.position, record.bytes);
                    }
                }
                position = Position(position.0 + u64::from(batch.count));
                offset = batch.end;
            }
        }
        Ok(())
    }
}

/// Writes a file that stands for a stream's records, so that it is there as a whole or not at all.
pub(super) fn write_file(disk: &Disk, file: &SnapshotFile) -> io::Result<StreamFile> {
    let name = snapshot_file::name_of(&file.stream, file.coverage, file.to);
    let unfinished = format!("{name}{UNFINISHED}");
    let bytes = snapshot_file::write(file);
    let written = disk.create(&unfinished).and_then(|mut new| {
        new.append(&bytes)?;
        new.sync()
    });
    if let Err(error) = written {
        // On a disk that is full it takes room.
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    disk.rename(&unfinished, &name)?;
    disk.sync_folder()?;
    Ok(StreamFile { name, coverage: file.coverage, to: file.to, bytes: file.bytes.len() as u64 })
}

/// Reads a file that stands for a stream's records.
pub(super) fn read_file(disk: &Disk, name: &str) -> Result<SnapshotFile, OpenError> {
    let bytes = disk.read(name).map_err(|source| OpenError::Disk { what: "read", path: disk.shown(name), source })?;
    snapshot_file::read(&bytes).map_err(|problem| unreadable(disk, name, problem))
}

fn read_label_of(disk: &Disk, name: &str) -> Result<Label, OpenError> {
    let (beginning, length) = disk
        .read_beginning(name, snapshot_file::LABEL_BYTES_MAX)
        .map_err(|source| OpenError::Disk { what: "read", path: disk.shown(name), source })?;
    let label = snapshot_file::read_label(&beginning).map_err(|problem| unreadable(disk, name, problem))?;
    if label.start as u64 + label.length + 4 != length {
        return Err(unreadable(disk, name, Unreadable::Damaged("its length is wrong")));
    }
    Ok(label)
}

fn unreadable(disk: &Disk, name: &str, problem: Unreadable) -> OpenError {
    let path = disk.shown(name);
    match problem {
        Unreadable::OtherFormat(format) => OpenError::Format { path, format, known: snapshot_file::FORMAT },
        Unreadable::Damaged(problem) => OpenError::Damaged { path, offset: 0, problem: problem.to_owned() },
    }
}
