//! The standard streams of a container.
//!
//! Input is a signal to which a service's jobs may be added: it stays open without data until the task is asked
//! to stop, and is at its end from then on, so that waiting for input is waiting for the stop.
//!
//! Output goes into a ring that keeps the last bytes, to a file and to an observer, all without ever waiting: a guest that
//! floods its output loses the oldest of it and is charged for the time, like for any host call.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

use super::clock::Clock;
use super::container::Container;
use super::embedded_metrics::{EmittedMetrics, MetricLines};
use super::jobs::{Drained, JobReader, ReaderEnd};
use super::memory::ContainerMemory;
use super::options::DataPlaneOptions;
use crate::agent::JobTaking;
use crate::control_plane::event::EmittedMetric;
use crate::model::ids::TaskId;
use crate::model::routing::Routed;
use crate::model::units::{Duration, Timestamp};

/// The longest line that an observer is told; a longer one comes in pieces.
const LINE_BYTES_MAX: usize = 8 << 10;
/// The most that is written to the log file of one container. *Ours:* a flood must not fill the disk.
const LOG_FILE_BYTES_MAX: u64 = 256 << 20;
/// The most that a guest may write in one call. **Source:** wasmtime, which suggests about 64 KiB.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// The longest time that a line stays in the buffer of a log file that is written to.
const LOG_FLUSH_PERIOD: Duration = Duration::from_millis(200);
/// The least that a ring holds; it doubles from there, so that the task's account is not touched by every line.
const RING_BYTES_MIN: usize = 256;

/// How long a guest that looks at its input for the first time is not shown that it was asked to stop, before or meanwhile: much longer than a
/// look without a wait takes, whose timer has a millisecond.
const STOP_HIDDEN_FOR: std::time::Duration = std::time::Duration::from_millis(100);

/// The most that is kept of each stream of a container's last health check.
pub(super) const CHECK_OUTPUT_BYTES: usize = 4 << 10;

/// Which of a container's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The task.
    pub task: TaskId,
    /// The container's index in the task definition.
    pub container_index: usize,
    /// Where it was written.
    pub stream: LogStream,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub line: Arc<str>,
}

/// The end of what a container wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedLogs {
    /// The last of standard output.
    pub stdout: Vec<u8>,
    /// The last of standard error.
    pub stderr: Vec<u8>,
    /// Bytes of standard output that came before and are gone.
    pub stdout_dropped: u64,
    /// Bytes of standard error that came before and are gone.
    pub stderr_dropped: u64,
}

/// A container's standard input: open until the task is asked to stop.
#[derive(Debug, Default)]
pub(super) struct Input {
    state: Mutex<InputState>,
    is_target: AtomicBool,
}

#[derive(Debug, Default)]
struct InputState {
    stopped: bool,
    /// Whether its guest has looked whether there is something.
    is_looked_at: bool,
    jobs: Option<JobReader>,
    waiting: Vec<Waker>,
    /// What a container does that is a target of a load balancer, and how it stands with that.
    target: Option<Box<TargetInput>>,
}

#[derive(Debug)]
struct TargetInput {
    taking: JobTaking,
    routed: Routed,
}

impl InputState {
    /// The guest asks for its next job.
    fn note_asked(&mut self) {
        if let Some(target) = &mut self.target
            && self.jobs.as_ref().is_none_or(JobReader::is_between)
        {
            target.taking.asked += 1;
        }
    }

    fn note_waiting(&mut self, is_waiting: bool) {
        if let Some(target) = &mut self.target {
            target.taking.is_waiting = is_waiting;
        }
    }

    fn route(&mut self, routed: Routed) {
        if let Some(target) = &mut self.target {
            target.routed = routed;
        }
        if let Some(jobs) = &mut self.jobs {
            jobs.route(routed);
        }
    }
}

impl Input {
    /// An input that hands out jobs.
    pub(super) fn with_jobs(jobs: JobReader) -> Input {
        Input { state: Mutex::new(InputState { jobs: Some(jobs), ..InputState::default() }), ..Input::default() }
    }

    /// An input that has ended before its guest begins.
    pub(super) fn ended() -> Input {
        let state = InputState { stopped: true, is_looked_at: true, ..InputState::default() };
        Input { state: Mutex::new(state), ..Input::default() }
    }

    /// Another guest begins at the same place. One that was told to stop stays so.
    pub(super) fn begin_again(&self, jobs: Option<JobReader>) {
        let mut state = self.state.lock();
        state.jobs = jobs;
        state.is_looked_at = state.stopped;
        state.note_waiting(false);
        if let Some(routed) = state.target.as_ref().map(|target| target.routed) {
            state.route(routed);
        }
    }

