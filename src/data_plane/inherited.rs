//! This process' own streams, for a task that runs in the foreground.
//!
//! Whoever is at the other end may be slow, or never read at all. A guest waits for them as it waits for anything else:
//! without a thread of its pool, and in a way that stopping the task ends. Nothing of its output is kept back.

use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

use super::stdio::{GuestInput, LogStream};

/// What fits a pipe that is ready for writing. **Source:** pipe(7), `PIPE_BUF`.
const WRITE_BYTES_MAX: usize = 4096;

/// Standard input: this process' own until the task is asked to stop, and at its end from then on.
#[derive(Clone, Debug)]
pub(super) struct InheritedInput(GuestInput);

impl InheritedInput {
    pub(super) fn new(signal: GuestInput) -> InheritedInput {
        InheritedInput(signal)
    }
}

impl IsTerminal for InheritedInput {
    fn is_terminal(&self) -> bool {
        std::io::IsTerminal::is_terminal(&std::io::stdin())
    }
}

impl StdinStream for InheritedInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        std::io::stdin().async_stream()
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(UntilStop { host: std::io::stdin().p2_stream(), signal: self.0.clone() })
    }
}

struct UntilStop {
    host: Box<dyn InputStream>,
    signal: GuestInput,
}

impl UntilStop {
    /// Waits until the host's reader has something, or the task is asked to stop.
    async fn wait(&mut self) {
        let mut input = pin!(self.host.ready());
        let mut stop = pin!(self.signal.ready());
        std::future::poll_fn(|context| match stop.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => input.as_mut().poll(context),
        })
        .await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for UntilStop {
    async fn ready(&mut self) {
        // The host's reader begins when it is asked first, and tells a moment later what a look at the descriptor tells at once: a
        // guest that looks whether its input has ended has to see that it had ended before.
        let stdin = std::io::stdin();
        let is_readable = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&Timespec::default())) != Ok(0);
        if !is_readable {
            self.wait().await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for UntilStop {
    async fn blocking_read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        loop {
            let bytes = self.read(size)?;
            if !bytes.is_empty() || size == 0 {
                return Ok(bytes);
            }
            self.wait().await;
        }
    }

    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        if self.signal.is_stopped() { Err(StreamError::Closed) } else { self.host.read(size) }
    }
}

/// Standard output or standard error: this process' own.
#[derive(Clone, Copy, Debug)]
pub(super) struct InheritedOutput(LogStream);

impl InheritedOutput {
    pub(super) fn new(stream: LogStream) -> InheritedOutput {
        InheritedOutput(stream)
    }

    fn with<T>(self, operation: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self.0 {
            LogStream::Stdout => operation(std::io::stdout().as_fd()),
            LogStream::Stderr => operation(std::io::stderr().as_fd()),
        }
    }

    /// Whether a write would not wait. That of a reader that is gone fails at once.
    fn is_ready(self) -> bool {
        self.with(|file| poll(&mut [PollFd::new(&file, PollFlags::OUT)], Some(&Timespec::default()))) != Ok(0)
    }

    fn wait(self) {
        // A failure shows in the write that follows.
        while self.with(|file| poll(&mut [PollFd::new(&file, PollFlags::OUT)], None)) == Err(Errno::INTR) {}
    }

    fn write_all(self, mut bytes: &[u8]) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            match self.with(|file| rustix::io::write(file, bytes)) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                // Whoever gave us the stream has set it not to wait.
                Err(Errno::AGAIN) => self.wait(),
                Err(Errno::PIPE) => return Err(StreamError::Closed),
                Err(error) => return Err(StreamError::LastOperationFailed(std::io::Error::from(error).into())),
            }
        }
        Ok(())
    }
}

impl IsTerminal for InheritedOutput {
    fn is_terminal(&self) -> bool {
        match self.0 {
            LogStream::Stdout => std::io::IsTerminal::is_terminal(&std::io::stdout()),
            LogStream::Stderr => std::io::IsTerminal::is_terminal(&std::io::stderr()),
        }
    }
}

impl StdoutStream for InheritedOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        match self.0 {
            LogStream::Stdout => std::io::stdout().async_stream(),
            LogStream::Stderr => std::io::stderr().async_stream(),
        }
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for InheritedOutput {
    async fn ready(&mut self) {
        if self.is_ready() {
            return;
        }
        let output = *self;
        let wait = Arc::new(Mutex::new(Wait::default()));
        let ended = wait.clone();
        // Nobody joins it: its reader may never come, and the end of the process ends it.
        let thread = std::thread::Builder::new().name("longshore-output".into()).spawn(move || {
            output.wait();
            let waker = {
                let mut wait = ended.lock();
                wait.is_over = true;
                wait.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        if thread.is_err() {
            // Without a thread the wait is the worker's.
            return output.wait();
        }
        std::future::poll_fn(|context| {
            let mut wait = wait.lock();
            if wait.is_over {
                return Poll::Ready(());
            }
            wait.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[derive(Default)]
struct Wait {
    is_over: bool,
    waker: Option<Waker>,
}

#[wasmtime_wasi::async_trait]
impl OutputStream for InheritedOutput {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.write_all(&bytes)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(if self.is_ready() { WRITE_BYTES_MAX } else { 0 })
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        for chunk in bytes.chunks(WRITE_BYTES_MAX) {
            // Two guests may write to one stream: that it was ready may be over.
            while !self.is_ready() {
                self.ready().await;
            }
            self.write_all(chunk)?;
        }
        Ok(())
    }
}
