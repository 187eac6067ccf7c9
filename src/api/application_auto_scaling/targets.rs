//! Scalable targets: RegisterScalableTarget, DescribeScalableTargets, DeregisterScalableTarget.
//!
//! **Source:** ecs-semantics §7.1; API reference.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::tags::{check_tags, tags_in};
use super::{DIMENSION, Resource, check_kind, clusters_of, count_of, page, uuid_of, validation};
use crate::api::error::ApiError;
use crate::api::region::Region;
use crate::api::registry::scaling::ScalableTargetRow;
use crate::api::{Call, epoch_seconds};
use crate::control_plane::event::{RegisterScalableTarget, Request};
use crate::model::arn::ACCOUNT;
use crate::model::scaling::{AutoScaling, SuspendedState};

/// RegisterScalableTarget. What is not given stays as it is. **Source:** ecs-semantics §7.1.
pub fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let resource = Resource::of_request(input)?;
    let tags = tags_in(input, "Tags");
    check_tags(&tags)?;
    let suspended_state = input.structure("SuspendedState").map(|suspended| SuspendedState {
        dynamic_scaling_in: suspended.flag("DynamicScalingInSuspended").unwrap_or_default(),
        dynamic_scaling_out: suspended.flag("DynamicScalingOutSuspended").unwrap_or_default(),
        scheduled_scaling: suspended.flag("ScheduledScalingSuspended").unwrap_or_default(),
    });
    let asked = RegisterScalableTarget {
        service: resource.service.clone(),
        min_capacity: count_of(input, "MinCapacity")?,
        max_capacity: count_of(input, "MaxCapacity")?,
        suspended_state,
    };
    let gone = || validation(format!("ECS service doesn't exist: {}", resource.id));
    let live = region.cluster(Some(&resource.cluster)).map_err(|_| gone())?;
    let service = resource.service.clone();
    let was_there = live.cluster.read(move |state, _| state.scalable_targets.contains_key(&service));
    let was_there = was_there.map_err(|_| gone())?;
    live.cluster.ask(Request::RegisterScalableTarget(asked)).map_err(|error| resource.refusal(error))?;
    let mut registry = region.registry();
    let known = registry.scalable_targets.get(&resource.id).filter(|_| was_there).cloned();
    let mut row = known.unwrap_or_else(|| row_of(region, &resource.id));
    if let Some(role) = input.text("RoleARN") {
        role.clone_into(&mut row.role_arn);
    }
    row.tags.extend(tags);
    check_tags(&row.tags)?;
    let arn = arn_of(region, &row.id);
    registry.scalable_targets.put(&resource.id, row);
    Ok(json!({"ScalableTargetARN": arn}))
}

/// DescribeScalableTargets.
pub fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    check_kind(input)?;
    let wanted: Vec<&str> = input.texts("ResourceIds").collect();
    if wanted.is_empty() && input.has("ScalableDimension") {
        return Err(validation("ScalableDimension needs ResourceIds"));
    }
    let mut targets: BTreeMap<String, AutoScaling> = BTreeMap::new();
    for live in clusters_of(call, None) {
        let read = live.cluster.read(|state, _| {
            let all = state.scalable_targets.values();
            all.map(|target| (target.resource_id.to_string(), target.settings.clone())).collect::<Vec<_>>()
        });
        targets.extend(read.unwrap_or_default());
    }
    targets.retain(|id, _| wanted.is_empty() || wanted.contains(&id.as_str()));
    let registry = region.registry();
    let items = targets.iter().map(|(id, settings)| (id.clone(), (id, settings)));
    page(input, "ScalableTargets", items, |(id, settings)| {
        let row = registry.scalable_targets.get(id).cloned().unwrap_or_else(|| row_of(region, id));
        let suspended = settings.suspended_state;
        json!({
            "ServiceNamespace": "ecs",
            "ResourceId": id,
            "ScalableDimension": DIMENSION,
            "MinCapacity": settings.min_capacity,
            "MaxCapacity": settings.max_capacity,
            "RoleARN": row.role_arn,
            "CreationTime": epoch_seconds(row.created_at),
            "SuspendedState": {
                "DynamicScalingInSuspended": suspended.dynamic_scaling_in,
                "DynamicScalingOutSuspended": suspended.dynamic_scaling_out,
                "ScheduledScalingSuspended": suspended.scheduled_scaling,
            },
            "ScalableTargetARN": arn_of(region, &row.id),
        })
    })
}

/// DeregisterScalableTarget.
pub fn deregister(call: &Call<'_>) -> Result<Value, ApiError> {
    let resource = Resource::of_request(call.input)?;
    let live = resource.cluster_of_target(call.region)?;
    let request = Request::DeregisterScalableTarget { service: resource.service.clone() };
    live.cluster.ask(request).map_err(|error| resource.refusal(error))?;
    call.region.registry().scalable_targets.remove(&resource.id);
    Ok(json!({}))
}

/// What is kept of a target that is registered at this moment.
pub(super) fn row_of(region: &Region, resource: &str) -> ScalableTargetRow {
    let created_at = region.now();
    ScalableTargetRow {
        id: format!("0ec5{}", &uuid_of((&*region.name, resource, created_at.as_nanosecond())).replace('-', "")[..28]),
        created_at,
        role_arn: format!(
            "arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/\
             AWSServiceRoleForApplicationAutoScaling_ECSService"
        ),
        tags: BTreeMap::new(),
        policies: BTreeMap::new(),
        actions: BTreeMap::new(),
    }
}

/// `arn:aws:application-autoscaling:REGION:ACCOUNT:scalable-target/ID`.
pub(super) fn arn_of(region: &Region, id: &str) -> String {
    format!("arn:aws:application-autoscaling:{}:{ACCOUNT}:scalable-target/{id}", region.name)
}

/// A change of what is kept of a target that the control plane has: also of one that a cluster file has made.
pub(super) fn keep<R>(region: &Region, resource: &str, change: impl FnOnce(&mut ScalableTargetRow) -> R) -> R {
    let mut registry = region.registry();
    let mut row = registry.scalable_targets.get(resource).cloned().unwrap_or_else(|| row_of(region, resource));
    let result = change(&mut row);
    registry.scalable_targets.put(resource, row);
    result
}
