//! `--report DIR` of the commands that run a cluster: opened before it, written after it.

use std::path::{Path, PathBuf};

use super::{Failure, Outcome, bad_input, failed};
use crate::driver::recorder::Recording;
use crate::driver::snapshot::Snapshot;
use crate::report::{ReportFolder, ReportInput, ReportTime};

#[derive(Debug, clap::Args)]
pub(super) struct ReportArguments {
    /// Write a page with charts over time, the bill and the cluster file into this folder, and the series as CSV
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl ReportArguments {
    /// The folder, if one is asked for, and whether there is something to record.
    pub(super) fn open(&self) -> Result<(Option<ReportFolder>, Recording), Failure> {
        let Some(folder) = &self.report else { return Ok((None, Recording::None)) };
        let folder = ReportFolder::open(folder).map_err(bad_input)?;
        Ok((Some(folder), Recording::Kept))
    }
}

/// Writes the report of a cluster that is over, if there is to be one, and says where it is.
pub(super) fn write(
    folder: Option<ReportFolder>,
    snapshot: &Snapshot,
    time: ReportTime,
    file: &Path,
    file_text: &str,
) -> Outcome {
    let (Some(folder), Some(series)) = (folder, &snapshot.series) else { return Ok(()) };
    let file_name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let page = folder.finish(&ReportInput { snapshot, series, time, file_name: &file_name, file_text });
    let page = page.map_err(failed)?;
    anstream::eprintln!("report: {}", page.display());
    Ok(())
}
