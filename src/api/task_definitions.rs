//! Task definitions: RegisterTaskDefinition, DescribeTaskDefinition, DeregisterTaskDefinition, DeleteTaskDefinitions,
//! ListTaskDefinitions, ListTaskDefinitionFamilies.
//!
//! They belong to the region; a cluster is handed one when something is to be started from it.
//!
//! **Source:** ecs-semantics §1.4, §11.3.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::names;
use super::page::{LONG_PAGES, page};
use super::region::{LiveCluster, Region};
use super::registry::Registry;
use super::registry::task_definitions::{TaskDefinitionRow, TaskDefinitionStatus, key_of};
use super::task_definition_document::{compatibilities, read, show};
use super::{Call, epoch_seconds, missing, show_tags, tags_of};
use crate::control_plane::event::Request;
use crate::control_plane::state::ClusterState;
use crate::model::task_definition::{TaskDefinition, TaskDefinitionRef};
use crate::model::units::Duration;

/// Task definitions that one DeleteTaskDefinitions names at most. **Source:** ecs-semantics §11.3.
const DELETED_MAX: usize = 10;
/// How long a deleted revision that nothing uses can be described. *Ours:* ECS says "until nothing uses it" and lets it be seen for a while.
const DELETED_SEEN_FOR: Duration = Duration::from_secs(3600);
/// Members of the request that are not part of what is registered.
const TAGS: &str = "tags";

/// RegisterTaskDefinition.
pub(super) fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let mut definition = read(input, region.catalog())?;
    let family = definition.family.clone();
    let mut registry = region.registry();
    let mut last = registry.families.get(&family).copied().unwrap_or_default();
    last.last_revision += 1;
    definition.revision = last.last_revision;
    let row = TaskDefinitionRow {
        document: input.without(&[TAGS]),
        tags: tags_of(input.list(TAGS)),
        status: TaskDefinitionStatus::Active,
        registered_at: region.now(),
        deregistered_at: None,
        delete_requested_at: None,
        definition: Arc::new(definition),
    };
    let answer = answer(region, &row, true);
    registry.families.put(&family, last);
    registry.task_definitions.put(&key_of(&family, last.last_revision), row);
    Ok(answer)
}

/// DescribeTaskDefinition.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    sweep(region);
    let reference = names::task_definition(input.required_text("taskDefinition"))?;
    let registry = region.registry();
    let row = registry.task_definition(&reference);
    let row = row.ok_or_else(|| ApiError::client("Unable to describe task definition."))?;
    Ok(answer(region, row, input.includes("TAGS")))
}

/// DeregisterTaskDefinition.
pub(super) fn deregister(call: &Call<'_>) -> Result<Value, ApiError> {
    let region = call.region;
    let reference = names::task_definition(call.input.required_text("taskDefinition"))?;
    let revision = reference.revision.ok_or_else(|| {
        ApiError::invalid_parameter("Revision is missing: a task definition is deregistered by family:revision.")
    })?;
    let key = key_of(&reference.family, revision);
    let now = region.now();
    let changed = region.registry().task_definitions.update(&key, |row| {
        if row.status == TaskDefinitionStatus::Active {
            row.status = TaskDefinitionStatus::Inactive;
            row.deregistered_at = Some(now);
        }
        row.clone()
    });
    let row = changed.ok_or_else(|| ApiError::client("The specified task definition does not exist."))?;
    put_out_of_force(region, &row);
    Ok(json!({"taskDefinition": answer(region, &row, false)["taskDefinition"]}))
}

/// Clusters that have been handed a definition don't start anything of it either.
fn put_out_of_force(region: &Region, row: &TaskDefinitionRow) {
    let TaskDefinition { family, revision, .. } = &*row.definition;
    for live in region.clusters() {
        // A cluster that never had it refuses, and needs nothing.
        let _ = live.cluster.ask(Request::DeregisterTaskDefinition { family: family.clone(), revision: *revision });
    }
}

