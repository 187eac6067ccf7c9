//! Why a data directory can't be opened, and why nothing can be written to it.

use std::path::PathBuf;

use thiserror::Error;

use super::Position;

/// Why a data directory can't be opened or read.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk says no.
    #[error("cannot {what} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another process: a data directory belongs to one at a time", .0.display())]
    InUse(PathBuf),
    /// A file is not as it was written. Nothing is guessed, and nothing was changed.
    #[error(
        "{}: damaged at offset {offset}: {problem}; `longshore data check` says what else is, and a copy made \
         before can be put in its place",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A file is of a version that this one does not read.
    #[error(
        "{} is of format {format}, and this is longshore {}, which reads format {known}: open it with the version that wrote it",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// What can be read.
        known: u32,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the data directory: {0}")]
    Thread(#[source] std::io::Error),
}

/// Why nothing is written at this moment. It is tried again until it succeeds; nothing is lost meanwhile while this process lives.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the data directory can't be written: {0}")]
pub struct WriteTrouble(pub std::sync::Arc<str>);

/// What a crash has left behind the last whole batch: it was never finished, and nobody was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where it stops.
    pub offset: u64,
    /// How many bytes are left out.
    pub bytes: u64,
    /// The position of the first record that is not there.
    pub position: Position,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cut { path, offset, bytes, .. } = self;
        write!(
            f,
            "{}: the last {bytes} bytes, from offset {offset}, were never finished: they are left out",
            path.display()
        )
    }
}
