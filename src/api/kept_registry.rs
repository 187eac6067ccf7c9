//! A region's registry in a data directory: each change of a row is on the disk before the request that made it is answered.
//!
//! What a request changed is one record of the region's stream, and a snapshot is all rows. Rows are JSON, as the registry has them.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::registry::{Change, Registry};
use crate::store::{OpenError, Position, Store, StreamName, WriteTrouble};

/// The version of records that is written and read.
const FORMAT: u32 = 1;
/// What the names of these streams begin with.
const STREAMS: &str = "registry.";

/// Why a registry can't be read.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// The data directory can't be read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A record is not one that this version reads.
    #[error(
        "{}: record {position} of stream {stream} can't be read: {problem}; open the data directory with the version of longshore \
         that wrote it",
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
    },
}

/// Changes as they are written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    changes: Vec<Change>,
}

/// Where a region's registry is kept.
#[derive(Debug)]
pub(super) struct KeptRegistry {
    store: Arc<Store>,
    stream: StreamName,
    last: Mutex<Position>,
}

/// The regions whose registries are in a data directory.
pub(super) fn kept_regions(store: &Store) -> Vec<String> {
    let streams = store.streams();
    streams.iter().filter_map(|stream| stream.as_str().strip_prefix(STREAMS).map(str::to_owned)).collect()
}

impl KeptRegistry {
    /// The registry of a region as it was kept.
    pub(super) fn open(store: &Arc<Store>, region: &str) -> Result<(KeptRegistry, Registry), RegistryError> {
        let stream = StreamName::new(&format!("{STREAMS}{region}")).expect("names of regions are plain");
        let mut registry = Registry::default();
        if let Some((position, bytes)) = store.snapshot(&stream)? {
            restore(store, &stream, position, &bytes, &mut registry)?;
        }
        let mut problem = None;
        store.read(&stream, |position, bytes| {
            if problem.is_none() {
                problem = restore(store, &stream, position, bytes, &mut registry).err();
            }
        })?;
        match problem {
            Some(problem) => Err(problem),
            None => Ok((KeptRegistry { store: store.clone(), stream, last: Mutex::new(Position::START) }, registry)),
        }
    }

    /// Why nothing can be written at this moment.
    pub(super) fn trouble(&self) -> Option<WriteTrouble> {
        self.store.trouble()
    }

    /// Hands over what was changed, while the registry is locked; says what is to be waited for.
    pub(super) fn append(&self, registry: &mut Registry) -> Position {
        let changes = registry.take_changes();
        let mut last = self.last.lock();
        if !changes.is_empty() {
            *last = self.store.append(vec![(self.stream.clone(), bytes_of(changes))]);
            // Rows are few, and those of the last time tell how large they are.
            if self.store.wants_snapshot(&self.stream, 0) {
                let (store, stream, to) = (self.store.clone(), self.stream.clone(), *last);
                let rows = registry.rows();
                // One that can't be begun or written is tried again when there are more changes.
                let write = move || store.put_snapshot(&stream, to, bytes_of(rows));
                let _ = std::thread::Builder::new().name("longshore-snapshot".into()).spawn(write);
            }
        }
        *last
    }

    /// Waits until that is on the disk.
    pub(super) fn wait(&self, position: Position) -> Result<(), WriteTrouble> {
        self.store.wait_durable(position)
    }
}

fn bytes_of(changes: Vec<Change>) -> Vec<u8> {
    serde_json::to_vec(&Written { format: FORMAT, changes }).expect("rows are plain data")
}

fn restore(
    store: &Store,
    stream: &StreamName,
    position: Position,
    bytes: &[u8],
    registry: &mut Registry,
) -> Result<(), RegistryError> {
    let unreadable = |problem: String| RegistryError::Unreadable {
        path: store.path().to_owned(),
        stream: stream.to_string(),
        position: position.0,
        problem,
    };
    let written: Written = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    if written.format != FORMAT {
        return Err(unreadable(format!("it is of format {}", written.format)));
    }
    written
        .changes
        .iter()
        .try_for_each(|change| registry.restore(change))
        .map_err(|error| unreadable(error.to_string()))
}
