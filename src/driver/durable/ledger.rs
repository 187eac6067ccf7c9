//! The ledger of a cluster in a data directory: what it used, written behind its events, by a thread of its own.
//!
//! Records follow from events, and are handed over once those are on the disk: after a crash the same events make the same records again, and
//! the ledger takes each once. Only a snapshot, which stands in for events, has to wait until their records last.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use crate::driver::ledger::LedgerCluster;
use crate::driver::ledger::writer::{LedgerWriteError, LedgerWriter};
use crate::metering::stretch::LedgerRecord;
use crate::store::Disk;

/// Something to be written.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Stretches that are closed.
    Closed(Vec<LedgerRecord>),
    /// All that are open, in place of those that were.
    Open(Vec<LedgerRecord>),
}

enum Work {
    Write(Entry),
    /// Makes what was written before last; nobody answers where that can't be done.
    Sync(Sender<()>),
}

/// The thread that writes a ledger. It ends when nobody has this any more.
#[derive(Debug)]
pub(super) struct LedgerThread {
    work: Option<Sender<Work>>,
    trouble: Arc<Mutex<Option<Arc<str>>>>,
    thread: Option<JoinHandle<()>>,
}

/// Who waits until what was handed over lasts, and hands over more.
#[derive(Clone, Debug)]
pub(super) struct LedgerEnd(Sender<Work>);

impl LedgerThread {
    /// Opens the ledger of a cluster in a data directory.
    pub(super) fn open(data_dir: &Disk, cluster: LedgerCluster) -> Result<LedgerThread, LedgerWriteError> {
        let ledger = LedgerWriter::open_on(data_dir, cluster)?;
        let (work, inbox) = unbounded();
        let trouble = Arc::new(Mutex::new(None));
        let told = trouble.clone();
        let thread = std::thread::Builder::new().name("longshore-ledger".into());
        let thread = thread
            .spawn(move || Writing { ledger, missing: Vec::new(), unsynced: Vec::new(), trouble: told }.run(&inbox));
        let thread = thread.map_err(|source| LedgerWriteError::File { path: data_dir.shown(""), source })?;
        Ok(LedgerThread { work: Some(work), trouble, thread: Some(thread) })
    }

    /// Why it is not written at this moment.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.lock().clone()
    }

    pub(super) fn write(&self, entry: Entry) {
        self.end().write(entry);
    }

    /// For another thread.
    pub(super) fn end(&self) -> LedgerEnd {
        LedgerEnd(self.work.clone().expect("it is there until this is dropped"))
    }
}

impl Drop for LedgerThread {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has printed itself; dropping a handle is no place for a second one.
            let _ = thread.join();
        }
    }
}

impl LedgerEnd {
    pub(super) fn write(&self, entry: Entry) {
        // The thread is there for as long as somebody may hand something over, but for a panic of its own.
        let _ = self.0.send(Work::Write(entry));
    }

    /// Waits until everything that was handed over lasts; says whether it does.
    pub(super) fn lasts(&self) -> bool {
        let (answer, synced) = bounded(1);
        self.0.send(Work::Sync(answer)).is_ok() && synced.recv().is_ok()
    }
}

/// What the thread owns.
struct Writing {
    ledger: LedgerWriter,
    /// Closed stretches that are yet to be written.
    missing: Vec<LedgerRecord>,
    /// Those that were written since the last sync: what a sync that fails leaves of them nobody knows.
    unsynced: Vec<LedgerRecord>,
    trouble: Arc<Mutex<Option<Arc<str>>>>,
}

impl Writing {
    fn run(mut self, inbox: &Receiver<Work>) {
        for work in inbox {
            match work {
                Work::Write(Entry::Closed(mut records)) => {
                    self.missing.append(&mut records);
                    self.write_missing();
                }
                // What runs is said by the next checkpoint, when the disk takes it again.
                Work::Write(Entry::Open(open)) => {
                    if self.sync() {
                        let said = self.ledger.checkpoint(&open);
                        self.note(said);
                    }
                }
                Work::Sync(answer) => {
                    if self.sync() {
                        let _ = answer.send(());
                    }
                }
            }
        }
        self.sync();
    }

    fn write_missing(&mut self) -> bool {
        let written = self.ledger.append(&self.missing).map(drop);
        let is_written = self.note(written);
        if is_written {
            self.unsynced.append(&mut self.missing);
        } else {
            self.write_again();
        }
        is_written
    }

    /// Makes everything last that was handed over; says whether it does.
    fn sync(&mut self) -> bool {
        if !self.write_missing() {
            return false;
        }
        let synced = self.ledger.sync();
        let lasts = self.note(synced);
        if lasts {
            self.unsynced.clear();
        } else {
            self.write_again();
        }
        lasts
    }

    /// Appends again, with the next, whatever may be gone: to open a file again takes a sync, too, where its end was torn. Records have
    /// numbers, and one that is there already is not written again.
    fn write_again(&mut self) {
        self.unsynced.append(&mut self.missing);
        std::mem::swap(&mut self.unsynced, &mut self.missing);
    }

    fn note(&self, written: Result<(), LedgerWriteError>) -> bool {
        let trouble = written.err().map(|error| error.to_string().into());
        let is_well = trouble.is_none();
        *self.trouble.lock() = trouble;
        is_well
    }
}
