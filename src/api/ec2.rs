//! Amazon EC2, as far as container instances need it: instances, their types, zones. Launch templates are beside.
//!
//! An instance is one of Longshore's: a pool of worker threads that registers with the cluster which its user data name
//! (`ECS_CLUSTER=NAME`), or else with `default`. Instances of other purposes are not there.
//!
//! **Source:** ecs-semantics §3.1, §9.1; the API reference of EC2 for members.

use std::sync::Arc;

use serde_json::{Value, json};

use super::auto_scaling::{cluster_of_instance, zones};
use super::error::ApiError;
use super::members::Members;
use super::names::DEFAULT_CLUSTER;
use super::region::{LiveCluster, Region};
use super::user_data::{cluster_in_user_data, reserved_memory_in_user_data};
use super::{Call, launch_templates, seconds};
use crate::control_plane::action::Response;
use crate::control_plane::event::Request;
use crate::driver::reads::ReadContext;
use crate::model::arn::ACCOUNT;
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::capacity::{ContainerInstance, InstanceLaunch, InstanceType};
use crate::model::ids::ContainerInstanceId;
use crate::model::task_definition::CpuArchitecture;
use crate::model::usage::PurchaseOption;

/// Instances that one RunInstances launches at most. *Ours.*
const LAUNCHED_MAX: u32 = 100;
/// Instance types on a page at most.
const TYPES_ON_PAGE: usize = 100;

/// RunInstances.
pub(super) fn run_instances(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let template = input.structure("LaunchTemplate").map(|named| {
        let registry = region.registry();
        let (_, _, version) = launch_templates::version_named(&registry, named)?;
        Ok::<_, ApiError>(version.clone())
    });
    let template = template.transpose()?;
    let of_template = template.as_ref().map(|version| Members(&version.data));
    let text = |name: &str| input.text(name).or_else(|| of_template?.text(name));
    let named = text("InstanceType").unwrap_or("m5.large");
    let instance_type = region
        .catalog()
        .instance_type(named)
        .ok_or_else(|| ApiError::new("InvalidParameterValue", format!("The instance type '{named}' is not known.")))?;
    let cluster = text("UserData").and_then(cluster_in_user_data).unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
    let live = region.cluster(Some(&cluster)).map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            format!("There is no cluster '{cluster}' to register with: name one as ECS_CLUSTER=NAME in the user data."),
        )
    })?;
    let (least, most) = (input.count("MinCount").unwrap_or(1), input.count("MaxCount").unwrap_or(1));
    if least == 0 || most < least || most > LAUNCHED_MAX {
        return Err(ApiError::new("InvalidParameterValue", format!("MinCount and MaxCount are 1 to {LAUNCHED_MAX}.")));
    }
    let zone = input.structure("Placement").and_then(|placement| placement.text("AvailabilityZone"));
    let market = input.structure("InstanceMarketOptions").and_then(|market| market.text("MarketType"));
    let zones = zones(region);
    let mut launched = Vec::new();
    for index in 0..most {
        let next = usize::try_from(index).unwrap_or_default() % zones.len();
        let launch = InstanceLaunch {
            instance_type: instance_type.clone(),
            availability_zone: zone.map_or_else(|| zones[next].clone(), Arc::from),
            boot_time: region.options().settings.boot_time,
            purchase_option: if market == Some("spot") { PurchaseOption::Spot } else { PurchaseOption::OnDemand },
            image_id: text("ImageId").map(Arc::from),
            subnet_id: input.text("SubnetId").map(Arc::from),
            reserved_memory: text("UserData").map(reserved_memory_in_user_data).unwrap_or_default(),
            ..InstanceLaunch::default()
        };
        if let Response::Instance(instance) = live.cluster.ask(Request::LaunchInstance(Arc::new(launch)))? {
            launched.push(instance);
        }
    }
    let instances = live.cluster.read(move |state, context| {
        let found = launched.iter().filter_map(|id| state.container_instances.get(id));
        found.map(|instance| show(instance, context)).collect::<Vec<Value>>()
    })?;
    Ok(reservation(region, instances))
}

