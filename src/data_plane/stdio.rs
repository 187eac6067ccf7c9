//! Standard streams.

use std::sync::Arc;

use crate::model::ids::TaskId;

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
