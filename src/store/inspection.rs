//! A data directory looked at without opening it: every file held against its checksums, and what a stream has. Nothing is changed, and
//! the directory may be another process'.

use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::{Cut, OpenError};
use super::log::{self, Log, Opened};
use super::segment::{self, Header};
use super::snapshot_file::{self, Coverage};
use super::{Position, StreamName};

/// What was found in a data directory.
#[derive(Debug)]
pub struct Inspection {
    /// One for each file, in the order of names.
    pub files: Vec<FileFound>,
    /// The log's end, when it can be opened.
    pub end: Result<Position, OpenError>,
    /// What a crash has left at its end.
    pub cut: Option<Cut>,
}

/// A file.
#[derive(Debug)]
pub struct FileFound {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// What it holds, or what is wrong with it.
    pub content: Result<String, OpenError>,
}

impl Inspection {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.end.is_ok() && self.files.iter().all(|file| file.content.is_ok())
    }
}

/// Reads every file of a data directory and checks it.
///
/// # Errors
/// When the folder itself can't be read.
pub fn inspect(folder: &Path) -> Result<Inspection, OpenError> {
    let disk = Disk::Os(folder.to_owned());
    let unlisted = |source| OpenError::Disk { what: "list", path: folder.to_owned(), source };
    let names = disk.list().map_err(unlisted)?;
    let ours = names.iter().filter(|name| name.starts_with("log-") || snapshot_file::is_name(name));
    let files = ours.map(|name| look_at(&disk, name)).collect();
    let (end, cut) = match Log::read_only(disk, u64::MAX) {
        Ok(Opened { log, cut, .. }) => (Ok(log.durable()), cut),
        Err(error) => (Err(error), None),
    };
    Ok(Inspection { files, end, cut })
}

fn look_at(disk: &Disk, name: &str) -> FileFound {
    let path = disk.shown(name);
    let bytes = match disk.read(name) {
        Ok(bytes) => bytes,
        Err(source) => {
            let content = Err(OpenError::Disk { what: "read", path: path.clone(), source });
            return FileFound { path, bytes: 0, content };
        }
    };
    let content = if snapshot_file::is_name(name) {
        log::read_file(disk, name).map(|file| match file.coverage {
            Coverage::Everything => format!("snapshot of {} up to record {}", file.stream, file.to.0),
            Coverage::Behind(from) => format!("part of {}: records {} to {}", file.stream, from.0 + 1, file.to.0),
        })
    } else {
        segment_content(&path, &bytes)
    };
    FileFound { path, bytes: bytes.len() as u64, content }
}

/// What a segment holds up to where it can't be read. Whether that is its end only its neighbours tell.
fn segment_content(path: &Path, bytes: &[u8]) -> Result<String, OpenError> {
    let damaged = |offset: usize, problem: &str| OpenError::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        problem: problem.to_owned(),
    };
    let first = match segment::read_header(bytes) {
        Header::First(first) => first,
        Header::OtherFormat(format) => {
            return Err(OpenError::Format { path: path.to_owned(), format, known: segment::FORMAT });
        }
        Header::Damaged => return Err(damaged(0, "its header is wrong")),
    };
    let (mut offset, mut next, mut batches) = (segment::HEADER_LENGTH, first, 0u64);
    while let Some(batch) = segment::batch_at(bytes, offset) {
        if batch.records().any(|record| record.is_none()) {
            return Err(damaged(offset, "a record can't be read"));
        }
        next = Position(batch.first.0 + u64::from(batch.count));
        offset = batch.end;
        batches += 1;
    }
    if segment::evidence_behind(bytes, offset, next).is_some() {
        return Err(damaged(offset, &format!("record {} can't be read, and was on the disk", next.0)));
    }
    let rest = bytes.len() - offset;
    let unfinished = if rest > 0 { format!(", and {rest} bytes that were never finished") } else { String::new() };
    Ok(format!("records {} to {} in {batches} batches{unfinished}", first.0, next.0.saturating_sub(1)))
}

/// What a stream has: its snapshot, its parts and every record behind them, in their order.
///
/// # Errors
/// When something can't be read.
pub fn read_streams(
    folder: &Path,
    mut snapshot: impl FnMut(&StreamName, Position, &[u8]),
    mut record: impl FnMut(&StreamName, Position, &[u8]),
) -> Result<(), OpenError> {
    let log = Log::read_only(Disk::Os(folder.to_owned()), u64::MAX)?.log;
    for (stream, known) in log.streams() {
        for file in &known.files {
            snapshot(stream, file.to, &log::read_file(log.disk(), &file.name)?.bytes);
        }
        log.read(stream, log.durable(), |position, bytes| record(stream, position, bytes))?;
    }
    Ok(())
}
