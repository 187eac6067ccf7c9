//! What the host says: standard input, and by its end that the container is asked to stop.
//!
//! WASI has no signals. Longshore keeps a container's standard input open and ends it at StopTask. A shell and its `sleep` take that
//! for a SIGTERM. Two inputs end without anybody asking to stop: one that was at its end from the beginning, and one that the script
//! itself reads, like a pipe of `run-task` or the jobs of a service. Their end says nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The longest single wait: what does not end is waited for in pieces.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Something was there when the shell began; it was not looked at.
    ReadyAtStart,
    /// Open and empty: its end is the stop.
    Open,
    /// Its end says nothing.
    Deaf,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Elapsed,
    StopRequested,
}

#[derive(Debug)]
pub struct Host {
    state: Cell<State>,
    /// Input that was read to find out whether it had ended.
    read_ahead: RefCell<VecDeque<u8>>,
}

impl Host {
    pub fn new() -> Host {
        let state = if is_readable(Duration::ZERO) { State::ReadyAtStart } else { State::Open };
        Host { state: Cell::new(state), read_ahead: RefCell::default() }
    }

    /// Reads input for the script. From then on its end is the script's.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.state.set(State::Deaf);
        let mut ahead = self.read_ahead.borrow_mut();
        if !ahead.is_empty() {
            return ahead.read(buffer);
        }
        io::stdin().lock().read(buffer)
    }

    /// Waits until then, or for ever, or until the container is asked to stop.
    pub fn wait_until(&self, deadline: Option<Instant>) -> Waited {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Waited::Elapsed;
            }
            let piece = left.map_or(WAIT_MAX, |left| left.min(WAIT_MAX));
            if self.state.get() == State::ReadyAtStart {
                self.look();
            }
            // The system's wait for input counts in milliseconds.
            if self.state.get() == State::Deaf || piece < Duration::from_millis(1) {
                std::thread::sleep(piece);
            } else if is_readable(piece) && self.look() {
                return Waited::StopRequested;
            }
        }
    }

    /// Whether the container has been asked to stop, told once.
    pub fn is_stop_requested(&self) -> bool {
        self.state.get() == State::Open && is_readable(Duration::ZERO) && self.look()
    }

    /// Reads what is there; says whether it is the end that asks to stop. Whatever it is, the next one is not.
    fn look(&self) -> bool {
        let before = self.state.replace(State::Deaf);
        let mut buffer = [0; 4096];
        match io::stdin().lock().read(&mut buffer) {
            Ok(0) | Err(_) => before == State::Open,
            Ok(len) => {
                self.read_ahead.borrow_mut().extend(&buffer[..len]);
                false
            }
        }
    }
}

/// Waits for input, or its end.
fn is_readable(time: Duration) -> bool {
    let milliseconds = i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
    let mut input = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: `input` is one valid entry, and lives until the call returns.
    unsafe { libc::poll(&mut input, 1, milliseconds) > 0 }
}