    /// Its container is a target of a load balancer from here on.
    pub(super) fn become_target(&self) {
        let mut state = self.state.lock();
        let taking = JobTaking::default();
        state.target.get_or_insert_with(|| Box::new(TargetInput { taking, routed: Routed::NotHealthy }));
        state.route(Routed::NotHealthy);
        self.is_target.store(true, Ordering::Relaxed);
    }

    /// How its task stands with its load balancers from here on.
    pub(super) fn route(&self, routed: Routed) {
        self.state.lock().route(routed);
    }

    /// What its guest does about jobs.
    pub(super) fn job_taking(&self) -> JobTaking {
        self.state.lock().target.as_ref().map(|target| target.taking).unwrap_or_default()
    }

    /// No more jobs. Gives back what is to be done once it holds none when that is so already.
    pub(super) fn drain(&self, drained: Drained) -> Option<Drained> {
        let mut state = self.state.lock();
        state.route(Routed::Draining);
        let is_waiting = state.target.as_ref().is_some_and(|target| target.taking.is_waiting);
        let Some(jobs) = &mut state.jobs else { return Some(drained) };
        if is_waiting && jobs.is_between() {
            // Asking for more says that the job before is done.
            jobs.finish(ReaderEnd::Done);
        }
        jobs.drain(drained)
    }

    /// Whether the guest looks for the first time. It is shown an open input this once, so that it can tell the stop from an input that had
    /// ended before it began.
    fn is_first_look(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().is_looked_at, true)
    }

    /// Input is at its end from here on.
    pub(super) fn stop(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.stopped = true;
            // One that has not left its target groups first is not to be waited for by others.
            if state.target.is_some() {
                state.route(Routed::Draining);
            }
            if let Some(jobs) = &mut state.jobs {
                jobs.stop_waiting();
            }
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// The container is over: a job that it held is done, or goes back.
    pub(super) fn end(&self, end: ReaderEnd) {
        let jobs = self.state.lock().jobs.take();
        if let Some(mut jobs) = jobs {
            jobs.finish(end);
        }
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.stopped {
            return Poll::Ready(());
        }
        state.note_asked();
        if let Some(jobs) = &mut state.jobs {
            if jobs.is_between() {
                jobs.finish_if_draining();
            }
            if jobs.is_ready(context.waker()) {
                return Poll::Ready(());
            }
        }
        state.note_waiting(true);
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// A container's input, as its guest's context takes it.
#[derive(Clone, Debug)]
pub(super) struct GuestInput(Arc<Container>);

impl GuestInput {
    pub(super) fn new(container: Arc<Container>) -> GuestInput {
        GuestInput(container)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.input.is_stopped()
    }
}

/// Waits for input; one that is given up passes a job that was announced to it on to the next reader.
struct Ready<'a> {
    container: &'a Container,
    is_done: bool,
}

impl Future for Ready<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let input = &self.container.input;
        let poll = match &self.container.time {
            None => input.poll_ready(context),
            Some(time) => {
                // In simulated time nobody is woken: whoever has input for the guest asks it for its next step.
                let poll = input.poll_ready(&mut Context::from_waker(Waker::noop()));
                if poll.is_pending() {
                    time.wait_for_input();
                }
                poll
            }
        };
        self.is_done = poll.is_ready();
        poll
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if self.is_done && !self.container.input.is_target.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.container.input.state.lock();
        state.note_waiting(false);
        if !self.is_done
            && let Some(jobs) = &mut state.jobs
        {
            jobs.stop_waiting();
        }
    }
}

