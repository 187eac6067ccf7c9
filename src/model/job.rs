//! The jobs of a service, counted.

use super::units::Duration;

/// The most jobs that wait. *Ours:* bounds memory; a queue this long is a service that is too small for its load.
pub const QUEUED_MAX: usize = 100_000;

/// A queue at a moment. Counts only ever grow, but for `queued` and `outstanding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs pushed, those rejected included.
    pub pushed: u64,
    /// Jobs lost because the queue was full.
    pub rejected: u64,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that a task works on.
    pub outstanding: u64,
    /// Jobs done: their task asked for the next one, or ended with exit code 0.
    pub completed: u64,
    /// Jobs put back because their task died.
    pub requeued: u64,
    /// Jobs lost because two tasks died of them.
    pub lost: u64,
    /// Time from push to done, the median of the last ones.
    pub latency_p50: Duration,
    /// Time from push to done, the 99th percentile of the last ones.
    pub latency_p99: Duration,
}
