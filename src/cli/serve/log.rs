//! The log of a server on standard error: requests that were answered, and images that are made.

use std::io::Write as _;

use serde_json::{Value, json};

use super::ServeArguments;
use crate::api::server::RequestRecord;
use crate::cli::{Format, format, plain_view};
use crate::data_plane::clock::Clock;
use crate::data_plane::image::ImageProgress;

/// The log.
#[derive(Debug)]
pub(super) struct Log {
    format: Format,
    quiet: bool,
    clock: Clock,
}

impl Log {
    pub(super) fn new(arguments: &ServeArguments) -> Log {
        Log { format: arguments.format, quiet: arguments.quiet, clock: Clock::start_now() }
    }

    /// A request that was answered.
    pub(super) fn request(&self, record: &RequestRecord) {
        if self.quiet && record.trouble.is_none() {
            return;
        }
        match self.format {
            Format::Text => write_line(&text_of(record)),
            Format::Json => write_line(&json_of(record).to_string()),
        }
    }

    /// News of an image: who waits for a task sees what it waits for.
    pub(super) fn image(&self, progress: &ImageProgress) {
        if self.quiet {
            return;
        }
        let at = self.clock.calendar(self.clock.now());
        match self.format {
            Format::Text => write_line(&format!("{}  {}", time_of(at), plain_view::image_line(progress))),
            Format::Json => write_line(&json_of_image(at, progress).to_string()),
        }
    }
}

fn write_line(line: &str) {
    // A log that nobody takes any more is no reason to end.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn time_of(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

/// `12:30:01.123  400  RunTask  ClusterNotFoundException  340 µs  4d2e...`
fn text_of(record: &RequestRecord) -> String {
    let what = record.operation.as_deref().or(record.path.as_deref()).unwrap_or("-");
    let mut line = format!("{}  {}  {what}", time_of(record.at), record.status);
    if let Some(exception) = &record.exception {
        line = format!("{line}  {exception}");
    }
    line = format!("{line}  {}  {}", format::duration(record.took), record.request_id);
    match &record.trouble {
        Some(trouble) => format!("{line}  {trouble}"),
        None => line,
    }
}

fn json_of(record: &RequestRecord) -> Value {
    json!({
        "at": record.at.to_string(),
        "request_id": record.request_id,
        "operation": record.operation,
        "path": record.path,
        "status": record.status,
        "exception": record.exception,
        "took_us": u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
        "request_bytes": record.request_bytes,
        "answer_bytes": record.answer_bytes,
        "trouble": record.trouble,
    })
}

fn json_of_image(at: jiff::Timestamp, progress: &ImageProgress) -> Value {
    let (image, status, error) = match progress {
        ImageProgress::Building { image } => (image, "BUILDING", None),
        ImageProgress::Compiling { image } => (image, "COMPILING", None),
        ImageProgress::Ready { image, .. } => (image, "READY", None),
        ImageProgress::Failed { image, error } => (image, "FAILED", Some(error.to_string())),
    };
    json!({"at": at.to_string(), "image": image, "image_status": status, "error": error})
}
