//! The journal of a driver: when it goes to the file, and what becomes of it when it can't.
//!
//! A journal that can't be written is no reason to end a cluster. It ends there, since nothing could be read behind a gap, and its
//! trouble is told.

use std::sync::Arc;

use super::journal::writer::{JournalWriteError, JournalWriter};
use super::journal::{JournalHeader, JournalOptions};
use crate::control_plane::ControlPlane;
use crate::control_plane::action::Action;
use crate::control_plane::event::Event;
use crate::model::units::{Duration, Timestamp};

/// The longest that a busy loop keeps what it has written. One that is idle keeps nothing.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// The journal of a cluster, if there is to be one.
#[derive(Debug)]
pub(super) struct KeptJournal {
    writer: Option<JournalWriter>,
    flushed_at: Timestamp,
    trouble: Option<Arc<str>>,
}

impl KeptJournal {
    /// Creates the journal of a cluster that begins, if there is to be one.
    pub(super) fn open(
        options: Option<&JournalOptions>,
        control_plane: &ControlPlane,
        region: &str,
    ) -> Result<KeptJournal, JournalWriteError> {
        let create = |options: &JournalOptions| {
            JournalWriter::create(&options.path, &JournalHeader::of(control_plane, region, options.actions))
        };
        let writer = options.map(create).transpose()?;
        Ok(KeptJournal { writer, flushed_at: Timestamp::ZERO, trouble: None })
    }

    /// Writes an event that is about to be taken in.
    pub(super) fn event(&mut self, at: Timestamp, event: &Event) {
        if let Some(writer) = &mut self.writer {
            writer.event(at, event);
        }
    }

    /// Writes what followed from it, before it is carried out.
    pub(super) fn actions(&mut self, actions: &[Action]) {
        self.write(|writer| writer.actions(actions));
    }

    /// Hands what was kept to the operating system.
    pub(super) fn flush(&mut self, now: Timestamp) {
        self.flushed_at = now;
        self.write(JournalWriter::flush);
    }

    /// The same, if it was kept for long enough.
    pub(super) fn flush_when_due(&mut self, now: Timestamp) {
        if now.since(self.flushed_at) >= KEPT_FOR {
            self.flush(now);
        }
    }

    /// Why nothing is written any more, if that is so.
    pub(super) fn trouble(&self) -> Option<&Arc<str>> {
        self.trouble.as_ref()
    }

    fn write(&mut self, write: impl FnOnce(&mut JournalWriter) -> Result<(), JournalWriteError>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            self.writer = None;
            self.trouble = Some(format!("{error}: nothing is written from here on").into());
        }
    }
}
