//! `longshore validate FILE`: every mistake in a cluster file, and nothing else.

use serde::Serialize;

use super::diagnostics;
use super::{Failure, Format, Outcome, ValidateArguments};
use crate::config::{ClusterFile, ClusterFileErrors};
use crate::model::cluster::ClusterSpec;

#[derive(Serialize)]
struct Document<'a> {
    file: String,
    valid: bool,
    errors: Vec<Mistake<'a>>,
}

#[derive(Serialize)]
struct Mistake<'a> {
    line: usize,
    column: usize,
    path: &'a str,
    text: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

pub(super) fn validate(arguments: &ValidateArguments) -> Outcome {
    let loaded = ClusterFile::load(&arguments.file);
    match (arguments.format, &loaded) {
        (Format::Text, Ok(spec)) => anstream::println!("{}", describe(&arguments.file, spec)),
        (Format::Text, Err(errors)) => diagnostics::print(errors),
        (Format::Json, loaded) => {
            let errors = loaded.as_ref().err().map(mistakes).unwrap_or_default();
            let document = Document { file: arguments.file.display().to_string(), valid: errors.is_empty(), errors };
            println!("{}", serde_json::to_string_pretty(&document).expect("the document is plain data"));
        }
    }
    loaded.map(|_| ()).map_err(|_| Failure::BadInput)
}

fn mistakes(errors: &ClusterFileErrors) -> Vec<Mistake<'_>> {
    errors
        .errors
        .iter()
        .map(|error| Mistake {
            line: error.line,
            column: error.column,
            path: &error.path,
            text: &error.text,
            message: &error.message,
            help: error.help.as_deref(),
        })
        .collect()
}

fn describe(file: &std::path::Path, spec: &ClusterSpec) -> String {
    let count = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let standalone: u32 = spec.run_tasks.iter().map(|run_task| run_task.spec.count).sum();
    format!(
        "{}: valid: cluster {} in {}: {}, {}, {}, {}, {}",
        file.display(),
        spec.name,
        spec.region,
        count(spec.task_definitions.len(), "task definition", "task definitions"),
        count(spec.services.len(), "service", "services"),
        count(standalone as usize, "standalone task", "standalone tasks"),
        count(spec.capacity_providers.len(), "capacity provider", "capacity providers"),
        count(spec.container_instances.len(), "instance by hand", "instances by hand"),
    )
}
