//! The cluster file: TOML in, a [`ClusterSpec`] out, or every mistake in it at once.
//!
//! Reading goes in two steps. Each table is walked by hand over a document that knows its positions (`reader`), where what
//! one table alone can say wrong is found; then the references between tables are resolved (`references`). Neither step stops at
//! a mistake: a value that cannot be read is left at its default and reading goes on, so that one run shows all there is
//! to repair. `docs/cluster-file.md` is the reference of the keys.
//!
//! Nothing here reads a module: an image is looked for on the disk and no more.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::model::cluster::ClusterSpec;
use crate::model::suggest;

mod alarms;
mod auto_scaling;
mod auto_scaling_group;
mod capacity;
mod container_lifecycle;
mod containers;
mod deployment;
mod distributions;
mod document;
mod duration;
mod faults;
mod images;
mod keys;
mod launch;
mod load_balancers;
mod load_shapes;
mod loads;
mod messages;
mod metric_math;
mod monitoring;
mod paths;
mod reader;
mod references;
mod scheduling;
mod service_updates;
mod services;
mod settings;
mod sizes;
mod start_tasks;
mod subnets;
mod tags;
mod task_definitions;
mod task_sets;
mod traffic;
mod work;

pub use duration::{DurationError, format_duration, parse_duration};
pub use images::load_images;
pub use keys::{TABLES, TableKeys};
pub use sizes::{SizeError, check_fargate_size, parse_task_cpu, parse_task_memory};
pub use suggest::nearest;

/// Reads cluster files.
#[derive(Clone, Copy, Debug)]
pub struct ClusterFile;

impl ClusterFile {
    /// Reads the file at `path` against the catalog that is built in.
    ///
    /// # Errors
    /// Every mistake in it, or that it cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<ClusterSpec, ClusterFileErrors> {
        ClusterFile::load_with_text(path).map(|(spec, _)| spec)
    }

    /// As [`ClusterFile::load`], with the text that it was read from.
    ///
    /// # Errors
    /// The same.
    pub fn load_with_text(path: impl AsRef<Path>) -> Result<(ClusterSpec, String), ClusterFileErrors> {
        let path = path.as_ref();
        match std::fs::read_to_string(path) {
            Ok(text) => ClusterFile::parse(&text, path, &Catalog::embedded()).map(|spec| (spec, text)),
            Err(error) => Err(ClusterFileErrors {
                file: path.to_owned(),
                source: Arc::from(""),
                errors: vec![ClusterFileError::unreadable(&error)],
            }),
        }
    }

    /// Reads a cluster file's text. `path` names it in messages, and its folder is what relative paths in it start from.
    ///
    /// # Errors
    /// Every mistake in it, in the order of their positions.
    pub fn parse(text: &str, path: impl AsRef<Path>, catalog: &Catalog) -> Result<ClusterSpec, ClusterFileErrors> {
        let path = path.as_ref();
        document::read(text, path, catalog).map_err(|errors| ClusterFileErrors {
            file: path.to_owned(),
            source: Arc::from(text),
            errors,
        })
    }
}

/// All that is wrong with a cluster file. Shown as one line for each, `FILE:LINE:COLUMN: PATH: MESSAGE`, with help below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFileErrors {
    /// The file.
    pub file: PathBuf,
    /// Its text; empty when it could not be read.
    pub source: Arc<str>,
    /// The mistakes by position. Never empty.
    pub errors: Vec<ClusterFileError>,
}

/// One mistake in a cluster file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFileError {
    /// Where it is, in bytes of the source. For something that is missing: the head of the table that lacks it.
    pub span: Range<usize>,
    /// The line, from 1; 0 when the file could not be read.
    pub line: usize,
    /// The column in characters, from 1; 0 when the file could not be read.
    pub column: usize,
    /// Which value, as in `service[1].auto_scaling.max_capacity`; lists count from 0. Empty for a mistake in the syntax.
    pub path: String,
    /// The offending text: the first line of what `span` covers.
    pub text: String,
    /// The rule that is broken.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub help: Option<String>,
}

impl ClusterFileError {
    /// That a file can't be read.
    fn unreadable(error: &std::io::Error) -> ClusterFileError {
        ClusterFileError {
            span: 0..0,
            line: 0,
            column: 0,
            path: String::new(),
            text: String::new(),
            message: format!("cannot be read: {}", in_our_style(&error.to_string())),
            help: None,
        }
    }
}

impl fmt::Display for ClusterFileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file.display())?;
            if error.line > 0 {
                write!(f, "{}:{}:", error.line, error.column)?;
            }
            write!(f, " {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ClusterFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

// `source` in `ClusterFileErrors` is the file's text and no error, so that thiserror cannot derive this.
impl std::error::Error for ClusterFileErrors {}
impl std::error::Error for ClusterFileError {}

/// A message of the operating system or of the TOML parser with a lower-case beginning.
fn in_our_style(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
