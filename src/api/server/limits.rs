//! What one server takes of its clients: sizes, numbers, times.
//!
//! Each bound has its answer, so that a client learns which one it has met. All are *Ours:* AWS documents none of its own but the size
//! of a request.

use crate::model::units::Duration;

/// The bounds. Their defaults let a hundred clients work at once and no client fill a host of 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body; beyond, 413 `RequestEntityTooLarge`. The largest request of ECS, a task definition, has 64 KiB.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being read or answered; beyond, 503 `ThrottlingException`.
    pub all_body_bytes: usize,
    /// Bytes of a request's head; beyond, 431.
    pub header_bytes: usize,
    /// Headers of a request; beyond, 431.
    pub headers: usize,
    /// Connections at once; beyond, 503 and the end of the connection.
    pub connections: usize,
    /// Requests that wait for an answer at once; beyond, 503 `ThrottlingException`.
    pub requests: usize,
    /// Requests that are carried out at once; others wait for their turn. Each has a thread, which in a data directory mostly waits for
    /// the disk: as many as there are share one sync.
    pub handlers: usize,
    /// How long a connection may take to send a head, and so how long it may be idle. Then it is closed.
    pub header_time: Duration,
    /// How long a client may take to send a body; beyond, 408 `RequestTimeout`.
    pub body_time: Duration,
    /// How long an answer may take; beyond, 500 `ServerException`.
    pub answer_time: Duration,
    /// How long a client may take nothing of an answer. Then its connection is closed.
    pub write_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 1 << 20,
            all_body_bytes: 64 << 20,
            header_bytes: 32 << 10,
            headers: 100,
            connections: 512,
            requests: 256,
            handlers: 128,
            header_time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
            answer_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
        }
    }
}
