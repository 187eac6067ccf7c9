//! DescribeScalingActivities: what policies and scheduled actions have done, the latest first.
//!
//! **Source:** ecs-semantics §7.1; API reference.

use serde_json::{Value, json};

use super::{DIMENSION, asked_resource, clusters_of, page, uuid_of};
use crate::api::error::ApiError;
use crate::api::{Call, seconds};
use crate::control_plane::scalable_target::ScalableTarget;
use crate::model::scaling::ActivityRecord;

/// DescribeScalingActivities. Targets that were deregistered are remembered by theirs.
pub fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let resource = asked_resource(call.input)?;
    let mut items: Vec<(String, Value)> = Vec::new();
    for live in clusters_of(call, resource.as_ref()) {
        let wanted = resource.as_ref().map(|resource| resource.service.clone());
        let read = live.cluster.read(move |state, context| {
            let targets = state.scalable_targets.iter().chain(&state.deregistered_targets);
            let targets = targets.filter(|(service, _)| wanted.as_ref().is_none_or(|wanted| wanted == *service));
            let copy = |target: &ScalableTarget| (target.resource_id.clone(), target.activities.clone());
            (targets.map(|(_, target)| copy(target)).collect::<Vec<_>>(), context.calendar_start)
        });
        let Ok((targets, start)) = read else { continue };
        for (resource, activities) in targets {
            for activity in activities {
                let began = activity.started_at.calendar(start).as_nanosecond();
                // Pages go up by their keys, and activities down by their times.
                let key = format!("{:039}-{:020}-{resource}", i128::from(i64::MAX) * 4 - began, u64::MAX - activity.id);
                items.push((key, show(&resource, &activity, start)));
            }
        }
    }
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    page(call.input, "ScalingActivities", items, |shown| shown)
}

fn show(resource: &str, activity: &ActivityRecord, start: jiff::Timestamp) -> Value {
    json!({
        "ActivityId": uuid_of((resource, activity.id, start.as_nanosecond())),
        "ServiceNamespace": "ecs",
        "ResourceId": resource,
        "ScalableDimension": DIMENSION,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": seconds(start, activity.started_at),
        "EndTime": activity.ended_at.map(|at| seconds(start, at)),
        "StatusCode": activity.status.as_str(),
        "StatusMessage": activity.status_message,
    })
}