fn reservation(region: &Region, instances: Vec<Value>) -> Value {
    let first = instances.first().and_then(|instance| instance["InstanceId"].as_str()).unwrap_or_default();
    let id = format!("r-{}", super::ids::hex17_of(&[&region.name, "reservation", first]));
    json!({"ReservationId": id, "OwnerId": ACCOUNT, "Groups": [], "Instances": instances})
}

/// EC2's code and name of a state.
fn state_of(lifecycle: LifecycleState) -> (u32, &'static str) {
    match lifecycle {
        LifecycleState::Pending | LifecycleState::WarmedPending => (0, "pending"),
        LifecycleState::WarmedStopped | LifecycleState::WarmedHibernated => (80, "stopped"),
        LifecycleState::Terminating => (32, "shutting-down"),
        LifecycleState::Terminated => (48, "terminated"),
        _ => (16, "running"),
    }
}

fn show(instance: &ContainerInstance, context: &ReadContext<'_>) -> Value {
    let launch = &instance.launch;
    let (code, name) = state_of(instance.lifecycle);
    let lifecycle = (launch.purchase_option == PurchaseOption::Spot).then_some("spot");
    json!({
        "InstanceId": context.arns.ids.ec2_instance(instance.id),
        "ImageId": launch.image_id,
        "InstanceType": launch.instance_type.name,
        "LaunchTime": seconds(context.calendar_start, instance.launched_at),
        "Placement": {"AvailabilityZone": launch.availability_zone, "Tenancy": "default"},
        "State": {"Code": code, "Name": name},
        "SubnetId": launch.subnet_id,
        "VpcId": launch.vpc_id,
        "Architecture": launch.instance_type.architecture.attribute_value(),
        "InstanceLifecycle": lifecycle,
        "Tags": [],
    })
}

/// DescribeInstances.
pub(super) fn describe_instances(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let named: Vec<String> = input.texts("InstanceIds").map(str::to_owned).collect();
    if let Some(stranger) = named.iter().find(|id| cluster_of_instance(region, id).is_none()) {
        return Err(instance_not_found(stranger));
    }
    let filters: Vec<(String, Vec<String>)> = input
        .structures("Filters")
        .map(|filter| (filter.required_text("Name").to_owned(), filter.texts("Values").map(str::to_owned).collect()))
        .collect();
    let mut reservations = Vec::new();
    for live in region.clusters() {
        let (named, filters) = (named.clone(), filters.clone());
        let found = live.cluster.read(move |state, context| {
            let ours = state.container_instances.values().filter(|instance| !instance.is_external());
            let shown = ours.map(|instance| show(instance, context));
            let shown = shown.filter(|instance| {
                let id = instance["InstanceId"].as_str().unwrap_or_default();
                (named.is_empty() || named.iter().any(|named| named == id))
                    && filters.iter().all(|(name, values)| is_meant(instance, name, values))
            });
            shown.collect::<Vec<Value>>()
        })?;
        reservations.extend(found.into_iter().map(|instance| reservation(region, vec![instance])));
    }
    Ok(json!({"Reservations": reservations}))
}

/// Whether an instance has one of the values that a filter names. A filter by what is not known here finds nothing.
fn is_meant(instance: &Value, name: &str, values: &[String]) -> bool {
    let found = match name {
        "instance-state-name" => &instance["State"]["Name"],
        "instance-type" => &instance["InstanceType"],
        "availability-zone" => &instance["Placement"]["AvailabilityZone"],
        "instance-id" => &instance["InstanceId"],
        "architecture" => &instance["Architecture"],
        "image-id" => &instance["ImageId"],
        _ => &Value::Null,
    };
    found.as_str().is_some_and(|found| values.iter().any(|value| value == found))
}

