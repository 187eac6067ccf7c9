//! Leads a control plane through the events of a journal, and holds what it does against what was recorded.
//!
//! The meter is fed as a driver feeds it, so that the bill at any moment is the one that the cluster had. What only the data plane
//! knew is not in a journal: how long jobs took, what the host delivered.

use std::fmt;
use std::path::Path;

use serde_json::value::RawValue;
use thiserror::Error;

use super::ActionsForm;
use super::line::{self, ActionsDigest};
use super::reader::{JournalReadError, JournalReader, JournalRecord};
use crate::catalog::Catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::Action;
use crate::control_plane::event::Event;
use crate::metering::meter::Meter;
use crate::model::units::Timestamp;

/// Why a replay can't go on.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The journal can't be read.
    #[error(transparent)]
    Read(#[from] JournalReadError),
    /// The journal names a region without prices.
    #[error("no prices are known for region {0}, which the journal names")]
    UnknownRegion(String),
    /// The control plane does something else than was recorded.
    #[error(transparent)]
    Differs(#[from] Box<Difference>),
}

/// An event that does not lead to the actions that were recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Difference {
    /// The event's number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// The event as it is written.
    pub event: String,
    /// What differs.
    pub actions: DifferingActions,
    /// The version of Longshore that wrote the journal.
    pub written_by: String,
}

/// How actions differ from those recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferingActions {
    /// The first that differs, as it is written.
    First {
        /// Its position, from 1.
        position: usize,
        /// `None` when there are fewer.
        recorded: Option<String>,
        /// `None` when there are fewer.
        found: Option<String>,
    },
    /// A digest was recorded, and no actions.
    Digest {
        /// As it is written.
        recorded: String,
        /// As it would be written.
        found: String,
        /// The actions that were found, as they would be written.
        found_actions: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { number, at, event, actions, written_by } = self;
        write!(f, "event {number} at {at} leads to other actions than those recorded\n  event:    {event}")?;
        match actions {
            DifferingActions::First { position, recorded, found } => {
                let shown = |action: &Option<String>| action.clone().unwrap_or_else(|| "no such action".into());
                let (recorded, found) = (shown(recorded), shown(found));
                write!(f, "\n  action {position} is the first to differ\n  recorded: {recorded}\n  found:    {found}")?;
            }
            DifferingActions::Digest { recorded, found, found_actions } => {
                write!(f, "\n  recorded: {recorded}\n  found:    {found}\n  that is:  {found_actions}")?;
            }
        }
        let this = env!("CARGO_PKG_VERSION");
        if written_by != this {
            write!(f, "\n  the journal was written by longshore {written_by}, and this is longshore {this}")?;
        }
        Ok(())
    }
}

/// A journal that is replayed.
#[derive(Debug)]
pub struct Replay {
    reader: JournalReader,
    control_plane: ControlPlane,
    meter: Meter,
    /// What was looked at and not taken in.
    next: Option<(JournalRecord, Event)>,
    replayed: u64,
    /// Actions as they would be written.
    found: Vec<u8>,
}

impl Replay {
    /// Opens a journal.
    ///
    /// # Errors
    /// When it can't be read, or names a region without prices.
    pub fn open(path: &Path) -> Result<Replay, ReplayError> {
        let reader = JournalReader::open(path)?;
        let header = reader.header();
        let book = Catalog::embedded()
            .price_book(&header.region)
            .ok_or_else(|| ReplayError::UnknownRegion(header.region.to_string()))?;
        let control_plane = ControlPlane::new(&header.cluster, header.settings.clone());
        Ok(Replay { reader, control_plane, meter: Meter::new(book), next: None, replayed: 0, found: Vec::new() })
    }

    /// The journal.
    pub fn reader(&self) -> &JournalReader {
        &self.reader
    }

    /// The control plane after what was taken in.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The meter after what was taken in.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How many events were taken in with the actions that were recorded.
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// The event that [`Replay::step`] takes in next; `None` at the end.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn peek(&mut self) -> Result<Option<&JournalRecord>, ReplayError> {
        if self.next.is_none() {
            self.next = self.reader.read()?;
        }
        Ok(self.next.as_ref().map(|(record, _)| record))
    }

    /// Takes in the next event and returns it; `None` at the end.
    ///
    /// # Errors
    /// When it can't be read, or its actions are not those recorded.
    pub fn step(&mut self) -> Result<Option<JournalRecord>, ReplayError> {
        self.peek()?;
        let Some((record, event)) = self.next.take() else { return Ok(None) };
        if let Event::Usage { samples } = &event {
            for sample in samples {
                self.meter.note_usage(sample);
            }
        }
        let actions = self.control_plane.apply(record.at, event);
        self.compare(&record, &actions)?;
        self.replayed = record.number;
        for action in &actions {
            if let Action::Meter(fact) = action {
                self.meter.record(fact);
            }
        }
        Ok(Some(record))
    }

    /// Reads on without taking anything in: up to `most` events that follow, and why they can't be read further, if that is so.
    pub fn following(mut self, most: usize) -> (Vec<JournalRecord>, Option<JournalReadError>) {
        let mut following: Vec<JournalRecord> = self.next.take().into_iter().map(|(record, _)| record).collect();
        while following.len() < most {
            match self.reader.read() {
                Ok(Some((record, _))) => following.push(record),
                Ok(None) => break,
                Err(error) => return (following, Some(error)),
            }
        }
        (following, None)
    }

    fn compare(&mut self, record: &JournalRecord, actions: &[Action]) -> Result<(), Box<Difference>> {
        // Without actions, whoever wrote the journal ended before it knew them.
        let Some(recorded) = record.actions_text() else { return Ok(()) };
        let header = self.reader.header();
        self.found.clear();
        line::append(&mut self.found, actions);
        let differing = match header.actions {
            ActionsForm::Whole if recorded.as_bytes() == self.found => return Ok(()),
            ActionsForm::Whole => first_to_differ(recorded, &self.found),
            ActionsForm::Digest => {
                let mut found = Vec::new();
                line::append(&mut found, &ActionsDigest::of(actions.len(), &self.found));
                if recorded.as_bytes() == found {
                    return Ok(());
                }
                DifferingActions::Digest {
                    recorded: recorded.to_owned(),
                    found: String::from_utf8_lossy(&found).into_owned(),
                    found_actions: String::from_utf8_lossy(&self.found).into_owned(),
                }
            }
        };
        Err(Box::new(Difference {
            number: record.number,
            at: record.at,
            event: record.event_text().to_owned(),
            actions: differing,
            written_by: header.written_by.to_string(),
        }))
    }
}

fn first_to_differ(recorded: &str, found: &[u8]) -> DifferingActions {
    let list = |text: &[u8]| serde_json::from_slice::<Vec<Box<RawValue>>>(text).unwrap_or_default();
    let (recorded, found) = (list(recorded.as_bytes()), list(found));
    let same = recorded.iter().zip(&found).take_while(|(recorded, found)| recorded.get() == found.get()).count();
    let action = |list: &[Box<RawValue>]| list.get(same).map(|action| action.get().to_owned());
    DifferingActions::First { position: same + 1, recorded: action(&recorded), found: action(&found) }
}
