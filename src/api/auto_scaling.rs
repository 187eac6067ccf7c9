//! Amazon EC2 Auto Scaling, as far as a capacity provider needs it: groups, launch configurations, and the instances of groups.
//!
//! A group runs in the cluster that a capacity provider over it is associated with; before, it is a description without instances. What
//! it decides is the control plane's.
//!
//! **Source:** ecs-semantics §9.1; the API reference of EC2 Auto Scaling for members.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::members::Members;
use super::region::{LiveCluster, Region};
use super::registry::Registry;
use super::registry::capacity::{GroupHome, GroupRow, LaunchTemplateRow};
use super::{Call, epoch_seconds};
use crate::control_plane::event::{Request, UpdateAutoScalingGroup};
use crate::driver::reads::ReadContext;
use crate::model::auto_scaling_group::{InstanceHealth, ScaleInProtection};
use crate::model::capacity::ContainerInstance;
use crate::model::ids::ContainerInstanceId;

/// Zones of a group that names none: what a subnet of each would be in. *Ours:* networks mean nothing here.
const ZONES: [&str; 3] = ["a", "b", "c"];
/// Members that mean nothing here and are given back.
const STORED: [&str; 8] = [
    "LaunchConfigurationName",
    "LaunchTemplate",
    "MixedInstancesPolicy",
    "VPCZoneIdentifier",
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "DefaultCooldown",
    "TerminationPolicies",
];

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

/// CreateAutoScalingGroup.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let mut registry = region.registry();
    if registry.groups.get(name).is_some() {
        return Err(ApiError::new(
            "AlreadyExists",
            "AutoScalingGroup by this name already exists - A group with the name already exists",
        ));
    }
    let row = GroupRow {
        id: super::ids::uuid_of(&[&region.name, "group", name]),
        instance_type: instance_type_of(region, &registry, input)?,
        min_size: input.count("MinSize").unwrap_or(0),
        max_size: input.count("MaxSize").unwrap_or(0),
        desired_capacity: input.count("DesiredCapacity"),
        availability_zones: zones_of(region, input),
        new_instances_protected: protection_of(input).unwrap_or(ScaleInProtection::Unprotected),
        document: input.only(&STORED),
        tags: tags_of(input),
        home: None,
        created_at: region.now(),
    };
    check_sizes(&row)?;
    registry.groups.put(name, row);
    Ok(json!({}))
}

fn check_sizes(row: &GroupRow) -> Result<(), ApiError> {
    if row.min_size > row.max_size {
        return Err(validation("Max bound, min bound and desired capacity: the minimum is greater than the maximum"));
    }
    if let Some(desired) = row.desired_capacity
        && !(row.min_size..=row.max_size).contains(&desired)
    {
        return Err(validation(format!(
            "Desired capacity:{desired} must be between the specified min size:{} and max size:{}",
            row.min_size, row.max_size
        )));
    }
    Ok(())
}

fn protection_of(input: Members<'_>) -> Option<ScaleInProtection> {
    input.flag("NewInstancesProtectedFromScaleIn").map(|is| match is {
        true => ScaleInProtection::Protected,
        false => ScaleInProtection::Unprotected,
    })
}

fn zones_of(region: &Region, input: Members<'_>) -> Vec<Arc<str>> {
    let named: Vec<Arc<str>> = input.texts("AvailabilityZones").map(Arc::from).collect();
    if named.is_empty() { zones(region) } else { named }
}

/// The zones of a region.
pub(super) fn zones(region: &Region) -> Vec<Arc<str>> {
    ZONES.iter().map(|letter| format!("{}{letter}", region.name).into()).collect()
}

/// Tags of a resource of Auto Scaling, and EC2.
pub(super) fn tags_of(input: Members<'_>) -> BTreeMap<String, String> {
    let tags = input.structures("Tags");
    tags.map(|tag| (tag.required_text("Key").to_owned(), tag.text("Value").unwrap_or_default().to_owned())).collect()
}

