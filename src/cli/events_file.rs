//! `run --events FILE`: every EventBridge event of the run as a line of JSON.
//!
//! A thread of its own writes them, so that a slow disk delays nobody; it writes through whenever no event waits. An error of the
//! disk ends the writing and is told when the run is over: it is no reason to end a cluster.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::driver::event_bridge::ClusterEvent;

/// Where in a file that is there already the events begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// What was in it is gone.
    Empty,
    /// Behind what is in it.
    AtTheEnd,
}

/// The file of a run's events, while it is written.
#[derive(Debug)]
pub(super) struct EventsFile {
    writer: JoinHandle<std::io::Result<()>>,
    path: String,
}

impl EventsFile {
    /// Opens the file if one is named: none, and nowhere to send events to, if not.
    ///
    /// # Errors
    /// As [`EventsFile::open`].
    pub(super) fn open_if_named(
        path: Option<&Path>,
        begin: Begin,
    ) -> Result<(Option<EventsFile>, Option<Sender<ClusterEvent>>), String> {
        path.map(|path| EventsFile::open(path, begin)).transpose().map(Option::unzip)
    }

    /// Opens the file and returns where its events are to be sent.
    ///
    /// # Errors
    /// When it can't be opened; the text names it.
    fn open(path: &Path, begin: Begin) -> Result<(EventsFile, Sender<ClusterEvent>), String> {
        let shown = path.display().to_string();
        if shown == "-" {
            return Err("--events - would mix events with what the run prints: name a file".into());
        }
        let opened = match begin {
            Begin::Empty => File::create(path),
            Begin::AtTheEnd => File::options().append(true).create(true).open(path),
        };
        let file = opened.map_err(|error| format!("--events {shown}: {error}"))?;
        let (sender, events) = unbounded();
        let writer = std::thread::Builder::new()
            .name("longshore-events".into())
            .spawn(move || write(file, &events))
            .map_err(|error| format!("--events {shown}: {error}"))?;
        Ok((EventsFile { writer, path: shown }, sender))
    }

    /// Waits until everything is written; the run is over. Says what went wrong, if anything did.
    pub(super) fn finish(self) -> Option<String> {
        let EventsFile { writer, path } = self;
        match writer.join() {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("--events {path}: {error}: events are missing from here on")),
            Err(_) => Some(format!("--events {path}: the writer ended early")),
        }
    }
}

fn write(file: File, events: &Receiver<ClusterEvent>) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    for event in events {
        writeln!(file, "{}", event.to_json())?;
        if events.is_empty() {
            file.flush()?;
        }
    }
    file.flush()
}
