//! The variables of a container that come from files: environment files and secrets.
//!
//! They are read when the task starts and kept for its life, so that a container which is started again sees what it saw. Values are
//! nowhere but here and with the guest: no report, no log and no debug output has them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::control_plane::action::TaskStart;
use crate::model::task::ContainerOverride;
use crate::model::task_definition::ContainerDefinition;

/// The largest secret. **Source:** AWS Secrets Manager's quota.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// The largest environment file. *Ours:* nobody writes one by hand that is larger.
const ENVIRONMENT_FILE_BYTES_MAX: u64 = 1 << 20;

/// All variables of one container, by name.
pub(super) type Variables = Arc<BTreeMap<String, String>>;

/// Whether a container of the task has variables in files.
pub(super) fn are_needed(start: &TaskStart) -> bool {
    start.task_definition.containers.iter().any(|container| is_needed(container, override_of(start, container)))
}

fn override_of<'a>(start: &'a TaskStart, container: &ContainerDefinition) -> Option<&'a ContainerOverride> {
    start.overrides.containers.get(&container.name)
}

fn is_needed(container: &ContainerDefinition, change: Option<&ContainerOverride>) -> bool {
    !container.secrets.is_empty() || !files_of(container, change).is_empty()
}

fn files_of<'a>(container: &'a ContainerDefinition, change: Option<&'a ContainerOverride>) -> &'a [String] {
    change.and_then(|change| change.environment_files.as_deref()).unwrap_or(&container.environment_files)
}

/// Reads the variables of every container that has some in files: the files in their order, then the environment, then secrets, then
/// what an override adds; the later one of a name wins. **Source:** ecs-semantics §1.5. *Ours:* which of two files wins.
///
/// # Errors
/// The reason why the task cannot start.
pub(super) fn read(start: &TaskStart) -> Result<Vec<Option<Variables>>, String> {
    let read = |container: &ContainerDefinition| {
        let change = override_of(start, container);
        if !is_needed(container, change) {
            return Ok(None);
        }
        let mut variables = BTreeMap::new();
        for file in files_of(container, change) {
            let text = read_file(file, ENVIRONMENT_FILE_BYTES_MAX).map_err(|error| {
                format!("ResourceInitializationError: unable to read environment file {file}: {error}")
            })?;
            for (number, line) in text.lines().enumerate() {
                let (name, value) = match parse_line(line) {
                    Line::Variable(name, value) => (name, value),
                    Line::Nothing => continue,
                    Line::Wrong => {
                        // The line itself may be a secret.
                        return Err(format!(
                            "ResourceInitializationError: unable to read environment file {file}: line {} is not VARIABLE=VALUE",
                            number + 1
                        ));
                    }
                };
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        variables.extend(container.environment.clone());
        for secret in &container.secrets {
            let value = read_file(&secret.value_from, SECRET_BYTES_MAX).map_err(|error| {
                format!(
                    "ResourceInitializationError: unable to pull secrets: unable to read {} for {}: {error}",
                    secret.value_from, secret.name
                )
            })?;
            let value = value.strip_suffix('\n').unwrap_or(&value);
            variables.insert(secret.name.clone(), value.strip_suffix('\r').unwrap_or(value).to_owned());
        }
        variables.extend(change.iter().flat_map(|change| change.environment.clone()));
        Ok(Some(Arc::new(variables)))
    };
    start.task_definition.containers.iter().map(read).collect()
}

fn read_file(path: &str, most: u64) -> Result<String, String> {
    let path = Path::new(path);
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    // A pipe would keep the worker for ever.
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.len() > most {
        return Err(format!("it is larger than {} KiB", most >> 10));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.contains('\0') {
        return Err("it holds a zero byte".to_owned());
    }
    Ok(text)
}

/// What a line of an environment file says.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// A variable and its value.
    Variable(&'a str, &'a str),
    /// A comment, or nothing.
    Nothing,
    /// Something else.
    Wrong,
}

/// The value is all that follows the first `=`, as it stands: ECS has no quotes and no escapes here either.
fn parse_line(line: &str) -> Line<'_> {
    let begun = line.trim_start();
    if begun.is_empty() || begun.starts_with('#') {
        return Line::Nothing;
    }
    match begun.split_once('=') {
        Some((name, value)) if !name.trim_end().is_empty() => Line::Variable(name.trim_end(), value),
        _ => Line::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claim: lines are variables, comments or mistakes. Method: one of each.
    #[test]
    fn lines() {
        assert_eq!(parse_line("A=b=c \"d\" "), Line::Variable("A", "b=c \"d\" "));
        assert_eq!(parse_line("  A ="), Line::Variable("A", ""));
        assert_eq!(parse_line("# A=b"), Line::Nothing);
        assert_eq!(parse_line("   "), Line::Nothing);
        assert_eq!(parse_line("A"), Line::Wrong);
        assert_eq!(parse_line("=b"), Line::Wrong);
    }
}
