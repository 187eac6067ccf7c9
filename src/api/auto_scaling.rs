//! Amazon EC2 Auto Scaling, as far as a capacity provider needs it: groups, launch configurations, and the instances of groups.
//!
//! Which cluster a group runs in is decided in [`group_homes`]; what it does there is the control plane's.
//!
//! **Source:** ecs-semantics §9.1; the API reference of EC2 Auto Scaling for members.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::members::Members;
use super::region::{LiveCluster, Region};
use super::registry::Registry;
use super::registry::capacity::{GroupHome, GroupLaunch, GroupRow, LaunchTemplateRow, LaunchTemplateVersion};
use super::user_data::{cluster_in_user_data, reserved_memory_in_user_data};
use super::{Call, epoch_seconds, group_homes, launch_templates};
use crate::control_plane::event::{Request, UpdateAutoScalingGroup};
use crate::driver::reads::ReadContext;
use crate::model::auto_scaling_group::{InstanceHealth, ScaleInProtection};
use crate::model::capacity::{CapacityProvider, ContainerInstance};
use crate::model::ids::ContainerInstanceId;

/// Zones of a group that names none: what a subnet of each would be in. *Ours:* networks mean nothing here.
const ZONES: [&str; 3] = ["a", "b", "c"];
/// Instances that a group can be asked for. *Ours:* each is a pool of threads of this process, and stands for the quotas of an account.
const INSTANCES_MAX: u32 = 500;
/// Members that say what instances are launched from: one of them.
const LAUNCHED_FROM: [&str; 3] = ["LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy"];
/// Members that are given back as they were sent; but for those above they mean nothing here.
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

pub(super) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

/// CreateAutoScalingGroup.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let mut registry = region.registry();
    if registry.groups.get(name).is_some() {
        return Err(ApiError::new(
            "AlreadyExists",
            "AutoScalingGroup by this name already exists - A group with the name already exists",
        ));
    }
    let row = GroupRow {
        id: super::ids::uuid_of(&[&region.name, "group", name]),
        launch: launch_of(region, &registry, input)?,
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
    drop(registry);
    group_homes::run_by_itself(region, name)?;
    Ok(json!({}))
}

