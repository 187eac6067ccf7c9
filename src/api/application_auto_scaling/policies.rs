//! Scaling policies: PutScalingPolicy, DescribeScalingPolicies, DeleteScalingPolicy, GetPredictiveScalingForecast.
//!
//! *Ours:* CloudWatch is not served, so that nobody can attach an alarm to a step scaling policy; the alarm of the cluster file that has
//! the policy's name calls it.
//!
//! **Source:** ecs-semantics §7.2, §7.3, §7.5; API reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::policy_document::{document_of, number, policy_of, show_pair};
use super::targets::keep;
use super::{DIMENSION, Resource, arn_of, asked_resource, clusters_of, page, uuid_of, validation};
use crate::api::error::ApiError;
use crate::api::region::{LiveCluster, Region};
use crate::api::registry::scaling::PolicyRow;
use crate::api::{Call, epoch_seconds};
use crate::control_plane::event::Request;
use crate::control_plane::scalable_target::ScalableTarget;
use crate::control_plane::service_autoscaling::AlarmEnd;
use crate::control_plane::service_autoscaling::predictive::Hour;
use crate::model::arn::ACCOUNT;
use crate::model::scaling::{ScaleIn, ScalingPolicy};

/// Policies of one target at most. **Source:** Application Auto Scaling, "Quotas".
const POLICIES_MAX: usize = 50;

/// A policy as the control plane has it, with the names of its alarms.
type Known = (ScalingPolicy, Vec<String>);

/// PutScalingPolicy. One of the same name takes its place and its ARN.
pub fn put(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let resource = Resource::of_request(input)?;
    let name = input.required_text("PolicyName").to_owned();
    let (policy, document) = policy_of(input)?;
    let live = resource.cluster_of_target(region)?;
    let before = policies_of(&live, Some(&resource)).remove(&resource.id).unwrap_or_default();
    if before.len() >= POLICIES_MAX && !before.contains_key(&name) {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("a scalable target has {POLICIES_MAX} scaling policies at most"),
        ));
    }
    let request = Request::PutScalingPolicy { service: resource.service.clone(), policy: Box::new(policy) };
    live.cluster.ask(request).map_err(|error| resource.refusal(error))?;
    let row = keep(region, &resource.id, |row| {
        let created = row_of(region, &resource.id, &name, document.clone());
        let known = row.policies.get(&name).filter(|_| before.contains_key(&name)).cloned();
        let policy = PolicyRow { document, ..known.unwrap_or(created) };
        row.policies.insert(name.clone(), policy.clone());
        policy
    });
    let after = policies_of(&live, Some(&resource)).remove(&resource.id).unwrap_or_default();
    let alarms = after.get(&name).map(|(_, alarms)| alarms.as_slice()).unwrap_or_default();
    Ok(json!({
        "PolicyARN": arn_of(region, "scalingPolicy", &row.id, &resource.id, &name),
        "Alarms": show_alarms(region, alarms),
    }))
}

/// DescribeScalingPolicies.
pub fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let resource = asked_resource(input)?;
    let names: Vec<&str> = input.texts("PolicyNames").collect();
    let mut items = BTreeMap::new();
    for live in clusters_of(call, resource.as_ref()) {
        for (id, policies) in policies_of(&live, resource.as_ref()) {
            for (name, known) in policies {
                if names.is_empty() || names.contains(&name.as_str()) {
                    items.insert(format!("{id}/{name}"), (id.clone(), name, known));
                }
            }
        }
    }
    let registry = region.registry();
    page(input, "ScalingPolicies", items, |(id, name, (policy, alarms))| {
        let row = registry.scalable_targets.get(&id).and_then(|row| row.policies.get(&name)).cloned();
        let row = row.unwrap_or_else(|| row_of(region, &id, &name, document_of(&policy)));
        let mut shown = row.document;
        shown.extend([
            ("PolicyARN".to_owned(), json!(arn_of(region, "scalingPolicy", &row.id, &id, &name))),
            ("PolicyName".to_owned(), json!(name)),
            ("ServiceNamespace".to_owned(), json!("ecs")),
            ("ResourceId".to_owned(), json!(id)),
            ("ScalableDimension".to_owned(), json!(DIMENSION)),
            ("Alarms".to_owned(), show_alarms(region, &alarms)),
            ("CreationTime".to_owned(), epoch_seconds(row.created_at)),
        ]);
        Value::Object(shown)
    })
}

