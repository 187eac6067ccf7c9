//! Scheduled actions: PutScheduledAction, DescribeScheduledActions, DeleteScheduledAction.
//!
//! **Source:** ecs-semantics §7.4; API reference.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::targets::keep;
use super::{DIMENSION, Resource, arn_of, asked_resource, clusters_of, count_of, page, uuid_of, validation};
use crate::api::error::ApiError;
use crate::api::region::{LiveCluster, Region};
use crate::api::registry::scaling::ActionRow;
use crate::api::{Call, epoch_seconds};
use crate::control_plane::event::Request;
use crate::model::scaling::ScheduledAction;
use crate::model::schedule::Schedule;

/// Scheduled actions of one target at most. **Source:** Application Auto Scaling, "Quotas".
const ACTIONS_MAX: usize = 200;

/// PutScheduledAction. Of one that is there what is given changes, but that its times are dropped where none are given.
/// **Source:** API reference.
pub fn put(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let resource = Resource::of_request(input)?;
    let name = input.required_text("ScheduledActionName").to_owned();
    if !is_name(&name) {
        return Err(validation(format!(
            "ScheduledActionName '{name}' must not have a colon, a slash, a bar or a control character, nor begin or end with a space"
        )));
    }
    let live = resource.cluster_of_target(region)?;
    let before = actions_of(&live, Some(&resource)).remove(&resource.id).unwrap_or_default();
    let known = before.get(&name);
    if known.is_none() && before.len() >= ACTIONS_MAX {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("a scalable target has {ACTIONS_MAX} scheduled actions at most"),
        ));
    }
    let schedule = match (input.text("Schedule"), known) {
        (Some(expression), _) => {
            Schedule::parse(expression, input.text("Timezone")).map_err(|error| validation(error.to_string()))?
        }
        (None, Some(known)) => known.schedule.clone(),
        (None, None) => return Err(validation("Schedule is required for a scheduled action that is not there yet")),
    };
    let (min_capacity, max_capacity) = match (input.structure("ScalableTargetAction"), known) {
        (Some(bounds), _) => (count_of(bounds, "MinCapacity")?, count_of(bounds, "MaxCapacity")?),
        (None, Some(known)) => (known.min_capacity, known.max_capacity),
        (None, None) => (None, None),
    };
    let action = ScheduledAction {
        name: name.as_str().into(),
        schedule,
        start_time: moment_of(input.value("StartTime"))?,
        end_time: moment_of(input.value("EndTime"))?,
        min_capacity,
        max_capacity,
    };
    let request = Request::PutScheduledAction { service: resource.service.clone(), action: Box::new(action) };
    live.cluster.ask(request).map_err(|error| resource.refusal(error))?;
    let is_known = known.is_some();
    keep(region, &resource.id, |row| {
        if !is_known || !row.actions.contains_key(&name) {
            row.actions.insert(name.clone(), row_of(region, &resource.id, &name));
        }
    });
    Ok(json!({}))
}

/// DescribeScheduledActions.
pub fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let resource = asked_resource(input)?;
    let names: Vec<&str> = input.texts("ScheduledActionNames").collect();
    let mut items = BTreeMap::new();
    for live in clusters_of(call, resource.as_ref()) {
        for (id, actions) in actions_of(&live, resource.as_ref()) {
            for (name, action) in actions {
                if names.is_empty() || names.contains(&name.as_str()) {
                    items.insert(format!("{id}/{name}"), (id.clone(), action));
                }
            }
        }
    }
    let registry = region.registry();
    page(input, "ScheduledActions", items, |(id, action)| {
        let row = registry.scalable_targets.get(&id).and_then(|row| row.actions.get(&*action.name)).cloned();
        let row = row.unwrap_or_else(|| row_of(region, &id, &action.name));
        json!({
            "ScheduledActionName": action.name,
            "ScheduledActionARN": arn_of(region, "scheduledAction", &row.id, &id, &action.name),
            "ServiceNamespace": "ecs",
            "Schedule": action.schedule.to_string(),
            "Timezone": action.schedule.zone_name(),
            "ResourceId": id,
            "ScalableDimension": DIMENSION,
            "StartTime": action.start_time.map(epoch_seconds),
            "EndTime": action.end_time.map(epoch_seconds),
            "ScalableTargetAction": {"MinCapacity": action.min_capacity, "MaxCapacity": action.max_capacity},
            "CreationTime": epoch_seconds(row.created_at),
        })
    })
}

/// DeleteScheduledAction.
pub fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let resource = Resource::of_request(call.input)?;
    let name = call.input.required_text("ScheduledActionName");
    let live = resource.cluster_of_target(call.region)?;
    let request = Request::DeleteScheduledAction { service: resource.service.clone(), action: name.into() };
    live.cluster.ask(request).map_err(|error| resource.refusal(error))?;
    keep(call.region, &resource.id, |row| row.actions.remove(name));
    Ok(json!({}))
}

/// The actions of a cluster's targets, or of one target, by resource and name.
fn actions_of(live: &LiveCluster, resource: Option<&Resource>) -> BTreeMap<String, BTreeMap<String, ScheduledAction>> {
    let wanted = resource.map(|resource| resource.service.clone());
    let read = live.cluster.read(move |state, _| {
        let targets = state.scalable_targets.iter();
        let targets = targets.filter(|(service, _)| wanted.as_ref().is_none_or(|wanted| wanted == *service));
        let actions = targets.map(|(_, target)| {
            let actions = target.settings.scheduled_actions.iter();
            (target.resource_id.to_string(), actions.map(|one| (one.name.to_string(), one.clone())).collect())
        });
        actions.collect()
    });
    read.unwrap_or_default()
}

/// The model's pattern, which looks ahead and so is none that is compiled. **Source:** the shape ScheduledActionName.
fn is_name(text: &str) -> bool {
    let is_allowed = |letter: char| !letter.is_control() && ![':', '/', '|'].contains(&letter);
    text.trim_matches(' ').len() == text.len() && text.chars().all(is_allowed)
}

/// A moment as clients of AWS JSON write it: seconds since 1970, or a text with a date and a time.
#[expect(clippy::cast_possible_truncation, reason = "its range is looked at before")]
fn moment_of(value: Option<&Value>) -> Result<Option<jiff::Timestamp>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let moment = match value {
        Value::String(text) => text.parse().ok(),
        other => other
            .as_f64()
            .map(|seconds| seconds * 1000.0)
            .filter(|millis| millis.abs() < 9e15)
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis.round() as i64).ok()),
    };
    moment.map(Some).ok_or_else(|| validation(format!("{value} is no moment")))
}

/// What is kept of an action that is put at this moment.
pub(super) fn row_of(region: &Region, resource: &str, name: &str) -> ActionRow {
    let created_at = region.now();
    let id = uuid_of((&*region.name, "action", resource, name, created_at.as_nanosecond()));
    ActionRow { id, created_at }
}