/// DeleteTaskDefinitions.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let named: Vec<&str> = input.texts("taskDefinitions").collect();
    if named.len() > DELETED_MAX {
        return Err(ApiError::invalid_parameter(format!("taskDefinitions can have at most {DELETED_MAX} items.")));
    }
    let now = region.now();
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for name in named {
        let reference = names::task_definition(name)?;
        let Some(revision) = reference.revision else {
            return Err(ApiError::invalid_parameter(format!("Revision is missing in {name}.")));
        };
        let arn = region.arn(&format!("task-definition/{reference}"));
        let mut registry = region.registry();
        let key = key_of(&reference.family, revision);
        match registry.task_definitions.get(&key).map(|row| row.status) {
            None => failures.push(missing(arn)),
            Some(TaskDefinitionStatus::Active) => failures.push(json!({
                "arn": arn,
                "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
            })),
            Some(_) => {
                let row = registry.task_definitions.update(&key, |row| {
                    row.status = TaskDefinitionStatus::DeleteInProgress;
                    row.delete_requested_at.get_or_insert(now);
                    row.clone()
                });
                deleted.extend(row.map(|row| answer(region, &row, false)["taskDefinition"].clone()));
            }
        }
    }
    Ok(json!({"taskDefinitions": deleted, "failures": failures}))
}

/// ListTaskDefinitions. **Source:** ecs-semantics §11.3.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    sweep(region);
    let wanted = input.text("status").unwrap_or("ACTIVE");
    let family = input.text("familyPrefix");
    let registry = region.registry();
    let rows = registry.task_definitions.iter().filter(|(_, row)| {
        row.status.as_str() == wanted && family.is_none_or(|family| row.definition.family == family)
    });
    let show = |row: &TaskDefinitionRow| json!(arn_of(region, &row.definition));
    let rows: Vec<_> = rows.map(|(key, row)| (key.to_string(), row)).collect();
    let answered = if input.text("sort") == Some("DESC") {
        // Keys that ascend as the list descends: what a token is compared with.
        let descending =
            rows.into_iter().rev().enumerate().map(|(index, (key, row))| (format!("{index:010} {key}"), row));
        page(input, LONG_PAGES, "taskDefinitionArns", descending, show)?
    } else {
        page(input, LONG_PAGES, "taskDefinitionArns", rows, show)?
    };
    Ok(Value::Object(answered))
}

/// ListTaskDefinitionFamilies. **Source:** ecs-semantics §11.3.
pub(super) fn list_families(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let prefix = input.text("familyPrefix").unwrap_or_default();
    let wanted = input.text("status").unwrap_or("ALL");
    let registry = call.region.registry();
    let mut families: BTreeMap<&str, bool> = BTreeMap::new();
    for (_, row) in registry.task_definitions.iter() {
        let has_active = families.entry(&row.definition.family).or_default();
        *has_active |= row.status == TaskDefinitionStatus::Active;
    }
    let found = families.into_iter().filter(|(family, has_active)| {
        let is_wanted = match wanted {
            "ACTIVE" => *has_active,
            "INACTIVE" => !has_active,
            _ => true,
        };
        is_wanted && family.starts_with(prefix)
    });
    let found = found.map(|(family, _)| (family.to_owned(), family));
    Ok(Value::Object(page(input, LONG_PAGES, "families", found, |family| json!(family))?))
}

/// Hands the definition that is meant to a cluster, which may have it already.
///
/// # Errors
/// When there is none that something may be started from. **Source:** ecs-semantics §1.4.
pub(super) fn hand_over(region: &Region, live: &LiveCluster, named: &str) -> Result<TaskDefinitionRef, ApiError> {
    let reference = names::task_definition(named)?;
    let definition = usable(&region.registry(), &reference)?;
    let known = TaskDefinitionRef { family: definition.family.clone(), revision: Some(definition.revision) };
    live.cluster.ask(Request::PutTaskDefinition(Box::new((*definition).clone())))?;
    Ok(known)
}

