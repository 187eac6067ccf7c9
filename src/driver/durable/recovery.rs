//! A cluster as its stream says that it was: the last snapshot, led through the events behind it.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::meter_event;
use super::record::{self, Ahead, Beginning, FORMAT, InForceForm, Record, Saved};
use crate::catalog::Catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::Action;
use crate::control_plane::event::Event;
use crate::driver::ledger::LedgerCluster;
use crate::metering::meter::Meter;
use crate::metering::price::PriceBook;
use crate::model::ids::RequestId;
use crate::model::units::Timestamp;
use crate::store::{OpenError, Position, Store, StreamName};

/// Why a cluster can't be recovered.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The data directory can't be read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A record or a snapshot of it is not one that this version reads.
    #[error(
        "{}: record {position} of stream {stream} can't be read: {problem}; open the data directory with the version of \
         longshore that wrote it ({written_by}), and end its clusters in good order",
        path.display()
    )]
    Unreadable {
        /// The data directory.
        path: PathBuf,
        /// The stream.
        stream: String,
        /// The record's position, or the snapshot's.
        position: u64,
        /// What is wrong.
        problem: String,
        /// The version that wrote what comes before it.
        written_by: String,
    },
    /// The same events do not lead to the same state.
    #[error(
        "{}: record {position} of stream {stream}, at {at}, leads to another state than it did when it was written by longshore \
         {written_by}; this is longshore {}: open the data directory with that version, and end its clusters in good order",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    Differs {
        /// The data directory.
        path: PathBuf,
        /// The stream.
        stream: String,
        /// The record's position.
        position: u64,
        /// When it was.
        at: Timestamp,
        /// The version that wrote it.
        written_by: String,
    },
}

/// A cluster as it was at its last record.
#[derive(Debug)]
pub(in crate::driver) struct Recovered {
    pub(in crate::driver) region: Arc<str>,
    /// When it began by the operating system's calendar.
    pub(in crate::driver) began_at: jiff::Timestamp,
    pub(in crate::driver) control_plane: ControlPlane,
    pub(in crate::driver) meter: Meter,
    pub(in crate::driver) in_force: InForceForm,
    pub(in crate::driver) ahead: Ahead,
    /// The number of the last request.
    pub(in crate::driver) last_request: u64,
}

impl Recovered {
    /// The cluster as its ledger knows it.
    pub(in crate::driver) fn ledger_cluster(&self) -> LedgerCluster {
        LedgerCluster::of(&self.control_plane, &self.region, self.began_at)
    }
}

/// Leads a cluster through its records.
struct Recovery<'a> {
    store: &'a Store,
    stream: &'a StreamName,
    catalog: &'a Catalog,
    found: Option<Recovered>,
    written_by: String,
    problem: Option<RecoverError>,
}

impl Recovery<'_> {
    fn unreadable(&self, position: Position, problem: String) -> RecoverError {
        RecoverError::Unreadable {
            path: self.store.path().to_owned(),
            stream: self.stream.to_string(),
            position: position.0,
            problem,
            written_by: self.written_by.clone(),
        }
    }

    fn price_book(&self, position: Position, region: &str) -> Result<PriceBook, RecoverError> {
        let book = self.catalog.price_book(region);
        book.ok_or_else(|| self.unreadable(position, format!("no prices are known for region {region}")))
    }

    fn take_snapshot(&mut self, position: Position, bytes: &[u8]) -> Result<(), RecoverError> {
        let saved: Saved = record::read(bytes).map_err(|problem| self.unreadable(position, problem))?;
        self.written_by = saved.written_by.to_string();
        if saved.format != FORMAT {
            return Err(self.unreadable(position, format!("it is of format {}", saved.format)));
        }
        let book = self.price_book(position, &saved.region)?;
        let Saved { format: _, written_by: _, region, began_at, control_plane, meter, in_force, ahead, last_request } =
            saved;
        let began_at = began_at.or(control_plane.settings().calendar_start).unwrap_or_default();
        let meter = Meter::of_written(book, meter);
        self.found = Some(Recovered { region, began_at, control_plane, meter, in_force, ahead, last_request });
        Ok(())
    }

    fn take(&mut self, position: Position, record: Record) -> Result<(), RecoverError> {
        match (record, &mut self.found) {
            (Record::Begun(beginning), _) => {
                self.written_by = beginning.written_by.to_string();
                if beginning.format != FORMAT {
                    return Err(self.unreadable(position, format!("it is of format {}", beginning.format)));
                }
                let book = self.price_book(position, &beginning.region)?;
                // What a cluster of the same name that is over has used is in its ledger by then.
                self.found = Some(Recovered::of_beginning(*beginning, book));
            }
            (_, None) => return Err(self.unreadable(position, "no cluster has begun before it".into())),
            (Record::InForce(in_force), Some(saved)) => saved.in_force = *in_force,
            (Record::Ahead(ahead), Some(saved)) => saved.ahead = *ahead,
            (Record::Event(at, event, fingerprint), Some(saved)) => {
                if at < saved.control_plane.now() {
                    return Err(self.unreadable(position, "time goes back".into()));
                }
                saved.take_in(at, event);
                if saved.control_plane.fingerprint() != fingerprint {
                    return Err(RecoverError::Differs {
                        path: self.store.path().to_owned(),
                        stream: self.stream.to_string(),
                        position: position.0,
                        at,
                        written_by: self.written_by.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Recovered {
    fn of_beginning(beginning: Beginning, book: PriceBook) -> Recovered {
        let calendar_start = beginning.settings.calendar_start.unwrap_or_default();
        Recovered {
            region: beginning.region,
            began_at: beginning.began_at.unwrap_or(calendar_start),
            control_plane: ControlPlane::new(&beginning.cluster, beginning.settings.clone()),
            meter: Meter::new(book).keep_records(calendar_start),
            in_force: InForceForm { spec: Default::default(), revisions: Default::default() },
            ahead: Ahead::default(),
            last_request: 0,
        }
    }

    fn take_in(&mut self, at: Timestamp, event: Event) {
        if let Event::Request { request_id: RequestId(number), .. } = &event {
            self.last_request = self.last_request.max(*number);
        }
        meter_event(&mut self.meter, at, &event);
        for action in self.control_plane.apply(at, event) {
            if let Action::Meter(fact) = action {
                self.meter.record(&fact);
            }
        }
    }
}

/// The cluster of a stream as it was at its last record; `None` when there has been none.
///
/// # Errors
/// When something of it can't be read, or it would not be the one that it was.
pub(in crate::driver) fn recover(
    store: &Store,
    stream: &StreamName,
    catalog: &Catalog,
) -> Result<Option<Recovered>, RecoverError> {
    let mut recovery =
        Recovery { store, stream, catalog, found: None, written_by: env!("CARGO_PKG_VERSION").into(), problem: None };
    if let Some((position, bytes)) = store.snapshot(stream)? {
        recovery.take_snapshot(position, &bytes)?;
    }
    store.read(stream, |position, bytes| {
        if recovery.problem.is_none() {
            let read = record::read(bytes).map_err(|problem| recovery.unreadable(position, problem));
            recovery.problem = read.and_then(|record| recovery.take(position, record)).err();
        }
    })?;
    match recovery.problem {
        Some(problem) => Err(problem),
        None => Ok(recovery.found),
    }
}