fn check_sizes(row: &GroupRow) -> Result<(), ApiError> {
    let least = row.desired_capacity.unwrap_or_default().max(row.min_size);
    if least > INSTANCES_MAX {
        return Err(validation(format!(
            "A group can be asked for {INSTANCES_MAX} instances at most, and not for {least}."
        )));
    }
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

/// The launch template that a group, or its policy, names.
pub(super) fn template_of(input: Members<'_>) -> Option<Members<'_>> {
    let policy = input.structure("MixedInstancesPolicy").and_then(|policy| policy.structure("LaunchTemplate"));
    input.structure("LaunchTemplate").or_else(|| policy?.structure("LaunchTemplateSpecification"))
}

/// What a group's instances are launched from: its launch template or its launch configuration, and the type of its policy's first override.
fn launch_of(region: &Region, registry: &Registry, input: Members<'_>) -> Result<GroupLaunch, ApiError> {
    let policy = input.structure("MixedInstancesPolicy").and_then(|policy| policy.structure("LaunchTemplate"));
    let overridden =
        policy.and_then(|policy| policy.structures("Overrides").find_map(|found| found.text("InstanceType")));
    let template = template_of(input).map(|named| {
        let found = launch_templates::version_named(registry, named);
        found.map(|(_, number, version)| (number, version)).map_err(|error| validation(error.message))
    });
    let configuration = input.text("LaunchConfigurationName").map(|name| {
        let found = registry.launch_configurations.get(name).and_then(|row| row.version(None));
        found.ok_or_else(|| {
            validation(format!("Launch configuration name not found - Launch configuration {name} not found"))
        })
    });
    let Some((number, version)) = template.or(configuration).transpose()? else {
        return Err(validation(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy \
             parameter.",
        ));
    };
    let Some(instance_type) = overridden.or(version.instance_type()) else {
        return Err(validation("The launch template names no instance type."));
    };
    let Some(known) = region.catalog().instance_type(instance_type) else {
        return Err(validation(format!("The instance type {instance_type} is not known.")));
    };
    let reserved_memory = version.user_data().map(reserved_memory_in_user_data).unwrap_or_default();
    if reserved_memory > known.memory {
        // Ours: such instances would come and never register.
        let has = known.memory;
        return Err(validation(format!(
            "ECS_RESERVED_MEMORY {reserved_memory} is more than the {has} MiB of {instance_type}."
        )));
    }
    Ok(GroupLaunch {
        instance_type: instance_type.to_owned(),
        image_id: version.image_id().map(Arc::from),
        version: number,
        reserved_memory,
        cluster: version.user_data().and_then(cluster_in_user_data).map(Arc::from),
    })
}

/// Groups whose instances are launched from the latest or the default version of a template have the next ones launched from what that is
/// by now. One that can't be launched from leaves them as they are. Capacity is locked.
///
/// # Errors
/// When a cluster refuses it.
pub(super) fn follow_template(region: &Region, id: &str) -> Result<(), ApiError> {
    let changed: Vec<(Arc<str>, GroupRow)> = {
        let registry = region.registry();
        let of_template = registry.groups.iter().filter(|(_, row)| {
            let named = template_of(Members(&row.document));
            named.is_some_and(|named| launch_templates::named(&registry, named).is_ok_and(|(_, found)| found.id == id))
        });
        let changed = of_template.filter_map(|(name, row)| {
            let launch = launch_of(region, &registry, Members(&row.document)).ok()?;
            (launch != row.launch).then(|| (name.clone(), GroupRow { launch, ..row.clone() }))
        });
        changed.collect()
    };
    for (name, row) in changed {
        relaunch(region, &row)?;
        region.registry().groups.put(&name, row);
    }
    Ok(())
}

/// Tells the cluster that a group runs in what its instances are launched from by now.
fn relaunch(region: &Region, row: &GroupRow) -> Result<(), ApiError> {
    let Some(GroupHome { cluster, capacity_provider }) = &row.home else { return Ok(()) };
    let Some(instance_type) = region.catalog().instance_type(&row.launch.instance_type) else { return Ok(()) };
    let live = region.cluster(Some(cluster))?;
    let name = capacity_provider.clone();
    let known = live.cluster.read(move |state, _| Some(state.capacity_providers.get(&name)?.provider.clone()))?;
    let Some(known) = known else { return Ok(()) };
    let mut provider = CapacityProvider::clone(&known);
    let group = &mut provider.auto_scaling_group;
    group.instance_type = instance_type;
    group.image_id.clone_from(&row.launch.image_id);
    group.launch_template_version = row.launch.version;
    live.cluster.ask(Request::UpdateCapacityProvider(Box::new(provider)))?;
    Ok(())
}

fn not_found(name: &str) -> ApiError {
    validation(format!("AutoScalingGroup name not found - AutoScalingGroup {name} not found"))
}

/// A group by name.
pub(super) fn group_named(region: &Region, name: &str) -> Result<GroupRow, ApiError> {
    region.registry().groups.get(name).cloned().ok_or_else(|| not_found(name))
}

/// UpdateAutoScalingGroup.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let mut is_launched_otherwise = false;
    let row = {
        let registry = region.registry();
        let mut row = registry.groups.get(name).cloned().ok_or_else(|| not_found(name))?;
        if LAUNCHED_FROM.iter().any(|member| input.has(member)) {
            let launch = launch_of(region, &registry, input)?;
            is_launched_otherwise = launch != row.launch;
            row.launch = launch;
            LAUNCHED_FROM.iter().for_each(|member| drop(row.document.remove(*member)));
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
    check_sizes(&row)?;
    if is_launched_otherwise {
        relaunch(region, &row)?;
    }
    resize(region, name, row, input.count("DesiredCapacity"))
}

/// SetDesiredCapacity.
pub(super) fn set_desired_capacity(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let row = group_named(region, name)?;
    let desired_capacity = input.count("DesiredCapacity");
    resize(region, name, GroupRow { desired_capacity, ..row }, desired_capacity)
}

/// The group and what runs of it become what the row says, while capacity is locked.
fn resize(region: &Region, name: &str, row: GroupRow, desired_capacity: Option<u32>) -> Result<Value, ApiError> {
    check_sizes(&row)?;
    if let Some(GroupHome { cluster, capacity_provider }) = &row.home {
        let live = region.cluster(Some(cluster))?;
        group_homes::resize(&live, capacity_provider, (row.min_size, row.max_size), desired_capacity)?;
    }
    region.registry().groups.put(name, row);
    Ok(json!({}))
}

/// DeleteAutoScalingGroup.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    let _alone = region.lock_capacity();
    let row = group_named(region, name)?;
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
    let (mut desired, mut version) = (row.desired_capacity.unwrap_or(row.min_size), row.launch.version);
    if let Some(home) = &row.home {
        let provider = home.capacity_provider.clone();
        let live = region.cluster(Some(&home.cluster))?;
        let known = live.cluster.read(move |state, _| {
            let group = state.capacity_providers.get(&provider)?;
            Some((group.desired_capacity, group.launch_template.version))
        })?;
        (desired, version) = known.unwrap_or((desired, version));
    }
    let mut shown = row.document.clone();
    // An instance refresh to another version has made it the group's.
    if version != row.launch.version
        && let Some(Value::Object(template)) = shown.get_mut("LaunchTemplate")
    {
        template.insert("Version".into(), json!(version.to_string()));
    }
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
        instances.map(|instance| show_instance(instance, context)).collect::<Vec<_>>()
    })?;
    let launched_from = |(mut shown, version): (Map<String, Value>, u32)| {
        if let Some(name) = row.document.get("LaunchConfigurationName") {
            shown.insert("LaunchConfigurationName".into(), name.clone());
        } else if let Some(named) = template_of(Members(&row.document)) {
            let mut specification = named.only(&["LaunchTemplateId", "LaunchTemplateName"]);
            specification.insert("Version".into(), json!(version.to_string()));
            shown.insert("LaunchTemplate".into(), Value::Object(specification));
        }
        shown
    };
    Ok(shown.into_iter().map(launched_from).collect())
}

