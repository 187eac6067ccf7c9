//! One data directory: a log of records, checksummed and in segments, in which many streams share each sync.
//!
//! A *stream* is what one part of the program writes: a cluster's events, the API's registry, the ledger. Records of all of them go to
//! one log in the order in which they are appended, and one thread writes and syncs whatever has come meanwhile as one batch: a thousand
//! that wait at once wait for one sync. A group of records is there as a whole or not at all, whatever streams they belong to.
//!
//! The owner of a stream bounds the log: a *snapshot* takes the place of all records of the stream up to a position, a *part* of those
//! behind the last part, which stays for good. Segments in which no stream has anything else are dropped, oldest first.
//!
//! What a record says is its owner's affair. Errors of the disk are not the end: what can't be written is kept and tried again, and
//! [`Store::trouble`] says so meanwhile. What can't be read is told, with file and offset, and never guessed.

mod disk;
mod error;
pub mod inspection;
mod log;
mod segment;
pub mod simulated;
mod snapshot_file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::{Condvar, Mutex};

pub use self::disk::Disk;
pub(crate) use self::disk::DiskFile;
pub use self::error::{Cut, OpenError, WriteTrouble};
use self::log::{Log, Opened, StreamFile, StreamFiles};
use self::segment::NewRecord;
use self::snapshot_file::{Coverage, SnapshotFile};

/// The place of a record in the log: the first one's is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// Before the first record.
    pub const START: Position = Position(0);

    pub(crate) fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

/// What a stream is called: letters, digits, `.`, `_` and `-`, and at most 512 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The longest.
    pub const LENGTH_MAX: usize = 512;

    /// `None` when it is no stream's name.
    pub fn new(name: &str) -> Option<StreamName> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = !name.is_empty() && name.len() <= StreamName::LENGTH_MAX && name.bytes().all(is_plain);
        fits.then(|| StreamName(name.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sizes and times that nothing but speed and the size on disk depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// A segment that is as long takes no more batches.
    pub segment_bytes: u64,
    /// A stream that has written so much since its last snapshot should have another.
    pub snapshot_after_bytes: u64,
    /// How long nothing is tried after the disk has refused.
    pub retry_after: Duration,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        let retry_after = Duration::from_millis(100);
        StoreOptions { segment_bytes: 16 << 20, snapshot_after_bytes: 32 << 20, retry_after }
    }
}

/// How long records lie that nobody waits for. *Ours:* nobody notices, and it is some times what a sync takes.
const UNHURRIED: Duration = Duration::from_millis(2);

/// The longest record. **Ours:** a task definition with all that ECS allows has a hundredth of it.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// An open data directory, this process' own until this is dropped, which writes what is left. Shared by `Arc`.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    cut: Option<Cut>,
    /// Where the log ended when it was opened.
    opened_at: Position,
    /// How the directory is called in messages.
    shown: std::path::PathBuf,
    _lock: disk::DiskLock,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    options: StoreOptions,
    queue: Mutex<Queue>,
    /// Something has come.
    wanted: Condvar,
    /// Something is durable, or can't be.
    settled: Condvar,
    durable: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Vec<NewRecord>>,
    /// Whether somebody waits for one of them.
    is_hurried: bool,
    next: Position,
    last: BTreeMap<StreamName, Position>,
    behind: BTreeMap<StreamName, Behind>,
    installs: Vec<(StreamName, StreamFile)>,
    trouble: Option<WriteTrouble>,
    subscribers: Vec<Sender<()>>,
    closing: bool,
    closed: bool,
}

/// How far a stream is behind its last snapshot.
#[derive(Clone, Copy, Debug, Default)]
struct Behind {
    bytes: u64,
    /// Of the last snapshot.
    snapshot_bytes: u64,
}

impl Behind {
    fn found(stream: &StreamFiles) -> Behind {
        let snapshot_bytes = stream.files.last().map_or(0, |file| file.bytes);
        Behind { bytes: stream.found_bytes, snapshot_bytes }
    }
}

/// A file that stands for a stretch of a stream's records for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its last record's position.
    pub to: Position,
    /// How long it is.
    pub bytes: u64,
    name: String,
}

