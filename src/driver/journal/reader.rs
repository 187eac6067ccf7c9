//! Reads a journal, one event after the other, and says what is wrong with it and where.
//!
//! A last line that is not whole was being written when its process ended: it is left out, and [`JournalReader::torn_at`] says so.
//! Everything else that is not as it was written is an error.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{FORMAT, JournalHeader, line};
use crate::control_plane::event::Event;
use crate::model::units::Timestamp;

/// More than any header takes, so that a file without lines is not read whole to find out that it is no journal.
const HEADER_BYTES_MAX: u64 = 1 << 20;
const READ_BYTES: usize = 256 * 1024;

/// Why a journal can't be read.
#[derive(Debug, Error)]
pub enum JournalReadError {
    /// The file can't be read.
    #[error("cannot read the journal {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{} is not a journal: its first line is not the header that `longshore run --journal` writes", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Its format is not known here.
    #[error(
        "the journal {} is written in format {found} by longshore {written_by}, and this is longshore {}, which reads format {FORMAT}: \
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
    #[error("the journal {} is corrupt at byte {offset} ({}): {problem}", path.display(), Line(*number))]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The number of the event, 0 for the header.
        number: u64,
        /// Where its line begins.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A line is as it was written, and means nothing here.
    #[error(
        "the journal {} can't be understood at byte {offset} ({}): {problem}; it was written by longshore {written_by}, and this is \
         longshore {}",
        path.display(),
        Line(*number),
        env!("CARGO_PKG_VERSION")
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The number of the event, 0 for the header.
        number: u64,
        /// Where its line begins.
        offset: u64,
        /// What is wrong.
        problem: String,
        /// The version of Longshore that wrote it.
        written_by: String,
    },
}

/// A line by its number.
struct Line(u64);

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("the header"),
            number => write!(f, "event {number}"),
        }
    }
}

/// An event of a journal as it is written there.
#[derive(Clone, Debug)]
pub struct JournalRecord {
    /// Its number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    line: Vec<u8>,
    event_text: Range<usize>,
    actions_text: Option<Range<usize>>,
}

impl JournalRecord {
    /// The event as it is written.
    pub fn event_text(&self) -> &str {
        text(&self.line[self.event_text.clone()])
    }

    /// Its actions, or their digest, as they are written. `None` when whoever wrote the journal ended while it took the event in.
    pub fn actions_text(&self) -> Option<&str> {
        self.actions_text.clone().map(|range| text(&self.line[range]))
    }
}

fn text(bytes: &[u8]) -> &str {
    // The checksum has shown that the line is as it was written, and only text is.
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// A journal that is read.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    bytes: u64,
    header: JournalHeader,
    checksum: u32,
    offset: u64,
    number: u64,
    last_at: Timestamp,
    torn_at: Option<u64>,
}

/// What every version of the format has in its header.
#[derive(Deserialize)]
struct FormatOf {
    longshore_journal: u32,
    #[serde(default)]
    written_by: String,
}

impl JournalReader {
    /// Opens a journal and reads its header.
    ///
    /// # Errors
    /// When it can't be read, is no journal, or one in another format.
    pub fn open(path: &Path) -> Result<JournalReader, JournalReadError> {
        let unreadable = |source| JournalReadError::File { path: path.to_owned(), source };
        let not_a_journal = || JournalReadError::NotAJournal { path: path.to_owned() };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        let mut line = Vec::new();
        (&mut file).take(HEADER_BYTES_MAX).read_until(b'\n', &mut line).map_err(unreadable)?;
        let offset = line.len() as u64;
        if line.pop() != Some(b'\n') {
            return Err(not_a_journal());
        }
        let format: FormatOf = serde_json::from_slice(&line).map_err(|_| not_a_journal())?;
        if format.longshore_journal != FORMAT {
            let (found, written_by) = (format.longshore_journal, format.written_by);
            return Err(JournalReadError::UnknownFormat { path: path.to_owned(), found, written_by });
        }
        let (body, checksum) = line::checked(&line, 0).map_err(|problem| JournalReadError::Corrupt {
            path: path.to_owned(),
            number: 0,
            offset: 0,
            problem,
        })?;
        // The checksum stands where the header's own closing brace would.
        let header = [body, b"}"].concat();
        let header = serde_json::from_slice(&header).map_err(|error| JournalReadError::Unreadable {
            path: path.to_owned(),
            number: 0,
            offset: 0,
            problem: error.to_string(),
            written_by: format.written_by,
        })?;
        Ok(JournalReader {
            path: path.to_owned(),
            file,
            bytes,
            header,
            checksum,
            offset,
            number: 0,
            last_at: Timestamp::ZERO,
            torn_at: None,
        })
    }

    /// What it begins with.
    pub fn header(&self) -> &JournalHeader {
        &self.header
    }

    /// How many bytes have been read, and how many there were when it was opened.
    pub fn progress(&self) -> (u64, u64) {
        (self.offset, self.bytes)
    }

    /// Where a last line begins that is not whole. Known when everything before it has been read.
    pub fn torn_at(&self) -> Option<u64> {
        self.torn_at
    }

    /// The next event; `None` after the last one.
    ///
    /// # Errors
    /// When the file can't be read, or a line is not as it was written.
    pub fn read(&mut self) -> Result<Option<(JournalRecord, Event)>, JournalReadError> {
        if self.torn_at.is_some() {
            return Ok(None);
        }
        let mut line = Vec::new();
        let length = self
            .file
            .read_until(b'\n', &mut line)
            .map_err(|source| JournalReadError::File { path: self.path.clone(), source })?;
        if length == 0 {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            self.torn_at = Some(self.offset);
            return Ok(None);
        }
        let number = self.number + 1;
        let (body, checksum) = line::checked(&line, self.checksum).map_err(|problem| self.corrupt(problem))?;
        let parts = line::parts(body).map_err(|problem| JournalReadError::Unreadable {
            path: self.path.clone(),
            number,
            offset: self.offset,
            problem,
            written_by: self.header.written_by.to_string(),
        })?;
        if parts.at < self.last_at {
            return Err(self.corrupt(format!("time goes back from {} to {}", self.last_at, parts.at)));
        }
        self.number = number;
        self.checksum = checksum;
        self.last_at = parts.at;
        self.offset += length as u64;
        let line::Parts { at, event, event_text, actions_text } = parts;
        Ok(Some((JournalRecord { number, at, line, event_text, actions_text }, event)))
    }

    /// What is wrong with the line that was read last.
    fn corrupt(&self, problem: String) -> JournalReadError {
        JournalReadError::Corrupt { path: self.path.clone(), number: self.number + 1, offset: self.offset, problem }
    }
}