/// The type of a group's instances: of its launch template, its launch configuration, or the first override of its policy.
fn instance_type_of(region: &Region, registry: &Registry, input: Members<'_>) -> Result<String, ApiError> {
    let policy = input.structure("MixedInstancesPolicy").and_then(|policy| policy.structure("LaunchTemplate"));
    let overridden =
        policy.and_then(|policy| policy.structures("Overrides").find_map(|found| found.text("InstanceType")));
    let specification = policy.and_then(|policy| policy.structure("LaunchTemplateSpecification"));
    let template = input.structure("LaunchTemplate").or(specification).map(|template| {
        launch_template(registry, template)
            .and_then(LaunchTemplateRow::instance_type)
            .ok_or_else(|| validation("The launch template was not found, or names no instance type."))
    });
    let configuration = input.text("LaunchConfigurationName").map(|name| {
        let row = registry.launch_configurations.get(name);
        row.and_then(LaunchTemplateRow::instance_type).ok_or_else(|| {
            validation(format!("Launch configuration name not found - Launch configuration {name} not found"))
        })
    });
    let found = match (overridden, template.transpose()?, configuration.transpose()?) {
        (Some(name), _, _) | (None, Some(name), _) | (None, None, Some(name)) => name,
        (None, None, None) => {
            return Err(validation(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy \
                 parameter.",
            ));
        }
    };
    match region.catalog().instance_type(found) {
        Some(_) => Ok(found.to_owned()),
        None => Err(validation(format!("The instance type {found} is not known."))),
    }
}

/// The template that a specification names, by id or by name.
pub(super) fn launch_template<'a>(registry: &'a Registry, named: Members<'_>) -> Option<&'a LaunchTemplateRow> {
    match named.text("LaunchTemplateName") {
        Some(name) => registry.launch_templates.get(name),
        None => {
            let id = named.text("LaunchTemplateId")?;
            registry.launch_templates.iter().find(|(_, row)| row.id == id).map(|(_, row)| row)
        }
    }
}

fn not_found(name: &str) -> ApiError {
    validation(format!("AutoScalingGroup name not found - AutoScalingGroup {name} not found"))
}

/// UpdateAutoScalingGroup.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let row = {
        let registry = region.registry();
        let mut row = registry.groups.get(name).cloned().ok_or_else(|| not_found(name))?;
        if ["LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy"].iter().any(|member| input.has(member))
        {
            row.instance_type = instance_type_of(region, &registry, input)?;
        }
        row
    };
    let mut row = GroupRow {
        min_size: input.count("MinSize").unwrap_or(row.min_size),
        max_size: input.count("MaxSize").unwrap_or(row.max_size),
        desired_capacity: input.count("DesiredCapacity").or(row.desired_capacity),
        new_instances_protected: protection_of(input).unwrap_or(row.new_instances_protected),
        ..row
    };
    if !input.has("DesiredCapacity") {
        // What was asked for before gives way to new bounds.
        row.desired_capacity =
            row.desired_capacity.map(|desired| desired.clamp(row.min_size, row.max_size.max(row.min_size)));
    }
    row.document.extend(input.only(&STORED));
    resize(region, name, row, input.count("DesiredCapacity"))
}

/// SetDesiredCapacity.
pub(super) fn set_desired_capacity(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let row = region.registry().groups.get(name).cloned().ok_or_else(|| not_found(name))?;
    let desired_capacity = input.count("DesiredCapacity");
    resize(region, name, GroupRow { desired_capacity, ..row }, desired_capacity)
}

/// The group and what runs of it become what the row says, while capacity is locked.
fn resize(region: &Region, name: &str, row: GroupRow, desired_capacity: Option<u32>) -> Result<Value, ApiError> {
    check_sizes(&row)?;
    if let Some(GroupHome { cluster, capacity_provider }) = &row.home {
        let update = UpdateAutoScalingGroup {
            capacity_provider: capacity_provider.clone(),
            min_size: Some(row.min_size),
            max_size: Some(row.max_size),
            desired_capacity,
        };
        region.cluster(Some(cluster))?.cluster.ask(Request::UpdateAutoScalingGroup(Box::new(update)))?;
    }
    region.registry().groups.put(name, row);
    Ok(json!({}))
}

/// DeleteAutoScalingGroup.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let row = region.registry().groups.get(name).cloned().ok_or_else(|| not_found(name))?;
    let has_instances = !instances_of(region, &row)?.is_empty();
    if has_instances && input.flag("ForceDelete") != Some(true) {
        return Err(ApiError::new(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.",
        ));
    }
    let empty = GroupRow { min_size: 0, max_size: 0, desired_capacity: Some(0), ..row };
    resize(region, name, empty, Some(0))?;
    region.registry().groups.remove(name);
    Ok(json!({}))
}

