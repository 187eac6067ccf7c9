//! The ledger on disk: usage for good, from which a bill over any time is computed without the rest of a data directory.
//!
//! ```text
//! DATA-DIR/ledger/us-east-1/quickstart/2026-11-26.ledger     what was used on a day, in stretches that are closed
//!                                      open                  what ran at the last checkpoint, up to it
//! ```
//! Files are for their owner alone. A file of a day is only ever added to; one line is one record, or what records refer to:
//!
//! ```text
//! {"longshore_ledger":1,"written_by":"0.1.0","cluster":"quickstart","region":"us-east-1","day":"2026-11-26"} 5c03f0d2
//! start 1764115200000000000 7 e3069283
//! whom 0 {"service":"web","task_definition":"web:1", ... } 17ab02fe
//! host 3 {"instance_type":{"name":"m7i.large", ... },"availability_zone":"us-east-1a", ... } 90bb1e52
//! task 1 0 3 41 0 1500000000 60000000000 1180000000 30720000 4130000000 536870 4f1d7a33
//! instance 2 3 1 0 200000000 61000000000 0c4415de
//! surplus 3 3 1 61200000000 9000000000 d1a0c8b7
//! synced 774 5b0c37aa 3c1f09d2
//! ```
//! - `start`: when the cluster that what follows is of began by the operating system's calendar, in nanoseconds since 1970, and its seed. Numbers of records, tasks and
//!   instances, and what they refer to, are counted from there.
//! - `whom`, `host`: what a task ran for and what an instance is, by their numbers.
//! - `task`: number, whom, instance or `-`, task; how long before the stretch it began, the stretch's begin after the file's day began, and its
//!   length, all in nanoseconds; vCPU-nanoseconds, MiB-milliseconds, fuel, most bytes.
//! - `instance`: number, instance, which of its starts; the same three times.
//! - `surplus`: number, instance, which charge; when; vCPU-nanoseconds.
//! - `synced`: so many bytes before it were on the disk before it was written; and a checksum of this alone.
//! - The last word is the CRC-32 of the line before it, begun with that of the line before: a line that was changed, left out, added or
//!   moved shows. A last line that is not whole was being written, and of what comes behind the last `synced` any piece may be lost when
//!   the power fails: from the first such line on it counts for nothing, and is written again from the log. Damage before a `synced`
//!   is an error.
//!
//! A record with a number that is not above that of the record before it is there twice, and counts once.

pub mod bill;
mod day_file;
pub mod document;
pub mod focus;
mod line;
pub mod reader;
pub mod writer;

use std::sync::Arc;

use crate::control_plane::ControlPlane;
use crate::model::calendar::UnixNanos;
use crate::store::Disk;

/// The version of the format that is written and read.
pub const FORMAT: u32 = 1;

/// What the name of a day's file ends with.
const DAY_SUFFIX: &str = ".ledger";
/// The file of what ran at the last checkpoint.
const OPEN_FILE: &str = "open";

/// The cluster that a ledger is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerCluster {
    /// Its name.
    pub name: Arc<str>,
    /// The region whose prices apply.
    pub region: Arc<str>,
    /// When it began by the operating system's calendar, whatever calendar it has itself. A cluster that goes on after a restart goes on
    /// with this; one that begins anew has another.
    pub started_at: UnixNanos,
    /// Its seed, which decides how ids are shown.
    pub seed: u64,
}

impl LedgerCluster {
    /// The cluster of a control plane that began at this time.
    pub(super) fn of(control_plane: &ControlPlane, region: &Arc<str>, began_at: jiff::Timestamp) -> LedgerCluster {
        LedgerCluster {
            name: control_plane.name().clone(),
            region: region.clone(),
            started_at: UnixNanos::of(began_at),
            seed: control_plane.settings().seed,
        }
    }
}

/// Where the ledger of a data directory is.
fn folder(data_dir: &Disk) -> Disk {
    data_dir.folder("ledger")
}
