//! `[[start_task]]`: standalone tasks on instances that the file names.

use std::sync::Arc;

use super::document::{Context, Read};
use super::keys::START_TASK;
use super::launch::TASK_TAG_SOURCES;
use super::loads::{read_group, read_overrides, read_started_by};
use super::reader::Table;
use super::services::read_task_definition_ref;
use super::subnets::read_network_configuration;
use super::tags::read_tags;
use crate::model::cluster::{ScheduledStartTask, StartTaskSpec};
use crate::model::units::Duration;

/// Container instances of one StartTask at most. **Source:** ecs-semantics §1.7.
const INSTANCES_MAX: usize = 10;

/// Reads the tasks that have their instances named.
pub(super) fn read_start_tasks<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, ScheduledStartTask>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| ScheduledStartTask {
            at: at.duration("at").unwrap_or(Duration::ZERO),
            container_instances: read_names(&at),
            spec: StartTaskSpec {
                task_definition: read_task_definition_ref(&at),
                container_instances: Vec::new(),
                group: at.get("group").and_then(|value| read_group(&value)),
                started_by: at.get("started_by").and_then(|value| read_started_by(&value, 36)),
                overrides: Arc::new(read_overrides(&at, context)),
                tags: read_tags(&at),
                propagate_tags: at.word("propagate_tags", &TASK_TAG_SOURCES).unwrap_or_default(),
                document: read_network_configuration(&at),
                ..StartTaskSpec::default()
            },
        });
        Read { item, at, soundness }
    };
    root.tables("start_task", &START_TASK).into_iter().map(read).collect()
}

fn read_names(at: &Table<'_>) -> Vec<Arc<str>> {
    let Some(value) = at.need("container_instances") else { return Vec::new() };
    let names = value.strings().unwrap_or_default();
    if value.is_empty_list() || names.len() > INSTANCES_MAX {
        value.reject(format!("{} instances are named: 1 to {INSTANCES_MAX}", names.len()));
    }
    names.into_iter().map(Arc::from).collect()
}
