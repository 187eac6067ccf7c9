//! Tags of what an ARN names: TagResource, UntagResource, ListTagsForResource.
//!
//! **Source:** ecs-semantics §1.3, §11.4.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::ApiError;
use super::names::{self, cluster_in, kind_in, last_part};
use super::region::Region;
use super::registry::task_definitions::key_of;
use super::{Call, show_tags, tags_of};
use crate::control_plane::event::{Request, Tagged};

/// Tags of a resource at most. **Source:** ecs-semantics §1.3.
const TAGS_MAX: usize = 50;
/// What keys must not begin with. **Source:** ecs-semantics §1.3.
const RESERVED: &str = "aws:";

type Tags = BTreeMap<String, String>;

/// TagResource: tags that are not named stay. **Source:** ecs-semantics §1.3.
pub(super) fn tag(call: &Call<'_>) -> Result<Value, ApiError> {
    let new = tags_of(call.input.list("tags"));
    check_keys(new.keys())?;
    change(call, |tags| tags.extend(new))
}

/// UntagResource.
pub(super) fn untag(call: &Call<'_>) -> Result<Value, ApiError> {
    let gone: Vec<String> = call.input.texts("tagKeys").map(str::to_owned).collect();
    check_keys(&gone)?;
    change(call, |tags| tags.retain(|key, _| !gone.contains(key)))
}

/// Those that ECS manages can be neither set nor taken away.
fn check_keys<'a>(keys: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
    if keys.into_iter().any(|key| key.to_ascii_lowercase().starts_with(RESERVED)) {
        return Err(ApiError::invalid_parameter("Tag keys must not begin with aws:."));
    }
    Ok(())
}

/// ListTagsForResource.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = call.input.required_text("resourceArn");
    let tags = tags_at(call.region, arn).map_err(|error| match error.exception {
        // Its model has no ResourceNotFoundException.
        "ResourceNotFoundException" => ApiError::invalid_parameter(error.message),
        _ => error,
    })?;
    Ok(json!({"tags": show_tags(&tags)}))
}

fn change(call: &Call<'_>, change: impl FnOnce(&mut Tags)) -> Result<Value, ApiError> {
    let arn = call.input.required_text("resourceArn");
    let _alone = call.region.lock_tags();
    let mut tags = tags_at(call.region, arn)?;
    change(&mut tags);
    if tags.keys().filter(|key| !key.starts_with(RESERVED)).count() > TAGS_MAX {
        return Err(ApiError::new("LimitExceededException", format!("A resource has at most {TAGS_MAX} tags.")));
    }
    put(call.region, arn, tags)?;
    Ok(json!({}))
}

fn not_found() -> ApiError {
    ApiError::new("ResourceNotFoundException", "The specified resource wasn't found.")
}

fn invalid(arn: &str) -> ApiError {
    ApiError::invalid_parameter(format!("Invalid resource ARN: {arn}"))
}

/// The key of the revision that an ARN names.
fn revision_in(arn: &str) -> Result<String, ApiError> {
    let reference = names::task_definition(arn)?;
    Ok(key_of(&reference.family, reference.revision.ok_or_else(|| invalid(arn))?))
}

fn tags_at(region: &Region, arn: &str) -> Result<Tags, ApiError> {
    let name = last_part(arn);
    let registry = region.registry();
    match kind_in(arn) {
        Some("cluster") => {
            registry.clusters.get(name).map(|row| row.tags.clone()).ok_or_else(ApiError::cluster_not_found)
        }
        Some("task-definition") => {
            registry.task_definitions.get(&revision_in(arn)?).map(|row| row.tags.clone()).ok_or_else(not_found)
        }
        Some("capacity-provider") => {
            registry.capacity_providers.get(name).map(|row| row.tags.clone()).ok_or_else(not_found)
        }
        Some("service" | "task" | "container-instance" | "task-set") => {
            drop(registry);
            of_cluster(region, arn)
        }
        _ => Err(invalid(arn)),
    }
}

/// The tags of something in a cluster.
fn of_cluster(region: &Region, arn: &str) -> Result<Tags, ApiError> {
    let live = region.cluster(cluster_in(arn))?;
    let arn = arn.to_owned();
    let found = live.cluster.read(move |state, context| {
        let name = last_part(&arn);
        match kind_in(&arn) {
            Some("service") => Some(state.services.get(name)?.spec.tags.clone()),
            Some("task") => {
                let id = context.arns.ids.read_task(name)?;
                Some((*state.tasks.get(&id)?.task.tags).clone())
            }
            Some("container-instance") => {
                let id = context.arns.ids.read_container_instance(name)?;
                Some((*state.container_instances.get(&id)?.tags).clone())
            }
            Some("task-set") => {
                let sets = state.services.values().flat_map(|service| service.task_sets());
                let found = sets.into_iter().find(|set| context.arns.task_set(&set.service, set.id) == arn);
                found.map(|set| set.tags)
            }
            _ => None,
        }
    })?;
    found.ok_or_else(not_found)
}

fn put(region: &Region, arn: &str, tags: Tags) -> Result<(), ApiError> {
    let name = last_part(arn);
    match kind_in(arn) {
        Some("cluster") => drop(region.registry().clusters.update(name, |row| row.tags = tags)),
        Some("task-definition") => {
            let key = revision_in(arn)?;
            region.registry().task_definitions.update(&key, |row| row.tags = tags);
        }
        Some("capacity-provider") => drop(region.registry().capacity_providers.update(name, |row| row.tags = tags)),
        Some(kind @ ("service" | "task" | "container-instance")) => {
            let live = region.cluster(cluster_in(arn))?;
            let ids = live.arns.ids;
            let resource = match kind {
                "task" => ids.read_task(name).map(Tagged::Task),
                "container-instance" => ids.read_container_instance(name).map(Tagged::ContainerInstance),
                _ => Some(Tagged::Service(name.into())),
            };
            live.cluster.ask(Request::SetTags { resource: resource.ok_or_else(not_found)?, tags })?;
        }
        _ => return Err(invalid(arn)),
    }
    Ok(())
}