impl IsTerminal for GuestInput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for GuestInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestInput {
    async fn ready(&mut self) {
        let is_first = self.0.time.is_none() && self.0.input.is_first_look();
        // It ends so long after this moment, whenever somebody waits for that.
        let hidden = is_first.then(|| tokio::time::sleep(STOP_HIDDEN_FOR));
        Ready { container: &self.0, is_done: false }.await;
        if let Some(hidden) = hidden.filter(|_| self.is_stopped()) {
            hidden.await;
            // A look without a wait is over by then, and its end is to be told before the input's.
            tokio::task::yield_now().await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for GuestInput {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        let mut state = self.0.input.state.lock();
        let stopped = state.stopped;
        state.note_asked();
        let Some(jobs) = &mut state.jobs else {
            return if stopped { Err(StreamError::Closed) } else { Ok(Bytes::new()) };
        };
        if stopped {
            // Asking for more says that the job before is done; there is no next one.
            jobs.finish(ReaderEnd::Done);
            return Err(StreamError::Closed);
        }
        Ok(Bytes::from(jobs.read(size)))
    }

    async fn blocking_read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        if let Some(time) = &self.0.time {
            // Asking for input says that the work before is done: by then it must be.
            time.catch_up().await;
        }
        // Another reader may take the job that this one was woken for, as often as it likes.
        loop {
            let bytes = self.read(size)?;
            if !bytes.is_empty() || size == 0 {
                return Ok(bytes);
            }
            self.ready().await;
        }
    }
}

/// Where the output of all containers goes. Copies lead to the same.
#[derive(Clone, Debug)]
pub(super) struct OutputSettings {
    pub(super) clock: Clock,
    /// The most that is kept of one stream.
    pub(super) ring_bytes: usize,
    pub(super) observer: Option<Sender<LogLine>>,
    /// Where metrics of whole lines go; `None` for output that has none.
    pub(super) metrics: Option<EmittedMetrics>,
    /// Counts files that could not be written.
    pub(super) errors: Arc<AtomicU64>,
}

impl OutputSettings {
    /// Where that of a data plane's containers goes.
    pub(super) fn of(options: &DataPlaneOptions, clock: Clock) -> OutputSettings {
        OutputSettings {
            observer: options.log_observer.clone(),
            metrics: Some(EmittedMetrics::default()),
            ..OutputSettings::kept_alone(clock, options.log_buffer_bytes)
        }
    }

    /// So much of each stream is kept, and nobody else is told.
    pub(super) fn kept_alone(clock: Clock, ring_bytes: usize) -> OutputSettings {
        OutputSettings { clock, ring_bytes, observer: None, metrics: None, errors: Arc::default() }
    }

    /// The metrics in what was written since the last call.
    pub(super) fn take_metrics(&self) -> Vec<EmittedMetric> {
        self.metrics.as_ref().map(EmittedMetrics::take).unwrap_or_default()
    }

    /// Samples of them that there was no room for.
    pub(super) fn metrics_lost(&self) -> u64 {
        self.metrics.as_ref().map_or(0, EmittedMetrics::lost)
    }
}

/// The output of one container: both streams.
#[derive(Debug)]
pub(super) struct ContainerOutput {
    settings: Arc<OutputSettings>,
    task: TaskId,
    container_index: usize,
    file: Option<Mutex<LogFile>>,
    streams: [Mutex<Captured>; 2],
}

#[derive(Debug, Default)]
struct Captured {
    ring: VecDeque<u8>,
    /// How many bytes of the ring are charged to the task: its capacity as far as we use it.
    charged: usize,
    dropped: u64,
    /// The beginning of a line whose end was not written yet, for the observer.
    line: Vec<u8>,
    metric_lines: MetricLines,
}

impl ContainerOutput {
    /// `log_path` is the file that takes the output as well.
    pub(super) fn new(
        settings: Arc<OutputSettings>,
        task: TaskId,
        container_index: usize,
        log_path: Option<PathBuf>,
    ) -> ContainerOutput {
        let file = log_path.map(|path| {
            let flushed_at = settings.clock.now();
            Mutex::new(LogFile { path, state: LogFileState::NotOpen, written: 0, flushed_at })
        });
        ContainerOutput { settings, task, container_index, file, streams: Default::default() }
    }

