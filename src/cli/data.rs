//! `longshore data check DIR` and `longshore data dump DIR`: a data directory held against its checksums, and in words.

use std::path::Path;
use std::sync::Arc;

use super::run::write_out;
use super::{DataArguments, DataCommand, Failure, Format, Outcome, bad_input, complain, failed, warn};
use crate::driver::durable::dump::dump;
use crate::store::inspection::inspect;
use crate::store::{OpenError, Store};

pub(super) fn run(arguments: &DataArguments) -> Outcome {
    match &arguments.command {
        DataCommand::Check { folder, format } => check(folder, *format),
        DataCommand::Dump { folder } => dump(folder, |record| {
            write_out(&serde_json::to_string(&record).expect("it is plain data"));
        })
        .map_err(failed),
    }
}

/// Opens a data directory to run what is in it, and says what a crash has left at its end.
pub(super) fn open(folder: &Path) -> Result<Arc<Store>, Failure> {
    let store = Store::open(folder).map_err(|error| match error {
        // Nothing has run yet, and another path will do.
        OpenError::InUse(_) => bad_input(error),
        error => failed(error),
    })?;
    store.cut().into_iter().for_each(warn);
    Ok(Arc::new(store))
}

fn check(folder: &Path, format: Format) -> Outcome {
    let found = inspect(folder).map_err(failed)?;
    let sound = found.is_sound();
    match format {
        Format::Json => {
            let files = found.files.iter().map(|file| {
                serde_json::json!({
                    "path": file.path,
                    "bytes": file.bytes,
                    "content": file.content.as_ref().ok(),
                    "problem": file.content.as_ref().err().map(ToString::to_string),
                })
            });
            let document = serde_json::json!({
                "sound": sound,
                "last_record": found.end.as_ref().ok().map(|position| position.0),
                "problem": found.end.as_ref().err().map(ToString::to_string),
                "left_out": found.cut.as_ref().map(ToString::to_string),
                "files": files.collect::<Vec<_>>(),
            });
            write_out(&serde_json::to_string_pretty(&document).expect("it is plain data"));
        }
        Format::Text => {
            for file in &found.files {
                match &file.content {
                    Ok(content) => write_out(&format!("{}: {content}", file.path.display())),
                    Err(problem) => complain(problem),
                }
            }
            if let Some(cut) = &found.cut {
                write_out(&cut.to_string());
            }
            match &found.end {
                Ok(position) => write_out(&format!("the last record is {}", position.0)),
                Err(problem) => complain(problem),
            }
        }
    }
    if sound { Ok(()) } else { Err(Failure::Failed) }
}