impl Store {
    /// Opens a data directory of the operating system's, or makes one.
    ///
    /// # Errors
    /// When another process has it, the disk says no, or something in it is not as it was written.
    pub fn open(folder: &Path) -> Result<Store, OpenError> {
        Store::open_on(Disk::Os(folder.to_owned()), StoreOptions::default())
    }

    /// The same for any disk and sizes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(disk: Disk, options: StoreOptions) -> Result<Store, OpenError> {
        let shown = disk.shown("");
        let failed = |what| {
            let path = shown.clone();
            move |source| OpenError::Disk { what, path, source }
        };
        disk.make_folder().map_err(failed("make"))?;
        let lock = disk.lock().map_err(failed("lock"))?.ok_or_else(|| OpenError::InUse(shown.clone()))?;
        let Opened { log, cut, .. } = Log::open(disk.clone(), options.segment_bytes)?;
        let opened_at = log.durable();
        let last = log.streams().iter().map(|(name, stream)| (name.clone(), stream.last.max(stream.covered)));
        let queue = Queue {
            waiting: VecDeque::new(),
            is_hurried: false,
            next: opened_at.next(),
            last: last.collect(),
            behind: log.streams().iter().map(|(name, stream)| (name.clone(), Behind::found(stream))).collect(),
            installs: Vec::new(),
            trouble: None,
            subscribers: Vec::new(),
            closing: false,
            closed: false,
        };
        let shared = Arc::new(Shared {
            disk,
            options,
            queue: Mutex::new(queue),
            wanted: Condvar::new(),
            settled: Condvar::new(),
            durable: AtomicU64::new(opened_at.0),
            log: Mutex::new(log),
        });
        let written = shared.clone();
        let thread = std::thread::Builder::new()
            .name("longshore-store".into())
            .spawn(move || written.write())
            .map_err(OpenError::Thread)?;
        Ok(Store { shared, thread: Some(thread), cut, opened_at, shown, _lock: lock })
    }

    /// How the directory is called.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// The folder that it is in.
    pub(crate) fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// What a crash had left at the log's end, and is left out.
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// The streams of which something is there.
    pub fn streams(&self) -> Vec<StreamName> {
        self.shared.log.lock().streams().keys().cloned().collect()
    }

    /// The snapshot of a stream and what it is of.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn snapshot(&self, stream: &StreamName) -> Result<Option<(Position, Vec<u8>)>, OpenError> {
        let name = {
            let log = self.shared.log.lock();
            let files = log.streams().get(stream).map(|known| &known.files);
            let whole = files.into_iter().flatten().find(|file| file.coverage == Coverage::Everything);
            whole.map(|file| file.name.clone())
        };
        let file = name.map(|name| log::read_file(&self.shared.disk, &name)).transpose()?;
        Ok(file.map(|file| (file.to, file.bytes)))
    }

    /// The parts of a stream in their order.
    pub fn parts(&self, stream: &StreamName) -> Vec<Part> {
        let log = self.shared.log.lock();
        let files = log.streams().get(stream).map(|known| &known.files);
        let parts = files.into_iter().flatten().filter(|file| file.coverage != Coverage::Everything);
        parts.map(|file| Part { to: file.to, bytes: file.bytes, name: file.name.clone() }).collect()
    }

    /// What a part holds.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read_part(&self, part: &Part) -> Result<Vec<u8>, OpenError> {
        Ok(log::read_file(&self.shared.disk, &part.name)?.bytes)
    }

    /// Reads the records that a stream had behind its snapshot or its last part when the directory was opened, in their order.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn read(&self, stream: &StreamName, take: impl FnMut(Position, &[u8])) -> Result<(), OpenError> {
        self.shared.log.lock().read(stream, self.opened_at, take)
    }

    /// Adds records as one group, and says where the last one is. Returns at once; see [`Store::wait_durable`].
    ///
    /// # Panics
    /// When a record is longer than [`RECORD_BYTES_MAX`].
    pub fn append(&self, group: Vec<(StreamName, Vec<u8>)>) -> Position {
        let last = self.append_unhurried(group);
        self.hurry();
        last
    }

    /// The same for records that nobody waits for: they may lie for a moment, so that those that come after them need no other sync.
    ///
    /// # Panics
    /// As [`Store::append`].
    pub fn append_unhurried(&self, group: Vec<(StreamName, Vec<u8>)>) -> Position {
        let mut queue = self.shared.queue.lock();
        let mut records = Vec::with_capacity(group.len());
        for (stream, bytes) in group {
            assert!(bytes.len() <= RECORD_BYTES_MAX, "a record of stream {stream} is too long: {} bytes", bytes.len());
            let position = queue.next;
            queue.next = position.next();
            queue.behind.entry(stream.clone()).or_default().bytes += bytes.len() as u64 + 8;
            let before = queue.last.insert(stream.clone(), position).unwrap_or_default();
            records.push(NewRecord { stream, before, bytes });
        }
        let last = Position(queue.next.0 - 1);
        if !records.is_empty() {
            queue.waiting.push_back(records);
            if queue.waiting.len() == 1 {
                self.shared.wanted.notify_one();
            }
        }
        last
    }

    /// Somebody waits for what was added.
    pub fn hurry(&self) {
        self.shared.hurry(&mut self.shared.queue.lock());
    }

    /// How far the log is on the disk.
    pub fn durable(&self) -> Position {
        Position(self.shared.durable.load(Ordering::Acquire))
    }

    /// Waits until a record is on the disk.
    ///
    /// # Errors
    /// When the disk refuses: it may come to be there later.
    pub fn wait_durable(&self, position: Position) -> Result<(), WriteTrouble> {
        let mut queue = self.shared.queue.lock();
        while self.durable() < position {
            if let Some(trouble) = &queue.trouble {
                return Err(trouble.clone());
            }
            self.shared.hurry(&mut queue);
            self.shared.settled.wait(&mut queue);
        }
        Ok(())
    }

    /// Something is to be read here whenever more is durable or the disk has begun to refuse. The channel holds one.
    pub fn subscribe(&self) -> Receiver<()> {
        let (sender, receiver) = bounded(1);
        self.shared.queue.lock().subscribers.push(sender);
        receiver
    }

    /// Why nothing can be written at this moment, if that is so.
    pub fn trouble(&self) -> Option<WriteTrouble> {
        self.shared.queue.lock().trouble.clone()
    }

    /// Whether a stream's owner should put a snapshot or a part, of `expected` bytes as far as it knows: it has written as much since its
    /// last one, and some times what that took, or a long log waits for it.
    pub fn wants_snapshot(&self, stream: &StreamName, expected: u64) -> bool {
        let options = &self.shared.options;
        let behind = self.shared.queue.lock().behind.get(stream).copied().unwrap_or_default();
        if behind.bytes >= options.snapshot_after_bytes.max(4 * behind.snapshot_bytes).max(expected) {
            return true;
        }
        // The log is locked while it is written: whoever asks is asked to ask again.
        let Some(log) = self.shared.log.try_lock() else { return false };
        log.bytes() > 4 * options.snapshot_after_bytes && log.pinned_by() == Some(stream)
    }

    /// Puts a file in the place of all of a stream's records up to a position; returns once it is on the disk, and the records with it.
    ///
    /// # Errors
    /// When the disk refuses: then nothing has changed.
    pub fn put_snapshot(&self, stream: &StreamName, to: Position, bytes: Vec<u8>) -> Result<(), WriteTrouble> {
        self.put(stream, Coverage::Everything, to, bytes)
    }

    /// Puts a file in the place of a stream's records behind its last part, up to a position. It stays for good.
    ///
    /// # Errors
    /// When the disk refuses: then nothing has changed.
    pub fn put_part(&self, stream: &StreamName, to: Position, bytes: Vec<u8>) -> Result<(), WriteTrouble> {
        let covered = self.shared.log.lock().streams().get(stream).map(|known| known.covered).unwrap_or_default();
        if to <= covered {
            // There is one of all that, and this one would take its name.
            return Ok(());
        }
        self.put(stream, Coverage::Behind(covered), to, bytes)
    }

    fn put(&self, stream: &StreamName, coverage: Coverage, to: Position, bytes: Vec<u8>) -> Result<(), WriteTrouble> {
        self.wait_durable(to)?;
        let length = bytes.len() as u64;
        let file = SnapshotFile { stream: stream.clone(), coverage, to, bytes };
        let written = log::write_file(&self.shared.disk, &file);
        let mut queue = self.shared.queue.lock();
        let written = written.map_err(|error| {
            // It is asked for again when as much has come again, and not at once.
            queue.behind.entry(stream.clone()).or_default().bytes = 0;
            WriteTrouble(error.to_string().into())
        })?;
        queue.behind.insert(stream.clone(), Behind { bytes: 0, snapshot_bytes: length });
        queue.installs.push((stream.clone(), written));
        self.shared.wanted.notify_one();
        // Whoever asks next for parts is to find this one.
        while !queue.closed && queue.installs.iter().any(|(found, file)| found == stream && file.to == to) {
            self.shared.settled.wait(&mut queue);
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.queue.lock().closing = true;
        self.shared.wanted.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has printed itself; dropping a handle is no place for a second one.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn hurry(&self, queue: &mut Queue) {
        if !queue.waiting.is_empty() && !queue.is_hurried {
            queue.is_hurried = true;
            self.wanted.notify_one();
        }
    }

    /// Writes what comes, until the store is closed.
    fn write(&self) {
        let mut batch: Vec<NewRecord> = Vec::new();
        loop {
            let mut queue = self.queue.lock();
            // What the disk has refused is tried again whether or not more comes.
            while batch.is_empty() && queue.installs.is_empty() && !queue.closing && !queue.is_hurried {
                if queue.waiting.is_empty() {
                    self.wanted.wait(&mut queue);
                } else if self.wanted.wait_for(&mut queue, UNHURRIED).timed_out() {
                    break;
                }
            }
            let installs = queue.installs.clone();
            let mut bytes = batch.iter().map(|record| record.bytes.len()).sum::<usize>();
            while let Some(group) = queue.waiting.pop_front_if(|_| bytes < segment::BATCH_BYTES) {
                bytes += group.iter().map(|record| record.bytes.len()).sum::<usize>();
                batch.extend(group);
            }
            // Somebody may wait for what is left.
            queue.is_hurried &= !queue.waiting.is_empty();
            let is_last = batch.is_empty() && queue.closing;
            drop(queue);
            let written = self.commit(&batch);
            if written {
                batch.clear();
            }
            self.install(installs);
            if is_last || !written && self.queue.lock().closing {
                break;
            }
        }
        // Whoever opens it next knows what it had without this.
        let _ = self.log.lock().close();
        self.queue.lock().closed = true;
        self.settled.notify_all();
    }

    /// Writes a batch, and waits a moment where the disk refuses it. Says whether it is durable.
    fn commit(&self, batch: &[NewRecord]) -> bool {
        if batch.is_empty() {
            return true;
        }
        let (result, durable) = {
            let mut log = self.log.lock();
            (log.commit(batch), log.durable())
        };
        self.durable.store(durable.0, Ordering::Release);
        let mut queue = self.queue.lock();
        let had_trouble = queue.trouble.is_some();
        queue.trouble = result.as_ref().err().map(|error| WriteTrouble(error.to_string().into()));
        if result.is_ok() || !had_trouble {
            self.settled.notify_all();
            queue
                .subscribers
                .retain(|subscriber| !matches!(subscriber.try_send(()), Err(TrySendError::Disconnected(()))));
        }
        let waits = result.is_err() && !queue.closing;
        drop(queue);
        if waits {
            std::thread::sleep(self.options.retry_after);
        }
        result.is_ok()
    }

    fn install(&self, installs: Vec<(StreamName, StreamFile)>) {
        if installs.is_empty() {
            return;
        }
        let count = installs.len();
        for (stream, file) in installs {
            // A segment that can't be removed is removed with the next.
            let _ = self.log.lock().install(&stream, file);
        }
        self.queue.lock().installs.drain(..count);
        self.settled.notify_all();
    }
}