fn instance_not_found(id: &str) -> ApiError {
    ApiError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
}

/// TerminateInstances.
pub(super) fn terminate_instances(call: &Call<'_>) -> Result<Value, ApiError> {
    let found: Result<Vec<(Arc<LiveCluster>, ContainerInstanceId)>, ApiError> = call
        .input
        .texts("InstanceIds")
        .map(|id| cluster_of_instance(call.region, id).ok_or_else(|| instance_not_found(id)))
        .collect();
    let mut changes = Vec::new();
    for (live, instance) in found? {
        let read = move |lifecycle: LifecycleState| {
            let (code, name) = state_of(lifecycle);
            json!({"Code": code, "Name": name})
        };
        let lifecycle = move |cluster: &LiveCluster| {
            let found = cluster
                .cluster
                .read(move |state, _| state.container_instances.get(&instance).map(|found| found.lifecycle));
            Ok::<_, ApiError>(found?.unwrap_or(LifecycleState::Terminated))
        };
        let before = lifecycle(&live)?;
        if before < LifecycleState::Terminating {
            live.cluster.ask(Request::TerminateInstance(instance))?;
        }
        let after = lifecycle(&live)?;
        changes.push(json!({
            "InstanceId": live.arns.ids.ec2_instance(instance),
            "PreviousState": read(before),
            "CurrentState": read(after),
        }));
    }
    Ok(json!({"TerminatingInstances": changes}))
}

/// DescribeInstanceTypes: those of the catalog.
pub(super) fn describe_instance_types(call: &Call<'_>) -> Result<Value, ApiError> {
    let (catalog, input) = (call.region.catalog(), call.input);
    let named: Vec<&str> = input.texts("InstanceTypes").collect();
    if let Some(stranger) = named.iter().find(|name| catalog.instance_type(name).is_none()) {
        return Err(ApiError::new(
            "InvalidInstanceType",
            format!("The following supplied instance types do not exist: [{stranger}]"),
        ));
    }
    let size = input.count("MaxResults").and_then(|size| usize::try_from(size).ok()).unwrap_or(TYPES_ON_PAGE);
    let after = input.text("NextToken").unwrap_or_default();
    let mut names = catalog
        .instance_type_names()
        .filter(|name| if named.is_empty() { after.is_empty() || *name > after } else { named.contains(name) });
    let page: Vec<&str> = names.by_ref().take(size.clamp(1, TYPES_ON_PAGE)).collect();
    let next = names.next().and(page.last());
    let shown = page.iter().filter_map(|name| catalog.instance_type(name)).map(|found| show_type(&found));
    Ok(json!({"InstanceTypes": shown.collect::<Value>(), "NextToken": next}))
}

fn show_type(found: &InstanceType) -> Value {
    json!({
        "InstanceType": found.name,
        "SupportedUsageClasses": ["on-demand", "spot"],
        "VCpuInfo": {"DefaultVCpus": found.vcpus},
        "MemoryInfo": {"SizeInMiB": found.memory.0},
        "ProcessorInfo": {"SupportedArchitectures": [match found.architecture {
            CpuArchitecture::X86_64 => "x86_64",
            CpuArchitecture::Arm64 => "arm64",
        }]},
        "BurstablePerformanceSupported": found.burst.is_some(),
    })
}

/// DescribeAvailabilityZones.
pub(super) fn describe_zones(call: &Call<'_>) -> Result<Value, ApiError> {
    let region = call.region;
    let named: Vec<&str> = call.input.texts("ZoneNames").collect();
    let zones = zones(region).into_iter().filter(|zone| named.is_empty() || named.contains(&&**zone));
    let shown = zones.map(|zone| {
        json!({"ZoneName": zone, "RegionName": region.name, "State": "available", "ZoneType": "availability-zone"})
    });
    Ok(json!({"AvailabilityZones": shown.collect::<Value>()}))
}
