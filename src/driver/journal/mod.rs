//! The journal of a cluster: each event, when it came and what followed from it, one a line as JSON.
//!
//! The first line is a [`JournalHeader`]: with its settings, the events that follow lead a control plane through exactly the states
//! that the cluster was in ([`replay`]). A line goes to the file before its actions are carried out. The same events give the same bytes.
//!
//! ```text
//! {"longshore_journal":1,"written_by":"0.1.0","cluster":"quickstart", ... ,"crc":"5c03f0d2"}
//! {"at":1203477,"event":{"instance_running":{"instance":1}},"actions":[{"notify":{...}}, ...],"crc":"e3069283"}
//! ```
//! `at` is in nanoseconds since the cluster's start. `crc` is the CRC-32 of its line up to there, begun with that of the line before: a
//! line that was changed, left out, added or moved shows. What the file's last line lacks at its end was never written: that line is
//! left out.
//!
//! Whether a journal outlives a loss of power is not decided here: nothing is synced.

mod line;
pub mod reader;
pub mod replay;
pub mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control_plane::ControlPlane;
use crate::model::settings::Settings;

/// The version of the format that is written and read. It changes when what was written before can't be read any more.
pub const FORMAT: u32 = 1;

/// What a journal begins with: all that is to be known to replay it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JournalHeader {
    /// The version of the format: [`FORMAT`].
    pub longshore_journal: u32,
    /// The version of Longshore that wrote it.
    pub written_by: Arc<str>,
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The region whose prices apply.
    pub region: Arc<str>,
    /// How actions are written.
    pub actions: ActionsForm,
    /// The cluster's settings, its seed and the calendar time of its start among them.
    pub settings: Settings,
}

impl JournalHeader {
    /// The header of a cluster that begins.
    pub fn of(control_plane: &ControlPlane, region: &str, actions: ActionsForm) -> JournalHeader {
        JournalHeader {
            longshore_journal: FORMAT,
            written_by: env!("CARGO_PKG_VERSION").into(),
            cluster: control_plane.name().clone(),
            region: region.into(),
            actions,
            settings: control_plane.settings().clone(),
        }
    }
}

/// A journal that is to be written. [`Snapshot::journal_trouble`] says when it can't be any more; the cluster goes on.
///
/// [`Snapshot::journal_trouble`]: super::snapshot::Snapshot::journal_trouble
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalOptions {
    /// The file. It is emptied.
    pub path: PathBuf,
    /// How actions are written.
    pub actions: ActionsForm,
}

/// How the actions that follow from an event are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionsForm {
    /// All of them: whoever replays is told which one differs.
    #[default]
    Whole,
    /// Their number and a checksum: whoever replays is told that they differ. The file is about half as large.
    Digest,
}
