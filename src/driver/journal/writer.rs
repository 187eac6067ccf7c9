//! Writes a journal. What is written is kept for a while and goes to the file in large pieces; see [`JournalWriter::flush`].

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{ActionsForm, JournalHeader, line};
use crate::control_plane::action::Action;
use crate::control_plane::event::Event;
use crate::model::units::Timestamp;

/// How much is kept before it goes to the file: large enough that a system call costs nothing beside what it writes.
const KEPT_BYTES: usize = 256 * 1024;

/// A journal could not be written.
#[derive(Debug, Error)]
#[error("cannot write the journal {}: {source}", path.display())]
pub struct JournalWriteError {
    path: PathBuf,
    source: std::io::Error,
}

/// A journal that is written. Dropping it writes what it has kept.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    file: File,
    form: ActionsForm,
    kept: Vec<u8>,
    /// Where the line of an event that has begun starts in it.
    begun: Option<usize>,
    /// The checksum of the last line.
    checksum: u32,
    scratch: Vec<u8>,
}

impl JournalWriter {
    /// Creates the file, for its owner alone, or empties it, and writes the header.
    ///
    /// # Errors
    /// When it can't be created or written.
    pub fn create(path: &Path, header: &JournalHeader) -> Result<JournalWriter, JournalWriteError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // Environment variables of containers are in it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|source| JournalWriteError { path: path.to_owned(), source })?;
        let mut writer = JournalWriter {
            path: path.to_owned(),
            file,
            form: header.actions,
            kept: Vec::with_capacity(2 * KEPT_BYTES),
            begun: None,
            checksum: 0,
            scratch: Vec::new(),
        };
        line::append(&mut writer.kept, header);
        // The checksum is a member like the others.
        let closing_brace = writer.kept.pop();
        debug_assert_eq!(closing_brace, Some(b'}'), "a header is an object");
        writer.checksum = line::end(&mut writer.kept, 0, 0);
        writer.flush()?;
        Ok(writer)
    }

    /// Writes an event that is about to be taken in. Its actions follow: one that a panic keeps from them is in the journal too.
    ///
    /// # Panics
    /// When the actions of the event before did not follow.
    pub fn event(&mut self, at: Timestamp, event: &Event) {
        assert!(self.begun.is_none(), "an event is written with its actions before the next one");
        self.begun = Some(self.kept.len());
        line::begin(&mut self.kept, at, event);
    }

    /// Writes the actions of the event that was written last.
    ///
    /// # Errors
    /// When the file can't be written. Nothing that is written later can be read.
    ///
    /// # Panics
    /// When there is no such event.
    pub fn actions(&mut self, actions: &[Action]) -> Result<(), JournalWriteError> {
        let start = self.begun.take().expect("actions are written after their event");
        match self.form {
            ActionsForm::Whole => line::actions(&mut self.kept, actions),
            ActionsForm::Digest => line::digest(&mut self.kept, &mut self.scratch, actions),
        }
        self.checksum = line::end(&mut self.kept, start, self.checksum);
        if self.kept.len() >= KEPT_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes an event with its actions.
    ///
    /// # Errors
    /// As [`JournalWriter::actions`].
    pub fn record(&mut self, at: Timestamp, event: &Event, actions: &[Action]) -> Result<(), JournalWriteError> {
        self.event(at, event);
        self.actions(actions)
    }

    /// Hands everything that is written to the operating system: from here on it outlives this process.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn flush(&mut self) -> Result<(), JournalWriteError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.kept);
        self.kept.clear();
        written.map_err(|source| JournalWriteError { path: self.path.clone(), source })
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        if let Some(start) = self.begun.take() {
            line::end(&mut self.kept, start, self.checksum);
        }
        // Whoever wants to know whether it succeeds calls `flush`.
        let _ = self.flush();
    }
}
