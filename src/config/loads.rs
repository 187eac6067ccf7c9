//! `[[run_task]]` and `[[load]]`: what is asked of the cluster while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::container_lifecycle::read_environment_files;
use super::containers::{self, MOST_CONTAINER_CPU, read_gpus};
use super::document::{Asked, Context, Read};
use super::keys::{CONTAINER_OVERRIDE, LOAD, OVERRIDDEN_RESOURCE_REQUIREMENT, OVERRIDDEN_STORAGE, OVERRIDES, RUN_TASK};
use super::launch::{TASK_TAG_SOURCES, read_launch, read_placement_constraints, read_placement_strategy};
use super::load_shapes::read_shape;
use super::reader::{Table, Value, Words, quoted};
use super::services::read_task_definition_ref;
use super::subnets::read_network_configuration;
use super::tags::{read_environment, read_tags};
use super::task_definitions;
use crate::model::cluster::{Arrivals, Load, RunTaskSpec, ScheduledRunTask};
use crate::model::task::{ContainerOverride, TaskOverrides};
use crate::model::traffic::TrafficKind;
use crate::model::units::{CpuUnits, Duration};

const ARRIVALS: Words<Arrivals> =
    Words { available: &[("constant", Arrivals::Constant), ("poisson", Arrivals::Poisson)], planned: &[] };

const TRAFFIC: Words<TrafficKind> =
    Words { available: &[("PRODUCTION", TrafficKind::Production), ("TEST", TrafficKind::Test)], planned: &[] };

/// Reads the standalone tasks.
pub(super) fn read_run_tasks<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Asked<'a, ScheduledRunTask>> {
    root.tables("run_task", &RUN_TASK).into_iter().map(|at| read_run_task(at, context)).collect()
}

/// **Source:** ecs-semantics §1.3, §4.5.
fn read_run_task<'a>(at: Table<'a>, context: &Context<'_>) -> Asked<'a, ScheduledRunTask> {
    let launch = read_launch(&at);
    let (item, soundness) = at.watched(|| ScheduledRunTask {
        at: at.duration("at").unwrap_or(Duration::ZERO),
        spec: RunTaskSpec {
            task_definition: read_task_definition_ref(&at),
            count: at.u32("count", 1..=u32::MAX).unwrap_or(1),
            launch_target: launch.target,
            group: at.get("group").and_then(|value| read_group(&value)),
            started_by: at.get("started_by").and_then(|value| read_started_by(&value, 128)),
            overrides: Arc::new(read_overrides(&at, context)),
            placement_strategy: read_placement_strategy(&at),
            placement_constraints: read_placement_constraints(&at),
            tags: read_tags(&at),
            propagate_tags: at.word("propagate_tags", &TASK_TAG_SOURCES).unwrap_or_default(),
            document: read_network_configuration(&at),
            ..RunTaskSpec::default()
        },
    });
    Asked { read: Read { item, at, soundness }, strategy: launch.items }
}

pub(super) fn read_group(value: &Value<'_>) -> Option<Arc<str>> {
    let group = value.string()?;
    if group.starts_with("service:") {
        value.reject(format!("group {} begins with \"service:\", which is for the tasks of services", quoted(group)));
    }
    if !(1..=255).contains(&group.chars().count()) {
        value.reject(format!("group {} is not 1 to 255 characters long", quoted(group)));
    }
    Some(Arc::from(group))
}

pub(super) fn read_started_by(value: &Value<'_>, most: usize) -> Option<Arc<str>> {
    let started_by = value.string()?;
    let is_valid = (1..=most).contains(&started_by.len())
        && started_by.chars().all(|letter| letter.is_ascii_alphanumeric() || "-/_".contains(letter));
    if !is_valid {
        value
            .reject(format!("started_by {} is not valid: 1 to {most} letters, digits, -, / and _", quoted(started_by)));
    }
    Some(Arc::from(started_by))
}

/// **Source:** ecs-semantics §2.5: an override names its container; that there is one is checked with the references.
pub(super) fn read_overrides(at: &Table<'_>, context: &Context<'_>) -> TaskOverrides {
    let Some(overrides) = at.table("overrides", &OVERRIDES) else { return TaskOverrides::default() };
    let mut changes: BTreeMap<String, ContainerOverride> = BTreeMap::new();
    for table in overrides.tables("container", &CONTAINER_OVERRIDE) {
        let name = table.need("name").and_then(|value| value.string());
        let change = ContainerOverride {
            command: table.strings("command"),
            environment: read_environment(&table),
            environment_files: read_environment_files(&table, context.folder),
            cpu: table.u32("cpu", 0..=MOST_CONTAINER_CPU).map(CpuUnits),
            memory: containers::read_memory(&table, "memory"),
            memory_reservation: containers::read_memory(&table, "memory_reservation"),
            gpus: read_gpus(&table, &OVERRIDDEN_RESOURCE_REQUIREMENT),
        };
        let Some(name) = name else { continue };
        if changes.insert(name.to_owned(), change).is_some() {
            table.reject("name", format!("container \"{name}\" is overridden twice"));
        }
    }
    let storage = overrides.table("ephemeral_storage", &OVERRIDDEN_STORAGE);
    TaskOverrides {
        containers: changes,
        cpu: task_definitions::read_cpu(&overrides),
        memory: task_definitions::read_memory(&overrides),
        ephemeral_storage_gib: storage.and_then(|storage| storage.need("size_in_gib")?.u32(21..=200)),
        ..TaskOverrides::default()
    }
}

/// Reads the loads.
pub(super) fn read_loads<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, Load>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| read_load(&at, context));
        Read { item, at, soundness }
    };
    root.tables("load", &LOAD).into_iter().map(read).collect()
}

fn read_load(at: &Table<'_>, context: &Context<'_>) -> Load {
    let service = at.need("service").and_then(|value| value.string()).unwrap_or_default();
    let job = at.need("job").and_then(|value| {
        let job = value.string()?;
        if job.contains(['\n', '\r']) {
            value.reject("a job is one line");
        }
        Some(job)
    });
    let container = at.get("container").and_then(|value| value.string());
    let shape = read_shape(at, context.folder);
    Load {
        service: Arc::from(service),
        container: container.map(str::to_owned),
        job: job.unwrap_or_default().to_owned(),
        steps: shape.steps,
        period: shape.period,
        moments: Arc::from(shape.moments),
        arrivals: at.word("arrivals", &ARRIVALS).unwrap_or_default(),
        traffic: at.word("traffic", &TRAFFIC).unwrap_or_default(),
    }
}
