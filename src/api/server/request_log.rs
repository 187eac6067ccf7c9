//! What is recorded of a request once it is answered.

use crate::model::units::Duration;

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRecord {
    /// When it was answered.
    pub at: jiff::Timestamp,
    /// Its name, which its answer has too.
    pub request_id: String,
    /// The operation, if it came so far that one was known.
    pub operation: Option<String>,
    /// The method and the path, where it was none of the API's.
    pub path: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The exception, if it was answered with one.
    pub exception: Option<String>,
    /// From its head to its answer.
    pub took: Duration,
    /// Bytes of its body.
    pub request_bytes: usize,
    /// Bytes of its answer's body.
    pub answer_bytes: usize,
    /// What our own mistake was, where it was one: a panic's message.
    pub trouble: Option<String>,
}