/// An instance, and the version of the launch template that it comes from.
fn show_instance(instance: &ContainerInstance, context: &ReadContext<'_>) -> (Map<String, Value>, u32) {
    let health = if instance.health == InstanceHealth::Impaired { "Unhealthy" } else { "Healthy" };
    let shown = json!({
        "InstanceId": context.arns.ids.ec2_instance(instance.id),
        "InstanceType": instance.launch.instance_type.name,
        "AvailabilityZone": instance.launch.availability_zone,
        "LifecycleState": instance.lifecycle.as_str(),
        "HealthStatus": health,
        "ProtectedFromScaleIn": instance.protection == ScaleInProtection::Protected,
    });
    let shown = match shown {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    (shown, instance.launch.launch_template_version)
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

/// The cluster that has an EC2 instance, of those that Longshore runs.
pub(super) fn cluster_of_instance(region: &Region, id: &str) -> Option<(Arc<LiveCluster>, ContainerInstanceId)> {
    region.clusters().into_iter().find_map(|live| {
        let instance = live.arns.ids.read_ec2_instance(id)?;
        let found = live
            .cluster
            .read(move |state, _| state.container_instances.get(&instance).is_some_and(|found| !found.is_external()));
        found.ok()?.then_some((live, instance))
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
    let created_at = region.now();
    let only = LaunchTemplateVersion { data: input.0.clone(), description: None, created_at };
    let has_type = only.instance_type().is_some();
    let row = LaunchTemplateRow {
        id: super::ids::uuid_of(&[&region.name, "configuration", name]),
        versions: vec![only],
        default_version: 1,
        tags: BTreeMap::new(),
        created_at,
    };
    if !has_type {
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
        let mut shown = row.version(None).map(|(_, version)| version.data.clone()).unwrap_or_default();
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