/// DescribeAutoScalingGroups.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let named: Vec<&str> = input.texts("AutoScalingGroupNames").collect();
    let rows: Vec<(Arc<str>, GroupRow)> = {
        let registry = region.registry();
        let meant = registry.groups.iter().filter(|(name, _)| named.is_empty() || named.contains(&&***name));
        meant.map(|(name, row)| (name.clone(), row.clone())).collect()
    };
    let groups: Result<Vec<Value>, ApiError> = rows.iter().map(|(name, row)| show(region, name, row)).collect();
    Ok(json!({"AutoScalingGroups": groups?}))
}

fn show(region: &Region, name: &str, row: &GroupRow) -> Result<Value, ApiError> {
    let mut desired = row.desired_capacity.unwrap_or(row.min_size);
    if let Some(home) = &row.home {
        let provider = home.capacity_provider.clone();
        let live = region.cluster(Some(&home.cluster))?;
        let known =
            live.cluster.read(move |state, _| Some(state.capacity_providers.get(&provider)?.desired_capacity))?;
        desired = known.unwrap_or(desired);
    }
    let mut shown = row.document.clone();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("AutoScalingGroupName", json!(name));
    put("AutoScalingGroupARN", json!(row.arn(&region.name, name)));
    put("MinSize", json!(row.min_size));
    put("MaxSize", json!(row.max_size));
    put("DesiredCapacity", json!(desired));
    put("AvailabilityZones", json!(row.availability_zones));
    put("CreatedTime", epoch_seconds(row.created_at));
    put("NewInstancesProtectedFromScaleIn", json!(row.new_instances_protected == ScaleInProtection::Protected));
    put("Instances", instances_of(region, row)?.into_iter().map(Value::Object).collect());
    put("Tags", row.tags.iter().map(|(key, value)| {
        json!({"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key, "Value": value, "PropagateAtLaunch": false})
    }).collect());
    let defaults = json!({
        "DefaultCooldown": 300,
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 0,
        "TerminationPolicies": ["Default"]
    });
    for (name, value) in defaults.as_object().into_iter().flatten() {
        shown.entry(name).or_insert_with(|| value.clone());
    }
    Ok(Value::Object(shown))
}

/// The instances of a group that are not gone.
fn instances_of(region: &Region, row: &GroupRow) -> Result<Vec<Map<String, Value>>, ApiError> {
    let Some(home) = &row.home else { return Ok(Vec::new()) };
    let provider = home.capacity_provider.clone();
    let live = region.cluster(Some(&home.cluster))?;
    let shown = live.cluster.read(move |state, context| {
        let instances =
            state.live_instances().filter(|found| found.launch.capacity_provider.as_ref() == Some(&provider));
        instances.map(|instance| show_instance(instance, context)).collect()
    })?;
    Ok(shown)
}

fn show_instance(instance: &ContainerInstance, context: &ReadContext<'_>) -> Map<String, Value> {
    let health = if instance.health == InstanceHealth::Impaired { "Unhealthy" } else { "Healthy" };
    let shown = json!({
        "InstanceId": context.arns.ids.ec2_instance(instance.id),
        "InstanceType": instance.launch.instance_type.name,
        "AvailabilityZone": instance.launch.availability_zone,
        "LifecycleState": instance.lifecycle.as_str(),
        "HealthStatus": health,
        "ProtectedFromScaleIn": instance.protection == ScaleInProtection::Protected,
    });
    match shown {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// DescribeAutoScalingInstances.
pub(super) fn describe_instances(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let named: Vec<&str> = input.texts("InstanceIds").collect();
    let rows: Vec<(Arc<str>, GroupRow)> =
        region.registry().groups.iter().map(|(name, row)| (name.clone(), row.clone())).collect();
    let mut found = Vec::new();
    for (name, row) in rows {
        for mut instance in instances_of(region, &row)? {
            let id = instance.get("InstanceId").and_then(Value::as_str).unwrap_or_default();
            if named.is_empty() || named.contains(&id) {
                instance.insert("AutoScalingGroupName".into(), json!(name));
                found.push(instance);
            }
        }
    }
    Ok(json!({"AutoScalingInstances": found}))
}

/// The cluster that has an EC2 instance.
pub(super) fn cluster_of_instance(region: &Region, id: &str) -> Option<(Arc<LiveCluster>, ContainerInstanceId)> {
    region.clusters().into_iter().find_map(|live| {
        let instance = live.arns.ids.read_ec2_instance(id)?;
        let is_there = live.cluster.read(move |state, _| state.container_instances.contains_key(&instance)).ok()?;
        is_there.then_some((live, instance))
    })
}

/// TerminateInstanceInAutoScalingGroup.
pub(super) fn terminate_instance(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let id = input.text("InstanceId").or_else(|| input.texts("InstanceIds").next()).unwrap_or_default();
    let unknown = || validation(format!("Instance Id not found - No managed instance found for instance ID: {id}"));
    let (live, instance) = cluster_of_instance(region, id).ok_or_else(unknown)?;
    let provider = live.cluster.read(move |state, _| {
        let provider = state.container_instances.get(&instance)?.launch.capacity_provider.clone()?;
        let desired = state.capacity_providers.get(&provider)?.desired_capacity;
        Some((provider, desired))
    })?;
    let (capacity_provider, desired) = provider.ok_or_else(unknown)?;
    live.cluster.ask(Request::TerminateInstance(instance))?;
    if input.flag("ShouldDecrementDesiredCapacity") == Some(true) {
        let update = UpdateAutoScalingGroup {
            capacity_provider,
            desired_capacity: Some(desired.saturating_sub(1)),
            ..UpdateAutoScalingGroup::default()
        };
        live.cluster.ask(Request::UpdateAutoScalingGroup(Box::new(update)))?;
    }
    Ok(json!({"Activity": {
        "ActivityId": super::ids::uuid_of(&[&region.name, "activity", id]),
        "AutoScalingGroupName": input.text("AutoScalingGroupName"),
        "Cause": "a user request to terminate the instance",
        "Description": format!("Terminating EC2 instance: {id}"),
        "StartTime": epoch_seconds(region.now()),
        "StatusCode": "InProgress",
        "Progress": 0,
    }}))
}

/// SetInstanceProtection.
pub(super) fn set_protection(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let protection = match input.flag("ProtectedFromScaleIn") {
        Some(true) => ScaleInProtection::Protected,
        _ => ScaleInProtection::Unprotected,
    };
    for id in input.texts("InstanceIds") {
        let found = cluster_of_instance(region, id);
        let (live, instance) = found.ok_or_else(|| validation(format!("The instance {id} is not part of a group.")))?;
        live.cluster.ask(Request::SetInstanceProtection { instances: vec![instance], protection })?;
    }
    Ok(json!({}))
}

/// CreateLaunchConfiguration.
pub(super) fn create_configuration(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("LaunchConfigurationName");
    let row = LaunchTemplateRow {
        id: super::ids::uuid_of(&[&region.name, "configuration", name]),
        data: input.0.clone(),
        tags: BTreeMap::new(),
        created_at: region.now(),
    };
    if row.instance_type().is_none() {
        return Err(validation(
            "Valid requests must contain either the InstanceID parameter or both the ImageId and InstanceType parameters.",
        ));
    }
    let mut registry = region.registry();
    if registry.launch_configurations.get(name).is_some() {
        return Err(ApiError::new("AlreadyExists", "Launch Configuration by this name already exists"));
    }
    registry.launch_configurations.put(name, row);
    Ok(json!({}))
}

/// DescribeLaunchConfigurations.
pub(super) fn describe_configurations(call: &Call<'_>) -> Result<Value, ApiError> {
    let named: Vec<&str> = call.input.texts("LaunchConfigurationNames").collect();
    let registry = call.region.registry();
    let rows = registry.launch_configurations.iter().filter(|(name, _)| named.is_empty() || named.contains(&&***name));
    let shown = rows.map(|(name, row)| {
        let account = crate::model::arn::ACCOUNT;
        let mut shown = row.data.clone();
        shown.remove("InstanceId");
        let arn = format!(
            "arn:aws:autoscaling:{}:{account}:launchConfiguration:{}:launchConfigurationName/{name}",
            call.region.name, row.id
        );
        shown.insert("LaunchConfigurationARN".into(), json!(arn));
        shown.insert("CreatedTime".into(), epoch_seconds(row.created_at));
        shown.entry("ImageId").or_insert_with(|| json!("ami-00000000"));
        Value::Object(shown)
    });
    Ok(json!({"LaunchConfigurations": shown.collect::<Value>()}))
}

/// DeleteLaunchConfiguration.
pub(super) fn delete_configuration(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.input.required_text("LaunchConfigurationName");
    let removed = call.region.registry().launch_configurations.remove(name);
    removed.ok_or_else(|| {
        validation(format!("Launch configuration name not found - Launch configuration {name} not found"))
    })?;
    Ok(json!({}))
}