    /// Takes what a guest wrote; what is kept of it is charged to `memory`.
    fn write(&self, stream: LogStream, bytes: &[u8], memory: &ContainerMemory) {
        if bytes.is_empty() {
            return;
        }
        let mut captured = self.streams[stream as usize].lock();
        captured.keep(bytes, self.settings.ring_bytes, memory);
        if let Some(observer) = &self.settings.observer {
            self.observe(&mut captured, stream, bytes, observer);
        }
        if let Some(metrics) = &self.settings.metrics {
            captured.metric_lines.write(bytes, metrics);
        }
        if let Some(file) = &self.file
            && file.lock().write(bytes, self.settings.clock.now()).is_err()
        {
            self.settings.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn observe(&self, captured: &mut Captured, stream: LogStream, mut bytes: &[u8], observer: &Sender<LogLine>) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - captured.line.len();
            let head = &bytes[..bytes.len().min(room)];
            match head.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    captured.line.extend_from_slice(&head[..end]);
                    self.tell(captured, stream, observer);
                    bytes = &bytes[end + 1..];
                }
                None => {
                    captured.line.extend_from_slice(head);
                    if head.len() == room {
                        self.tell(captured, stream, observer);
                    }
                    bytes = &bytes[head.len()..];
                }
            }
        }
    }

    fn tell(&self, captured: &mut Captured, stream: LogStream, observer: &Sender<LogLine>) {
        let line = String::from_utf8_lossy(&captured.line).into();
        captured.line.clear();
        let ContainerOutput { task, container_index, .. } = *self;
        // A full channel loses the line: the guest must not wait for whoever watches.
        let _ = observer.try_send(LogLine { task, container_index, stream, line });
    }

    /// Another guest begins at the same place: what was kept stays, and is charged anew to `memory`, which was given back whole.
    pub(super) fn begin_again(&self, memory: &ContainerMemory) {
        for captured in &self.streams {
            let mut captured = captured.lock();
            if !memory.take(u64::try_from(captured.charged).unwrap_or(u64::MAX)) {
                captured.dropped += u64::try_from(captured.ring.len()).unwrap_or(u64::MAX);
                captured.ring = VecDeque::new();
                captured.charged = 0;
            }
        }
        if let Some(file) = &self.file {
            file.lock().begin_again();
        }
    }

    /// Forgets what was kept; its memory was given back whole.
    pub(super) fn clear(&self) {
        for captured in &self.streams {
            *captured.lock() = Captured::default();
        }
    }

    /// Adds a line of the host's own to standard error.
    pub(super) fn note(&self, line: &str, memory: &ContainerMemory) {
        self.write(LogStream::Stderr, line.as_bytes(), memory);
        self.write(LogStream::Stderr, b"\n", memory);
    }

    /// The container is over: lines without an end are told, and the file is written.
    pub(super) fn finish(&self) {
        if let Some(metrics) = &self.settings.metrics {
            self.streams.iter().for_each(|captured| captured.lock().metric_lines.end(metrics));
        }
        if let Some(observer) = &self.settings.observer {
            for stream in [LogStream::Stdout, LogStream::Stderr] {
                let mut captured = self.streams[stream as usize].lock();
                if !captured.line.is_empty() {
                    self.tell(&mut captured, stream, observer);
                }
            }
        }
        if let Some(file) = &self.file
            && file.lock().close().is_err()
        {
            self.settings.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn captured(&self) -> CapturedLogs {
        self.keep().captured()
    }

    /// What was captured, for when the container is forgotten.
    pub(super) fn keep(&self) -> KeptOutput {
        let [stdout, stderr] = self.streams.each_ref().map(Mutex::lock);
        let ((first, second), (third, fourth)) = (stdout.ring.as_slices(), stderr.ring.as_slices());
        KeptOutput {
            bytes: [first, second, third, fourth].concat().into_boxed_slice(),
            stdout_length: stdout.ring.len(),
            dropped: [stdout.dropped, stderr.dropped],
        }
    }
}

/// What is left of a container that is over: the end of its output, in as little memory as that takes, since whoever forgets it is not the
/// worker who made it.
#[derive(Debug)]
pub(super) struct KeptOutput {
    /// What is kept of standard output, and behind it what is kept of standard error.
    bytes: Box<[u8]>,
    stdout_length: usize,
    dropped: [u64; 2],
}

impl KeptOutput {
    pub(super) fn captured(&self) -> CapturedLogs {
        let (stdout, stderr) = self.bytes.split_at(self.stdout_length);
        let [stdout_dropped, stderr_dropped] = self.dropped;
        CapturedLogs { stdout: stdout.to_vec(), stderr: stderr.to_vec(), stdout_dropped, stderr_dropped }
    }
}

impl Captured {
    /// Keeps the last of what was written within `most` bytes, and within what the task's memory has left.
    fn keep(&mut self, bytes: &[u8], most: usize, memory: &ContainerMemory) {
        let wanted = (self.ring.len() + bytes.len()).min(most);
        if self.charged < wanted {
            let size = wanted.max(RING_BYTES_MIN).next_power_of_two().min(most);
            if memory.take(u64::try_from(size - self.charged).unwrap_or(u64::MAX)) {
                self.charged = size;
                self.ring.reserve_exact(self.charged - self.ring.len());
            }
        }
        let room = self.charged.min(most);
        let kept = &bytes[bytes.len() - bytes.len().min(room)..];
        let overflow = (self.ring.len() + kept.len()).saturating_sub(room);
        self.ring.drain(..overflow);
        self.ring.extend(kept);
        let lost = overflow + (bytes.len() - kept.len());
        self.dropped += u64::try_from(lost).unwrap_or(u64::MAX);
    }
}

/// One of a container's output streams, as the guest's context takes it.
#[derive(Clone, Debug)]
pub(super) struct GuestOutput {
    container: Arc<Container>,
    stream: LogStream,
}

impl GuestOutput {
    pub(super) fn new(container: Arc<Container>, stream: LogStream) -> GuestOutput {
        GuestOutput { container, stream }
    }

    fn take(&self, bytes: &[u8]) {
        self.container.output.write(self.stream, bytes, &self.container.memory);
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES_MAX)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.write(bytes)
    }
}

