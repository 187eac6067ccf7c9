//! What is shown of the containers of tasks that have health checks or restart policies: a line when one becomes healthy or
//! unhealthy or is started again, and how they all stand.

use std::collections::BTreeMap;

use super::format;
use crate::control_plane::targets::TaskTargets;
use crate::driver::running_cluster::Notice;
use crate::driver::snapshot::Snapshot;
use crate::model::ids::{IdForm, TaskId};
use crate::model::task::{Container, HealthStatus, Task, TaskStatus};
use crate::model::task_definition::ContainerDefinition;

/// What was last told of each container.
#[derive(Default)]
pub(super) struct ContainerNews {
    told: BTreeMap<(TaskId, usize), (HealthStatus, u32)>,
}

impl ContainerNews {
    /// A line for each container that has another health or was started again.
    pub(super) fn lines(&mut self, notice: &Notice, ids: IdForm) -> Vec<String> {
        let Some(task) = &notice.changed_task else { return Vec::new() };
        if task.last_status == TaskStatus::Stopped {
            self.told.retain(|(of, _), _| *of != task.id);
            return Vec::new();
        }
        let mut lines = Vec::new();
        for (index, container) in task.containers.iter().enumerate() {
            let is = (container.health, container.restart_count);
            let was = self.told.insert((task.id, index), is).unwrap_or_default();
            let name = &task.task_definition.containers[index].name;
            let news = match is {
                (_, restarts) if restarts > was.1 => format!("was started again, for the {} time", ordinal(restarts)),
                (health, _) if health != was.0 => format!("is {}", health.as_str()),
                _ => continue,
            };
            lines.push(format!(
                "{}  (task {}) {} container {name} {news}",
                format::clock(notice.at),
                format::short_id(&ids.task(task.id)),
                task.task_definition,
            ));
        }
        lines
    }
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// The health of a task as a cell, the worse of its containers' and its targets': nothing when neither is checked.
pub(super) fn health(task: &Task, targets: Option<&TaskTargets>) -> &'static str {
    let is_checked = task.task_definition.containers.iter().any(|container| container.health_check.is_some());
    let known = is_checked.then(|| task.health_status()).into_iter().chain(targets.map(TaskTargets::health));
    let badness = |health: &HealthStatus| match health {
        HealthStatus::Healthy => 0,
        HealthStatus::Unknown => 1,
        HealthStatus::Unhealthy => 2,
    };
    known.max_by_key(badness).map_or("-", |health| health.as_str())
}

/// How often containers of a task were started again, as a cell: nothing when none of them ever is.
pub(super) fn restarts(task: &Task) -> String {
    let may_restart = task.task_definition.containers.iter().any(|container| container.restart_policy.is_some());
    let count: u32 = task.containers.iter().map(|container| container.restart_count).sum();
    if may_restart { count.to_string() } else { "-".to_owned() }
}

/// The columns of [`rows`].
pub(super) const HEADS: [&str; 8] =
    ["Task definition", "Container", "Tasks", "Healthy", "Unhealthy", "Unknown", "Restarts", "Exit codes"];

#[derive(Default)]
struct Tally {
    tasks: u32,
    healthy: u32,
    unhealthy: u32,
    unknown: u32,
    restarts: u64,
    exit_codes: BTreeMap<i32, u32>,
}

impl Tally {
    fn add(&mut self, container: &Container) {
        self.tasks += 1;
        let health = match container.health {
            HealthStatus::Healthy => &mut self.healthy,
            HealthStatus::Unhealthy => &mut self.unhealthy,
            HealthStatus::Unknown => &mut self.unknown,
        };
        *health += 1;
        self.restarts += u64::from(container.restart_count);
        if let Some(code) = container.exit.exit_code {
            *self.exit_codes.entry(code).or_default() += 1;
        }
    }

    fn cells(&self, definition: &ContainerDefinition) -> [String; 6] {
        let checked = |count: u32| definition.health_check.as_ref().map_or("-".to_owned(), |_| count.to_string());
        let restarts = definition.restart_policy.as_ref().map_or("-".to_owned(), |_| self.restarts.to_string());
        let codes = self.exit_codes.iter().map(|(code, count)| match count {
            1 => code.to_string(),
            _ => format!("{code} ({count} times)"),
        });
        [
            self.tasks.to_string(),
            checked(self.healthy),
            checked(self.unhealthy),
            checked(self.unknown),
            restarts,
            codes.collect::<Vec<_>>().join(", "),
        ]
    }
}

/// A row for each container of the task definitions whose containers have an order, health checks or restarts. The health is the last
/// that was known.
pub(super) fn rows(snapshot: &Snapshot) -> Vec<[String; 8]> {
    let mut tallies: BTreeMap<(String, usize), (Tally, &ContainerDefinition)> = BTreeMap::new();
    for record in snapshot.state.tasks.values() {
        let task = &record.task;
        if !task.task_definition.has_container_lifecycles() {
            continue;
        }
        for (index, container) in task.containers.iter().enumerate() {
            let definition = &task.task_definition.containers[index];
            let tally = tallies.entry((task.task_definition.to_string(), index));
            tally.or_insert_with(|| (Tally::default(), definition)).0.add(container);
        }
    }
    let row = |((family, _), (tally, definition)): ((String, usize), (Tally, &ContainerDefinition))| {
        let [tasks, healthy, unhealthy, unknown, restarts, codes] = tally.cells(definition);
        [family, definition.name.clone(), tasks, healthy, unhealthy, unknown, restarts, codes]
    };
    tallies.into_iter().map(row).collect()
}
