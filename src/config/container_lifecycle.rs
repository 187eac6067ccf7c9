//! How a container lives beside others: what it waits for, its health, its restarts, and what it is told from files.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use super::duration::format_duration;
use super::keys::{CONTAINER_DEPENDENCY, ENVIRONMENT_FILE, HEALTH_CHECK, RESTART_POLICY, SECRET};
use super::paths::resolve_file;
use super::reader::{Table, Words, did_you_mean, quoted};
use super::settings::PeriodLimits;
use super::suggest::nearest;
use crate::model::container_order::{ContainerDependency, DependencyCondition, dependency_problems};
use crate::model::health_command::{HealthCommand, Shell};
use crate::model::task_definition::{ContainerDefinition, HealthCheck, RestartPolicy, Secret};
use crate::model::units::Duration;

const CONDITIONS: Words<DependencyCondition> = Words {
    available: &[
        ("START", DependencyCondition::Start),
        ("COMPLETE", DependencyCondition::Complete),
        ("SUCCESS", DependencyCondition::Success),
        ("HEALTHY", DependencyCondition::Healthy),
    ],
    planned: &[],
};

/// Reads `health_check`. **Source:** ecs-semantics §1.5.1.
pub(super) fn read_health_check(container: &Table<'_>, shell: Shell, limits: PeriodLimits) -> Option<HealthCheck> {
    let at = container.table("health_check", &HEALTH_CHECK)?;
    let default = HealthCheck::default();
    let command = at.need("command").and_then(|value| {
        HealthCommand::words(value.strings()?, shell).map_err(|error| value.reject(error.to_string())).ok()
    });
    Some(HealthCheck {
        command: command.unwrap_or_default(),
        interval: period(&at, "interval", 5..=300, limits).unwrap_or(default.interval),
        timeout: period(&at, "timeout", 2..=60, limits).unwrap_or(default.timeout),
        retries: at.u32("retries", 1..=10).unwrap_or(default.retries),
        start_period: period(&at, "start_period", 0..=300, limits).unwrap_or(default.start_period),
    })
}

/// Reads `restart_policy`. One that is not enabled is none. **Source:** ecs-semantics §1.5.2.
pub(super) fn read_restart_policy(container: &Table<'_>, limits: PeriodLimits) -> Option<RestartPolicy> {
    let at = container.table("restart_policy", &RESTART_POLICY)?;
    let default = RestartPolicy::default();
    let is_enabled = at.need("enabled").and_then(|value| value.boolean());
    let codes = at.get("ignored_exit_codes").and_then(|value| {
        let items = value.list("a list of integers")?;
        if items.len() > 50 {
            value.reject(format!("{} exit codes are too many: at most 50", items.len()));
        }
        Some(items.iter().filter_map(|item| i32::try_from(item.u32(0..=255)?).ok()).collect())
    });
    let policy = RestartPolicy {
        ignored_exit_codes: codes.unwrap_or_default(),
        restart_attempt_period: period(&at, "restart_attempt_period", 60..=1800, limits)
            .unwrap_or(default.restart_attempt_period),
    };
    is_enabled.unwrap_or_default().then_some(policy)
}

/// A duration within ECS' limits, which are in seconds; with short periods the lower one is a millisecond.
pub(super) fn period(
    at: &Table<'_>,
    key: &'static str,
    seconds: RangeInclusive<u64>,
    limits: PeriodLimits,
) -> Option<Duration> {
    let value = at.get(key)?;
    let duration = value.duration()?;
    let least = match limits {
        PeriodLimits::Short if *seconds.start() > 0 => Duration::from_millis(1),
        PeriodLimits::Short | PeriodLimits::Ecs => Duration::from_secs(*seconds.start()),
    };
    let most = Duration::from_secs(*seconds.end());
    if (least..=most).contains(&duration) {
        return Some(duration);
    }
    let help = (duration < least && limits == PeriodLimits::Ecs && !duration.is_zero())
        .then(|| "write short_periods = true under [settings] for a demonstration".to_owned());
    value.reject_with_help(
        format!(
            "{key} {} is not within the limits: {} to {}s",
            format_duration(duration),
            format_duration(least),
            seconds.end()
        ),
        help,
    );
    None
}