fn usable(registry: &Registry, reference: &TaskDefinitionRef) -> Result<Arc<TaskDefinition>, ApiError> {
    match registry.task_definition(reference) {
        Some(row) if row.status == TaskDefinitionStatus::Active => Ok(row.definition.clone()),
        Some(_) => Err(ApiError::client("TaskDefinition is inactive")),
        None => Err(ApiError::client("TaskDefinition not found.")),
    }
}

/// Takes a definition of a cluster file into the registry.
pub(super) fn adopt(region: &Region, definition: &TaskDefinition) {
    let mut registry = region.registry();
    let family = definition.family.as_str();
    let mut last = registry.families.get(family).copied().unwrap_or_default();
    last.last_revision = last.last_revision.max(definition.revision);
    registry.families.put(family, last);
    let row = TaskDefinitionRow {
        document: super::task_definition_document::write(definition),
        tags: definition.tags.clone(),
        status: TaskDefinitionStatus::Active,
        registered_at: region.now(),
        deregistered_at: None,
        delete_requested_at: None,
        definition: Arc::new(definition.clone()),
    };
    registry.task_definitions.put(&key_of(family, definition.revision), row);
}

/// `arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION`.
pub(super) fn arn_of(region: &Region, definition: &TaskDefinition) -> String {
    region.arn(&format!("task-definition/{definition}"))
}

/// A task definition as it is answered.
fn answer(region: &Region, row: &TaskDefinitionRow, with_tags: bool) -> Value {
    let definition = &row.definition;
    let mut shown = show(&row.document, definition);
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("taskDefinitionArn", json!(arn_of(region, definition)));
    put("revision", json!(definition.revision));
    put("status", json!(row.status.as_str()));
    put("registeredAt", epoch_seconds(row.registered_at));
    put("registeredBy", json!(super::PRINCIPAL_ARN));
    put("deregisteredAt", row.deregistered_at.map_or(Value::Null, epoch_seconds));
    put("deleteRequestedAt", row.delete_requested_at.map_or(Value::Null, epoch_seconds));
    put("compatibilities", json!(compatibilities(definition, region.catalog())));
    let attributes = definition.required_attributes().into_iter();
    put("requiresAttributes", attributes.map(|found| json!({"name": found.name, "value": found.value})).collect());
    let mut answered = Map::new();
    answered.insert("taskDefinition".into(), Value::Object(shown));
    if with_tags {
        answered.insert(TAGS.into(), show_tags(&row.tags));
    }
    Value::Object(answered)
}

/// Lets go of deleted revisions that nothing uses any more. **Source:** ecs-semantics §1.4.
fn sweep(region: &Region) {
    let now = region.now();
    let is_due = |row: &TaskDefinitionRow| {
        row.delete_requested_at.is_some_and(|at| now.duration_since(at).unsigned_abs() >= DELETED_SEEN_FOR)
    };
    let due: BTreeSet<(String, u32)> = {
        let registry = region.registry();
        let rows = registry.task_definitions.iter().filter(|(_, row)| is_due(row));
        rows.map(|(_, row)| (row.definition.family.clone(), row.definition.revision)).collect()
    };
    if due.is_empty() {
        return;
    }
    let used: BTreeSet<(String, u32)> = region
        .clusters()
        .iter()
        .filter_map(|live| live.cluster.read(|state, _| used_by(state)).ok())
        .flatten()
        .collect();
    let mut registry = region.registry();
    for (family, revision) in due.difference(&used) {
        registry.task_definitions.remove(&key_of(family, *revision));
    }
}

/// The definitions that a cluster's live tasks and its services' deployments use.
fn used_by(state: &ClusterState) -> BTreeSet<(String, u32)> {
    let tasks = state.tasks.values().filter(|record| record.task.stopped_at.is_none());
    let tasks = tasks.map(|record| &record.task.task_definition);
    let deployments = state.services.values().flat_map(|service| &service.deployments);
    let deployments = deployments.map(|deployment| &deployment.task_definition);
    tasks.chain(deployments).map(|definition| (definition.family.clone(), definition.revision)).collect()
}