/// The log file of one container, opened with its first output.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    state: LogFileState,
    written: u64,
    flushed_at: Timestamp,
}

#[derive(Debug)]
enum LogFileState {
    NotOpen,
    Open(BufWriter<File>),
    /// Nothing is written any more: an error, or the limit.
    Closed,
}

impl LogFile {
    fn write(&mut self, bytes: &[u8], now: Timestamp) -> std::io::Result<()> {
        if matches!(self.state, LogFileState::NotOpen) {
            self.state = LogFileState::Closed;
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let file = File::options().create(true).append(true).open(&self.path)?;
            self.state = LogFileState::Open(BufWriter::new(file));
        }
        let LogFileState::Open(file) = &mut self.state else { return Ok(()) };
        let result = Self::append(file, bytes, &mut self.written, &mut self.flushed_at, now);
        if result.is_err() || self.written >= LOG_FILE_BYTES_MAX {
            self.state = LogFileState::Closed;
        }
        result
    }

    fn append(
        file: &mut BufWriter<File>,
        bytes: &[u8],
        written: &mut u64,
        flushed_at: &mut Timestamp,
        now: Timestamp,
    ) -> std::io::Result<()> {
        file.write_all(bytes)?;
        *written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if *written >= LOG_FILE_BYTES_MAX {
            file.write_all(b"\n(the log ends here: its limit is reached)\n")?;
            return file.flush();
        }
        if now.since(*flushed_at) >= LOG_FLUSH_PERIOD {
            *flushed_at = now;
            file.flush()?;
        }
        Ok(())
    }

    /// It is written to again, unless it is full.
    fn begin_again(&mut self) {
        if matches!(self.state, LogFileState::Closed) && self.written < LOG_FILE_BYTES_MAX {
            self.state = LogFileState::NotOpen;
        }
    }

    fn close(&mut self) -> std::io::Result<()> {
        match std::mem::replace(&mut self.state, LogFileState::Closed) {
            LogFileState::Open(mut file) => file.flush(),
            LogFileState::NotOpen | LogFileState::Closed => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_plane::memory::TaskMemory;

    fn output(observer: Option<Sender<LogLine>>) -> ContainerOutput {
        let clock = Clock::start_now();
        let settings = OutputSettings { observer, ..OutputSettings::kept_alone(clock, 10_000) };
        ContainerOutput::new(Arc::new(settings), TaskId(1), 0, None)
    }

    fn memory(limit: u64) -> ContainerMemory {
        ContainerMemory::new(Arc::new(TaskMemory::new(limit, Clock::start_now(), Timestamp::ZERO)), None)
    }

    /// The ring keeps the end, counts what is gone, and takes no more than the task has.
    #[test]
    fn rings_keep_the_end() {
        for (limit, kept) in [(u64::MAX, 10_000), (5000, 4096), (100, 0)] {
            let (output, memory) = (output(None), memory(limit));
            for _ in 0..100 {
                output.write(LogStream::Stdout, &[b'a'; 997], &memory);
            }
            output.write(LogStream::Stdout, b"end", &memory);
            let logs = output.captured();
            assert_eq!(logs.stdout.len(), kept);
            assert!(kept == 0 || logs.stdout.ends_with(b"aend"));
            assert_eq!(logs.stdout_dropped, 100 * 997 + 3 - u64::try_from(kept).unwrap());
            assert!(logs.stderr.is_empty());
        }
    }

    /// Lines come whole, long ones in pieces, the last without its end when the container is over.
    #[test]
    fn observers_are_told_lines() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let (output, memory) = (output(Some(sender)), memory(u64::MAX));
        output.write(LogStream::Stderr, b"one\ntw", &memory);
        output.write(LogStream::Stderr, b"o\n", &memory);
        output.write(LogStream::Stderr, &[b'x'; LINE_BYTES_MAX + 1], &memory);
        output.finish();
        let lines: Vec<_> = receiver.try_iter().map(|line| line.line).collect();
        assert_eq!(&*lines[0], "one");
        assert_eq!(&*lines[1], "two");
        assert_eq!(lines[2].len(), LINE_BYTES_MAX);
        assert_eq!(&*lines[3], "x");
    }
}
