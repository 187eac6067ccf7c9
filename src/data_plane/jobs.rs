//! Jobs of a service.

use std::sync::Arc;

use crate::model::units::Duration;

/// The jobs of one service, shared by its tasks. Copies are the same queue.
#[derive(Clone, Debug)]
pub struct JobQueue {}

/// What became of a job that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPush {
    /// It waits for a task.
    Queued,
    /// The queue is full: the job is lost and counted.
    Rejected,
}

/// A queue at a moment. Counts only ever grow, but for `queued` and `outstanding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs pushed.
    pub pushed: u64,
    /// Jobs lost because the queue was full.
    pub rejected: u64,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that a task works on.
    pub outstanding: u64,
    /// Jobs done: their task asked for the next one or ended with exit code 0.
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

impl JobQueue {
    pub(super) fn new() -> JobQueue {
        JobQueue {}
    }

    /// Adds a job: one line, without its end.
    pub fn push(&self, _line: Arc<str>) -> JobPush {
        JobPush::Rejected
    }

    /// The queue at this moment.
    pub fn stats(&self) -> JobStats {
        JobStats::default()
    }
}
