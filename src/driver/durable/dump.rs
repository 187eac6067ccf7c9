//! A data directory in words: one JSON document for each record, for people and scripts that want to know what happened.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::record::{self, Record, Saved};
use crate::store::inspection::read_streams;
use crate::store::{OpenError, Position, StreamName};

/// A record or a snapshot of some stream.
#[derive(Debug, Serialize)]
pub struct Dumped {
    /// Its stream.
    pub stream: String,
    /// Its position, or the last that a snapshot stands for.
    pub position: u64,
    /// What it is: `event`, `begun`, ..., `snapshot`, or `bytes` of a stream that is no cluster's.
    pub kind: &'static str,
    /// When it was, in nanoseconds since the cluster's start, if it is an event or a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What it says, as far as it can be said here.
    pub content: Value,
}

/// Tells everything that is in a data directory.
///
/// # Errors
/// When it can't be read.
pub fn dump(folder: &Path, tell: impl FnMut(Dumped)) -> Result<(), OpenError> {
    let tell = std::cell::RefCell::new(tell);
    let snapshot = |stream: &StreamName, position: Position, bytes: &[u8]| {
        (tell.borrow_mut())(dumped_snapshot(stream, position, bytes));
    };
    let record = |stream: &StreamName, position: Position, bytes: &[u8]| {
        (tell.borrow_mut())(dumped_record(stream, position, bytes));
    };
    read_streams(folder, snapshot, record)
}

fn is_cluster(stream: &StreamName) -> bool {
    stream.as_str().starts_with("cluster.")
}

fn dumped_snapshot(stream: &StreamName, position: Position, bytes: &[u8]) -> Dumped {
    let (stream_name, position) = (stream.to_string(), position.0);
    if is_cluster(stream)
        && let Ok(saved) = record::read::<Saved>(bytes)
    {
        let state = saved.control_plane.state();
        let content = serde_json::json!({
            "written_by": saved.written_by,
            "region": saved.region,
            "services": state.services.keys().collect::<Vec<_>>(),
            "live_tasks": state.live_count,
            "stopped_tasks": state.stopped_count,
            "container_instances": state.live_instances().count(),
            "bytes": bytes.len(),
        });
        let at = Some(saved.control_plane.now().0);
        return Dumped { stream: stream_name, position, kind: "snapshot", at, content };
    }
    Dumped { stream: stream_name, position, kind: "snapshot", at: None, content: bytes.len().into() }
}

fn dumped_record(stream: &StreamName, position: Position, bytes: &[u8]) -> Dumped {
    let known = is_cluster(stream).then(|| record::read::<Record>(bytes).ok()).flatten();
    let shown = |value: &dyn Fn() -> serde_json::Result<Value>| value().unwrap_or(Value::Null);
    let (kind, at, content) = match known {
        Some(Record::Event(at, event, _)) => ("event", Some(at.0), shown(&|| serde_json::to_value(&event))),
        Some(Record::Begun(beginning)) => ("begun", None, shown(&|| serde_json::to_value(&beginning))),
        Some(Record::InForce(form)) => ("in_force", None, shown(&|| serde_json::to_value(&form.spec))),
        Some(Record::Ahead(ahead)) => ("ahead", None, shown(&|| serde_json::to_value(&ahead))),
        None => ("bytes", None, bytes.len().into()),
    };
    Dumped { stream: stream.to_string(), position: position.0, kind, at, content }
}