/// Reads `depends_on`. What it names is checked when all containers are read.
pub(super) fn read_depends_on(container: &Table<'_>) -> Vec<ContainerDependency> {
    let read = |at: Table<'_>| {
        let name = at.need("container_name").and_then(|value| value.string());
        let condition = at.need("condition").and_then(|value| value.word(&CONDITIONS));
        // One that could not be read keeps its place, so that problems are found by index.
        ContainerDependency {
            container_name: name.unwrap_or_default().to_owned(),
            condition: condition.unwrap_or(DependencyCondition::Start),
        }
    };
    container.tables("depends_on", &CONTAINER_DEPENDENCY).into_iter().map(read).collect()
}

/// Holds the dependencies of a task definition's containers against each other. **Source:** ecs-semantics §1.5, §2.3.
pub(super) fn check_dependencies(containers: &[ContainerDefinition], tables: &[Table<'_>]) {
    for problem in dependency_problems(containers) {
        let Some(table) = tables.get(problem.container_index) else { continue };
        let items = table.tables("depends_on", &CONTAINER_DEPENDENCY);
        let Some(item) = items.get(problem.dependency_index) else { continue };
        let written = &containers[problem.container_index].depends_on[problem.dependency_index].container_name;
        if written.is_empty() || containers.iter().any(|container| container.name.is_empty()) {
            continue;
        }
        let names = || containers.iter().map(|container| container.name.as_str());
        let help = if names().any(|name| name == written) { None } else { nearest(written, names()).map(did_you_mean) };
        let key = if problem.message.starts_with("condition") { "condition" } else { "container_name" };
        item.reject_with_help(key, problem.message, help);
    }
}

/// Reads `secrets`. *Ours:* `value_from` is a file. **Source:** ecs-semantics §1.5.
pub(super) fn read_secrets(
    container: &Table<'_>,
    environment: &BTreeMap<String, String>,
    folder: &Path,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    for at in container.tables("secrets", &SECRET) {
        let name = at.need("name").and_then(|value| {
            let name = value.string()?;
            if name.is_empty() || name.contains(['=', '\0']) {
                value.reject(format!("{} cannot name a variable: not empty, and no = in it", quoted(name)));
            }
            if environment.contains_key(name) || secrets.iter().any(|earlier| earlier.name == name) {
                value.reject(format!(
                    "{} is given twice: a secret shares its name with no other variable",
                    quoted(name)
                ));
            }
            Some(name)
        });
        let file = at.need("value_from").and_then(|value| {
            if value.string()?.starts_with("arn:") {
                value.reject("secrets of AWS are not to be had here: name a file that holds the value");
                return None;
            }
            resolve_file(&value, folder)
        });
        if let (Some(name), Some(value_from)) = (name, file) {
            secrets.push(Secret { name: name.to_owned(), value_from });
        }
    }
    secrets
}

/// Reads `environment_files`, of a container or of an override. `None`: the key is not there. **Source:** ecs-semantics §1.5.
pub(super) fn read_environment_files(table: &Table<'_>, folder: &Path) -> Option<Vec<String>> {
    let value = table.get("environment_files")?;
    let items = value.tables(&ENVIRONMENT_FILE);
    if items.len() > 10 {
        value.reject(format!("{} environment files are too many: at most 10", items.len()));
    }
    let read = |at: &Table<'_>| {
        let value = at.need("value")?;
        let written = value.string()?;
        if !written.ends_with(".env") {
            value.reject(format!("environment file {} must end in .env", quoted(written)));
            return None;
        }
        resolve_file(&value, folder)
    };
    Some(items.iter().filter_map(read).collect())
}