/// DeleteScalingPolicy.
pub fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let resource = Resource::of_request(call.input)?;
    let name = call.input.required_text("PolicyName");
    let live = resource.cluster_of_target(call.region)?;
    let request = Request::DeleteScalingPolicy { service: resource.service.clone(), policy: name.into() };
    live.cluster.ask(request).map_err(|error| resource.refusal(error))?;
    keep(call.region, &resource.id, |row| row.policies.remove(name));
    Ok(json!({}))
}

/// GetPredictiveScalingForecast: the hours of the last forecast that begin in the asked time. **Source:** ecs-semantics §7.5.
pub fn forecast(call: &Call<'_>) -> Result<Value, ApiError> {
    let resource = Resource::of_request(call.input)?;
    let live = resource.cluster_of_target(call.region)?;
    let name: Arc<str> = call.input.required_text("PolicyName").into();
    let (wanted, service) = (name.clone(), resource.service.clone());
    let read = live.cluster.read(move |state, _| {
        let target = state.scalable_targets.get(&service)?;
        let policy = target.settings.predictive_scaling.iter().find(|policy| policy.policy_name == wanted)?;
        let forecast = target.scaler.forecasts().find(|forecast| *forecast.policy_name == wanted)?;
        Some((policy.clone(), forecast.made_in, forecast.hours.to_vec()))
    });
    let Some((policy, made_in, mut hours)) = read.ok().flatten() else {
        return Err(validation(format!("{name} is no predictive scaling policy of {}", resource.id)));
    };
    let Some(made_in) = made_in else {
        return Err(validation(format!("{name} has no forecast yet: it takes 24 hours of history")));
    };
    let bound = |member: &str| call.input.value(member).and_then(Value::as_f64);
    let (from, until) = (bound("StartTime").unwrap_or(0.0), bound("EndTime").unwrap_or(f64::INFINITY));
    let seconds = |hour: Hour| u32::try_from(hour * 3_600).unwrap_or(u32::MAX);
    hours.retain(|hour| (from..=until).contains(&f64::from(seconds(hour.hour))));
    let timestamps: Vec<u32> = hours.iter().map(|hour| seconds(hour.hour)).collect();
    let loads = hours.iter().map(|hour| number(i64::try_from(hour.load_thousandths).unwrap_or(i64::MAX)));
    Ok(json!({
        "LoadForecast": [{
            "Timestamps": timestamps,
            "Values": loads.collect::<Vec<_>>(),
            "MetricSpecification": show_pair(&policy),
        }],
        "CapacityForecast": {
            "Timestamps": timestamps,
            "Values": hours.iter().map(|hour| f64::from(hour.capacity)).collect::<Vec<_>>(),
        },
        "UpdateTime": seconds(made_in),
    }))
}

/// The policies of a cluster's targets, or of one target, by resource and name.
fn policies_of(live: &LiveCluster, resource: Option<&Resource>) -> BTreeMap<String, BTreeMap<String, Known>> {
    let wanted = resource.map(|resource| resource.service.clone());
    let read = live.cluster.read(move |state, _| {
        let targets = state.scalable_targets.iter();
        let targets = targets.filter(|(service, _)| wanted.as_ref().is_none_or(|wanted| wanted == *service));
        targets.map(|(_, target)| (target.resource_id.to_string(), known_policies(target))).collect()
    });
    read.unwrap_or_default()
}

fn known_policies(target: &ScalableTarget) -> BTreeMap<String, Known> {
    let known = target.settings.policies().map(|policy| {
        let alarms = match &policy {
            ScalingPolicy::TargetTracking(policy) => {
                let ends: &[AlarmEnd] = match policy.scale_in {
                    ScaleIn::Enabled => &[AlarmEnd::High, AlarmEnd::Low],
                    ScaleIn::Disabled => &[AlarmEnd::High],
                };
                ends.iter().map(|end| target.scaler.alarm_name(policy.name(), *end)).collect()
            }
            ScalingPolicy::StepScaling(policy) => vec![policy.alarm.to_string()],
            ScalingPolicy::PredictiveScaling(_) => Vec::new(),
        };
        (policy.name().to_owned(), (policy, alarms))
    });
    known.collect()
}

fn show_alarms(region: &Region, names: &[String]) -> Value {
    let arn = |name: &String| format!("arn:aws:cloudwatch:{}:{ACCOUNT}:alarm:{name}", region.name);
    names.iter().map(|name| json!({"AlarmName": name, "AlarmARN": arn(name)})).collect()
}

/// What is kept of a policy that is put at this moment.
pub(super) fn row_of(region: &Region, resource: &str, name: &str, document: Map<String, Value>) -> PolicyRow {
    let created_at = region.now();
    let id = uuid_of((&*region.name, "policy", resource, name, created_at.as_nanosecond()));
    PolicyRow { id, created_at, document }
}
