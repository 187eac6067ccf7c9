//! A run as a folder that anyone can open: one HTML page, each of its charts as SVG, and the series as CSV.
//!
//! Everything is made from a snapshot, a series and the cluster file's text, and nothing else goes in: no clock, no network, no script.
//! The same run gives the same bytes.
//!
//! [`charts`] chooses what is drawn, [`chart`] draws, [`axis`] knows how values are scaled and written, [`csv`] and [`page`] write.

pub mod axis;
pub mod chart;
pub mod charts;
pub mod csv;
pub mod markup;
pub mod page;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::charts::Section;
use crate::driver::series::Series;
use crate::driver::snapshot::Snapshot;

/// What a report is about.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The cluster at the end.
    pub snapshot: &'a Snapshot,
    /// What it was like over time.
    pub series: &'a Series,
    /// Whether time was simulated.
    pub time: ReportTime,
    /// The cluster file's name, as it is to be shown.
    pub file_name: &'a str,
    /// Its text.
    pub file_text: &'a str,
}

/// The kind of time in which a cluster ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportTime {
    /// The host's.
    Real,
    /// The simulation's.
    Simulated,
}

/// A report could not be written.
#[derive(Debug, Error)]
#[error("--report {folder}: cannot {what} {file}: {error}", folder = .folder.display(), file = .file.display())]
pub struct ReportError {
    folder: PathBuf,
    what: &'static str,
    file: PathBuf,
    error: std::io::Error,
}

/// A folder that a report can be written into.
#[derive(Debug)]
pub struct ReportFolder {
    folder: PathBuf,
}

/// The page's name in its folder.
pub const PAGE: &str = "index.html";
/// The folder of charts in it.
pub const CHARTS: &str = "charts";

impl ReportFolder {
    /// Makes the folder if it is not there and begins the page, so that a place that can't be written to is known before a run and
    /// not after it. Files of an earlier report are written over; nothing is deleted.
    ///
    /// # Errors
    /// When the folder can't be made, or no file in it.
    pub fn open(folder: &Path) -> Result<ReportFolder, ReportError> {
        let folder = ReportFolder { folder: folder.to_owned() };
        folder.make(&folder.folder)?;
        folder.make(&folder.folder.join(CHARTS))?;
        folder.write(PAGE, "")?;
        Ok(folder)
    }

    /// Writes all of a report. Returns the page's path.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn finish(&self, input: &ReportInput<'_>) -> Result<PathBuf, ReportError> {
        let sections = charts::sections(input.series);
        for chart in sections.iter().flat_map(Section::charts) {
            self.write(&format!("{CHARTS}/{}.svg", chart.name), &chart::standalone(chart))?;
        }
        for (name, text_of) in csv::TABLES {
            self.write(name, &text_of(input))?;
        }
        // Last, so that a page is there only with all that it names.
        self.write(PAGE, &page::page(input, &sections))?;
        Ok(self.folder.join(PAGE))
    }

    fn make(&self, path: &Path) -> Result<(), ReportError> {
        std::fs::create_dir_all(path).map_err(|error| self.error("make the folder", path, error))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), ReportError> {
        let path = self.folder.join(name);
        let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| self.error("write", &path, error))
    }

    fn error(&self, what: &'static str, file: &Path, error: std::io::Error) -> ReportError {
        ReportError { folder: self.folder.clone(), what, file: file.to_owned(), error }
    }
}
