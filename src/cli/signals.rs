//! Ctrl-C and termination: the first asks for a drain, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Counts the requests to stop that this process has received.
#[derive(Clone, Debug)]
pub(super) struct StopRequests(Arc<AtomicUsize>);

impl StopRequests {
    /// Listens from here on. The second request ends the process with exit code 130 even if nobody looks any more.
    pub(super) fn listen() -> std::io::Result<StopRequests> {
        let count = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            let mut signals = signal_hook::iterator::Signals::new([signal])?;
            let count = count.clone();
            std::thread::Builder::new().name("longshore-signals".into()).spawn(move || {
                for _ in signals.forever() {
                    if count.fetch_add(1, Ordering::SeqCst) > 0 {
                        super::live_view::restore_terminal();
                        std::process::exit(130);
                    }
                }
            })?;
        }
        Ok(StopRequests(count))
    }

    /// Whether a stop has been asked for.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}
